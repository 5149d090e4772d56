"""Stand-ins for Slurm's programs: what they print was recorded from Slurm 22.05 (tests/slurm/cluster.py starts one).

`FakeSlurm(folder)` makes the programs in a folder for the PATH; jobs are rows in a file that they read, and what they
are called with is in `asked`. The commands on a real Slurm: tests/slurm/test_commands.py.
"""

import json
import os
import re
import shlex
import sys
from datetime import datetime, timedelta
from pathlib import Path

PROGRAMS = ("sbatch", "squeue", "scontrol", "sacct", "scancel")
RECORD = """\
JobId={JobId}{array} JobName={JobName}
   UserId={UserId} GroupId=root(0) MCS_label=N/A
   Priority=4294901743 Nice=0 Account=(null) QOS=(null)
   JobState={JobState} Reason={Reason} Dependency=(null)
   Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=0:0
   DerivedExitCode=0:0
   RunTime=00:00:02 TimeLimit=00:05:00 TimeMin=N/A
   SubmitTime=2026-11-23T17:03:58 EligibleTime=2026-11-23T17:03:58
   AccrueTime=2026-11-23T17:03:58
   StartTime={StartTime} EndTime={EndTime} Deadline=N/A
   SuspendTime=None SecsPreSuspend=0 LastSchedEval=2026-11-23T17:03:58 Scheduler=Backfill
   Partition=short AllocNode:Sid=localhost:32082
   ReqNodeList=(null) ExcNodeList=(null)
   NodeList={NodeList}
   NumNodes=1 NumCPUs=1 NumTasks=1 CPUs/Task=1 ReqB:S:C:T=0:0:*:*
   TRES=cpu=1,mem=2G,node=1,billing=1
   Socks/Node=* NtasksPerN:B:S:C=0:0:*:* CoreSpec=*
   MinCPUsNode=1 MinMemoryNode=2G MinTmpDiskNode=0
   Features=(null) DelayBoot=00:00:00
   OverSubscribe=OK Contiguous=0 Licenses=(null) Network=(null)
   Command={Command}
   WorkDir={WorkDir}
   StdErr={StdOut}
   StdIn=/dev/null
   StdOut={StdOut}
   Power=
   
"""  # noqa: W293 - so it prints
LETTERS = {"j": "JobName", "T": "JobState", "r": "Reason", "P": "Partition", "N": "NodeList", "S": "StartTime"}
LETTERS |= {"e": "EndTime", "L": "left", "o": "Command", "Z": "WorkDir", "i": "number"}
STARTED = "17:01:04  job {0} on vm, 1 cores, start number 1\n17:01:04  results: {1}\n"
INVALID = "slurm_load_jobs error: Invalid job id specified"


class FakeSlurm:
    """The programs, and the jobs they know."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in PROGRAMS:
            script = folder / name
            command = shlex.join([sys.executable, "-S", "-E", __file__, str(folder), name])
            script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            script.chmod(0o755)
        self.knows()

    def knows(self, *jobs: dict) -> None:
        """Set the jobs that Slurm knows, all at once; see `job`."""
        new = self.folder / "jobs.new"
        new.write_text(json.dumps(jobs))
        new.replace(self.folder / "jobs.json")

    def says(self, program: str, text: str) -> None:
        """Let a program refuse with these words."""
        (self.folder / f"{program}.refuses").write_text(text)

    @property
    def asked(self) -> list[str]:
        """The commands so far."""
        path = self.folder / "asked"
        return path.read_text().splitlines() if path.exists() else []


def job(number: str, root: Path, template: str = "sol_lab", state: str = "RUNNING", **more: str) -> dict:
    """Make a job as the templates submit it. number: 12, 12_3, or 12_[0-3] for tasks that wait."""
    array, _, task = number.partition("_")
    now = datetime.now().replace(microsecond=0)
    waits = state == "PENDING"
    log = f"{array}_{'4294967294' if '[' in task else task}" if task else array
    made = {
        "number": number,
        "JobId": array,
        "array": f" ArrayJobId={array} ArrayTaskId={task.strip('[]')} ArrayTaskThrottle=2" if task else "",
        "JobName": template,
        "UserId": f"me({os.getuid()})",
        "JobState": state,
        "Reason": "None",
        "Partition": "short",
        "StartTime": "N/A" if waits else now.isoformat(),
        "EndTime": "N/A" if waits else (now + timedelta(minutes=5)).isoformat(),
        "NodeList": "" if waits else "vm",
        "left": "5:00",
        "Command": f"{root}/slurm/{template}.sh 01 -p runs=5",
        "WorkDir": str(root),
        "StdOut": f"{root}/{template}-{log}.log",
    }
    return {**made, **more}


def aurora(*arguments: str, **more: object):
    """Run `aurora slurm`."""
    from typer.testing import CliRunner

    from labs import cli

    return CliRunner().invoke(cli.app, ["slurm", *arguments], **more)


def write(repository, name: str, text: str = "", results: tuple | list = (), ok: bool = True) -> Path:
    """Write what a job leaves behind, its log and results of labs; return the log. name: sol_lab-12, sweep-8_3."""
    number = name.rpartition("-")[2]
    place = repository.results / re.sub(r"_(\d+)$", r"/\1", name)
    log = repository.root / f"{name}.log"
    log.write_text(STARTED.format(number, place) + text)
    for lab in results:
        place.mkdir(parents=True, exist_ok=True)
        row = {"lab": f"{lab}_made", "ok": ok, "seconds": 2.84, "cell": 0 if ok else 2, "error": "" if ok else "broken"}
        (place / f"{lab}.json").write_text(json.dumps({"labs": [row]}))
        (place / "report.html").write_text("a page")
    return log


# --- the programs


def main(folder: Path, program: str, arguments: list[str]) -> int:
    """Do as the program does."""
    with (folder / "asked").open("a") as file:
        print(program, *arguments, file=file)
    refusal = folder / f"{program}.refuses"
    if refusal.exists():
        print(refusal.read_text(), file=sys.stderr)
        return 1
    known = json.loads((folder / "jobs.json").read_text())
    return globals()[program](known, arguments, folder)


def sbatch(known: list, arguments: list[str], folder: Path) -> int:
    if "--test-only" in arguments:
        print("sbatch: Job 12 to start at 2026-11-23T16:59:29 using 1 processors on nodes vm", file=sys.stderr)
    else:
        print("Submitted batch job 12")
    return 0


def squeue(known: list, arguments: list[str], folder: Path) -> int:
    columns = next(word for word in arguments if word.startswith("--format=")).removeprefix("--format=")
    wanted = [word.removeprefix("--jobs=") for word in arguments if word.startswith("--jobs=")]
    found = [one for one in known if not wanted or wanted[0] in (one["number"], one["JobId"])]
    if wanted and not found:
        print(INVALID, file=sys.stderr)
        return 1
    for one in found:
        row = columns
        for letter, name in LETTERS.items():
            row = row.replace(f"%{letter}", one[name])
        print(row)
    return 0


def scontrol(known: list, arguments: list[str], folder: Path) -> int:
    if arguments == ["ping"]:
        print("Slurmctld(primary) at vm is UP")
        return 0
    found = [one for one in known if arguments[-1] in (one["number"], one["JobId"])]
    if not found:
        print(INVALID, file=sys.stderr)
        return 1
    for one in found:
        print(RECORD.format(**one))
    return 0


def sacct(known: list, arguments: list[str], folder: Path) -> int:
    rows = folder / "sacct.rows"
    if rows.exists():
        print(rows.read_text(), end="")
        return 0
    print("Slurm accounting storage is disabled", file=sys.stderr)
    return 1


def scancel(known: list, arguments: list[str], folder: Path) -> int:
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
