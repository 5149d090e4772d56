"""The pictures and widgets of lab 08: times side by side, objectives over iterations, k-means, what ranks are worth."""

import itertools
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from frovedis_lite.engine import session
from frovedis_lite.engine.comm import Alone
from frovedis_lite.mllib.cluster import KMeans
from frovedis_lite.mllib.linear_model import LogisticRegression
from labs.pictures.lab06_svg import BLUE, Chart, Controls, page, paragraph, svg, words
from labs.pictures.lab07 import INK, PALE
from labs.show import OURS, THEIRS, Picture
from labs.widgets import Slider

RANKS = 64  # at most, in the model
STYLES = {"lbfgs": ("o", "-"), "newton-cg": ("s", "--"), "sag": ("^", "-."), "saga": ("D", ":")}
COLORS = {"lbfgs": "#0072b2", "newton-cg": "#000000", "sag": "#d55e00", "saga": "#009e73"}


# --- side by side ----------------------------------------------------------------------------------------------------


def in_turns(pairs: dict[str, Sequence[Callable[[], Any]]], runs: int) -> dict[str, tuple[float, ...]]:
    """Median milliseconds of the functions of each name; they take turns, and a first call does not count."""
    found = {}
    for name, functions in pairs.items():
        samples: list[list[float]] = [[] for _ in functions]
        for number in range(runs + 1):
            for function, kept in zip(functions, samples, strict=True):
                start = time.perf_counter()
                function()
                if number:
                    kept.append(1e3 * (time.perf_counter() - start))
        found[name] = tuple(statistics.median(kept) for kept in samples)
    return found


def side_by_side(milliseconds: dict[str, tuple[float, ...]], names: tuple[str, str]) -> Picture:
    """Pairs of bars: milliseconds of a fit, by estimator."""
    figure = Figure(figsize=(9, 1 + 0.55 * len(milliseconds)), layout="constrained")
    axes = figure.subplots()
    for column, (shift, style) in enumerate(((-0.2, OURS), (0.2, THEIRS))):
        values = [pair[column] for pair in milliseconds.values()]
        places = [place + shift for place in range(len(values))]
        axes.bar_label(axes.barh(places, values, 0.4, label=names[column], **style), fmt="%.1f", padding=3, fontsize=9)
    axes.set_yticks(range(len(milliseconds)), list(milliseconds))
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds of a fit, median, each mark ten times the one before (shorter is faster)")
    axes.margins(x=0.12)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    each = "; ".join(f"{name}: {ours:.1f} and {theirs:.1f}" for name, (ours, theirs) in milliseconds.items())
    text = f"Milliseconds of a fit, {names[0]} and {names[1]}. {each}."
    return Picture(figure, text, "They took turns. Measured on this machine, now.")


# --- what is sent ----------------------------------------------------------------------------------------------------


class Counting(Alone):
    """The communicator of one process that counts what each of several ranks would put into sums."""

    def __init__(self) -> None:
        self.calls = self.bytes = 0

    def allreduce(self, value: Any, op: str = "sum") -> Any:
        self.calls += 1
        self.bytes += np.asarray(value).nbytes
        return super().allreduce(value, op)


@contextmanager
def counted() -> Iterator[Counting]:
    """What runs in it is counted, in this process."""
    comm, before = Counting(), session.current()
    session.use(session.Here(comm))
    try:
        yield comm
    finally:
        session.use(before)


# --- convergence -----------------------------------------------------------------------------------------------------


def objective(model: Any, X: np.ndarray, y: np.ndarray) -> float:
    """What logistic regression of two classes makes small, C = 1."""
    margins = np.where(y == model.classes_[1], 1, -1) * model.decision_function(X)
    return float(np.logaddexp(0, -margins).sum() + 0.5 * (model.coef_**2).sum())


def convergence(
    X: np.ndarray, y: np.ndarray, solvers: Sequence[str], steps: Sequence[int], seed: int
) -> dict[str, list[float]]:
    """For each solver how far the objective is above its minimum, after so many iterations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # none of these has converged, which is the point
        best = objective(LogisticRegression(solver="newton-cholesky", tol=1e-12).fit(X, y), X, y)

        def above(solver: str, iterations: int) -> float:
            model = LogisticRegression(solver=solver, tol=0, max_iter=iterations, random_state=seed).fit(X, y)
            return objective(model, X, y) - best

        return {solver: [above(solver, count) for count in steps] for solver in solvers}


def draw_convergence(above: dict[str, list[float]], steps: Sequence[int]) -> Picture:
    """Lines that fall, on a logarithmic axis; what is below rounding ends them."""
    figure = Figure(figsize=(8.6, 4), layout="constrained")
    axes = figure.subplots()
    for solver, values in above.items():
        kept = [(step, value) for step, value in zip(steps, values, strict=True) if value > 1e-9]
        marker, line = STYLES.get(solver, ("x", "-"))
        axes.plot(*zip(*kept, strict=True), marker=marker, linestyle=line, label=solver, color=COLORS.get(solver))
    axes.set(yscale="log", xlabel="iterations", ylabel="objective, above its minimum")
    axes.grid(True, color="#dddddd", linewidth=0.6)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    each = "; ".join(f"{solver}: from {values[0]:.1e} to {max(values[-1], 0):.1e}" for solver, values in above.items())
    text = f"How far the objective is above its minimum after 1 to {max(steps)} iterations. {each}."
    return Picture(figure, text, f"{text} A line ends where only rounding is left.")


# --- k-means ---------------------------------------------------------------------------------------------------------


def moving(X: np.ndarray, centers: np.ndarray, most: int = 30) -> list[np.ndarray]:
    """The centroids [clusters, 2] of k-means from these on, after each iteration until they stay."""
    found = [centers]
    for count in range(1, most + 1):
        model = KMeans(len(centers), init=centers, n_init=1, max_iter=count, tol=0).fit(X)
        if np.allclose(model.cluster_centers_, found[-1]):
            break
        found.append(model.cluster_centers_)
    return found


def k_means(X: np.ndarray, centers: np.ndarray) -> Controls:
    """A widget: points of two columns in their clusters, iteration by iteration."""
    history = moving(X, centers)

    def draw(iteration: int) -> str:
        return draw_k_means(X, history, iteration)

    return Controls(draw, {"iteration": Slider("iteration", 0, 0, len(history) - 1)})


def draw_k_means(X: np.ndarray, history: Sequence[np.ndarray], iteration: int) -> str:
    """The points, each with the shape and colour of its cluster, the centroids large, and the way they have come."""
    centers = history[iteration]
    distances = ((X[:, None] - centers[None]) ** 2).sum(axis=2)
    labels = distances.argmin(axis=1)
    low, high = X.min(axis=0), X.max(axis=0)

    def at(point: np.ndarray) -> tuple[float, float]:
        x, y = (point - low) / (high - low)
        return 20 + 600 * float(x), 310 - 290 * float(y)

    drawn = [mark(*at(point), int(label), 4.5) for point, label in zip(X, labels, strict=True)]
    for cluster in range(len(centers)):
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(each[cluster]) for each in history[: iteration + 1]))
        drawn.append(f'<polyline points="{way}" fill="none" stroke="currentColor" stroke-width="2"/>')
        drawn.append(mark(*at(centers[cluster]), cluster, 12))
    inertia = distances.min(axis=1).sum()
    sizes = ", ".join(map(str, np.bincount(labels, minlength=len(centers))))
    text = (
        f"Iteration {iteration} of {len(history) - 1}: clusters of {sizes} points, "
        f"sum of squared distances {inertia:.1f}."
    )
    return page(svg(640, 330, text, *drawn), paragraph(text))


def mark(x: float, y: float, kind: int, size: float) -> str:
    """A circle, square, triangle or diamond."""
    style = f'fill="{PALE[kind % len(PALE)]}" stroke="{INK}" stroke-width="{1 if size < 8 else 2.5}"'
    if kind % 4 == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" {style}/>'
    corners = {
        1: ((-1, -1), (1, -1), (1, 1), (-1, 1)),
        2: ((0, -1.2), (1.2, 1), (-1.2, 1)),
        3: ((0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)),
    }[kind % 4]
    points = " ".join(f"{x + size * i:.1f},{y + size * j:.1f}" for i, j in corners)
    return f'<polygon points="{points}" {style}/>'


# --- more ranks ------------------------------------------------------------------------------------------------------


def more_ranks() -> Controls:
    """A widget: Amdahl's law, and a second line that pays for messages."""
    controls = {
        "parallel": Slider("parallel part, %", 95, 50, 100),
        "work": Slider("work of one, ms", 100, 1, 1000),
        "message": Slider("a message, ms", 1, 0, 20),
        "ranks": Slider("ranks", 8, 1, RANKS),
    }
    return Controls(draw_more_ranks, controls)


def modelled(parallel: float, work: float, message: float, ranks: int) -> tuple[float, float]:
    """The speed-up by Amdahl's law, and with messages: a sum over p ranks takes log2 p rounds, rounded up."""
    alone = (1 - parallel) + parallel / ranks
    rounds = (ranks - 1).bit_length()
    return 1 / alone, work / (work * alone + message * rounds)


def draw_more_ranks(parallel: int, work: int, message: int, ranks: int) -> str:
    """Speed-up by the number of ranks, with and without messages."""
    share = parallel / 100
    lines = [modelled(share, work, message, count) for count in range(1, RANKS + 1)]
    law, paid = modelled(share, work, message, ranks)
    most = max(8.0, *itertools.chain.from_iterable(lines))
    best = max(range(1, RANKS + 1), key=lambda count: round(lines[count - 1][1], 9))
    chart = Chart(60, 30, 560, 190, (RANKS, most))
    dashed, full = 'stroke="currentColor" stroke-dasharray="8 5"', f'stroke="{BLUE}" stroke-width="3"'
    parts = [
        chart.axes(
            range(0, RANKS + 1, 8), [round(most * part / 4) for part in range(5)], "ranks", "speed-up (modelled)"
        ),
        chart.line([(count, value) for count, (value, _) in enumerate(lines, 1)], dashed),
        chart.line([(count, value) for count, (_, value) in enumerate(lines, 1)], full),
        chart.mark(ranks, paid, f"{ranks} ranks: {paid:.1f} times"),
        words(70, 46, "broken: Amdahl's law; full: and messages"),
    ]
    limit = "no limit" if parallel == 100 else f"never more than {1 / (1 - share):.0f}"
    text = (
        f"{parallel} % of the work is parallel, {work} ms in all, {message} ms for each round of messages. {ranks} "
        f"ranks: {law:.1f} times as fast by Amdahl's law ({limit}), {paid:.1f} times with messages. "
        f"The best number of ranks is {best}."
    )
    return page(svg(680, 265, text, *parts), paragraph(text))
