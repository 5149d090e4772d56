"""Exercises of lab 06: cycles of a loop in strips, which loop to vectorise, the roofline, machine code, masks."""

import functools
import math
import sys

import numpy as np

from labs.answers import a_function, a_number, a_pair
from labs.exercises import Wrong, exercise

LENGTH, LANES = 256, 32  # of the Vector Engine


def _near(number, right):
    return math.isclose(number, right, rel_tol=1e-3)


# --- 06-1 ------------------------------------------------------------------------------------------------------------


def _cycles(n, start):
    full, tail = divmod(n, LENGTH)
    return full * (start + LENGTH // LANES) + (start + math.ceil(tail / LANES) if tail else 0)


# What goes wrong in counting cycles, each with what it gives.
MISTAKES = [
    (
        lambda n, start: math.ceil(n / LENGTH) * (start + LENGTH // LANES),
        "That lets the last instruction take 8 cycles. It works on what is left, and ends when that is done.",
    ),
    (
        lambda n, start: (n // LENGTH + 1) * start + n // LENGTH * 8 + math.ceil(n % LENGTH / LANES),
        "That has one start too many: where n is a multiple of 256, there is no tail, and no instruction for it.",
    ),
    (lambda n, start: n // LENGTH * (start + LENGTH // LANES), "That leaves out the tail, n % 256 elements."),
    (
        lambda n, start: start + math.ceil(n / LANES),
        "That starts only once. Every vector instruction has a start, and takes 256 elements at most.",
    ),
    (lambda n, start: math.ceil(n / LANES), "That leaves out the starts."),
    (
        lambda n, start: math.ceil(n / LENGTH) * start + n / LANES,
        "That has parts of cycles. The last cycle takes as long as the others when only some of the lanes have work.",
    ),
    (
        lambda n, start: math.ceil(n / LENGTH) * start + n // LANES,
        "That drops the last cycle where n is no multiple of 32: a few elements need a cycle, too. Round up.",
    ),
    (lambda n, start: n * (start + 1), "That takes one instruction for each element: it is the scalar loop."),
]


@exercise(
    "06-1",
    "How many cycles does a loop take?",
    minutes=6,
    hints=[
        "First find out how many instructions there are: so many full ones with 256 elements, and perhaps one more for "
        "the tail.",
        "divmod(n, 256) gives both: the number of full instructions, and the elements of the tail, which may be 0. A "
        "full one takes start + 8 cycles.",
        "The tail takes start + math.ceil(tail / 32) cycles if there is one, and none if there is not.",
    ],
)
def cycles(answer):
    """Accept a function of (n, start), tried with n and start that the notebook does not show."""
    a_function(answer, "n and start")
    for n, start in ((256, 0), (1000, 10), (256, 10), (7, 3), (169, 10), (1100, 5), (4096, 20), (257, 1), (65537, 9)):
        call, right = f"cycles({n}, {start})", _cycles(n, start)
        number = a_number(answer(n, start), call)
        if _near(number, right):
            continue
        trials = ((256, 0), (1000, 10), (1100, 5), (512, 7), (70, 2))
        for mistake, text in MISTAKES:
            if _near(number, mistake(n, start)) and all(
                _near(a_number(answer(*trial), call), mistake(*trial)) for trial in trials
            ):
                raise Wrong(f"{call}: {text}", got=number, expected=right)
        raise Wrong(
            f"{call}: that is not it. Which instructions are there, and how many cycles is each?", number, right
        )


# --- 06-2 ------------------------------------------------------------------------------------------------------------


def _instructions(shape, axis, length):
    return math.prod(shape) // shape[axis] * math.ceil(shape[axis] / length)


SHAPES = [
    ((1000, 13, 13), 256),
    ((64, 112, 112), 256),
    ((512, 7, 7), 256),
    ((3, 224, 224), 256),
    ((256, 257), 256),
    ((20, 17, 16), 16),
    ((48, 49), 16),
    ((5, 6, 7, 8), 4),
    ((100,), 256),
]


@exercise(
    "06-2",
    "Which loop fills the registers best?",
    minutes=6,
    core=False,
    hints=[
        "The longest loop is often the best one, and not always: 257 elements need two registers of 256 places, and "
        "use half of each.",
        "For an axis of n elements, one run of the loop takes math.ceil(n / length) instructions, and fills them to "
        "n / (length * math.ceil(n / length)). The best axis has the largest of these.",
        "max(range(len(shape)), key=...) gives the position of the best axis; the key is a function that gives the "
        "share of the places that the axis fills.",
    ],
)
def best_axis(answer):
    """Accept a function of (shape, length) that gives an axis with the fewest instructions; any of several is right."""
    a_function(answer, "shape and length")
    for shape, length in SHAPES:
        call = f"best_axis({shape}, {length})"
        axis = a_number(answer(shape, length), call)
        if not axis.is_integer() or not -len(shape) <= axis < len(shape):
            if axis in shape:
                raise Wrong(f"{call} gives the length of an axis. Give its position, from 0 on.", got=axis)
            raise Wrong(f"{call} gives no position of an axis.", got=axis, expected=f"from 0 to {len(shape) - 1}")
        counts = [_instructions(shape, each, length) for each in range(len(shape))]
        found = counts[int(axis)]
        if found == min(counts):
            continue
        what = f"That takes {found:,} instructions; with the best axis there are {min(counts):,}."
        if shape[int(axis)] == max(shape):
            what += " The longest axis is not always the best: look at what its tail leaves empty."
        elif found == max(counts):
            what += " Of all axes, this one takes the most instructions."
        raise Wrong(f"{call}: {what}", got=int(axis), expected=f"axis {counts.index(min(counts))}")


# --- 06-3 ------------------------------------------------------------------------------------------------------------

ROOF_MISTAKES = [
    (lambda i, peak, bandwidth: max(peak, i * bandwidth), "That is the larger of the two limits. The smaller decides."),
    (
        lambda i, peak, bandwidth: i * bandwidth,
        "That is what memory allows. Where there is much to compute for each byte, arithmetic is the limit.",
    ),
    (lambda i, peak, bandwidth: peak, "That is what arithmetic allows. Where data come slowly, it has to wait."),
    (
        lambda i, peak, bandwidth: min(peak, bandwidth / i),
        "FLOP per byte, times bytes per second, is FLOP per second: multiply, do not divide.",
    ),
    (
        lambda i, peak, bandwidth: min(peak, bandwidth),
        "That leaves out the intensity. Bytes per second become FLOP per second when you multiply by FLOP per byte.",
    ),
    (
        lambda i, peak, bandwidth: min(i, peak / bandwidth),
        "That is FLOP per byte. Multiply by the bandwidth to get GFLOP/s.",
    ),
    (
        lambda i, peak, bandwidth: 1 / (1 / peak + 1 / (i * bandwidth)),
        "That adds the time of computing and the time of moving. The roofline lets both go on at once: the slower "
        "one decides.",
    ),
    (
        lambda i, peak, bandwidth: float(i * bandwidth > peak),
        "That says which side of the ridge it is. Give the GFLOP/s.",
    ),
]


@exercise(
    "06-3",
    "What does the roof allow?",
    minutes=4,
    hints=[
        "There are two limits. One is the peak. The other is what can be computed with the bytes that arrive.",
        "In a second `bandwidth` GB arrive, and for each byte `intensity` FLOP are done: that is intensity * bandwidth "
        "GFLOP/s.",
        "Neither limit can be passed, so the smaller one counts: min(..., ...).",
    ],
)
def attainable(answer):
    """Accept a function of (intensity, peak, bandwidth), tried with machines the notebook does not show."""
    a_function(answer, "intensity, peak and bandwidth")
    machines = ((4300, 1220), (2150, 1220), (117, 30), (230, 53), (19500, 1555))
    cases = [(i, *machine) for machine in machines for i in (0.125, 0.25, 1.0, 3.0, 72.0, 170.0)]
    for case in cases:
        call = f"attainable{case}"
        number, right = a_number(answer(*case), call), min(case[1], case[0] * case[2])
        if _near(number, right):
            continue
        for mistake, text in ROOF_MISTAKES:
            if all(_near(a_number(answer(*each), call), mistake(*each)) for each in cases):
                raise Wrong(f"{call}: {text}", got=number, expected=right)
        for factor, unit in ((1e9, "FLOP/s"), (1e-3, "TFLOP/s"), (1e3, "MFLOP/s")):
            if _near(number, right * factor):
                raise Wrong(f"{call}: That is right in {unit}. Give GFLOP/s.", got=number, expected=right)
        raise Wrong(f"{call}: that is not it. What are the two limits, and which one counts?", number, right)


# --- 06-4 ------------------------------------------------------------------------------------------------------------


@functools.cache
def _counted():
    """Multiply-adds and bytes of one trip of the innermost loop, counted in what the compiler makes of it here."""
    from labs.pictures.lab06_engine import ROWS, assembly
    from labs.show import inner_loop

    names = [row.split()[0] for row in inner_loop(assembly(ROWS)).splitlines() if row.startswith(" ")]
    multiply_adds = sum(name.startswith("vfmad") for name in names)
    return multiply_adds, names.count("vldu"), names.count("ldu")


@exercise(
    "06-4",
    "Count what one trip of the loop does",
    minutes=5,
    hints=[
        "A line with vfmad multiplies and adds 256 times, once for each place of the register. "
        "How many such lines are there?",
        "vldu loads a vector of 256 floats; ldu, without the v, loads one float into a scalar register. A float has "
        "4 bytes.",
        "Multiply-adds: the vfmad lines times 256. Bytes: 4 * (256 for each vldu + 1 for each ldu).",
    ],
)
def trip(answer):
    """Accept (multiply-adds, bytes loaded), as the live machine code has them."""
    pair = "(multiply-adds, bytes loaded), each of one trip"
    multiply_adds, loaded = a_pair(answer, pair)
    lines, vectors, scalars = _counted()
    known = {
        lines: "That is the number of lines. Each of them works on a whole register.",
        LENGTH: "That is what one line does. How many such lines are there?",
        2 * lines * LENGTH: "That counts a multiply-add as two operations, which are FLOP. Here it is one.",
    }
    if multiply_adds != lines * LENGTH:
        text = known.get(multiply_adds, "count the lines with vfmad, and think of how many places a register has.")
        raise Wrong(f"Multiply-adds: {text}", got=multiply_adds)
    floats = vectors * LENGTH + scalars
    known = {
        floats: "Those are floats; a float has 4 bytes.",
        4 * vectors * LENGTH: "That is the vector alone. ldu loads, too: one float each time.",
        4 * scalars: "Those are the single floats alone. vldu loads 256 at once.",
        4 * (vectors + scalars): "That counts vldu as one float. It loads 256.",
        4 * (vectors + scalars) * LENGTH: "That counts each ldu as 256 floats. Without the v it loads a single one.",
        vectors + scalars: "Those are the lines that load. How many bytes does each load?",
        8 * floats: "A float32 has 4 bytes. (In the register it takes a place of 8, but memory holds 4.)",
    }
    if loaded != 4 * floats:
        text = known.get(loaded, "count the lines that load, vldu and ldu, and the floats that each of them loads.")
        raise Wrong(f"Bytes: {text}", got=loaded)


# --- 06-5 ------------------------------------------------------------------------------------------------------------


def _hard_swish(x):
    return np.where(x <= -3, 0, np.where(x >= 3, x, x * (x + 3) / 6)).astype(np.float32)


def _steps(function, x):
    """How many steps of Python a call takes, in whatever it calls."""
    count, before = 0, sys.gettrace()

    def watch(frame, event, _argument):
        nonlocal count
        frame.f_trace_opcodes = True
        count += 1
        return watch

    sys.settrace(watch)
    try:
        function(x)
    finally:
        sys.settrace(before)
    return count


@exercise(
    "06-5",
    "An if becomes a mask",
    minutes=8,
    core=False,
    hints=[
        "x <= -3 is an array of True and False: a mask. np.where(mask, a, b) takes a where the mask is True, else b.",
        "There are three cases, so there are two np.where, one inside the other; or begin with the middle case for all "
        "elements, and put the other two over it.",
        "np.where(x <= -3, 0, np.where(x >= 3, ..., ...)). Written like this, all three cases are computed for all "
        "elements.",
    ],
)
def hard_swish(answer):
    """Accept a function of an array without a loop over its elements, tried on arrays the notebook does not show."""
    a_function(answer, "one array")
    random = np.random.default_rng(1234)
    arrays = [np.array([-4, -3, -1.5, 0, 1, 3, 5], np.float32)]
    arrays += [random.uniform(-6, 6, n).astype(np.float32) for n in (1, 10, 1000)]
    for x in arrays:
        given = x.copy()
        result = answer(given)
        if result is None:
            raise Wrong("The function gives nothing back. Is there a return?", got=result, expected="an array")
        if not np.array_equal(given, x):
            raise Wrong("The function changes the array it is given. Make a new one.", got=given, expected=x)
        result, right = np.asarray(result), _hard_swish(x)
        if result.shape != x.shape:
            raise Wrong(f"The result has the shape {result.shape}, the input {x.shape}.", got=result, expected=right)
        wrong = np.flatnonzero(~np.isclose(result, right, rtol=1e-4, atol=1e-5))
        if wrong.size:
            at = wrong[0]
            case = "at most -3" if x[at] <= -3 else "at least 3" if x[at] >= 3 else "between -3 and 3"
            raise Wrong(f"For x = {x[at]:g}, which is {case}, the result is wrong.", result[at], right[at])
    few, many = (_steps(answer, random.uniform(-6, 6, n).astype(np.float32)) for n in (50, 550))
    if many > few + 250:
        raise Wrong(
            "The result is right. But there is a loop over the elements in Python: the work grows with the array.",
            got=f"{few} steps of Python for 50 elements, {many} for 550",
            expected="as many for 550 elements as for 50",
        )
