"""Sees to it that ranks end with the process that started them, even if that is killed.

As a program, `python keeper.py PID FOLDER` waits for the end of process PID, then kills what it started and removes the
folder. What was started is told by its environment: every process in it inherited the name of the folder there. It
imports nothing but the standard library, so that it is up at once.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time

MARK = "FROVEDIS_CLUSTER"


def marked(folder: str) -> list[int]:
    """The processes that were started for this folder, and what they started."""
    mark = f"{MARK}={folder}".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                environment = file.read().split(b"\0")
        except OSError:  # it has ended, or is somebody else's
            continue
        if mark in environment:
            found.append(int(name))
    return found


def end_all(folder: str) -> None:
    """Kill all of them, and remove the folder. While some are killed, others may start, so look until none is left."""
    for _ in range(100):
        pids = marked(folder)
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not pids:
            break
        time.sleep(0.01)
    shutil.rmtree(folder, ignore_errors=True)


def wait(pids: "list[int]", timeout: "float | None" = None) -> "list[int]":
    """Those of the processes that have ended, as soon as there are any, or when the time is up."""
    waited = [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    ended = [pid for pid in pids if pid not in waited]
    if ended:
        return ended
    handles = {}
    try:
        for pid in waited:
            try:
                handles[os.pidfd_open(pid)] = pid
            except ProcessLookupError:
                return [pid]
        poll = select.poll()
        for handle in handles:
            poll.register(handle, select.POLLIN)
        ready = poll.poll(None if timeout is None else timeout * 1000)
        return [handles[handle] for handle, _ in ready]
    except (OSError, AttributeError):  # no pidfd on this kernel: look again a little later
        time.sleep(0.3 if timeout is None else min(timeout, 0.3))
        return [pid for pid in pids if not os.path.exists(f"/proc/{pid}")]
    finally:
        for handle in handles:
            os.close(handle)


def start(pid: int, folder: str) -> "subprocess.Popen[bytes]":
    """A keeper for this process, in a session of its own and without the mark: nobody else ends it. It is isolated from
    the user's Python settings."""
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    program = [sys.executable, "-I", "-S", __file__, str(pid), folder]
    return subprocess.Popen(program, start_new_session=True, env=environment, **quiet)


def main(pid: int, folder: str) -> None:
    """Wait for process `pid`, our parent, and then end everything; at once if it is not our parent."""
    while os.getppid() == pid:  # else it has ended already
        if wait([pid]):
            break
    end_all(folder)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
