"""What `aurora doctor` looks at in the machine: each function returns (status, detail, mending command)."""

import ctypes
import functools
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

Finding = tuple[str, str, str]

GIB = 2**30
LEAST_MEMORY = 2 * GIB
LEAST_DISK = 1 * GIB
PROGRAM = "int answer(void)\n{\n    return 42;\n}\n"
CGROUP = Path("/sys/fs/cgroup")
CARDS = "/dev/veslot*"


def compiler() -> Finding:
    """The compiler that solkit would use builds a shared library, and it loads and answers."""
    from solkit.errors import ToolchainError
    from solkit.toolchain import find_compiler

    try:
        found = find_compiler()
    except ToolchainError as error:
        return "missing", str(error), "sudo apt-get install gcc"
    mend = f"unset CC, or: sudo apt-get install gcc, or: {sys.executable} -m pip install ziglang"
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "answer.c"), Path(folder, "answer.so")
        source.write_text(PROGRAM)
        command = [*found.command, "-shared", "-fPIC", "-o", str(library), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if done.returncode:
            first = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[0]
            return "wrong", f"{found.description} does not compile three lines: {first}", mend
        if ctypes.CDLL(str(library)).answer() != 42:
            return "wrong", f"{found.description} compiles, but what it makes does not work", mend
    return "ok", f"{found.description} compiles, and what it makes runs", ""


def simd() -> Finding:
    from solkit.target import host

    here = host()
    return "ok", f"{here.name}, {here.vector_length} float32 at a time", ""


def usable_cores() -> float:
    """Return how many cores this process may use: the machine's, less what affinity or a container takes away."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup("cpu.max")
    if quota and quota[0] != "max":
        cores = min(cores, int(quota[0]) / int(quota[1]))
    return cores


def _cgroup(name: str) -> list[str]:
    """Return the words of a cgroup v2 file that governs this process, or none."""
    try:
        group = Path("/proc/self/cgroup").read_text().strip().rpartition("::/")[2]
    except OSError:
        return []
    for folder in (CGROUP / group, CGROUP):  # within a container its own group is at the top
        try:
            return (folder / name).read_text().split()
        except OSError:
            continue
    return []


def threads() -> Finding:
    import torch

    used, cores = torch.get_num_threads(), usable_cores()
    detail = f"PyTorch uses {used}, of {cores:g} cores for this process and {os.cpu_count()} in the machine"
    if used > max(1, cores):
        return "wrong", detail, f"export OMP_NUM_THREADS={max(1, int(cores))}"
    return "ok", detail, ""


def memory() -> Finding:
    import psutil

    total, available = psutil.virtual_memory()[:2]
    limit = _cgroup("memory.max")
    if limit and limit[0] != "max":
        stat = _cgroup("memory.stat")  # name, value, name, value, ...
        files = int(stat[stat.index("inactive_file") + 1]) if "inactive_file" in stat else 0  # given back when needed
        used = int(*_cgroup("memory.current")) - files
        total, available = min(total, int(limit[0])), min(available, int(limit[0]) - used)
    detail = f"{available / GIB:.1f} GiB free of {total / GIB:.1f}"
    if available < LEAST_MEMORY:
        return (
            "wrong",
            f"{detail}; {LEAST_MEMORY // GIB} are needed",
            "close other programs, or use a bigger machine",
        )
    return "ok", detail, ""


@functools.cache
def _cache_directory() -> tuple[Path, str]:
    """Return solkit's cache folder, and what it warned of when it had to take a temporary one."""
    from solkit import cache

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        folder = Path(cache.directory())
    return folder, " ".join(str(warning.message) for warning in said)


def disk() -> Finding:
    """Free space where the packages are and where the compiled models go."""
    places = {"packages": Path(sys.prefix), "cache": _cache_directory()[0]}
    free = {name: shutil.disk_usage(_existing(path)).free for name, path in places.items()}
    detail = ", ".join(f"{free[name] / GIB:.1f} GiB free for the {name}" for name in places)
    short = [str(places[name]) for name in places if free[name] < LEAST_DISK]
    if short:
        return "wrong", f"{detail}; {LEAST_DISK // GIB} is needed", f"free some space under {' and '.join(short)}"
    return "ok", detail, ""


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def cache() -> Finding:
    """Compiled models are kept; where they cannot be, the labs run, and compile again each time."""
    folder, warning = _cache_directory()
    if warning:
        return "wrong", warning, "export SOL_CACHE_DIR=a-folder-you-can-write"
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"aurora")
    return "ok", str(folder), ""


def vector_engine() -> Finding:
    cards = glob.glob(CARDS)
    if cards:
        return "ok", f"{len(cards)} cards", ""
    return "missing", "no card found; solkit compiles for it, running needs a card", ""
