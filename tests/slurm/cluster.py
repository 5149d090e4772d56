"""A real Slurm of one node, from Debian's slurm-wlm and munge, in a folder of its own. It has to be started as root.

    with Cluster(folder) as cluster:
        cluster.call("sinfo")

or by hand: `python tests/slurm/cluster.py FOLDER`, which says what to put into the environment and waits for Ctrl-C.
There are no cgroups and no accounting in it; eight plain files stand for Vector Engines, which Slurm counts and grants.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
INSTALL = "apt-get install slurm-wlm munge"
SBIN = "/usr/sbin:/sbin"
CONF = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
FirstJobId={first}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2
GresTypes=ve
JobSubmitPlugins=lua
KillWait=20
ReturnToService=2
SlurmdParameters=config_overrides
DefMemPerCPU=500
NodeName={host} NodeAddr=127.0.0.1 CPUs=16 RealMemory=64000 Gres=ve:8 State=UNKNOWN
PartitionName=ve Nodes={host} MaxTime=2-00:00:00 DefaultTime=1:00:00
PartitionName=short Nodes={host} MaxTime=0:15:00 DefaultTime=0:05:00 Default=YES
"""
# Without accounting Slurm knows no accounts, so this lets the partition ve refuse those that are not its own.
SUBMIT = """
function slurm_job_submit(job, partitions, user)
    local account = job.account
    if job.partition == "ve" and account ~= "icm" then return slurm.ESLURM_INVALID_ACCOUNT end
    return slurm.SUCCESS
end
function slurm_job_modify(job, old, partitions, user) return slurm.SUCCESS end
"""
# cred_expire: a requeued job may start again when its credential is sure to be void, 120 s if not told otherwise.


def missing() -> list[str]:
    """Return the programs that are not here."""
    return [name for name in PROGRAMS if _find(name) is None]


def _find(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{SBIN}")


class Cluster:
    """A running Slurm; `environment` is what a program needs to talk to it."""

    def __init__(self, folder: Path, conf: str = "") -> None:
        if " " in str(folder):
            raise ValueError(f"{folder}: Slurm's configuration has no names of folders with blanks in them")
        self.folder = folder
        for name in ("state", "spool", "devices"):
            (folder / name).mkdir(parents=True)
        for number in range(8):
            (folder / "devices" / f"ve{number}").touch()
        host = _host()
        self.conf = folder / "slurm.conf"
        ports = _free_ports(2)
        # Several clusters may run on this machine at once: jobs of one must not have the numbers of another's.
        self.conf.write_text(CONF.format(host=host, folder=folder, ports=ports, first=1000 * ports[0]) + conf)
        (folder / "job_submit.lua").write_text(SUBMIT)
        (folder / "gres.conf").write_text(f"NodeName={host} Name=ve File={folder}/devices/ve[0-7]\n")
        # slurmd would look for cgroups though nothing uses them, and a container may have none; this kind needs none.
        (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        # Inside a job of another Slurm its variables would be in the way.
        own = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
        self.environment = {**own, "SLURM_CONF": str(self.conf)}
        self._daemons: list[subprocess.Popen] = []
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        folder = self.folder
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o600)
        files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid"}
        files |= {"log-file": "munge.log", "seed-file": "munge.seed"}
        self._daemon("munged", "--foreground", "--force", *(f"--{key}={folder / name}" for key, name in files.items()))
        self._wait("munge", lambda: (folder / "munge.socket").exists())
        self._daemon("slurmctld", "-D", "-i")
        self._daemon("slurmd", "-D")
        self._wait("slurmd", lambda: "idle" in self.call("sinfo", "--noheader", "--format=%T"))

    def _daemon(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.out").open("w") as out:
            command = [_find(name) or name, *arguments]
            # The nodes' programs would be ended by a Ctrl-C that is meant for the tests.
            process = subprocess.Popen(
                command, stdout=out, stderr=out, env=self.environment, start_new_session=True, cwd=self.folder
            )
        self._daemons.append(process)

    def _wait(self, what: str, ready, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > end or any(process.poll() is not None for process in self._daemons):
                logs = [f"{path.name}:\n{path.read_text()[-1500:]}" for path in self.folder.glob("*.out")]
                raise RuntimeError("\n".join([f"{what} did not come up", *logs]))
            time.sleep(0.2)

    def call(self, *command: str, check: bool = False, **more: object) -> str:
        """Return what a command says, stdout and stderr together."""
        options = {"env": self.environment, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(command, **{**options, **more}, check=False)
        assert not check or done.returncode == 0, done.stdout
        return done.stdout

    def job(self, number: str) -> dict[str, str]:
        """Return what Slurm knows of a job, by its names: JobState, Reason, ..."""
        words = self.call("scontrol", "show", "job", "-d", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait_for(self, number: str, *states: str, seconds: float = 200) -> dict[str, str]:
        """Wait until a job is in one of the states, and return what Slurm knows of it."""
        end = time.monotonic() + seconds
        while (found := self.job(number)).get("JobState") not in states:
            assert time.monotonic() < end, found
            time.sleep(0.3)
        return found

    def lose_node(self) -> None:
        """Let the node's daemon die, and take the node out of the cluster, as an operator would."""
        node = self._daemons.pop()
        node.kill()
        node.wait()
        self.call("scontrol", "update", f"node={_host()}", "state=down", "reason=lost", check=True)

    def return_node(self) -> None:
        """Start the daemon again."""
        self._daemon("slurmd", "-D")
        self.call("scontrol", "update", f"node={_host()}", "state=resume", check=True)

    def stop(self) -> None:
        """End all jobs and daemons."""
        if len(self._daemons) == 3:
            self.call("scancel", "--user=root")
            end = time.monotonic() + 25
            while self.call("squeue", "--noheader").strip() and time.monotonic() < end:
                time.sleep(0.3)
        for process in reversed(self._daemons):
            process.terminate()
        for process in self._daemons:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._daemons.clear()

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _host() -> str:
    return socket.gethostname().partition(".")[0]


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


if __name__ == "__main__":
    if missing():
        sys.exit(f"not here: {', '.join(missing())}; {INSTALL}")
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with Cluster(Path(sys.argv[1]).absolute()) as cluster:
        print(f"export SLURM_CONF={cluster.conf}\nCtrl-C stops it", flush=True)
        ended.wait()
