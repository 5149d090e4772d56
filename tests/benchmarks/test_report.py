"""Tables from made-up figures."""

import pytest
from rich.console import Console

from benchmarks import report
from benchmarks.peak import Peak
from benchmarks.report import BEGIN, END, Row, Sheet

PEAKS = {2: Peak(2, 100.0, 10.0)}


def timed(ms, error=1e-7):
    return {"median_ms": ms, "spread": 0.0, "calls": 9, "error": error}


A = Row("A", 1, 2, 10**8, 10**7, {"eager": timed(8.0), "openvino": timed(4.0, 3e-6), "solkit": timed(2.0)})
B = Row("B", 1, 2, 10**8, 10**7, {"eager": timed(2.0), "openvino": {"reason": "no kernel"}, "solkit": timed(4.0)})


def test_geometric_mean():
    assert report.geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert report.geometric_mean([2.0, None]) == pytest.approx(2.0)
    assert report.geometric_mean([None]) is None


def test_ratios():
    assert A.speed("solkit", "eager") == 4
    assert (A.best_peer(), B.best_peer()) == ("openvino", "eager")
    assert B.speed("openvino", "eager") is None
    assert B.speed("solkit", None) is None
    assert Row("C", 1, 1, None, None, {"solkit": timed(1.0)}).best_peer() is None


def test_shares_of_the_peak():
    assert report.shares(A, PEAKS[2]) == pytest.approx((0.5, 0.5))  # 50 GFLOP/s, 5 GB/s
    assert report.shares(A, None) == (None, None)
    assert report.shares(Row("C", 1, 2, None, None, {"solkit": timed(1.0)}), PEAKS[2]) == (None, None)


def test_table_of_times():
    (sheet,) = report.times([A, B], PEAKS)
    assert sheet.title == "Batch 1, 2 threads: ms of a call"
    assert sheet.header[:4] == ["network", "PyTorch eager", "OpenVINO", "solkit"]
    assert sheet.rows == [
        ["A", "8.00", "4.00", "2.00", "4.00x", "2.00x", "50 %", "50 %"],
        ["B", "2.00", "-", "4.00", "0.50x", "0.50x", "25 %", "25 %"],
        ["geometric mean", "1.00x", "2.00x", "1.41x", "1.41x", "1.00x", "", ""],
    ]
    assert sheet.notes[0].startswith("largest error, of the largest output: PyTorch eager 1e-07, OpenVINO 3e-06")
    assert sheet.notes[1] == "OpenVINO has no figure for B: no kernel"


def test_a_table_for_each_batch_and_number_of_threads():
    rows = [Row("A", batch, threads, 1, 1, A.engines) for threads in (1, 2) for batch in (1, 16)]
    titles = [sheet.title.partition(":")[0] for sheet in report.times(rows, PEAKS)]
    assert titles == ["Batch 1, 1 thread", "Batch 16, 1 thread", "Batch 1, 2 threads", "Batch 16, 2 threads"]


def test_table_when_nothing_was_timed():
    row = Row("A", 1, 2, None, None, {"solkit": {"reason": "killed"}})
    (sheet,) = report.times([row], {})
    assert sheet.rows == [["A", "-", "-", "-", "-", "-"], ["geometric mean", "-", "-", "-", "", ""]]
    assert sheet.notes == ["solkit has no figure for A: killed"]


@pytest.mark.parametrize(("value", "text"), [(0.01234, "0.0123"), (1.234, "1.23"), (99.96, "100.0"), (1234.5, "1234")])
def test_numbers_have_three_digits(value, text):
    assert report._number(value) == text


def test_memory_and_start_up():
    used = {"A": {"eager": {"start": 100.0, "held": 200.0, "peak": 240.4}, "solkit": {"reason": "killed"}}}
    sheet = report.memory(used, 1, 2)
    assert sheet.rows == [["A", "40 / 240", "-"]]
    assert sheet.notes[-1] == "solkit has no figure for A: killed"
    sheet = report.start_up({"A": {"first": 3.21, "again": 0.3}, "B": {"reason": "killed"}}, 1)
    assert sheet.rows == [["A", "3.21", "0.300"], ["B", "-", "-"]]
    assert sheet.notes == ["no figure for B: killed"]


def test_markdown_and_terminal():
    sheet = Sheet("Title", ["network", "ms"], [["A", "1.0"]], ["a note with [brackets]"])
    text = report.markdown([sheet], {"processor": "P"}, PEAKS)
    assert text.startswith(f"{BEGIN}\n\nMeasured on processor P; peak of 2 threads 100 GFLOP/s, 10 GB/s.\n")
    assert "**Title**\n\n| network | ms |\n| --- | ---: |\n| A | 1.0 |\n\n- a note with [brackets]\n\n" in text
    assert text.endswith(f"{END}\n")
    console = Console(width=80)
    with console.capture() as seen:
        console.print(sheet.rich())
    assert "a note with [brackets]" in seen.get()


def test_readme_replacement(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    new = report.markdown([], {"processor": r"\1"}, {})
    for _ in range(2):
        report.replace_in(path, new)
        assert path.read_text() == f"before\n\n{new}\nafter\n"


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}\n", f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n"])
def test_readme_without_markers(tmp_path, text):
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"README\.md must have the line <!-- benchmark:begin -->"):
        report.replace_in(path, "new")
    assert path.read_text() == text
