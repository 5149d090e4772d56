"""One page of what an array of jobs has run: python slurm/merge.py FOLDER

FOLDER is that of the array, sweep-NUMBER. plan.tsv in it has a line for each task and lab: what was to run. Each task
has a folder below, by its number, as slurm/sweep.sh leaves it. Writes report.html and report.json. The status is 0
when all has run to its end, 1 when something has failed or is missing, 2 when there is nothing to make a report of.
"""

import itertools
import json
import sys
import textwrap
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from aurora_kernels.jupyter import slurm, slurm_words

from labs import pages

TIME = "run time, s"
NOTES = (
    "Run time is that of a whole notebook, from the start of its kernel: imports and compiling are in it.",
    "Each point is one run. Tasks that ran on one node at the same time may have slowed each other down.",
)


@dataclass
class Run:
    """One lab with one combination of parameters, and what became of it."""

    task: int
    lab: str
    parameters: dict[str, str]
    state: str = "missing"  # or ok, or failed
    why: str = ""
    node: str = ""
    page: str = ""  # of the executed notebook, in the folder of the array
    numbers: dict[str, float] = field(default_factory=dict)  # the run time, and what the notebook has recorded


def planned(folder: Path) -> list[Run]:
    """Return what was to run. Raises OSError, ValueError."""
    found = []
    for row in (folder / "plan.tsv").read_text(encoding="utf-8").splitlines():
        task, lab, *words = row.split("\t")
        pairs = [word.partition("=") for before, word in itertools.pairwise(words) if before == "-p"]
        found.append(Run(int(task), lab, {name: value for name, _, value in pairs}))
    if not found:
        raise ValueError(f"{folder / 'plan.tsv'} is empty")
    return found


def swept(runs: list[Run]) -> list[str]:
    """Return the parameters that have several values, in the order in which they were given."""
    values: dict[str, set[str]] = {}
    for run in runs:
        for name, value in run.parameters.items():
            values.setdefault(name, set()).add(value)
    return [name for name, several in values.items() if len(several) > 1]


def fill(folder: Path, runs: list[Run]) -> None:
    """Add to each what its task has left behind, and if that is nothing, what Slurm says of the task."""
    tasks = None
    for run in runs:
        place = folder / str(run.task)
        node = place / "node.txt"
        run.node = node.read_text(encoding="utf-8").strip() if node.exists() else ""
        try:
            (lab,) = json.loads((place / f"{run.lab}.json").read_text(encoding="utf-8"))["labs"]
            run.state = "ok" if lab["ok"] else "failed"
            run.why = "" if lab["ok"] else f"cell {lab['cell']}: {lab['error']}"
            run.numbers = {TIME: float(lab["seconds"]), **lab.get("numbers", {})}
            page = place / Path(lab["executed"]).with_suffix(".html").name
            run.page = f"{run.task}/{page.name}" if page.exists() else ""
        except FileNotFoundError:
            tasks = slurm_says(folder) if tasks is None else tasks
            run.why = tasks.get(run.task) or tasks.get(None) or "its task has left no result, see its log"
        except (OSError, ValueError, KeyError, TypeError) as error:
            run.why = f"its result cannot be read: {error}"


def slurm_says(folder: Path) -> dict[int | None, str]:
    """Return a sentence for each task that Slurm still knows; None: for those that it has not started."""
    found: dict[int | None, str] = {}
    try:
        tasks = slurm.find_all(folder.name.rpartition("-")[2])
    except slurm.SlurmError:
        return found
    for job in tasks:
        task = job.number.partition("_")[2]
        log = last_error(Path(job.output)) if task.isdigit() and job.output and job.state != "CANCELLED" else ""
        found[int(task) if task.isdigit() else None] = f"{job.state}: {slurm_words.why(job)}{log}"
    return found


def last_error(log: Path) -> str:
    """Return the name of a task's log, and the error in it, if it can be read from here and has one."""
    try:
        rows = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        rows = []
    errors = [row for row in rows if row.startswith("error: ")]
    return f" ({log.name}: {errors[-1]})" if errors else f" ({log.name})"


def page(folder: Path, runs: list[Run]) -> str:
    """Return the report."""
    from plots import figures

    names, labs = swept(runs), sorted({run.lab for run in runs})
    recorded = list(dict.fromkeys(name for run in runs for name in run.numbers if name != TIME))
    headings = ["task", *(["lab"] if len(labs) > 1 else []), *names, "result", TIME, *recorded, "node"]
    rows = [
        [
            str(run.task),
            *([run.lab] if len(labs) > 1 else []),
            *(run.parameters.get(name, "") for name in names),
            " ".join(filter(None, [run.state, f"({textwrap.shorten(run.why, 200)})" if run.why else ""])),
            *(f"{run.numbers[name]:.4g}" if name in run.numbers else "" for name in (TIME, *recorded)),
            run.node,
        ]
        for run in runs
    ]
    fixed = {f"{name}={value}" for run in runs for name, value in run.parameters.items() if name not in names}
    caption = f"{folder.name}: lab {', '.join(labs)}" + (f" with {', '.join(sorted(fixed))}" if fixed else "")
    links = [run.page for run in runs]
    drawn = figures(runs, names, [TIME, *recorded])
    return pages.page(f"Sweep: {count(runs)}", caption, headings, rows, NOTES, links=links, figures=drawn)


def count(runs: list[Run]) -> str:
    """Return how many have run, in words."""
    states = [run.state for run in runs]
    bad = [f"{states.count(state)} {state}" for state in ("failed", "missing") if state in states]
    return ", ".join([f"{states.count('ok')} of {len(runs)} ran to the end", *bad])


def main(folder: Path) -> int:
    """Write report.html and report.json into the folder; return the status."""
    try:
        runs = planned(folder)
        fill(folder, runs)
        good = all(run.state == "ok" for run in runs)
        found = {"version": 1, "made": datetime.now(UTC).isoformat(timespec="seconds"), "ok": good}
        found["runs"] = [asdict(run) for run in runs]
        (folder / "report.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        (folder / "report.html").write_text(page(folder, runs), encoding="utf-8")
    except (OSError, ValueError) as error:
        print(f"error: there is no report: {error}", file=sys.stderr)
        return 2
    print(f"{count(runs)}\nreport: {folder / 'report.html'}")
    for run in runs:
        if run.state != "ok":
            print(f"task {run.task}, lab {run.lab}: {run.state}: {run.why}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()))
