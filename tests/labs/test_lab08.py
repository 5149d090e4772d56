"""Lab 08: its exercises three ways, and what its pictures and widgets draw."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from frovedis_lite.engine import session
from frovedis_lite.mllib.cluster import KMeans
from frovedis_lite.mllib.linear_model import LogisticRegression
from labs.exercise_sets import lab08 as answers
from labs.pictures import lab08
from labs.pictures.lab06_svg import Controls
from tests.labs.three_ways import three_ways


@pytest.fixture(scope="module")
def digits():
    X, y = answers._digits()
    return X[:300], y[:300]


def test_change_the_import(digits):
    from sklearn.linear_model import LogisticRegression as Theirs

    X, y = digits
    ours = make_pipeline(StandardScaler(with_std=False), LogisticRegression(max_iter=200)).fit(X, y)
    three_ways(
        "08-1",
        right=[ours, LogisticRegression(max_iter=200).fit(X, y)],
        wrong=[
            (make_pipeline(Theirs(max_iter=500)).fit(X, y), "is still from sklearn"),
            (LogisticRegression, "This is the class"),
            (LogisticRegression(), "is not fitted"),
            (make_pipeline(StandardScaler(), LogisticRegression()), "is not fitted"),
            (LogisticRegression().fit(X, np.roll(y, 1)), "of the held-out digits are"),
            (0.93, "no model"),
            ("pipeline", "no model"),
        ],
    )


def test_sums_of_k_means():
    def in_a_loop(rows, centers):
        sums, counts = [[0.0] * len(center) for center in centers], [0] * len(centers)
        for row in rows:
            near = min(range(len(centers)), key=lambda i: float(((row - centers[i]) ** 2).sum()))
            sums[near] = [a + b for a, b in zip(sums[near], row, strict=True)]
            counts[near] += 1
        return sums, counts

    def means(rows, centers):
        sums, counts = answers._partial(rows, centers)
        return sums / np.maximum(counts, 1)[:, None], counts

    def means_with_nan(rows, centers):
        sums, counts = answers._partial(rows, centers)
        with np.errstate(all="ignore"):
            return sums / counts[:, None], counts

    def farthest(rows, centers):
        return answers._partial(rows, -centers)

    def short_counts(rows, centers):
        sums, counts = answers._partial(rows, centers)
        return sums, np.trim_zeros(counts)

    def wrong_sums(rows, centers):
        sums, counts = answers._partial(rows, centers)
        return sums + 1, counts

    def lost(rows, centers):
        sums, counts = answers._partial(rows, centers)
        return sums, counts + 1

    def spoils(rows, centers):
        made = answers._partial(rows, centers)
        centers[:] = 0
        return made

    three_ways(
        "08-2",
        right=[answers._partial, in_a_loop, lambda rows, centers: list(answers._partial(rows, centers))],
        wrong=[
            (means, "those are means"),
            (means_with_nan, "those are means"),
            (farthest, "with the wrong centroid"),
            (short_counts, "the counts have the wrong shape"),
            (wrong_sums, "the counts are right and the sums are not"),
            (lost, "do not add up to the number of rows"),
            (spoils, "writes into what it was given"),
            (lambda rows, centers: (rows.sum(axis=0), len(rows)), "the sums have the wrong shape"),
            (lambda rows, centers: 3, "there have to be two arrays"),
            (lambda rows, centers: print(rows), "gives nothing back"),
            (lambda rows, centers: answers._partial(rows, centers[:, :1]), "raised"),
            ((1, 2), "Give the function itself"),
        ],
    )


def test_choose_C():
    by_folds, learned = answers._scores()
    best, knows_by_heart = max(by_folds, key=by_folds.get), max(learned, key=learned.get)
    assert by_folds[knows_by_heart] < by_folds[best] - answers.NEAR, "else the exercise would teach nothing"
    search = GridSearchCV(LogisticRegression(), {"C": [best]}, cv=2)
    search.best_params_ = {"C": best}
    within = GridSearchCV(LogisticRegression(), {"C": [best]}, cv=2)
    three_ways(
        "08-3",
        right=[best, np.float64(best), search, {"C": best}, {"logisticregression__C": best}],
        wrong=[
            (knows_by_heart, "which it knows by heart"),
            (answers.CANDIDATES[0], "in cross-validation, another gets"),
            (by_folds[best], "That is an accuracy"),
            (5.0, "none of the candidates"),
            (within, "The search is not fitted"),
            (str(best), "a number"),
            ([best], "a single number"),
            (LogisticRegression(C=best).fit([[0.0], [1.0]], [0, 1]), "a number"),
        ],
    )


def test_speed_up():
    three_ways(
        "08-4",
        right=[lambda f, p: 1 / ((1 - f) + f / p), lambda f, p: np.float32(p / (p * (1 - f) + f))],
        wrong=[
            *((mistake, text) for mistake, text in answers.AMDAHL_MISTAKES),
            (lambda f, p: 2.0, "What takes how long"),
            (lambda f, p: print(f), "gives nothing back"),
            (lambda f, p: [f], "gives no number"),
            (lambda f, p: p / (1 - f), "raised ZeroDivisionError"),
            (5.9, "Give the function itself"),
        ],
    )


def test_counted_messages_do_not_grow_with_the_rows(digits):
    X, _ = digits
    before, found = session.current(), []
    for rows in (X, np.concatenate([X, X])):
        with lab08.counted() as comm:
            KMeans(5, init=X[:5], n_init=1, max_iter=3, tol=0).fit(rows)
        found.append((comm.calls, comm.bytes))
    assert found[0] == found[1]
    assert found[0][1] >= 3 * 5 * (X.shape[1] + 1) * 8
    assert session.current() is before


def test_objective_falls(digits):
    X, y = digits
    chosen = y < 2
    above = lab08.convergence(X[chosen], y[chosen], ["lbfgs", "sag"], [1, 4], 0)
    assert all(first > last > -1e-6 for first, last in above.values())
    assert "lbfgs: from" in lab08.draw_convergence(above, [1, 4]).text


def test_k_means_as_it_moves():
    X = np.array([[0.0, 0], [0, 1], [9, 9], [9, 8], [4, 0]])
    history = lab08.moving(X, X[:2].copy())
    assert np.array_equal(history[0], X[:2])
    assert np.allclose(sorted(history[-1].tolist()), [[4 / 3, 1 / 3], [9, 8.5]])
    assert "clusters of 3, 2 points" in lab08.draw_k_means(X, history, len(history) - 1)


def test_modelled_speed_up():
    assert lab08.modelled(0.5, 100, 0, 2) == pytest.approx((4 / 3, 4 / 3))
    assert lab08.modelled(1, 100, 10, 1) == (1, 1)
    assert lab08.modelled(1, 100, 10, 4)[1] == pytest.approx(100 / (25 + 20))


def test_bars():
    times = lab08.in_turns({"a": [lambda: 1, lambda: 2]}, 1)
    picture = lab08.side_by_side({"a": (1.0, 2.0)}, ("ours", "theirs"))
    assert len(times["a"]) == 2
    assert "a: 1.0 and 2.0" in picture.text


@pytest.mark.parametrize("made", [lab08.more_ranks, lambda: lab08.k_means(np.eye(4)[:, :2] * 3, np.eye(2))])
def test_widgets(made):
    widget = made()
    assert isinstance(widget, Controls)
    for control in widget.named.values():
        assert control.description
        for value in (control.max, control.min):
            control.value = value
            assert "aria-label" in widget.drawing.value
    assert widget._repr_mimebundle_()["text/html"] == widget.first
