"""Metrics of distributed vectors, against scikit-learn's of the same plain arrays."""

import numpy as np
import pytest
from ranks import on_ranks
from scipy import sparse
from sklearn import metrics as theirs

from frovedis_lite.engine.session import current
from frovedis_lite.mllib import metrics as ours

rng = np.random.default_rng(0)
ROWS = 200
CLASSES, GUESSES = rng.integers(3, size=(2, ROWS))
WEIGHTS = rng.random(ROWS)
SCORES = rng.random(ROWS).round(2)
PAIRS = rng.standard_normal((2, ROWS, 3))
X = rng.standard_normal((ROWS, 4)) + CLASSES[:, None]


def there(column):
    return current().scatter(column)


def same(name, *columns, weights=(None, WEIGHTS), **options):
    for weight in weights:
        given = options if weight is None else {**options, "sample_weight": weight}
        expected = getattr(theirs, name)(*columns, **given)
        moved = {**given, "sample_weight": there(weight)} if weight is not None else given
        for arguments in ([there(column) for column in columns], [there(columns[0]), *columns[1:]]):
            made = getattr(ours, name)(*arguments, **moved)
            assert np.asarray(made).dtype == np.asarray(expected).dtype or name == "accuracy_score"
            np.testing.assert_allclose(made, expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(getattr(ours, name)(*columns, **given), expected)


@pytest.mark.parametrize("names", [np.arange(3), np.array(["x", "yy", "z"])])
def test_classes(names):
    true, guessed = names[CLASSES], names[GUESSES]
    same("accuracy_score", true, guessed)
    same("accuracy_score", true, guessed, normalize=False)
    for name in ("precision_score", "recall_score", "f1_score"):
        for average in ("micro", "macro", "weighted"):
            same(name, true, guessed, average=average)
        same(name, true, guessed, average="macro", labels=names[:2])
        with pytest.raises(ValueError, match="multiclass"):
            getattr(ours, name)(there(true), guessed)
    same("confusion_matrix", true, guessed)
    same("confusion_matrix", true, guessed, labels=names[::-1], normalize="true")


def test_two_classes():
    true, guessed = CLASSES > 0, GUESSES > 0
    same("f1_score", true, guessed)
    same("precision_score", true, guessed, pos_label=0)
    same("roc_auc_score", true, SCORES)
    same("roc_auc_score", true, SCORES, max_fpr=0.3)
    for made, expected in zip(ours.roc_curve(there(true), SCORES), theirs.roc_curve(true, SCORES), strict=True):
        np.testing.assert_allclose(made, expected, rtol=1e-12)
    same("log_loss", true, SCORES)
    with pytest.raises(ValueError, match="shape"):
        ours.roc_auc_score(there(CLASSES), X[:, :3])


def test_log_loss():
    probabilities = rng.dirichlet(np.ones(3), ROWS)
    same("log_loss", CLASSES, probabilities)
    same("log_loss", CLASSES, probabilities, normalize=False, labels=[0, 1, 2])
    with pytest.raises(ValueError, match="labels"):
        ours.log_loss(there(np.ones(4, int)), np.full(4, 0.5))


@pytest.mark.parametrize("name", ["mean_squared_error", "mean_absolute_error", "r2_score"])
def test_numbers(name):
    same(name, PAIRS[0, :, 0], PAIRS[1, :, 0])
    for multioutput in ("raw_values", "uniform_average", [0.2, 0.3, 0.5]):
        same(name, *PAIRS, multioutput=multioutput)
    with pytest.raises(ValueError, match="NaN"):
        getattr(ours, name)(there(np.array([1, np.nan])), [1, 2])
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[2, 3\]"):
        getattr(ours, name)(there(np.ones(2)), [1, 2, 3])
    with pytest.raises(ValueError, match="multioutput"):
        getattr(ours, name)(there(np.ones(2)), np.ones(2), multioutput="all")


def test_r2_score():
    same("r2_score", *PAIRS, multioutput="variance_weighted")
    same("r2_score", np.ones(9), np.ones(9), weights=(None,))
    same("r2_score", np.ones(9), np.arange(9.0), weights=(None,))
    made = ours.r2_score(there(np.ones(9)), np.arange(9.0), force_finite=False)
    assert made == -np.inf
    with pytest.warns(theirs._regression.UndefinedMetricWarning):
        assert np.isnan(ours.r2_score(there(np.ones(1)), np.ones(1)))


@pytest.mark.parametrize("labels", [GUESSES, CLASSES, np.zeros(ROWS, int), np.arange(ROWS)])
def test_clusters(labels):
    for name in ("adjusted_rand_score", "homogeneity_score", "completeness_score", "v_measure_score"):
        same(name, CLASSES, labels, weights=(None,))
    same("v_measure_score", CLASSES, labels, weights=(None,), beta=0.5)


@pytest.mark.parametrize("rows", [X, sparse.csr_matrix(X)])
def test_silhouette(rows):
    alone = np.where(np.arange(ROWS) == 3, 7, CLASSES)  # a cluster of one
    for labels in (CLASSES, alone):
        same("silhouette_score", rows, labels, weights=(None,))
    same("silhouette_score", rows, CLASSES, weights=(None,), metric="cosine")
    with pytest.raises(ValueError, match="Number of labels is 1"):
        ours.silhouette_score(there(rows), np.zeros(ROWS))
    with pytest.raises(NotImplementedError, match="sample_size"):
        ours.silhouette_score(there(rows), CLASSES, sample_size=10)


def test_ranks():
    code = """
        import numpy as np
        from frovedis_lite.engine.session import current
        from frovedis_lite.mllib import metrics as m

        session = current()
        rng = np.random.default_rng(1)
        rows = 37
        y, z = rng.integers(2, size=(2, rows))
        p, w, X = rng.random(rows), rng.random(rows), rng.random((rows, 2))
        Y, Z, P, W = map(session.scatter, (y, z, p, w))
        few = session.scatter(y[:3])  # a rank without rows
        made = [
            m.f1_score(Y, Z, sample_weight=W), m.roc_auc_score(Y, P, sample_weight=w), m.log_loss(Y, P),
            m.r2_score(P, W), m.mean_absolute_error(P, w), m.adjusted_rand_score(Y, Z), m.v_measure_score(Y, Z),
            m.silhouette_score(session.scatter(X), Z), m.accuracy_score(few, y[:3]), m.mean_squared_error(few, z[:3]),
            m.r2_score(few, [1, 0, 1]), m.log_loss(few, [0.3, 0.2, 0.9], labels=[0, 1]),
        ]
        try:
            m.mean_squared_error(P, np.where(np.arange(rows) == 3, np.nan, w))
        except ValueError as error:
            made.append("NaN" in str(error))
        if session.run(lambda comm: comm.rank) == 0:
            print([x if isinstance(x, bool) else float(f"{x:.10f}") for x in made])
        """
    one, two, four = (on_ranks(size, code) for size in (1, 2, 4))
    assert one.endswith("True]\n")
    assert one == two == four
