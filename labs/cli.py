"""The `aurora` command: what it is made of, and what looks after the house itself."""

import json
import sys
from typing import Annotated

import typer

from labs.commands import cluster, learner, teacher
from labs.notebooks import LABS

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def aurora() -> None:
    """A hands-on HPC workshop in JupyterLab. Start with: aurora lab"""


for name, command in {
    "lab": learner.lab,
    "list": learner.list_labs,
    "reset": learner.reset,
    "check": teacher.check,
    "progress": teacher.progress,
    "export": teacher.export,
}.items():
    app.command(name)(command)
app.add_typer(cluster.app, name="slurm")


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
        print(f"{path.relative_to(LABS.parent)} {'is not what its source makes: make labs' if check else 'written'}")
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
