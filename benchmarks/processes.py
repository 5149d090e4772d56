"""Jobs in processes of their own, seen from the parent.

`run` starts a new Python; arguments and results go through files as JSON, and a job that dies says why. `call` is for a
function of the benchmark itself; arguments and results are pickled, and what it raises is raised here.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import typer

from benchmarks.report import Row
from labs import zoo

ROOT = Path(__file__).resolve().parent.parent
AT = "at"  # a file in a job's folder: the engine that is being started, and to blame if the process dies
LIMIT = 3 * 3600  # seconds; a job that takes longer hangs


class JobError(Exception):
    """A job ended without a result; the text says why, in one line."""


def run(kind: str, environment: dict[str, str] | None = None, **arguments: Any) -> Any:
    """Run `child.KINDS[kind](**arguments)` in a new Python process and give what it returns.

    Args:
        environment: variables for it, besides this process's own.
    Raises:
        JobError: it failed, was killed, or took over three hours.
    """
    with tempfile.TemporaryDirectory() as folder:
        job, result = Path(folder) / "job.json", Path(folder) / "result.json"
        job.write_text(json.dumps({"kind": kind, **arguments}))
        try:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.child", str(job), str(result)],
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # engines talk
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                timeout=LIMIT,
            )
        except subprocess.TimeoutExpired as error:
            raise JobError(f"no result after {LIMIT // 3600} hours") from error
        if done.returncode < 0:
            raise JobError(f"the process was ended by {signal.Signals(-done.returncode).name}")
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.strip()] or ["without a word"]
            raise JobError(f"the process failed: {said[-1].strip()[:300]}")
        return json.loads(result.read_text())


def call(job: Callable[..., Any], *arguments: Any, cache: str | None = None) -> Any:
    """Give what `job(*arguments)` returns in a new process. Neither threads nor memory of one job are left to the next.

    Args:
        cache: the folder of solkit's cache there, which later calls may share; None: an empty one for this call alone.
    """
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as empty,
        ProcessPoolExecutor(1, get_context("spawn"), _use_cache, (cache or empty,)) as pool,
    ):
        return pool.submit(job, *arguments).result()


def _use_cache(folder: str) -> None:
    os.environ["SOL_CACHE_DIR"] = folder


def thread_counts(threads: str) -> list[int]:
    """The numbers that an option --threads has with commas between, ascending.

    Raises:
        typer.BadParameter: it has something else.
    """
    if not all(number.isdecimal() and int(number) for number in threads.split(",")):
        raise typer.BadParameter(f"--threads takes whole numbers above 0 with commas between, not {threads!r}")
    return sorted(set(map(int, threads.split(","))))


# --- the jobs of one network ------------------------------------------------------------------------------------------


def time_network(
    name: str, batches: list[int], threads: int, engines: list[str], rounds: int, folder: str
) -> list[Row]:
    """A row for each batch size. An engine that takes its process with it is left out, and the others begin again."""
    job = {"network": name, "batches": batches, "threads": threads, "rounds": rounds, "folder": folder}
    died: dict[str, dict[str, Any]] = {}
    at = Path(folder) / AT
    while len(died) < len(engines):
        at.unlink(missing_ok=True)
        try:
            rows = run(
                "times", _caches(folder, threads), **job, engines=[engine for engine in engines if engine not in died]
            )
        except JobError as error:
            to_blame = [at.read_text()] if at.exists() else [engine for engine in engines if engine not in died]
            died |= {engine: {"reason": str(error)} for engine in to_blame}
        else:
            # In the order they were asked for, so that columns stay where they are.
            ordered = ({engine: {**row["engines"], **died}[engine] for engine in engines} for row in rows)
            return [Row(**{**row, "engines": figures}) for row, figures in zip(rows, ordered, strict=True)]
    return [Row(zoo.NETWORKS[name].says, size, threads, None, None, died) for size in batches]


def measure_memory(name: str, batch: int, threads: int, engine: str, folder: str) -> dict[str, Any]:
    """What `child.memory` gives, or a reason. After `time_network`, which fills the caches, so that nothing is
    compiled or exported now that need not be."""
    job = {"network": name, "batch": batch, "threads": threads, "engine": engine, "folder": folder}
    try:
        return run("memory", _caches(folder, threads), **job)
    except JobError as error:
        return {"reason": str(error)}


def measure_start_up(name: str, batch: int, threads: int, folder: str) -> dict[str, Any]:
    """Seconds of sol.optimize with an empty cache (`first`) and with what that left there (`again`), or a reason."""
    cache = {"SOL_CACHE_DIR": str(Path(folder) / "start-up")}
    job = {"network": name, "batch": batch, "threads": threads}
    try:
        return {turn: run("start_up", cache, **job) for turn in ("first", "again")}
    except JobError as error:
        return {"reason": str(error)}


def _caches(folder: str, threads: int) -> dict[str, str]:
    """Caches of this run alone; what torch.compile makes depends on the number of threads."""
    inductor = Path(folder) / f"inductor-{threads}"
    return {"SOL_CACHE_DIR": str(Path(folder) / "solkit"), "TORCHINDUCTOR_CACHE_DIR": str(inductor)}
