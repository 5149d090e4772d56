"""The measured peaks of this machine: multiply-adds in registers, and reading memory. What a network reaches is given
as a share of them.

The idea is the roofline model's (Williams, Waterman, Patterson, "Roofline: an insightful visual performance model for
multicore architectures", 2009), with measured ceilings in place of a data sheet's.
"""

import ctypes
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from solkit.target import host
from solkit.toolchain import build_library

SECONDS = 0.3  # of one measurement; the best of ATTEMPTS counts, for nothing makes a machine faster than it is
ATTEMPTS = 5
ARRAY = 512 << 20  # bytes that are read, together: much more than any cache


@dataclass(frozen=True)
class Peak:
    """What `threads` threads reach together: float32 FMA in GFLOP/s (an FMA is two), reading memory in GB/s."""

    threads: int
    gflops: float
    gbytes: float


def measure(threads: int, array_bytes: int = ARRAY, seconds: float = SECONDS) -> Peak:
    """Measure both peaks with as many threads at once.

    Raises:
        ToolchainError: the C compiler failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "peak.so"
        # As many chains as a register tile of this machine has accumulators: enough to hide the latency of an FMA,
        # and all of them stay in registers.
        pixels, vectors = host().tile
        text = Path(__file__).with_suffix(".c").read_text()
        build_library({"peak.c": f"#define CHAINS {pixels * vectors}\n{text}"}, path)
        library = ctypes.CDLL(str(path))
    for function in (library.peak_fma, library.peak_read):
        function.restype = ctypes.c_double

    def fma(_index: int) -> float:
        scale, shift = ctypes.c_float(0.5), ctypes.c_float(1.0)
        return library.peak_fma(ctypes.c_double(seconds), scale, shift, ctypes.byref(ctypes.c_float()))

    parts = np.array_split(np.ones(array_bytes // 4, np.float32), threads)

    def read(index: int) -> float:
        data, count = ctypes.c_void_p(parts[index].ctypes.data), ctypes.c_int64(parts[index].size)
        return library.peak_read(ctypes.c_double(seconds), data, count, ctypes.byref(ctypes.c_float()))

    return Peak(threads, _best(fma, threads) / 1e9, _best(read, threads) / 1e9)


def _best(work: Callable[[int], float], threads: int) -> float:
    """The most that threads at the same time reach together. ctypes lets go of the interpreter's lock in a call."""
    start = threading.Barrier(threads)

    def part(index: int) -> float:
        start.wait()
        return work(index)

    with ThreadPoolExecutor(threads) as pool:
        return max(sum(pool.map(part, range(threads))) for _ in range(ATTEMPTS))
