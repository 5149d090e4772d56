"""The kernel provisioner `aurora-slurm`: a notebook's kernel runs in a Slurm job.

A kernel.json names it, and may change any setting of the site's slurm/site.conf, as in `metadata`:

    "kernel_provisioner": {"provisioner_name": "aurora-slurm", "config": {"partition": "ve", "time": "2:00:00"}}

The work is done by a process of its own for each kernel, gate.py, so that a busy server delays no message, and so that
the job ends whatever happens to the server. API: jupyter_client.provisioning.KernelProvisionerBase.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import zmq
from aurora_kernels.jupyter import site
from jupyter_client.provisioning import KernelProvisionerBase
from jupyter_core.paths import jupyter_runtime_dir
from traitlets import Float, Unicode
from traitlets import List as ListOf

GONE = 1  # the exit status of a kernel whose gate is gone
ENDING = 20.0  # seconds that the gate may take to end a job
SECRETS = ("JUPYTER_TOKEN", "JPY_API_TOKEN", "JUPYTERHUB_API_TOKEN", "JPY_PARENT_PID")  # not for the job's environment


class SlurmProvisioner(KernelProvisionerBase):
    """Kernels in Slurm jobs. The traits below are what `config` in a kernel.json can have."""

    site = Unicode("", help="The file of site settings; empty: AURORA_SITE, else slurm/site.conf.").tag(config=True)
    account = Unicode(None, allow_none=True, help="--account of sbatch; null: as the site says.").tag(config=True)
    partition = Unicode(None, allow_none=True, help="--partition").tag(config=True)
    qos = Unicode(None, allow_none=True, help="--qos").tag(config=True)
    resource = Unicode(None, allow_none=True, help="Flags for devices, like --gres=ve:1.").tag(config=True)
    time = Unicode(None, allow_none=True, help="--time").tag(config=True)
    cpus = Unicode(None, allow_none=True, help="--cpus-per-task").tag(config=True)
    memory = Unicode(None, allow_none=True, help="--mem").tag(config=True)
    modules = Unicode(None, allow_none=True, help="Names for `module load`.").tag(config=True)
    setup = Unicode(None, allow_none=True, help="A script to source.").tag(config=True)
    environment = Unicode(None, allow_none=True, help="The Python environment on the node.").tag(config=True)
    options = ListOf(Unicode(), help="More options for sbatch.").tag(config=True)
    folder = Unicode("", help="A folder that login and compute nodes share; empty: Jupyter's.").tag(config=True)
    warn_minutes = ListOf(Float(), [10.0, 2.0], help="Minutes before the job's end to warn at.").tag(config=True)
    patience = Float(60.0, help="Seconds without a server after which the job ends by itself.").tag(config=True)

    def __init__(self, **settings: Any) -> None:
        allowed = self.trait_names(config=True)
        own = {"kernel_id", "kernel_spec", "parent", "config", "log"}
        if wrong := sorted(set(settings) - set(allowed) - own):
            names = ", ".join(sorted(allowed))
            raise site.SiteError(f"kernel.json: there is no setting {wrong[0]} in config; there are {names}")
        super().__init__(**settings)
        self._gate: subprocess.Popen | None = None
        self._alive = False  # whether there is a kernel, as the server sees it
        self._code: int | None = None
        self._launch = 0  # how often a kernel was started
        self._answer: Future = Future()
        self._keys: dict[str, str] = {}
        self._job = ""

    # --- the life of a kernel, as jupyter_client asks for it

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Return what launch_kernel is called with."""
        extra = kwargs.pop("extra_arguments", [])
        kwargs.pop("transport_encryption", None)  # they are encrypted always
        return await super().pre_launch(cmd=[*self.kernel_spec.argv, *extra], **kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        """Submit the job, or start the kernel anew in the one there is; return where to connect, on this machine.

        Raises RuntimeError with Slurm's words if it refuses the job, and SiteError for settings that are wrong.
        """
        if self._gate is None or self._gate.poll() is not None:
            self._open_gate(self._settings())
        self._code, self._answer = None, Future()
        self._launch += 1
        own = [*self.kernel_spec.env, "JPY_SESSION_NAME"]
        env = {name: kwargs["env"][name] for name in own if name in kwargs["env"]}
        self._send(do="start", launch=self._launch, argv=cmd, cwd=str(kwargs.get("cwd") or Path.cwd()), env=env)
        try:
            ready = await asyncio.wrap_future(self._answer)
        except BaseException:
            await self._close_gate()
            raise
        self._alive, self._job = True, ready["job"]
        self.connection_info = {
            "ip": "127.0.0.1",
            "transport": "tcp",
            **ready["ports"],
            "key": self._keys["key"].encode(),
            "signature_scheme": self._keys["signature_scheme"],
            **{name: self._keys[name] for name in ("curve_publickey", "curve_secretkey")},
        }
        return self.connection_info

    @property
    def has_process(self) -> bool:
        """Whether there is a kernel."""
        return self._alive

    async def poll(self) -> int | None:
        """Return None while there is a kernel, or one that waits for its job, else its exit status."""
        if self._code is None and (self._gate is None or self._gate.poll() is not None):
            return GONE
        return self._code

    async def wait(self) -> int | None:
        """Wait for the kernel's end."""
        while (code := await self.poll()) is None:
            await asyncio.sleep(0.1)
        self._alive = False
        return code

    async def send_signal(self, signum: int) -> None:
        """Send the kernel a signal; SIGINT interrupts the cell."""
        self._send(do="signal", number=int(signum))

    async def kill(self, restart: bool = False) -> None:
        """Kill the kernel; its job is ended by cleanup, if this is no restart."""
        self._send(do="stop", number=int(signal.SIGKILL))

    async def terminate(self, restart: bool = False) -> None:
        """End the kernel; its job is ended by cleanup, if this is no restart."""
        self._send(do="stop", number=int(signal.SIGTERM))

    async def cleanup(self, restart: bool = False) -> None:
        """End the job, unless the kernel is to be started again in it."""
        self._alive = False
        if not restart:
            await self._close_gate()

    async def get_provisioner_info(self) -> dict[str, Any]:
        """Return what is known of the kernel, and its job's number."""
        return {**await super().get_provisioner_info(), "job": self._job}

    def get_shutdown_wait_time(self, recommended: float = 5.0) -> float:
        """Return seconds: the kernel's answer takes its way through the gate."""
        return max(recommended, 10.0)

    # --- the gate

    def _settings(self) -> dict[str, Any]:
        """Return all that the gate is to know; kernel.json counts more than site.conf."""
        own = {name: getattr(self, name.lower(), None) for name in site.SETTINGS}
        path = Path(self.site).expanduser() if self.site else site.find()
        settings = {**site.read(path), **{name: value for name, value in own.items() if value is not None}}
        # A relative one is the repository's own, and this Python is of it.
        environment = Path(settings["ENVIRONMENT"]).expanduser()
        python = str(environment / "bin" / "python") if environment.is_absolute() else sys.executable
        curve = [key.decode() for key in zmq.curve_keypair()]
        session = self.parent.session
        self._keys = {
            "key": session.key.decode(),
            "signature_scheme": session.signature_scheme,
            "curve_publickey": curve[0],
            "curve_secretkey": curve[1],
        }
        return {
            "folder": str(Path(self.folder or jupyter_runtime_dir()).expanduser() / f"aurora-{self.kernel_id}"),
            "flags": ["--job-name=aurora-kernel", "--nodes=1", *site.flags(settings), *self.options],
            "modules": settings["MODULES"],
            "setup": settings["SETUP"],
            "python": python,
            "warn_minutes": self.warn_minutes,
            "patience": self.patience,
            "keys": self._keys,
        }

    def _open_gate(self, settings: dict[str, Any]) -> None:
        command = [sys.executable, "-P", "-m", "aurora_kernels.jupyter.gate"]
        env = {name: value for name, value in os.environ.items() if name not in SECRETS}
        # A session of its own: Ctrl-C in the server's terminal is the server's to deal with.
        self._gate = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, start_new_session=True, text=True
        )
        self._send(**settings)
        threading.Thread(target=self._listen, args=[self._gate], daemon=True, name="aurora-gate").start()

    def _listen(self, gate: subprocess.Popen) -> None:
        """Follow the gate's events. A thread, since a server without a running event loop has kernels, too."""
        for line in gate.stdout:
            event = json.loads(line)
            if event["event"] == "log":
                self.log.info("kernel %s: %s", self.kernel_id, event["text"])
            elif event["event"] == "ended":
                if event["launch"] == self._launch:  # and not the kernel before a restart
                    self._code = event["code"]
            elif not self._answer.done():
                if event["event"] == "ready":
                    self._answer.set_result(event)
                else:
                    self._answer.set_exception(RuntimeError(event["text"]))
        gate.wait()
        if gate is self._gate and not self._answer.done():
            self._answer.set_exception(RuntimeError("the program between server and node ended; see the server's log"))

    def _send(self, **order: Any) -> None:
        try:
            self._gate.stdin.write(json.dumps(order) + "\n")
            self._gate.stdin.flush()
        except (OSError, ValueError, AttributeError):
            pass  # it is gone: poll says so

    async def _close_gate(self) -> None:
        gate, self._gate = self._gate, None
        if gate is None:
            return
        with contextlib.suppress(OSError):
            gate.stdin.close()
        waited = 0.0
        while gate.poll() is None:
            await asyncio.sleep(0.1)
            waited += 0.1
            if waited > ENDING:
                self.log.warning("kernel %s: the gate does not end; job %s may be left", self.kernel_id, self._job)
                gate.kill()
                gate.wait()
