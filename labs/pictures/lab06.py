"""The widgets of lab 06 about vectors: a register that fills, a loop in strips, the start-up, and which loop to take.

They draw a model, with two numbers of the Vector Engine in it that NEC has published: a register has 256 places, and
an instruction works on 32 of them in a cycle.
"""

import html
import math

from labs.pictures.lab06_svg import (
    BLUE,
    DONE,
    LINE,
    NOW,
    UNUSED,
    WAITS,
    Chart,
    Controls,
    box,
    legend,
    menu,
    page,
    paragraph,
    places,
    svg,
    words,
)
from labs.widgets import Slider

LENGTH, LANES = 256, 32  # of the Vector Engine
MACHINES = {  # float32 places of a register
    "scalar: 1 place": 1,
    "arm64 NEON: 4 places": 4,
    "x86-64 AVX2: 8 places": 8,
    "x86-64 AVX-512: 16 places": 16,
    "Vector Engine: 256 places": LENGTH,
}
LAYERS = {  # channels, rows and columns of a result
    "the slides' example: 1000 x 13 x 13": (1000, 13, 13),
    "ResNet-18, first layer: 64 x 112 x 112": (64, 112, 112),
    "ResNet-18, last layers: 512 x 7 x 7": (512, 7, 7),
    "MobileNet v2, last layer: 1280 x 7 x 7": (1280, 7, 7),
    "a photograph: 3 x 224 x 224": (3, 224, 224),
}


def strips(n: int, length: int) -> list[int]:
    """How many elements each trip of a loop over n elements takes, with registers of `length` places."""
    return [length] * (n // length) + [n % length] * (n % length > 0)


def fill(n: int, length: int) -> float:
    """Share of the register places that a loop over n elements uses."""
    return n / (length * len(strips(n, length)))


# --- one register ----------------------------------------------------------------------------------------------------


def registers() -> Controls:
    """A widget: one vector instruction, cycle by cycle."""
    cycle = Slider("cycle", 3, 0, LENGTH // LANES)
    length = Slider("vector length", LENGTH, 1, LENGTH)
    lanes = menu("lanes", [1, 4, 8, 16, 32, 64], LANES)

    def limit(_change: dict) -> None:
        cycle.max = math.ceil(length.value / lanes.value)

    for control in (length, lanes):
        control.observe(limit, "value")
    return Controls(draw_register, {"cycle": cycle, "length": length, "lanes": lanes})


def draw_register(cycle: int, length: int, lanes: int) -> str:
    """A register in its 256 places, in the middle of an instruction."""
    needed = math.ceil(length / lanes)
    cycle = min(cycle, needed)
    done, now = lanes * max(cycle - 1, 0), min(lanes * cycle, length)
    kinds: dict[str, list[tuple[float, float]]] = {DONE: [], NOW: [], WAITS: [], UNUSED: []}
    for place in range(LENGTH):
        kind = DONE if place < done else NOW if place < now else WAITS if place < length else UNUSED
        kinds[kind].append((40 + 20 * (place % 32), 4 + 22 * (place // 32)))
    rows = [words(32, 18 + 22 * row, str(32 * row), "end") for row in range(8)]
    state = "nothing is computed yet" if not cycle else f"{now} of {length} elements are computed"
    count = f"{needed} {'cycle' if needed == 1 else 'cycles'}"
    text = (
        f"A vector instruction over {length} elements, on {lanes} {'lane' if lanes == 1 else 'lanes'}, takes {count}. "
        f"After cycle {cycle}, {state}. {needed} x {lanes} lanes could "
        f"do {needed * lanes} elements and do {length}: they are busy {length / (needed * lanes):.0%} of the time."
    )
    names = {
        DONE: "computed before",
        NOW: "in this cycle",
        WAITS: "to come",
        UNUSED: "beyond the vector length",
    }
    return page(svg(680, 182, text, *rows, places(kinds, 17, 18)), legend(720, names), paragraph(text))


# --- a loop in strips ------------------------------------------------------------------------------------------------


def strip_mining() -> Controls:
    """A widget: the trips of a loop over n elements, and how full they are."""
    n = Slider("elements n", 1000, 1, 1100)
    return Controls(draw_strips, {"n": n, "length": menu("machine", MACHINES, LENGTH)})


def draw_strips(n: int, length: int) -> str:
    """The trips as bars, and how full the registers are, as a function of n."""
    trips = strips(n, length)
    shown = range(len(trips)) if len(trips) <= 5 else [0, 1, 2, None, len(trips) - 1]
    parts, top = [], 4
    for trip in shown:
        if trip is None:
            parts.append(words(160, top + 14, f"... {len(trips) - 4} more trips, all of them full ..."))
        else:
            used = 400 * trips[trip] / length
            parts.append(places({DONE: [(160, top)]}, used, 18))
            if trips[trip] < length:
                parts.append(places({UNUSED: [(160 + used, top)]}, 400 - used, 18))
            parts.append(words(152, top + 14, f"trip {trip + 1}: from {trip * length}", "end"))
            parts.append(words(568, top + 14, f"{trips[trip]} of {length}"))
        top += 24
    tail = n % length
    last = f"The last trip has only {tail} of them." if tail else "The last trip is full, too."
    count = f"{len(trips)} {'trip' if len(trips) == 1 else 'trips'}"
    text = f"{n} elements, {length} at a time: {count}. {last} {fill(n, length):.1%} of the places are used."
    chart = Chart(60, 150, 560, 120, (1100, 100))
    parts += [
        chart.axes(range(0, 1101, 100), (0, 50, 100), "elements n", "places used, by n", " %"),
        chart.line([(i, 100 * fill(i, length)) for i in range(1, 1101)], f'stroke="{BLUE}" stroke-width="2"'),
        chart.mark(n, 100 * fill(n, length), f"{fill(n, length):.1%}"),
    ]
    return page(svg(680, 310, text, *parts), paragraph(text))


# --- the start-up ----------------------------------------------------------------------------------------------------


def start_up() -> Controls:
    """A widget: what is left of the speed when each vector instruction takes some cycles to start."""
    start, n = Slider("start-up, cycles", 10, 0, 50), Slider("elements n", 169, 1, 1100)
    return Controls(draw_start_up, {"start": start, "lanes": menu("lanes", [4, 8, 16, 32], LANES), "n": n})


def share(n: float, half: float) -> float:
    """Hockney's law: the share of the full speed that a vector of n elements reaches."""
    return n / (n + half)


def draw_start_up(start: int, lanes: int, n: int) -> str:
    """Two curves of Hockney's: with the lanes chosen, and with four."""
    half, xs = start * lanes, [1, *range(10, 1101, 10)]
    chart = Chart(60, 30, 560, 150, (1100, 100))
    reached = 100 * share(n, half)
    parts = [
        chart.axes(range(0, 1101, 100), (0, 50, 100), "elements n", "speed, of the full speed (modelled)", " %"),
        chart.line([(x, 50) for x in (0, 1100)], 'stroke="currentColor" stroke-opacity="0.5" stroke-dasharray="2 4"'),
        chart.line([(x, 100 * share(x, 4 * start)) for x in xs], 'stroke="currentColor" stroke-dasharray="8 5"'),
        chart.line([(x, 100 * share(x, half)) for x in xs], f'stroke="{BLUE}" stroke-width="3"'),
        chart.mark(n, reached, f"n = {n}: {reached:.0f} %"),
    ]
    text = (
        f"Start-up {start} cycles, {lanes} lanes: half of the full speed takes {start} x {lanes} = {half} elements. "
        f"{n} elements take {start} + {n} / {lanes} = {start + n / lanes:.1f} cycles and reach {reached:.0f} % of it. "
        f"With the same start-up and 4 lanes (broken line), {n} elements reach {100 * share(n, 4 * start):.0f} %."
    )
    return page(svg(680, 220, text, *parts), paragraph(text))


# --- which loop ------------------------------------------------------------------------------------------------------


def which_loop() -> Controls:
    """A widget: for a layer and a machine, what each choice of the loop along the vector leads to."""
    layer = menu("layer", {name: name for name in LAYERS}, next(iter(LAYERS)))
    machine = menu("machine", {name: length for name, length in MACHINES.items() if length > 1}, LENGTH)
    return Controls(draw_loops, {"layer": layer, "length": machine})


def choices(shape: tuple[int, int, int], length: int) -> list[tuple[str, int, int, float]]:
    """For each loop that may lie along the vector: its name, its length, the instructions for the whole tensor if each
    run of the loop is cut by itself, and how full the registers are."""
    channels, rows, columns = shape
    loops = {
        "the pixels of one row": columns,
        "all pixels of a channel": rows * columns,
        "the channels of a pixel": channels,
    }
    total = math.prod(shape)
    return [(name, n, total // n * len(strips(n, length)), fill(n, length)) for name, n in loops.items()]


def draw_loops(layer: str, length: int) -> str:
    """A table of the choices."""
    found = choices(LAYERS[layer], length)
    left, right = 'style="text-align: left"', 'style="text-align: right"'
    names = ("along the vector", "elements", "places used", "vector instructions")
    head = "".join(f'<th scope="col" {left if not i else right}>{name}</th>' for i, name in enumerate(names))
    body = "".join(
        f'<tr><th scope="row" style="text-align: left; font-weight: normal">{html.escape(name)}</th>'
        f"<td {right}>{n}</td><td {right}>{_bar(full)} {full:.1%}</td><td {right}>{instructions:,}</td></tr>"
        for name, n, instructions, full in found
    )
    name, n, _, full = max(found, key=lambda row: row[3])
    text = f"With {length} places, {name} ({n} elements) fill the registers best: {full:.1%}."
    caption = f"{html.escape(layer)}: instructions for each operation on the whole tensor"
    style = 'style="caption-side: top; text-align: left; color: inherit; white-space: nowrap"'
    table = (
        f'<table style="margin: 8px 0; border-spacing: 12px 2px; border-collapse: separate"><caption {style}>'
        f"{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )
    return page(table, paragraph(text))


def _bar(full: float) -> str:
    """A bar of a table, which the number beside it says again."""
    frame = box(0.5, 0.5, 100, 11, f'{LINE} stroke-opacity="0.6"')
    inside = box(0.5, 0.5, 100 * full, 11, f'fill="{BLUE}"')
    style = 'style="vertical-align: middle"'
    return f'<svg aria-hidden="true" width="101" height="12" {style}>{frame}{inside}</svg>'
