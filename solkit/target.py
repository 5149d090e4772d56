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
        flags: further compiler flags for it; without a triple, in place of those for this very machine.
        features: what the processor can do, part of the cache key of compiled code.
        panel: vectors of output channels side by side in packed weights, where several machines read the same; None:
            as many as the register tile has.
        cpu: what zig calls the processor, where it does not understand `flags`.
    """

    name: str
    vector_length: int
    tile: tuple[int, int]
    triple: str | None = None
    flags: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    panel: int | None = None
    cpu: str | None = None


ARM64 = Target("arm64 NEON", 4, (6, 4), "aarch64-linux-gnu")
# No C library is at hand for the Vector Engine. A loop turned into a call of memset would also end every vector
# that lives across it: no vector register survives a call, and LLVM cannot spill one.
VE = Target("SX-Aurora Vector Engine", 256, (7, 4), "ve-linux-gnu", ("-ffreestanding",))


def _level(name: str, cpu: str, tile: tuple[int, int], extensions: str, features: str) -> Target:
    flags = ("-march=x86-64", *extensions.split(), "-DSOL_LANES=16")
    return Target(name, 16, tile, None, flags, tuple(sorted(features.split())), 1, cpu)


# Code for every x86-64 machine, chosen when it runs, with one memory layout: 16 lanes, in two or four registers where
# these are narrower (wide.h), and the same packed weights. With panels of one vector, each level reads weights in
# streams without gaps, whatever its tile. Flags are spelled out, as compilers know them for longer than the names
# x86-64-v3 and v4; what a processor must have is said in the names of Linux.
_AVX2_FLAGS = "-mavx2 -mfma -mf16c -mbmi -mbmi2 -mlzcnt -mmovbe -mpopcnt -mcx16"
_AVX2_FEATURES = "avx2 fma f16c bmi1 bmi2 abm movbe popcnt cx16"
_AVX512_FLAGS = "-mavx512f -mavx512bw -mavx512cd -mavx512dq -mavx512vl"
X86_LEVELS = (
    _level(
        "x86-64-v4",
        "x86_64_v4",
        (7, 4),
        f"{_AVX2_FLAGS} {_AVX512_FLAGS}",
        f"{_AVX2_FEATURES} avx512f avx512bw avx512cd avx512dq avx512vl",
    ),
    _level("x86-64-v3", "x86_64_v3", (6, 1), _AVX2_FLAGS, _AVX2_FEATURES),
    _level("x86-64", "x86_64", (2, 1), "", ""),
)

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
