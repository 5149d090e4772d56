"""On the compute node: starts the kernel, hands signals on to it, and ends the job when nobody asks after it any more.

The batch script runs `python -m aurora_kernels.jupyter.node FOLDER`. In the folder, which the login node sees too,
`keys.json` (0600) has the keys; where this program listens it writes to `node.json`. Its questions and answers are
JSON, encrypted (CurveZMQ): {"do": "look"}, "start" (with argv, cwd, env), "signal" (with number), "end".
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import zmq
from aurora_kernels.jupyter import slurm
from aurora_kernels.jupyter.files import write_private

TICK = 200  # ms
PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
KEYS = ("key", "signature_scheme", "curve_publickey", "curve_secretkey")


class Kernel:
    """The kernel's process, and all that it has started: a process group."""

    def __init__(self, folder: Path, keys: dict, ip: str) -> None:
        self.file = folder / "connection.json"
        self.connection = {name: keys[name] for name in KEYS} | {"transport": "tcp", "ip": ip}
        self.process: subprocess.Popen | None = None
        self.starts = 0

    def start(self, argv: list[str], cwd: str, env: dict[str, str]) -> None:
        """Start it, after ending the one before."""
        self.kill()
        self.starts += 1
        # It finds its own ports, holds them, and writes them into the file.
        write_private(self.file, self.connection | {"kernel_name": "", **dict.fromkeys(PORTS, 0)})
        names = {"{connection_file}": str(self.file)}
        command = [names.get(word, word) for word in argv]
        if re.fullmatch(r"python(3(\.\d+)?)?", command[0]):
            command[0] = sys.executable
        place = cwd if os.path.isdir(cwd) else str(Path.home())
        env = {**os.environ, **vector_engines(), **env, "JPY_PARENT_PID": str(os.getpid())}
        self.process = subprocess.Popen(
            command, cwd=place, env=env, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True
        )

    def state(self) -> dict:
        """Return what the login node wants to know."""
        found = {"start": self.starts, "kernel": "none", "connection": None, "code": None}
        if self.process is None:
            return found
        found["code"] = self.process.poll()
        if found["code"] is not None:
            return found | {"kernel": "ended"}
        try:
            ports = {name: json.loads(self.file.read_text())[name] for name in PORTS}
        except (OSError, ValueError, KeyError):
            ports = {}  # it is being written
        if not ports or not all(ports.values()):
            return found | {"kernel": "starting"}
        return found | {"kernel": "running", "connection": {"ip": self.connection["ip"], **ports}}

    def send(self, number: int) -> None:
        """Send a signal to the kernel and to all that it has started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """End it, and what it has started and left behind."""
        if self.process is not None:
            self.send(signal.SIGKILL)
            self.process.wait()


def address() -> str:
    """Return the address by which the cluster knows this node: the kernel listens on it, and on no other."""
    name = os.environ.get("SLURMD_NODENAME", socket.gethostname())
    with contextlib.suppress(slurm.SlurmError, TypeError):  # else its name will do
        name = re.search(r"NodeAddr=(\S+)", slurm.call("scontrol", "show", "node", name))[1]
    found = socket.gethostbyname(name)
    if found.startswith("127.") and not name.startswith("127."):
        # On some systems a node's own name means 127.0.1.1 on the node itself (find_address in slurm/common.sh, too).
        found = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()[0]
    return found


def vector_engines() -> dict[str, str]:
    """Return VE_NODE_NUMBER: the first engine that this job has. Slurm's plugin for them sets it; else Slurm knows."""
    if "VE_NODE_NUMBER" in os.environ or "SLURM_JOB_ID" not in os.environ:
        return {}
    try:
        job = slurm.find(os.environ["SLURM_JOB_ID"])
    except slurm.SlurmError:
        return {}
    granted = re.search(r"ve[^ ]*\(IDX:(\d+)", job.detail.get("GRES", "")) if job else None
    return {"VE_NODE_NUMBER": granted[1]} if granted else {}


def main(folder: Path) -> int:
    """Serve until told to end, or until nobody has asked for as long as keys.json says; return the exit status."""
    keys = json.loads((folder / "keys.json").read_text())
    ip = address()
    server = zmq.Context().socket(zmq.REP)
    server.curve_publickey, server.curve_secretkey = keys["curve_publickey"].encode(), keys["curve_secretkey"].encode()
    server.curve_server = True
    server.linger = 1000
    port = server.bind_to_random_port(f"tcp://{ip}")
    kernel = Kernel(folder, keys, ip)
    # Slurm's way to say that the job is over, or cancelled.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    write_private(folder / "node.json", {"ip": ip, "port": port, "job": os.environ.get("SLURM_JOB_ID", "")})
    asked = time.monotonic()
    try:
        while time.monotonic() - asked < keys["patience"]:
            if not server.poll(TICK):
                continue
            order = server.recv_json()
            asked = time.monotonic()
            if order["do"] == "start":
                kernel.start(order["argv"], order["cwd"], order["env"])
            elif order["do"] == "signal":
                kernel.send(order["number"])
            elif order["do"] == "end":
                server.send_json({})
                return 0
            server.send_json(kernel.state())
        print(f"the Jupyter server has not asked for {keys['patience']} s: the job ends", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)  # nobody else will
        return 1
    finally:
        kernel.kill()
        server.close()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
