"""Exercises of lab 01: what a fused kernel saves."""

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
    "01.1",
    "How many bytes does the fused kernel save?",
    minutes=5,
    hints=[
        "Input, weights, bias and the 1000 results are moved either way. Only what lies between the layers differs.",
        "The tensor between two layers is [1, 1000, 13, 13]. The convolution writes one, ReLU reads it and writes "
        "another, AvgPool reads that.",
        "Four trips, each of 1000 * 13 * 13 float32 numbers of 4 bytes.",
    ],
    solution="""
between = 1000 * 13 * 13 * 4   # bytes between two layers: channels, pixels, float32
bytes_saved = 4 * between      # 2_704_000: Conv writes, ReLU reads and writes, AvgPool reads

# The fused kernel keeps these numbers in registers and in the cache. All else is moved
# either way: the input, the weights, the bias and the 1000 results.
""",
)
def bytes_saved(answer):
    """Accept the difference in bytes, as any kind of number; raise Wrong with what was forgotten."""
    if isinstance(answer, str | bool):
        raise Wrong("The answer is a number: bytes, without quotes and without a unit.")
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
