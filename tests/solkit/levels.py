"""A model's program for a level of x86-64 machines: generated, compiled and run in this process."""

import ctypes
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from solkit import clusters, passes
from solkit.clusters import Cluster
from solkit.codegen import Program, generate
from solkit.codegen.program import implementations
from solkit.frontend.torch import capture
from solkit.ir import Graph
from solkit.runtime.placement import Placement
from solkit.runtime.weights import Values, pack
from solkit.specialization import find_tensor
from solkit.target import Target
from solkit.toolchain import Compiler, _build

DRIVER = """
#include "sol.h"

extern const sol_cluster sol_clusters[];

void run_all(float *const *value, int clusters) {
    for (int i = 0; i < clusters; i++) {
        float *buffer[SOL_MOST_BUFFERS];
        for (int k = 0; k < sol_clusters[i].buffers; k++) buffer[k] = value[sol_clusters[i].values[k]];
        for (int64_t task = 0; task < *sol_clusters[i].tasks * sol_clusters[i].rounds; task++)
            sol_clusters[i].kernel(buffer, task);
    }
}
"""
MARGIN = 64  # floats behind a buffer that whole vectors may reach; what a kernel writes there is found


def generated(
    model: nn.Module, inputs: Sequence[torch.Tensor], target: Target, choice: str = "direct"
) -> tuple[Graph, list[Cluster], Program]:
    """The program of `model` for `target`; `choice` is the implementation of all clusters that have it."""
    graph, _, _ = capture(model.eval(), tuple(inputs), {})
    passes.optimize(graph, check=True, target=target)
    parts = clusters.partition(graph)
    assert all(part.kind != "torch" for part in parts)
    for part in parts:
        names = implementations(part)
        if len(names) > 1:
            part.choice = choice if choice in names else "direct"
    return graph, parts, generate(parts, target)


def run(
    model: nn.Module,
    inputs: Sequence[torch.Tensor],
    target: Target,
    compiler: Compiler,
    folder: Path,
    choice: str = "direct",
) -> list[torch.Tensor]:
    """What `model` gives when compiled for `target`: a tensor for each output."""
    graph, parts, program = generated(model, inputs, target, choice)
    _build(compiler, {**program.sources, "driver.c": DRIVER}, folder / "made.so", target)
    library = ctypes.CDLL(str(folder / "made.so"))
    assert ctypes.c_int32.in_dll(library, "sol_vector_length").value == target.vector_length
    places = Placement(graph, parts, program, target.vector_length)
    known = Values(graph, {name: find_tensor(model, name) for name in graph.parameters})
    given = dict(zip(graph.inputs, inputs, strict=True))
    memory = {}
    for value, panels in program.buffers:
        root = places.of(value)
        if (root, panels) in memory:
            continue
        if value in known or root in given:
            tensor = (known[value] if value in known else given[root]).detach().to(torch.float32)
            content = (pack(tensor, panels, target.vector_length) if panels else tensor).reshape(-1).numpy()
        else:
            # What a kernel forgets to write shows.
            content = np.full(root.layout.elements(root.shape, target.vector_length), np.nan, np.float32)
        memory[root, panels] = np.concatenate([content, np.full(MARGIN, 7, np.float32)])
    table = (ctypes.c_void_p * len(program.buffers))()
    for index, (value, panels) in enumerate(program.buffers):
        table[index] = memory[places.of(value), panels].ctypes.data
    library.run_all(table, sum(part.compiled for part in parts))
    assert all((content[-MARGIN:] == 7).all() for content in memory.values()), "a kernel writes behind a buffer"
    results = []
    for value in graph.outputs:
        made = memory[places.of(value), None][: value.type.size]
        results.append(torch.from_numpy(made.copy()).reshape(value.shape))
    return results
