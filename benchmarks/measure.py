"""How engines are timed against each other: in blocks, in turns, in one process.

A block is a pause, a few calls that do not count, and then timed calls for at least a third of a second. The blocks of
all engines make a round; the engine that begins changes from round to round. The pause matters: threads of the engine
before spin on for a while after its last call and would slow down whoever comes next. Medians are over all timed calls.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PAUSE = 0.25  # seconds of quiet before a block
WARM_UP = 3  # calls of a block that do not count; fewer where the first of them fill the time of a block
BLOCK = 0.3  # seconds of timed calls, at least
ROUNDS = 4


@dataclass(frozen=True)
class Times:
    """Seconds of every timed call of one engine."""

    seconds: list[float]

    @property
    def median_ms(self) -> float:
        return 1e3 * statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Distance between the quartiles, of the median: how quiet the machine was."""
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return (high - low) / statistics.median(self.seconds)


def compare(engines: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, Times]:
    """Time every engine's call against the others'."""
    names = list(engines)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            seconds[name] += _block(engines[name])
    return {name: Times(times) for name, times in seconds.items()}


def _block(call: Callable[[], object]) -> list[float]:
    time.sleep(PAUSE)
    end = time.perf_counter() + BLOCK
    for _ in range(WARM_UP):
        call()
        if time.perf_counter() > end:
            break
    times: list[float] = []
    end = time.perf_counter() + BLOCK
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def machine(*packages: str) -> dict[str, str]:
    """What was measured on: processor, processors, and the versions of those of these packages that are installed."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = (line.partition(":") for line in cpuinfo.read_text(errors="replace").splitlines())
        model = next((value.strip() for key, _, value in lines if key.strip() == "model name"), model)
    found = {"processor": model, "processors": str(len(os.sched_getaffinity(0))), "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # its engine says so below the table
    return found
