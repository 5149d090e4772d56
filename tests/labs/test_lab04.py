"""The exercises of lab 04, and what the lab shows."""

from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from labs import ocr, onnx_models
from labs.ocr_boxes import Box
from labs.pictures import lab04
from tests.labs.three_ways import three_ways

needs_networks = pytest.mark.skipif(find_spec(ocr.PACKAGE) is None, reason="pip install 'aurora-labs[models]'")

SHARES = (420 / 860, 38 / 440)


@needs_networks
def test_04_1():
    first, second = SHARES
    three_ways(
        "04-1",
        right=[SHARES, [0.488, 0.0864], np.array(SHARES)],
        wrong=[
            ((100 * first, 100 * second), "in per cent"),
            ((second, first), "wrong order"),
            ((420, 38), "numbers of nodes"),
            ((420 / 440, second), "for each node that computes"),
            ((0.3, second), "First share: that is not it"),
            ((first, 38 / 860), "of all nodes"),
            ((first, 38 / 420), "for each Constant"),
            ((first, 0.5), "Second share: that is not it"),
            (0.488, "a pair of numbers"),
            ("0.488, 0.086", "a pair of numbers"),
        ],
    )


def test_04_2():
    three_ways(
        "04-2",
        right=[[(3,)], ((3,),), [[3]], [(0, 3)], np.array([[3]])],
        wrong=[
            (3, "one number"),
            ((3, 0), "2 entries"),
            ([False, False, False, True], "4 entries"),
            ([True], "True stands for the batch"),
            ([3], "a tuple of one is (3,)"),
            ([("width",)], "not their names"),
            ([(2, 3)], "trained for 48"),
            ([(2,)], "Dimension 2 is the height"),
            ([(1, 3)], "channels"),
            ([(4,)], "no dimension 4"),
            ([(0,)], "leaves out the width"),
            ("(3,)", "a list of tuples"),
        ],
    )


def right(best, names):
    return ocr_text(best, names)


def ocr_text(best, names):
    new = np.append(True, best[1:] != best[:-1]) & (best != 0)
    return "".join(names[index] for index in best[new])


def by_hand(best, names):
    made = ""
    for place, index in enumerate(best):
        if index and (place == 0 or best[place - 1] != index):
            made += names[index]
    return made


def nothing_put_together(best, names):
    return "".join(names[index] for index in best)


def nones_first(best, names):
    kept = [index for index in best if index]
    return "".join(names[i] for place, i in enumerate(kept) if place == 0 or kept[place - 1] != i)


def each_once(best, names):
    return "".join(names[index] for index in dict.fromkeys(best.tolist()) if index)


def test_04_3():
    three_ways(
        "04-3",
        right=[right, by_hand],
        wrong=[
            (nothing_put_together, "not put together"),
            (nones_first, "two letters"),
            (each_once, "is there once"),
            (lambda best, names: list(by_hand(best, names)), "Join them"),
            (lambda best, names: print(names), "returns nothing"),
            (lambda best, names: 3, "no text"),
            (lambda best, names: "?", "not what it says"),
            (lambda best, names: names[999], "raised"),
            ("hello", "the function itself"),
        ],
    )


def mended(node=1, name="convolved"):
    model = onnx_models.broken_model()
    model.graph.node[node].input[0] = name
    return model


def renamed():
    model = onnx_models.broken_model()
    model.graph.node[0].output[0] = "convoluted"
    return model


def without_relu():
    model = mended(2, "convolved")
    model.graph.node[1].input[0] = "convolved"
    return model


def heavier():
    model = mended()
    model.graph.initializer[0].raw_data = bytes(len(model.graph.initializer[0].raw_data))
    return model


def test_04_4():
    three_ways(
        "04-4",
        right=[mended(), renamed()],
        wrong=[
            (onnx_models.broken_model(), "It does not load yet"),
            (mended(name="picture"), "what conv makes"),
            (without_relu(), "what relu makes"),
            (heavier(), "others than before"),
            ("convolved", "a ModelProto"),
        ],
    )


# --- pictures --------------------------------------------------------------------------------------------------------


def test_a_line_is_the_same_each_time_and_noise_changes_it():
    plain, noisy = (np.asarray(lab04.line("abc", noise)) for noise in (0, 0.4))
    assert plain.shape == noisy.shape
    assert plain.shape[2] == 3
    assert np.abs(noisy.astype(int) - plain).mean() > 20
    assert np.array_equal(noisy, lab04.line("abc", 0.4))
    assert np.asarray(lab04.line("abc", blur=4)).min() > plain.min()
    assert lab04.line("").size[0] > 0


def test_the_beginning_of_a_graph():
    picture = lab04.beginning(onnx_models.toy_model())
    assert "Conv, Relu, GlobalAveragePool" in picture.text
    assert "<img alt=" in picture._repr_html_()


def test_bars_of_operators_say_what_is_left_out():
    picture = lab04.operators({"Constant": 9, "Conv": 5, "Add": 2, "Mul": 1}, most=2)
    assert picture.text == "Bars for the operators of 17 nodes: 9 Constant, 5 Conv, 3 all others."


def test_the_map_of_steps_has_a_row_for_each_letter():
    names = ["", "a", "b", "文", " "]
    classes = [0, 1, 0, 2, 3, 0]
    probabilities = np.full((6, 5), 0.05, np.float32)
    probabilities[np.arange(6), classes] = 0.8
    picture = lab04.steps(Image.new("RGB", (48, 48)), probabilities, names, "ab文")
    assert "6 time steps and 4 classes" in picture.text
    assert "50%" in picture.text
    assert "<img alt=" in picture._repr_html_()
    page = lab04.at_step(probabilities, names, 3)
    assert page.index(">b<") < page.index("no character")
    assert 'scope="row"' in page


def lines(*texts):
    corners = np.array([[10.0, 10], [90, 10], [90, 30], [10, 30]])
    return [ocr.Line(text, 0.9, Box(corners, 0.9)) for text in texts]


def test_boxes_and_texts_beside_each_other():
    page = Image.new("RGB", (100, 60))
    picture = lab04.boxes(page, lines("one", "two"), np.zeros((60, 100), np.float32))
    assert "1 one; 2 two." in picture.text
    assert "<img alt=" in picture._repr_html_()
    table = lab04.beside(lines("one", "<two>"), lines("one")).data
    assert table.count("<tr>") == 3
    assert "&lt;two&gt;" in table
    assert "(no such line)" in table
    assert "as it was written" in lab04.reading(page, "a", "a", 0.5)
    assert "(nothing)" in lab04.reading(page, "a", "", 0)


@needs_networks
def test_lines_are_stretched_to_few_widths():
    seen = []
    reader = lab04.TwoWidths("onnxruntime", watch=lambda name, x, y: seen.append(x.shape[3]))
    for width in (48, 512, 513, 3000):
        reader.recognize(Image.new("RGB", (width, 48), "white"))
    assert seen == [512, 512, 1024, 1024]
