"""PP-OCR's three networks read pictures: the same under solkit as under ONNX Runtime."""

from difflib import SequenceMatcher
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import solkit as sol
from labs import ocr, ocr_boxes, ocr_pictures

pytestmark = pytest.mark.skipif(
    find_spec(ocr.PACKAGE) is None or find_spec("skimage") is None, reason="pip install 'aurora-labs[models]'"
)

PHOTOGRAPH = (
    "Region-based segmentation",
    "Let us first determine markers of the coins and the",
    "background. These markers are pixels that we can label",
    "unambiguously as either object or background. Here,",
    "histogram of grey values:",
)


class Recorder:
    """A reader with the networks' inputs and outputs in all its calls: `calls[name]` is a list of (input, output)."""

    def __init__(self, engine):
        self.calls = {name: [] for name in ocr.FILES}
        self.reader = ocr.Reader(engine, watch=lambda name, x, result: self.calls[name].append((x, result)))

    def read(self, picture):
        for made in self.calls.values():
            made.clear()
        return self.reader.read(picture)


@pytest.fixture(scope="module")
def ours():
    """The networks in solkit, compiled when they are first called."""
    before = sol.config["autotuning"]
    sol.config["autotuning"] = "off"
    yield Recorder("solkit")
    sol.config["autotuning"] = before


@pytest.fixture(scope="module")
def theirs():
    return Recorder("onnxruntime")


def agree(ours, theirs, picture):
    """Read the picture with both engines: the same lines in the same places, the networks' outputs alike, and nothing
    of them in PyTorch. Gives the lines."""
    mine, yours = ours.read(picture), theirs.read(picture)
    assert [line.text for line in mine] == [line.text for line in yours]
    for a, b in zip(mine, yours, strict=True):
        np.testing.assert_allclose(a.box.corners, b.box.corners, atol=0.5)
        assert a.score == pytest.approx(b.score, abs=1e-3)
    for name in ocr.FILES:
        assert ours.calls[name]
        for x, output in ours.calls[name]:
            expected = theirs.reader.run(name, x)
            assert output.dtype == np.float32
            assert output.shape == expected.shape
            assert np.abs(output - expected).max() < 1e-3 * np.abs(expected).max()
            if name == "detect":
                assert np.mean((output > ocr_boxes.THRESHOLD) != (expected > ocr_boxes.THRESHOLD)) < 1e-4
            else:
                np.testing.assert_array_equal(output.argmax(-1), expected.argmax(-1))
    for network in ours.reader.networks.values():
        assert not isinstance(network, ocr.Solkit) or network.model.explain().in_pytorch == []
    return mine


def check_drawn(lines):
    assert sorted(line.text for line in lines) == sorted(text for text, *_ in ocr_pictures.LINES)
    assert all(line.score > 0.9 for line in lines)


def test_the_lines_of_a_drawn_page_are_read_as_they_were_written(ours, theirs, monkeypatch):
    monkeypatch.setitem(ours.reader.networks, "detect", theirs.reader.networks["detect"])  # dear to compile
    check_drawn(agree(ours, theirs, ocr_pictures.drawn()))


@pytest.mark.slow  # the detector is compiled
def test_a_drawn_page_is_read_as_it_was_written(ours, theirs):
    check_drawn(agree(ours, theirs, ocr_pictures.drawn()))


@pytest.mark.slow  # as above, and for four more sizes
def test_a_photographed_page_is_read_with_hardly_a_mistake(ours, theirs):
    lines = agree(ours, theirs, ocr_pictures.photograph())
    assert len(lines) == len(PHOTOGRAPH)
    for line, expected in zip(lines, PHOTOGRAPH, strict=True):
        assert SequenceMatcher(None, line.text, expected).ratio() > 0.97


def test_it_reads_no_less_than_the_packages_own_pipeline(theirs):
    try:
        from rapidocr_onnxruntime import RapidOCR
    except ImportError as error:  # OpenCV needs libGL
        pytest.skip(f"rapidocr-onnxruntime cannot be imported here: {error}")
    original = RapidOCR()
    for picture, truth in (
        (ocr_pictures.drawn(), [text for text, *_ in ocr_pictures.LINES]),
        (ocr_pictures.photograph(), PHOTOGRAPH),
    ):
        found, _ = original(np.asarray(picture)[:, :, ::-1])
        boxes, texts, _ = zip(*found, strict=True)
        mine = theirs.read(picture)
        for line, box in zip(mine, boxes, strict=True):
            np.testing.assert_allclose(line.box.corners, box, atol=3)
        assert right(truth, [line.text for line in mine]) >= right(truth, texts)


def right(truth, texts):
    """How many characters of the truth are found."""
    pairs = ((max(texts, key=lambda text: SequenceMatcher(None, text, line).ratio()), line) for line in truth)
    return sum(block.size for text, line in pairs for block in SequenceMatcher(None, text, line).get_matching_blocks())


def test_a_picture_without_text_has_no_lines(theirs):
    assert theirs.read(Image.new("RGB", (300, 200), "white")) == []


# --- the steps -------------------------------------------------------------------------------------------------------


def test_the_smallest_rectangle_of_a_turned_one_is_it():
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    u, v = np.meshgrid(np.arange(41.0), np.arange(11.0))
    points = np.stack([u.ravel(), v.ravel()], axis=1) @ turn
    corners = ocr_boxes.smallest_rectangle(points)
    expected = np.array([[0, 0], [40, 0], [40, 10], [0, 10]]) @ turn
    for corner in expected:
        assert np.linalg.norm(corners - corner, axis=1).min() < 1e-9


@pytest.mark.parametrize("points", [[[1, 1]], [[1, 1], [2, 2]], [[1, 1], [2, 2], [3, 3], [9, 9]]])
def test_points_on_a_line_have_no_rectangle(points):
    assert ocr_boxes.smallest_rectangle(np.array(points)) is None


def test_boxes_grow_back_and_come_in_reading_order():
    probability = np.zeros((96, 128), np.float32)
    probability[60:68, 10:50] = 0.9  # below, left
    probability[20:28, 70:110] = 0.9  # above, right
    probability[22:30, 10:50] = 0.9  # above, left, a little lower
    probability[80:90, 10:100] = 0.4  # seen, but not surely
    boxes = ocr_boxes.find_boxes(probability, 256, 192)
    assert [tuple(box.corners[0].round().astype(int) // 20) for box in boxes] == [(0, 1), (6, 1), (0, 5)]
    width, height = boxes[0].size
    assert 85 < width < 105  # 40 pixels of the map, two of the picture each, and what it grew by
    assert 24 < height < 40


def test_a_box_beyond_the_rim_repeats_it():
    picture = Image.new("RGB", (60, 40), (200, 10, 10))
    box = ocr_boxes.Box(np.array([[-15.0, -9.0], [75.0, -9.0], [75.0, 20.0], [-15.0, 20.0]]), 1.0)
    line = ocr_boxes.straightened(picture, box)
    assert line.size == (90, 29)
    assert line.getcolors() == [(90 * 29, (200, 10, 10))]


def test_a_line_from_top_to_bottom_is_turned():
    picture = Image.new("RGB", (40, 100), "white")
    picture.paste((0, 0, 0), (0, 0, 40, 20))  # where the line ends, if it runs upwards
    box = ocr_boxes.Box(np.array([[5.0, 0.0], [35.0, 0.0], [35.0, 100.0], [5.0, 100.0]]), 1.0)
    line = ocr_boxes.straightened(picture, box)
    assert line.size == (100, 30)
    assert line.getpixel((5, 15)) == (0, 0, 0)
    assert line.getpixel((95, 15)) == (255, 255, 255)


def test_decoding_drops_what_repeats_and_what_is_none():
    names = ["", "a", "b", " "]
    classes = [1, 1, 0, 1, 2, 2, 3, 0, 2, 3]
    probabilities = np.full((len(classes), len(names)), 0.1, np.float32)
    probabilities[np.arange(len(classes)), classes] = 0.7
    text, score = ocr.decode(probabilities, names)
    assert text == "aab b"
    assert score == pytest.approx(0.7)
    assert ocr.decode(np.eye(4, dtype=np.float32)[[0, 0]], names) == ("", 0.0)


def test_an_unknown_engine_is_named():
    with pytest.raises(ValueError, match="no engine 'magic'; there are solkit, onnxruntime"):
        ocr.Reader("magic")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(ocr, "PACKAGE", "no_such_package")
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'aurora-labs\[models\]'"):
        ocr.model_file("detect")


def test_nothing_of_the_package_is_imported():
    source = Path(ocr.__file__).read_text() + Path(ocr_boxes.__file__).read_text()
    assert "import rapidocr" not in source
    assert "cv2" not in source
