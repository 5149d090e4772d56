"""Damage to ONNX files: of bytes, and of what they mean."""

import random
from collections.abc import Callable, Iterator

import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto

NUMBERS = (-(2**63), -(2**31), -7, -2, -1, 0, 1, 2, 3, 5, 100, 2**16, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1)
FLOATS = (0.0, -1.0, 1e-30, 1e30, float("inf"), float("nan"))
OPERATORS = sorted((s for s in onnx.defs.get_all_schemas() if s.domain == ""), key=lambda schema: schema.name)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to three changes, mostly to the message that the bytes are: few other ones get past the first check."""
    if rng.random() < 0.2:
        for _ in range(rng.randint(1, 3)):
            data = rng.choice(BYTES)(data, rng)
        return data
    model = ModelProto.FromString(data)
    for _ in range(rng.choice([1, 1, 2, 3])):
        try:
            rng.choice(MEANING)(model, rng)
        except (IndexError, ValueError):  # a model without any of these
            continue
    return model.SerializeToString()


# -- bytes ----------------------------------------------------------------------------------------------------------


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _insert(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + rng.randbytes(rng.randint(1, 8)) + data[place:]


def _delete(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + data[place + rng.randint(1, 8) :] or b"\0"


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(1, len(data))] if len(data) > 1 else data


def _repeat(data: bytes, rng: random.Random) -> bytes:
    first, last = sorted(rng.randrange(len(data)) for _ in range(2))
    return data[:last] + data[first:last] + data[last:]


BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (_flip, _flip, _insert, _delete, _truncate, _repeat)


# -- meaning --------------------------------------------------------------------------------------------------------


def _nodes(model: ModelProto) -> list[NodeProto]:
    def inside(nodes: list[NodeProto]) -> Iterator[NodeProto]:
        for node in nodes:
            yield node
            for attribute in node.attribute:
                yield from inside(attribute.g.node)

    return [*inside(model.graph.node), *(node for function in model.functions for node in inside(function.node))]


def _names(model: ModelProto) -> list[str]:
    nodes = _nodes(model)
    return ["", "nobody", *(name for node in nodes for name in (*node.input, *node.output))]


def _operator(model: ModelProto, rng: random.Random) -> None:
    """Mostly to one that takes as many inputs: others are refused at once."""
    node = rng.choice(_nodes(model))
    count = len(node.input)
    fitting = [schema.name for schema in OPERATORS if schema.min_input <= count <= schema.max_input]
    node.op_type = rng.choice(fitting if rng.random() < 0.9 else ["Unknown", ""])
    if rng.random() < 0.7:
        del node.attribute[:]


def _domain(model: ModelProto, rng: random.Random) -> None:
    rng.choice(_nodes(model)).domain = rng.choice(["", "own", "ai.onnx.ml", "ai.onnx", "nobody"])


def _shape(model: ModelProto, rng: random.Random) -> None:
    dims = rng.choice([tensor.dims for tensor in model.graph.initializer])
    if dims and rng.random() < 0.7:
        dims[rng.randrange(len(dims))] = rng.choice(NUMBERS)
    else:
        dims.append(rng.choice(NUMBERS))


def _declared(model: ModelProto, rng: random.Random) -> None:
    kind = rng.choice([*model.graph.input, *model.graph.output]).type.tensor_type
    change = rng.randrange(4)
    if change == 0:
        kind.elem_type = rng.randrange(30)
    elif change == 1:
        kind.shape.dim.add(dim_value=rng.choice(NUMBERS))
    elif change == 2:
        kind.ClearField("shape")
    else:
        rng.choice(kind.shape.dim).dim_value = rng.choice(NUMBERS)


def _attribute(model: ModelProto, rng: random.Random) -> None:
    node = rng.choice([node for node in _nodes(model) if node.attribute])
    attribute = rng.choice(node.attribute)
    change = rng.randrange(6)
    if change == 0:
        attribute.type = rng.randrange(15)
    elif change == 1:
        node.attribute.remove(attribute)
    elif change == 2:
        attribute.name = rng.choice(["axis", "axes", "perm", "body", "to", "value", "nothing"])
    elif attribute.type == AttributeProto.INT:
        attribute.i = rng.choice(NUMBERS)
    elif attribute.type == AttributeProto.INTS:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(NUMBERS)
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f = rng.choice(FLOATS)
    elif attribute.type == AttributeProto.STRING:
        attribute.s = rng.choice([b"", b"\xff\xfe", b"reflect", b"ij,jk->ik", b"a" * 1000])


def _more_attribute(model: ModelProto, rng: random.Random) -> None:
    node = rng.choice(_nodes(model))
    known = [name for schema in OPERATORS if schema.name == node.op_type for name in schema.attributes]
    name = rng.choice(known or ["axis"])
    value = rng.choice([*NUMBERS, [], [rng.choice(NUMBERS)] * 2, 0.5, "wrap"])
    node.attribute.append(onnx.helper.make_attribute(name, value, attr_type=_type(value)))


def _type(value: object) -> int | None:
    return AttributeProto.INTS if value == [] else None


def _input(model: ModelProto, rng: random.Random) -> None:
    node = rng.choice(_nodes(model))
    names = rng.choice([node.input, node.input, node.output])
    change = rng.randrange(4)
    if change == 0:
        names.append(rng.choice(_names(model)))
    elif change == 1:
        names.pop(rng.randrange(len(names)))
    else:
        names[rng.randrange(len(names))] = rng.choice(_names(model))


def _content(model: ModelProto, rng: random.Random) -> None:
    """Other numbers in what says how large something is."""
    tensors = [tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.INT64]
    tensor = rng.choice(tensors)
    data, place = tensor.raw_data, 8 * rng.randrange(len(tensor.raw_data) // 8)
    tensor.raw_data = data[:place] + rng.choice(NUMBERS).to_bytes(8, "little", signed=True) + data[place + 8 :]


def _data_type(model: ModelProto, rng: random.Random) -> None:
    rng.choice(model.graph.initializer).data_type = rng.randrange(30)


def _initializer(model: ModelProto, rng: random.Random) -> None:
    tensor = rng.choice(model.graph.initializer)
    change = rng.randrange(4)
    if change == 0:
        model.graph.initializer.remove(tensor)
    elif change == 1:
        tensor.name = rng.choice([*_names(model), "inputs", "training", "a.b", ".", "forward"])
    elif change == 2:
        model.graph.initializer.add().CopyFrom(tensor)
    else:
        tensor.raw_data += b"more"


def _elsewhere(model: ModelProto, rng: random.Random) -> None:
    tensor = rng.choice([tensor for tensor in model.graph.initializer if tensor.external_data])
    entry = rng.choice(tensor.external_data)
    entry.value = rng.choice(
        ["", "..", "/etc/passwd", "-1", "99999999999", "weights.bin/..", "\0", "1e3", "../weights.bin"]
    )


def _opset(model: ModelProto, rng: random.Random) -> None:
    opset = rng.choice(model.opset_import)
    opset.version = rng.choice([*range(1, 28), *NUMBERS])


def _ir(model: ModelProto, rng: random.Random) -> None:
    model.ir_version = rng.choice([*NUMBERS, *range(3, 12)])


def _order(model: ModelProto, rng: random.Random) -> None:
    nodes = list(model.graph.node)
    change = rng.randrange(3)
    if change == 0:
        rng.shuffle(nodes)
    elif change == 1:
        nodes.pop(rng.randrange(len(nodes)))
    else:
        nodes.insert(rng.randrange(len(nodes)), rng.choice(nodes))
    nodes = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _function(model: ModelProto, rng: random.Random) -> None:
    function = rng.choice(model.functions)
    change = rng.randrange(4)
    if change == 0:
        function.name = rng.choice(["square", "bend", "Gelu", ""])
    elif change == 1:
        rng.choice(function.node).op_type, rng.choice(function.node).domain = rng.choice(["bend", "square"]), "own"
    elif change == 2:
        rng.choice([function.input, function.output]).append("more")
    else:
        del function.opset_import[:]


MEANING: tuple[Callable[[ModelProto, random.Random], None], ...] = (
    *(_operator, _operator, _domain, _shape, _declared, _attribute, _attribute, _more_attribute, _input, _input),
    *(_content, _content, _data_type, _initializer, _elsewhere, _opset, _ir, _order, _function),
)
