"""Lab 10: its exercises three ways, Slurm's notations, and what it shows with and without a Slurm."""

import numpy as np
import pytest

from labs.exercise_sets import lab10 as answers
from labs.exercises import Wrong
from labs.pictures import lab10, lab10_shipped
from tests.labs.three_ways import three_ways

GOOD = """#!/bin/bash
#SBATCH --account=g12-34
#SBATCH --partition=ve
#SBATCH --gres=ve:1
#SBATCH --time=30:00
#SBATCH --mem=4G
"""


def test_write_directives():
    short = "#SBATCH -A g12-34 -p ve\n#SBATCH --gres ve\n#SBATCH -t30 # minutes\n#SBATCH --mem 4096"
    three_ways(
        "10-1",
        right=[
            GOOD,
            short,
            short.replace("-t30", "-t 0-00:30:00").replace("4096", "4194304K"),
            GOOD.replace("30:00", "0:30:00").replace("4G", "4GB").replace("\n", "\n\n# a comment\n"),
            GOOD.splitlines(),
            GOOD.replace("4G", "4000M") + "#SBATCH --ntasks=1\n#SBATCH --exclusive\nsrun ./program\n",
        ],
        wrong=[
            (30, "a text of several lines"),
            ("", "no line that begins with #SBATCH"),
            ("srun -A g12-34 ./program", "no line that begins with #SBATCH"),
            (GOOD.replace("#SBATCH", "# SBATCH"), "takes this line for a comment"),
            (GOOD.replace("#SBATCH", "#BATCH"), "takes this line for a comment"),
            (GOOD.replace("--mem=4G", "--mem"), "--mem has no value"),
            (GOOD.replace("--time=30:00", "-time=30:00"), "two dashes"),
            (GOOD.replace("--time=30:00", "time=30:00"), "This is no option"),
            (GOOD.replace("--partition=ve", "--partition=short"), "--partition has another value"),
            (GOOD.replace("#SBATCH --account=g12-34\n", ""), "--account is missing"),
            (GOOD.replace("--gres=ve:1", "--gpus=ve:1"), "what other centres have"),
            (GOOD.replace("ve:1", "ve:8"), "asks for 8 engines"),
            (GOOD.replace("ve:1", "gpu:1"), "the devices are named ve"),
            (GOOD.replace("=30:00", "=0:30"), "30 seconds, not half an hour"),
            (GOOD.replace("=30:00", "=30:00:00"), "not half an hour. Two numbers are minutes and seconds, three"),
            (GOOD.replace("=30:00", "=1:00:00"), "60 minutes, not half an hour"),
            (GOOD.replace("=30:00", "=half"), "Slurm does not take this for a time"),
            (GOOD.replace("=4G", "=4"), "a number without a unit is megabytes"),
            (GOOD.replace("=4G", "=8G"), "That is 8192 MB"),
            (GOOD.replace("=4G", "=much"), "for a size of memory"),
            (GOOD.replace("--mem=", "--mem-per-cpu="), "for each core"),
            (GOOD.replace("#SBATCH --mem", "cd work\n#SBATCH --mem"), "stands below a command"),
        ],
    )


def test_what_happened():
    right = dict(answers.REASONS)
    loose = {**right, "too_short": "TIME", "greedy": " memory"}
    loose["Forgotten"] = loose.pop("forgotten")
    three_ways(
        "10-2",
        right=[
            right,
            {"too-short": "TIME", "Broken": "program", "forgotten": "user", "greedy": " memory", "ranks": "program"},
        ],
        wrong=[
            (["time"], "a dictionary"),
            ({**right, "neighbour": "time"}, "no job neighbour"),
            ({**right, "greedy": ...}, "Nothing is said of greedy"),
            ({**right, "greedy": "swap"}, "none of the four words"),
            ({**right, "greedy": "program"}, "ended from outside"),
            ({**right, "forgotten": "memory"}, "Somebody typed scancel"),
            ({**right, "ranks": "memory"}, "two tasks in a job"),
            ({**right, "broken": "time"}, "an error of Python's"),
            ({**right, "too_short": "user"}, "TIMEOUT"),
        ],
    )


SCRIPT = """#!/bin/bash
#SBATCH --account=g12-34
#SBATCH --partition=ve
#SBATCH --ntasks=2
#SBATCH --mem=2G
#SBATCH --time=10:00
cd "$SLURM_SUBMIT_DIR"
srun -n 2 hostname
"""


def test_find_mistakes():
    three_ways(
        "10-3",
        right=[
            SCRIPT,
            SCRIPT.replace("srun -n 2 hostname", "srun hostname"),
            SCRIPT.replace("--ntasks=2", "-n 2").replace("-n 2 hostname", "--ntasks=2 hostname"),
            SCRIPT.replace("--ntasks=2", "--ntasks-per-node 2").replace("2G", "2048").replace("10:00", "10"),
        ],
        wrong=[
            (SCRIPT.replace("#!/bin/bash\n", ""), "begins with #!"),
            (SCRIPT.replace("--ntasks=2", "--ntasks=1"), "srun wants 2 tasks, and the job has 1"),
            (SCRIPT.replace("#SBATCH --ntasks=2\n", ""), "the job has 1"),
            (SCRIPT.replace("--ntasks=2", "--ntasks=two"), "tasks is a number"),
            (SCRIPT.replace("--ntasks=2", "--ntasks=1").replace("-n 2 ", ""), "in two tasks"),
            (SCRIPT.replace("2G", "2"), "2 MB"),
            (SCRIPT.replace("#SBATCH --time", "cd\n#SBATCH --time"), "stands below the first command"),
            (SCRIPT.replace("#SBATCH --time=10:00\n", ""), "is not any more"),
            (SCRIPT.replace("10:00", "10:00:00"), "600 minutes"),
            (SCRIPT.replace("srun -n 2 hostname", "hostname"), "does not start hostname"),
        ],
    )


def test_ask():
    def as_text(seconds):
        minutes = -(-seconds * 3 // 120)
        for name, most in answers.QOS.items():
            if minutes <= most:
                return [name, f"{minutes // 1440}-{minutes // 60 % 24}:{minutes % 60}"]
        raise ValueError("too long")

    def bare(seconds):
        name, _ = as_text(seconds)
        return name, np.int64(-(-seconds * 3 // 120))

    def never_raises(seconds):
        try:
            return bare(seconds)
        except ValueError:
            return "long", 7 * 24 * 60

    three_ways(
        "10-4",
        right=[as_text, bare],
        wrong=[
            (900, "Give the function itself"),
            (lambda seconds: "short", "gives no pair"),
            (lambda seconds: ("short", "soon"), "no time limit of Slurm's"),
            (lambda seconds: ("short", -(-seconds // 60)), "nothing in reserve"),
            (lambda seconds: ("short", int(1.5 * seconds / 60)), "rounded up"),
            (lambda seconds: ("short", -(-3 * seconds // 2)), "taken for minutes"),
            (lambda seconds: ("short", f"0:{-(-seconds * 3 // 120):02d}"), "minutes and seconds to Slurm"),
            (lambda seconds: ("short", 7), "are not 1.5 times"),
            (lambda seconds: ("quick", bare(seconds)[1]), "no such QOS"),
            (lambda seconds: ("long", bare(seconds)[1]), "is long enough, and shorter"),
            (lambda seconds: ("short", bare(seconds)[1]), "are more than short allows"),
            (never_raises, "has to raise a ValueError"),
        ],
    )


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("30", 30),
        ("30:00", 30),
        ("1:30", 1.5),
        ("0:30:00", 30),
        ("1-0", 1440),
        ("1-2:30", 1590),
        ("2-00:00:30", 2880.5),
    ],
)
def test_times_as_slurm_reads_them(text, right):
    assert answers.minutes(text) == right


def test_what_is_no_time_or_memory():
    for text in ("", "1h", "30:", None, True, "1-"):
        with pytest.raises(ValueError, match="no time limit"):
            answers.minutes(text)
    assert [answers.megabytes(text) for text in ("1", "2048K", "3M", "4G", "1t")] == [1, 2, 3, 4096, 1024**2]
    with pytest.raises(ValueError, match="no size"):
        answers.megabytes("4 apples")
    with pytest.raises(Wrong, match="no option"):
        answers.directives("#SBATCH account=x")


def test_the_templates_directives_are_all_above_the_first_command():
    for name in ("sol_lab.sh", "frovedis_lab.sh"):
        read, lost = answers.directives((lab10.root() / "slurm" / name).read_text())
        assert {"job-name", "ntasks", "output", "signal", "requeue", "open-mode"} <= set(read)
        assert lost == {}


@pytest.fixture
def no_slurm(monkeypatch):
    monkeypatch.setattr(lab10, "answers", lambda: False)


def test_without_slurm_all_is_shipped_and_says_so(no_slurm):
    for name in lab10_shipped.TEXTS:
        shown = lab10.shipped(name).data
        assert "shipped result: " in shown
    assert "shipped result" in lab10.ask("sinfo --summarize").data
    assert "shipped result" in lab10.tiny_job(True, 1).data
    assert "No Slurm answers" in lab10.where_am_i().data


def test_the_dry_run_is_a_real_one(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    shown = lab10.ask("slurm/sol_lab.sh --dry-run 01 -p runs=2").data
    assert "aurora check 01 -p runs=2" in shown
    assert "run here, now" in shown


def test_an_installed_package_has_no_templates(monkeypatch):
    monkeypatch.setattr(lab10, "root", lambda: None)
    assert "in the repository" in lab10.part("sol_lab.sh", "a", "b").data
    assert "shipped result" in lab10.ask("slurm/sol_lab.sh --dry-run 01").data


def test_a_job_knows_its_engine(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("VE_NODE_NUMBER", "3")
    assert "Vector Engine 3" in lab10.where_am_i().data


def test_the_recorded_queue():
    assert set(answers.REASONS) <= set(lab10_shipped.JOBS) | {"ranks"}
    for number, limit, steps in lab10_shipped.JOBS.values():
        assert number > 0
        assert limit
        assert [step[0] for step in steps] == sorted(step[0] for step in steps)
        assert steps[-1][1] in {name for name, _ in lab10.ENDS}
    widget = lab10.history()
    control = widget.named["second"]
    drawings = set()
    for second in range(control.min, control.max + 1, 5):
        control.value = second
        drawings.add(widget.drawing.value)
    assert len(drawings) > 5
    assert "(Resources)" in lab10.draw_history(10)
    assert "nothing: all have ended" in lab10.draw_history(control.max)


def test_pictures_have_texts():
    for picture in (lab10.way_in(), lab10.states()):
        assert 'aria-label="' in picture.data
    assert all(name in lab10.states().data for name, _ in lab10.ENDS)


def test_nothing_of_the_machine_it_was_recorded_on():
    text = repr(lab10_shipped.TEXTS)
    assert "/tmp/" not in text
    assert "/work/" not in text
    assert (
        max(len(row) for pairs in lab10_shipped.TEXTS.values() for _, said in pairs for row in said.splitlines()) < 130
    )
