"""The machines solkit writes code for. The C text is the same for all of them; what differs is the vector length
(vec.h knows it) and how large a register tile may be (this table knows it)."""

import functools
import platform
from dataclasses import dataclass
from pathlib import Path

from solkit.errors import ToolchainError


@dataclass(frozen=True)
class Target:
    """A machine to generate code for.

    Attributes:
        name: what a person calls it.
        vector_length: float32 lanes of one vector register, `VLEN` in vec.h.
        tile: (pixels, vectors) of the register tile of matrix kernels: pixels x vectors accumulators, a row of
            `vectors` weights and one broadcast must fit the register file.
        triple: what a cross compiler calls it; None is the machine we run on.
        flags: further compiler flags for it.
        features: what the processor can do, part of the cache key of compiled code.
    """

    name: str
    vector_length: int
    tile: tuple[int, int]
    triple: str | None = None
    flags: tuple[str, ...] = ()
    features: tuple[str, ...] = ()


ARM64 = Target("arm64 NEON", 4, (6, 4), "aarch64-linux-gnu")
# No C library is at hand for the Vector Engine. A loop turned into a call of memset would also end every vector
# that lives across it: no vector register survives a call, and LLVM cannot spill one.
VE = Target("SX-Aurora Vector Engine", 256, (7, 4), "ve-linux-gnu", ("-ffreestanding",))

# The widest that the processor has wins. AVX-512 also needs the masks of VL, DQ and BW, which every such processor
# since 2017 has.
_X86 = (
    ("avx512f", "x86-64 AVX-512", 16, (7, 4)),
    ("avx2", "x86-64 AVX2", 8, (6, 2)),
    ("avx", "x86-64 AVX", 8, (6, 2)),
    ("sse2", "x86-64 SSE2", 4, (6, 2)),
)


@functools.cache
def host() -> Target:
    """The machine this process runs on.

    Raises:
        ToolchainError: the processor is neither x86-64 nor arm64.
    """
    machine = platform.machine().lower()
    features = _cpu_features()
    if machine in ("x86_64", "amd64"):
        for flag, name, lanes, tile in _X86:
            if flag in features or flag == "sse2":
                return Target(name, lanes, tile, features=features)
    if machine in ("aarch64", "arm64"):
        return Target(ARM64.name, ARM64.vector_length, ARM64.tile, features=features)
    raise ToolchainError(f"solkit has no vector code for {machine!r}; it runs on x86-64 and arm64")


def _cpu_features() -> tuple[str, ...]:
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return ()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return tuple(sorted(value.split()))
    return ()
