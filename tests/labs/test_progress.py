"""The progress file: several writers, damage, other versions, no place to write; and a class of learners."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from labs import classroom, cli, progress
from labs.progress import Standing


@pytest.fixture(autouse=True)
def _own(tmp_path, monkeypatch):
    monkeypatch.setenv("AURORA_PROGRESS_DIR", str(tmp_path))
    monkeypatch.setattr(progress, "_unsaved", [])


def checked(*outcomes, exercise="01-1"):
    for outcome in outcomes:
        assert progress.record(exercise, "check", outcome=outcome) == ""


def test_an_event_is_a_line():
    checked("not yet")
    progress.record("01-1", "hint", number=1)
    lines = [json.loads(line) for line in progress.path().read_text().splitlines()]
    assert [(line["v"], line["exercise"], line["event"]) for line in lines] == [
        (1, "01-1", "check"),
        (1, "01-1", "hint"),
    ]
    assert progress.history().events == lines
    assert progress.history().notes == []


@pytest.mark.parametrize(("events", "standing"), [
    ([("check", {"outcome": "not yet"}), ("check", {"outcome": "error"})], Standing("error", 2)),
    ([("check", {"outcome": "passed"}), ("check", {"outcome": "not yet"})], Standing("passed", 1)),
    ([("hint", {"number": 1}), ("hint", {"number": 2}), ("hint", {"number": 1})], Standing(hints=2)),
    ([("solution", {}), ("check", {"outcome": "passed"})], Standing("passed", 1, solution=True)),
    ([("check", {"outcome": "passed"}), ("solution", {})], Standing("passed", 1)),
    ([("check", {}), ("hint", {"number": "x"}), ("dance", {})], Standing()),
])  # fmt: skip
def test_standing(events, standing):
    for event, more in events:
        progress.record("01-1", event, **more)
    assert progress.history().standings() == {"01-1": standing}


def test_two_notebooks_at_once_lose_nothing():
    code = (
        "from labs import progress\n"
        "for n in range(200): assert progress.record('01-1', 'check', outcome='not yet', filler='x' * 2000) == ''"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    history = progress.history()
    assert (len(history.events), history.notes) == (400, [])


def test_damaged_lines_are_left_out_and_said():
    checked("not yet")
    with progress.path().open("ab") as file:
        file.write(b'[]\n{"exercise": 3}\n\xff\xfe\n' + b"[" * 100_000 + b'\n{"v": 1, "exercise": "01-1", "eve')
    checked("passed")
    history = progress.history()
    assert [event["outcome"] for event in history.events] == ["not yet", "passed"], "a line cut short harms no other"
    assert "5 damaged lines" in history.notes[0]


def test_another_version_is_put_aside_and_said():
    checked("not yet")
    foreign = '{"v": 2, "exercise": "01-1", "event": "check", "score": 0.5}\n'
    with progress.path().open("a") as file:
        file.write(foreign)
    assert "of another version" in progress.history().notes[0]
    remark = progress.record("01-1", "check", outcome="passed")
    aside = next(progress.path().parent.glob("progress-of-another-version-*.jsonl"))
    assert str(aside) in remark
    assert foreign in aside.read_text()
    history = progress.history()
    assert [event["outcome"] for event in history.events] == ["not yet", "passed"]
    assert history.notes == []


def test_what_cannot_be_written_is_known_until_the_end(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("AURORA_PROGRESS_DIR", str(tmp_path / "file"))  # a folder cannot be made in a file
    assert "could not be saved (File exists)" in progress.record("01-1", "check", outcome="passed")
    history = progress.history()
    assert history.standings()["01-1"].passed
    assert "cannot be read" in history.notes[0]


def test_progress_has_a_place_of_its_own(monkeypatch):
    monkeypatch.delenv("AURORA_PROGRESS_DIR")
    assert progress.path().parts[-2:] == ("aurora-labs", "progress.jsonl")


# --- a class ---------------------------------------------------------------------------------------------------------


def event(kind, exercise="01-1", **more):
    return json.dumps({"v": 1, "exercise": exercise, "event": kind, **more}) + "\n"


@pytest.fixture
def handed_in(tmp_path):
    """Three learners: one is done, one is stuck, the file of one is damaged."""
    folder = tmp_path / "class"
    (folder / "bo").mkdir(parents=True)
    wrong = event("check", outcome="not yet")
    (folder / "ada.jsonl").write_text(wrong + event("check", outcome="passed"))
    (folder / "bo" / "progress.jsonl").write_text(wrong * 3 + event("hint", number=2) + event("solution"))
    (folder / "<cy>.jsonl").write_text("damaged\n" + event("check", "02-1", outcome="error"))
    return folder


def test_a_class_is_a_table(handed_in, tmp_path):
    page, sheet = tmp_path / "out" / "page.html", tmp_path / "sheet.csv"
    result = CliRunner().invoke(cli.app, ["progress", str(handed_in), "--html", str(page), "--csv", str(sheet)])
    assert result.exit_code == 0, result.output
    for words in ("ada", "passed, 2 tries", "stuck, 3 tries, 2 hints, solution seen", "1 of 3 passed, 1 stuck"):
        assert words in result.output
    assert "1 damaged lines" in result.output
    assert sheet.read_text().splitlines()[1:] == [
        "<cy>,01-1,not attempted,0,0,0,0", "<cy>,02-1,error,1,0,0,0",
        "ada,01-1,passed,2,0,0,0", "ada,02-1,not attempted,0,0,0,0",
        "bo,01-1,not yet,3,2,1,1", "bo,02-1,not attempted,0,0,0,0",
    ]  # fmt: skip
    text = page.read_text()
    assert '<th scope="col">01-1</th>' in text
    assert '<th scope="row">&lt;cy&gt;</th>' in text
    assert "<cy>" not in text


def test_a_class_without_files_is_said(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder, words in ((tmp_path / "none", "is no folder"), (tmp_path / "empty", "has no file")):
        result = CliRunner().invoke(cli.app, ["progress", str(folder)])
        assert (result.exit_code, words in result.output) == (1, True)


def test_exercises_are_sorted_by_their_numbers():
    room = classroom.Classroom({"a": {id: Standing() for id in ("02-1", "01-10", "01-9", "odd")}}, [])
    assert room.ids == ["01-9", "01-10", "02-1", "odd"]
