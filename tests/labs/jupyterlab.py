"""JupyterLab as `aurora lab` starts it, with a folder of its own, and how Chromium is started to look at it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

# As `aurora lab` of an installed package: it works on a copy of the notebooks, in a folder below the current one.
INSTALLED = "from labs import cli, doctor_checks; doctor_checks.in_checkout = lambda: False; cli.main()"
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# All cells are in the page, also those out of sight, so that a test can look at them.
ALL_CELLS = {"windowingMode": "none"}


class JupyterLab:
    """A server on this machine: `url` and `token`; its notebooks are in `folder`/aurora-labs."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        settings = folder / "config/lab/user-settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings"
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps(ALL_CELLS))
        (folder / "aurora-labs").mkdir(exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        own = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        own |= {"IPYTHONDIR": str(folder), **environment}
        command = [sys.executable, "-c", INSTALLED, "lab", "--no-browser", "--port", str(port)]
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(command, cwd=folder, env={**os.environ, **own}, stdout=log, stderr=log)
        try:
            self.url, self.token = self._answering()
        except BaseException:
            self.stop()
            raise

    def _answering(self) -> tuple[str, str]:
        """Wait until the server has written where it is, and answers."""
        for _ in range(600):
            assert self.process.poll() is None, self.log
            for file in (self.folder / "runtime").glob("jpserver-*.json"):
                try:
                    found = json.loads(file.read_text())
                    with urllib.request.urlopen(f"{found['url']}api?token={found['token']}", timeout=5):
                        return found["url"], found["token"]
                except (OSError, ValueError):
                    pass
            time.sleep(0.1)
        return pytest.fail(f"JupyterLab did not start:\n{self.log}")

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def end_kernels(self) -> None:
        """Shut down every kernel that runs."""
        with urllib.request.urlopen(f"{self.url}api/kernels?token={self.token}", timeout=30) as answer:
            kernels = json.load(answer)
        for kernel in kernels:
            end = urllib.request.Request(f"{self.url}api/kernels/{kernel['id']}?token={self.token}", method="DELETE")
            urllib.request.urlopen(end, timeout=30).close()

    def stop(self) -> None:
        """End the server, as Ctrl-C does."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
