"""Kernels in jobs of a real Slurm: `pytest -m slurm tests/slurm`."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import zmq

from tests.slurm.kernels import Kernel, gates, install, soon
from tests.slurm.repository import ROOT

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]
WHERE = "import os; print(os.environ['SLURM_JOB_ID'], os.environ.get('VE_NODE_NUMBER'), os.getcwd())"


@pytest.fixture
def kernel(cluster, tmp_path, monkeypatch):
    """Make kernels of a server whose Slurm is the tests'; all of them end."""
    monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime of mine"))
    made = []

    def make(start=True, **config):
        found = Kernel(tmp_path / "jupyter", **config)
        made.append(found)
        return found.start(tmp_path) if start else found

    yield make
    for one in made:
        if one.manager.has_kernel:
            one.end(now=True)


def ended(cluster, job, *states):
    found = cluster.wait_for(job, "COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", seconds=30)
    return found["JobState"] in (states or ("COMPLETED",))


def test_a_cell_runs_on_the_node(kernel, cluster, tmp_path):
    one = kernel()
    reply, said = one.run(WHERE)
    assert reply["status"] == "ok"
    job, engine, folder = said.split(maxsplit=2)
    assert job == one.job
    assert engine in "01234567", "the engine that was granted"
    assert folder.strip() == str(tmp_path)
    assert "waits" not in said, "what was said while it waited is gone"
    assert one.run("1 + 1")[1] == "2"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in one.folder.iterdir()}
    assert {name: modes[name] for name in ("keys.json", "node.json", "connection.json")} == dict.fromkeys(
        ("keys.json", "node.json", "connection.json"), 0o600
    )
    assert one.folder.stat().st_mode & 0o777 == 0o700
    key = json.loads((one.folder / "keys.json").read_text())["curve_secretkey"].encode()
    for place in Path("/proc").glob("[0-9]*"):
        for file in ("cmdline", "environ"):
            try:
                assert key not in (place / file).read_bytes()
            except OSError:
                continue
    one.end()
    assert ended(cluster, one.job)
    assert not one.folder.exists()


def test_messages_are_encrypted_on_both_legs(kernel):
    one = kernel()
    one.run("1")
    node = json.loads((one.folder / "connection.json").read_text())
    context = zmq.Context()
    for connection in (one.manager.get_connection_info(), node):
        assert connection["curve_publickey"]
        plain = context.socket(zmq.SUB)
        plain.subscribe(b"")
        plain.connect(f"tcp://{connection['ip']}:{connection['iopub_port']}")
        one.run("print('secret')")
        assert not plain.poll(500), "who has no key hears nothing"
        plain.close(linger=0)
    context.term()


def test_an_interrupt_ends_the_cell_and_not_the_kernel(kernel):
    one = kernel()
    one.run("x = 7")

    begun = time.monotonic()
    reply, _ = one.run("import time; print('begun', flush=True); time.sleep(60)", "begun", one.manager.interrupt_kernel)
    assert (reply["status"], reply["ename"]) == ("error", "KeyboardInterrupt")
    assert time.monotonic() - begun < 20
    assert one.run("x")[1] == "7"


def test_a_restart_keeps_the_job(kernel, cluster):
    one = kernel()
    one.run("x = 7")
    job = one.job
    one.manager.restart_kernel()
    _, said = one.run("import os; print('x' in dir(), os.environ['SLURM_JOB_ID'])")
    assert said.split() == ["False", job]
    for _ in range(3):  # also one that has not started yet
        one.manager.restart_kernel(now=True)
    assert one.run("import os; print(os.environ['SLURM_JOB_ID'])")[1].split() == [job]
    assert cluster.job(job)["JobState"] == "RUNNING"


def test_a_kernel_that_dies_is_seen_and_starts_again_in_its_job(kernel):
    one = kernel()
    one.run("1")
    one.client.execute("import os; os._exit(3)")
    assert soon(lambda: not one.manager.is_alive())
    one.manager.restart_kernel(now=True)
    assert one.run("import os; print(os.environ['SLURM_JOB_ID'])")[1].split() == [one.job]


def test_scancel_from_outside_is_told_and_a_restart_submits_again(kernel, cluster):
    one = kernel()
    one.run("1")
    first = one.job

    code = "import time; print('begun', flush=True); time.sleep(60)"
    reply, said = one.run(code, "begun", lambda: cluster.call("scancel", first))
    assert reply["ename"] == "JobEnded"
    assert f"Job {first} has ended: it was cancelled" in said
    assert "Restart the kernel to submit a new job" in said
    assert f"Job {first} has ended" in one.run("1 + 1")[1], "each cell after it says so, too"
    assert one.manager.is_alive(), "no restart that nobody asked for"
    one.manager.restart_kernel()
    assert one.job != first
    assert one.run("import os; print(os.environ['SLURM_JOB_ID'])")[1].split() == [one.job]


def test_a_job_that_waits_says_why_and_can_be_given_up(kernel, cluster):
    flags = ("--parsable", "--partition=short", "--gres=ve:8", "--output=/dev/null", "--wrap=sleep 60")
    busy = cluster.call("sbatch", *flags).strip()
    cluster.wait_for(busy, "RUNNING")
    one = kernel()

    reply, said = one.run("1", "as soon as enough", one.manager.interrupt_kernel)
    assert reply["ename"] == "KeyboardInterrupt"
    assert f"Job {one.job} waits in partition ve: it is next, as soon as enough is free" in said
    assert f"scancel {one.job}" in said
    assert cluster.job(one.job)["JobState"] == "PENDING", "the cell is given up, the job is not"
    cluster.call("scancel", busy)
    assert one.run("6 * 7")[1] == "42"


def test_shutdown_takes_a_waiting_job_out_of_the_queue(kernel, cluster):
    one = kernel(options=["--hold"])
    assert cluster.job(one.job)["JobState"] == "PENDING"
    one.client.execute("1")
    one.end()
    assert ended(cluster, one.job, "CANCELLED")
    assert not one.folder.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_dies_takes_the_job_along(kernel, cluster, tmp_path, number):
    install(tmp_path / "jupyter")
    code = (
        "import time; from pathlib import Path; from tests.slurm.kernels import Kernel\n"
        f"one = Kernel(Path({str(tmp_path / 'jupyter')!r})).start(Path('/'))\n"
        "one.run('1'); print(one.job, one.folder, flush=True); time.sleep(60)"
    )
    server = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    job, folder = server.stdout.readline().split(maxsplit=1)
    server.send_signal(number)
    server.wait()
    assert ended(cluster, job)
    assert soon(lambda: not Path(folder.strip()).exists())


def test_a_gate_that_is_killed_ends_the_job_too(kernel, cluster):
    one = kernel(patience=3)
    one.run("1")
    one.manager.provisioner._gate.kill()
    assert ended(cluster, one.job, "FAILED"), "the node has heard nothing for its patience"
    assert not one.manager.is_alive()
    assert soon(lambda: not one.folder.exists())


def test_the_time_is_nearly_over(kernel):
    one = kernel(time="2", warn_minutes=[1.9, 1.87])
    _, said = one.run("import time; time.sleep(9)")
    assert said.count(f"Job {one.job} ends in 2 minutes, at ") == 2, said
    assert "save what you need" in said


def test_a_kernel_asks_for_input(kernel):
    one = kernel()
    one.run("1")
    asked = one.client.execute("print('hello', input('name? '))")
    message = one.client.get_stdin_msg(timeout=20)
    assert message["content"]["prompt"] == "name? "
    one.client.input("Ada")
    assert one.client.get_shell_msg(timeout=20)["parent_header"]["msg_id"] == asked


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"account": "nobody"}, "Invalid account"),
        ({"partition": "wrong"}, "invalid partition specified: wrong"),
        ({"resource": "--gres=aurora:1"}, "Invalid generic resource"),
        ({"folder": "/dev/null"}, "no files can be written to /dev/null"),
    ],
)
def test_what_slurm_refuses_is_said(kernel, config, words):
    one = kernel(start=False, **config)
    with pytest.raises(RuntimeError, match=words):
        one.manager.start_kernel()
    assert not one.folder.exists()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"environment": "/no where"}, "/no where/bin/python"),
        ({"modules": "necmpi"}, "a module could not be loaded: necmpi"),
        ({"setup": "/no where/vars.sh"}, "SETUP ended with an error: /no where/vars.sh"),
    ],
)
def test_a_job_that_cannot_start_its_kernel_says_why(kernel, config, words):
    one = kernel(**config)
    reply, said = one.run("1")
    assert reply["ename"] == "JobEnded"
    assert "its script ended with an error" in said
    assert words in said


def test_two_kernels_on_one_node(kernel):
    one, two = kernel(), kernel()
    one.run("x = 1")
    two.run("x = 2")
    assert (one.run("x")[1], two.run("x")[1]) == ("1", "2")
    assert one.job != two.job


def test_papermill_runs_a_notebook_on_the_node(kernel, cluster, tmp_path):
    install(tmp_path / "jupyter")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(WHERE)])
    nbformat.write(notebook, tmp_path / "in.ipynb")
    environment = {**os.environ, "JUPYTER_PATH": str(tmp_path / "jupyter")}
    command = [
        sys.executable,
        "-m",
        "papermill",
        "in.ipynb",
        "out.ipynb",
        "-k",
        "aurora-labs-slurm",
        "--no-progress-bar",
    ]
    done = subprocess.run(command, cwd=tmp_path, env=environment, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (output,) = nbformat.read(tmp_path / "out.ipynb", 4).cells[0].outputs
    assert ended(cluster, output["text"].split()[0])


def test_twenty_starts_and_stops_leave_nothing(kernel, cluster):
    for turn in range(20):
        one = kernel()
        assert one.run("import os; print(os.environ['SLURM_JOB_ID'])")[1].split() == [one.job]
        one.end(now=turn % 4 == 3)
        assert not one.folder.exists()
    assert soon(lambda: not cluster.call("squeue", "--noheader", "--name=aurora-kernel").strip())
    assert soon(lambda: gates(cluster) == [])
    assert list(Path(os.environ["JUPYTER_RUNTIME_DIR"]).iterdir()) == []
