"""What Slurm is asked for and told: sbatch, squeue, scontrol, sacct, scancel, and their words made plain.

Text and not JSON: ICM's Slurm is of 2020, and has no --json. Every call is bounded in time, since a controller that is
overloaded does not answer.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from datetime import datetime

WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
RUNNING = {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"}
# A user's own taste in how Slurm shows things would make them unreadable here.
TASTES = ("SLURM_TIME_FORMAT", "SQUEUE_", "SACCT_", "SINFO_", "SCONTROL_")
# What a job around us, and a template in it (slurm/common.sh), have set for that job alone.
OF_A_JOB = ("AURORA_INSIDE", "VE_NODE_NUMBER", "HYDRA_LAUNCHER", "JUPYTER_RUNTIME_DIR", "JUPYTER_TOKEN_FILE")
BAR = "\x1f"  # between columns: no name of a job, file or partition holds it
COLUMNS = {"number": "%i", "name": "%j", "state": "%T", "reason": "%r", "partition": "%P", "node": "%N", "start": "%S"}
COLUMNS |= {"end": "%e", "left": "%L", "command": "%o", "folder": "%Z"}
SACCT = ("JobID", "JobName", "State", "Reason", "Partition", "NodeList", "Start", "End", "WorkDir")


class SlurmError(RuntimeError):
    """Slurm was asked in vain; the message has its own words and says what to do."""


class NotThere(SlurmError):
    """There is no Slurm on this machine, or it does not answer."""


class Refused(SlurmError):
    """Slurm said no."""


@dataclass
class Job:
    """What Slurm knows of a job, or of one task of an array."""

    number: str  # 12, or 12_3 for a task, or 12_[4-7] for tasks that wait
    name: str = ""
    state: str = ""
    reason: str = ""  # why it waits, or how it ended
    partition: str = ""
    node: str = ""
    start: datetime | None = None  # expected, while it waits
    end: datetime | None = None
    left: int | None = None  # seconds to its limit
    command: str = ""
    folder: str = ""  # where it was submitted
    output: str = ""  # its log
    detail: dict[str, str] = field(default_factory=dict, repr=False)  # all that scontrol says

    @property
    def waits(self) -> bool:
        return self.state in WAITING

    @property
    def ended(self) -> bool:
        return self.state not in WAITING | RUNNING


def call(*command: str, seconds: float = 30, text: str | None = None, **options: object) -> str:
    """Return what one of Slurm's programs prints. Raises NotThere, and Refused with its words."""
    if shutil.which(command[0]) is None:
        raise NotThere(f"there is no {command[0]} here: log in to a cluster that has Slurm; a laptop needs none")
    # Input is given or empty: a program that waits for the keyboard would wait for ever.
    given = {"input": text} if text is not None else {"stdin": subprocess.DEVNULL}
    env = options.pop("env", os.environ)
    given["env"] = {name: value for name, value in env.items() if not name.startswith(TASTES)}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, **given, **options)
    except subprocess.TimeoutExpired:
        raise NotThere(f"Slurm did not answer {command[0]} within {seconds:.0f} seconds; try again later") from None
    if done.returncode != 0:
        said = re.sub(rf"(?m)^{command[0]}: (error: )?", "", done.stderr.strip()) or f"exit status {done.returncode}"
        unreachable = re.search(r"Unable to contact|Connection refused|Could not establish a configuration", said)
        raise (NotThere if unreachable else Refused)(f"{command[0]}: {said}")
    return done.stdout


def submit(flags: list[str], script: str = "", arguments: list[str] | tuple = (), text: str | None = None) -> str:
    """Submit a batch script, or its text, and return the job's number. Raises NotThere, Refused."""
    command = ["sbatch", "--parsable", *flags, *([script, *arguments] if script else [])]
    return call(*command, text=text, env=outside()).strip().partition(";")[0]


def outside() -> dict[str, str]:
    """Return the environment without what a job around us says of itself: it would be taken for the new job's."""
    own = OF_A_JOB if "SLURM_JOB_ID" in os.environ else ()
    return {
        name: value
        for name, value in os.environ.items()
        if name == "SLURM_CONF"
        or not (name in own or name.startswith(("SLURM_", "SLURMD_", "SBATCH_MEM_BIND", "PMI_", "PMIX_")))
    }


def jobs() -> list[Job]:
    """Return one's own jobs, in the queue's order: those that wait or run, and those that ended just now."""
    return _squeue(f"--user={os.getuid()}", "--states=all")  # --me is younger than ICM's Slurm


def queued(number: str) -> Job | None:
    """Return a job as the queue has it, which is cheap to ask; None when it has left the queue."""
    try:
        return next(iter(_squeue(f"--jobs={number}", "--states=all")), None)
    except Refused as error:
        if "Invalid job id" in str(error):
            return None
        raise


def _squeue(*options: str) -> list[Job]:
    # --format would cut nothing as long as no width is given.
    rows = call("squeue", "--noheader", f"--format={BAR.join(COLUMNS.values())}", *options).splitlines()
    found = []
    for row in rows:
        values = dict(zip(COLUMNS, row.split(BAR), strict=True))
        start, end, left = _time(values.pop("start")), _time(values.pop("end")), seconds(values.pop("left"))
        found.append(Job(**values, start=start, end=end, left=left))
    return found


def find(number: str) -> Job | None:
    """Return the job, also one that has ended: from the controller, later from the accounting. None: nobody knows."""
    return next(iter(find_all(number)), None)


def find_all(number: str) -> list[Job]:
    """Return the job, or all tasks of an array."""
    try:
        text = call("scontrol", "show", "job", "--details", number)
    except Refused as error:
        if "Invalid job id" not in str(error):
            raise
        return _accounting(number)
    return [_from_scontrol(record) for record in text.split("\n\n") if record.strip()]


def _from_scontrol(record: str) -> Job:
    """Read one record of `scontrol show job`: names of files have a line of their own, since they may hold blanks."""
    detail = {}
    for line in map(str.strip, record.splitlines()):
        if re.match(r"(Command|WorkDir|Std\w+|Comment|AdminComment|SystemComment)=", line):
            name, _, value = line.partition("=")
            detail[name] = value
        else:
            detail |= dict(re.findall(r"(\S+?)=(.*?)(?= \S+=|$)", line))
    task = detail.get("ArrayTaskId")
    left = None
    end = _time(detail.get("EndTime"))
    if end is not None and detail.get("JobState") == "RUNNING":
        left = int((end - datetime.now()).total_seconds())
    return Job(
        number=f"{detail['ArrayJobId']}_{_task(task)}" if task else detail["JobId"],
        name=detail.get("JobName", ""),
        state=detail.get("JobState", ""),
        reason=detail.get("Reason", ""),
        partition=detail.get("Partition", ""),
        node=detail.get("NodeList", "").replace("(null)", ""),
        start=_time(detail.get("StartTime")),
        end=end,
        left=left,
        command=detail.get("Command", "").replace("(null)", ""),
        folder=detail.get("WorkDir", ""),
        output=detail.get("StdOut", ""),
        detail=detail,
    )


def _task(text: str) -> str:
    return text if text.isdigit() else f"[{text}]"  # several that still wait, as squeue writes them


def _accounting(number: str) -> list[Job]:
    """Return what sacct knows, nothing where there is no accounting."""
    try:
        text = call("sacct", "--parsable2", "--noheader", "-X", f"--format={','.join(SACCT)}", f"--jobs={number}")
    except SlurmError:
        return []
    found = []
    for row in text.splitlines():
        values = dict(zip(SACCT, row.split("|"), strict=False))
        state, _, by = values["State"].partition(" ")  # "CANCELLED by 1000"
        found.append(
            Job(
                number=values["JobID"],
                name=values["JobName"],
                state=state,
                reason=by or values["Reason"],
                partition=values["Partition"],
                node=values["NodeList"],
                start=_time(values["Start"]),
                end=_time(values["End"]),
                folder=values["WorkDir"],
            )
        )
    return found


def cancel(number: str, *options: str) -> None:
    """End a job, or take it out of the queue. One that has ended already is no error."""
    try:
        call("scancel", *options, number)
    except Refused as error:
        if not re.search(r"Invalid job id|already completing or completed", str(error)):
            raise


def seconds(text: str) -> int | None:
    """Return the seconds of Slurm's days-hours:minutes:seconds; None for UNLIMITED, INVALID and the like."""
    if not re.fullmatch(r"(\d+-)?(\d+:){0,2}\d+", text):
        return None
    days, _, clock = text.rpartition("-")
    total = 0
    for part in clock.split(":"):
        total = total * 60 + int(part)
    return total + int(days or 0) * 86400


def _time(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text or "")
    except ValueError:
        return None  # N/A, Unknown
