"""Exercises of lab 05: the missing lines of a C program, where bytes are, an error code, and which target for whom."""

import re

import numpy as np

from labs.exercises import Wrong, exercise
from labs.pictures.lab05 import Program

# --- 05-1 ------------------------------------------------------------------------------------------------------------


@exercise(
    "05-1",
    "The missing lines",
    minutes=8,
    seconds=30,
    hints=[
        "Three calls: one makes a context, one calls the network with it, one gives the context back.",
        "digits_context *context = digits_init(0); makes one. The network's function is called digits, and is declared "
        "in the header: its arguments are the context, the input and the output.",
        "The other two are digits(context, image, scores); and digits_free(context);",
    ],
)
def program(answer):
    """Run the learner's program on images that were not shown; raise Wrong with what the compiler or the run says."""
    if not isinstance(answer, Program):
        raise Wrong("The answer is what lab05.program gives for your lines.", expected="a program")
    if answer.error:
        raise Wrong(f"It does not compile: {answer.error}", answer.lines)
    images = np.random.default_rng(11).random((12, 8, 8), np.float32)
    network = _network(answer.folder)
    try:
        expected = [int(network(image.reshape(1, 1, 8, 8))[0].argmax()) for image in images]
    finally:
        network.close()
    try:
        got = answer.run(images)
    except Exception as error:  # a crash is one of the right ways to be wrong in C
        raise Wrong(
            "It compiles, and it crashes. Is the context made before it is used, and given back after it? "
            f"({type(error).__name__})",
            answer.lines,
        ) from None
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", answer.lines, flags=re.S)
    calls = set(re.findall(r"\b(digits\w*)\s*\(", text))
    if not calls & {"digits", "digits_run"}:
        raise Wrong("It runs, but never calls the network: the function digits.", got, expected)
    if got != expected:
        raise Wrong("It runs, and says other digits than the library. Are input and output in order?", got, expected)
    if "digits_free" not in calls:
        raise Wrong(
            "It says the right digits, and each round keeps its memory and its threads. Give the context back.",
            "no digits_free",
            "digits_free(context)",
        )


def _network(folder):
    """The library through its own example.py."""
    scope = {"__name__": "example", "__file__": str(folder / "example.py")}
    exec(compile((folder / "example.py").read_text(), "example.py", "exec"), scope)
    return scope["Network"]()


# --- 05-2 ------------------------------------------------------------------------------------------------------------

HEADER_BYTES = 64  # of a file of weights, before the weights
TRIPLE = "(bytes, letter, letter)"
REASONS = {"a": "one copy for each set of instructions", "c": "the biases are stored twice", "e": "compression"}


@exercise(
    "05-2",
    "Where are the bytes?",
    minutes=5,
    hints=[
        "Subtract: the size of digits.weights, less the bytes of weights that the manifest speaks of.",
        "Who opens a file has to find out whether it is the right one, and whole. And the loops do not read weights as "
        "PyTorch stores them: a vector that is half empty takes the room of a whole one.",
        "The file has 64 bytes in front (d). The weights are larger because of how the loops read them (b).",
    ],
)
def bytes_of_weights(answer):
    """Accept (64, "d", "b"); raise Wrong with what is wrong with which of the three."""
    if isinstance(answer, str | dict | set):
        raise Wrong("The answer has three parts: a number and two letters.", expected=TRIPLE)
    parts = list(answer)
    if len(parts) != 3 or isinstance(parts[0], str) or not all(isinstance(part, str) for part in parts[1:]):
        raise Wrong("The answer has three parts: a number and two letters.", expected=TRIPLE)
    number, first, second = float(parts[0]), *(part.strip().strip("()").lower() for part in parts[1:])
    if number != HEADER_BYTES:
        if number > 1000:
            raise Wrong("That is a size. The question is by how many bytes the file is larger than the weights in it.")
        raise Wrong("That is not the difference. Take weights_of(...) off the size of digits.weights.", number)
    if (first, second) == ("b", "d"):
        raise Wrong("Both reasons are right, and exchanged.")
    for place, letter, right in (("First letter", first, "d"), ("Second letter", second, "b")):
        if letter in ("a", "c", "e"):
            raise Wrong(f"{place}: it is not for ({letter}) {REASONS[letter]}.")
        if letter not in ("b", "d"):
            raise Wrong(f"{place}: there is no reason {letter!r}.", expected="a letter from a to e")
        if letter != right:
            raise Wrong(f"{place}: this is the reason for the other difference.")


# --- 05-3 ------------------------------------------------------------------------------------------------------------

CODES = ("OK", "NULL_POINTER", "WRONG_SIZE", "WRONG_DEVICE", "NO_MEMORY", "NO_WEIGHTS", "WRONG_WEIGHTS", "WRONG_VALUE")
WRONG_SIZE = CODES.index("WRONG_SIZE")


@exercise(
    "05-3",
    "An array that is too short",
    minutes=4,
    hints=[
        "call(255) tells the library that the image has 255 bytes. What comes back is the code.",
        "The codes are in the header, in the order of their numbers; the first is 0.",
        "code = call(255). In the header it is called digits_WRONG_SIZE.",
    ],
)
def code(answer):
    """Accept the number or its name in the header; raise Wrong with what another code means."""
    if isinstance(answer, str):
        name = answer.strip().upper().removeprefix("DIGITS_")
        if name not in CODES:
            raise Wrong("There is no code of that name in the header.", expected="a number, or a name in the header")
        number = CODES.index(name)
    else:
        if isinstance(answer, bool) or float(answer) != int(answer):
            raise Wrong("A code is a whole number.", expected="a number, or a name in the header")
        number = int(answer)
    if number == WRONG_SIZE:
        return
    if number == 0:
        raise Wrong("0 says that all went well. Was the number of bytes wrong? The image has 256.", number)
    if not 0 < number < len(CODES):
        raise Wrong("That is no code. Did you pass back the number of bytes?", number, "what call returns")
    raise Wrong(f"{number} is {CODES[number]}. That is not what the library says to a wrong size.", number)


# --- 05-4 ------------------------------------------------------------------------------------------------------------

RIGHT = {"server": [("shared_lib", "x86")], "camera": [("static_lib", "arm64")], "aurora": [("static_lib", "ve")]}
RIGHT["distribution"] = [("source", "x86")]
HOW = '{"server": (target, device), ...}'
ADVICE = {
    "server": "The program loads the network while it runs: that takes a library which is loaded, a shared one.",
    "camera": "All of it has to be in one file: that takes a library which becomes a part of the program.",
    "aurora": "No linker here knows the Vector Engine, so a shared library cannot be made here. NEC's linker, there, "
    "takes an archive of objects.",
    "distribution": "They want to compile it themselves, with their compiler and their flags: give them the text.",
}


@exercise(
    "05-4",
    "Which target for whom?",
    minutes=5,
    core=False,
    hints=[
        "The device is the processor that runs the network. The target says how the network gets into the program.",
        "shared_lib is loaded when the program runs; static_lib is linked into it; source is compiled by its user.",
        "server: shared_lib, x86. camera: static_lib, arm64. aurora: static_lib, ve. distribution: source, x86.",
    ],
)
def choices(answer):
    """Accept a target and a device for each, as solkit's or by name; raise Wrong with what speaks against a choice."""
    if not isinstance(answer, dict):
        raise Wrong("The answer is a dictionary, with a pair for each of the four.", expected=HOW)
    missing = [name for name in RIGHT if answer.get(name, ...) in (..., None)]
    if missing:
        raise Wrong(f"There is no choice yet for {', '.join(missing)}.", expected=HOW)
    for name, pairs in RIGHT.items():
        pair = answer[name]
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise Wrong(f"{name}: a choice is a pair, target and device.", pair, HOW)
        target, device = (str(getattr(part, "name", part)).lower().rpartition(".")[2] for part in pair)
        if device in ("shared_lib", "static_lib", "source"):
            raise Wrong(f"{name}: the target comes first, the device second.", pair, HOW)
        if device != pairs[0][1]:
            raise Wrong(f"{name}: the network would be for another processor. What does it run on?", pair)
        if (target, device) not in pairs:
            raise Wrong(f"{name}: {ADVICE[name]}", pair)
