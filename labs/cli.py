"""The `aurora` command."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
HERE = Path(__file__).resolve().parent


@app.callback()
def aurora() -> None:
    """A hands-on HPC workshop in JupyterLab. Start with: aurora lab"""


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False) -> None:
    """Check this machine, line by line, with the command that mends what is wrong.

    The exit status is 1 when something that the labs need is missing or wrong.
    """
    from labs import doctor as check

    rows = check.run()
    if as_json:
        print(json.dumps(check.report(rows), indent=2))
    else:
        from rich.console import Console

        check.show(rows, Console(width=check.width()))
    raise typer.Exit(1 if check.failed(rows) else 0)


@app.command()
def lab(
    port: Annotated[int, typer.Option(help="The port; the next free one is taken when it is busy.")] = 8888,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
) -> None:
    """Open the notebooks in JupyterLab, on this machine only and with a token."""
    folder = notebooks()
    # The terminals in JupyterLab find `aurora` and `mpiexec` where this environment has them.
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    # A setting that no option reaches: JupyterLab asks nobody whether it may fetch news and look for newer versions.
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(
        [str(HERE / "jupyter_config"), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    )
    command = lab_command(folder, port, no_browser, root=os.geteuid() == 0)
    print(f"JupyterLab on {folder}; stop it with Ctrl-C", flush=True)
    os.execv(command[0], command)


def notebooks() -> Path:
    """Return the notebooks' folder: the checkout's labs/, else ./aurora-labs with a copy of the installed ones.

    The copy is made once: a file that is there is never overwritten. To start a lab again, delete its file.
    """
    from labs.doctor_checks import in_checkout

    if in_checkout():
        return HERE
    folder = Path.cwd() / "aurora-labs"
    for source in (*HERE.glob("*.ipynb"), *HERE.glob("solutions/*.ipynb")):
        copy = folder / source.relative_to(HERE)
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    folder.mkdir(exist_ok=True)
    return folder


def lab_command(folder: Path, port: int, no_browser: bool, root: bool) -> list[str]:
    """Return the command that starts JupyterLab; in a checkout its file list leaves out what is not for learners."""
    hidden = [path.name for path in HERE.glob("*.py")] + ["exercise_sets", "jupyter_config", "source", "__pycache__"]
    return [
        *[sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"],
        f"--ServerApp.root_dir={folder}",
        *(f"--ContentsManager.hide_globs={name}" for name in sorted(hidden) if folder == HERE),
        *(["--no-browser"] if no_browser else []),
        *(["--allow-root"] if root else []),  # in a container one often is; the server listens on this machine only
    ]


@app.command()
def build(
    lab: Annotated[str, typer.Argument(help="Only this lab, by its number: 02.")] = "",
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit with 1 if a notebook differs.")] = False,
) -> None:
    """Make the notebooks from labs/source."""
    from labs import build as builder

    try:
        paths = builder.check() if check else builder.write(only=lab)
    except builder.BuildError as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None
    for path in paths:
        print(f"{path.relative_to(HERE.parent)} {'is not what its source makes: make labs' if check else 'written'}")
    if not paths:
        print("all notebooks are what their sources make")
    raise typer.Exit(1 if check and paths else 0)


@app.command()
def version() -> None:
    """Print the versions of aurora-labs, Python and PyTorch."""
    import importlib.metadata

    from labs import __version__

    print(f"aurora-labs {__version__}, Python {sys.version.split()[0]}, PyTorch {importlib.metadata.version('torch')}")


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
