"""What estimators share: data on its way to the ranks, and models on disk.

An estimator is scikit-learn's on the outside. Inside, `fit` shares out the rows and runs one function of the local rows
and a communicator on every rank, which gives the fitted attributes.
"""

import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_n_features, check_is_fitted, column_or_1d, validate_data

from frovedis_lite import __version__
from frovedis_lite.engine.session import Parts, Session, current

FORMAT = 1
FLOATS = (np.float64, np.float32)
SAVABLE: dict[str, type] = {}


@dataclass
class Table:
    """Rows on the ranks: features, and what belongs to each row.

    Attributes:
        X: each part [rows of the rank, columns], an array (row-major) or a CSR matrix, float32 or float64.
        y, weights: each part [rows of the rank], in step with X; None where there are none.
        rows: on all ranks.
        shared: whether X is the caller's matrix, that others may use.
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
    return isinstance(getattr(X, "parts", None), Parts)


def is_sparse(X: Any) -> bool:
    """Whether this is a sparse matrix, of SciPy or of ours."""
    return sparse.issparse(X) or (is_distributed(X) and hasattr(X, "to_scipy_matrix"))


def to_ranks(X: Any, y: np.ndarray | None = None, sample_weight: np.ndarray | None = None) -> Table:
    """Checked rows, shared out. A matrix of ours stays where it is, and y goes to the ranks that have its rows.

    Args:
        X: [rows, columns], an array or CSR matrix of float32 or float64, or a row-major or CRS matrix of ours.
        y, sample_weight: [rows].
    """
    session = X.parts.session if is_distributed(X) else current()
    parts = X.parts if is_distributed(X) else session.scatter(_plain(X))
    along = [None if column is None else _in_step(session, parts, column) for column in (y, sample_weight)]
    rows, columns = X.shape
    return Table(session, parts, *along, rows, columns, np.dtype(X.dtype))


def _plain(X: Any) -> Any:
    """Row-major, or CSR with sorted indices, each once."""
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
    """scikit-learn's `validate_data`, rows as float64 or float32. A matrix of ours was checked when it was made: only
    the number of its columns is compared here, and y is checked by itself.

    Returns:
        X, or (X, y) where a y was given.
    """
    if not is_distributed(X):
        return validate_data(estimator, X, y, reset=reset, dtype=list(FLOATS), **checks)
    _check_n_features(estimator, X, reset=reset)
    if isinstance(y, str) and y == "no_validation":
        return X
    y = column_or_1d(y, warn=True)
    if len(y) != X.shape[0]:
        raise ValueError(f"Found input variables with inconsistent numbers of samples: [{X.shape[0]}, {len(y)}]")
    return X, y


def of_rows(table: Table, function: Any, *args: Any) -> Any:
    """What `function(comm, X, *args)` gives for each row, from all ranks, in the order of rows."""
    return stacked(table.session.gather(table.session.run_parts(function, table.X, *args)))


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
        for name in [name for name in vars(self) if _is_fitted_attribute(name)]:
            delattr(self, name)

    def save(self, path: "str | os.PathLike[str]") -> None:
        """Write parameters and fitted attributes to a file: JSON and NumPy arrays in a zip, nothing that runs.

        Raises:
            NotFittedError: there is nothing to save yet.
            TypeError: an attribute that has no form there.
        """
        check_is_fitted(self)
        arrays: dict[str, np.ndarray] = {}
        fitted = {name: value for name, value in vars(self).items() if _is_fitted_attribute(name)}
        text = {
            "format": FORMAT,
            "frovedis_lite": __version__,
            "class": type(self).__name__,
            "parameters": _encoded(self.get_params(deep=False), arrays, "parameters"),
            "fitted": _encoded(fitted, arrays, "fitted"),
        }
        temporary = Path(f"{os.fspath(path)}.part")
        with zipfile.ZipFile(temporary, "w") as file:
            file.writestr("estimator.json", json.dumps(text, indent=1))
            for name, array in arrays.items():
                with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        temporary.replace(path)

    def load(self, path: "str | os.PathLike[str]") -> Self:
        """Take parameters and fitted attributes from a file.

        Raises:
            ValueError: it is no such file, or that of another class.
        """
        try:
            with zipfile.ZipFile(path) as file:
                text = json.loads(file.read("estimator.json"))
                names = [name for name in file.namelist() if name.endswith(".npy")]
                arrays = {}
                for name in names:
                    with file.open(name) as member:
                        arrays[name.removesuffix(".npy")] = np.lib.format.read_array(member, allow_pickle=False)
            kind, version = text["class"], text["format"]
            parameters, fitted = (_decoded(text[key], arrays) for key in ("parameters", "fitted"))
        except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
            raise ValueError(f"{os.fspath(path)} is no saved estimator, or is damaged: {error}") from error
        if kind != type(self).__name__ or version != FORMAT:
            raise ValueError(f"{os.fspath(path)} holds a {kind} (format {version}), not a {type(self).__name__}")
        self.release()
        self.set_params(**parameters)
        vars(self).update(fitted)
        return self


def _is_fitted_attribute(name: str) -> bool:
    return name.endswith("_") and not name.startswith("__")


def savable(kind: type) -> type:
    """A dataclass that fitted attributes may hold, by its name: a decorator."""
    SAVABLE[kind.__name__] = kind
    return kind


def _encoded(value: Any, arrays: dict[str, np.ndarray], where: str) -> Any:
    """`value` as JSON, arrays put aside under their places."""
    if isinstance(value, np.ndarray):
        if value.dtype == object:  # class names
            value = value.astype(str)
        arrays[where] = value
        return {"array": where}
    if isinstance(value, np.generic):
        return _encoded(np.asarray(value), arrays, where) | {"scalar": True}
    if isinstance(value, dict):
        return {"dict": {key: _encoded(item, arrays, f"{where}.{key}") for key, item in value.items()}}
    if isinstance(value, (list, tuple)):
        items = [_encoded(item, arrays, f"{where}.{i}") for i, item in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": items}
    if value is None or isinstance(value, (bool, int, str, float)):
        return value
    if SAVABLE.get(type(value).__name__) is type(value):
        return {"made": type(value).__name__, **_encoded(vars(value), arrays, where)}
    raise TypeError(f"{where} is a {type(value).__name__}, which cannot be saved")


def _decoded(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if not isinstance(value, dict):
        return value
    if "array" in value:
        array = arrays[value["array"]]
        return array[()] if value.get("scalar") else array
    if "made" in value:
        parts = _decoded({"dict": value["dict"]}, arrays)
        return SAVABLE[value["made"]](**parts)
    if "dict" in value:
        return {key: _decoded(item, arrays) for key, item in value["dict"].items()}
    (kind, items), *_ = value.items()
    made = [_decoded(item, arrays) for item in items]
    return made if kind == "list" else tuple(made)
