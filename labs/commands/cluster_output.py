"""`aurora slurm logs` and `aurora slurm report`: what a job has written."""

import codecs
import time
import webbrowser
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from aurora_kernels.jupyter import slurm
from aurora_kernels.jupyter.slurm_words import why

from labs.commands import cluster_show as show
from labs.commands import jobs

NumberOfJob = Annotated[str, typer.Argument(help="The job's number: 12, or 12_3 for a task of an array.")]
LOOK, ASK = 0.5, 5.0  # seconds between looks into the log, and between questions to Slurm


# --- logs


@show.explained
def logs(
    number: NumberOfJob,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Until the job has ended, or Ctrl-C.")] = False,
    lines: Annotated[int | None, typer.Option("-n", "--lines", min=0, help="Only so many lines, the last.")] = None,
) -> None:
    """Print the log of a job. With --follow the exit status says whether the job ran to its end."""
    wanted = jobs.number(number)
    try:
        found = show.ask(wanted)
    except slurm.NotThere as error:
        typer.echo(f"{error}; so logs are looked for by their names", err=True)
        found = []
    if wanted.tasks and len(wanted.tasks) == 1:  # it may be one of many that wait
        found = [replace(job, number=wanted.text) for job in found]
    named = (path for path in map(jobs.log, found) if "TASK" not in path.name)
    paths = list(dict.fromkeys([*named, *jobs.logs_by_name(wanted)]))
    several = len(paths) > 1 or any(len(jobs.tasks(job)) > 1 for job in found)
    if follow and several:
        raise jobs.Unknown(f"{wanted.text} is an array: follow one of its tasks, like {wanted.job}_0")
    if follow and paths:
        raise typer.Exit(_follow(wanted, paths[0], lines))
    there = [path for path in paths if path.exists()]
    if not there:
        waits = next((f" yet: {show.sentence(job)}" for job in found if job.waits), "")
        raise jobs.Unknown(f"there is no log of job {wanted.text}{waits}")
    for path in there:
        typer.echo(f"==> {path} <==", err=len(there) == 1)
        print(_new(path, 0, lines)[1].decode(errors="replace"), end="")


def _new(path: Path, start: int, lines: int | None = None) -> tuple[int, bytes]:
    """Return what a log has from a place on, of its last lines if so many are wanted, and the place where it ends."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(start if start <= size else 0)  # shorter than before: it was begun anew
        text = b"".join(file if lines is None else deque(file, maxlen=lines))
        return file.tell(), text


def _follow(wanted: jobs.Number, path: Path, lines: int | None) -> int:
    """Print a log as it grows, until its job has ended; return 0 if that ran to its end."""
    typer.echo(f"==> {path} <==  (Ctrl-C stops looking; the job goes on)", err=True)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    place, asked, said, going = 0, 0.0, "", True
    try:
        while True:
            if path.exists():
                place, text = _new(path, place, lines)
                lines = None
                print(decoder.decode(text), end="", flush=True)
            if not going:
                break
            if time.monotonic() - asked >= ASK:
                asked = time.monotonic()
                going, words = _where(wanted)
                if words not in ("", said):
                    typer.echo(f"-- {words}", err=True)
                said = words
            # What the job wrote last may still be on its way from the node.
            time.sleep(LOOK if going else 2 * LOOK)
    except KeyboardInterrupt:
        typer.echo(f"\nJob {wanted.text} goes on. To end it: aurora slurm cancel {wanted.text}", err=True)
        return 130
    state = next((job.state for job in jobs.find(wanted)), "") or jobs.how_it_ended(path)[0]
    words = why(slurm.Job(wanted.text, state=state)) if state else "how it ended is not known"
    typer.echo(f"-- job {wanted.text} has ended: {words}", err=True)
    return 1 if state not in ("", "COMPLETED") else 0


def _where(wanted: jobs.Number) -> tuple[bool, str]:
    """Return whether a job has not ended yet, and why it waits, if it does."""
    try:
        job = slurm.queued(wanted.text)
    except slurm.NotThere as error:
        return True, str(error)
    if job is None or job.ended:
        return False, ""
    return True, show.sentence(job) if job.waits else ""


# --- report


@show.explained
def report(
    number: NumberOfJob,
    show_it: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Show what the labs of a job came to, and where the report is. The exit status is 1 if one of them failed."""
    wanted = jobs.number(number)
    left = jobs.traces(wanted)
    if left is None or left.results is None:
        found = show.ask(wanted)
        if not found:
            raise jobs.Unknown(f"Slurm knows no job {wanted.text}, and there are no results of one")
        raise jobs.Unknown(f"there are no results of job {wanted.text}: {show.sentence(found[0])}")
    page, labs = left.results / "report.html", jobs.labs(left.results)
    if labs:
        _table(labs)
    else:
        print("no lab has a result")
    remaining = {name for path in left.logs for name in jobs.how_it_ended(path)[1].split()}
    if remaining:
        print(f"not done: {' '.join(sorted(remaining))}; the log says why: aurora slurm logs {wanted.text}")
    print(f"results: {left.results}")
    if page.exists():
        print(f"report:  {page}")
    else:
        print("report:  not there yet; the job writes it when it ends")
    if show_it and page.exists() and not webbrowser.open(page.as_uri()):
        print(f"There is no browser here. Copy the folder to your machine: scp -r {_remote(left.results)} .")
    raise typer.Exit(1 if remaining or not labs or not all(lab["ok"] for lab in labs) else 0)


def _table(labs: list[dict]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from labs import doctor

    table = Table(box=None, pad_edge=False)
    for heading in ("lab", "result", "seconds"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left", overflow="fold")
    for lab in labs:
        name = f"{lab['task']}: {lab['lab']} {lab['with']}" if lab["task"] else lab["lab"]
        if lab["seconds"] is None:
            state, seconds = "missing", ""
        else:
            state = "ok" if lab["ok"] else f"failed in cell {lab['cell']}: {lab['error']}"
            seconds = f"{lab['seconds']:.1f}"
        table.add_row(Text(name), Text(state, style="green" if lab["ok"] else "red"), seconds)
    Console(width=doctor.width(), highlight=False).print(table)
    good = sum(lab["ok"] for lab in labs)
    print(f"{good} of {len(labs)} ran to the end")


def _remote(place: Path) -> str:
    """Return a folder of this machine as scp on another one is told it."""
    import shlex
    import socket

    return shlex.quote(f"{socket.gethostname()}:{place}")
