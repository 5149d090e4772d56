"""What lab 10 shows: the way to a compute node, the states of a job, a recorded queue, scripts part by part, and what
Slurm says, asked live where it answers and else as it was recorded."""

import functools
import html
import itertools
import os
import socket
import subprocess
import time
from pathlib import Path

from IPython.display import HTML, Markdown

from labs import notebooks, show, tools
from labs.pictures import lab10_shipped
from labs.pictures.lab06_svg import BLUE, LINE, ORANGE, Controls, box, page, paragraph, svg, words
from labs.widgets import Slider

SECONDS = 20  # that a command of Slurm may take
FRAME = (
    "border: 1px solid currentColor; border-radius: 4px; padding: 8px; margin: 4px 0; box-sizing: border-box; "
    "max-width: 100%; white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere; overflow-x: hidden; "
    "color: inherit; background: none"
)


# --- files and commands ----------------------------------------------------------------------------------------------


def root() -> Path | None:
    """The repository, if this is one: an installed package has no slurm/ folder."""
    found = notebooks.LABS.parent
    return found if (found / "slurm" / "sol_lab.sh").is_file() else None


def part(file: str, first: str, last: str) -> Markdown:
    """Lines of a file in slurm/, from the one with `first` in it to the next with `last`."""
    where = root()
    if where is None:
        return Markdown(f"(`slurm/{file}` is in the repository, and not in the installed package.)")
    return show.code((where / "slurm" / file).read_text(encoding="utf-8"), "bash", first, last)


@functools.cache
def answers() -> bool:
    """Whether a Slurm answers on this machine."""
    if tools.find("slurm") is None:
        return False
    status, _ = _call("timeout 10 scontrol ping")
    return status == 0


def _call(command: str, folder: Path | None = None) -> tuple[int, str]:
    """Status and text of a command; it may take some seconds."""
    try:
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, timeout=SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, done.stdout.rstrip()


def ask(command: str) -> HTML:
    """What a command says on this machine; where no Slurm answers, what it has said to us."""
    where = root()
    if command.startswith("slurm/"):
        if where is not None:
            _, text = _call(command, where)
            return _screen(command, text.replace(str(where), "aurora-labs"), "run here, now")
    elif answers():
        _, text = _call(command)
        return _screen(command, text, "run here, now")
    return shipped("sinfo" if command.startswith("sinfo") else "dry")


def shipped(name: str) -> HTML:
    """What was recorded, with its label."""
    shown = [f"$ {command}\n{text.rstrip()}" for command, text in lab10_shipped.TEXTS[name]]
    return _screen("", "\n\n".join(shown), f"shipped result: {lab10_shipped.WHERE}")


def _screen(command: str, text: str, label: str) -> HTML:
    """A terminal's text in a frame, with where it is from."""
    text = f"$ {command}\n{text}" if command else text
    shown = html.escape("\n".join(row.rstrip() for row in text.splitlines()))
    pre = f'<pre style="{FRAME}">{shown}</pre>'
    return HTML(page(pre, f'<p style="margin: 2px 0; font-style: italic">{html.escape(label)}</p>'))


def where_am_i() -> HTML:
    """Which of the machines in the picture this is, as far as one can tell."""
    job, name = os.environ.get("SLURM_JOB_ID"), socket.gethostname()
    if job:
        engine = os.environ.get("VE_NODE_NUMBER")
        has = f"It has Vector Engine {engine}." if engine else "It has no Vector Engine of its own."
        return HTML(page(paragraph(f"This is {name}, a compute node: the notebook runs in job {job}. {has}")))
    if answers():
        return HTML(page(paragraph(f"This is {name}, from where Slurm can be reached: probably a login node.")))
    return HTML(page(paragraph(f"This is {name}. No Slurm answers here, so it is not one of a cluster's machines.")))


def tiny_job(submit: bool, patience: float) -> HTML:
    """Send Slurm a job of a few seconds with the site's flags, and follow it for a while; show what that said."""
    if not submit or not answers() or root() is None:
        return shipped("tiny")
    folder = Path.cwd()
    flags = 'source slurm/common.sh; read_site; printf "%q " "${flags[@]}"'
    status, words = _call(f"set -euo pipefail; root=$PWD template=sol_lab.sh; {flags}", root())
    script = "hostname; echo engine: ${VE_NODE_NUMBER:-none}; sleep 3"
    command = f"sbatch --parsable {words if status == 0 else ''} --time=1 --job-name=tiny --output=tiny-%j.log"
    status, text = _call(f"{command} --wrap='{script}'", folder)
    if status:
        return _screen(
            f"{command} --wrap=...", f"{text}\n(Account and partition come from slurm/site.conf.)", "just now"
        )
    number, seen, end = text.split(";")[0].strip(), [], time.monotonic() + patience
    while time.monotonic() < end:
        _, row = _call(f"squeue --noheader --jobs={number} --format='%.8i %.8j %.10T %.6M %R'")
        if row and (not seen or row.split()[2] != seen[-1].split()[2]):
            seen.append(row)
        if not row or "COMPLETED" in row or "Invalid job id" in row:
            break
        time.sleep(0.5)
    log = folder / f"tiny-{number}.log"
    said = (
        log.read_text(errors="replace").rstrip() if log.exists() else f"(no log yet; to end the job: scancel {number})"
    )
    log.unlink(missing_ok=True)  # it is shown, and would stay among the notebooks
    text = "\n".join([f"Submitted batch job {number}", *seen, f"\n$ cat {log.name}", said])
    return _screen("sbatch --time=1 --job-name=tiny --wrap='hostname; ...'", text, "run here, now")


# --- the way in ------------------------------------------------------------------------------------------------------


def way_in() -> HTML:
    """The machines between a learner and a Vector Engine."""
    text = (
        "Your laptop; by ssh to the gateway hpc.icm.edu.pl; by ssh to the login node rysy, where you edit and "
        "submit; from there sbatch hands a script to Slurm, which starts it on the compute node pbaran with "
        "24 cores and eight Vector Engines. Login node and compute node share your home folder."
    )
    parts = []
    machines = [
        (8, 112, ("your laptop",), ("keyboard,", "browser")),
        (184, 136, ("gateway", "hpc.icm.edu.pl"), ("one step", "inside")),
        (384, 136, ("login node", "rysy"), ("edit, install,", "submit")),
        (602, 150, ("compute node", "pbaran"), ("24 cores, 192 GB", "")),
    ]
    for left, width, names, notes in machines:
        parts.append(box(left, 40, width, 96, f'{LINE} stroke-width="2" rx="6"'))
        for row, name in enumerate(names):
            parts.append(words(left + width / 2, 60 + 16 * row, name, "middle"))
        for row, note in enumerate(notes):
            parts.append(words(left + width / 2, 104 + 16 * row, note, "middle"))
    for number in range(8):
        parts.append(box(612 + 17 * number, 112, 13, 18, f'fill="{BLUE}"'))
    parts.append(words(677, 154, "8 Vector Engines", "middle"))
    for begin, end, label in ((120, 184, "ssh"), (320, 384, "ssh")):
        parts += [_arrow(begin + 4, 88, end - 4, 88), words((begin + end) / 2, 80, label, "middle")]
    parts += [_arrow(524, 88, 598, 88), words(561, 62, "sbatch", "middle"), words(561, 78, "Slurm", "middle")]
    parts += [
        box(384, 180, 368, 30, f'{LINE} stroke-dasharray="6 4" rx="6"'),
        words(568, 200, "your home folder: the same on both", "middle"),
        f'<path d="M452 138V180M660 158V180" {LINE} stroke-dasharray="6 4"/>',
    ]
    return HTML(page(svg(760, 220, text, *parts)))


def _arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    """A line with a head at its end, along one of the axes or askew."""
    length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
    dx, dy = (x2 - x1) / length, (y2 - y1) / length
    left, right = (x2 - 9 * dx - 4 * dy, y2 - 9 * dy + 4 * dx), (x2 - 9 * dx + 4 * dy, y2 - 9 * dy - 4 * dx)
    head = f"M{x2:.1f} {y2:.1f}L{left[0]:.1f} {left[1]:.1f}L{right[0]:.1f} {right[1]:.1f}z"
    line = f'<path d="M{x1:g} {y1:g}L{x2:g} {y2:g}" {LINE} stroke-width="2"/>'
    return f'{line}<path d="{head}" fill="currentColor"/>'


# --- states ----------------------------------------------------------------------------------------------------------

ENDS = [
    ("COMPLETED", "the script ended with status 0"),
    ("FAILED", "it ended with another status"),
    ("TIMEOUT", "the time limit was reached"),
    ("OUT_OF_MEMORY", "more memory than asked for"),
    ("CANCELLED", "scancel, or Slurm itself"),
    ("PREEMPTED", "another job took its place"),
    ("NODE_FAIL", "the node broke down"),
]


def states() -> HTML:
    """Which states a job goes through."""
    text = (
        "sbatch makes a job PENDING. When there is room it is RUNNING. From there it ends in one of seven ways: "
        + "; ".join(f"{name}: {why}" for name, why in ENDS)
        + ". It may also be requeued, and is PENDING again; after PREEMPTED and NODE_FAIL Slurm often does so itself."
    )
    parts = [words(4, 124, "sbatch"), _arrow(50, 120, 86, 120)]
    for left, name, style, color in (
        (90, "PENDING", f'{LINE} stroke-width="2"', "currentColor"),
        (270, "RUNNING", f'fill="{BLUE}"', "white"),
    ):
        parts += [box(left, 100, 110, 40, f'{style} rx="6"'), words(left + 55, 124, name, "middle", color)]
    parts += [_arrow(202, 120, 266, 120), words(234, 112, "room", "middle")]
    parts += [f'<path d="M325 142V176H145V152" {LINE} stroke-width="2"/>', _arrow(145, 160, 145, 143)]
    parts.append(words(235, 192, "requeued", "middle"))
    parts += [f'<path d="M145 98V60" {LINE} stroke-dasharray="5 4"/>', _arrow(145, 64, 145, 52)]
    parts += [words(145, 28, "scancel while it waits:", "middle"), words(145, 44, "CANCELLED", "middle")]
    for row, (name, why) in enumerate(ENDS):
        top = 34 + 30 * row
        filled = name == "COMPLETED"
        style = f'fill="{ORANGE}" stroke="#000"' if filled else LINE
        parts += [box(452, top - 14, 126, 24, f'{style} rx="4"')]
        parts.append(words(515, top + 2, name, "middle", "#000" if filled else "currentColor"))
        parts += [words(586, top + 2, why), _arrow(382, 120, 448, top - 2)]
    return HTML(page(svg(800, 240, text, *parts)))


# --- a recorded queue ------------------------------------------------------------------------------------------------


def state_at(steps: list[tuple[float, str, str]], second: float) -> tuple[str, str, float]:
    """State, reason or node, and since when, of a job's recorded steps."""
    found = ("", "", 0.0)
    for since, state, reason in steps:
        if since <= second:
            found = (state, reason, since)
    return found


def queue_at(second: float) -> str:
    """What squeue showed so many seconds after the recording began."""
    rows = [f"{'JOBID':>6} {'NAME':<10} {'STATE':<10} {'TIME':>5} NODELIST(REASON)"]
    for name, (number, _, steps) in lab10_shipped.JOBS.items():
        state, reason, since = state_at(steps, second)
        if state in ("PENDING", "RUNNING"):
            runs = int(second - since) if state == "RUNNING" else 0
            rows.append(f"{number:>6} {name:<10} {state:<10} {runs // 60:>2}:{runs % 60:02d} {reason}")
    return "\n".join(rows if len(rows) > 1 else [*rows, "(nothing: all have ended)"])


def history() -> Controls:
    """A widget: the recorded queue, second by second."""
    last = int(max(steps[-1][0] for _, _, steps in lab10_shipped.JOBS.values())) + 2
    return Controls(draw_history, {"second": Slider("seconds", 10, 0, last)})


def draw_history(second: int) -> str:
    """A bar for each job, a line at this second, and what squeue shows at it."""
    jobs = lab10_shipped.JOBS
    last = max(steps[-1][0] for _, _, steps in jobs.values()) + 2
    left, wide, parts, told = 100, 520, [], []
    for row, (name, (_, _, steps)) in enumerate(jobs.items()):
        top = 8 + 26 * row
        parts.append(words(left - 8, top + 14, name, "end"))
        for (begin, state, _), (end, _, _) in itertools.pairwise(steps):
            style = f'fill="{BLUE}"' if state == "RUNNING" else LINE
            parts.append(box(left + wide * begin / last, top, wide * (end - begin) / last, 18, style))
        since, _, final = steps[-1]
        parts.append(words(left + wide * since / last + 6, top + 14, final if second >= since else ""))
        told.append(f"{name}: {state_at(steps, second)[0] or 'not submitted'}")
    bottom = 8 + 26 * len(jobs)
    at = left + wide * min(second, last) / last
    parts.append(f'<path d="M{at:.1f} 2V{bottom}" stroke="{ORANGE}" stroke-width="4"/>')
    parts.append(f'<path d="M{at:.1f} 2V{bottom}" stroke="#000" stroke-width="1"/>')
    for tick in range(0, int(last) + 1, 30):
        place = left + wide * tick / last
        parts += [f'<path d="M{place:.1f} {bottom}v5" {LINE}/>', words(place, bottom + 18, f"{tick} s", "middle")]
    text = f"The queue after {second} seconds. {'; '.join(told)}."
    listing = f'<pre style="{FRAME}; width: 660px">$ squeue --me\n{html.escape(queue_at(second))}</pre>'
    label = paragraph(f"Shipped result: {lab10_shipped.WHERE}.")
    return page(svg(760, bottom + 26, text, *parts), listing, label)
