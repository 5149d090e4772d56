"""JupyterLab on a node of a real Slurm: it lets in who has the token, shows it to nobody else, and ends whole."""

import asyncio
import contextlib
import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tornado import httpclient, websocket

from tests.slurm.jobs import Job

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

# In a session of its own, and deaf to what ends others politely.
STUBBORN = """
import subprocess, sys
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(900)"
process = subprocess.Popen([sys.executable, "-c", deaf], start_new_session=True, stdout=subprocess.PIPE, text=True)
print(process.stdout.readline(), process.pid)
"""


@pytest.fixture
def repository(repository):
    repository.set(LOGIN="-J USER@door USER@login", MEMORY="4G")
    return repository


class Server(Job):
    """A JupyterLab, and what its log says to the learner."""

    def __init__(self, cluster, repository, *arguments):
        super().__init__(cluster, repository, "jupyter.sh", *arguments)
        self.private = self.results / "private"

    def answers(self, seconds=120):
        end = time.monotonic() + seconds
        while f"    scancel {self.number}\n" not in self.log:
            assert time.monotonic() < end, self.log
            assert self.cluster.job(self.number)["JobState"] in ("PENDING", "RUNNING"), self.log
            time.sleep(0.3)
        self.port, self.url = re.search(r"http://localhost:(\d+)", self.log).group(1, 0)
        show = re.search(r"(?m)^    (cat .*; echo)$", self.log)[1]
        self.token = subprocess.run(["sh", "-c", show], capture_output=True, text=True, check=True).stdout.strip()
        return self

    def ask(self, path, token="", **data):
        """Return the status and the answer; with data it is a POST."""
        body = json.dumps(data).encode() if data else None
        request = urllib.request.Request(f"{self.url}/{path}", body, {"Authorization": f"token {token}"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def execute(self, code):
        """Run code in a new kernel, as a notebook does, and return what it prints."""
        status, kernel = self.ask("api/kernels", self.token, name="python3")
        assert status == 201, kernel
        return asyncio.run(self._execute(f"{self.url}/api/kernels/{kernel['id']}/channels", code))

    async def _execute(self, url, code):
        headers = {"Authorization": f"token {self.token}"}
        request = httpclient.HTTPRequest(url.replace("http:", "ws:"), headers=headers)
        connection = await websocket.websocket_connect(request)
        header = {"msg_id": "one", "msg_type": "execute_request", "session": "s", "username": "", "version": "5.3"}
        content = {"code": code, "silent": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        await connection.write_message(json.dumps(message))
        while True:
            answer = json.loads(await asyncio.wait_for(connection.read_message(), 60))
            assert answer["msg_type"] != "error", answer["content"]
            if answer["msg_type"] == "stream":
                connection.close()
                return answer["content"]["text"]

    def is_gone(self):
        """Assert that nothing of it is left."""
        end = time.monotonic() + 10
        while self.left() and time.monotonic() < end:
            time.sleep(0.3)
        assert self.left() == []
        assert not self.private.exists()
        with pytest.raises(urllib.error.URLError, match="refused"):
            self.ask("api")


def open_to_others(folder):
    return [str(path) for path in [folder, *folder.rglob("*")] if path.stat().st_mode & 0o077]


def with_config(folder, line):
    """What gives the job's JupyterLab this line of configuration."""
    (folder / "jupyter_server_config.py").write_text(f"c = get_config()\n{line}\n")
    return "--", f"--export=ALL,JUPYTER_CONFIG_PATH={folder}"


def test_the_token_opens_it_and_scancel_ends_all(cluster, repository, tmp_path):
    server = Server(cluster, repository).answers()
    name = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
    tunnel = re.search(r"(?m)^    ssh -N -L (\d+):([\d.]+):(\d+) -J (\S+)@door (\S+)@login$", server.log).groups()
    assert tunnel == (server.port, "127.0.0.1", server.port, name, name)
    assert re.search(r"It ends at 20\d\d-\d\d-\d\dT", server.log)

    assert [server.ask("api/status", token)[0] for token in ("", "wrong", server.token)] == [403, 403, 200]
    assert [file["name"] for file in server.ask("api/contents", server.token)[1]["content"]].count("01_made.ipynb") == 1
    setting = server.ask("lab/api/settings/@jupyterlab/docmanager-extension:plugin", server.token)[1]
    assert setting["schema"]["properties"]["autosaveInterval"]["default"] == 20
    deaf, process = server.execute(STUBBORN).split()
    assert deaf == "deaf"
    assert process in server.left()
    assert server.ask("api/terminals", server.token, name="1")[0] == 200

    assert len(server.token) >= 40
    assert server.token not in server.log
    for path in [*Path("/proc").glob("[0-9]*/cmdline"), *(Path("/proc", one, "environ") for one in server.left())]:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            assert server.token.encode() not in path.read_bytes(), path
    assert open_to_others(server.private) == []
    assert server.results.stat().st_mode & 0o777 == 0o700
    holders = {path for path in tmp_path.rglob("*") if path.is_file() and server.token in path.read_text("latin1")}
    assert server.private / "token" in holders
    assert all(path.is_relative_to(server.private) for path in holders)

    cluster.call("scancel", server.number, check=True)
    server.ends("CANCELLED")
    assert "cancelled: ending what runs" in server.log
    server.is_gone()


def test_the_warning_leaves_time_to_save(cluster, repository):
    server = Server(cluster, repository).answers()
    server.execute("print('runs')")
    cluster.call("scancel", "--batch", "--signal=USR1", server.number, check=True)
    time.sleep(30)
    assert "the time is nearly over: save your notebooks" in server.log
    assert server.ask("api/status", server.token)[1]["kernels"] == 1, "notebooks save themselves every 20 seconds"
    server.ends()
    assert "To have more time: slurm/jupyter.sh -- --time=" in server.log
    assert "Shutting down 1 kernel" in (server.results / "server.log").read_text()
    server.is_gone()


def test_two_at_once_a_port_of_choice_and_the_end_from_the_menu(cluster, repository):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    first, second = Server(cluster, repository, f"--port={port}"), Server(cluster, repository)
    assert first.answers().port == port
    second.answers()
    assert first.token != second.token
    assert first.ask("api/status", second.token)[0] == 403
    assert first.ask("api/shutdown", first.token, now=True)[0] == 200
    first.ends()
    assert "JupyterLab was shut down" in first.log
    first.is_gone()
    assert second.ask("api/status", second.token)[0] == 200
    cluster.call("scancel", second.number, check=True)
    second.ends("CANCELLED")


def test_a_job_that_is_submitted_in_there_is_on_its_own(cluster, repository, tmp_path):
    mark = tmp_path / "started"
    repository.lab("01", f"open({str(mark)!r}, 'w')\nimport time\ntime.sleep(15)")
    server = Server(cluster, repository).answers()
    command = [str(repository.root / "slurm" / "sol_lab.sh"), "01"]
    said = server.execute(f"import subprocess\nprint(subprocess.run({command}, capture_output=True, text=True).stdout)")
    number = re.search(r"Submitted batch job (\d+)", said)[1]
    server.wait(mark)
    cluster.call("scancel", server.number, check=True)
    server.ends("CANCELLED")
    server.is_gone()
    log = repository.root / f"sol_lab-{number}.log"
    assert cluster.wait_for(number, "COMPLETED", "FAILED")["JobState"] == "COMPLETED", log.read_text()
    assert "Vector Engine 0 granted" in server.log
    assert "Vector Engine 1 granted" in log.read_text()


def test_a_port_that_is_taken(cluster, repository):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = Server(cluster, repository, "--port", str(port))
        server.ends("FAILED")
        other.settimeout(0.1)
        with pytest.raises(TimeoutError):
            other.accept()  # the token was not sent to whoever was there
    assert f"port {port} of this node is taken" in server.log
    assert "ssh -N" not in server.log


def test_one_that_dies_at_once_says_why(cluster, repository, tmp_path):
    server = Server(cluster, repository, *with_config(tmp_path, "c.ServerApp.certfile = '/nowhere/at.all'"))
    server.ends("FAILED")
    assert "/nowhere/at.all" in server.log
    assert "JupyterLab does not run" in server.log
    assert "ssh -N" not in server.log


def test_one_that_asks_nobody_for_a_token_is_ended(cluster, repository, tmp_path):
    server = Server(cluster, repository, *with_config(tmp_path, "c.IdentityProvider.token = ''"))
    server.ends("FAILED")
    assert "JupyterLab lets in all" in server.log
    assert "ssh -N" not in server.log
    assert server.left() == []


def test_no_place_for_results(cluster, repository, tmp_path):
    place = tmp_path / "a file"
    place.touch()
    repository.set(SCRATCH=str(place))
    server = Server(cluster, repository)
    server.ends("FAILED")
    assert f"no folder for results at {place}" in server.log


def test_a_full_disk(cluster, repository, tmp_path):
    place = tmp_path / "small disk"
    place.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "small", place], capture_output=True, text=True)
    if mount.returncode:
        pytest.skip(f"no small disk can be made here: {mount.stderr}")
    try:
        with pytest.raises(OSError, match="No space"):
            (place / "full").write_bytes(bytes(100_000))
        repository.set(SCRATCH=str(place))
        server = Server(cluster, repository)
        server.ends("FAILED")
        assert re.search(rf"error: .* {re.escape(str(place))}.*is the disk full", server.log, re.IGNORECASE)
        assert "ssh -N" not in server.log
        assert server.left() == []
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def test_it_is_a_batch_script_like_any_other(cluster, repository, tmp_path):
    script = repository.root / "slurm" / "jupyter.sh"
    said = cluster.call("sbatch", "--partition=short", "--mem=4G", "--parsable", str(script), cwd=tmp_path)
    log, end = tmp_path / f"jupyter-{said.strip()}.log", time.monotonic() + 120
    while not (log.exists() and "JupyterLab answers" in log.read_text()):
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.3)
    cluster.call("scancel", said.strip(), check=True)
    cluster.wait_for(said.strip(), "CANCELLED")
