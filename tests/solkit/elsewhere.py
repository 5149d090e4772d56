"""Run the C of an optimized model on another machine: a small driver, the cross compiler, an emulator."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils import _pytree as pytree

from solkit.module import SolModule
from solkit.runtime.weights import Values, pack
from solkit.target import ARM64, Target
from solkit.toolchain import FLAGS, cross_compiler, kernels

LIBRARIES = Path("/usr/aarch64-linux-gnu")

DRIVER = """
#include <stdio.h>
#include <stdlib.h>
#include "sol.h"

extern const sol_cluster sol_clusters[];
static const long first[] = {%(first)s};

int main(int count, char **names) {
    float *memory = aligned_alloc(64, %(bytes)d);
    FILE *file = fopen(names[1], "rb");
    if (count != 3 || !memory || !file || fread(memory, 4, %(floats)d, file) != %(floats)d) return 1;
    fclose(file);
    for (int i = 0; i < %(clusters)d; i++) {
        float *buffer[SOL_MOST_BUFFERS];
        for (int k = 0; k < sol_clusters[i].buffers; k++) buffer[k] = memory + first[sol_clusters[i].values[k]];
        for (int64_t task = 0; task < *sol_clusters[i].tasks * sol_clusters[i].rounds; task++)
            sol_clusters[i].kernel(buffer, task);
    }
    file = fopen(names[2], "wb");
    return !file || fwrite(memory, 4, %(floats)d, file) != %(floats)d || fclose(file);
}
"""


def agree_on_arm64(model: SolModule, inputs: list[torch.Tensor], require_tool: Callable, folder: Path) -> None:
    """The same C text, compiled for arm64 and run by an emulator, gives what it gives here."""
    emulator = [require_tool("qemu"), "-L", str(LIBRARIES)]
    if not LIBRARIES.exists():
        require_tool("arm64 libraries")
    with torch.no_grad():
        here = pytree.tree_leaves(model(*inputs))
    for mine, theirs in zip(here, run(model, inputs, ARM64, emulator, folder), strict=True):
        # Sums are taken in the same order; only fused multiply-adds and exp may round differently.
        torch.testing.assert_close(theirs, mine, rtol=1e-4, atol=1e-5 * mine.abs().max().item())


def run(model: SolModule, inputs: list[torch.Tensor], target: Target, emulator: list[str], folder: Path) -> list:
    """What the model's own C text, compiled for `target`, gives for these inputs: a tensor for each output."""
    engine = model._engine
    known = Values(engine.graph, model._tensors())
    given = dict(zip(engine.graph.inputs, inputs, strict=True))
    length = target.vector_length
    content, first, places = [], [], {}
    for value, panels in engine.program.buffers:
        root = engine.placement.of(value)
        first.append(places.get((root, panels), sum(map(len, content))))
        if (root, panels) in places:
            continue
        places[root, panels] = first[-1]
        if value in known or root in given:
            tensor = (known[value] if value in known else given[root]).to(torch.float32)
            content.append((pack(tensor, panels, length) if panels else tensor).reshape(-1).numpy())
        else:
            size = root.layout.elements(root.shape, length)
            content.append(np.full(size, np.nan, np.float32))  # what a kernel forgets to write shows
        content.append(np.zeros(-len(content[-1]) % 16 + 16, np.float32))
    memory = np.concatenate(content)
    memory.tofile(folder / "before")
    for name, text in engine.program.sources.items():
        (folder / name).write_text(text)
    clusters = sum(cluster.compiled for cluster in engine.clusters)
    numbers = {"floats": len(memory), "bytes": 4 * len(memory) + 64, "clusters": clusters}
    (folder / "main.c").write_text(DRIVER % {"first": ", ".join(map(str, first)), **numbers})
    compiler = cross_compiler()
    sources = [folder / "main.c", *(folder / name for name in engine.program.sources)]
    compiler.run(*FLAGS, *compiler.flags(target), f"-I{kernels()}", *sources, "-o", folder / "main")
    subprocess.run([*emulator, folder / "main", folder / "before", folder / "after"], check=True, timeout=240)
    made = np.fromfile(folder / "after", np.float32)
    results = []
    for value in engine.graph.outputs:
        start = places[engine.placement.of(value), None]
        results.append(torch.from_numpy(made[start : start + value.type.size].copy()).reshape(value.shape))
    return results
