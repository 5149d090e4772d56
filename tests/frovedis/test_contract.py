"""What every estimator keeps: the same model from rows in any format, on one process and on ranks, and from a file."""

import importlib
import inspect
import pickle
import pkgutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clusters import needs_mpi
from ranks import on_ranks
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

import frovedis_lite.mllib
from frovedis_lite.core import dvector
from frovedis_lite.errors import ReleasedError, ServerError
from frovedis_lite.exrpc.server import FrovedisServer
from frovedis_lite.matrix.ccs import FrovedisCCSMatrix
from frovedis_lite.matrix.crs import FrovedisCRSMatrix, FrovedisELLMatrix
from frovedis_lite.matrix.dense import FrovedisColmajorMatrix, FrovedisRowmajorMatrix
from frovedis_lite.matrix.dvector import FrovedisDvector
from frovedis_lite.mllib.base import Estimator
from frovedis_lite.mllib.cluster import KMeans, MiniBatchKMeans
from frovedis_lite.mllib.decomposition import PCA, TruncatedSVD
from frovedis_lite.mllib.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from frovedis_lite.mllib.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    SGDClassifier,
    SGDRegressor,
)
from frovedis_lite.mllib.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
from frovedis_lite.mllib.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestNeighbors
from frovedis_lite.mllib.preprocessing import StandardScaler
from frovedis_lite.mllib.recommendation import ALS
from frovedis_lite.mllib.svm import LinearSVC, LinearSVR
from frovedis_lite.mllib.tree import DecisionTreeClassifier, DecisionTreeRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function", "transform", "kneighbors", "apply")


@dataclass(frozen=True)
class Row:
    """What an estimator promises.

    Attributes:
        make: gives a new one.
        y: "classes", "values", or None.
        dense, sparse: whether it takes such rows.
        same: whether rows give the same model dense and sparse.
        weights: whether `fit` takes sample_weight.
        whole_weights: whether a row of weight 2 is two rows.
        nan: whether NaN is taken in dense rows.
        quality: on ranks only its score is the same, to so much.
        rtol: to which its results are the same.
    """

    make: Callable[[], Any]
    y: str | None
    dense: bool = True
    sparse: bool = True
    same: bool = True
    weights: bool = True
    whole_weights: bool = True
    nan: bool = False
    quality: float | None = None
    rtol: float = 1e-5


TABLE = {
    "ALS": Row(lambda: ALS(rank=2, max_iter=20), None, dense=False, weights=False),
    "BernoulliNB": Row(BernoulliNB, "classes"),
    "DecisionTreeClassifier": Row(lambda: DecisionTreeClassifier(random_state=0), "classes", nan=True),
    "DecisionTreeRegressor": Row(lambda: DecisionTreeRegressor(random_state=0, max_depth=4), "values", nan=True),
    "ElasticNet": Row(lambda: ElasticNet(alpha=0.05, tol=1e-8), "values"),
    "GaussianNB": Row(GaussianNB, "classes", sparse=False, whole_weights=False),  # its epsilon_ is of X alone
    "GradientBoostingClassifier": Row(lambda: GradientBoostingClassifier(n_estimators=5, random_state=0), "classes"),
    "GradientBoostingRegressor": Row(lambda: GradientBoostingRegressor(n_estimators=5, random_state=0), "values"),
    "KMeans": Row(lambda: KMeans(3, random_state=0), None),
    "KNeighborsClassifier": Row(KNeighborsClassifier, "classes", weights=False),
    "KNeighborsRegressor": Row(KNeighborsRegressor, "values", weights=False),
    "Lasso": Row(lambda: Lasso(alpha=0.05, tol=1e-8), "values"),
    "LinearRegression": Row(LinearRegression, "values"),
    "LinearSVC": Row(lambda: LinearSVC(tol=1e-7), "classes"),
    "LinearSVR": Row(lambda: LinearSVR(loss="squared_epsilon_insensitive", tol=1e-7), "values"),
    "LogisticRegression": Row(lambda: LogisticRegression(tol=1e-8, max_iter=1000), "classes"),
    "MiniBatchKMeans": Row(lambda: MiniBatchKMeans(3, random_state=0, n_init=3), None),
    "MultinomialNB": Row(MultinomialNB, "classes"),
    "NearestNeighbors": Row(NearestNeighbors, None, weights=False),
    "PCA": Row(lambda: PCA(2, svd_solver="covariance_eigh"), None, weights=False),
    "RandomForestClassifier": Row(lambda: RandomForestClassifier(5, random_state=0), "classes", nan=True),
    "RandomForestRegressor": Row(lambda: RandomForestRegressor(5, random_state=0), "values", nan=True),
    "Ridge": Row(Ridge, "values"),
    "SGDClassifier": Row(lambda: SGDClassifier(random_state=0), "classes", same=False, quality=0.25),
    "SGDRegressor": Row(lambda: SGDRegressor(random_state=0), "values", same=False, quality=0.1),
    "StandardScaler": Row(lambda: StandardScaler(with_mean=False), None, nan=True),
    "TruncatedSVD": Row(lambda: TruncatedSVD(2, algorithm="arpack", random_state=0), None, weights=False),
}
NAMES = sorted(TABLE)


def columns(dtype=np.float64, rows=96):
    """X [rows, 6], half of it zeros and nothing below; classes, and values [rows]."""
    random = np.random.default_rng(1)
    X = random.uniform(size=(rows, 6)).round(2) * (random.uniform(size=(rows, 6)) < 0.6)
    X[:6] += np.eye(6)  # no row or column of zeros alone
    values = X @ [1.0, -2.0, 0.5, 0.0, 1.5, -1.0] + random.normal(scale=0.05, size=rows)
    classes = np.array(["a", "b", "c"])[np.digitize(values, np.quantile(values, [0.3, 0.7]))]
    return X.astype(np.float32).astype(dtype), classes, values


def untidy(X):
    """CSR with the columns of each row backwards, and each element in two halves."""
    X = sparse.csr_matrix(X)
    order = np.concatenate([np.arange(a, b)[::-1] for a, b in zip(X.indptr[:-1], X.indptr[1:], strict=True)])
    halves = np.repeat(X.data[order] / 2, 2), np.repeat(X.indices[order], 2), X.indptr * 2
    return sparse.csr_matrix(halves, X.shape)


DENSE = {
    "array": np.asarray,
    "fortran": np.asfortranarray,
    "rowmajor": FrovedisRowmajorMatrix,
    "colmajor": FrovedisColmajorMatrix,
}
SPARSE = {
    "csr": sparse.csr_matrix,
    "csr array": sparse.csr_array,
    "untidy": untidy,
    "crs": lambda X: FrovedisCRSMatrix(sparse.csr_matrix(X)),
    "ccs": lambda X: FrovedisCCSMatrix(sparse.csr_matrix(X)),
    "ell": lambda X: FrovedisELLMatrix(sparse.csr_matrix(X)),
}
OURS = ("rowmajor", "colmajor", "crs", "ccs", "ell")


def formats(row):
    return (DENSE if row.dense else {}) | (SPARSE if row.sparse else {})


def target(row, classes, values):
    return {"classes": classes, "values": values, None: None}[row.y]


def fitted(name, X, y, **options):
    model = TABLE[name].make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, **options) if y is None else model.fit(X, y, **options)


def results(name, model, X, y=None):
    """What the model says of X: method -> array."""
    if name == "ALS":
        pairs = np.argwhere(np.ones((10, 6)))
        return {"predict": model.predict(pairs), "score": np.array(model.score(X))}
    made = {method: getattr(model, method)(X) for method in METHODS if hasattr(model, method)}
    made = {method: value[0] if isinstance(value, tuple) else value for method, value in made.items()}
    if hasattr(model, "score") and name != "PCA":  # PCA's score is for dense rows alone, as in scikit-learn
        made["score"] = np.array(model.score(X, y) if y is not None else model.score(X))
    return {method: value.toarray() if sparse.issparse(value) else value for method, value in made.items()}


def assert_same(found, wanted, rtol=1e-5):
    assert found.keys() == wanted.keys()
    for method, right in wanted.items():
        if right.dtype.kind == "U":
            np.testing.assert_array_equal(found[method], right, err_msg=method)
        else:
            np.testing.assert_allclose(found[method], right, rtol=rtol, atol=rtol, err_msg=method)


def everything(name, kinds=("array", "rowmajor", "csr", "crs")):
    """Results of a model for each kind of rows, on the ranks there are."""
    row = TABLE[name]
    X, classes, values = columns()
    y = target(row, classes, values)
    made = {}
    for kind in [kind for kind in kinds if kind in formats(row)]:
        rows = formats(row)[kind](X)
        made[kind] = results(name, fitted(name, rows, y), rows, y)
    return made


def assert_same_on_ranks(name, found, wanted):
    row = TABLE[name]
    for kind, right in wanted.items():
        if row.quality is None:
            assert_same(found[kind], right, max(row.rtol, 1e-5))
        else:
            assert abs(found[kind]["score"] - right["score"]) <= row.quality, (kind, found[kind]["score"])


# -------------------------------------------------------------------- On one process.


def test_every_estimator_has_a_row():
    found = set()
    for module in pkgutil.iter_modules(frovedis_lite.mllib.__path__, "frovedis_lite.mllib."):
        module = importlib.import_module(module.name)
        names = getattr(module, "__all__", None) or [
            name for name, kind in vars(module).items() if getattr(kind, "__module__", "") == module.__name__
        ]
        kinds = {name: getattr(module, name) for name in names if not name.startswith("_")}
        found |= {
            name
            for name, kind in kinds.items()
            if inspect.isclass(kind) and issubclass(kind, Estimator) and kind is not Estimator
        }
    assert found == TABLE.keys()


@pytest.mark.parametrize("name", NAMES)
def test_formats(name):
    row = TABLE[name]
    X, classes, values = columns()
    y = target(row, classes, values)
    wanted = {}
    for kind, make in formats(row).items():
        group = "sparse" if kind in SPARSE and not row.same else "all"
        rows = make(X)
        model = fitted(name, rows, y)
        assert model.n_features_in_ == 6
        found = results(name, model, rows, y)
        assert_same(found, wanted.setdefault(group, found), row.rtol)
        for other, remake in formats(row).items():  # rows may come in another format than those it was fitted on
            if kind in ("array", "crs") and other in ("array", "rowmajor", "csr", "untidy", "crs"):
                assert_same(results(name, model, remake(X), y), found, row.rtol)


@pytest.mark.parametrize("name", NAMES)
def test_whole_numbers_in_a_matrix(name):
    row = TABLE[name]
    if not row.dense:
        pytest.skip("sparse rows are of floats")
    X, classes, values = columns()
    X, y = (4 * X).round(), target(row, classes, values)
    wanted = results(name, fitted(name, X, y), X, y)
    whole = FrovedisRowmajorMatrix(X.astype(np.int64))
    assert whole.dtype == np.int64
    assert_same(results(name, fitted(name, whole, y), whole, y), wanted, row.rtol)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "ALS"])
def test_dtypes(name):
    """float32 stays where scikit-learn lets it stay."""
    row = TABLE[name]
    X, classes, values = columns(np.float32)
    y = target(row, classes, values)
    model = row.make()
    family = type(model).__module__.split(".")[2]
    kind = getattr(importlib.import_module(f"sklearn.{family}"), name)
    known = inspect.signature(kind).parameters
    peer = kind(**{key: value for key, value in model.get_params().items() if key in known})
    peer = peer.fit(X) if y is None else peer.fit(X, y)
    for kind in formats(row):
        rows = formats(row)[kind](X)
        model = fitted(name, rows, y)
        for method in METHODS:
            if hasattr(model, method) and method != "kneighbors":
                made, right = (getattr(each, method)(each_rows) for each, each_rows in ((model, rows), (peer, X)))
                assert made.dtype.kind == right.dtype.kind, method
                assert right.dtype != np.float32 or made.dtype == np.float32, method


@pytest.mark.parametrize("name", NAMES)
def test_weights(name):
    row = TABLE[name]
    X, classes, values = columns()
    y = target(row, classes, values)
    weights = np.random.default_rng(2).integers(0, 3, len(X))
    if not row.weights:
        assert "sample_weight" not in inspect.signature(row.make().fit).parameters
        return
    wanted = {}
    for kind, make in formats(row).items():
        group = "sparse" if kind in SPARSE and not row.same else "all"
        rows = make(X)
        given = dvector(weights.astype(float)) if kind in OURS else weights
        found = results(name, fitted(name, rows, y, sample_weight=given), rows, y)
        assert_same(found, wanted.setdefault(group, found), row.rtol)
    if row.whole_weights:
        repeated = np.repeat(np.arange(len(X)), weights)
        model = fitted(name, X[repeated], None if y is None else y[repeated])
        assert_same(results(name, model, X, y), wanted["all"], row.rtol)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["array", "csr", "rowmajor", "crs"])
def test_files_and_copies(name, kind, tmp_path):
    row = TABLE[name]
    if kind not in formats(row):
        pytest.skip("no such rows")
    X, classes, values = columns()
    rows, y = formats(row)[kind](X), target(row, classes, values)
    model = fitted(name, rows, y)
    wanted = results(name, model, rows, y)
    model.save(tmp_path / "model")
    for other in (row.make().load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        assert other.get_params() == model.get_params()
        found = results(name, other, rows, y)
        assert_same(found, wanted, 1e-12)
        assert {method: value.dtype for method, value in found.items()} == {
            method: value.dtype for method, value in wanted.items()
        }
    model.release()
    assert not model.is_fitted()
    with pytest.raises(ValueError, match="is not fitted yet"):
        model.save(tmp_path / "model")


def test_what_files_hold(tmp_path):
    """Keys that are no strings, names of classes as objects, and what cannot be saved."""
    X, classes, _ = columns()
    numbers = np.unique(classes, return_inverse=True)[1]
    model = LogisticRegression(class_weight={0: 1.0, 1: 2.0, 2: 0.5}).fit(X, numbers)
    model.save(tmp_path / "model")
    loaded = LogisticRegression().load(tmp_path / "model")
    assert loaded.class_weight == {0: 1.0, 1: 2.0, 2: 0.5}
    np.testing.assert_array_equal(loaded.fit(X, numbers).coef_, model.coef_)

    model = DecisionTreeClassifier().fit(X, classes.astype(object))
    model.save(tmp_path / "model")
    loaded = DecisionTreeClassifier().load(tmp_path / "model")
    assert loaded.predict(X).dtype == model.predict(X).dtype == object

    model.classes_ = np.array([1, "b", None], object)
    with pytest.raises(TypeError, match="classes_ is an array of objects that are no strings"):
        model.save(tmp_path / "model")
    assert DecisionTreeClassifier().load(tmp_path / "model").classes_.tolist() == ["a", "b", "c"]

    search = NearestNeighbors().fit(sparse.csr_matrix(X))
    search.fit_rows_.indices[0] = 7
    search.save(tmp_path / "search")
    with pytest.raises(ValueError, match="is no saved estimator, or is damaged"):
        NearestNeighbors().load(tmp_path / "search")


def test_names_of_columns():
    """A matrix of ours has none."""
    X, _, values = columns()
    model = Ridge().fit(X, values)
    model.feature_names_in_ = np.array(list("abcdef"), object)  # as after a fit on a table of pandas
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(FrovedisRowmajorMatrix(X))
    assert not hasattr(model.fit(FrovedisRowmajorMatrix(X), values), "feature_names_in_")


@pytest.mark.parametrize("name", NAMES)
def test_not_finite(name):
    row = TABLE[name]
    X, classes, values = columns()
    y = target(row, classes, values)
    good = X.copy()
    for wrong, message in ((np.nan, "Input X contains NaN"), (np.inf, "Input X contains infinity")):
        X[3, 2] = wrong
        for kind, make in formats(row).items():
            rows = make(X)
            if np.isnan(wrong) and row.nan and (kind in DENSE or name == "StandardScaler"):
                fitted(name, rows, y)
                continue
            with pytest.raises(ValueError, match=message):
                fitted(name, rows, y)
            if name == "ALS":
                continue
            model = fitted(name, formats(row)[kind](good), y)
            method = next(method for method in METHODS if hasattr(model, method))
            with pytest.raises(ValueError, match=message):
                getattr(model, method)(rows)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_refused(name):
    row = TABLE[name]
    X, classes, values = columns()
    y = target(row, classes, values)
    kinds = [kind for kind in OURS if kind in formats(row)]
    for kind in kinds:
        rows = formats(row)[kind](X)
        if y is not None:
            with pytest.raises(
                ValueError, match=r"inconsistent numbers of samples: \[96, 95\]|labels=95 does not match"
            ):
                fitted(name, rows, y[:-1])
        model = fitted(name, rows, y)
        if name != "ALS":
            method = next(method for method in METHODS if hasattr(model, method))
            with pytest.raises(ValueError, match=r"X has 5 features, but .* is expecting 6 features"):
                getattr(model, method)(formats(row)[kind](X[:, :5]))
        rows.release()
        with pytest.raises(ReleasedError, match="is empty"):
            fitted(name, rows, y)
    if name == "ALS":
        return
    for vector in (dvector(values), FrovedisDvector(values)):
        with pytest.raises(TypeError, match=r"has one dimension.*FrovedisRowmajorMatrix"):
            fitted(name, vector, y)
        with pytest.raises(TypeError, match=r"has one dimension.*FrovedisRowmajorMatrix"):
            getattr(model, method)(vector)
    if not row.sparse:
        with pytest.raises(TypeError, match="Sparse data was passed for X"):
            fitted(name, FrovedisCRSMatrix(X), y)


@pytest.mark.parametrize("name", [name for name in NAMES if TABLE[name].y is not None])
def test_targets_on_the_ranks(name):
    row = TABLE[name]
    X, classes, values = columns()
    y = target(row, classes, values)
    wanted = results(name, fitted(name, X, y), X, y)
    for kind in (dvector, FrovedisDvector):
        for rows in (X, FrovedisRowmajorMatrix(X)):
            assert_same(results(name, fitted(name, rows, kind(y)), rows, kind(y)), wanted, row.rtol)


# -------------------------------------------------------------------- On ranks.


@pytest.fixture(scope="module")
def started():
    """A server of two ranks, and what the models say on one process."""
    alone = {name: everything(name) for name in NAMES}
    FrovedisServer.initialize("mpirun -np 2")
    yield alone
    FrovedisServer.shut_down()


@needs_mpi
@pytest.mark.parametrize("name", NAMES)
def test_started_ranks(name, started, tmp_path):
    assert FrovedisServer.getSize() == 2
    assert_same_on_ranks(name, everything(name), started[name])
    row = TABLE[name]
    X, classes, values = columns()
    kind = "crs" if row.sparse else "rowmajor"
    rows, y = formats(row)[kind](X), target(row, classes, values)
    model = fitted(name, rows, y)
    model.save(tmp_path / "model")
    loaded = row.make().load(tmp_path / "model")
    assert_same(results(name, loaded, rows, y), results(name, model, rows, y), 1e-12)
    X[3, 2] = np.inf
    with pytest.raises(ValueError, match="Input X contains infinity"):
        fitted(name, formats(row)[kind](X), y)


@needs_mpi
def test_ended_ranks(started):
    """After all others: the ranks are gone."""
    X, classes, values = columns()
    held = {name: formats(row)["crs" if row.sparse else "rowmajor"](X) for name, row in TABLE.items()}
    search = NearestNeighbors().fit(FrovedisRowmajorMatrix(X))
    model = LogisticRegression().fit(X, classes)
    FrovedisServer.shut_down()
    for name, row in TABLE.items():
        with pytest.raises((ReleasedError, ServerError), match="shut down"):
            fitted(name, held[name], target(row, classes, values))
    with pytest.raises((ReleasedError, ServerError), match="shut down"):
        search.kneighbors(X)
    with pytest.raises((ReleasedError, ServerError), match="shut down"):
        model.predict(held["LogisticRegression"])
    assert model.predict(X).shape == (96,)


@needs_mpi
def test_programs_on_ranks(tmp_path):
    alone = {name: everything(name) for name in NAMES}
    on_ranks(
        2,
        f"""
        import pickle, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_contract import NAMES, TABLE, columns, everything, fitted, formats, results, target
        from frovedis_lite.engine.session import current

        made = {{name: everything(name) for name in NAMES}}
        X, classes, values = columns()
        for name, row in TABLE.items():
            rows, y = formats(row)["crs" if row.sparse else "rowmajor"](X), target(row, classes, values)
            fitted(name, rows, y).save({str(tmp_path)!r} + "/model")
            assert row.make().load({str(tmp_path)!r} + "/model").is_fitted()
        if current().comm.rank == 0:
            with open({str(tmp_path / "made")!r}, "wb") as file:
                pickle.dump(made, file)
        """,
    )
    made = pickle.loads((tmp_path / "made").read_bytes())
    for name in NAMES:
        assert_same_on_ranks(name, made[name], alone[name])
