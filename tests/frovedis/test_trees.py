"""Decision trees against scikit-learn's, and on several ranks."""

import contextlib
import io

import numpy as np
import pytest
from ranks import on_ranks
from scipy import sparse
from sklearn import tree as reference
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_classification, make_regression
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from frovedis_lite.mllib.tree import DecisionTreeClassifier, DecisionTreeRegressor
from frovedis_lite.mllib.trees import grow


@parametrize_with_checks([DecisionTreeClassifier(), DecisionTreeRegressor()])
def test_check_estimator(estimator, check):
    check(estimator)


def assert_same_but_for_ties(ours, theirs):
    """The same splits from the root on, down to nodes where two splits are equally good. Returns how many."""
    queue, same = [(0, 0)], 0
    while queue:
        a, b = queue.pop()
        assert ours.n_node_samples[a] == theirs.n_node_samples[b]
        assert ours.impurity[a] == pytest.approx(theirs.impurity[b], abs=1e-12)
        if theirs.children_left[b] < 0 or theirs.impurity[b] < 1e-12:  # rounding makes a pure node look impure
            assert ours.children_left[a] < 0
            continue
        if (ours.feature[a], ours.threshold[a]) == (theirs.feature[b], theirs.threshold[b]):
            queue += [
                (ours.children_left[a], theirs.children_left[b]),
                (ours.children_right[a], theirs.children_right[b]),
            ]
            same += 1
        else:
            assert decrease(ours, a) == pytest.approx(decrease(theirs, b), abs=1e-9)
    return same


def decrease(tree, node):
    sums = tree.weighted_n_node_samples * tree.impurity
    return sums[node] - sums[tree.children_left[node]] - sums[tree.children_right[node]]


def assert_same_tree(ours, theirs):
    for name in ("children_left", "children_right", "feature", "n_node_samples"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), name)
    for name in ("threshold", "impurity", "weighted_n_node_samples", "value"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("criterion", ["gini", "entropy"])
@pytest.mark.parametrize(
    "rules",
    [
        {"max_depth": 4},
        {"min_samples_leaf": 9},
        {"min_samples_split": 0.3},
        {"min_weight_fraction_leaf": 0.1},
        {"min_impurity_decrease": 0.02},
        {"min_samples_leaf": 5, "class_weight": "balanced"},
    ],
)
def test_same_classifier_as_scikit_learn(criterion, rules):
    X, y = make_classification(250, 6, n_informative=4, n_redundant=0, n_classes=3, flip_y=0.2, random_state=0)
    ours = DecisionTreeClassifier(criterion=criterion, random_state=0, **rules).fit(X, y)
    theirs = reference.DecisionTreeClassifier(criterion=criterion, random_state=0, **rules).fit(X, y)
    assert assert_same_but_for_ties(ours.tree_, theirs.tree_) > 3
    np.testing.assert_allclose(ours.tree_.value[0], theirs.tree_.value[0], rtol=1e-9)


@pytest.mark.parametrize(
    "rules",
    [
        {"max_depth": 5, "min_samples_leaf": 6},
        {"max_leaf_nodes": 7},
        {"min_samples_leaf": 12},
        {"ccp_alpha": 30.0, "min_samples_leaf": 3},
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_same_regressor_as_scikit_learn(rules, weighted):
    X, y = make_regression(240, 5, n_informative=4, noise=5, random_state=1)
    weights = np.random.RandomState(0).rand(240) if weighted else None
    ours = DecisionTreeRegressor(random_state=0, **rules).fit(X, y, weights)
    theirs = reference.DecisionTreeRegressor(random_state=0, **rules).fit(X, y, weights)
    if "max_leaf_nodes" in rules:  # scikit-learn numbers nodes as it found them
        np.testing.assert_allclose(np.sort(ours.tree_.threshold), np.sort(theirs.tree_.threshold), rtol=1e-9)
    else:
        assert_same_tree(ours.tree_, theirs.tree_)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ours.feature_importances_, theirs.feature_importances_, atol=1e-9)
    assert (ours.get_depth(), ours.get_n_leaves()) == (theirs.get_depth(), theirs.get_n_leaves())
    if "max_leaf_nodes" not in rules:
        np.testing.assert_array_equal(ours.apply(X), theirs.apply(X))
        assert (ours.decision_path(X) != theirs.decision_path(X.astype(np.float32))).nnz == 0


def test_many_values_lose_little():
    X, y = make_regression(2000, 8, n_informative=5, noise=10, random_state=0)
    ours, theirs = (
        cross_val_score(kind(max_depth=8, random_state=0), X, y, cv=4).mean()
        for kind in (DecisionTreeRegressor, reference.DecisionTreeRegressor)
    )
    assert ours > theirs - 0.02


@pytest.mark.parametrize("data", [load_breast_cancer, load_iris])
def test_accuracy(data):
    X, y = data(return_X_y=True)
    ours, theirs = (
        cross_val_score(kind(min_samples_leaf=3, random_state=0), X, y, cv=5).mean()
        for kind in (DecisionTreeClassifier, reference.DecisionTreeClassifier)
    )
    assert ours > theirs - 0.02


def test_few_bins():
    X, y = load_diabetes(return_X_y=True)
    tree = DecisionTreeRegressor(max_bins=8, max_depth=6).fit(X, y)
    for column in range(X.shape[1]):
        assert len(np.unique(tree.tree_.threshold[tree.tree_.feature == column])) <= 30
    assert tree.score(X, y) > 0.4


def test_rows_that_were_not_sampled(monkeypatch):
    from frovedis_lite.mllib.trees import binning

    monkeypatch.setattr(binning, "SAMPLE_VALUES", 0)
    monkeypatch.setattr(binning, "SAMPLE_ROWS", 100)
    random = np.random.RandomState(0)
    X = np.column_stack([random.randint(0, 200, 3000), random.standard_normal(3000)])
    y = (X[:, 0] % 7) + X[:, 1]
    tree = DecisionTreeRegressor().fit(X, y)
    assert np.unique(tree.tree_.threshold[tree.tree_.feature == 0]).size > 150
    # What a leaf says is the mean of the rows that reach it by the thresholds.
    leaves = tree.apply(X)
    means = np.bincount(leaves, y) / np.maximum(np.bincount(leaves), 1)
    np.testing.assert_allclose(means[leaves], tree.predict(X), atol=1e-9)


def test_sparse_is_dense():
    X = sparse.random(200, 30, 0.2, format="csr", random_state=0, dtype=np.float64)
    X.data -= 0.5
    y = np.asarray(X[:, :3].sum(1)).ravel()
    for kind in (sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array):
        few, many = (DecisionTreeRegressor(max_depth=6, random_state=0).fit(rows, y) for rows in (kind(X), X.toarray()))
        assert_same_tree(few.tree_, many.tree_)
        np.testing.assert_array_equal(few.predict(kind(X)), many.predict(X.toarray()))


def test_missing_values():
    random = np.random.RandomState(0)
    X, y = make_classification(300, 5, random_state=0)
    X[random.rand(*X.shape) < 0.2] = np.nan
    ours = DecisionTreeClassifier(max_depth=5, random_state=0).fit(X, y)
    theirs = reference.DecisionTreeClassifier(max_depth=5, random_state=0).fit(X, y)
    assert abs(ours.score(X, y) - theirs.score(X, y)) < 0.02
    assert (ours.apply(X) >= 0).all()


@pytest.mark.parametrize(
    "made",
    [
        DecisionTreeClassifier(splitter="random"),
        DecisionTreeClassifier(monotonic_cst=[0, 1]),
        DecisionTreeRegressor(criterion="poisson"),
    ],
)
def test_refused(made):
    with pytest.raises(NotImplementedError, match="not supported"):
        made.fit(np.eye(2), [0, 1])


def test_bad_input():
    with pytest.raises(ValueError, match="Number of labels=3 does not match number of samples=2"):
        DecisionTreeClassifier().fit(np.eye(2), [0, 1, 2])
    with pytest.raises(ValueError, match="1d array"):
        DecisionTreeRegressor().fit(np.eye(2), np.eye(2))
    with pytest.raises(ValueError, match="infinity"):
        DecisionTreeRegressor().fit([[np.inf], [1]], [0, 1])
    with pytest.raises(ValueError, match="max_depth"):
        DecisionTreeRegressor(max_depth=0).fit(np.eye(2), [0, 1])


def test_saved(tmp_path):
    X, y = load_iris(return_X_y=True)
    made = DecisionTreeClassifier(random_state=0).fit(X, y)
    made.save(tmp_path / "tree")
    again = DecisionTreeClassifier().load(tmp_path / "tree")
    np.testing.assert_array_equal(again.predict_proba(X), made.predict_proba(X))


RANKS = """
import hashlib
import numpy as np
from sklearn.datasets import make_regression
from frovedis_lite.engine.session import current
from frovedis_lite.mllib.tree import DecisionTreeClassifier, DecisionTreeRegressor
from frovedis_lite.mllib.trees import grow

grow.MOVED_ROWS = 60
X, y = make_regression(701, 6, n_informative=4, noise=5, random_state=0)
X[::9, 2] = np.nan
weights = np.random.RandomState(0).rand(701)
trees = [
    DecisionTreeRegressor(random_state=0).fit(X, y, weights),
    DecisionTreeRegressor(random_state=0, max_features=2).fit(X, y),
    DecisionTreeClassifier(random_state=0).fit(X, np.digitize(y, [-50, 50])),
]
text = [vars(tree.tree_) for tree in trees]
digest = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for tree in text for part in tree.values()))
if current().size == 1 or current().comm.rank == 0:
    print(digest.hexdigest())
"""


def test_ranks(monkeypatch):
    monkeypatch.setattr(grow, "MOVED_ROWS", grow.MOVED_ROWS)
    alone = io.StringIO()
    with contextlib.redirect_stdout(alone):
        exec(RANKS, {})
    for size in (2, 4):
        assert on_ranks(size, RANKS) == alone.getvalue()
