"""How `aurora slurm` shows a job: its state in plain words, times, log and results, or what one long gone has left."""

import functools
import re
import shlex
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import typer
from aurora_kernels.jupyter import site, slurm
from aurora_kernels.jupyter.slurm_words import why

from labs.commands import jobs


def explained(function: Callable) -> Callable:
    """Make what goes wrong a sentence and the exit status 2."""

    @functools.wraps(function)
    def wrapped(*arguments: object, **named: object) -> None:
        try:
            function(*arguments, **named)
        except slurm.NotThere as error:
            typer.echo(f"error: {error}\nSo no Slurm answers here. If this is a cluster, try again later.", err=True)
            raise typer.Exit(2) from None
        except (slurm.SlurmError, site.SiteError, jobs.Unknown, OSError) as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2) from None

    return wrapped


def command(*words: str, more: str = "") -> None:
    """Say what is called, as one would type it."""
    typer.echo(f"$ {shlex.join(words)}{more}", err=True)


def order(job: slurm.Job) -> tuple[int, list[int]]:
    return int(jobs.array(job)), jobs.tasks(job)[:1]


def ask(wanted: jobs.Number) -> list[slurm.Job]:
    command("scontrol", "show", "job", "--details", wanted.job)
    found = jobs.find(wanted)
    if not (found and found[0].detail):
        command("sacct", "-X", f"--jobs={wanted.job}", more="" if found else "   (it does not know it either)")
    return found


def jobs_of(group: list[slurm.Job]) -> None:
    """Print a job, or all that is known of an array."""
    first, count = group[0], sum(len(jobs.tasks(job)) for job in group)
    template = jobs.made_from(first)
    logs = [jobs.log(job) for job in group]
    if count < 2:
        number = jobs.results_of(first)
        print(f"{first.number}  {first.name}  {sentence(first)}")
    else:
        number = jobs.array(first)
        print(f"{number}  {first.name}  an array; Slurm knows {count} of its tasks")
        words: dict[str, list[int]] = {}
        for job in group:
            words.setdefault(state(job), []).extend(jobs.tasks(job))
        for text, tasks in words.items():
            print(f"    {jobs.ranges(tasks)}: {text}")
    if template:
        files(template, number, logs, missing="none" if all(job.ended for job in group) else "not there yet")


def state(job: slurm.Job) -> str:
    """Say the state and the reason, in Slurm's word and in plain ones."""
    reason = f" ({job.reason})" if job.waits and job.reason not in ("", "None") else ""
    return f"{job.state}{reason}: {why(job)}"


def sentence(job: slurm.Job) -> str:
    """Say the state, and where and until when the job runs, or from when, or till when it ran."""
    text = state(job)
    if job.state == "RUNNING":
        text += f" on {job.node}" if job.node else ""
        text += f"; {_span(job.left)} of its time are left" if job.left is not None else ""
    if job.waits and job.start and job.start > datetime.now():
        text += f"; Slurm expects to start it at {_clock(job.start)}"
    if job.ended and job.end:
        text += f" (ended {_clock(job.end)})"
    return text


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M}" if moment.date() == datetime.now().date() else f"{moment:%d %b %H:%M}"


def _span(seconds: int) -> str:
    if seconds < 120:
        return f"{max(0, seconds)} s"
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def files(template: str, number: str, logs: list[Path], missing: str = "none") -> None:
    """Print where a job's log and results are; for an array, how its logs are called."""
    if len(logs) == 1:
        print(f"    log      {logs[0]}{'' if logs[0].exists() or 'TASK' in logs[0].name else f'   ({missing})'}")
    elif logs:
        print(f"    logs     {logs[0].with_name(re.sub(r'_[^_]*$', '_TASK.log', logs[0].name))}")
    try:
        place = jobs.results(template, number, logs)
    except site.SiteError as error:
        print(f"    results  {error}")
        return
    if place:
        print(f"    results  {place}{'' if place.is_dir() else f'   ({missing})'}")
        if (place / "report.html").exists():
            print(f"    report   {place / 'report.html'}")


def forgotten(wanted: jobs.Number) -> int:
    """Say what a job has left that Slurm knows nothing of."""
    left = jobs.traces(wanted)
    if left is None:
        raise jobs.Unknown(f"Slurm knows no job {wanted.text}, and there is no log, nor are there results, of one")
    print(f"{wanted.text}  {left.name}  Slurm no longer knows it: it forgets a job minutes after its end")
    states = []
    for path in left.logs:
        state, remaining = jobs.how_it_ended(path)
        states.append(state)
        words = why(slurm.Job(wanted.text, state=state)) if state else "how it ended is not in it"
        print(f"    {path.name} says: {words}{f'; not done: {remaining}' if remaining else ''}")
    files(left.name, wanted.results, list(left.logs))
    return 1 if set(states) - {"", "COMPLETED"} else 0
