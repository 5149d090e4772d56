"""Reading the text in a picture with the three networks of PP-OCR: where is text, is it upside down, what does it say.

The networks are the ONNX files in the package rapidocr-onnxruntime. Nothing of that package is imported: it needs
libGL, which not every machine has. PP-OCRv4's detector and recognizer, and the classifier of directions of its version
2, are described in Du et al., "PP-OCR: A Practical Ultra Lightweight OCR System", 2020.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from labs.ocr_boxes import Box, find_boxes, straightened

PACKAGE = "rapidocr_onnxruntime"
FILES = {
    "detect": "ch_PP-OCRv4_det_infer.onnx",
    "direct": "ch_ppocr_mobile_v2.0_cls_infer.onnx",
    "recognize": "ch_PP-OCRv4_rec_infer.onnx",
}
VARYING = {"detect": (2, 3), "direct": (), "recognize": (3,)}  # dimensions of the input: height is 2, width 3
SHORTEST, LONGEST = 736, 2000  # pixels of the sides of a picture for the detector
MULTIPLE = 32  # of the sides for the detector
HEIGHT = 48  # of a line for the other two networks
WIDTH = 192  # for the classifier of directions
STEP = 128  # of widths for the recognizer, to which lines are stretched: each width is compiled once
SURELY_TURNED = 0.9
LEGIBLE = 0.5  # mean probability of the characters of a line that is kept

Network = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Line:
    """One line of text: what it says, how sure that is (0 to 1), and where it stands."""

    text: str
    score: float
    box: Box


def model_file(name: str) -> Path:
    """The ONNX file of a network in `FILES`, in the installed package.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the networks are in {PACKAGE}: pip install 'aurora-labs[models]'", name=PACKAGE)
    return Path(spec.submodule_search_locations[0]) / "models" / FILES[name]


def characters() -> list[str]:
    """What the recognizer's classes stand for: first "no character", then those that its file names, then a space."""
    import onnx

    proto = onnx.load(model_file("recognize"))
    named = next(item.value for item in proto.metadata_props if item.key == "character")
    return ["", *named.splitlines(), " "]


# --- engines ---------------------------------------------------------------------------------------------------------


class Solkit:
    """A network in `FILES`, in solkit: compiled for its first input and sizes that vary.

    Attributes:
        model: what sol.optimize gave; None before the first call.
    """

    def __init__(self, name: str) -> None:
        self.path, self.varying = model_file(name), VARYING[name]
        self.model = None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if self.model is None:
            import solkit as sol

            self.model = sol.optimize(self.path, x, vdims=[self.varying])
        return self.model(x)


class OnnxRuntime:
    """A network in `FILES`, in ONNX Runtime, with as many threads as PyTorch has."""

    def __init__(self, name: str) -> None:
        import onnxruntime
        import torch

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(model_file(name), options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.session.run(None, {self.input: x})[0]


ENGINES: dict[str, Callable[[str], Network]] = {"solkit": Solkit, "onnxruntime": OnnxRuntime}


# --- reading ---------------------------------------------------------------------------------------------------------


class Reader:
    """Reads pictures.

    Args:
        engine: what runs the networks, a name in `ENGINES`.
        watch: called with a network's name, its input and its output, at each call of one.
    Attributes:
        networks: by name, each as the engine has it.
    Raises:
        ValueError: there is no such engine.
        ModuleNotFoundError: a package is missing.
    """

    def __init__(
        self, engine: str = "solkit", watch: Callable[[str, np.ndarray, np.ndarray], None] | None = None
    ) -> None:
        if engine not in ENGINES:
            raise ValueError(f"there is no engine {engine!r}; there are {', '.join(ENGINES)}")
        self.networks = {name: ENGINES[engine](name) for name in FILES}
        self._characters, self._watch = characters(), watch

    def read(self, picture: Image.Image) -> list[Line]:
        """The lines of text in a picture, in reading order."""
        picture = picture.convert("RGB")
        found = []
        for box in self.detect(picture):
            line = straightened(picture, box)
            if self.is_turned(line):
                line = line.transpose(Image.Transpose.ROTATE_180)
            text, score = self.recognize(line)
            if text and score >= LEGIBLE:
                found.append(Line(text, score, box))
        return found

    def detect(self, picture: Image.Image) -> list[Box]:
        """Where text stands in a picture (RGB)."""
        x = _numbers(picture.resize(_size_to_detect(*picture.size), Image.Resampling.BILINEAR))
        return find_boxes(self.run("detect", x)[0, 0], *picture.size)

    def is_turned(self, line: Image.Image) -> bool:
        """Whether a line (RGB) stands on its head."""
        line = line.resize((min(_natural_width(line), WIDTH), HEIGHT), Image.Resampling.BILINEAR)
        _, turned = self.run("direct", _numbers(line, WIDTH))[0]
        return bool(turned > SURELY_TURNED)

    def recognize(self, line: Image.Image) -> tuple[str, float]:
        """What a line (RGB) says, and the mean probability of its characters."""
        width = max(2, math.ceil(_natural_width(line) / STEP)) * STEP
        x = _numbers(line.resize((width, HEIGHT), Image.Resampling.BICUBIC))
        return decode(self.run("recognize", x)[0], self._characters)

    def run(self, name: str, x: np.ndarray) -> np.ndarray:
        """Call a network with float32 [N, 3, H, W]."""
        result = self.networks[name](x)
        if self._watch is not None:
            self._watch(name, x, result)
        return result


def decode(probabilities: np.ndarray, names: list[str]) -> tuple[str, float]:
    """Connectionist temporal classification, the best class at each place: repeated ones are one, and class 0 is none.

    Args:
        probabilities: float32 [T, classes].
        names: of the classes.
    Returns:
        The text, and the mean probability of its characters, 0 if there are none.
    """
    best = probabilities.argmax(axis=1)
    new = np.append(True, best[1:] != best[:-1]) & (best != 0)
    text = "".join(names[index] for index in best[new]).strip()
    return text, float(probabilities.max(axis=1)[new].mean()) if new.any() else 0.0


def _size_to_detect(width: int, height: int) -> tuple[int, int]:
    """The shorter side is at least `SHORTEST`, the longer one at most `LONGEST`, both multiples of `MULTIPLE`."""
    scale = min(max(1.0, SHORTEST / min(width, height)), LONGEST / max(width, height))
    wide, high = (max(1, round(size * scale / MULTIPLE)) * MULTIPLE for size in (width, height))
    return wide, high


def _natural_width(line: Image.Image) -> int:
    """Of the line at the height that the networks read."""
    return math.ceil(HEIGHT * line.width / line.height)


def _numbers(picture: Image.Image, width: int | None = None) -> np.ndarray:
    """float32 [1, 3, height, width] from -1 to 1, blue first as the networks were trained; 0 right of the picture."""
    x = np.asarray(picture, np.float32)[None, :, :, ::-1].transpose(0, 3, 1, 2) / 127.5 - 1
    return np.pad(x, ((0, 0), (0, 0), (0, 0), (0, (width or picture.width) - picture.width)))
