"""The facts of one cluster, from a file like slurm/site.conf: shell, KEY=value.

The templates in slurm/ read the same file (slurm/common.sh), and a test holds the two to each other.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

SETTINGS = (
    *("ACCOUNT", "PARTITION", "QOS", "RESOURCE", "TIME", "CPUS", "MEMORY"),
    *("MODULES", "SETUP", "ENVIRONMENT", "SCRATCH", "LOGIN"),
)
FLAGS = {
    "ACCOUNT": "--account",
    "PARTITION": "--partition",
    "QOS": "--qos",
    "TIME": "--time",
    "CPUS": "--cpus-per-task",
    "MEMORY": "--mem",
}
# Prints each setting and a zero byte, which no value can hold.
PRINT = 'set -e; source "$1" >&2; for key in ' + " ".join(SETTINGS) + "; do printf '%s\\0' \"${!key}\"; done"


class SiteError(ValueError):
    """The site's settings are not there, or cannot be read; the message names the file and the line's mistake."""


def find() -> Path:
    """Return the file of settings: AURORA_SITE, else the repository's slurm/site.conf, else the shipped example."""
    if named := os.environ.get("AURORA_SITE"):
        return Path(named).expanduser()
    repository = Path(__file__).resolve().parents[2] / "slurm" / "site.conf"
    return repository if repository.is_file() else Path(sys.prefix, "share", "aurora-labs", "site.conf")


def read(path: Path) -> dict[str, str]:
    """Return all settings of a site, empty where the file says nothing. Raises SiteError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SiteError(f"the site's settings cannot be read from {path} (AURORA_SITE says where): {error}") from None
    for key in re.findall(r"(?m)^ *([A-Za-z_]+)=", text):
        known(key, f"{path}: ")
    unset = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    done = subprocess.run(["bash", "-c", PRINT, "bash", path], env=unset, capture_output=True, text=True)
    values = done.stdout.split("\0")
    if done.returncode != 0 or len(values) != len(SETTINGS) + 1:
        raise SiteError(f"{path} cannot be read as shell: KEY=value, no blanks around the =\n{done.stderr.strip()}")
    return dict(zip(SETTINGS, values, strict=False))


def known(key: str, where: str = "") -> str:
    """Return the name of a setting. Raises SiteError when there is none of this name."""
    if key not in SETTINGS:
        raise SiteError(f"{where}there is no setting {key}; there are {' '.join(SETTINGS)}")
    return key


def flags(settings: dict[str, str]) -> list[str]:
    """Return what sbatch is given of the settings. Raises SiteError if RESOURCE has an open quote."""
    given = [f"{flag}={settings[key]}" for key, flag in FLAGS.items() if settings.get(key)]
    try:
        return [*given, *shlex.split(settings.get("RESOURCE", ""))]
    except ValueError as error:
        raise SiteError(f"RESOURCE={settings['RESOURCE']!r} cannot be read: {error}") from None
