"""What `aurora slurm` knows of jobs beside Slurm: templates, the numbers people type, logs and folders of results."""

import difflib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aurora_kernels.jupyter import site, slurm

from labs.doctor_checks import ROOT

SHARED = "common.sh"  # in the folder of the templates, and none itself
NUMBER = re.compile(r"(\d+)(?:_(?:(\d+)|\[([\d,:%-]+)\]))?")
NO_TASK = "4294967294"  # what Slurm writes for the task where many are meant
# What a log says of its job's start and end. A requeued job goes on in its log, so later lines count.
ENDS = re.compile(
    r"(?m)\*\*\* (?:JOB|STEP) \S+ ON .* CANCELLED AT \S+(?: DUE TO (?P<cause>[A-Z ]+?))? \*\*\*"
    r"|^\S+  remaining: (?P<remaining>.+)$|^\S+  (?:requeued: |job .*, (?P<start>start) number )|^(?P<error>error): "
)
CAUSES = {"JOB REQUEUE": "", "TIME LIMIT": "TIMEOUT", "PREEMPTION": "PREEMPTED", "NODE FAILURE": "NODE_FAIL"}


class Unknown(LookupError):
    """What was asked for is not there; the message says what is."""


# --- templates


def folder() -> Path:
    """Return the folder of the templates: this repository's, else that of the repository one is in. Raises Unknown."""
    for place in (ROOT, Path.cwd(), *Path.cwd().parents):
        if (place / "slurm" / SHARED).is_file():
            return place / "slurm"
    raise Unknown(
        "the templates are in the repository's folder slurm/, which is not installed with aurora-labs:"
        " run this in a clone of the repository"
    )


def templates() -> dict[str, Path]:
    """Return all templates by name. Raises Unknown."""
    return {path.stem: path for path in sorted(folder().glob("*.sh")) if path.name != SHARED}


def template(name: str) -> Path:
    """Return a template by its name, also as slurm/NAME.sh. Raises Unknown, which names the nearest."""
    known, wanted = templates(), name.rpartition("/")[2].removesuffix(".sh")
    if wanted in known:
        return known[wanted]
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
    advice = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    raise Unknown(f"there is no template {name}: {advice}")


def about(path: Path) -> str:
    """Return what a template says of itself in its first line of comment."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((line[2:] for line in lines if line.startswith("# ")), "")


def made_from(job: slurm.Job) -> str:
    """Return the name of the template that a job was made from, empty for any other job."""
    known = templates()
    if found := re.search(r"/slurm/(\w+)\.sh(?= |$)", job.command):
        return found[1] if found[1] in known else ""
    # The accounting does not know the command.
    return job.name if not job.command and job.name in known else ""


# --- numbers


@dataclass(frozen=True)
class Number:
    """A job's number as it is typed: 12, 12_3 (a task of an array), 12_[0-3] (several)."""

    text: str
    job: str
    tasks: frozenset[int] | None = None  # None: all

    @property
    def results(self) -> str:
        """What a folder of results is called after: the job, or the one task of it that is meant."""
        return f"{self.job}_{min(self.tasks)}" if self.tasks and len(self.tasks) == 1 else self.job

    def has(self, job: slurm.Job) -> bool:
        """Return whether the job, or one of the tasks it stands for, is meant."""
        return self.tasks is None or bool(self.tasks & set(tasks(job)))


def number(text: str) -> Number:
    """Return the number. Raises Unknown for a word that is none."""
    found = NUMBER.fullmatch(text.strip())
    if found is None:
        raise Unknown(f"{text} is not the number of a job: 12, or 12_3 and 12_[0-3] for tasks of an array")
    several = found[2] or found[3]
    return Number(found[0], found[1], frozenset(_expand(several)) if several else None)


def tasks(job: slurm.Job) -> list[int]:
    """Return the tasks of an array that this entry stands for: none if it is no array."""
    return _expand(job.number.partition("_")[2].strip("[]"))


def array(job: slurm.Job) -> str:
    """Return the number without the task."""
    return job.number.partition("_")[0]


def _expand(text: str) -> list[int]:
    """Read 0-3,7%2: the tasks 0, 1, 2, 3, 7, two at a time. Slurm ends a long list with dots."""
    found = []
    for first, last, step in re.findall(r"(\d+)(?:-(\d+)(?::(\d+))?)?", text.partition("%")[0]):
        found += range(int(first), int(last or first) + 1, int(step or 1))
    return found


def ranges(numbers: Iterable[int]) -> str:
    """Write 0, 1, 2, 7 as 0-2,7."""
    runs: list[list[int]] = []
    for one in sorted(numbers):
        if runs and one == runs[-1][1] + 1:
            runs[-1][1] = one
        else:
            runs.append([one, one])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in runs)


# --- jobs


def find(wanted: Number) -> list[slurm.Job]:
    """Return the job, or the tasks of an array that are meant, as far as Slurm knows them. Raises slurm.SlurmError."""
    found = [job for job in slurm.find_all(wanted.job) if wanted.has(job)]
    return sorted(found, key=lambda job: tasks(job)[:1])


def owner(job: slurm.Job) -> str:
    """Return whose job it is, empty if it is one's own."""
    found = re.fullmatch(r"(.*)\((\d+)\)", job.detail.get("UserId", ""))
    return found[1] if found and int(found[2]) != os.getuid() else ""


def results_of(job: slurm.Job) -> str:
    """Return the number that a job's folder of results is called after; a sweep's report goes to its array."""
    merged = re.search(r"/slurm/sweep\.sh --merge (\d+)", job.command)
    if merged:
        return merged[1]
    several = tasks(job)
    return f"{array(job)}_{several[0]}" if len(several) == 1 else array(job)


# --- logs and results


def log(job: slurm.Job) -> Path:
    """Return the log of a job, or of a task; where several tasks are meant, TASK stands in its name."""
    task = job.number.partition("_")[2]
    task = "TASK" if "[" in task else task
    name = job.output
    if not name:  # as the templates name it: --output=%x-%j.log, for an array %x-%A_%a.log
        name = str(Path(job.folder, "%x-%A_%a.log" if task else "%x-%j.log"))
    name = name.replace(NO_TASK, task).replace("%x", job.name).replace("%A", array(job)).replace("%a", task)
    return Path(name.replace("%j", job.detail.get("JobId", job.number)))


def logs_by_name(wanted: Number) -> list[Path]:
    """Return the logs that the templates have written under this number, in the repository or here."""
    found = {}
    for place in (folder().parent, Path.cwd()):
        for path in place.glob(f"*-{wanted.job}*.log"):
            name, _, given = path.stem.rpartition("-")
            of = NUMBER.fullmatch(given)
            if (
                template_of(name)
                and of
                and of[1] == wanted.job
                and (not wanted.tasks or int(of[2] or -1) in wanted.tasks)
            ):
                found[path.resolve()] = int(of[2] or 0)
    return sorted(found, key=found.get)


def template_of(name: str) -> str:
    """Return the template of a job's name, empty if there is none: sweep of sweep_report."""
    return next((one for one in templates() if name == one or name.startswith(f"{one}_")), "")


def read(path: Path, most: int = 100_000) -> tuple[str, str]:
    """Return the beginning and the end of a log, empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(most)
            file.seek(max(0, file.seek(0, os.SEEK_END) - most))
            return head.decode(errors="replace"), file.read().decode(errors="replace")
    except OSError:
        return "", ""


def how_it_ended(path: Path) -> tuple[str, str]:
    """Return the state that a job's log tells of, empty if it tells none, and what of its work remains."""
    state = left = ended = ""  # ended: by Slurm, whatever the job itself says after that
    for found in ENDS.finditer(read(path)[1]):
        if found["remaining"]:
            left = "" if found["remaining"] == "nothing" else found["remaining"]
            state = ended or ("FAILED" if left else "COMPLETED")
        elif found["error"]:
            state = ended or "FAILED"
        elif found[0].startswith("***"):
            state = ended = CAUSES.get(found["cause"] or "", "CANCELLED")
        else:
            state = ended = ""
            left = "" if found["start"] else left
    return state, left


def results(name: str, number: str, logs: Iterable[Path] = ()) -> Path | None:
    """Return the folder of a job's results: as its log says, else under SCRATCH of the site. Raises site.SiteError."""
    for path in logs:
        if said := re.findall(r"(?m)^\S+  results: (/.*)$|^report: (/.*)/report.html$", "\n".join(read(path))):
            place = Path("".join(said[-1]))
            # Tasks have theirs in a folder of the array's.
            return place.parent if place.name.isdigit() and "_" not in number else place
    scratch = site.read(site.find())["SCRATCH"] if name else ""
    return Path(scratch, f"{name}-{number.replace('_', '/')}") if scratch else None


@dataclass(frozen=True)
class Traces:
    """What a job has left behind: of which template it was, its logs, and the folder of its results if there is one."""

    name: str
    logs: tuple[Path, ...]
    results: Path | None


def traces(wanted: Number) -> Traces | None:
    """Return what is there under a job's number, without asking Slurm; None if there is nothing."""
    logs = logs_by_name(wanted)
    names = [logs[0].stem.rpartition("-")[0]] if logs else list(templates())
    for name in names:
        place = results(name, wanted.results, logs)
        if place and place.is_dir():
            return Traces(name, tuple(logs), place)
    return Traces(names[0], tuple(logs), None) if logs else None


def labs(place: Path) -> list[dict]:
    """Return what `aurora check --json` wrote into a folder of results; in that of an array, for each of its tasks.

    To each are added its task and the parameters it was run with, as far as a sweep's plan says; what is in the plan
    and has no results has "seconds": None.
    """
    planned = {tuple(row[:2]): " ".join(row[2:]) for row in map(str.split, _lines(place / "plan.tsv"))}
    found = {}
    for path in (*place.glob("[0-9][0-9].json"), *place.glob("[0-9]*/[0-9][0-9].json")):
        task = path.parent.name if path.parent != place else ""
        try:
            several = json.loads(path.read_text(encoding="utf-8"))["labs"]
        except (OSError, ValueError, KeyError):
            continue  # it is being written
        for lab in several:
            found[task, path.stem] = {**lab, "task": task, "with": planned.get((task, path.stem), "")}
    for task, lab in planned.keys() - found.keys():
        found[task, lab] = {"lab": lab, "ok": False, "seconds": None, "task": task, "with": planned[task, lab]}
    return [found[key] for key in sorted(found, key=lambda key: (int(key[0] or 0), key[1]))]


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
