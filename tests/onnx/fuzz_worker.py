"""Loads and runs mutated models, number `first` to `last`, and says in a line of JSON what became of each.

It is a process of its own: a model may end it, and the memory that it may take is bounded.

    python fuzz_worker.py FIRST LAST FOLDER
"""

import faulthandler
import json
import random
import resource
import sys
import traceback
from math import prod
from pathlib import Path
from typing import Any

ADDRESSES = 12 << 30  # bytes, much of them for libraries
MOST_MEMORY = 3 << 30  # bytes that a worker may really take: libraries, LIMITS below, what the checks need
ENDLESS = 240  # seconds after which a model counts as one that never ends
OPTIMIZED_EACH = 8


def main(first: int, last: int, folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    faulthandler.enable()
    import torch
    from mutate import mutated
    from seeds import EXTERNAL, SEEDS

    import solkit as sol
    from solkit.frontend.onnx.limits import LIMITS

    torch.set_num_threads(1)
    sol.config["autotuning"] = "off"
    LIMITS.tensor, LIMITS.memory, LIMITS.items = 1 << 26, 1 << 28, 1 << 10
    LIMITS.steps, LIMITS.captured_steps = 2048, 512
    (folder / "weights.bin").write_bytes(EXTERNAL)
    originals = [make().SerializeToString() for make in SEEDS]
    for number in range(first, last):
        print(json.dumps({"begun": number}), flush=True)
        faulthandler.dump_traceback_later(ENDLESS, exit=True)
        # The same kinds of damage to each model, and each model as often through sol.optimize.
        data = mutated(originals[number % len(SEEDS)], random.Random(number))
        path = folder / "model.onnx"
        path.write_bytes(data)
        try:
            outcome = outcome_of(path, number, optimize=number // len(SEEDS) % OPTIMIZED_EACH == 0)
        except Exception:
            outcome = "wrong: " + traceback.format_exc()
        faulthandler.cancel_dump_traceback_later()
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if taken > MOST_MEMORY:
            outcome = f"wrong: {taken >> 20} MiB of memory"
        print(json.dumps({"number": number, "outcome": outcome, "memory": taken}), flush=True)
        if taken > MOST_MEMORY:  # the next one must not be blamed for it
            sys.exit(1)


def outcome_of(path: Path, number: int, optimize: bool) -> str:
    """What became of a model: it ran, or which error of ours it was refused with."""
    import torch

    import solkit as sol
    from solkit.errors import SolError
    from solkit.frontend.onnx import OnnxModule

    step = "load"
    try:
        module = OnnxModule(path)
        given = inputs(module, number)
        if given is None:
            return "loaded"
        step = "optimize" if optimize else "run"
        if optimize:
            sol.optimize(path, *given)(*given)
        else:
            with torch.no_grad():
                module(*given)
    except SolError as error:
        if not str(error).strip():
            return f"wrong: a {type(error).__name__} that says nothing"
        return f"{step}: {type(error).__name__}"
    return "optimized" if optimize else "ran"


def inputs(module: Any, number: int) -> list[Any] | None:
    """Inputs as the model declares them; None if it does not say enough, or wants more than a test should make."""
    import torch

    generator = torch.Generator().manual_seed(number)
    made = []
    for shape, dtype in zip(module.shapes, module.dtypes, strict=True):
        if shape is None or dtype is None:
            return None
        sizes = [size if isinstance(size, int) else 2 for size in shape]
        if any(size < 0 for size in sizes) or prod(sizes) > 1 << 20:
            return None
        made.append((torch.rand(sizes, generator=generator) * 4).to(dtype))
    return made


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
