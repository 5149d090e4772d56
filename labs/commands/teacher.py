"""`aurora check`, `aurora progress`, `aurora export`: for who teaches, and for who looks after the labs."""

import json
import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from labs.commands.learner import complain, folder_of_notebooks
from labs.notebooks import LABS


def _console():
    from rich.console import Console

    from labs import doctor

    return Console(width=doctor.width(), highlight=False)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise complain(f"{path} could not be written: {error.strerror}") from None
    print(f"written: {path}")


def _chosen(names: list[str], learner: bool) -> dict:
    """The labs and their notebooks; ends the command for an unknown name or a notebook that is not there."""
    from labs import notebooks

    try:
        labs = [notebooks.find(name) for name in names] if names else notebooks.every()
    except notebooks.UnknownLab as error:
        raise complain(error) from None
    folder = folder_of_notebooks() if learner else LABS
    paths = {lab: lab.learner(folder) if learner else lab.solutions(folder) for lab in labs}
    absent = [str(path) for path in paths.values() if not path.is_file()]
    if absent or not paths:
        raise complain(f"not there: {', '.join(absent) or 'any notebook'}; to put one back: aurora reset LAB")
    return paths


def check(
    labs: Annotated[list[str] | None, typer.Argument(help="Numbers or names; all when left out.")] = None,
    parameter: Annotated[list[str] | None, typer.Option("-p", "--parameter", help="name=value, like runs=2.")] = None,
    learner: Annotated[bool, typer.Option("--learner", help="Your own notebooks, not the solutions.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Notebooks at a time.")] = max(1, (os.cpu_count() or 1) // 2),
    cell_seconds: Annotated[int, typer.Option(min=1, help="Longest time for a cell.")] = 300,
    keep: Annotated[Path, typer.Option(help="Folder for the executed copies.")] = Path("aurora-check"),
    as_json: Annotated[Path | None, typer.Option("--json", help="Write the results to this file.")] = None,
    as_html: Annotated[Path | None, typer.Option("--html", help="Write a page with the results.")] = None,
) -> None:
    """Run the solutions notebooks from top to bottom; the exit status is 1 when one of them fails.

    With --learner your own are run; there an answer that is not right is no failure.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from labs import checking

    paths = _chosen(labs or [], learner)
    try:
        given = checking.accepted(paths, checking.parameters(parameter or []))
    except ValueError as error:
        raise complain(error) from None
    console = _console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("notebooks", total=len(paths))

        def done(result: checking.Result) -> None:
            bar.advance(task)
            bar.print(_line(result))

        try:
            results = checking.run(
                paths, given, keep, jobs=jobs, strict=not learner, cell_seconds=cell_seconds, done=done
            )
        except OSError as error:
            raise complain(f"{error.filename or keep}: {error.strerror}") from None
    found = checking.report(results, "learner" if learner else "solutions")
    failed = [result.lab for result in results if not result.ok]
    console.print(f"{len(results) - len(failed)} of {len(results)} ran to the end; executed copies: {keep}")
    if as_json:
        _write(as_json, json.dumps(found, indent=2) + "\n")
    if as_html:
        _write(as_html, _check_page(found))
    raise typer.Exit(1 if failed else 0)


def _line(result) -> str:
    from rich.markup import escape

    state = "[green]ok[/]" if result.ok else "[red]failed[/]"
    where = "" if result.ok else escape(f", cell {result.cell}: {result.error}".replace("\n", " "))
    return f"{state} {result.lab} in {result.seconds:.0f} s (stated {result.minutes_core} min){where}"


def _check_page(found: dict) -> str:
    from labs import pages

    headings = ["notebook", "about", "result", "run time, s", "stated, min (core + optional)", "exercises"]
    rows = [
        [
            lab["lab"],
            lab["title"],
            "ok" if lab["ok"] else f"failed in cell {lab['cell']}: {lab['error']}",
            f"{lab['seconds']:.1f}",
            f"{lab['minutes_core']} + {lab['minutes_optional']}",
            ", ".join(f"{id} {outcome}" for id, outcome in sorted(lab["exercises"].items())),
        ]
        for lab in found["labs"]
    ]
    good = sum(lab["ok"] for lab in found["labs"])
    caption = f"{good} of {len(rows)} {found['notebooks']} notebooks ran to the end, {found['finished']}"
    return pages.page("aurora check", caption, headings, rows)


def progress(
    folder: Annotated[Path, typer.Argument(help="The learners' files: name.jsonl or name/progress.jsonl.")],
    as_html: Annotated[Path | None, typer.Option("--html", help="Write the table as a page.")] = None,
    as_csv: Annotated[Path | None, typer.Option("--csv", help="Write a line for each learner and exercise.")] = None,
) -> None:
    """Show how far a class is: learner by exercise; stuck is who has tried three times or more and not passed."""
    from rich.table import Table

    from labs import classroom, pages

    try:
        room = classroom.read(folder)
    except classroom.NoProgress as error:
        raise complain(error) from None
    headings, rows = classroom.table(room)
    table = Table(pad_edge=False, show_lines=True)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = _console()
    console.print(table, markup=False)
    for note in room.notes:
        console.print(note, markup=False)
    if as_csv:
        _write(as_csv, classroom.as_csv(room))
    if as_html:
        caption = f"{len(room.learners)} learners; stuck: {classroom.STUCK} or more tries, and not passed"
        _write(as_html, pages.page("Progress", caption, headings, rows, room.notes))


def export(
    lab: Annotated[str, typer.Argument(help="The lab, by number or name: 02.")],
    slides: Annotated[bool, typer.Option("--slides", help="A slide for each heading; arrow keys go on.")] = False,
    run: Annotated[bool, typer.Option("--run", help="Run the notebook first; else its outputs as they are.")] = False,
    solutions: Annotated[bool, typer.Option("--solutions", help="The notebook with the solutions.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The file to write.")] = None,
) -> None:
    """Make one HTML file of a notebook, which loads nothing from anywhere.

    Formulas stay as they are written, and widgets become a remark: both need what is not in such a file.
    """
    from labs import checking, pages

    [(found, path)] = _chosen([lab], learner=not solutions).items()
    output = output or Path(f"{found.name}{'-slides' if slides else ''}.html")
    with tempfile.TemporaryDirectory(prefix="aurora-export-") as place:
        if run:
            print(f"running {path}", flush=True)
            [result] = checking.run({found: path}, {found: {}}, Path(place), jobs=1, strict=False)
            if not result.ok:
                raise complain(f"{path} failed in cell {result.cell}: {result.error}")
            path = Path(result.executed)
        try:
            text = pages.export(path, f"Lab {found.number}: {found.title}", slides)
        except (OSError, ValueError) as error:
            raise complain(f"{path} cannot be exported: {error}") from None
    _write(output, text)
