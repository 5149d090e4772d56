"""An ONNX model from a file, from bytes or from a ModelProto: read, checked, with all its tensors in it.

Nothing is believed before it is looked at: a file that somebody sent may be anything. Sizes are compared with the bytes
that are there before memory is taken for them, external data is read from the model's own folder only, and onnx's
checker sees what `check_structure` has found to be of a bearable depth. What may be made of a model while it runs is
bounded by `limits.LIMITS`.
"""

import os
from math import prod
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx import GraphProto, ModelProto, SparseTensorProto, TensorProto

from solkit.errors import ModelError, SolError, first_line
from solkit.frontend.onnx import limits
from solkit.frontend.onnx.structure import check_structure, describe, graphs_of, tensors

__all__ = ["describe", "graphs_of", "load"]

LARGEST_FILE = 2**31  # bytes of a protobuf message, a limit of protobuf itself; external data is not part of it
SMALL = 1024  # elements of an initializer whose numbers onnx's checks may want to see: shapes, axes

_FIELDS = {  # where the elements of a type lie if not in raw_data, and how many entries an element takes
    TensorProto.FLOAT: ("float_data", 1),
    TensorProto.COMPLEX64: ("float_data", 2),
    TensorProto.DOUBLE: ("double_data", 1),
    TensorProto.COMPLEX128: ("double_data", 2),
    TensorProto.INT64: ("int64_data", 1),
    TensorProto.UINT32: ("uint64_data", 1),
    TensorProto.UINT64: ("uint64_data", 1),
    TensorProto.STRING: ("string_data", 1),
}
_BITS = {  # of an element in raw data; 8 for what is not named
    **dict.fromkeys((TensorProto.FLOAT, TensorProto.INT32, TensorProto.UINT32), 32),
    **dict.fromkeys((TensorProto.DOUBLE, TensorProto.INT64, TensorProto.UINT64, TensorProto.COMPLEX64), 64),
    **dict.fromkeys((TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.INT16, TensorProto.UINT16), 16),
    **dict.fromkeys((TensorProto.UINT4, TensorProto.INT4, TensorProto.FLOAT4E2M1), 4),
    **dict.fromkeys((TensorProto.UINT2, TensorProto.INT2), 2),
    TensorProto.COMPLEX128: 128,
}


def load(model: "str | os.PathLike[str] | bytes | ModelProto") -> ModelProto:
    """The model, checked; a copy if it had to be changed.

    Args:
        model: a file, whose folder has the external data if there is any; the bytes of one; or a message.
    Raises:
        ModelError: it is no ONNX, damaged, of an opset newer than the installed `onnx` knows, has nodes in a wrong
            order or of types that do not fit, external data that is missing or outside of its folder, or subgraphs and
            functions more than `structure.DEEPEST` deep within one another.
    """
    where = _called(model)
    try:
        return _load(model, where)
    except SolError:
        raise
    except (MemoryError, RecursionError) as error:
        raise ModelError(f"{where} is too large or too deep to be read: {first_line(error)}") from error


def _called(model: "str | os.PathLike[str] | bytes | ModelProto") -> str:
    if isinstance(model, ModelProto):
        return "the ModelProto"
    return "the bytes" if isinstance(model, (bytes, bytearray, memoryview)) else f"the file {os.fspath(model)!r}"


def _load(model: "str | os.PathLike[str] | bytes | ModelProto", where: str) -> ModelProto:
    folder = None
    if isinstance(model, ModelProto):
        proto = model
    elif isinstance(model, (bytes, bytearray, memoryview)):
        proto = _parse(bytes(model), where)
    else:
        path = Path(os.fsdecode(model))
        proto, folder = _parse(_read(path, where), where), path.parent
    _check_opsets(proto, where)
    check_structure(proto, where)
    proto = _with_external_data(proto, folder, where)
    for tensor, place in tensors(proto):
        if isinstance(tensor, SparseTensorProto):
            _check_sparse(tensor, f"{where}: {place}")
        else:
            _check_tensor(tensor, f"{where}: {place}")
    _check_declared(proto.graph, where)
    _check_by_onnx(proto, where)
    return proto


def _read(path: Path, where: str) -> bytes:
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise ModelError(f"{where} is a folder: name the model in it")
        if not path.is_file():  # reading a pipe or a device may never end
            raise ModelError(f"{where} is no regular file: read it and pass its bytes")
        if size > LARGEST_FILE:
            raise ModelError(
                f"{where} has {size} bytes; protobuf takes {LARGEST_FILE}: keep its weights as external data"
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{where} cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a zero byte in its name
        raise ModelError(f"{where} cannot be read: {error}") from error


def _parse(data: bytes, where: str) -> ModelProto:
    if not data:
        raise ModelError(f"{where} is empty, not an ONNX model")
    proto = ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise ModelError(f"{where} is no ONNX model, or a damaged or truncated one ({first_line(error)})") from error
    return proto


def _check_opsets(proto: ModelProto, where: str) -> None:
    if not proto.opset_import or not proto.HasField("graph"):
        raise ModelError(f"{where} is no ONNX model: it has no graph or names no set of operators (opset_import)")
    newest = onnx.defs.onnx_opset_version()
    for opset in proto.opset_import:
        if opset.domain in ("", "ai.onnx") and not 1 <= opset.version <= newest:
            raise ModelError(
                f"{where} is of opset {opset.version}; the onnx installed here knows 1 to {newest}: "
                f"onnx.version_converter.convert_version(model, {newest}), or pip install --upgrade onnx"
            )


# -- external data --------------------------------------------------------------------------------------------------


def _with_external_data(proto: ModelProto, folder: Path | None, where: str) -> ModelProto:
    dense = []
    for tensor, place in tensors(proto):
        parts = [tensor.values, tensor.indices] if isinstance(tensor, SparseTensorProto) else [tensor]
        dense += [(part, place) for part in parts if part.data_location == TensorProto.EXTERNAL]
    if not dense:
        return proto
    if folder is None:
        raise ModelError(
            f"{where}: {dense[0][1]} lies in another file ({_entry(dense[0][0], 'location')!r}): pass the path of the "
            "model, whose folder has it"
        )
    total = 0
    for tensor, place in dense:  # the message is our own: it was read from a file
        data = _external(tensor, folder, f"{where}: {place}")
        total += len(data)
        if total > limits.LIMITS.memory:  # one file may be named by any number of tensors
            raise ModelError(
                f"{where} has over {limits.LIMITS.memory} bytes of external data; if you trust it, raise "
                f"{limits.WHERE}.memory"
            )
        tensor.ClearField("external_data")
        tensor.data_location = TensorProto.DEFAULT
        tensor.raw_data = data
    return proto


def _external(tensor: TensorProto, folder: Path, place: str) -> bytes:
    location = _entry(tensor, "location")
    if not location or "\0" in location or Path(location).is_absolute() or ".." in Path(location).parts:
        raise ModelError(f"{place} lies in {location!r}; external data is read from the model's own folder only")
    path = folder / location
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ModelError(f"{place} lies in {location!r}, a link to a place outside of the model's folder: refused")
        size = path.stat().st_size
        offset, length = _number(tensor, "offset", 0, place), _number(tensor, "length", None, place)
        length = size - offset if length is None else length
        if not path.is_file() or length < 0 or offset + length > size:
            raise ModelError(
                f"{place} is said to be bytes {offset} to {offset + length} of {location!r}, which has {size}: copy "
                "the whole file, or export the model again"
            )
        _check_bytes(tensor, length, place)
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        reason = getattr(error, "strerror", None) or first_line(error)
        raise ModelError(
            f"{place} lies in {location!r}, which cannot be read: {reason}; it belongs beside the model"
        ) from error


def _entry(tensor: TensorProto, key: str) -> str:
    return next((entry.value for entry in tensor.external_data if entry.key == key), "")


def _number(tensor: TensorProto, key: str, default: int | None, place: str) -> int | None:
    text = _entry(tensor, key)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ModelError(f"{place} has the {key} {text[:40]!r} in its file, which is no number of bytes")
    return int(text)


# -- checks ---------------------------------------------------------------------------------------------------------


def _check_tensor(tensor: TensorProto, place: str) -> None:
    """A tensor has as many elements as its shape says, before anybody makes room for them."""
    if any(size < 0 for size in tensor.dims):
        raise ModelError(f"{place} has a negative size: {list(tensor.dims)}")
    if tensor.data_type not in TensorProto.DataType.values() or tensor.data_type == TensorProto.UNDEFINED:
        raise ModelError(f"{place} has elements of the type {tensor.data_type}, which ONNX does not know")
    if tensor.HasField("segment"):
        raise ModelError(f"{place} is one of several segments of a tensor, which nobody uses: join them")
    if tensor.HasField("raw_data"):
        _check_bytes(tensor, len(tensor.raw_data), place)
        return
    bits = _BITS.get(tensor.data_type, 8)
    packed = 8 // bits if bits < 8 else 1  # elements that share an entry
    name, each = _FIELDS.get(tensor.data_type, ("int32_data", 1))
    wanted, found = -(-prod(tensor.dims) * each // packed), len(getattr(tensor, name))
    if found != wanted:
        raise ModelError(f"{place} has {found} entries in {name}, and {_kind(tensor)} takes {wanted}")


def _check_bytes(tensor: TensorProto, length: int, place: str) -> None:
    if tensor.data_type == TensorProto.STRING:
        raise ModelError(f"{place} has strings as raw bytes; ONNX has them in string_data")
    wanted = (prod(tensor.dims) * _BITS.get(tensor.data_type, 8) + 7) // 8
    if length != wanted:
        raise ModelError(f"{place} has {length} bytes, and {_kind(tensor)} takes {wanted}")


def _kind(tensor: TensorProto) -> str:
    known = tensor.data_type in TensorProto.DataType.values()
    name = TensorProto.DataType.Name(tensor.data_type).lower() if known else f"type {tensor.data_type}"
    return f"{name} {list(tensor.dims)}"


def _check_sparse(sparse: SparseTensorProto, place: str) -> None:
    """Its zeros take memory when it is used."""
    for part in (sparse.values, sparse.indices):
        _check_tensor(part, place)
    if any(size < 0 for size in sparse.dims):
        raise ModelError(f"{place} has a negative size: {list(sparse.dims)}")
    try:
        limits.check_size(sparse.dims, max(1, _BITS.get(sparse.values.data_type, 8) // 8))
    except limits.TooLarge as error:
        raise ModelError(f"{place}: {error}") from error


def _check_declared(graph: GraphProto, where: str) -> None:
    """Names of inputs and initializers: none twice, and where one is both, of one type."""
    types: dict[str, int] = {}
    for item in graph.input:
        if item.name in types:
            raise ModelError(f"{where} has two inputs {item.name!r}: rename one")
        types[item.name] = item.type.tensor_type.elem_type
    seen = set()
    for name, kind in [(t.name, t.data_type) for t in graph.initializer] + [
        (s.values.name, s.values.data_type) for s in graph.sparse_initializer
    ]:
        if not name or name in seen:
            raise ModelError(
                f"{where} has {'two initializers' if name else 'an initializer of the name'} {name!r}: rename one"
            )
        seen.add(name)
        if types.get(name, kind) != kind:
            raise ModelError(
                f"{where} declares the initializer {name!r} as an input of type {types[name]}, and it is of type {kind}"
            )


def _check_by_onnx(proto: ModelProto, where: str) -> None:
    """What onnx itself checks: names, order, attributes; then that types fit."""
    try:
        slim = _slim(proto)
        onnx.checker.check_model(slim)
        onnx.shape_inference.infer_shapes(slim, check_type=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"{where} is no valid model: {_lines(error)}; mend what exported it") from error
    except (ValueError, EncodeError, RuntimeError) as error:  # a message too large for protobuf, say
        raise ModelError(f"{where} cannot be checked by onnx: {first_line(error)}") from error


def _slim(proto: ModelProto) -> ModelProto:
    """The model as far as onnx checks it: without large weights, which are inputs of their type instead, so that those
    of many gigabytes are not copied; without outputs of an unknown rank, which it refuses."""
    slim = ModelProto(ir_version=proto.ir_version)
    slim.opset_import.extend(proto.opset_import)
    slim.functions.extend(proto.functions)
    graph, given = slim.graph, proto.graph
    graph.name = given.name or "graph"
    graph.node.extend(given.node)
    graph.input.extend(given.input)
    graph.output.extend(item for item in given.output if not _is_shapeless(item))
    graph.value_info.extend(given.value_info)
    graph.sparse_initializer.extend(given.sparse_initializer)
    names = {item.name for item in given.input}
    for tensor in given.initializer:
        if prod(tensor.dims) <= SMALL:
            graph.initializer.append(tensor)
        elif tensor.name not in names:
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    return slim


def _is_shapeless(item: onnx.ValueInfoProto) -> bool:
    return item.type.HasField("tensor_type") and not item.type.tensor_type.HasField("shape")


def _lines(error: Exception) -> str:
    """The first lines of what onnx says: a later one may name the node."""
    return " ".join(line.strip() for line in str(error).splitlines()[:4] if line.strip())[:1000] or type(error).__name__
