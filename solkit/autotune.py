"""Choose between implementations of the heavy operators by measuring them, once per shape and machine.

Candidates are measured where they will run: the whole model is made once with each kind of implementation, and runs a
few times on its own weights, so that caches hold what they will hold. What was measured is kept in the cache. The best
time of each counts: whatever else a machine does can only make a run slower.
"""

import ctypes
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from solkit import __version__, cache
from solkit.clusters import Cluster
from solkit.codegen import generate
from solkit.codegen.program import implementations
from solkit.config import config, log
from solkit.ir import Graph
from solkit.progress import update
from solkit.runtime.engine import Engine
from solkit.runtime.weights import Weights
from solkit.target import Target

TURNS = {"on": (40, 1.5), "full": (200, 6.0)}  # of the models with each kind of implementation, and seconds for all
FEWEST = 5  # turns, however long they take
ASKED = 2  # clusters of a kind that are measured: each may need code of its own, where it lies in a concatenation, say
_FILE = "choice.json"


def tune(graph: Graph, clusters: list[Cluster], target: Target, parameters: Mapping[str, torch.Tensor]) -> None:
    """Set the `choice` and `losers` of each cluster that has several implementations.

    Args:
        parameters: by their PyTorch names.
    """
    asking: dict[str, list[Cluster]] = {}
    for cluster in clusters:
        names = implementations(cluster)
        if len(names) > 1:
            cluster.choice = names[0]
            asking.setdefault(_signature(cluster, target), []).append(cluster)
    if config["autotuning"] == "off":
        return
    unknown = {}
    for key, alike in asking.items():
        kept = cache.find(key)
        if kept and _apply(alike, kept / _FILE):
            continue
        cache.drop(key)
        unknown[key] = alike
    if not unknown:
        return
    log.info("measuring %d kinds of cluster", len(unknown))
    for key, times in _measure(graph, clusters, unknown, target, parameters).items():
        text = json.dumps(times)
        folder = cache.make(key, lambda folder, text=text: (folder / _FILE).write_text(text))
        _apply(unknown[key], folder / _FILE)


def _signature(cluster: Cluster, target: Target) -> str:
    """A cache key of everything the measured times depend on."""
    names: dict[object, int] = {}
    parts = []
    for node in cluster.nodes:
        values = [(names.setdefault(v, len(names)), str(v.type), str(v.layout)) for v in (*node.inputs, *node.outputs)]
        attributes = {k: v for k, v in node.attributes.items() if k != "folded"}
        parts.append(f"{node.op} {values} {sorted(attributes.items(), key=str)}")
    threads = config["threads"] or torch.get_num_threads()
    machine = (target.name, *target.features, str(threads), str(os.cpu_count()), config["autotuning"])
    return cache.key_of("tuning", __version__, *machine, *parts)


def _apply(alike: list[Cluster], path: Path) -> bool:
    """Choose what took least time; False if the file does not say."""
    try:
        times = {name: float(ms) for name, ms in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return False
    if set(times) != set(implementations(alike[0])):
        return False
    chosen = min(times, key=times.get)
    for cluster in alike:
        cluster.choice = chosen
        cluster.losers = [(name, ms) for name, ms in times.items() if name != chosen]
    return True


def _measure(
    graph: Graph,
    clusters: list[Cluster],
    unknown: dict[str, list[Cluster]],
    target: Target,
    parameters: Mapping[str, torch.Tensor],
) -> dict[str, dict[str, float]]:
    """Milliseconds of each implementation of each kind of cluster, the mean over the first clusters of the kind."""
    unknown = {key: alike[:ASKED] for key, alike in unknown.items()}
    natives = [cluster for cluster in clusters if cluster.compiled]
    inputs = [torch.zeros(value.shape, dtype=value.type.dtype) for value in graph.inputs]
    rounds = []  # for each, the implementation of each kind, and the model made with them
    for turn in range(max(len(implementations(alike[0])) for alike in unknown.values())):
        update(f"measuring implementations, round {turn + 1}")
        for alike in unknown.values():
            names = implementations(alike[0])
            for cluster in alike:
                cluster.choice = names[min(turn, len(names) - 1)]
        engine = Engine(graph, clusters, generate(clusters, target))
        chosen = {key: alike[0].choice for key, alike in unknown.items()}
        rounds.append((chosen, engine, engine.bind(parameters)))
    update("measuring implementations")
    best = _best_times([(engine, weights) for _, engine, weights in rounds], inputs, len(natives))
    found: dict[str, dict[str, float]] = {key: {} for key in unknown}
    for (chosen, _, _), seconds in zip(rounds, best, strict=True):
        times = dict(zip(natives, seconds, strict=True))
        for key, alike in unknown.items():
            mean = 1e3 * sum(times[cluster] for cluster in alike) / len(alike)
            found[key][chosen[key]] = min(mean, found[key].get(chosen[key], mean))
    return found


def _best_times(models: list[tuple[Engine, Weights]], inputs: list[torch.Tensor], natives: int) -> list[list[float]]:
    """Seconds of each compiled cluster in each of these models, the best of several calls.

    The models take turns, for what else a machine does may slow it down for longer than a few calls. Each is called
    twice in a turn, and the second call counts: the first finds the caches full of another model's weights.
    """
    best = [[float("inf")] * natives for _ in models]
    most, seconds = TURNS[config["autotuning"]]
    end = time.perf_counter() + seconds
    for turn in range(most):
        if turn >= FEWEST and time.perf_counter() > end:
            break
        for index, (engine, weights) in enumerate(models):
            for _ in range(2):
                spent = (ctypes.c_double * natives)()
                engine.run(inputs, weights, spent)
            best[index] = list(map(min, best[index], spent))
    return best
