"""Exercises of lab 10: directives of a batch script, what became of jobs, mistakes in a script, a time limit."""

import math
import re
import shlex

from labs.exercises import Wrong, exercise

NEEDED = {"account": "g12-34", "partition": "ve", "gres": "ve:1", "time": "30 minutes", "mem": "4 GB"}
SHORT = {
    "A": "account",
    "p": "partition",
    "t": "time",
    "n": "ntasks",
    "N": "nodes",
    "c": "cpus-per-task",
    "J": "job-name",
    "o": "output",
    "q": "qos",
    "G": "gpus",
}
FLAGS = {"requeue", "exclusive", "contiguous", "no-requeue", "verbose"}  # that have no value


# --- Slurm's notations -----------------------------------------------------------------------------------------------


def minutes(text: object) -> float:
    """A time limit in minutes: "30", "30:00", "0:30:00", "1-0", "1-0:30" or "1-0:30:00", or a number of minutes.

    Raises:
        ValueError: it is none.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise ValueError(f"{text!r} is no time limit")
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", str(text).strip().removesuffix(".0"))
    if not found:
        raise ValueError(f"{text!r} is no time limit of Slurm's")
    days, *rest = (None if part is None else int(part) for part in found.groups())
    if days is not None:  # then hours come first
        hours, mins, seconds = (part or 0 for part in rest)
        return 1440 * days + 60 * hours + mins + seconds / 60
    if rest[2] is not None:
        return 60 * rest[0] + rest[1] + rest[2] / 60
    return rest[0] + (rest[1] or 0) / 60


def megabytes(text: str) -> float:
    """Memory in MB, which is what a number without a unit means.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"(\d+)([KMGT])?B?", text.strip().upper())
    if not found:
        raise ValueError(f"{text!r} is no size of memory")
    return int(found[1]) * {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}[found[2] or "M"]


def directives(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """The directives of a script by their long names: those that Slurm reads, and those below the first command.

    Raises:
        Wrong: a line cannot be one.
    """
    read: dict[str, str] = {}
    lost: dict[str, str] = {}
    into = read
    for row in text.splitlines():
        line = row.strip()
        if not line.startswith("#SBATCH"):
            if re.match(r"#\s*S?BATCH\s+-|#s?batch\s+-", line):
                raise Wrong("Slurm takes this line for a comment. A directive begins with #SBATCH.", got=row)
            if line and not line.startswith("#"):
                into = lost
            continue
        words = shlex.split(line.removeprefix("#SBATCH"), comments=True)
        while words:
            name, value = _option(words, row)
            into[name] = value
    return read, lost


def _option(words: list[str], row: str) -> tuple[str, str]:
    """Take the first option and its value off the words."""
    word = words.pop(0)
    if re.match(r"--\w", word):
        name, equals, value = word[2:].partition("=")
        if not equals and name not in FLAGS:
            value = words.pop(0) if words else ""
    elif re.match(r"-[a-zA-Z]", word):
        if len(word) > 2 and word[1:].partition("=")[0] in [*SHORT.values(), "mem", "gres"]:
            raise Wrong("A long name has two dashes: --time, or one letter with one dash: -t.", got=row)
        name, value = SHORT.get(word[1], word[1]), word[2:] or (words.pop(0) if words else "")
    else:
        raise Wrong("This is no option: they begin with - or --.", got=row)
    if not value and name not in FLAGS:
        raise Wrong(f"--{name} has no value here.", got=row)
    if value.startswith("= ") or value == "=":
        raise Wrong("No blanks around the = of an option.", got=row)
    return name, value


def _text(answer: object) -> str:
    if isinstance(answer, list | tuple) and answer and all(isinstance(row, str) for row in answer):
        answer = "\n".join(answer)
    if not isinstance(answer, str):
        raise Wrong("The answer is a text of several lines, between three quotes.", expected='"""#!/bin/bash ..."""')
    return answer


def _limit(found: dict[str, str], right: int, words: str) -> None:
    """The time limit is so many minutes."""
    try:
        given = minutes(found["time"])
    except ValueError:
        raise Wrong(
            "Slurm does not take this for a time.", found["time"], "minutes, or hours:minutes:seconds"
        ) from None
    if given != right:
        advice = "Two numbers are minutes and seconds." if given == right / 60 else ""
        advice = advice or (
            "Two numbers are minutes and seconds, three are hours first." if given == 60 * right else ""
        )
        raise Wrong(f"The limit is {_readable(given)}, not {words}. {advice}".strip(), got=found["time"])


def _readable(given: float) -> str:
    return f"{given:g} minutes" if given >= 1 else f"{60 * given:g} seconds"


def _memory(found: dict[str, str], right: int) -> None:
    """The memory is so many MB."""
    try:
        given = megabytes(found["mem"])
    except ValueError:
        raise Wrong(
            "Slurm does not take this for a size of memory.", found["mem"], "a number and K, M, G or T"
        ) from None
    if given == right / 1024:
        raise Wrong(
            f"That is {given:g} MB: a number without a unit is megabytes.", got=found["mem"], expected="gigabytes"
        )
    if given not in (right, right // 1024 * 1000):  # 4000 is what many write for 4 GB
        raise Wrong(f"That is {given:g} MB of memory.", got=found["mem"], expected=f"{right // 1024} GB")


# --- 10-1 ------------------------------------------------------------------------------------------------------------


@exercise(
    "10-1",
    "Write the directives",
    minutes=5,
    hints=[
        "One line for each need, and each begins with #SBATCH. The flags are those of section 2, and what the dry run "
        "showed in section 3.",
        "The names are --account, --partition, --gres, --time and --mem, each with = and a value. Half an hour is "
        "30:00 (minutes:seconds), or 30, or 0:30:00.",
        "#SBATCH --account=g12-34, then --partition=ve, --gres=ve:1, --time=30:00 and --mem=4G, each in a line of its "
        "own, between three quotes.",
    ],
)
def write_directives(answer):
    """Accept a text with directives in any of Slurm's notations."""
    found, lost = directives(_text(answer))
    for name, needed in NEEDED.items():
        if name in lost and name not in found:
            raise Wrong(f"--{name} stands below a command, and Slurm stops reading at the first one.", got=lost[name])
        if name not in found:
            _explain_missing(name, needed, found)
    for name in ("account", "partition"):
        if found[name] != NEEDED[name]:
            raise Wrong(f"--{name} has another value.", got=found[name], expected=NEEDED[name])
    if found["gres"] not in ("ve:1", "ve"):
        kind, _, count = found["gres"].partition(":")
        if kind != "ve":
            raise Wrong("At ICM the devices are named ve.", got=found["gres"], expected="ve:1")
        raise Wrong(
            f"That asks for {count} engines; the others would have to wait.", got=found["gres"], expected="ve:1"
        )
    _limit(found, 30, "half an hour")
    _memory(found, 4096)


def _explain_missing(name, needed, found):
    if name == "gres" and "gpus" in found:
        raise Wrong(
            "--gpus is what other centres have. At ICM it is --gres.", got=found["gpus"], expected="--gres=ve:1"
        )
    if name == "mem" and "mem-per-cpu" in found:
        raise Wrong(
            "--mem-per-cpu is for each core: right only while the job has one. The whole job's is --mem.",
            got=found["mem-per-cpu"],
        )
    if not found:
        raise Wrong("There is no line that begins with #SBATCH.", expected="five directives")
    raise Wrong(f"--{name} is missing.", got=", ".join(f"--{key}" for key in found), expected=f"{name}: {needed}")


# --- 10-2 ------------------------------------------------------------------------------------------------------------

REASONS = {"too_short": "time", "broken": "program", "forgotten": "user", "greedy": "memory", "ranks": "program"}
KINDS = ("time", "memory", "program", "user")
LOOK = {
    "too_short": "Look at its state, TIMEOUT, and compare the columns Elapsed and Timelimit.",
    "broken": "Its log ends with an error of Python's: it had everything it asked for, and failed by itself.",
    "forgotten": "Nothing was exceeded: its log only says CANCELLED, and when. Somebody typed scancel.",
    "greedy": "Its program did nothing wrong, and was ended from outside: 0:9 is the signal that kills. Read its log.",
    "ranks": "Its log names srun, which was asked for two tasks in a job of one: the script is wrong.",
}


@exercise(
    "10-2",
    "What happened to these jobs?",
    minutes=4,
    hints=[
        "The state alone is not enough for all of them: read the log of each job, too, and in it the line that says "
        "error.",
        "TIMEOUT is a matter of time, and CANCELLED by is followed by the number of a user. FAILED may be an error of "
        "the program (exit code 1:0), or a kill from outside (0:9).",
        "Two failed by themselves: broken and ranks. The log of the third that FAILED, greedy, has the word memory.",
    ],
)
def what_happened(answer):
    """Accept a dict of job name to reason."""
    if not isinstance(answer, dict):
        raise Wrong("The answer is a dictionary of names and reasons.", expected="{'too_short': ..., ...}")
    given = {str(name).strip().lower().replace("-", "_").replace(" ", "_"): why for name, why in answer.items()}
    unknown = sorted(set(given) - set(REASONS))
    if unknown:
        raise Wrong(f"There is no job {unknown[0]} among them.", got=unknown[0], expected=", ".join(REASONS))
    for name, right in REASONS.items():
        why = given.get(name, ...)
        if why is ... or why is None:
            raise Wrong(f"Nothing is said of {name} yet.", got=answer, expected=", ".join(KINDS))
        why = str(why).strip().lower()
        if why not in KINDS:
            raise Wrong(f"{name}: that is none of the four words.", got=why, expected=", ".join(KINDS))
        if why != right:
            raise Wrong(f"{name}: it was not that. {LOOK[name]}", got=why)


# --- 10-3 ------------------------------------------------------------------------------------------------------------


@exercise(
    "10-3",
    "Find the mistakes",
    minutes=5,
    core=False,
    hints=[
        "Compare the script with the sentence above it: two tasks, 2 GB, ten minutes. Where does the script say each "
        "of these, and does Slurm read it so?",
        "One mistake is between two lines that do not agree about the number of tasks; one is a unit; one is a matter "
        "of place.",
        "--ntasks has to be 2, as srun wants to start two; --mem=2 is 2 MB; and --time stands below cd, where Slurm "
        "has stopped reading.",
    ],
)
def find_mistakes(answer):
    """Accept a repaired script."""
    text = _text(answer)
    if not text.lstrip().startswith("#!"):
        raise Wrong("A batch script begins with #! and the shell: without it, sbatch refuses it.", got=text[:40])
    found, lost = directives(text)
    if lost:
        name, value = next(iter(lost.items()))
        raise Wrong(
            f"--{name} stands below the first command, so Slurm does not read it, and says nothing.",
            got=f"--{name}={value}",
            expected="all directives above the first command",
        )
    for name in ("account", "partition", "mem", "time"):
        if name not in found:
            raise Wrong(f"--{name} was in the script, and is not any more.", expected=f"--{name}")
    _memory(found, 2048)
    _limit(found, 10, "ten minutes")
    started = re.search(r"^\s*srun\b(.*)$", text, re.MULTILINE)
    if not started or "hostname" not in started[1]:
        raise Wrong("The script does not start hostname with srun any more.", expected="srun -n 2 hostname")
    count = re.search(r"(?:-n\s*|--ntasks[= ]\s*)(\d+)", started[1])
    tasks = _count(found.get("ntasks") or found.get("ntasks-per-node") or "1")
    wanted = int(count[1]) if count else tasks
    if wanted > tasks:
        raise Wrong(f"srun wants {wanted} tasks, and the job has {tasks}.", got=f"--ntasks={tasks}", expected=wanted)
    if wanted != 2:
        raise Wrong("It is to run in two tasks.", got=wanted, expected=2)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise Wrong("The number of tasks is a number.", got=text, expected=2)
    return int(text)


# --- 10-4 ------------------------------------------------------------------------------------------------------------

QOS = {"short": 15, "limit": 6 * 60, "normal": 2 * 24 * 60, "long": 7 * 24 * 60}
RUNS = (600, 400, 601, 30, 1, 14_400, 14_401, 100_000, 115_201, 400_000, 3600)


@exercise(
    "10-4",
    "How much time to ask for",
    minutes=7,
    core=False,
    hints=[
        "First the minutes: 1.5 times the seconds, divided by 60, rounded up. Then go through the QOS from the "
        "shortest to the longest.",
        "sorted(QOS, key=QOS.get) gives the names in the order of their limits. The first with minutes <= QOS[name] is "
        "the one. Behind the loop comes raise ValueError(...).",
        'As text: f"{minutes // 60}:{minutes % 60:02d}:00". return name, and that text.',
    ],
)
def ask(answer):
    """Accept a function of the seconds that gives (QOS, limit), the limit in any of Slurm's notations."""
    if not callable(answer):
        raise Wrong("Give the function itself, without calling it: its name, and no parentheses after it.")
    for seconds in RUNS:
        call, needed = f"ask({seconds})", math.ceil(1.5 * seconds / 60)
        given = answer(seconds)
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise Wrong(f"{call} gives no pair.", got=given, expected="(QOS, time limit)")
        name, limit = given
        try:
            limit = minutes(limit.item() if hasattr(limit, "item") else limit)
        except ValueError as error:
            raise Wrong(f"{call}: {error}", got=given[1], expected="text like 0:45:00, or minutes") from None
        if limit != needed:
            raise Wrong(f"{call}: {_why(limit, seconds)}", got=f"{given[1]}", expected=f"{needed} minutes")
        right = next(each for each, most in sorted(QOS.items(), key=lambda item: item[1]) if needed <= most)
        if name not in QOS:
            raise Wrong(f"{call}: there is no such QOS.", got=name, expected=", ".join(QOS))
        if QOS[name] < needed:
            raise Wrong(f"{call}: {needed} minutes are more than {name} allows, {QOS[name]}.", got=name, expected=right)
        if name != right:
            raise Wrong(f"{call}: {right} is long enough, and shorter.", got=name, expected=right)
    try:
        given = answer(2 * 60 * QOS["long"])
    except ValueError:
        return
    raise Wrong("What is too long for all of them has to raise a ValueError.", got=given, expected="ValueError")


def _why(limit: float, seconds: int) -> str:
    if limit == math.ceil(seconds / 60):
        return "that is the run time with nothing in reserve: the limit is 1.5 times as much."
    if limit == math.floor(1.5 * seconds / 60) or limit == round(1.5 * seconds / 60):
        return "rounded up to full minutes it is one more: a limit that is too short by seconds ends the job."
    if limit == math.ceil(1.5 * seconds):
        return "those are seconds taken for minutes: divide by 60."
    if 60 * limit == math.ceil(1.5 * seconds / 60):
        return "two numbers are minutes and seconds to Slurm: hours take three."
    return f"{limit:g} minutes are not 1.5 times {seconds} s, rounded up."
