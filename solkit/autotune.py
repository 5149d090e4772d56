"""Choose between implementations of the heavy operators by measuring them, once per shape and machine.

What was measured is kept in the cache. Candidates run on made-up data, with as many threads as a call will have, in
turns, and the best time of each counts: whatever else a machine does can only make a run slower.
"""

import ctypes
import dataclasses
import json
import os
import time
from pathlib import Path

import torch

from solkit import __version__, cache
from solkit.clusters import Cluster
from solkit.codegen import generate
from solkit.codegen.kernel import Buffer
from solkit.codegen.winograd import ALGORITHMS, is_winograd
from solkit.config import config, log
from solkit.runtime.library import Library, runtime
from solkit.runtime.weights import packed_elements
from solkit.target import Target

DIRECT = "direct"
ROUNDS = 3
RUN_SECONDS = 0.004  # of one candidate in one round, at least one run
_FILE = "choice.json"


def tune(clusters: list[Cluster], target: Target) -> None:
    """Set the `choice` and `losers` of each cluster that has several implementations."""
    open_questions: dict[str, list[Cluster]] = {}
    for cluster in clusters:
        if len(candidates(cluster)) > 1:
            open_questions.setdefault(_signature(cluster, target), []).append(cluster)
    if config["autotuning"] == "off":
        for asking in open_questions.values():
            for cluster in asking:
                cluster.choice = candidates(cluster)[-1]
        return
    unknown = {}
    for key, asking in open_questions.items():
        kept = cache.find(key)
        if not (kept and _apply(asking, kept / _FILE)):
            unknown[key] = asking
    if not unknown:
        return
    log.info("measuring %d kinds of cluster", len(unknown))
    for key, times in _measure({key: asking[0] for key, asking in unknown.items()}, target).items():
        text = json.dumps(times)
        folder = cache.make(key, lambda folder, text=text: (folder / _FILE).write_text(text))
        _apply(unknown[key], folder / _FILE)


def candidates(cluster: Cluster) -> list[str]:
    """Names of the implementations of a cluster; the last is the best guess."""
    if cluster.kind == "dnn" and is_winograd(cluster):
        return [DIRECT, *ALGORITHMS]
    return [DIRECT]


def _signature(cluster: Cluster, target: Target) -> str:
    """A cache key of everything the measured times depend on."""
    names: dict[object, int] = {}
    parts = []
    for node in cluster.nodes:
        values = [(names.setdefault(v, len(names)), str(v.type), str(v.layout)) for v in (*node.inputs, *node.outputs)]
        parts.append(f"{node.op} {values} {sorted(node.attributes.items(), key=str)}")
    threads = config["threads"] or torch.get_num_threads()
    machine = (target.name, *target.features, str(threads), str(os.cpu_count()), config["autotuning"])
    return cache.key_of("tuning", __version__, *machine, *parts)


def _apply(asking: list[Cluster], path: Path) -> bool:
    try:
        times = json.loads(path.read_text())
        chosen = min(times, key=times.get)
    except (OSError, ValueError):
        return False
    for cluster in asking:
        cluster.choice = chosen
        cluster.losers = [(name, ms) for name, ms in times.items() if name != chosen]
    return True


def _measure(asked: dict[str, Cluster], target: Target) -> dict[str, dict[str, float]]:
    """Milliseconds of each candidate of each of these clusters."""
    entries = [(key, name, cluster) for key, cluster in asked.items() for name in candidates(cluster)]
    program = generate([dataclasses.replace(cluster, choice=name) for _, name, cluster in entries], target)
    library, run = Library(program), runtime()
    memory = _Memory(program.buffers, library.vector_length)
    threads = config["threads"] or torch.get_num_threads()
    best = [float("inf")] * len(entries)
    for _ in range(ROUNDS):
        for index in range(len(entries)):
            end = time.perf_counter() + RUN_SECONDS
            while True:
                start = time.perf_counter()
                run.run(run.pool(), library.clusters, memory.table, index, index + 1, threads, None)
                now = time.perf_counter()
                best[index] = min(best[index], now - start)
                if now > end:
                    break
    found: dict[str, dict[str, float]] = {}
    for (key, name, _), seconds in zip(entries, best, strict=True):
        found.setdefault(key, {})[name] = 1e3 * seconds
    return found


class _Memory:
    """Room for all buffers of a program; buffers of different clusters may share it."""

    def __init__(self, buffers: list[Buffer], vector_length: int) -> None:
        sizes = [
            packed_elements(value.shape, panels, vector_length)
            if panels
            else value.layout.elements(value.shape, vector_length)
            for value, panels in buffers
        ]
        self.memory = torch.full((sum(sizes) + 64 * len(sizes) + 64,), 0.01)
        self.table = (ctypes.c_void_p * max(1, len(sizes)))()
        address = self.memory.data_ptr()
        for index, size in enumerate(sizes):
            address = (address + 63) // 64 * 64
            self.table[index] = address
            address += 4 * size
