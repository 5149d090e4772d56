"""Inference: solkit against PyTorch eager, float32, the same number of threads.

python -m benchmarks.inference --networks deck3,resnet18,mlp --threads 2 --json results/inference.json
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

import solkit as sol
from benchmarks.measure import ROUNDS, compare, machine
from labs import zoo
from solkit.target import host


@dataclass(frozen=True)
class Network:
    """A network of the zoo and the shape of one input, without the batch."""

    make: Callable[[], torch.nn.Module]
    shape: tuple[int, ...]
    says: str


NETWORKS = {
    "deck3": Network(zoo.deck3, (512, 13, 13), "Conv 1x1 + bias, ReLU, AvgPool 13x13"),
    "resnet18": Network(zoo.resnet18, (3, 224, 224), "ResNet-18"),
    "mlp": Network(zoo.mlp, (8192,), "MLP 8192x3"),
}

# Each makes a call out of a model and its input. The first is what ratios are taken against.
ENGINES: dict[str, Callable[[torch.nn.Module, torch.Tensor], Callable[[], object]]] = {
    "PyTorch eager": lambda model, x: lambda: model(x),
    "solkit": lambda model, x: (lambda optimized: lambda: optimized(x))(sol.optimize(model, x)),
}


def measure(network: Network, batch: int, rounds: int) -> dict[str, dict[str, float]]:
    """For each engine: median milliseconds, spread, and how many times as fast as the first."""
    torch.manual_seed(0)
    model, x = network.make(), torch.randn(batch, *network.shape)
    times = compare({name: start(model, x) for name, start in ENGINES.items()}, rounds)
    first = next(iter(times.values())).median_ms
    return {
        name: {"median_ms": found.median_ms, "spread": found.spread, "speedup": first / found.median_ms}
        for name, found in times.items()
    }


def main(
    networks: Annotated[str, typer.Option(help="names with commas between, or 'all'")] = "all",
    batch: Annotated[int, typer.Option(min=1)] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="default: as many as PyTorch takes")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="blocks of each engine")] = ROUNDS,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the figures there, too")] = None,
) -> None:
    """Print one table: median milliseconds of a call, and how many times as fast as PyTorch eager."""
    names = list(NETWORKS) if networks == "all" else [name.strip() for name in networks.split(",")]
    unknown = [name for name in names if name not in NETWORKS]
    if unknown:
        raise typer.BadParameter(f"no network is called {', '.join(unknown)}; there are {', '.join(NETWORKS)}")
    if threads:
        torch.set_num_threads(threads)
    found = {}
    with torch.no_grad():
        for name in names:
            Console(stderr=True).print(f"measuring {NETWORKS[name].says} ...")
            found[name] = measure(NETWORKS[name], batch, rounds)
    where = {**machine("torch", "aurora-labs"), "target": host().name, "threads": str(torch.get_num_threads())}
    _print(found, batch, where)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps({"machine": where, "batch": batch, "networks": found}, indent=1) + "\n")


def _print(found: dict[str, dict[str, dict[str, float]]], batch: int, where: dict[str, str]) -> None:
    head, *others = ENGINES
    table = Table(title=f"Inference, batch {batch}, float32: median ms of a call (times {head})")
    table.add_column("network")
    for name in ENGINES:
        table.add_column(name, justify="right")
    for name, engines in found.items():
        cells = [f"{engines[head]['median_ms']:.3f}"]
        cells += [f"{engines[other]['median_ms']:.3f} ({engines[other]['speedup']:.2f}x)" for other in others]
        table.add_row(NETWORKS[name].says, *cells)
    means = [exp(sum(log(row[other]["speedup"]) for row in found.values()) / len(found)) for other in others]
    table.add_row("geometric mean", "", *(f"({mean:.2f}x)" for mean in means))
    console = Console(width=110)
    console.print(table)
    console.print(", ".join(f"{key} {value}" for key, value in where.items()))


if __name__ == "__main__":
    typer.run(main)
