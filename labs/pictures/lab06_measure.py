"""What lab 06 measures on this machine: multiply-adds in registers, memory in a row, in strides and in any order.

As benchmarks/peak.py does it, in less time: the best of a few attempts counts, for nothing makes a machine faster than
it is.
"""

import ctypes
import functools
import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from solkit.target import host
from solkit.toolchain import build_library

ATTEMPTS = 5
STEPS = 200_000  # multiply-adds of each chain in one attempt: one to a few milliseconds

# CHAINS independent sums, as many as a register tile of this machine has: enough to hide how long one addition takes.
SOURCE = """
#include "vec.h"

/* x <- x * scale + shift, `steps` times in each chain; returns a sum that the compiler must not leave out. */
float fma_chains(int64_t steps, float scale, float shift) {
    const vf a = vf_set1(scale), b = vf_set1(shift);
    vf x[CHAINS];
    UNROLL for (int c = 0; c < CHAINS; c++) x[c] = vf_set1((float)c);
    for (int64_t i = 0; i < steps; i++) {
        UNROLL for (int c = 0; c < CHAINS; c++) x[c] = vf_fma(x[c], a, b);
    }
    vf sum = x[0];
    UNROLL for (int c = 1; c < CHAINS; c++) sum = vf_add(sum, x[c]);
    return vf_sum_n(sum, VLEN);
}

/* STREAM's triad: a = b + s * c. */
void triad(int64_t n, float s, float *a, const float *b, const float *c) {
    for (int64_t i = 0; i + VLEN <= n; i += VLEN) vf_store(a + i, vf_axpy(s, vf_load(c + i), vf_load(b + i)));
}

/* The sum of n floats, `stride` floats apart, in eight sums that do not wait for each other. */
float strided(int64_t n, int64_t stride, const float *x) {
    float sum[8] = {0};
    for (int64_t i = 0; i + 8 <= n; i += 8, x += 8 * stride) {
        UNROLL for (int k = 0; k < 8; k++) sum[k] += x[k * stride];
    }
    return sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
}

/* The sum of n floats at places that stand in a list. */
float gathered(int64_t n, const int32_t *place, const float *x) {
    float sum[8] = {0};
    for (int64_t i = 0; i + 8 <= n; i += 8) {
        UNROLL for (int k = 0; k < 8; k++) sum[k] += x[place[i + k]];
    }
    return sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
}
"""


@dataclass(frozen=True)
class Peak:
    """What a machine can do at best: arithmetic in GFLOP/s of float32, memory in GB/s."""

    name: str
    gflops: float
    gbytes: float

    @property
    def ridge(self) -> float:
        """The FLOP per byte from which on arithmetic is the limit."""
        return self.gflops / self.gbytes


@functools.cache
def _library() -> ctypes.CDLL:
    pixels, vectors = host().tile
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lab06.so"
        build_library({"lab06.c": f"#define CHAINS {pixels * vectors}\n{SOURCE}"}, path)
        library = ctypes.CDLL(str(path))
    number, real, memory = ctypes.c_int64, ctypes.c_float, ctypes.c_void_p
    library.fma_chains.argtypes = (number, real, real)
    library.triad.argtypes = (number, real, memory, memory, memory)
    library.strided.argtypes = (number, number, memory)
    library.gathered.argtypes = (number, memory, memory)
    for function in (library.fma_chains, library.strided, library.gathered):
        function.restype = real
    return library


def peak(threads: int, megabytes: int = 64) -> Peak:
    """Measure this machine, with as many threads at once; the triad runs over three arrays of `megabytes` together.

    Raises:
        ToolchainError: the C compiler failed.
    """
    library, target = _library(), host()
    flop = 2 * target.vector_length * target.tile[0] * target.tile[1] * STEPS
    arrays = [np.ones(megabytes << 18, np.float32) for _ in range(3)]
    parts = [[part.ctypes.data for part in np.array_split(array, threads)] for array in arrays]
    each = arrays[0].size // threads

    def multiply(_index: int) -> None:
        library.fma_chains(STEPS, 0.5, 1.0)

    def stream(index: int) -> None:
        library.triad(each, 0.5, *(part[index] for part in parts))

    name = f"this machine, {threads} {'thread' if threads == 1 else 'threads'}"
    return Peak(name, flop * _rate(multiply, threads, 40) / 1e9, 12 * each * _rate(stream, threads, 8) / 1e9)


def _rate(work: Callable[[int], None], threads: int, attempts: int) -> float:
    """How often a second threads at the same time do the work, together, at best. Short work and many attempts find a
    moment in which no other program is running. ctypes lets go of the interpreter's lock in a call."""
    start = threading.Barrier(threads)

    def part(index: int) -> float:
        start.wait()
        begin = time.perf_counter()
        work(index)
        return 1 / (time.perf_counter() - begin)

    with ThreadPoolExecutor(threads) as pool:
        return max(sum(pool.map(part, range(threads))) for _ in range(attempts))


def best(functions: dict[str, Callable[[], object]], runs: int, rounds: int = 3) -> dict[str, float]:
    """Seconds of the fastest call of each function, by name. They take turns in blocks of `runs` calls, and the first
    call of a block does not count."""
    found = dict.fromkeys(functions, float("inf"))
    for _, (name, function) in itertools.product(range(rounds), functions.items()):
        time.sleep(0.05)  # threads of the one before stop spinning
        function()
        for _ in range(runs):
            begin = time.perf_counter()
            function()
            found[name] = min(found[name], time.perf_counter() - begin)
    return found


def strides(each: Sequence[int], megabytes: int = 64, seed: int = 0) -> dict[str, float]:
    """Nanoseconds that one thread takes for each float it reads from a large array: by stride, in floats, and last for
    places in no order."""
    library = _library()
    data = np.ones(megabytes << 18, np.float32)
    found = {}
    for stride in each:
        count = data.size // stride
        work = functools.partial(library.strided, count, stride, data.ctypes.data)
        found[str(stride)] = 1e9 * _seconds(work) / count
    places = np.random.default_rng(seed).integers(data.size, size=data.size // 16, dtype=np.int32)
    work = functools.partial(library.gathered, places.size, places.ctypes.data, data.ctypes.data)
    return found | {"random": 1e9 * _seconds(work) / places.size}


def _seconds(work: Callable[[], object]) -> float:
    return 1 / _rate(lambda _: work(), 1, ATTEMPTS)


def lengths(each: Sequence[int], calls: int = 200) -> dict[int, float]:
    """Nanoseconds of a NumPy addition of n float32 numbers, by n; the best of a few rounds."""
    found = {}
    for n in each:
        a, b, c = (np.ones(n, np.float32) for _ in range(3))
        shortest = float("inf")
        for _ in range(2 * ATTEMPTS):
            begin = time.perf_counter()
            for _ in range(calls):
                np.add(a, b, out=c)
            shortest = min(shortest, time.perf_counter() - begin)
        found[n] = 1e9 * shortest / calls
    return found


def hockney(times: dict[int, float]) -> tuple[float, float]:
    """Fit time = start-up + n / rate to nanoseconds by n, each point with the same relative weight; return the start-up
    in ns and the rate in elements per ns."""
    n, took = (np.array(list(values), float) for values in (times, times.values()))
    start, each = np.linalg.lstsq(np.stack([1 / took, n / took], axis=1), np.ones(n.size), rcond=None)[0]
    return max(float(start), 0.0), 1 / float(each)
