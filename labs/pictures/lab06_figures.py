"""The figures of lab 06 that show measurements: speed by length, rooflines, and time by stride."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from labs.pictures.lab06_measure import Peak
from labs.show import OURS, THEIRS, Picture

INK = "#333333"

# Published by NEC: eight cores at 1.4 GHz, each with 3 x 32 multiply-adds a cycle on 64-bit elements, twice as many on
# packed pairs of float32; memory at 1.22 TB/s.
VE_10B = Peak("Vector Engine 10B (published)", 4300, 1220)
VE_10B_SINGLE = Peak("one float32 in each element", 2150, 1220)


@dataclass(frozen=True)
class Point:
    """A kernel: its FLOP for each byte, and GFLOP/s measured here."""

    name: str
    intensity: float
    gflops: float


def attainable(machine: Peak, intensity: float) -> float:
    """GFLOP/s that a machine's roof leaves to a kernel."""
    return min(machine.gflops, intensity * machine.gbytes)


def speed_by_length(times: dict[int, float], start: float, rate: float) -> Picture:
    """Elements per nanosecond by length, measured and as Hockney's law has it."""
    figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    axes = figure.subplots()
    n = np.geomspace(min(times), max(times), 200)
    half = start * rate
    axes.plot(n, rate * n / (n + half), color=OURS["color"], linewidth=2, label="Hockney's law, fitted")
    measured = [length / took for length, took in times.items()]
    axes.plot(list(times), measured, "o", color=THEIRS["color"], markeredgecolor="black", label="measured, now")
    axes.axvline(half, color=INK, linestyle=":", linewidth=1.2)
    axes.annotate(f" half speed: n = {half:.0f}", (half, 0), (half, 0.06 * rate), fontsize=9)
    axes.axhline(rate, color=INK, linestyle="--", linewidth=1.2)
    axes.annotate("full speed", (1, rate), (1, 0.92 * rate), fontsize=9)
    axes.set_xscale("log", base=2)
    axes.set(xlabel="elements n of one addition", ylabel="elements per nanosecond", ylim=(0, None))
    axes.legend(loc="center left", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    text = (
        f"NumPy's addition by the length of its arrays: start-up {start:.0f} ns, full speed {rate:.1f} elements "
        f"per ns, half of that at {half:.0f} elements."
    )
    return Picture(figure, text, f"{text} Measured on this machine, now.")


def roofline(here: Peak, points: Sequence[Point]) -> Picture:
    """Two roofs, points as measured under the one, and as far as the model lets them go under the other."""
    figure = Figure(figsize=(9, 5.2), layout="constrained")
    axes = figure.subplots()
    lowest = min(point.intensity for point in points)
    x = np.geomspace(min(0.06, lowest / 2), max(1000, 2 * max(point.intensity for point in points)), 400)
    for machine, style in ((here, {**_line(OURS), "linestyle": "-"}), (VE_10B, {**_line(THEIRS), "linestyle": "--"})):
        axes.plot(x, [attainable(machine, value) for value in x], linewidth=2.5, label=machine.name, **style)
        axes.plot(machine.ridge, machine.gflops, "|", color=INK, markersize=14)
        axes.annotate(
            f"ridge at {machine.ridge:.1f}", (machine.ridge, machine.gflops), (0, 8), textcoords="offset points",
            ha="center", fontsize=9,
        )  # fmt: skip
    axes.plot(
        [VE_10B_SINGLE.ridge, x[-1]], [VE_10B_SINGLE.gflops] * 2, color=INK, linestyle=":", linewidth=1.2,
        label=f"Vector Engine, {VE_10B_SINGLE.name}",
    )  # fmt: skip
    for number, point in enumerate(sorted(points, key=lambda point: point.intensity)):
        above = attainable(VE_10B, point.intensity)
        axes.plot([point.intensity] * 2, [point.gflops, above], color=INK, linewidth=0.8, linestyle=":")
        axes.plot(point.intensity, point.gflops, "o", color=OURS["color"], markeredgecolor="black", markersize=8)
        axes.plot(point.intensity, above, "s", color="white", markeredgecolor="black", markersize=7)
        shift, side = ((2, -19), "right") if number % 2 == 0 else ((-2, -19), "left")  # neighbours, to either side
        axes.annotate(
            point.name,
            (point.intensity, point.gflops),
            shift,
            textcoords="offset points",
            ha=side,
            fontsize=10,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    axes.plot([], [], "o", color=OURS["color"], markeredgecolor="black", label="measured here, now")
    axes.plot([], [], "s", color="white", markeredgecolor="black", label="what the model allows a Vector Engine")
    axes.set(
        xscale="log", yscale="log", xlabel="arithmetic intensity, FLOP per byte", ylabel="GFLOP/s", xlim=(x[0], x[-1])
    )
    axes.set_ylim(min(point.gflops for point in points) / 4, 12_000)
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="lower right", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    each = "; ".join(
        f"{point.name} at {point.intensity:.3g} FLOP per byte, {point.gflops:.3g} GFLOP/s here" for point in points
    )
    text = (
        f"Rooflines. {here.name}: {here.gbytes:.0f} GB/s and {here.gflops:.0f} GFLOP/s. {VE_10B.name}: "
        f"{VE_10B.gbytes:.0f} GB/s and {VE_10B.gflops:.0f} GFLOP/s. {each}."
    )
    return Picture(figure, text, "Both axes count in powers of ten. Dots: measured on this machine, now.")


def _line(style: dict[str, str]) -> dict[str, str]:
    return {"color": style["color"]}


def time_by_stride(times: dict[str, float], line: int = 64) -> Picture:
    """Nanoseconds for each float by stride, and how many bytes of each cache line are wanted."""
    figure = Figure(figsize=(8.6, 3.8), layout="constrained")
    axes = figure.subplots()
    names, values = list(times), list(times.values())
    shares = [max(line // int(name), 4) for name in names[:-1]]
    lines = [values[0] * line / share for share in shares]  # as if only the number of cache lines mattered
    axes.plot(lines, "--", color=INK, linewidth=1.2, label="as many times the first as lines are read")
    axes.plot(values[:-1], "o-", color=OURS["color"], markeredgecolor="black", label="one stride")
    axes.plot(len(values) - 1, values[-1], "D", color=THEIRS["color"], markeredgecolor="black", label="in no order")
    for place, value in enumerate(values):
        axes.annotate(f"{value:.2g}", (place, value), (0, 8), textcoords="offset points", ha="center", fontsize=9)
    wanted = [f"{share} of {line}" for share in (*shares, 4)]
    axes.set_xticks(range(len(names)), [f"{name}\n{used}" for name, used in zip(names, wanted, strict=True)])
    axes.set(yscale="log", ylabel="ns for each float", xlabel="stride, in floats; bytes wanted of each cache line")
    axes.set_ylim(min(values) / 2, 3 * max(values))
    axes.legend(loc="upper left", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    each = ", ".join(f"{name}: {value:.2g}" for name, value in times.items())
    text = f"Nanoseconds for each float read from memory, by stride. {each}."
    return Picture(
        figure, text, "One thread reads a large array; measured on this machine, now. The axis is logarithmic."
    )
