"""Lab 06: its exercises three ways, what its widgets draw, and the machine code that it explains."""

import math

import numpy as np
import pytest

from labs import show
from labs.exercise_sets import lab06 as answers
from labs.pictures import lab06, lab06_engine, lab06_figures, lab06_measure
from labs.pictures.lab06_svg import Controls
from tests.labs.three_ways import three_ways


def test_cycles():
    def in_a_loop(n, start):
        count = 0
        while n > 0:
            count += start + math.ceil(min(n, 256) / 32)
            n -= 256
        return np.float64(count)

    def last_is_full(n, start):
        return math.ceil(n / 256) * (start + 8)

    def always_a_tail(n, start):
        full, tail = divmod(n, 256)
        return full * (start + 8) + start + math.ceil(tail / 32)

    def one_start(n, start):
        return start + math.ceil(n / 32)

    def loops_for_ever(n, start):
        return [n, start]

    three_ways(
        "06-1",
        right=[answers._cycles, in_a_loop],
        wrong=[
            (last_is_full, "lets the last instruction take 8 cycles"),
            (always_a_tail, "one start too many"),
            (lambda n, start: n // 256 * (start + 8), "leaves out the tail"),
            (one_start, "starts only once"),
            (lambda n, start: math.ceil(n / 32), "leaves out the starts"),
            (lambda n, start: math.ceil(n / 256) * start + n / 32, "parts of cycles"),
            (lambda n, start: math.ceil(n / 256) * start + n // 32, "drops the last cycle"),
            (lambda n, start: n * (start + 1), "the scalar loop"),
            (lambda n, start: 72, "Which instructions are there"),
            (lambda n, start: print(n), "gives nothing back"),
            (lambda n, start: "72", "gives text"),
            (loops_for_ever, "gives no number"),
            (72, "Give the function itself"),
        ],
    )


def test_best_axis():
    def by_instructions(shape, length):
        return min(range(len(shape)), key=lambda axis: answers._instructions(shape, axis, length))

    def last_of_the_best(shape, length):
        return np.int64(by_instructions(shape[::-1], length) * -1 - 1)

    three_ways(
        "06-2",
        right=[by_instructions, last_of_the_best],
        wrong=[
            (lambda shape, length: shape.index(max(shape)), "longest axis is not always the best"),
            (lambda shape, length: len(shape) - 1, "takes the most instructions"),
            (lambda shape, length: max(shape), "length of an axis"),
            (lambda shape, length: 17, "no position of an axis"),
            (lambda shape, length: 0.5, "no position of an axis"),
            (lambda shape, length: None if length else 0, "gives nothing back"),
            (0, "Give the function itself"),
        ],
    )


def test_attainable():
    def with_an_if(intensity, peak, bandwidth):
        return peak if intensity > peak / bandwidth else np.float32(intensity * bandwidth)

    three_ways(
        "06-3",
        right=[min_of_both, with_an_if],
        wrong=[
            (lambda i, peak, bandwidth: max(peak, i * bandwidth), "larger of the two"),
            (lambda i, peak, bandwidth: i * bandwidth, "what memory allows"),
            (lambda i, peak, bandwidth: peak, "what arithmetic allows"),
            (lambda i, peak, bandwidth: min(peak, bandwidth / i), "do not divide"),
            (lambda i, peak, bandwidth: min(peak, bandwidth), "leaves out the intensity"),
            (lambda i, peak, bandwidth: min(i, peak / bandwidth), "That is FLOP per byte"),
            (lambda i, peak, bandwidth: 1 / (1 / peak + 1 / (i * bandwidth)), "adds the time"),
            (lambda i, peak, bandwidth: i * bandwidth > peak, "which side of the ridge"),
            (lambda i, peak, bandwidth: 1e9 * min(peak, i * bandwidth), "right in FLOP/s"),
            (lambda i, peak, bandwidth: min(peak, i * bandwidth) / 1e3, "right in TFLOP/s"),
            (lambda i, peak, bandwidth: 7, "What are the two limits"),
            (lambda i, peak, bandwidth: i / 0, "division by zero"),
            (1220, "Give the function itself"),
        ],
    )


def min_of_both(intensity, peak, bandwidth):
    return min(peak, intensity * bandwidth)


def test_trip():
    three_ways(
        "06-4",
        right=[(1024, 1040), [1024.0, 1040.0], np.array([1024, 1040])],
        wrong=[
            ((4, 1040), "number of lines"),
            ((256, 1040), "what one line does"),
            ((2048, 1040), "two operations"),
            ((5, 1040), "count the lines with vfmad"),
            ((1024, 260), "Those are floats"),
            ((1024, 1024), "the vector alone"),
            ((1024, 16), "the single floats alone"),
            ((1024, 20), "counts vldu as one float"),
            ((1024, 5120), "counts each ldu as 256"),
            ((1024, 5), "the lines that load"),
            ((1024, 2080), "A float32 has 4 bytes"),
            ((1024, 1), "vldu and ldu"),
            (1024, "a pair of numbers"),
            ("1024, 1040", "a pair of numbers"),
        ],
    )


def _loop(x):
    y = np.empty_like(x)
    for i in range(len(x)):
        y[i] = 0 if x[i] <= -3 else x[i] if x[i] >= 3 else x[i] * (x[i] + 3) / 6
    return y


def _changes_its_input(x):
    x[x <= -3] = 0
    return x


def test_hard_swish():
    def in_place(x):
        y = x * (x + 3) / 6
        y[x <= -3], y[x >= 3] = 0, x[x >= 3]
        return y

    three_ways(
        "06-5",
        right=[answers._hard_swish, in_place, lambda x: x * np.clip(x + 3, 0, 6) / 6],
        wrong=[
            (_loop, "there is a loop over the elements"),
            (lambda x: np.array([_loop(x[i : i + 1])[0] for i in range(x.size)]), "there is a loop"),
            (lambda x: np.vectorize(lambda one: float(_loop([one])[0]) if 0 else _one(one))(x), "there is a loop"),
            (lambda x: x * (x + 3) / 6, "at most -3"),
            (lambda x: np.where(x <= -3, 0, x * (x + 3) / 6), "at least 3"),
            (lambda x: np.where(x <= -3, 0, x), "between -3 and 3"),
            (lambda x: 0, "has the shape ()"),
            (_changes_its_input, "changes the array"),
            (lambda x: print(x), "gives nothing back"),
            (lambda x: 0 if x <= -3 else x, "raised ValueError"),
            ([0, 1], "Give the function itself"),
        ],
    )


def _one(x):
    return 0.0 if x <= -3 else float(x) if x >= 3 else float(x * (x + 3) / 6)


@pytest.mark.parametrize(
    ("n", "length", "trips"), [(1000, 256, [256, 256, 256, 232]), (512, 256, [256, 256]), (3, 4, [3])]
)
def test_strips(n, length, trips):
    assert lab06.strips(n, length) == trips
    assert lab06.fill(n, length) == pytest.approx(n / (length * len(trips)))


def test_a_register_with_169_of_256_places_on_32_lanes():
    drawing = lab06.draw_register(cycle=99, length=169, lanes=32)
    assert "takes 6 cycles" in drawing
    assert "169 of 169 elements are computed" in drawing
    assert "88%" in drawing
    assert "nothing is computed yet" in lab06.draw_register(0, 1, 64)


def test_the_law_of_hockney_at_half_speed():
    assert lab06.share(320, 320) == 0.5
    assert "half of the full speed takes 10 x 32 = 320 elements" in lab06.draw_start_up(10, 32, 320)
    assert "reach 50 %" in lab06.draw_start_up(10, 32, 320)
    assert "100 %" in lab06.draw_start_up(0, 4, 1)
    start, rate = lab06_measure.hockney({n: 300 + n / 8 for n in (1, 100, 10_000)})
    assert (start, rate) == (pytest.approx(300), pytest.approx(8))


def test_the_choices_of_the_slides_example():
    rows = {name: row for name, *row in lab06.choices((1000, 13, 13), 256)}
    assert rows["the pixels of one row"] == [13, 13_000, pytest.approx(13 / 256)]
    assert rows["all pixels of a channel"] == [169, 1000, pytest.approx(169 / 256)]
    assert rows["the channels of a pixel"] == [1000, 676, pytest.approx(1000 / 1024)]


@pytest.mark.parametrize("make", [lab06.registers, lab06.strip_mining, lab06.start_up, lab06.which_loop])
def test_a_widget_draws_for_each_of_its_values_and_without_a_kernel(make):
    widget = make()
    assert widget._repr_mimebundle_()["text/html"] == widget.first == widget.drawing.value
    for control in widget.named.values():
        assert control.description
        drawings = set()
        for value in getattr(control, "_options_values", None) or (control.min, control.max):
            control.value = value
            drawings.add(widget.drawing.value)
        assert len(drawings) > 1
        assert all('aria-label="' in drawing or "<caption" in drawing for drawing in drawings)


def test_the_last_cycle_follows_lanes_and_length():
    widget = lab06.registers()
    widget.named["lanes"].value = 8
    assert widget.named["cycle"].max == 32
    widget.named["length"].value = 1
    assert (widget.named["cycle"].max, widget.named["cycle"].value) == (1, 1)


@pytest.fixture(scope="module")
def axpy():
    return lab06_engine.rows(lab06_engine.assembly(lab06_engine.AXPY))


def test_every_instruction_is_explained(axpy):
    assert [row.text for row in axpy if row.name and not lab06_engine.explain(row)] == []


@pytest.mark.parametrize("n", [1, 20, 256, 257, 600, 1000])
def test_the_steps_compute_what_the_kernel_says(axpy, n):
    states = lab06_engine.run(axpy, n)
    assert states[-1].stored == n
    last = lab06.strips(n, 256)[-1]
    exact = 2 * np.arange(n) + 1000
    assert np.array_equal(states[-1].vectors["%v0"][:last], exact[-last:])
    work = {axpy[row].name: elements for row, elements in states[-1].worked.items()}
    assert work["vldu"] == work["vstu"] == lab06.strips(n, 256)
    assert sum(axpy[state.row].name == "lvl" for state in states[1:]) == 3 * len(work["vstu"])


def test_the_loop_is_the_one_that_the_notebook_walks_through(axpy):
    begin = next(number for number, row in enumerate(axpy) if number and not row.name)
    loop = [row.name for row in axpy[begin + 1 :]]
    loop = loop[: loop.index("brlt.l") + 1]
    assert [name for name in loop if name not in ("lea", "lvl", "and")] == [
        "mins.l", "vldu", "vldu", "vfmad.s", "vstu", "brlt.l",
    ]  # fmt: skip
    assert loop.count("lea") == 4
    assert [lab06.strips(600, 256)[-1], axpy[begin + 4].text.split()[:3]] == [88, ["vldu", "%v0,", "4,"]]


def test_an_unknown_instruction_is_an_error_with_its_name():
    code = lab06_engine.rows("f:\n\tlsv %v0(%s1), %s2\n")
    with pytest.raises(LookupError, match="lsv"):
        lab06_engine.run(code, 1)


def test_the_stepper_goes_from_the_first_to_the_last_line():
    widget = lab06_engine.stepper(300)
    assert isinstance(widget, Controls)
    step, size = widget.named["step"], widget.named["n"]
    step.value = 0
    assert "nothing is done yet" in widget.drawing.value
    step.value = step.max
    assert "just done: b.l.t" in widget.drawing.value
    assert "300 of 300 are stored" in widget.drawing.value
    size.value = 20
    assert "20 of 20 are stored" in widget.drawing.value
    assert "4 are vector instructions, with 79 elements on average" in widget.drawing.value


def test_relu_with_a_mask_takes_three_instructions_and_with_max_one():
    mask = show.inner_loop(lab06_engine.assembly(lab06_engine.RELU_MASK))
    assert [word in mask for word in ("vfcmp", "vfmk", "vmrg", "vfmax")] == [True, True, True, False]
    assert "vfmax" in show.inner_loop(lab06_engine.assembly(lab06_engine.RELU_MAX))


def test_what_is_measured_is_positive_and_drawn():
    """One build of the C code; that it is right is seen by eye, in the figures."""
    peak = lab06_measure.peak(1, megabytes=1)
    assert peak.gflops > 0
    assert peak.gbytes > 0
    assert peak.name == "this machine, 1 thread"
    points = [lab06_figures.Point("a", 0.1, 1), lab06_figures.Point("b", 100, 2)]
    assert "a at 0.1 FLOP per byte" in repr(lab06_figures.roofline(peak, points))
    ns = lab06_measure.strides([1, 16], megabytes=1)
    assert list(ns) == ["1", "16", "random"]
    assert min(ns.values()) > 0
    assert "16: " in repr(lab06_figures.time_by_stride(ns))
    times = lab06_measure.lengths([1, 64, 1024], calls=3)
    assert "start-up" in repr(lab06_figures.speed_by_length(times, *lab06_measure.hockney(times)))


def test_the_roof_of_the_vector_engine():
    assert lab06_figures.VE_10B.ridge == pytest.approx(3.5, abs=0.03)
    assert lab06_figures.attainable(lab06_figures.VE_10B, 0.125) == 152.5
    assert lab06_figures.attainable(lab06_figures.VE_10B, 72) == 4300
