"""Exercises of lab 04: what is in an ONNX file, which dimension varies, CTC decoding, and a file that does not load."""

import functools
from collections import Counter

import numpy as np

from labs.exercises import Wrong, exercise

# --- 04-1 ------------------------------------------------------------------------------------------------------------

NEAR = 0.002
PAIR = "two numbers from 0 to 1: (Constant of all nodes, Conv of those that compute)"


@functools.cache
def _nodes() -> Counter:
    import onnx

    from labs import ocr

    return Counter(node.op_type for node in onnx.load(ocr.model_file("recognize")).graph.node)


@exercise(
    "04-1",
    "What is in the file?",
    minutes=4,
    hints=[
        "nodes.total() is the number of all nodes. Only the second share leaves the Constants out.",
        "The first is nodes['Constant'] / nodes.total(). The nodes that compute are nodes.total() - nodes['Constant'].",
        "(nodes['Constant'] / nodes.total(), nodes['Conv'] / (nodes.total() - nodes['Constant']))",
    ],
)
def shares(answer):
    """Accept the pair of shares; raise Wrong with what was divided by what."""
    try:
        if isinstance(answer, str | dict | set):
            raise TypeError
        first, second = (float(number) for number in answer)
    except (TypeError, ValueError):
        raise Wrong("The answer is a pair of numbers.", expected=PAIR) from None
    nodes = _nodes()
    total, constants, convs = nodes.total(), nodes["Constant"], nodes["Conv"]
    right = (constants / total, convs / (total - constants))
    if _near(first, right[0]) and _near(second, right[1]):
        return
    if _near(first, 100 * right[0]) and _near(second, 100 * right[1]):
        raise Wrong("That is right in per cent. Give shares, from 0 to 1.", expected=PAIR)
    if _near(first, right[1]) and _near(second, right[0]):
        raise Wrong("Those are the right two numbers in the wrong order: the Constants come first.", expected=PAIR)
    if (first, second) == (constants, convs):
        raise Wrong("Those are the numbers of nodes. Divide them: a share is a part of a whole.", expected=PAIR)
    if not _near(first, right[0]):
        if _near(first, constants / (total - constants)):
            raise Wrong("First share: that is for each node that computes. Divide by all nodes.", expected=PAIR)
        raise Wrong("First share: that is not it. Divide the number of Constants by that of all nodes.", expected=PAIR)
    if _near(second, convs / total):
        raise Wrong("Second share: that is of all nodes. Leave the Constants out of the whole.", expected=PAIR)
    if _near(second, convs / constants):
        raise Wrong("Second share: that is for each Constant. Divide by the nodes that compute.", expected=PAIR)
    raise Wrong("Second share: that is not it. Divide the number of Conv by that of the nodes that compute.")


def _near(number: float, right: float) -> bool:
    return abs(number - right) <= NEAR * max(1.0, right)


# --- 04-2 ------------------------------------------------------------------------------------------------------------

ONE_INPUT = "a list with one entry, that entry a tuple of dimensions counted from 0"


@exercise(
    "04-2",
    "Which dimension varies?",
    minutes=4,
    hints=[
        "We read one line at a time, of 3 colours, at a height of 48 pixels. What is left?",
        "The dimensions are counted from 0: batch is 0, channels 1, height 2, width 3.",
        "There is one input, so the list has one entry. It is a tuple of one number, and that is written (3,).",
    ],
)
def vdims(answer):
    """Accept [(3,)], with the batch in it too; raise Wrong with what should not vary, or how it is written."""
    if isinstance(answer, str | bool):
        raise Wrong("The answer is a list of tuples of numbers.", expected=ONE_INPUT)
    if isinstance(answer, int):
        raise Wrong(
            "That is one number. vdims has an entry for each input, and an entry is a tuple.", answer, ONE_INPUT
        )
    entries = list(answer)
    if len(entries) != 1:
        raise Wrong(
            f"That has {len(entries)} entries. There is one entry for each input, not for each dimension, and this "
            "network has one input.",
            expected=ONE_INPUT,
        )
    entry = entries[0]
    if isinstance(entry, bool):
        what = "True stands for the batch, dimension 0" if entry else "False says that no dimension varies"
        raise Wrong(f"{what}. Here it is another one: name it in a tuple.", expected=ONE_INPUT)
    if isinstance(entry, int):
        raise Wrong("The list is right, its entry is a number. (3) is 3 in Python; a tuple of one is (3,).", answer)
    if not all(isinstance(dim, int | np.integer) and not isinstance(dim, bool) for dim in entry):
        raise Wrong("The entry holds numbers, the dimensions, not their names.", expected=ONE_INPUT)
    dims = {int(dim) for dim in entry}
    if dims in ({3}, {0, 3}):  # the batch may vary as well; it does no harm
        return
    if 1 in dims:
        raise Wrong("Dimension 1 is the channels: the file fixes them at 3.")
    if 2 in dims and 3 in dims:
        raise Wrong("Dimension 2 is the height. The file leaves it open, but the network was trained for 48 alone.")
    if 4 in dims:
        raise Wrong("There is no dimension 4. They are counted from 0: the last of four is 3.")
    if 2 in dims:
        raise Wrong("Dimension 2 is the height, which is always 48. They are counted from 0; the width is the last.")
    raise Wrong("That leaves out the width, and lines differ in width.", expected="the width among the dimensions")


# --- 04-3 ------------------------------------------------------------------------------------------------------------

NAMES = ["", *"abcdefghijklmnopqrstuvwxyz", " "]
SEQUENCES = {  # classes, as letters with "-" for none: what they say
    "bb-a-nn-a-naa": "banana",
    "hheell-lloo": "hello",
    "-o-n-n-x-": "onnx",
    "a--a": "aa",
    "bbaa  cc--cc": "ba cc",
    "--z": "z",
    "qq": "q",
    "---": "",
}


@exercise(
    "04-3",
    "From probabilities to text",
    minutes=8,
    hints=[
        "Go through best one by one, and remember the class of the step before. When is a letter a new one?",
        "A letter is new if index != before and index != 0. Set before = index at the end of each step, always.",
        "letters, before = [], 0; in the loop append names[index] when both hold; at the end ''.join(letters).",
    ],
)
def to_text(answer):
    """Call the function with sequences that were not shown; raise Wrong with the first that is read wrong."""
    if not callable(answer):
        raise Wrong("The answer is the function itself, to_text, without calling it.", expected="a function")
    for written, said in SEQUENCES.items():
        classes = np.array([0 if letter == "-" else NAMES.index(letter) for letter in written])
        got = answer(classes.copy(), list(NAMES))
        if got is None:
            raise Wrong("The function returns nothing. End it with return.", got, said)
        if isinstance(got, list | tuple):
            raise Wrong("The function returns a list of letters. Join them: ''.join(letters).", got, said)
        if not isinstance(got, str):
            raise Wrong("The function returns no text.", got, said)
        if got != said:
            raise Wrong(f"{_mistake(classes, got)} The steps were {' '.join(written)} (- is none).", got, said)


def _mistake(classes, got: str) -> str:
    letters = "".join(NAMES[index] for index in classes)
    kept = [index for index in classes if index]
    merged = [index for place, index in enumerate(kept) if place == 0 or kept[place - 1] != index]
    once = list(dict.fromkeys(kept))
    if got == letters:
        return "Repeated classes were not put together: one letter often lasts for several steps."
    if got == "".join(NAMES[index] for index in merged):
        return "Equal letters with a none between them are two letters: first the repeats, then the nones."
    if got == "".join(NAMES[index] for index in once):
        return "Each letter is there once. Only those of neighbouring steps are the same letter."
    return "That is not what it says."


# --- 04-4 ------------------------------------------------------------------------------------------------------------


@functools.cache
def _right_results():
    """A picture, and the scores that the model's author had in mind."""
    from labs.onnx_models import toy_model

    x = np.random.default_rng(7).standard_normal((1, 3, 8, 8)).astype(np.float32)
    return x, _run(toy_model(), x)


def _run(model, x):
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(model).run(None, {model.graph.input[0].name: x})[0]


@exercise(
    "04-4",
    "A file that does not load",
    minutes=6,
    core=False,
    seconds=30,
    hints=[
        "The error names a tensor that no node makes. Which node reads it, and what is made that nobody reads?",
        "Node 0 makes 'convolved', and node 1 reads 'convoluted'. One of the two names is a slip.",
        "mended = broken, then mended.graph.node[1].input[0] = 'convolved'.",
    ],
)
def mended(answer):
    """Accept a model that loads and gives the right scores; raise Wrong with what solkit says, or what got lost."""
    import onnx

    from solkit import SolError
    from solkit.frontend.onnx.load import load  # what sol.optimize begins with

    if not isinstance(answer, onnx.ModelProto):
        raise Wrong("The answer is the mended model, a ModelProto.", expected="a ModelProto")
    x, scores = _right_results()
    try:
        got = _run(load(answer), x)
    except SolError as error:
        raise Wrong(f"It does not load yet: {str(error).splitlines()[0]}", type(error).__name__) from None
    read = {name for node in answer.graph.node for name in node.input}
    lost = [
        node.name for node in answer.graph.node if not read.union(v.name for v in answer.graph.output) & {*node.output}
    ]
    if lost:
        raise Wrong(
            f"It loads, but nobody reads what {' and '.join(lost)} makes: its work is thrown away. Each node should "
            "read what the one before it makes.",
            expected="a chain from the picture to the scores",
        )
    if got.shape != scores.shape or np.abs(got - scores).max() > 1e-4:
        raise Wrong("It loads, but the scores are others than before the slip. Change one name only.")
