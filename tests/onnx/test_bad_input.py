"""ONNX models that are wrong or hostile: what is wrong is said, by name, before memory or the process is lost."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

import solkit as sol
from solkit.errors import InputError, ModelError
from solkit.frontend.onnx import OnnxModule
from solkit.frontend.onnx.limits import LIMITS

HUGE = 1 << 40
X = torch.arange(16.0).reshape(4, 4)


# -- making models --------------------------------------------------------------------------------------------------


def tensor(name: str, values: Any, dtype: int | None = None) -> TensorProto:
    """float32 for numbers with a point, int64 for whole ones, unless `dtype` says otherwise."""
    array = np.array(values)
    dtype = dtype or {"f": TensorProto.FLOAT, "i": TensorProto.INT64, "b": TensorProto.BOOL}[array.dtype.kind]
    return helper.make_tensor(name, dtype, array.shape, array.reshape(-1))


def info(name: str, shape: Any = (4, 4), dtype: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def model(*nodes: NodeProto, inputs: Any = None, opset: int = 18, weights: Any = None, **more: Any) -> ModelProto:
    """A model of the input `x` whose output is the last node's first; weights by name."""
    inputs = [info("x")] if inputs is None else inputs
    weights = [tensor(name, values) for name, values in (weights or {}).items()]
    graph = helper.make_graph(nodes, "graph", inputs, [info(nodes[-1].output[0], None)], weights)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, **more)


node = helper.make_node
relu = node("Relu", ["x"], ["y"], name="first")


def nested(depth: int, innermost: NodeProto) -> list[NodeProto]:
    """If in If in If."""
    other = helper.make_graph([node("Identity", ["x"], ["other"])], "other", [], [info("other")])
    graph = helper.make_graph([innermost], "innermost", [], [info(innermost.output[0])])
    for level in range(depth):
        inner = node("If", ["condition"], [f"level{level}"], then_branch=graph, else_branch=other)
        graph = helper.make_graph([inner], "graph", [], [info(f"level{level}")])
    return [node("Constant", [], ["condition"], value=tensor("", True)), *reversed(graph.node)]


def nested_twice() -> ModelProto:
    """In a function, and around it: one message within another is what protobuf itself limits."""
    inside = [*nested(20, relu), node("Identity", ["level19"], ["b"])]
    function = helper.make_function("own", "f", ["x"], ["b"], inside, [helper.make_opsetid("", 18)])
    return model(*nested(20, node("f", ["x"], ["y"], domain="own")), functions=[function])


def two_weights() -> ModelProto:
    return changed(model(relu), lambda m: m.graph.initializer.extend([tensor("w", [1])] * 2))


def chain(calls: dict[str, list[str]]) -> ModelProto:
    """Functions that call one another, the first of them called by the model."""
    made = []
    for name, inner in calls.items():
        names = ["a", *(f"v{i}" for i in range(len(inner)))]
        body = [node(f, [names[i]], [names[i + 1]], domain="own") for i, f in enumerate(inner)]
        body.append(node("Identity", [names[-1]], ["b"]))
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
        made.append(helper.make_function("own", name, ["a"], ["b"], body, opsets))
    return model(node(next(iter(calls)), ["x"], ["y"], domain="own"), functions=made)


def tree(depth: int, width: int) -> ModelProto:
    """Functions of which each calls the next `width` times."""
    return chain({f"f{i}": [f"f{i + 1}"] * width if i < depth else [] for i in range(depth + 1)})


def doubling(count: int) -> ModelProto:
    return model(*(node("Concat", [f"v{i}" if i else "x"] * 2, [f"v{i + 1}"], axis=0) for i in range(count)))


def body(*nodes: NodeProto, state: Any, outputs: Any = ()) -> GraphProto:
    """Of a loop that never says stop, with the state `s` that becomes `t`."""
    inputs = [info("i", [], TensorProto.INT64), info("c", [], TensorProto.BOOL), state("s")]
    return helper.make_graph([node("Identity", ["c"], ["d"]), *nodes], "body", inputs, [
        info("d", [], TensorProto.BOOL), state("t"), *outputs,
    ])  # fmt: skip


def growing_sequence() -> ModelProto:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, (4, 4)))
    inner = body(node("SequenceInsert", ["s", "x"], ["t"]), state=lambda name: helper.make_value_info(name, kind))
    loop = node("Loop", ["n", "", "empty"], ["sequence"], body=inner)
    start = node("SequenceConstruct", ["x"], ["empty"])
    return model(start, loop, node("SequenceLength", ["sequence"], ["y"]), weights={"n": HUGE})


def looping(*nodes: NodeProto, turns: int = HUGE, limit: str = "n", outputs: Any = (), **weights: Any) -> ModelProto:
    """A loop over a state of [4, 4]; what else its body makes is stacked up."""
    inner = body(*nodes, node("Identity", ["s"], ["t"]), state=info, outputs=outputs)
    names = ["y", *(item.name + "_stacked" for item in outputs)]
    return model(node("Loop", [limit, "", "x"], names, body=inner), weights={"n": turns, **weights})


def stacking() -> ModelProto:
    large = [node("Expand", ["x", "size"], ["large"]), node("Neg", ["large"], ["real"])]
    return looping(*large, outputs=[info("real", (1 << 14, 4, 4))], size=[1 << 14, 4, 4])


def loops_in_loops() -> ModelProto:
    """Without a node in the inner one's body."""
    inputs = [info("j", [], TensorProto.INT64), info("e", [], TensorProto.BOOL), info("u")]
    inner = helper.make_graph([], "inner", inputs, inputs[1:])
    return looping(node("Loop", ["n", "", "s"], ["inner"], body=inner))


def changed(proto: ModelProto, change: Callable[[ModelProto], Any]) -> ModelProto:
    change(proto)
    return proto


def weight(**fields: Any) -> ModelProto:
    """x + w with something wrong about w."""
    proto = model(node("Add", ["x", "w"], ["y"]), weights={"w": np.ones((4, 4))})
    wrong = proto.graph.initializer[0]
    for name, value in fields.items():
        if isinstance(value, list):
            del getattr(wrong, name)[:]
            getattr(wrong, name).extend(value)
        else:
            setattr(wrong, name, value)
    return proto


def sparse(dims: list[int], indices: list[int]) -> ModelProto:
    proto = model(node("ReduceSum", ["w"], ["sum"], keepdims=0), node("Add", ["x", "sum"], ["y"]))
    values = tensor("w", [1.0] * len(indices))
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, tensor("", indices), dims))
    return proto


# -- wrong models ---------------------------------------------------------------------------------------------------


@dataclass
class Case:
    """What is wrong, how such a model is made, and what must be said of it."""

    name: str
    make: Callable[[], Any]
    says: str
    error: type = ModelError
    inputs: tuple = field(default=(X,))


WRONG = [
    # no model
    Case("nothing", lambda: b"", "the bytes is empty"),
    Case("text", lambda: b"\xff\xfeno model", "the bytes is no ONNX model"),
    Case("truncated", lambda: weight().SerializeToString()[:-30], "the bytes is no ONNX model|damaged|initializer"),
    Case("no graph", lambda: ModelProto(ir_version=10), "no graph or names no set of operators"),
    Case("no opset", lambda: changed(model(relu), lambda m: m.ClearField("opset_import")), "opset_import"),
    Case("future opset", lambda: model(relu, opset=999), "opset 999.*knows 1 to .*convert_version"),
    Case("opset zero", lambda: changed(model(relu), lambda m: setattr(m.opset_import[0], "version", 0)), "opset 0"),
    Case("future ir", lambda: changed(model(relu), lambda m: setattr(m, "ir_version", 9999)), "(?i)ir_version"),
    # nodes
    Case("unknown domain", lambda: model(node("Magic", ["x"], ["y"], domain="own")), "'Magic'.*'own'.*write it as a"),
    Case("unknown operator", lambda: model(node("Magic", ["x"], ["y"])), "Magic"),
    Case("no such input", lambda: model(node("Relu", ["z"], ["y"], name="first")), "z.*first"),
    Case("cycle", lambda: model(node("Relu", ["b"], ["a"]), node("Relu", ["a"], ["b"])), "sorted.*input 'b'"),
    Case("own input", lambda: model(node("Relu", ["y"], ["y"], name="first")), "first"),
    Case("made twice", lambda: model(relu, node("Abs", ["x"], ["y"])), "(?i)y.*|single static assignment"),
    Case("overwrites the input", lambda: model(node("Relu", ["x"], ["x"])), "'x'"),
    Case("types", lambda: model(node("Add", ["x", "w"], ["y"]), weights={"w": [1]}), "Add"),
    Case("attribute type", lambda: model(node("Softmax", ["x"], ["y"], axis=0.5)), "axis"),
    Case("unknown attribute", lambda: model(node("Relu", ["x"], ["y"], taste=1)), "taste"),
    Case("attribute missing", lambda: model(node("Concat", ["x"], ["y"])), "axis"),
    Case("attribute of nothing", lambda: model(node("Transpose", ["x"], ["y"], perm=[0, 7])), "(?i)transpose"),
    Case("too many inputs", lambda: model(node("Relu", ["x", "x"], ["y"])), "Relu"),
    Case("no branch", lambda: model(node("If", ["c"], ["y"]), weights={"c": True}), "branch"),
    Case("shapes", lambda: model(node("MatMul", ["x", "w"], ["y"]), weights={"w": np.ones((3, 3))}), "MatMul"),
    Case("index", lambda: model(node("Gather", ["x", "i"], ["y"], axis=0), weights={"i": [9]}), "Gather"),
    Case("reshape", lambda: model(node("Reshape", ["x", "s"], ["y"]), weights={"s": [3, 3]}), "Reshape"),
    Case("axis", lambda: model(node("Softmax", ["x"], ["y"], axis=9)), "(?i)softmax"),
    Case("not utf-8", lambda: model(node("Einsum", ["x"], ["y"], equation=b"\xff\xfe")), "Einsum"),
    # names
    Case("two inputs", lambda: model(relu, inputs=[info("x"), info("x")]), "two inputs 'x'"),
    Case("two weights", two_weights, "two initializers 'w'"),
    Case("two functions", lambda: changed(chain({"f": []}), lambda m: m.functions.append(m.functions[0])), "own::f"),
    # initializers
    Case("huge and empty", lambda: weight(dims=[HUGE, HUGE]), "'w' has 16 entries in float_data"),
    Case("huge raw", lambda: weight(float_data=[], dims=[HUGE], raw_data=b"abcd"), "'w' has 4 bytes, and float"),
    Case("too little", lambda: weight(float_data=[1.0]), "'w' has 1 entries"),
    Case("negative size", lambda: weight(dims=[-4, -4]), "'w' has a negative size"),
    Case("unknown type", lambda: weight(data_type=99), "'w' has elements of the type 99"),
    Case("no type", lambda: weight(data_type=0), "'w' has elements of the type 0"),
    Case("raw strings", lambda: weight(data_type=TensorProto.STRING, raw_data=b"a"), "string_data"),
    Case("huge sparse", lambda: sparse([HUGE], [1]), "'w': a tensor of the shape .* takes 4 TiB, and the limit"),
    Case("sparse index", lambda: sparse([4], [9]), "(?i)sparse|index"),
    # depth
    Case("nested", nested_twice, "more than 32 deep"),
    Case("calls itself", lambda: chain({"f": ["f"]}), "the node 'f'.*calls the function 'own::f' that it is a part of"),
    Case("call each other", lambda: chain({"f": ["g"], "g": ["h"], "h": ["f"]}), "calls the function 'own::f'"),
    Case("long chain", lambda: tree(50, 1), "more than 32 deep.*inline_local_functions"),
    Case("wide tree", lambda: tree(20, 8), "more than 262144 nodes with its functions expanded"),
    # inputs
    Case("too few", lambda: model(relu), "takes 1 input.*'?x'?", InputError, ()),
    Case("too many", lambda: model(relu), "takes 1 input", InputError, (X, X)),
]  # fmt: skip


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.name.replace(" ", "-"))
def test_what_is_wrong_is_said(case):
    with pytest.raises(case.error, match=case.says):
        OnnxModule(case.make())(*case.inputs)


@pytest.mark.parametrize("case", WRONG[::6], ids=lambda case: case.name.replace(" ", "-"))
def test_optimize_says_the_same(case):
    with pytest.raises(case.error, match=case.says):
        sol.optimize(case.make(), *case.inputs)


# -- more than there is ---------------------------------------------------------------------------------------------


def shaped(operator: str, *numbers: Any, first: tuple = ("x",), **attributes: Any) -> Callable[[], ModelProto]:
    """An operator of x and of numbers that say how large its result is."""
    weights = {f"n{i}": value for i, value in enumerate(numbers)}
    return lambda: model(node(operator, [*first, *weights], ["y"], **attributes), weights=weights)


def image(operator: str, names: list[str], opset: int = 18, weights: Any = None, **attributes: Any) -> Any:
    """An operator of x as an image [1, 1, 4, 4], or with a size of 1 at other axes."""
    first = node("Unsqueeze", ["x", "axes"], ["image"])
    last = node(operator, ["image", *names], ["y"], **attributes)
    return lambda: model(first, last, opset=opset, weights={"axes": [0, 1], **(weights or {})})


def one_hot() -> ModelProto:
    nodes = [node("Cast", ["x"], ["i"], to=TensorProto.INT64), node("OneHot", ["i", "depth", "values"], ["y"])]
    return model(*nodes, weights={"depth": HUGE, "values": [0, 1]})


def eye_like() -> ModelProto:
    """Of a view that takes no memory itself."""
    nodes = [node("Expand", ["one", "size"], ["large"]), node("EyeLike", ["large"], ["y"], dtype=TensorProto.DOUBLE)]
    return model(*nodes, weights={"one": [[1.0]], "size": [3500, 3500]})


def outer_product() -> ModelProto:
    column = [node("Reshape", ["x", "a"], ["c"]), node("Tile", ["c", "m"], ["column"])]
    row = [node("Reshape", ["x", "b"], ["r"]), node("Tile", ["r", "n"], ["row"])]
    weights = {"a": [16, 1], "b": [1, 16], "m": [1 << 14, 1], "n": [1, 1 << 14]}
    return model(*column, *row, node("Mul", ["column", "row"], ["y"]), weights=weights)


PIXEL = {"w": np.ones((1, 1, 1, 1))}
SIZES = {"s": [1, 1, 1 << 20, 1 << 20]}

LARGE = [
    Case("ConstantOfShape", shaped("ConstantOfShape", [HUGE, HUGE], first=()), "takes .* TiB"),
    Case("Expand", shaped("Expand", [HUGE, 4, 4]), "TiB"),
    Case("Tile", shaped("Tile", [HUGE, 1]), "TiB"),
    Case("Range", shaped("Range", 0, HUGE, 1, first=()), "TiB"),
    Case("Pad", shaped("Pad", [0, 0, HUGE, 0]), "TiB"),
    Case("Pad at the edge", shaped("Pad", [0, 0, HUGE, 0], mode="edge"), "TiB"),
    Case("EyeLike", eye_like, "EyeLike.*MiB"),
    Case("Resize", image("Resize", ["", "", "s"], weights=SIZES), "Resize.*TiB"),
    Case("OneHot", one_hot, "OneHot.*TiB"),
    Case("RandomNormal", lambda: model(node("RandomNormal", [], ["y"], shape=[HUGE])), "RandomNormal.*TiB"),
    Case("RandomUniform", lambda: model(node("RandomUniform", [], ["y"], shape=[HUGE])), "RandomUniform.*TiB"),
    Case("HannWindow", shaped("HannWindow", HUGE, first=()), "TiB"),
    Case("MelWeightMatrix", shaped("MelWeightMatrix", HUGE, HUGE, 8000, 1.0, 9.0, first=()), "MelWeightMatrix.*TiB"),
    Case("DFT", image("DFT", ["n"], weights={"axes": [2], "n": HUGE}, axis=1), "DFT.*TiB"),
    Case(
        "Upsample",
        lambda: changed(shaped("Upsample", [1e6, 1e6])(), lambda m: setattr(m.opset_import[0], "version", 9)),
        "Upsample.*TiB",
    ),
    Case("Conv padding", image("Conv", ["w"], weights=PIXEL, pads=[1 << 20] * 4), "Conv.*TiB"),
    Case("ConvTranspose", image("ConvTranspose", ["w"], weights=PIXEL, strides=[1 << 20] * 2), "ConvTranspose.*TiB"),
    Case("outer product", outer_product, "Mul.*GiB"),
    Case("doubling", lambda: doubling(60), "Concat.*takes 128 MiB"),
    Case("loop", looping, "runs more than 4096 nodes.*LIMITS.steps"),
    Case("loop without a limit", lambda: looping(limit=""), "runs more than 4096 nodes"),
    Case("loops in loops", loops_in_loops, "runs more than 4096 nodes"),
    Case("loop that stacks", stacking, "tensors of this call take .*LIMITS.memory"),
    Case("growing sequence", growing_sequence, "a list of 129 items; the limit is 128"),
]


@pytest.fixture
def _low_limits(monkeypatch):
    monkeypatch.setattr(LIMITS, "tensor", 1 << 26)
    monkeypatch.setattr(LIMITS, "memory", 1 << 27)
    monkeypatch.setattr(LIMITS, "steps", 4096)
    monkeypatch.setattr(LIMITS, "captured_steps", 4096)
    monkeypatch.setattr(LIMITS, "items", 128)


@pytest.mark.usefixtures("_low_limits")
@pytest.mark.parametrize("case", LARGE, ids=lambda case: case.name.replace(" ", "-"))
def test_more_than_there_is(case):
    with pytest.raises(ModelError, match=case.says):
        OnnxModule(case.make())(X)


# -- files ----------------------------------------------------------------------------------------------------------


def saved(folder: Path, **entries: Any) -> Path:
    """x + w, where w lies in another file."""
    proto = weight(float_data=[], data_location=TensorProto.EXTERNAL)
    given = {"location": "w.bin", "offset": "0", "length": "64"} | entries
    for key, value in given.items():
        if value is not None:
            proto.graph.initializer[0].external_data.add(key=key, value=str(value))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    return folder / "model.onnx"


def test_external_data(tmp_path):
    np.ones((4, 4), np.float32).tofile(tmp_path / "w.bin")
    assert torch.equal(OnnxModule(saved(tmp_path))(X), X + 1)
    (tmp_path / "deeper").mkdir()
    (tmp_path / "w.bin").rename(tmp_path / "deeper" / "w.bin")
    assert torch.equal(OnnxModule(saved(tmp_path, location="deeper/w.bin", length=None))(X), X + 1)


OUTSIDE = {
    "above": ({"location": "../w.bin"}, "'../w.bin'; external data is read from the model's own folder only"),
    "above-in-between": ({"location": "inner/../../w.bin"}, "own folder only"),
    "absolute": ({"location": "/etc/passwd"}, "'/etc/passwd'; external data is read from the model's own folder only"),
    "nowhere": ({"location": ""}, "own folder only"),
    "zero-byte": ({"location": "w\0.bin"}, "own folder only"),
    "link": ({"location": "link.bin"}, "a link to a place outside of the model's folder: refused"),
    "linked-folder": ({"location": "linked/w.bin"}, "a link to a place outside"),
    "circle": ({"location": "circle"}, "'w' lies in 'circle', which cannot be read"),
    "folder": ({"location": "inner"}, "'inner'"),
    "long": ({"location": "w" * 5000}, "cannot be read"),
    "missing": ({"location": "missing.bin"}, "'w' lies in 'missing.bin', which cannot be read: No such file"),
    "too-short": ({"location": "short.bin"}, "bytes 0 to 64 of 'short.bin', which has 8"),
    "behind-the-end": ({"location": "short.bin", "offset": 1 << 40, "length": None}, "'short.bin', which has 8"),
    "negative": ({"location": "short.bin", "offset": -8}, "offset '-8' in its file, which is no number of bytes"),
    "no-number": ({"location": "short.bin", "length": "many"}, "length 'many' in its file"),
    "other-length": ({"location": "short.bin", "length": 8}, "'w' has 8 bytes, and float \\[4, 4\\] takes 64"),
}


@pytest.mark.parametrize(("entries", "says"), OUTSIDE.values(), ids=OUTSIDE)
def test_external_data_that_is_not_there_or_not_ours(entries, says, tmp_path):
    folder = tmp_path / "model"
    path = saved(folder, **entries)
    np.ones((4, 4), np.float32).tofile(tmp_path / "w.bin")
    (folder / "inner").mkdir()
    (folder / "short.bin").write_bytes(b"12345678")
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "circle").symlink_to("circle")
    with pytest.raises(ModelError, match=says):
        OnnxModule(path)


def test_external_data_without_a_folder(tmp_path):
    with pytest.raises(ModelError, match=r"'w' lies in another file \('w.bin'\): pass the path of the model"):
        OnnxModule(saved(tmp_path).read_bytes())


def test_one_file_for_many_tensors(tmp_path, monkeypatch):
    """Would take a multiple of what there is on disk."""
    monkeypatch.setattr(LIMITS, "memory", 300)
    np.ones((4, 4), np.float32).tofile(tmp_path / "w.bin")
    proto = onnx.load(saved(tmp_path), load_external_data=False)
    for number in range(9):
        more = proto.graph.initializer.add()
        more.CopyFrom(proto.graph.initializer[0])
        more.name = f"w{number}"
    with pytest.raises(ModelError, match=r"over 300 bytes of external data.*LIMITS\.memory"):
        OnnxModule(_written(tmp_path, proto.SerializeToString()))


def _written(folder: Path, data: bytes) -> Path:
    (folder / "written.onnx").write_bytes(data)
    return folder / "written.onnx"


def test_no_file(tmp_path):
    with pytest.raises(ModelError, match=r"missing\.onnx' cannot be read: No such file"):
        OnnxModule(tmp_path / "missing.onnx")
    with pytest.raises(ModelError, match="is a folder: name the model in it"):
        OnnxModule(tmp_path)
    with pytest.raises(ModelError, match="cannot be read: embedded null byte"):
        OnnxModule("zero\0byte")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelError, match="no regular file: read it and pass its bytes"):
        OnnxModule(tmp_path / "pipe")
    for data, says in ((b"", "is empty"), (b"text, no model", "is no ONNX model")):
        with pytest.raises(ModelError, match=says):
            OnnxModule(_written(tmp_path, data))


def test_truncated_anywhere():
    whole = weight().SerializeToString()
    for length in range(len(whole)):
        try:
            made = OnnxModule(whole[:length])(X)
        except ModelError:
            continue
        assert torch.equal(made, X + 1)  # only what does not matter is lost


# -- calls ----------------------------------------------------------------------------------------------------------


def two_inputs() -> ModelProto:
    inputs = [info("x", ("n", 4)), info("factor", ("n", 1))]
    return model(node("Mul", ["x", "factor"], ["y"]), inputs=inputs)


CALLS = {
    "name": (lambda m: m(x=X, scale=X), "no input 'scale'; it takes 2 inputs 'x', 'factor'"),
    "twice": (lambda m: m(X, X[:, :1], x=X), "'x' is given twice"),
    "missing": (lambda m: m(X), "'factor' is missing"),
    "too-many": (lambda m: m(X, X, X), "takes 2 inputs 'x', 'factor', and got 3"),
    "rank": (lambda m: m(X, X[0]), "'factor' is \\[4\\], and the model declares \\[n, 1\\]"),
    "shape": (lambda m: m(X[:, :2], X[:, :1]), "'x' is \\[4, 2\\], and the model declares \\[n, 4\\]"),
    "sizes": (lambda m: m(X, X[:2, :1]), "the dimension 'n' is 4 in the input 'x' and 2 in 'factor'"),
    "dtype": (lambda m: m(X.double(), X[:, :1]), "'x' is torch.float64, and the model takes torch.float32"),
    "list": (lambda m: m([1.0], X[:, :1]), "'x' is a list: pass a NumPy array or a torch.Tensor"),
    "strings": (lambda m: m(np.array(["a"]), X[:, :1]), "'x' is an array of <U1"),
}


@pytest.fixture(scope="module")
def optimized():
    return sol.optimize(two_inputs(), X, X[:, :1])


@pytest.mark.parametrize(("call", "says"), CALLS.values(), ids=CALLS)
def test_calls(call, says, optimized):
    with pytest.raises(InputError, match=says):
        call(optimized)


@pytest.mark.parametrize(("call", "says"), CALLS.values(), ids=CALLS)
def test_examples(call, says):
    with pytest.raises(InputError, match=says):
        call(lambda *args, **kwargs: sol.optimize(two_inputs(), *args, kwargs=kwargs))


def test_no_examples():
    proto = model(relu)
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ModelError, match="shape"):
        sol.optimize(proto)
