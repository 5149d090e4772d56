"""The gate: one small process beside the Jupyter server for each kernel on a Slurm node.

It submits the job, tells in the notebook why it waits, passes messages between the server and the node, keeps the job
over restarts of the kernel, warns before its time is over, and ends it: when told to, and when the server is gone, for
then its standard input ends. The server's side is provisioner.py. Between the two, each line is one JSON object: from
the server the settings, then {"do": ...}: "start", "signal", "stop", "end"; to it {"event": ...}: "ready", "failed",
"ended", "log".
"""

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import signal
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

from aurora_kernels.jupyter import slurm
from aurora_kernels.jupyter.files import write_private
from aurora_kernels.jupyter.line import SECONDS, Line, NoAnswer
from aurora_kernels.jupyter.relay import Relay
from aurora_kernels.jupyter.slurm_words import why

SHORT = 2.0  # seconds of waiting that are worth no notice
LOOK = 1.0  # seconds between questions to the node
SILENCE = 3.0  # seconds without an answer from the node after which Slurm is asked
TRIES = 5  # of a first word to the node
REACH = 30.0  # seconds until a kernel that runs must have answered
ARRIVAL = 120.0  # seconds that Python may take to start on the node
PAUSES = (1, 1, 1, 2, 2, 5, 5, 10)  # seconds between questions to Slurm while the job waits; then 15
PREAMBLE = """#!/usr/bin/env bash
{modules}{setup}exec {python} -P -m aurora_kernels.jupyter.node {folder}
"""
# As find_module in slurm/common.sh: where the login shell is not bash, this shell has no `module` yet.
MODULES = """for f in "${{MODULESHOME:-/usr/share/modules}}"/init/bash /etc/profile.d/{{modules,lmod,z00_lmod}}.sh; do
    type module >/dev/null 2>&1 || [ ! -r "$f" ] || source "$f"
done
module load {names} || {{ echo "a module could not be loaded: {names} (MODULES)" >&2; exit 1; }}
"""
SETUP = """source {file} || {{ echo "SETUP ended with an error:" {file} >&2; exit 1; }}
"""


class JobEnded(Exception):
    """The job is no more, and not because somebody here ended it; the message is for the notebook."""


class Gate:
    """One kernel: its relay, and its job of the moment."""

    def __init__(self, settings: dict) -> None:
        self.settings = settings
        self.folder = Path(settings["folder"])
        self.curve = (settings["keys"]["curve_publickey"].encode(), settings["keys"]["curve_secretkey"].encode())
        self.relay = Relay(settings["keys"]["key"].encode(), settings["keys"]["signature_scheme"], self.curve)
        self.relay.on_shutdown = lambda: self._ended(0)
        self.job = ""  # its number
        self.line: Line | None = None  # to the node
        self.life: asyncio.Task | None = None
        self.limit: datetime | None = None
        self.launch = 0  # the server's number of the kernel it wants
        self.starts = 0  # of kernels in this job that were asked for
        self.warned: set[float] = set()
        self.turn = asyncio.Lock()  # a kernel is started or connected, one at a time

    # --- what the server asks for

    async def start(self, order: dict) -> None:
        """Start the kernel: in the job that there is, or in a new one."""
        self.relay.forget()
        self.launch = order["launch"]
        self.settings |= {name: order[name] for name in ("argv", "cwd", "env")}
        if self.life is None or self.life.done():
            await self._submit()
            self.life = asyncio.create_task(self._live())
        elif self.line is not None:
            await self._start_kernel()
        emit("ready", ports=self.relay.ports, job=self.job)

    async def signal(self, number: int) -> None:
        """Hand a signal on to the kernel. While there is none, an interrupt gives up the cells that wait for it."""
        if self.relay.open and self.line is not None:
            await self.line.ask(do="signal", number=number)
        elif number == signal.SIGINT:
            await self.relay.give_up(f"given up while job {self.job} waits; the job still does")

    async def stop(self, number: int) -> None:
        """End the kernel and keep the job."""
        if self.relay.open and self.line is not None:
            await self.line.ask(do="signal", number=number)
        else:
            self._ended(-number)

    def _ended(self, code: int) -> None:
        emit("ended", code=code, launch=self.launch)

    async def end(self) -> None:
        """End the job, and leave nothing behind."""
        if self.life is not None:
            self.life.cancel()
            await asyncio.gather(self.life, return_exceptions=True)
        if self.job:
            try:
                if self.line is None:
                    raise NoAnswer
                await self.line.ask(do="end")
            except NoAnswer:
                await _quietly(slurm.cancel, self.job)
        if self.line is not None:
            self.line.close()
        await self.relay.close()
        self._remove()

    # --- a job's life

    async def _submit(self) -> None:
        self._remove()
        self.folder.mkdir(parents=True, mode=0o700)
        write_private(self.folder / "keys.json", self.settings["keys"] | {"patience": self.settings["patience"]})
        flags = [*self.settings["flags"], f"--output={self.folder}/job.log", "--no-requeue"]
        try:
            self.job = await asyncio.to_thread(slurm.submit, flags, text=script(self.settings, self.folder))
        except slurm.SlurmError:
            self._remove()
            raise
        self.starts, self.warned, self.limit = 0, set(), None
        await self._news(f"Job {self.job} is submitted")

    async def _live(self) -> None:
        """Follow a job from the queue to its end."""
        try:
            await self._wait_in_queue()
            await self._wait_for_node()
            await self._start_kernel()
            await self._look_after_kernel()
        except JobEnded as ended:
            emit("log", text=str(ended))
            await self.relay.fail(f"{ended}\nRestart the kernel to submit a new job.")
        except Exception as error:  # whatever it is, the user is to know
            emit("log", text=f"the gate of job {self.job} failed: {error!r}")
            await self.relay.fail(f"Job {self.job} was lost by the program in between: {error!r}.")
            await _quietly(slurm.cancel, self.job)
        self.job, line, self.line = "", self.line, None
        if line is not None:
            line.close()
        self._remove()

    async def _wait_in_queue(self) -> None:
        pauses, begun = iter(PAUSES), time.monotonic()
        while True:
            job = await self._ask_slurm()
            if job is not None and not job.waits:
                self.limit = self._limit(job)
                return
            if job is not None:
                start = f"Expected to start at {job.start:%H:%M on %d %b}. " if job.start else ""
                text = f"Job {self.job} waits in partition {job.partition}: {why(job)}."
                await self._news(f"{text}\n{start}To give up: scancel {self.job}")
                if time.monotonic() - begun > SHORT:
                    await self.relay.notify("info", f"{text} {start}")
            await asyncio.sleep(next(pauses, 15))

    async def _wait_for_node(self) -> None:
        """Return when the program on the node answers."""
        await self._news(f"Job {self.job} has its node; Python is starting there")
        until = time.monotonic() + ARRIVAL
        place = self.folder / "node.json"
        while not place.exists():
            os.listdir(self.folder)  # a network file system looks again
            if time.monotonic() > until:
                tail = self._log_tail()
                await _quietly(slurm.cancel, self.job)
                raise JobEnded(f"Job {self.job} is ended: no Python on its node within {ARRIVAL:.0f} s.{tail}")
            await asyncio.sleep(0.3)
            if int(until - time.monotonic()) % 3 == 0:
                await self._ask_slurm()
        found = json.loads(place.read_text())
        self.line = Line(self.relay.context, found["ip"], found["port"], self.curve)

    async def _start_kernel(self) -> None:
        """Ask for a kernel; who looks after it connects it when it runs."""
        order = {name: self.settings[name] for name in ("argv", "cwd", "env")}
        async with self.turn:
            await self.relay.disconnect()
            await self._news(f"Job {self.job} runs; the kernel is starting")
            for _ in range(TRIES):
                with contextlib.suppress(NoAnswer):
                    self.starts = (await self.line.ask(do="start", **order))["start"]
                    return
                await self._ask_slurm()
        await _quietly(slurm.cancel, self.job)
        raise JobEnded(
            f"Job {self.job} is ended: its node does not answer at {self.line.address}. Does something between this "
            "machine and the node, a firewall say, keep them apart?"
        )

    async def _look_after_kernel(self) -> None:
        """Ask the node every second; say when the kernel runs, when it ends, and when the time nearly does."""
        connected = ended = 0  # numbers of starts: of the kernel that is connected, of the one whose end was told
        silent_since = None
        while True:
            try:
                state = await self.line.ask(do="look")
            except NoAnswer:
                silent_since = silent_since or time.monotonic() - SECONDS
                if time.monotonic() - silent_since > SILENCE and (job := await self._ask_slurm()):
                    await self.relay.notify("warning", f"The node of job {self.job} does not answer; {why(job)}.")
                continue
            if silent_since is not None:
                silent_since = None
                await self.relay.notify("ready")
            if state["kernel"] == "running" and connected != state["start"]:
                connected = await self._connect(state) or connected
            elif state["kernel"] == "ended" and ended != state["start"] == self.starts:
                ended = state["start"]
                await self.relay.disconnect()
                if connected != ended:
                    tail = self._log_tail()
                    await _quietly(slurm.cancel, self.job)
                    raise JobEnded(f"The kernel did not start on the node, and job {self.job} is ended.{tail}")
                self._ended(state["code"])
            await self._warn()
            await asyncio.sleep(LOOK if connected == self.starts else 0.2)

    async def _connect(self, state: dict) -> int:
        """Connect to the kernel; return the number of its start, 0 if it cannot be reached, or is no more wanted."""
        async with self.turn:
            if state["start"] != self.starts:
                return 0  # it was restarted meanwhile
            try:
                async with asyncio.timeout(REACH):
                    await self.relay.connect(state["connection"])
            except TimeoutError:
                await self.relay.disconnect()
                where = state["connection"]["ip"]
                await self.relay.notify("warning", f"The kernel of job {self.job} cannot be reached at {where}.")
                return 0
        emit("log", text=f"the kernel runs in job {self.job}")
        return self.starts

    async def _warn(self) -> None:
        """Say in the notebook that the time is nearly over: once for each of the times in `warn_minutes`."""
        if self.limit is None:
            return
        left = (self.limit - datetime.now()).total_seconds() / 60
        due = {minutes for minutes in self.settings["warn_minutes"] if left < minutes} - self.warned
        if due:
            self.limit = self._limit(await self._ask_slurm())  # it may have got more time
            self.warned |= due
            left = (self.limit - datetime.now()).total_seconds() / 60 if self.limit else 1e9
            if left < max(due):
                text = f"Job {self.job} ends in {_minutes(left)}, at {self.limit:%H:%M:%S}: save what you need."
                emit("log", text=text)
                await self.relay.remark(text)

    # --- asking Slurm

    async def _ask_slurm(self) -> slurm.Job | None:
        """Return the job; None if Slurm does not answer just now. Raises JobEnded when it has ended."""
        try:
            job = await asyncio.to_thread(slurm.queued, self.job)
            if job is None or job.ended:
                job = await asyncio.to_thread(slurm.find, self.job)
        except slurm.NotThere as error:
            emit("log", text=str(error))
            return None
        if job is None:
            raise JobEnded(f"Slurm no longer knows job {self.job}.{self._log_tail()}")
        if job.ended:
            by = f" by {job.reason}" if job.state == "CANCELLED" and job.reason not in ("", "None") else ""
            raise JobEnded(f"Job {self.job} has ended: {why(job)}{by}.{self._log_tail()}")
        return job

    def _limit(self, job: slurm.Job | None) -> datetime | None:
        if job is None:
            return self.limit
        if job.left is None:
            return None
        limit = datetime.now() + timedelta(seconds=job.left)
        # A warning that would come as soon as the job has begun is no news.
        if self.limit is None:
            self.warned = {minutes for minutes in self.settings["warn_minutes"] if 0.97 * job.left < minutes * 60}
        return limit

    async def _news(self, text: str) -> None:
        if text != self.relay.news:
            emit("log", text=text)
        await self.relay.tell(text)

    def _log_tail(self) -> str:
        """Return the end of what the job printed, for a message."""
        try:
            text = (self.folder / "job.log").read_text(errors="replace").strip()
        except OSError:
            return ""
        return f" Its log ends with:\n{text[-1500:]}" if text else ""

    def _remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def script(settings: dict, folder: Path) -> str:
    """Return the batch script."""
    return PREAMBLE.format(
        modules=MODULES.format(names=settings["modules"]) if settings["modules"] else "",
        setup=SETUP.format(file=shlex.quote(settings["setup"])) if settings["setup"] else "",
        python=shlex.quote(settings["python"]),
        folder=shlex.quote(str(folder)),
    )


def _minutes(left: float) -> str:
    return f"{left:.0f} minutes" if left >= 1.5 else f"{left * 60:.0f} seconds"


async def _quietly(function: object, *arguments: object) -> None:
    try:
        await asyncio.to_thread(function, *arguments)
    except slurm.SlurmError as error:
        emit("log", text=str(error))


def emit(event: str, **more: object) -> None:
    """Send an event to the server; when it is gone there is nobody to tell."""
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps({"event": event, **more}), flush=True)


async def main() -> None:
    """Do what the server says until it says `end`, or says no more."""
    lines = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    gate = Gate(json.loads(await lines.readline()))
    try:
        while line := await lines.readline():
            order = json.loads(line)
            if order["do"] == "end":
                break
            try:
                if order["do"] == "start":
                    await gate.start(order)
                else:
                    await {"signal": gate.signal, "stop": gate.stop}[order["do"]](order["number"])
            except (slurm.SlurmError, JobEnded) as error:
                emit("failed", text=str(error))
            except OSError as error:
                emit("failed", text=f"no files can be written to {gate.folder}: {error}")
            except NoAnswer as error:
                emit("log", text=str(error))
    finally:
        await gate.end()


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the server ends this process, through its standard input
    asyncio.run(main())
