"""`aurora slurm`: the templates of slurm/ as jobs, over sbatch, squeue, scontrol, sacct and scancel.

Each command says on stderr what it asks of Slurm, so that one learns to ask by hand. The exit status is 0 if all is
well, 1 if a job or a lab failed, 2 if it was called wrongly or no Slurm answers.
"""

import itertools
import os
import re
import subprocess
from typing import Annotated

import typer
from aurora_kernels.jupyter import slurm
from aurora_kernels.jupyter.slurm_words import why

from labs.commands import cluster_output, jobs
from labs.commands import cluster_show as show

app = typer.Typer(
    no_args_is_help=True,
    help="The templates of slurm/ as jobs of a cluster: submit them, see how they are, read logs and reports.",
)


# --- submit


@app.command(context_settings={"allow_interspersed_args": False})
@show.explained
def submit(
    template: Annotated[str, typer.Argument(help="sol_lab, or another one; left out: which there are.")] = "",
    arguments: Annotated[list[str] | None, typer.Argument(help="What the template takes; after -- for sbatch.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be submitted.")] = False,
) -> None:
    """Submit a template: aurora slurm submit sol_lab 01 02 -p runs=5 -- --time=30:00

    It runs slurm/TEMPLATE.sh with all that follows its name; --help after the name is the template's own.
    """
    if not template:
        for name, path in jobs.templates().items():
            print(f"{name:14} {jobs.about(path)}")
        return
    path = jobs.template(template)
    words = [*(["--dry-run"] if dry_run else []), *(arguments or [])]
    show.command(f"slurm/{path.name}", *words)
    # In a job, JupyterLab's say, the template would take itself for that job and run right here.
    environment = slurm.outside() if "SLURM_JOB_ID" in os.environ else None
    number = ""
    with subprocess.Popen([path, *words], env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            if not number and (found := re.match(r"Submitted batch job (\d+)", line)):
                number = found[1]
    if number:
        print(f"Next: aurora slurm status {number}, and in the same way logs --follow, report, cancel")
    raise typer.Exit(2 if process.returncode else 0)


# --- status


@app.command()
@show.explained
def status(
    number: Annotated[str, typer.Argument(help="Only this job, also one that has ended.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="All your jobs, not only those of the templates.")] = False,
) -> None:
    """Say where your jobs are, why they wait, when they start and end, and where their logs and results are."""
    if number:
        raise typer.Exit(_status_of(jobs.number(number)))
    show.command("squeue", "--me", "--states=all", more="   (and --format=..., the columns)")
    found = slurm.jobs()
    ours = [job for job in found if everything or jobs.made_from(job)]
    for _, group in itertools.groupby(sorted(ours, key=show.order), key=jobs.array):
        show.jobs_of(list(group))
    if not ours:
        print(f"You have no job of these templates in the queue: {', '.join(jobs.templates())}")
        print("One that ended a while ago: aurora slurm status NUMBER")
    if others := len(found) - len(ours):
        print(f"Other jobs of yours: {others}, with --all")


def _status_of(wanted: jobs.Number) -> int:
    found = show.ask(wanted)
    if not found:
        return show.forgotten(wanted)
    show.jobs_of(found)
    return 1 if any(job.ended and job.state != "COMPLETED" for job in found) else 0


# --- cancel


@app.command()
@show.explained
def cancel(
    numbers: Annotated[list[str] | None, typer.Argument(help="12, 12_3 or 12_[0-3]; several, too.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of the templates, after a question.")] = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
) -> None:
    """Cancel jobs of yours: take them out of the queue, or end them. What they have finished is kept."""
    if bool(numbers) == everything:
        raise jobs.Unknown("say which: the numbers of jobs, or --all")
    wanted = [jobs.number(text) for text in numbers or []]  # all, before the first is cancelled
    if everything:
        show.command("squeue", "--me")
        live = [job for job in slurm.jobs() if not job.ended and jobs.made_from(job)]
        for _, group in itertools.groupby(sorted(live, key=show.order), key=jobs.array):
            members = list(group)
            show.jobs_of(members)
            wanted.append(jobs.number(jobs.array(members[0])))
        if not wanted:
            print("You have no job to cancel.")
            return
        if not yes:
            typer.confirm(f"Cancel {'this job' if len(wanted) == 1 else f'these {len(wanted)} jobs'}?", abort=True)
    raise typer.Exit(max(map(_cancel, wanted)))


def _cancel(wanted: jobs.Number) -> int:
    """Cancel one, say what became of it, and return the exit status."""
    try:
        found = show.ask(wanted)
        live = [job for job in found if not job.ended]
        others = next(filter(None, map(jobs.owner, live)), "")
        if others:
            raise jobs.Unknown(f"job {wanted.text} is {others}'s, so it is not yours to cancel")
        if not live:
            if not found and jobs.traces(wanted) is None:
                raise jobs.Unknown(f"Slurm knows no job {wanted.text}")
            state = why(found[0]) if found else "Slurm no longer knows it"
            print(f"job {wanted.text} has ended already ({state}): there is nothing to cancel")
            return 0
        show.command("scancel", wanted.text)
        slurm.cancel(wanted.text)
    except (slurm.SlurmError, jobs.Unknown) as error:
        typer.echo(f"error: {error}", err=True)
        return 2
    if all(job.waits for job in live):
        print(f"job {wanted.text} is out of the queue; it had not started")
    else:
        nodes = ", ".join(sorted({job.node for job in live if job.node}))
        print(f"job {wanted.text} is told to end, on {nodes}; what it has finished stays where it is")
    return 0


app.command()(cluster_output.logs)
app.command()(cluster_output.report)
