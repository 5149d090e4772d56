"""What a network can be deployed for, and how."""

import enum
from dataclasses import dataclass

from solkit.target import ARM64, VE, X86_LEVELS, Target


class deployment(enum.Enum):
    """What `sol.deploy` makes."""

    shared_lib = "shared library"
    static_lib = "static library"
    source = "C sources"


class device(enum.Enum):
    """What `sol.deploy` makes it for."""

    x86 = "x86-64"
    arm64 = "arm64"
    ve = "NEC SX-Aurora Vector Engine"


@dataclass(frozen=True)
class Level:
    """A set of instructions of a device: how it is compiled for, and how C finds out whether a processor has it.

    mark: its name in C and of folders; condition: an expression of C.
    """

    target: Target
    mark: str
    condition: str = "1"


def _supports(*features: str) -> str:
    return " && ".join(f'__builtin_cpu_supports("{feature}")' for feature in features)


_AVX2 = ("avx2", "fma", "bmi", "bmi2", "popcnt")
_MARKS = {
    "x86-64-v4": ("avx512", _supports(*_AVX2, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")),
    "x86-64-v3": ("avx2", _supports(*_AVX2)),
    "x86-64": ("baseline", "1"),
}

LEVELS = {
    device.x86: [Level(target, *_MARKS[target.name]) for target in X86_LEVELS],
    device.arm64: [Level(ARM64, "neon")],
    device.ve: [Level(VE, "ve")],
}
