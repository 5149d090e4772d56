"""An ONNX model from a file, from bytes or from a ModelProto: read, checked, with all its tensors in it.

Nothing is believed before it is looked at: a file that somebody sent may be anything. Sizes are compared with the bytes
that are there before memory is taken for them, and external data is read from the model's own folder only.
"""

import os
from collections.abc import Iterator
from math import prod
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from solkit.errors import ModelError, first_line

DEEPEST = 32  # subgraphs within subgraphs
LARGEST_FILE = 2**31  # bytes of a protobuf message, a limit of protobuf itself; external data is not part of it

_BITS = {  # of an element in raw data
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
        ModelError: it is no ONNX, damaged, of an opset newer than the installed `onnx` knows, has nodes
            in a wrong order or of types that do not fit, or external data that is missing or outside of its folder.
    """
    folder = None
    if isinstance(model, ModelProto):
        where, proto = "the ModelProto", model
    elif isinstance(model, (bytes, bytearray, memoryview)):
        where, proto = "the bytes", _parse(bytes(model), "the bytes")
    else:
        path = Path(model)
        where, folder = f"the file {os.fspath(path)!r}", path.parent
        proto = _parse(_read(path, where), where)
    _check_opsets(proto, where)
    proto = _with_external_data(proto, folder, where)
    for tensor, place in _tensors(proto.graph, 0):
        _check_size(tensor, f"{where}: {place}")
    _check_by_onnx(proto, where)
    return proto


def _read(path: Path, where: str) -> bytes:
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise ModelError(f"{where} is a folder: name the model in it")
        if size > LARGEST_FILE:
            raise ModelError(
                f"{where} has {size} bytes; protobuf takes {LARGEST_FILE}: keep its weights as external data"
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{where} cannot be read: {error.strerror or error}") from error


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


def graphs_of(node: NodeProto) -> Iterator[GraphProto]:
    """The subgraphs of a node."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def _tensors(graph: GraphProto, depth: int) -> Iterator[tuple[TensorProto, str]]:
    """All tensors of a graph and its subgraphs, each with what to call it."""
    if depth > DEEPEST:
        raise ModelError(f"subgraphs lie more than {DEEPEST} deep within one another, in {graph.name!r}")
    for tensor in graph.initializer:
        yield tensor, f"the initializer {tensor.name!r}"
    for sparse in graph.sparse_initializer:
        yield sparse.values, f"the sparse initializer {sparse.values.name!r}"
        yield sparse.indices, f"the sparse initializer {sparse.values.name!r}"
    for node in graph.node:
        for attribute in node.attribute:
            for tensor in (*([attribute.t] if attribute.HasField("t") else ()), *attribute.tensors):
                yield tensor, f"the attribute {attribute.name!r} of {describe(node)}"
        for inner in graphs_of(node):
            yield from _tensors(inner, depth + 1)


def describe(node: NodeProto) -> str:
    """What to call a node in a message."""
    made = f" that makes {node.output[0]!r}" if node.output and not node.name else ""
    return f"the node {node.name or node.op_type!r} ({node.op_type}){made}"


# -- external data --------------------------------------------------------------------------------------------------


def _with_external_data(proto: ModelProto, folder: Path | None, where: str) -> ModelProto:
    found = [(t, place) for t, place in _tensors(proto.graph, 0) if t.data_location == TensorProto.EXTERNAL]
    if not found:
        return proto
    if folder is None:
        raise ModelError(
            f"{where}: {found[0][1]} lies in another file ({_entry(found[0][0], 'location')!r}): pass the path of the "
            "model, whose folder has it"
        )
    for tensor, place in found:  # the message is our own: it was read from a file
        data = _external(tensor, folder, f"{where}: {place}")
        tensor.ClearField("external_data")
        tensor.data_location = TensorProto.DEFAULT
        tensor.raw_data = data
    return proto


def _external(tensor: TensorProto, folder: Path, place: str) -> bytes:
    location = _entry(tensor, "location")
    inside, path = folder.resolve(), folder / location
    if not location or Path(location).is_absolute() or ".." in Path(location).parts:
        raise ModelError(f"{place} lies in {location!r}; external data is read from the model's own folder only")
    if not path.resolve().is_relative_to(inside):
        raise ModelError(f"{place} lies in {location!r}, a link to a place outside of the model's folder: refused")
    try:
        size = path.stat().st_size
        offset = int(_entry(tensor, "offset") or 0)
        length = int(_entry(tensor, "length") or size - offset)
        if not path.is_file() or offset < 0 or length < 0 or offset + length > size:
            raise ModelError(
                f"{place} is said to be bytes {offset} to {offset + length} of {location!r}, which has {size}"
            )
        _check_bytes(tensor, length, place)
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except OSError as error:
        raise ModelError(f"{place} lies in {location!r}, which cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelError(f"{place} lies in {location!r}, at a place that is no number ({error})") from error


def _entry(tensor: TensorProto, key: str) -> str:
    return next((entry.value for entry in tensor.external_data if entry.key == key), "")


# -- checks ---------------------------------------------------------------------------------------------------------


def _check_size(tensor: TensorProto, place: str) -> None:
    """A tensor has as many elements as its shape says, before anybody makes room for them."""
    if any(size < 0 for size in tensor.dims):
        raise ModelError(f"{place} has a negative size: {list(tensor.dims)}")
    if tensor.HasField("raw_data"):
        _check_bytes(tensor, len(tensor.raw_data), place)


def _check_bytes(tensor: TensorProto, length: int, place: str) -> None:
    bits = _BITS.get(tensor.data_type, 8)
    wanted = (prod(tensor.dims) * bits + 7) // 8
    if length != wanted:
        kind = TensorProto.DataType.Name(tensor.data_type).lower() if tensor.data_type in _BITS else tensor.data_type
        raise ModelError(f"{place} has {length} bytes, and {kind} {list(tensor.dims)} takes {wanted}")


def _check_by_onnx(proto: ModelProto, where: str) -> None:
    """What onnx itself checks: names, order, attributes; then that types fit."""
    try:
        onnx.checker.check_model(proto)
        onnx.shape_inference.infer_shapes(proto, check_type=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"{where} is no valid model: {first_line(error)}") from error
    except ValueError as error:  # a message too large for protobuf
        raise ModelError(f"{where} cannot be checked: {first_line(error)}") from error
