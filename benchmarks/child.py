"""What runs in a process of its own, so that no network leaves threads or memory to the next; see `processes.run`.

python -m benchmarks.child JOB RESULT: two files of JSON. A job names its kind, and the arguments of its function.
"""

import ctypes
import dataclasses
import gc
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks import peak, processes
from benchmarks.engines import ENGINES, TOLERANCE, Call, largest_error
from benchmarks.measure import compare
from benchmarks.work import count
from labs import zoo
from labs.zoo.registry import Entry

CALLS = 3  # whose peak of memory is taken


def main(job_file: str, result_file: str) -> None:
    """Do the job; the result is what its function returns."""
    job = json.loads(Path(job_file).read_text())
    torch.set_num_threads(job.get("threads", 1))
    with torch.no_grad():
        result = KINDS[job.pop("kind")](**job)
    Path(result_file).write_text(json.dumps(result))


# --- times -----------------------------------------------------------------------------------------------------------


def times(network: str, batches: list[int], threads: int, engines: list[str], rounds: int, folder: str) -> list[dict]:
    """Time these engines side by side, for each batch size. See `side_by_side`."""
    found = []
    for batch in batches:
        found.append(side_by_side(zoo.NETWORKS[network], batch, threads, engines, rounds, Path(folder)))
        gc.collect()
    return found


def side_by_side(entry: Entry, batch: int, threads: int, engines: list[str], rounds: int, folder: Path) -> dict:
    """One row of the benchmark: what `report.Row` holds.

    Each engine's result is compared with PyTorch's first; an engine that fails or is wrong gets a reason and no time.
    """
    torch.manual_seed(0)
    model, inputs = entry.make(), entry.inputs(batch)
    kept = folder / str(batch)
    kept.mkdir(parents=True, exist_ok=True)
    reference, work = count(model, inputs)
    calls: dict[str, Call] = {}
    found: dict[str, dict[str, Any]] = {}
    for name in engines:
        (folder / processes.AT).write_text(name)
        try:
            calls[name], found[name] = _checked(ENGINES[name].start(model, inputs, threads, kept), reference)
        except Exception as error:
            found[name] = {"reason": reason(error)}
    (folder / processes.AT).unlink(missing_ok=True)
    for name, seen in compare(calls, rounds).items() if calls else ():
        found[name] |= {"median_ms": seen.median_ms, "spread": seen.spread, "calls": len(seen.seconds)}
    placed = {"network": entry.says, "batch": batch, "threads": threads}
    return {**placed, **dataclasses.asdict(work), "engines": found}


def _checked(call: Call, reference: Any) -> tuple[Call, dict[str, Any]]:
    error = largest_error(call(), reference)
    if not error <= TOLERANCE:  # so also for NaN
        raise ValueError(f"wrong result: the largest error is {error:.1e} of the largest output")
    return call, {"error": error}


def reason(error: Exception) -> str:
    """An exception in one line for a reader of the table."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed: pip install 'aurora-labs[bench]'"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}"


# --- memory ----------------------------------------------------------------------------------------------------------


def memory(network: str, batch: int, threads: int, engine: str, folder: str) -> dict[str, float]:
    """Resident memory of this process in MiB, see `_resident`.

    Returns:
        start: with the model, before the engine has it;
        held: the engine is ready and had a first call (in which some compile, pack weights, or get buffers to keep);
        peak: the most in the calls after that.
    Raises:
        OSError: the system has no /proc as on Linux, or does not let a process reset its peak.
    """
    entry, kept = zoo.NETWORKS[network], Path(folder) / str(batch)
    kept.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model, inputs = entry.make(), entry.inputs(batch)
    if engine == "solkit":
        importlib.import_module("solkit.optimize")
    start = _resident("VmRSS")
    call = ENGINES[engine].start(model, inputs, threads, kept)
    del model  # an engine with weights of its own does without
    call()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed and is only kept for reuse is not held
    held = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    for _ in range(CALLS):
        call()
    return {"start": start, "held": held, "peak": _resident("VmHWM")}


def _resident(key: str) -> float:
    """A line of /proc/self/status in MiB: VmRSS, resident now; VmHWM, the most since /proc/self/clear_refs was written
    (proc(5))."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[key].split()[0]) / 1024


# --- start-up --------------------------------------------------------------------------------------------------------


def start_up(network: str, batch: int, threads: int) -> float:
    """Seconds of `sol.optimize` in this process, solkit imported and the model made."""
    import solkit as sol

    entry = zoo.NETWORKS[network]
    torch.manual_seed(0)
    model, inputs = entry.make(), entry.inputs(batch)
    optimize = sol.optimize  # imports what it is made of
    begin = time.perf_counter()
    optimize(model, *inputs)
    return time.perf_counter() - begin


def peaks(threads: int) -> dict[str, float]:
    """The machine's peaks with so many threads: `peak.Peak`."""
    return dataclasses.asdict(peak.measure(threads))


KINDS: dict[str, Callable[..., Any]] = {"times": times, "memory": memory, "start_up": start_up, "peaks": peaks}


if __name__ == "__main__":
    main(*sys.argv[1:])
