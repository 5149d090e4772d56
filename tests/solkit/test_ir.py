"""The intermediate representation: what the verifier catches, and that a graph survives the disk."""

import pytest
import torch

import solkit as sol
from solkit.ir import Graph, Layout, Node, TensorType, Value, serialize, verify
from solkit.ir.serialize import Ref

VECTOR = TensorType((4,))


def small() -> Graph:
    """relu(x + w)"""
    graph = Graph()
    x, w = graph.input("x", VECTOR), graph.parameter("layer.w", VECTOR)
    total = graph.node("add", [x, w], [VECTOR], {}, "layer").output
    graph.outputs = [graph.node("relu", [total], [VECTOR], {}, "act").output]
    return graph


def reads_before_made(graph: Graph) -> None:
    graph.nodes.reverse()


def unknown_operator(graph: Graph) -> None:
    graph.nodes[0].op = "frobnicate"


def wrong_type(graph: Graph) -> None:
    graph.nodes[1].output.type = TensorType((5,))


def wrong_producer(graph: Graph) -> None:
    graph.nodes[1].output.producer = graph.nodes[0]


def made_twice(graph: Graph) -> None:
    graph.nodes.append(graph.nodes[1])


def output_of_nobody(graph: Graph) -> None:
    graph.outputs = [Value("nobody", VECTOR)]


def shared_name(graph: Graph) -> None:
    graph.nodes[1].output.name = graph.nodes[0].output.name


def input_with_a_producer(graph: Graph) -> None:
    graph.inputs[0].producer = graph.nodes[0]


BROKEN = {
    reads_before_made: "before it is made",
    unknown_operator: "frobnicate",
    wrong_type: "should make",
    wrong_producer: "names",
    made_twice: "twice|share",
    output_of_nobody: "made by no node",
    shared_name: "share the name",
    input_with_a_producer: "comes from outside",
}


def test_a_good_graph_passes():
    verify(small())


@pytest.mark.parametrize(("damage", "message"), BROKEN.items(), ids=lambda item: getattr(item, "__name__", ""))
def test_the_verifier_names_what_is_broken(damage, message):
    graph = small()
    damage(graph)
    with pytest.raises(sol.GraphError, match=message):
        verify(graph)


def test_names_are_made_unique():
    graph = small()
    assert graph.value("x", VECTOR).name == "x_2"
    assert graph.value("x", VECTOR).name == "x_3"


def test_printing_shows_operators_names_and_layers():
    assert str(small()).splitlines() == [
        "%x [F=4] = input",
        "%add [F=4] = add(%x, %layer.w) # layer",
        "%relu [F=4] = relu(%add) # act",
        "return %relu",
    ]


def test_weights_are_what_depends_on_parameters_alone():
    graph = small()
    w = graph.parameters["layer.w"]
    doubled = graph.node("add", [w, w], [VECTOR], before=graph.nodes[0]).output
    random = graph.node("torch", [w], [VECTOR], {"random": True}).output
    weights = graph.weight_values()
    assert {w, doubled} <= weights
    assert random not in weights
    assert graph.outputs[0] not in weights


@pytest.mark.parametrize(
    ("layout", "elements"),
    [
        (Layout(), 2 * 5 * 3 * 4),
        (Layout(halo=(1, 2)), 2 * 5 * 5 * 8),
        (Layout(blocked=True), 2 * 8 * 3 * 4),
        (Layout(blocked=True, halo=(1, 1)), 2 * 8 * 5 * 6),
    ],
    ids=str,
)
def test_layouts_count_their_padding(layout, elements):
    assert layout.elements((2, 5, 3, 4), vector_length=8) == elements


ATTRIBUTES = {
    "numbers": [1, 2.5, True, None, "text", float("inf")],
    "tuple": (1, (2, [3])),
    "dict": {"a": [1], "b": {"c": ()}},
    "torch": [torch.float16, torch.strided, torch.channels_last, torch.device("cpu")],
    "ref": [Ref(3), (Ref(0),)],
}


def test_a_graph_survives_the_disk(tmp_path):
    graph = small()
    constant = graph.constant("table", torch.arange(6).reshape(2, 3))
    graph.node("torch", [constant, graph.inputs[0]], [TensorType((2, 3), torch.int64), VECTOR], ATTRIBUTES, "odd")
    serialize.save(graph, tmp_path, tree="text", outputs=[Ref(0), None, 3])
    again, extra = serialize.load(tmp_path)
    assert str(again) == str(graph)
    assert extra == {"tree": "text", "outputs": [Ref(0), None, 3]}
    assert isinstance(extra["outputs"][0], Ref)
    assert again.nodes[-1].attributes == ATTRIBUTES
    assert isinstance(again.nodes[-1].attributes["ref"][0], Ref)
    torch.testing.assert_close(again.constants["table"][1], constant_tensor := graph.constants["table"][1])
    assert constant_tensor.dtype == torch.int64


def test_what_has_no_form_on_disk_is_refused(tmp_path):
    graph = small()
    graph.nodes.append(Node("torch", [], {"odd": object()}))
    with pytest.raises(TypeError, match="object"):
        serialize.save(graph, tmp_path)
