"""Inference: solkit beside PyTorch, torch.compile, ONNX Runtime and OpenVINO, float32, the same number of threads.

python -m benchmarks.inference
python -m benchmarks.inference --networks deck3,resnet18 --batch 1 --threads 2 --json results/inference.json

Each network is measured in a process of its own for each number of threads. All of the ten networks take about an hour.
"""

import dataclasses
import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from benchmarks import processes, report
from benchmarks.engines import ENGINES
from benchmarks.measure import ROUNDS, machine
from benchmarks.peak import Peak
from benchmarks.report import Row
from labs import zoo
from solkit.target import host
from solkit.toolchain import find_compiler

DEFAULT = "densenet161,resnet50,shufflenet_v2_x2_0,squeezenet1_0,vgg11_bn,mobilenet_v2,resnet18,mlp,bert_base,gpt2"


@dataclass
class Found:
    """All figures of one run; the file that --json writes has these keys."""

    machine: dict[str, str]
    peaks: dict[int, Peak] = field(default_factory=dict)  # by threads
    rows: list[Row] = field(default_factory=list)
    memory: dict[int, dict[str, dict[str, Any]]] = field(default_factory=dict)  # by batch, network and engine
    start_up: dict[str, dict[str, Any]] = field(default_factory=dict)  # by network


def main(
    networks: Annotated[str, typer.Option(help="names with commas between, or 'all' of the zoo")] = DEFAULT,
    batch: Annotated[str, typer.Option(help="batch sizes")] = "1,16",
    threads: Annotated[str, typer.Option(help="numbers of threads")] = "1,2",
    engines: Annotated[str, typer.Option(help="which to compare")] = ",".join(ENGINES),
    rounds: Annotated[int, typer.Option(min=1, help="blocks of each engine")] = ROUNDS,
    memory: Annotated[bool, typer.Option("--memory", help="measure each engine's memory, too")] = False,
    start_up: Annotated[bool, typer.Option("--start-up", help="measure the time of sol.optimize, too")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write all figures there")] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="write the tables there")] = None,
    readme: Annotated[bool, typer.Option("--readme", help="put the tables into README.md")] = False,
) -> None:
    """Print a table for each batch size and number of threads: milliseconds of a call, ratios, shares of the peak."""
    chosen = _names(networks if networks != "all" else ",".join(zoo.NETWORKS), zoo.NETWORKS, "network")
    compared = _names(engines, ENGINES, "engine")
    batches, counts = _numbers(batch, "batch"), _numbers(threads, "threads")
    packages = dict.fromkeys(package for name in compared for package in ENGINES[name].packages)
    extra = {
        "instructions of PyTorch": torch.backends.cpu.get_cpu_capability(),
        "of solkit": host().name,
        "compiler of solkit": find_compiler().description,
    }
    found = Found({**machine(*packages), **extra})
    progress = Console(stderr=True, soft_wrap=True)
    for count in counts:
        progress.print(f"measuring the peak of the machine, threads {count}")
        found.peaks[count] = Peak(**processes.run("peaks", threads=count))
    for number, name in enumerate(chosen, 1):
        says = zoo.NETWORKS[name].says
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:  # the caches and files of one network
            for count in counts:
                progress.print(f"[{number}/{len(chosen)}] {says}, threads {count}", markup=False)
                rows = processes.time_network(name, batches, count, compared, rounds, folder)
                found.rows += rows
                progress.print(*map(_progress, rows), sep="\n", markup=False)
                _write(json_file, found)
            if memory:
                for size in batches:
                    progress.print(f"[{number}/{len(chosen)}] {says}, memory at batch {size}", markup=False)
                    used = {
                        engine: processes.measure_memory(name, size, max(counts), engine, folder) for engine in compared
                    }
                    found.memory.setdefault(size, {})[says] = used
            if start_up:
                progress.print(f"[{number}/{len(chosen)}] {says}, start-up", markup=False)
                found.start_up[says] = processes.measure_start_up(name, batches[0], max(counts), folder)
            _write(json_file, found)
    sheets = report.times(found.rows, found.peaks)
    sheets += [report.memory(used, size, max(counts)) for size, used in found.memory.items()]
    sheets += [report.start_up(found.start_up, batches[0])] if start_up else []
    out = Console() if Console().is_terminal else Console(width=report.WIDTH)
    for sheet in sheets:
        out.print(sheet.rich())
    out.print(report.where(found.machine, found.peaks), markup=False)
    text = report.markdown(sheets, found.machine, found.peaks)
    if markdown_file is not None:
        markdown_file.parent.mkdir(parents=True, exist_ok=True)
        markdown_file.write_text(text)
    if readme:
        report.replace_in(processes.ROOT / "README.md", text)


def _names(text: str, known: Iterable[str], what: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise typer.BadParameter(f"no {what} is called {', '.join(map(repr, unknown))}; there are {', '.join(known)}")
    return names


def _numbers(text: str, what: str) -> list[int]:
    numbers = [int(number) if number.strip().isdecimal() else 0 for number in text.split(",")]
    if min(numbers) < 1:
        raise typer.BadParameter(f"--{what} takes whole numbers above 0 with commas between, not {text!r}")
    return sorted(set(numbers))


def _progress(row: Row) -> str:
    cells = (
        f"{ENGINES[name].title} {figures['median_ms']:.2f} ms (error {figures['error']:.0e})"
        if "median_ms" in figures
        else f"{ENGINES[name].title} failed"
        for name, figures in row.engines.items()
    )
    return f"  batch {row.batch}: {', '.join(cells)}"


def _write(path: Path | None, found: Found) -> None:
    """The figures so far, so that a run that is stopped leaves what it has."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dataclasses.asdict(found), indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
