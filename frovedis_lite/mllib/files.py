"""Models on disk: JSON and NumPy arrays in a zip, nothing that runs."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from frovedis_lite import __version__
from frovedis_lite.core.collective import together
from frovedis_lite.engine.comm import Alone
from frovedis_lite.engine.session import Here, current
from frovedis_lite.errors import ServerError

FORMAT = 1
SAVABLE: dict[str, type] = {}


def savable(kind: type) -> type:
    """A dataclass that fitted attributes may hold, by its name: a decorator."""
    SAVABLE[kind.__name__] = kind
    return kind


def write_model(path: "str | os.PathLike[str]", kind: str, parameters: dict[str, Any], fitted: dict[str, Any]) -> None:
    """Write a model to a file; where programs are the ranks of mpiexec, the first of them does.

    Args:
        kind: the name of its class.

    Raises:
        TypeError: a value that has no form there.
        OSError: the file cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    text = {
        "format": FORMAT,
        "frovedis_lite": __version__,
        "class": kind,
        "parameters": _encoded(parameters, arrays, "parameters"),
        "fitted": _encoded(fitted, arrays, "fitted"),
    }

    def write() -> None:
        temporary = Path(f"{os.fspath(path)}.part")
        with zipfile.ZipFile(temporary, "w") as file:
            file.writestr("estimator.json", json.dumps(text, indent=1))
            for name, array in arrays.items():
                with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        temporary.replace(path)

    comm = _programs()
    together(comm, write if comm.rank == 0 else _nothing)


def read_model(path: "str | os.PathLike[str]", kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and fitted attributes of a model of this class.

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
        found, version = text["class"], text["format"]
        if found == kind and version == FORMAT:
            return _decoded(text["parameters"], arrays), _decoded(text["fitted"], arrays)
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, EOFError) as error:
        raise ValueError(f"{os.fspath(path)} is no saved estimator, or is damaged: {error}") from error
    raise ValueError(f"{os.fspath(path)} holds a {found} (format {version}), not a {kind}")


def _programs() -> Any:
    """The communicator of all programs that are ranks; of this one alone where ranks are others."""
    try:
        session = current()
    except ServerError:  # a rank died; what is here can be saved all the same
        return Alone()
    return session.comm if isinstance(session, Here) else Alone()


def _nothing() -> None:
    pass


def _encoded(value: Any, arrays: dict[str, np.ndarray], where: str) -> Any:
    """`value` as JSON, arrays put aside under their places."""
    if isinstance(value, np.ndarray):
        if value.dtype != object:
            arrays[where] = value
            return {"array": where}
        if not all(isinstance(name, str) for name in value.flat):
            raise TypeError(f"{where} is an array of objects that are no strings, which cannot be saved")
        arrays[where] = value.astype(str)
        return {"array": where, "object": True}
    if isinstance(value, np.generic):
        return _encoded(np.asarray(value), arrays, where) | {"scalar": True}
    if sparse.issparse(value):
        rows = sparse.csr_matrix(value)
        parts = {name: getattr(rows, name) for name in ("data", "indices", "indptr")}
        return {"sparse": _encoded(parts, arrays, where), "shape": list(rows.shape)}
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {"dict": {key: _encoded(item, arrays, f"{where}.{key}") for key, item in value.items()}}
        return {"pairs": _encoded([list(pair) for pair in value.items()], arrays, where)}
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
        return array[()] if value.get("scalar") else array.astype(object) if value.get("object") else array
    if "sparse" in value:
        parts = _decoded(value["sparse"], arrays)
        rows = sparse.csr_matrix((parts["data"], parts["indices"], parts["indptr"]), shape=tuple(value["shape"]))
        rows.check_format(full_check=True)
        return rows
    if "made" in value:
        parts = _decoded({"dict": value["dict"]}, arrays)
        return SAVABLE[value["made"]](**parts)
    if "dict" in value:
        return {key: _decoded(item, arrays) for key, item in value["dict"].items()}
    if "pairs" in value:
        return dict(_decoded(value["pairs"], arrays))
    (kind, items), *_ = value.items()
    made = [_decoded(item, arrays) for item in items]
    return made if kind == "list" else tuple(made)
