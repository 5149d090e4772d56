"""`aurora lab`, `aurora list`, `aurora reset`: the learner's own notebooks."""

import os
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from labs.notebooks import LABS

PARTS = ("commands", "exercise_sets", "jupyter_config", "pictures", "source", "zoo")  # of the package
LOCAL = "127.0.0.1"
KEPT = "kept"  # the folder beside the notebooks for what was there before a reset


def lab(
    port: Annotated[int, typer.Option(help="The port; the next free one is taken when it is busy.")] = 8888,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    ip: Annotated[str, typer.Option(help="The address to listen on; any but this reaches other machines.")] = LOCAL,
) -> None:
    """Open the notebooks in JupyterLab, with a token, and on this machine only unless --ip says more."""
    folder = notebooks()
    # The terminals in JupyterLab find `aurora` and `mpiexec` where this environment has them.
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    # A setting that no option reaches: JupyterLab asks nobody whether it may fetch news and look for newer versions.
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(
        [str(LABS / "jupyter_config"), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    )
    command = lab_command(folder, port, no_browser, root=os.geteuid() == 0, ip=ip)
    print(f"JupyterLab on {folder}; stop it with Ctrl-C", flush=True)
    os.execv(command[0], command)


def notebooks() -> Path:
    """Return the notebooks' folder: the checkout's labs/, else ./aurora-labs with a copy of the installed ones.

    The copy is made once: a file that is there is never overwritten. To start a lab again, delete its file.
    """
    from labs.doctor_checks import in_checkout

    if in_checkout():
        return LABS
    folder = Path.cwd() / "aurora-labs"
    for source in (*LABS.glob("*.ipynb"), *LABS.glob("solutions/*.ipynb")):
        copy = folder / source.relative_to(LABS)
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    folder.mkdir(exist_ok=True)
    return folder


def lab_command(folder: Path, port: int, no_browser: bool, root: bool, ip: str = LOCAL) -> list[str]:
    """Return the command that starts JupyterLab; in a checkout its file list leaves out what is not for learners."""
    hidden = [path.name for path in LABS.glob("*.py")] + ["__pycache__", *PARTS]
    return [
        *[sys.executable, "-m", "jupyterlab", f"--ServerApp.ip={ip}", f"--ServerApp.port={port}"],
        f"--ServerApp.root_dir={folder}",
        *(f"--ContentsManager.hide_globs={name}" for name in sorted(hidden) if folder == LABS),
        *(["--no-browser"] if no_browser else []),
        # Others on a shared machine could else listen to what kernels say to the server.
        "--MappingKernelManager.transport_encryption=auto",
        *(["--allow-root"] if root else []),  # in a container one often is
    ]


def folder_of_notebooks() -> Path:
    """Return where the learner's notebooks are: ./aurora-labs if it was made, else the installed ones; copy none."""
    made = Path.cwd() / "aurora-labs"
    return made if any(made.glob("[0-9][0-9]_*.ipynb")) else LABS


def complain(error: object) -> typer.Exit:
    """Print a sentence on stderr and return the exit to raise."""
    typer.echo(error, err=True)
    return typer.Exit(1)


def list_labs() -> None:
    """List the labs: minutes, exercises, and how far you are."""
    from rich.console import Console
    from rich.table import Table

    from labs import doctor, exercises, notebooks, progress

    history = progress.history()
    found = history.standings()
    table = Table(box=None, pad_edge=False)
    for heading in ("lab", "about", "core min", "optional min", "exercises", "passed"):
        table.add_column(heading, justify="right" if "min" in heading else "left", overflow="fold")
    for lab in notebooks.every():
        tasks = exercises.of_lab_if_it_loads(lab.number)
        passed = [task.id for task in tasks if found.get(task.id, progress.Standing()).passed]
        tried = [task.id for task in tasks if task.id in found and task.id not in passed]
        state = f"{len(passed)} of {len(tasks)}" + (f"; not yet: {', '.join(tried)}" if tried else "")
        table.add_row(
            lab.name, lab.title, str(lab.core), str(lab.optional), ", ".join(task.id for task in tasks), state
        )
    console = Console(width=doctor.width(), highlight=False)
    console.print(table)
    for note in history.notes:
        console.print(note)


def reset(lab: Annotated[str, typer.Argument(help="The lab, by number or name: 02.")]) -> None:
    """Put your notebook of a lab back as it was made; what is there is kept beside it, with the time in its name."""
    from labs import build, notebooks

    folder = folder_of_notebooks()
    try:
        found = notebooks.find(lab)
        source = LABS / "source" / f"{found.name}.py"
        made = {path.parent.name == "solutions": text for path, text in build.build(source).items()}[False]
    except (notebooks.UnknownLab, build.BuildError) as error:
        raise complain(error) from None
    path = found.learner(folder)
    try:
        if path.exists() and path.read_bytes() == made.encode():
            print(f"{path} is as it was made; nothing to do")
            return
        kept = _keep(path)
        _replace(path, made)
    except OSError as error:
        raise complain(f"{path} could not be put back ({error.strerror}); it is as it was") from None
    print(f"{path} is as it was made" + (f"; what was there is in {kept}" if kept else ""))


def _keep(path: Path) -> Path | None:
    """Copy the notebook into the folder for what was there before; return the copy."""
    if not path.exists():
        return None
    stamp, number = datetime.now().strftime("%Y%m%d-%H%M%S"), 1
    copy = path.parent / KEPT / f"{path.stem}-{stamp}.ipynb"
    copy.parent.mkdir(exist_ok=True)
    while copy.exists():
        number += 1
        copy = copy.with_stem(f"{path.stem}-{stamp}-{number}")
    shutil.copyfile(path, copy)
    return copy


def _replace(path: Path, text: str) -> None:
    """Write the file whole or not at all."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
