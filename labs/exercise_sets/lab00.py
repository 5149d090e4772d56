"""Exercises of lab 00: to see how exercises work."""

from labs.exercises import Wrong, exercise
from solkit.target import ARM64, VE, host

WORDS = {
    "one": 1, "two": 2, "four": 4, "six": 6, "eight": 8, "ten": 10, "twelve": 12, "sixteen": 16, "thirty-two": 32,
}  # fmt: skip


def _number(answer, expected: str) -> float:
    if isinstance(answer, str):
        word = answer.strip().lower()
        if word in WORDS:
            return WORDS[word]
        try:
            return float(word)
        except ValueError:
            raise Wrong("The answer is a number.", expected=expected) from None
    if isinstance(answer, bool):
        raise Wrong("The answer is a number.", expected=expected)
    return float(answer)


@exercise(
    "00-1",
    "How many numbers fit into one vector of this machine?",
    minutes=2,
    hints=[
        "The row is called SIMD: single instruction, multiple data.",
        "The found column of that row ends with so many float32 at a time.",
        "In Python: from solkit.target import host; host().vector_length",
    ],
)
def vector(answer):
    """Accept the number of float32 in a vector register of the machine at hand."""
    right = host().vector_length
    number = _number(answer, "a whole number of float32")
    if number == right:
        return
    if number == 32 * right:
        raise Wrong("Those are bits. A float32 has 32 of them: how many float32 are that?", expected="float32")
    if number == 4 * right:
        raise Wrong("Those are bytes. A float32 has 4 of them: how many float32 are that?", expected="float32")
    if 2 * number == right:
        raise Wrong("That is for float64, which are twice as long. The question is about float32.", expected="float32")
    others = {VE.vector_length: "NEC's Vector Engine", ARM64.vector_length: "a processor with arm64"}
    if number in others:
        raise Wrong(f"That would be {others[number]}. This is about the machine that the notebook runs on.")
    raise Wrong("That is not it. Look at the row SIMD of the table above.")


@exercise(
    "00-2",
    "How many Vector Engines were in the workshop's machine?",
    minutes=2,
    hints=[
        "You are not supposed to know. It was one computer, called pbaran, at ICM in Warsaw. Ask again.",
        "It was a NEC A300-8: two ordinary processors, and Vector Engines as cards in its slots. Look at its name.",
        "The number behind the dash: 8.",
    ],
)
def engines(answer):
    """ICM's pbaran, a NEC A300-8, had eight."""
    number = _number(answer, "a whole number")
    if number == 8:
        return
    known = {
        2: "It had two ordinary processors. The Vector Engines are cards beside them.",
        24: "It had 24 ordinary cores. The Vector Engines are cards beside them.",
        48: "Each of them had 48 GB of memory. How many were there?",
        64: "A Vector Engine has 64 vector registers. How many engines were there?",
        300: "That is the first half of the machine's name; look at the other.",
    }
    raise Wrong(known.get(number, "That is not it. Take a hint: run ex.hint() in the cell below."))
