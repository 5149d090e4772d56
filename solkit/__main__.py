"""`python -m solkit`: what solkit runs on, how it is set, and what it has cached."""

import typer

import solkit as sol
from solkit.info import cache_usage

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
cache = typer.Typer(no_args_is_help=True, help="The compiled models on disk.")
app.add_typer(cache, name="cache")


@app.callback(invoke_without_command=True)
def show(context: typer.Context) -> None:
    """Versions, devices, configuration and cache of solkit."""
    if context.invoked_subcommand:
        return
    print(f"{sol.versions()}\n\n{sol.devices()}\n")
    sol.config.print()
    print(f"\ncache: {_usage()}")


@cache.command()
def clear() -> None:
    """Remove everything solkit has cached."""
    usage = _usage()
    sol.cache.clear()
    print(f"removed {usage}")


def _usage() -> str:

    folder, entries, size = cache_usage()
    return f"{entries} {'entry' if entries == 1 else 'entries'}, {size} bytes, in {folder}"


def main() -> None:
    """Run the command line; errors of solkit are one line and the exit status 1."""
    try:
        app()
    except sol.SolError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
