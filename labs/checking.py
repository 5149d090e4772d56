"""Runs notebooks from top to bottom, several at a time, each by papermill in a process and a folder of its own."""

import ast
import difflib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from labs.notebooks import LABS, NUMBERS, Lab

CELL_SECONDS = 300
OF_PAPERMILL = {"injected-parameters", "papermill-error-cell-tag"}  # tags of cells that it puts in
CARD = re.compile(r"^\[(passed|not yet|error|not attempted)\] (\d\d-\d+)", re.MULTILINE)


class UnknownParameter(ValueError):
    """No chosen notebook has a parameter of that name; the text names the nearest one."""


@dataclass
class Result:
    """What became of one notebook."""

    lab: str
    title: str
    minutes_core: int
    minutes_optional: int
    ok: bool
    seconds: float
    executed: str  # the path of the executed copy
    cell: int = 0  # the number of the cell that failed, from 1
    error: str = ""
    exercises: dict[str, str] = field(default_factory=dict)  # outcome by id
    numbers: dict[str, float] = field(default_factory=dict)  # what the notebook has recorded, by name


def parameters(words: Iterable[str]) -> dict[str, object]:
    """Return name and value of each "name=value"; a value is a number, True, False, None or text.

    Raises:
        ValueError: one has not that form.
    """
    found: dict[str, object] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"a parameter is name=value, like runs=2; this one is {word!r}")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = {"true": True, "false": False}.get(value, value)
    return found


def accepted(paths: Mapping[Lab, Path], given: Mapping[str, object]) -> dict[Lab, dict[str, object]]:
    """Return which of the parameters each notebook has; raise UnknownParameter for one that none of them has."""
    if not given:
        return {lab: {} for lab in paths}
    import papermill

    known = {lab: set(papermill.inspect_notebook(str(path))) for lab, path in paths.items()}
    names = sorted(set().union(*known.values()))
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
            advice = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names) or 'none'}"
            raise UnknownParameter(f"no chosen notebook has a parameter {name!r}: {advice}")
    return {lab: {name: value for name, value in given.items() if name in known[lab]} for lab in paths}


def run(
    paths: Mapping[Lab, Path],
    given: Mapping[Lab, Mapping[str, object]],
    folder: Path,
    *,
    jobs: int,
    strict: bool,
    cell_seconds: int = CELL_SECONDS,
    done: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Run the notebooks, `jobs` at a time, and keep the executed copies in the folder; return the results in order.

    A notebook that fails does not keep the others from running. A cell may take `cell_seconds`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    processes: set[subprocess.Popen] = set()
    pool = ThreadPoolExecutor(max(1, jobs))
    try:
        tasks = [
            pool.submit(_run_one, lab, path, given[lab], folder, strict, cell_seconds, processes)
            for lab, path in paths.items()
        ]
        results = {}
        for task in as_completed(tasks):
            result = task.result()
            results[result.lab] = result
            done(result)
        return [results[lab.name] for lab in paths]
    except BaseException:  # Ctrl-C, too: nothing goes on running, and nothing new is begun
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list(processes):
            _kill(process)
        raise
    finally:
        pool.shutdown()


def _run_one(
    lab: Lab, path: Path, given: Mapping, folder: Path, strict: bool, cell_seconds: int, processes: set
) -> Result:
    executed = (folder / path.name).absolute()
    executed.unlink(missing_ok=True)
    command = [
        *[sys.executable, "-m", "papermill", str(path), str(executed), "-y", json.dumps(dict(given))],
        *["--no-progress-bar", "--execution-timeout", str(cell_seconds), "--kernel", "python3"],
    ]
    began = time.monotonic()
    # An empty folder to run in, so that no notebook counts on the place it is in; and no learner's progress changes.
    with tempfile.TemporaryDirectory(prefix="aurora-check-", ignore_cleanup_errors=True) as place:
        own = {"AURORA_PROGRESS_DIR": f"{place}/progress", "IPYTHONDIR": f"{place}/ipython"}
        path_here = os.pathsep.join(filter(None, [str(LABS.parent), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, **own, "PYTHONPATH": path_here, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        environment.pop("AURORA_STRICT", None)
        if strict:
            environment["AURORA_STRICT"] = "1"
        process = subprocess.Popen(
            [*command, "--cwd", place],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # it and its kernel can be ended together
        )
        processes.add(process)
        try:
            _, said = process.communicate()
        finally:
            _kill(process)
            processes.discard(process)
    result = Result(lab.name, lab.title, lab.core, lab.optional, process.returncode == 0, 0.0, str(executed))
    result.seconds = round(time.monotonic() - began, 1)
    _read(executed, result)
    said = said.decode(errors="replace").strip()
    if not result.ok and "A cell timed out" in said:
        result.error = f"took longer than {cell_seconds} s"
    elif not result.ok and not result.error:
        result.error = (said.splitlines() or [f"papermill ended with {process.returncode}"])[-1]
    return result


def _kill(process: subprocess.Popen) -> None:
    """End a process with all that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def _read(executed: Path, result: Result) -> None:
    """Add what the executed copy tells: the cell that failed, the outcomes of exercises, the numbers recorded."""
    try:
        cells = json.loads(executed.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        return
    running, number = 0, 0
    for cell in cells:
        number += not OF_PAPERMILL & set(cell.get("metadata", {}).get("tags", []))  # numbers of the notebook itself
        if cell.get("metadata", {}).get("papermill", {}).get("status") == "running":
            running = number
        for output in cell.get("outputs", []):
            if output.get("output_type") == "error":
                result.ok, result.cell = False, number
                result.error = f"{output.get('ename')}: {output.get('evalue', '')}".strip()[:500]
            result.numbers |= output.get("data", {}).get(NUMBERS, {})
            plain = output.get("data", {}).get("text/plain", "")
            for outcome, id in CARD.findall(plain if isinstance(plain, str) else "".join(plain)):
                result.exercises[id] = outcome
    result.cell = result.cell or (running if not result.ok else 0)


def report(results: list[Result], kind: str) -> dict:
    """Return what `aurora check --json` writes."""
    from labs import __version__

    return {
        "version": 1,
        "aurora_labs": __version__,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "notebooks": kind,
        "ok": all(result.ok for result in results),
        "labs": [asdict(result) for result in results],
    }
