"""What solkit runs on: devices, versions, and seeds, by SOL's names."""

import gc
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy
import psutil
import torch

from solkit import __version__, cache
from solkit.config import config
from solkit.errors import ConfigError, ToolchainError, first_line
from solkit.explain.table import html_table, text_table
from solkit.runtime.engine import _Context
from solkit.runtime.weights import Weights
from solkit.target import ARM64, VE, host
from solkit.toolchain import find_compiler


@dataclass(frozen=True)
class Device:
    """A machine.

    Attributes:
        name: of the target.
        default: whether models run on it.
        vector_length: float32 lanes of a vector register.
        cores: processor cores; None where code can be generated only.
        threads: threads of a call; None where code can be generated only.
        memory: bytes of packed weights and arenas alive in this process; None where code can be generated only.
    """

    name: str
    default: bool
    vector_length: int
    cores: int | None = None
    threads: int | None = None
    memory: int | None = None


class Devices(list[Device]):
    """Devices, the default first. Prints as a table in which it has a `*`."""

    _HEAD = ("", "device", "vector length", "cores", "threads", "memory in use", "")

    def _cells(self) -> list[tuple[str, ...]]:
        def row(d: Device) -> tuple[str, ...]:
            if d.memory is None:
                return ("", d.name, str(d.vector_length), "-", "-", "-", "code only")
            used = f"{d.memory / 1e6:.2f} MB"
            return ("*" if d.default else "", d.name, str(d.vector_length), str(d.cores), str(d.threads), used, "")

        return [row(device) for device in self]

    def __str__(self) -> str:
        return text_table(self._HEAD, self._cells())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self._HEAD, self._cells(), "Models run on the device marked *")


def devices() -> Devices:
    """This machine, and those that C code can be generated for but not run.

    Raises:
        ToolchainError: solkit has no vector code for this processor.
    """
    here = host()
    threads = config["threads"] or torch.get_num_threads()
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    mine = Device(here.name, True, here.vector_length, cores, threads, _memory_in_use())
    others = [Device(target.name, False, target.vector_length) for target in (ARM64, VE) if target.name != here.name]
    return Devices([mine, *others])


def _memory_in_use() -> int:
    """Bytes of weights and arenas. Asked for rarely, so no call has to count: the live objects are looked through."""
    total = 0
    for item in gc.get_objects():
        if type(item) is Weights:
            total += item._memory.numel()
        elif type(item) is _Context:
            total += item.arena.numel()
    return total


class Versions(dict[str, str]):
    """What is installed, by name. Prints line by line."""

    def __str__(self) -> str:
        width = max(map(len, self))
        return "\n".join(f"{name:{width}}  {version}" for name, version in self.items())

    __repr__ = __str__


def versions() -> Versions:
    """Versions of solkit and of what it stands on."""
    try:
        compiler = find_compiler().description
    except ToolchainError as error:
        compiler = f"none: {first_line(error)}"
    return Versions(
        solkit=__version__,
        torch=torch.__version__,
        numpy=numpy.__version__,
        python=platform.python_version(),
        compiler=compiler,
        platform=platform.platform(),
    )


# What set_seed was last given. Compiled code draws no random numbers: operators that do run in PyTorch, from its
# generator, which anyone else may seed too.
_seed: int | None = None


def set_seed(seed: int) -> None:
    """Seed what random operators draw from: PyTorch's generator, for all of this process.

    Raises:
        ConfigError: `seed` is no whole number from -2**63 to 2**64 - 1.
    """
    global _seed
    if not isinstance(seed, int) or isinstance(seed, bool) or not -(2**63) <= seed < 2**64:
        raise ConfigError(f"set_seed takes a whole number from -2**63 to 2**64 - 1, not {seed!r}")
    torch.manual_seed(seed)
    _seed = seed


def seed() -> int:
    """The seed that PyTorch's generator was last given, by `set_seed` or by anyone else."""
    return torch.initial_seed()


def seeds() -> dict[str, int | None]:
    """By device the seed of its generator; "global" is what `set_seed` was last given, None before the first time."""
    return {"global": _seed, host().name: torch.initial_seed()}


def cache_usage() -> tuple[Path, int, int]:
    """The cache folder, how many entries are in it, and their bytes.

    Raises:
        CacheError: no cache folder can be made.
    """
    folder = cache.directory()
    entries = [path.parent for path in folder.glob(f"*/{cache.MANIFEST}")]
    return folder, len(entries), sum(file.stat().st_size for entry in entries for file in entry.iterdir())
