"""What estimators share: data on its way to the ranks, and what scikit-learn's have by themselves.

An estimator is scikit-learn's on the outside. Inside, `fit` shares out the rows and runs one function of the local rows
and a communicator on every rank, which gives the fitted attributes.
"""

import os
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _check_y,
    check_is_fitted,
    validate_data,
)

from frovedis_lite.engine.comm import Alone
from frovedis_lite.engine.session import Parts, Session, current
from frovedis_lite.matrix.crs import FrovedisCRSMatrix
from frovedis_lite.matrix.dense import FrovedisRowmajorMatrix
from frovedis_lite.matrix.distributed import DistributedMatrix
from frovedis_lite.matrix.sparse import FrovedisSparseMatrix
from frovedis_lite.mllib.files import read_model, write_model

FLOATS = (np.float64, np.float32)


@dataclass
class Table:
    """Rows on the ranks: features, and what belongs to each row.

    Attributes:
        X: each part [rows of the rank, columns], an array (row-major) or a CSR matrix, float32 or float64.
        y, weights: each part [rows of the rank], in step with X; None where there are none.
        rows: on all ranks.
    """

    session: Session
    X: Parts
    y: Parts | None
    weights: Parts | None
    rows: int
    columns: int
    dtype: np.dtype


def is_distributed(X: Any) -> bool:
    """Whether this is a matrix of ours, whose rows are on the ranks already."""
    return isinstance(X, DistributedMatrix)


def is_sparse(X: Any) -> bool:
    """Whether this is a sparse matrix, of SciPy or of ours."""
    return sparse.issparse(X) or isinstance(X, FrovedisSparseMatrix)


def gathered(X: Any) -> Any:
    """A matrix of ours as an array or CSR matrix here; anything else as it is."""
    if not is_distributed(X):
        return X
    return X.to_scipy_matrix() if is_sparse(X) else X.to_numpy_array()


def to_ranks(X: Any, y: np.ndarray | None = None, sample_weight: np.ndarray | None = None) -> Table:
    """Checked rows, shared out. A matrix of ours stays where it is, and y goes to the ranks that have its rows.

    Args:
        X: [rows, columns], what `validated` returned: an array or CSR matrix of float32 or float64, or a row-major or
            CRS matrix of ours.
        y, sample_weight: [rows].
    """
    parts = X.parts if is_distributed(X) else current().scatter(plain(X))
    session = parts.session
    along = [None if column is None else _in_step(session, parts, column) for column in (y, sample_weight)]
    rows, columns = X.shape
    return Table(session, parts, *along, rows, columns, np.dtype(X.dtype))


def beside(table: Table, column: np.ndarray | None) -> Parts | None:
    """One more column [rows] or [rows, ...] for the rows of a table."""
    return None if column is None else _in_step(table.session, table.X, column)


def plain(X: Any) -> Any:
    """Checked rows that are here, row-major, or CSR with sorted indices, each once.

    Raises:
        ValueError: an index outside of the matrix.
    """
    if not sparse.issparse(X):
        return np.ascontiguousarray(X)
    X = sparse.csr_matrix(X)
    # Kernels read what indices say.
    if X.nnz and not (X.indices.min() >= 0 and X.indices.max() < X.shape[1]):
        raise ValueError(f"the sparse matrix has column indices outside of its {X.shape[1]} columns")
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def _in_step(session: Session, parts: Parts, column: np.ndarray) -> Parts:
    """The elements of a column that belong to the rows each rank has, which are in the order of ranks."""
    return session.run_parts(_own_rows, parts, np.ascontiguousarray(column))


def _own_rows(comm: Any, X: Any, column: np.ndarray) -> np.ndarray:
    first = comm.exscan(X.shape[0])
    return column[first : first + X.shape[0]]


def validated(estimator: BaseEstimator, X: Any, y: Any = "no_validation", reset: bool = True, **checks: Any) -> Any:
    """scikit-learn's `validate_data`, rows as float64 or float32. A matrix of ours is checked where it is.

    Args:
        X: anything scikit-learn takes, or a matrix of ours in any layout.
        y: anything scikit-learn takes, or a vector of ours.
        checks: of `validate_data`.

    Returns:
        X, or (X, y) where a y was given. A matrix of ours is row-major or CRS then, y an array.
    Raises:
        ValueError, TypeError: as scikit-learn's; X is a vector of ours.
        ReleasedError: X was released, or its ranks have shut down.
    """
    given = not (isinstance(y, str) and y == "no_validation")
    if given and is_vector(y):
        y = np.asarray(y)
    refuse_vector(X)
    if not is_distributed(X):
        return validate_data(estimator, X, y, reset=reset, dtype=list(FLOATS), **checks)
    _check_feature_names(estimator, X, reset=reset)
    X = _checked_matrix(estimator, X, **checks)
    _check_n_features(estimator, X, reset=reset)
    if not given:
        return X
    options = {name: checks[name] for name in ("multi_output", "y_numeric") if name in checks}
    y = _check_y(y, estimator=estimator, **options)
    if len(y) != X.shape[0]:
        raise ValueError(f"Found input variables with inconsistent numbers of samples: [{X.shape[0]}, {len(y)}]")
    return X, y


def is_vector(column: Any) -> bool:
    """Whether this is a vector of ours, a `dvector` or `FrovedisDvector`, whose elements are on the ranks."""
    return not is_distributed(column) and isinstance(getattr(column, "parts", None), Parts)


def refuse_vector(X: Any) -> None:
    """Raises TypeError for a vector of ours where rows are wanted."""
    if is_vector(X):
        raise TypeError(
            f"X is a {type(X).__name__}, which has one dimension: rows on the ranks are a FrovedisRowmajorMatrix or a "
            "FrovedisCRSMatrix"
        )


def _checked_matrix(
    estimator: BaseEstimator,
    X: DistributedMatrix,
    accept_sparse: Any = False,
    ensure_all_finite: bool | str = True,
    ensure_min_samples: int = 1,
    ensure_min_features: int = 1,
    **others: Any,
) -> DistributedMatrix:
    """A matrix of ours with rows of floats, by the rules of scikit-learn's `check_array`."""
    _ = X.blocks.held  # its error comes first, where there is nothing any more
    if is_sparse(X):
        if accept_sparse is False:
            raise TypeError(
                "Sparse data was passed for X, but dense data is required. Use '.to_frovedis_rowmajor_matrix()' to "
                "convert to a dense matrix."
            )
        X = X if isinstance(X, FrovedisCRSMatrix) else X.to_crs()
    elif not isinstance(X, FrovedisRowmajorMatrix) or X.dtype not in FLOATS:
        X = FrovedisRowmajorMatrix(X, X.dtype if X.dtype in FLOATS else np.float64)
    name = type(estimator).__name__
    least = ("sample", ensure_min_samples), ("feature", ensure_min_features)
    for (what, wanted), found in zip(least, X.shape, strict=True):
        if found < wanted:
            raise ValueError(
                f"Found array with {found} {what}(s) (shape={X.shape}) while a minimum of {wanted} is required by "
                f"{name}."
            )
    if ensure_all_finite is not False:
        has_nan, has_infinity = X.not_finite()
        found = np.array([np.nan] * has_nan + [np.inf] * has_infinity, X.dtype)
        assert_all_finite(found, allow_nan=ensure_all_finite == "allow-nan", estimator_name=name, input_name="X")
    return X


def of_rows(table: Table, function: Any, *args: Any) -> Any:
    """What `function(comm, X, *args)` gives for each row, from all ranks, in the order of rows."""
    return stacked(table.session.gather(table.session.run_parts(function, table.X, *args)))


def where_they_are(X: Any, function: Any, *args: Any) -> Any:
    """The same for checked rows, each where it is: what came as an array is worked on here."""
    return of_rows(to_ranks(X), function, *args) if is_distributed(X) else function(Alone(), plain(X), *args)


def stacked(made: list[Any]) -> Any:
    """The parts of all ranks as one."""
    if len(made) == 1:
        return made[0]
    return sparse.vstack(made, format="csr") if sparse.issparse(made[0]) else np.concatenate(made)


class Estimator(BaseEstimator):
    """An estimator that can be saved: scikit-learn's BaseEstimator with the methods that Frovedis adds."""

    def is_fitted(self) -> bool:
        """Whether `fit` has been called."""
        try:
            check_is_fitted(self)
        except Exception:
            return False
        return True

    def release(self) -> None:
        """Forget what was fitted."""
        for name in self._fitted():
            delattr(self, name)

    def save(self, path: "str | os.PathLike[str]") -> None:
        """Write parameters and fitted attributes to a file: JSON and NumPy arrays in a zip, nothing that runs.

        Raises:
            NotFittedError: there is nothing to save yet.
            TypeError: an attribute that has no form there.
        """
        check_is_fitted(self)
        fitted = {name: gathered(value) for name, value in self._fitted().items()}
        write_model(path, type(self).__name__, self.get_params(deep=False), fitted)

    def load(self, path: "str | os.PathLike[str]") -> Self:
        """Take parameters and fitted attributes from a file.

        Raises:
            ValueError: it is no such file, or that of another class.
        """
        parameters, fitted = read_model(path, type(self).__name__)
        self.release()
        self.set_params(**parameters)
        vars(self).update(fitted)
        return self

    def _fitted(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name.endswith("_") and not name.startswith("__")}


class ByProbability(ClassifierMixin):
    """A classifier that has `predict_proba` and `classes_`: what follows from them."""

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms of the probabilities of X's rows, [rows, classes]."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> np.ndarray:
        """The most likely class of each row of X, [rows]; of classes that are as likely, the first."""
        best = np.argmax(self._likelihoods(X), axis=1)
        return self.classes_[best]

    def _likelihoods(self, X: Any) -> np.ndarray:
        """[rows, classes], largest where the probability is."""
        return self.predict_proba(X)
