"""The command line, with jobs that cost nothing."""

import json

import pytest
import typer
from typer.testing import CliRunner

from benchmarks import inference, processes
from benchmarks.processes import JobError
from labs.zoo.registry import Entry, images

NETWORKS = {name: Entry(name, "test", name.upper(), None, images(1)) for name in ("deck3", "resnet18")}


def fake_run(kind, environment=None, **job):
    """What children give, without any: solkit is twice as fast, and OpenVINO takes its process with it."""
    if kind == "peaks":
        return {"threads": job["threads"], "gflops": 100.0, "gbytes": 10.0}
    if kind == "start_up":
        return 3.0
    if kind == "memory":
        return {"start": 1.0, "held": 2.0, "peak": 4.0}
    if "openvino" in job["engines"]:
        with open(f"{job['folder']}/{processes.AT}", "w") as file:
            file.write("openvino")
        raise JobError("the process was ended by SIGSEGV")
    ms = {"eager": 2.0, "solkit": 1.0}
    figures = {name: {"median_ms": ms.get(name, 1.5), "spread": 0, "calls": 3, "error": 0} for name in job["engines"]}
    work = {"threads": job["threads"], "flops": 10, "weight_bytes": 10}
    return [{"network": job["network"].upper(), "batch": batch, **work, "engines": figures} for batch in job["batches"]]


@pytest.fixture
def run(monkeypatch):
    """A function: the benchmark with these arguments, without children."""
    monkeypatch.setattr(processes, "run", fake_run)
    monkeypatch.setattr(inference.zoo, "NETWORKS", NETWORKS, raising=False)
    monkeypatch.setattr(inference, "DEFAULT", "deck3,resnet18")
    app = typer.Typer()
    app.command()(inference.main)
    return lambda *arguments: CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


def test_all_tables_of_a_run(run, tmp_path):
    files = ["--json", str(tmp_path / "new" / "all.json"), "--markdown", str(tmp_path / "all.md")]
    done = run("--networks", "all", "--memory", "--start-up", *files)
    assert done.exit_code == 0, done.output
    for threads in (1, 2):
        for batch in (1, 16):
            assert f"Batch {batch}, {threads} thread" in done.output
    assert "OpenVINO has no figure for DECK3: the process was ended by SIGSEGV" in done.output
    figures = json.loads((tmp_path / "new" / "all.json").read_text())
    assert [(row["network"], row["batch"], row["threads"]) for row in figures["rows"][:3]] == [
        ("DECK3", 1, 1),
        ("DECK3", 16, 1),
        ("DECK3", 1, 2),
    ]
    assert list(figures["rows"][0]["engines"]) == ["eager", "compile", "onnxruntime", "openvino", "solkit"]
    assert figures["memory"]["16"]["RESNET18"]["solkit"]["peak"] == 4.0
    assert figures["start_up"]["DECK3"] == {"first": 3.0, "again": 3.0}
    assert "torch" in figures["machine"]
    text = (tmp_path / "all.md").read_text()
    assert "| geometric mean | 1.00x | 1.33x | 1.33x | - | 2.00x | 2.00x | 1.50x |" in text


def test_readme(run, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "ROOT", tmp_path)
    (tmp_path / "README.md").write_text("<!-- benchmark:begin -->\n<!-- benchmark:end -->\nend\n")
    assert run("--networks", "deck3", "--engines", "solkit", "--readme").exit_code == 0
    assert "| DECK3 |" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"networks": "resnet"}, "no network is called 'resnet'; there are deck3, resnet18"),
        ({"networks": "deck3", "engines": "eager,tvm"}, "no engine is called 'tvm'; there are eager, compile"),
        ({"networks": "deck3", "batch": "1,0"}, "--batch takes whole numbers above 0"),
        ({"networks": "deck3", "threads": "many"}, "--threads takes whole numbers above 0"),
    ],
)
def test_wrong_arguments(monkeypatch, arguments, says):
    monkeypatch.setattr(inference.zoo, "NETWORKS", NETWORKS, raising=False)
    with pytest.raises(typer.BadParameter, match=says):
        inference.main(**arguments)


def test_every_engine_dies(monkeypatch, tmp_path):
    def killed(*_arguments, **_job):
        raise JobError("the process was ended by SIGKILL")

    monkeypatch.setattr(processes, "run", killed)
    monkeypatch.setattr(processes.zoo, "NETWORKS", NETWORKS, raising=False)
    (row,) = processes.time_network("deck3", [1], 1, ["eager", "solkit"], 1, str(tmp_path))
    assert row.flops is None
    assert row.engines["solkit"] == {"reason": "the process was ended by SIGKILL"}
    assert processes.measure_memory("deck3", 1, 1, "eager", str(tmp_path)) == row.engines["eager"]
    assert processes.measure_start_up("deck3", 1, 1, str(tmp_path)) == row.engines["eager"]


def test_a_job_in_a_process_of_its_own():
    with pytest.raises(JobError, match="the process failed: KeyError: 'nonsense'"):
        processes.run("nonsense")
