"""Choose between implementations of the heavy operators by measuring them, once per shape and machine.

Candidates are measured where they will run: the whole model is made once with each kind of implementation, and runs a
few times on its own weights, so that caches hold what they will hold. What was measured is kept in the cache. The best
time of each counts: whatever else a machine does can only make a run slower. A machine may also be slower as a whole
for a while; the clusters that are the same in every round tell by how much.
"""

import ctypes
import json
import os
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
from solkit.target import Target

RUNS = {"on": 5, "full": 15}  # of the whole model with each kind of implementation
ASKED = 2  # clusters of a kind that are measured: each may need code of its own, where it lies in a concatenation, say
SHARE = 0.1  # of the time of a model that clusters need to be a measure of the machine
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
    found: dict[str, dict[str, float]] = {key: {} for key in unknown}
    asked = {cluster for alike in unknown.values() for cluster in alike}
    usual = 0.0  # seconds of the clusters that are not asked about, in the best run of the first round
    for turn in range(max(len(implementations(alike[0])) for alike in unknown.values())):
        update(f"measuring implementations, round {turn + 1}")
        for alike in unknown.values():
            names = implementations(alike[0])
            for cluster in alike:
                cluster.choice = names[min(turn, len(names) - 1)]
        engine = Engine(graph, clusters, generate(clusters, target))
        weights = engine.bind(parameters)
        best = [float("inf")] * len(natives)
        for _ in range(RUNS[config["autotuning"]]):
            seconds = (ctypes.c_double * len(natives))()
            engine.run(inputs, weights, seconds)
            best = list(map(min, best, seconds))
        others = sum(time for cluster, time in zip(natives, best, strict=True) if cluster not in asked)
        usual = usual or others
        if others > SHARE * sum(best):
            best = [time * usual / others for time in best]
        del engine, weights  # before the next ones are made
        times = dict(zip(natives, best, strict=True))
        for key, alike in unknown.items():
            mean = 1e3 * sum(times[cluster] for cluster in alike) / len(alike)
            found[key][alike[0].choice] = min(mean, found[key].get(alike[0].choice, mean))
    return found
