"""Exercises of lab 01: what a fused kernel saves, and what that means for a processor."""

from labs.answers import a_pair
from labs.exercises import Wrong, exercise

# [1, 512, 13, 13] float32 -> Conv 1x1 to 1000 channels, with bias -> ReLU -> AvgPool 13x13 -> [1, 1000, 1, 1]
FLOAT = 4
PIXELS = 13 * 13
INPUT = 512 * PIXELS
WEIGHTS = 1000 * 512 + 1000
BETWEEN = 1000 * PIXELS  # what one layer hands to the next
OUTPUT = 1000
SEPARATE = FLOAT * ((INPUT + WEIGHTS + BETWEEN) + (BETWEEN + BETWEEN) + (BETWEEN + OUTPUT))
FUSED = FLOAT * (INPUT + WEIGHTS + OUTPUT)
SAVED = SEPARATE - FUSED

# The wrong answers people give, each with what went wrong. One trip in bytes and four trips in floats are one number.
KNOWN = {
    FLOAT * BETWEEN: (
        "That is the tensor between two layers counted once, or four times in floats. Count bytes (a float32 has 4), "
        "and count every trip: it goes to memory or comes back four times."
    ),
    2 * FLOAT * BETWEEN: "That is two trips. Convolution and ReLU each write a tensor, and the next layer reads it.",
    3 * FLOAT * BETWEEN: "That is three trips of four: ReLU both reads a tensor and writes one.",
    4 * FLOAT * INPUT: "That counts 512 channels, those of the input. After the convolution there are 1000.",
    4 * FLOAT * 1000: "That is for one pixel; before the pooling there are 13 x 13 of them.",
    8 * SAVED: "Those are bits; a float32 has 4 bytes.",
    SEPARATE: "That is what the three layers move. Take off what the fused kernel still has to move.",
    FUSED: "That is what the fused kernel moves. Take it off what the three layers move.",
}
UNITS = {SAVED / 2**20: "MiB", SAVED / 1e6: "MB", SAVED / 2**10: "KiB", SAVED / 1e3: "kB"}


@exercise(
    "01-1",
    "How many bytes does the fused kernel save?",
    minutes=5,
    hints=[
        "Input, weights, bias and the 1000 results are moved either way. Only what lies between the layers differs.",
        "The tensor between two layers is [1, 1000, 13, 13]. The convolution writes one, ReLU reads it and writes "
        "another, AvgPool reads that.",
        "Four trips, each of 1000 * 13 * 13 float32 numbers of 4 bytes.",
    ],
)
def bytes_saved(answer):
    """Accept the difference in bytes, as any kind of number; raise Wrong with what was forgotten."""
    if isinstance(answer, str | bool):
        raise Wrong("The answer is a number: bytes, without quotes and without a unit.", expected="a whole number")
    number = float(answer)
    if number == SAVED:
        return
    if number < 0 and -number == SAVED:
        raise Wrong("The size is right, the sign is not: take what one kernel moves off what three layers move.")
    if number in KNOWN:
        raise Wrong(KNOWN[number])
    for value, unit in UNITS.items():
        if abs(number - value) <= 0.01 * value:
            raise Wrong(f"That is about right in {unit}; give bytes, exactly.")
    raise Wrong(
        "That is not it. Write down what each of the three layers reads and writes, in bytes, then what one kernel "
        "that does all three reads and writes, and take the difference."
    )


# FLOP for each byte moved. A comparison counts as one FLOP, a multiply-add as two; the bias, ReLU and the pooling add
# less than a hundredth to the convolution's.
FLOP = 2 * 1000 * 512 * PIXELS
RELU = BETWEEN / (FLOAT * 2 * BETWEEN)
INTENSITY = FLOP / FUSED
NEAR = 0.02
PAIR = "(FLOP per byte of ReLU, FLOP per byte of the fused kernel)"

KNOWN_RELU = {
    2 * RELU: "That is right for one trip; ReLU reads its tensor and writes another.",
    4 * RELU: "That counts numbers, not bytes; a float32 has 4 bytes.",
    8 * RELU: "That is one FLOP for each number. How many bytes does ReLU move for it?",
    1 / RELU: "That is bytes for each FLOP. Turn the fraction around.",
    INTENSITY: "That is the fused kernel's. The pair begins with ReLU alone.",
}
KNOWN_FUSED = {
    INTENSITY / 2: "That counts a multiply-add as one operation; it is two, a multiplication and an addition.",
    INTENSITY * 4: "That counts numbers, not bytes; a float32 has 4 bytes.",
    FLOP / SEPARATE: "That is with the bytes of three layers. The fused kernel does the same work and moves less.",
    FLOP / SAVED: "That is with the bytes that are saved. Divide by those that are still moved.",
    FLOP / (FUSED - FLOAT * WEIGHTS): "That leaves out the weights: they come from memory too.",
    1 / INTENSITY: "That is bytes for each FLOP. Turn the fraction around.",
}


@exercise(
    "01-2",
    "FLOP per byte: what does each wait for?",
    minutes=8,
    core=False,
    hints=[
        "ReLU does one comparison for each number. It also reads that number, 4 bytes, and writes one, 4 bytes.",
        "The convolution does one multiply-add, 2 FLOP, for each input channel, output channel and pixel: "
        "2 * 512 * 1000 * 13 * 13. The bias, ReLU and the pooling add so little that you can leave them out.",
        "The fused kernel moves the input (512 * 13 * 13 numbers), the weights (1000 * 512), the bias (1000) and the "
        "result (1000), of 4 bytes each, once.",
    ],
)
def intensity(answer):
    """Accept the pair (ReLU, fused kernel), each within 2 %; raise Wrong with what was forgotten."""
    relu, fused = a_pair(answer, PAIR)
    for name, number, right, known in (("ReLU", relu, RELU, KNOWN_RELU), ("Fused", fused, INTENSITY, KNOWN_FUSED)):
        if _near(number, right):
            continue
        for mistake, text in known.items():
            if _near(number, mistake):
                raise Wrong(f"{name}: {text}", got=number)
        raise Wrong(
            f"{name}: that is not it. Count the FLOP, count the bytes that are read and written, and divide.",
            got=number,
        )


def _near(number: float, right: float) -> bool:
    return abs(number - right) <= NEAR * right
