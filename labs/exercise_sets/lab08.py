"""Exercises of lab 08: change the import, k-means' sums on a rank, choose C by cross-validation, Amdahl's law."""

import functools
import math

import numpy as np

from labs.answers import a_function
from labs.exercises import Wrong, exercise

LEARNED = 1200  # rows of the digits that notebooks learn from; the others are held out


@functools.cache
def _digits():
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X / 16, y


# --- 08-1 ------------------------------------------------------------------------------------------------------------

LEAST = 0.85  # of the held-out digits right: a sensible model has more than 0.9


@exercise(
    "08-1",
    "Change the import",
    minutes=4,
    hints=[
        "Only lines with `import` change. The parameters and the calls stay as they are.",
        "sklearn.linear_model becomes frovedis_lite.mllib.linear_model, and sklearn.preprocessing becomes "
        "frovedis_lite.mllib.preprocessing. The pipeline itself, make_pipeline, stays scikit-learn's.",
        "from frovedis_lite.mllib.linear_model import LogisticRegression, then the same make_pipeline(...) and "
        ".fit(X_learn, y_learn).",
    ],
    seconds=30,
)
def change_the_import(answer):
    """Accept a fitted estimator or pipeline whose last step is frovedis_lite's, by its accuracy on held-out digits."""
    if isinstance(answer, type) or not hasattr(answer, "predict"):
        what = "the class; call it, and fit it" if isinstance(answer, type) else "no model"
        raise Wrong(f"This is {what}.", expected="a fitted pipeline")
    steps = getattr(answer, "steps", None)
    last = steps[-1][1] if steps else answer
    home = type(last).__module__
    if not home.startswith("frovedis_lite."):
        raise Wrong(
            f"{type(last).__name__} is still from {home.split('._')[0]}.", expected="one of frovedis_lite.mllib"
        )
    from sklearn.exceptions import NotFittedError

    X, y = _digits()
    try:
        found = np.asarray(answer.predict(X[LEARNED:]))
    except NotFittedError:
        raise Wrong("The model is not fitted: call .fit(X_learn, y_learn).") from None
    accuracy = float((found == y[LEARNED:]).mean()) if found.shape == y[LEARNED:].shape else 0.0
    if accuracy < LEAST:
        raise Wrong(
            f"The import is right, and {accuracy:.0%} of the held-out digits are. Was it fitted on X_learn and "
            "y_learn, with the parameters of the script?",
            got=accuracy,
            expected="more than 90 %",
        )


# --- 08-2 ------------------------------------------------------------------------------------------------------------


def _partial(rows, centers):
    distances = ((rows[:, None, :] - centers[None]) ** 2).sum(axis=2)
    labels = distances.argmin(axis=1) if len(rows) else np.zeros(0, int)
    sums = np.zeros(centers.shape)
    np.add.at(sums, labels, rows)
    return sums, np.bincount(labels, minlength=len(centers))


def _problem(number):
    """Rows in pieces, as several ranks would have them, and centroids. One piece is empty, one centroid has no rows."""
    random = np.random.default_rng(number)
    columns, clusters = 2 + number, 3 + number % 2
    centers = random.standard_normal((clusters, columns)) * 3
    rows = np.concatenate([center + random.standard_normal((17, columns)) * 0.5 for center in centers[:-1]])
    centers[-1] += 100
    rows = random.permutation(rows)
    return [rows[:7], rows[7:7], rows[7:]], centers


@exercise(
    "08-2",
    "k-means on a rank: sums and counts",
    minutes=8,
    hints=[
        "First find for each local row the nearest centroid. Then, for each centroid, the sum of its rows and how many "
        "there are.",
        "((rows[:, None] - centers[None]) ** 2).sum(axis=2) are the squared distances, [rows, centroids]; "
        "argmin(axis=1) of it are the labels. An empty cluster has sum 0 and count 0.",
        "sums = np.zeros(centers.shape), then np.add.at(sums, labels, rows) adds each row to its centroid's sum; "
        "np.bincount(labels, minlength=len(centers)) counts.",
    ],
)
def k_means_sums(answer):
    """Accept a function of (rows, centers) that gives (sums, counts), which are added over pieces of other data."""
    a_function(answer, "rows and centers")
    for number in range(3):
        pieces, centers = _problem(number)
        total, expected = None, [sum(parts) for parts in zip(*(_partial(p, centers) for p in pieces), strict=True)]
        for piece in pieces:
            call = f"With {len(piece)} rows and {len(centers)} centroids,"
            given = piece.copy(), centers.copy()
            made = answer(*given)
            if made is None:
                raise Wrong("The function gives nothing back. Is there a return?", expected="a pair (sums, counts)")
            if not np.array_equal(given[0], piece) or not np.array_equal(given[1], centers):
                raise Wrong("The function writes into what it was given. Make new arrays.")
            try:
                sums, counts = (np.asarray(part, float) for part in made)
            except (TypeError, ValueError):
                raise Wrong(f"{call} there have to be two arrays.", made, "a pair (sums, counts)") from None
            if sums.shape != centers.shape:
                raise Wrong(f"{call} the sums have the wrong shape.", got=sums.shape, expected=centers.shape)
            if counts.shape != (len(centers),):
                text = f"{call} the counts have the wrong shape: one for each centroid, 0 where it has no rows."
                raise Wrong(text, got=counts.shape, expected=(len(centers),))
            total = (sums, counts) if total is None else (total[0] + sums, total[1] + counts)
            _one_piece(call, piece, centers, sums, counts)
        if not np.allclose(total[0], expected[0]) or not np.allclose(total[1], expected[1]):
            raise Wrong("Added over all ranks that is not it.", got=total[0], expected=expected[0])


def _one_piece(call, piece, centers, sums, counts):
    right, number = _partial(piece, centers)
    if np.allclose(sums, right) and np.allclose(counts, number):
        return
    means = right / np.maximum(number, 1)[:, None]
    if np.allclose(sums, means, equal_nan=True) or (
        np.isnan(sums).any() and np.allclose(sums[number > 0], means[number > 0])
    ):
        raise Wrong(f"{call} those are means. Means of ranks cannot be added; sums and counts can.", sums, right)
    if np.allclose(counts, number):
        raise Wrong(f"{call} the counts are right and the sums are not: add up the rows themselves.", sums, right)
    if np.allclose(counts.sum(), len(piece)):
        text = f"{call} every row is counted, and some with the wrong centroid. Is it the nearest one?"
        raise Wrong(text, got=counts, expected=number)
    raise Wrong(f"{call} the counts do not add up to the number of rows.", got=counts, expected=number)


# --- 08-3 ------------------------------------------------------------------------------------------------------------

CANDIDATES = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
FOLDS = 5
NEAR = 0.007  # of accuracy: other folds may well find what is so near to be the best


@functools.cache
def _scores():
    """Mean accuracy of each candidate over the folds, and on what it has learned from."""
    import warnings

    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import cross_val_score

    from frovedis_lite.mllib.linear_model import LogisticRegression

    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    models = {C: LogisticRegression(C=C) for C in CANDIDATES}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_folds = {C: float(cross_val_score(model, X, y, cv=FOLDS).mean()) for C, model in models.items()}
        return by_folds, {C: float(model.fit(X, y).score(X, y)) for C, model in models.items()}


@exercise(
    "08-3",
    "Choose C by cross-validation",
    minutes=6,
    core=False,
    hints=[
        "The estimators are scikit-learn estimators, so sklearn.model_selection works with them as it is.",
        "cross_val_score(LogisticRegression(C=C), tumours, kind, cv=5).mean() is the score of one C. Take the C "
        "with the largest.",
        'GridSearchCV(LogisticRegression(), {"C": candidates}, cv=5).fit(tumours, kind) does it for all; the answer '
        'is then best_params_["C"].',
    ],
    seconds=90,
)
def choose_C(answer):
    """Accept a C whose cross-validated score is within NEAR of the best, as a number or in a fitted GridSearchCV."""
    if hasattr(answer, "best_params_"):
        answer = answer.best_params_
    elif hasattr(answer, "best_estimator_") or (hasattr(answer, "param_grid") and hasattr(answer, "fit")):
        raise Wrong("The search is not fitted: call .fit(tumours, kind).")
    if isinstance(answer, dict):
        answer = next((value for name, value in answer.items() if name.split("__")[-1] == "C"), None)
    if isinstance(answer, str | bytes | bool) or answer is None or hasattr(answer, "predict"):
        raise Wrong("The answer is a number, the C that you choose.", got=answer, expected="one of the candidates")
    try:
        C = float(answer)
    except (TypeError, ValueError):
        raise Wrong("The answer is a single number.", got=answer, expected="one of the candidates") from None
    near = next((each for each in CANDIDATES if math.isclose(each, C, rel_tol=1e-6)), None)
    if near is None:
        if 0 < C < 1 and any(math.isclose(C, score, abs_tol=1e-9) for score in _scores()[0].values()):
            raise Wrong("That is an accuracy. Give the C that it belongs to.", got=C)
        raise Wrong("That is none of the candidates.", got=C, expected=f"one of {CANDIDATES}")
    by_folds, learned = _scores()
    best = max(by_folds.values())
    if by_folds[near] >= best - NEAR:
        return
    if learned[near] >= max(learned.values()) - 1e-9:
        raise Wrong(
            f"C = {near:g} is best on the very rows that were learned ({learned[near]:.1%}), which it knows by heart. "
            f"On rows it has not seen it gets {by_folds[near]:.1%}.",
            got=near,
        )
    raise Wrong(f"C = {near:g} gets {by_folds[near]:.1%} in cross-validation, another gets {best:.1%}.", got=near)


# --- 08-4 ------------------------------------------------------------------------------------------------------------

AMDAHL = [(0.95, 8), (0.5, 2), (0.9, 1), (0.0, 16), (1.0, 16), (0.75, 3), (0.99, 1000)]
AMDAHL_MISTAKES = [
    (lambda f, p: f * p, "That takes only the parallel part, and lets it get faster than all of it could."),
    (lambda f, p: (1 - f) + f * p, "That is Gustafson's law, for work that grows with the ranks. Here the work stays."),
    (lambda f, p: (1 - f) + f / p, "That is the time that is left. The speed-up is one over it."),
    (lambda f, p: 1 / (f + (1 - f) / p), "The other way round: it is the fraction that is divided among the ranks."),
    (lambda f, p: p, "That is for work that is wholly parallel."),
    (lambda f, p: 1 / max(1 - f, 1e-300), "That is the limit, for as many ranks as you like."),
    (lambda f, p: p / max(f, 1e-300), "Each part of the work takes its own time: add the times first."),
]


@exercise(
    "08-4",
    "What are more ranks worth?",
    minutes=4,
    hints=[
        "Let the work of one rank take 1. Which part of it stays as it is, and how long does the rest take on p ranks?",
        "The serial part takes 1 - fraction; the parallel part takes fraction / ranks. Together, that is the new time.",
        "The speed-up is the old time, 1, over the new one: 1 / ((1 - fraction) + fraction / ranks).",
    ],
)
def speed_up(answer):
    """Accept a function of (fraction, ranks), tried with numbers the notebook does not show."""
    a_function(answer, "fraction and ranks")
    results = {}
    for case in AMDAHL:
        value = answer(*case)
        if value is None:
            raise Wrong(f"speed_up{case} gives nothing back. Is there a return?", expected="a number")
        try:
            results[case] = float(value)
        except (TypeError, ValueError):
            raise Wrong(f"speed_up{case} gives no number.", got=value, expected="a number") from None
    for (f, p), found in results.items():
        right = 1 / ((1 - f) + f / p)
        if math.isclose(found, right, rel_tol=1e-3):
            continue
        for mistake, text in AMDAHL_MISTAKES:
            if all(math.isclose(value, mistake(*case), rel_tol=1e-6) for case, value in results.items()):
                raise Wrong(f"speed_up({f}, {p}): {text}", got=found, expected=right)
        raise Wrong(f"speed_up({f}, {p}): that is not it. What takes how long?", got=found, expected=right)
