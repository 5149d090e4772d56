"""A kernel on a Slurm node, started as any Jupyter program starts one."""

import json
import os
import time
from pathlib import Path

from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager

from tests.slurm.repository import ROOT

SHIPPED = ROOT / "kernels" / "jupyter" / "aurora-labs-slurm" / "kernel.json"
SMALL = {"account": "icm", "cpus": "1", "memory": "2G", "time": "10:00", "site": str(ROOT / "slurm" / "site.conf")}


def install(jupyter: Path, **config: object) -> None:
    """Write the shipped kernelspec into a Jupyter folder, with other settings."""
    spec = json.loads(SHIPPED.read_text())
    spec["metadata"]["kernel_provisioner"]["config"] = {**SMALL, **config}
    place = jupyter / "kernels" / SHIPPED.parent.name
    place.mkdir(parents=True, exist_ok=True)
    (place / "kernel.json").write_text(json.dumps(spec))


class Kernel:
    """A kernel and its client; `config` goes into the kernel.json."""

    def __init__(self, place: Path, **config: object) -> None:
        install(place, **config)
        specs = KernelSpecManager(kernel_dirs=[str(place / "kernels")])
        self.manager = KernelManager(kernel_name=SHIPPED.parent.name, kernel_spec_manager=specs)

    def start(self, cwd: Path) -> "Kernel":
        """Start it, and connect."""
        self.manager.start_kernel(cwd=str(cwd))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(60)
        return self

    @property
    def job(self) -> str:
        return self.manager.provisioner._job

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return Path(os.environ["JUPYTER_RUNTIME_DIR"], f"aurora-{self.manager.kernel_id}")

    def run(self, code: str, at: str = "", action=None, seconds: float = 60) -> tuple[dict, str]:
        """Run a cell; return the reply, and what is under the cell, cleared when it is told to be.

        When the words `at` are under it, `action` is done, once.
        """
        shown: list[str] = []
        done = []

        def output(message: dict) -> None:
            content = message["content"]
            if message["msg_type"] == "clear_output":
                shown.clear()
            if message["msg_type"] == "error":
                shown.append(f"{content['ename']}: {content['evalue']}")
            shown.append(content.get("text") or content.get("data", {}).get("text/plain", ""))
            if action is not None and not done and at in "".join(shown):
                done.append(action())

        reply = self.client.execute_interactive(code, timeout=seconds, output_hook=output, allow_stdin=False)
        return reply["content"], "".join(shown)

    def end(self, now: bool = False) -> None:
        """Shut it down, as a server does."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=now)


def gates(cluster) -> list[str]:
    """Return the processes of this feature that run on this machine, on either side, with this Slurm."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().split(b"\0")
            variables = (place / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        ours = {b"aurora_kernels.jupyter.gate", b"aurora_kernels.jupyter.node"} & set(words)
        if ours and f"SLURM_CONF={cluster.conf}".encode() in variables:
            found.append(place.name)
    return found


def soon(true, seconds: float = 30) -> bool:
    """Return whether it becomes true in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
