"""Kernels in C, from kernels/compute, compiled for this machine when they are first used and kept in the cache.

A kernel takes pointers and sizes and knows nothing of ranks; its last argument is the number of threads.
"""

import ctypes
import functools
import os

import numpy as np

from frovedis_lite.engine.world import cores_of_rank
from solkit.runtime.compiled import compiled, load
from solkit.toolchain import kernels


@functools.cache
def library(name: str) -> ctypes.CDLL:
    """The compiled kernels/compute/<name>.c.

    Raises:
        ToolchainError: there is no working compiler, or the result cannot be loaded.
    """
    source = kernels() / f"{name}.c"
    return load(compiled({source.name: source.read_text()}))


def address(array: np.ndarray, dtype: np.dtype | type) -> ctypes.c_void_p:
    """Where the numbers of a C-contiguous array of this dtype are.

    Raises:
        TypeError: it is of another dtype, or not contiguous.
    """
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise TypeError(f"a kernel takes a contiguous array of {np.dtype(dtype)}, not {array.dtype} {array.strides}")
    return ctypes.c_void_p(array.ctypes.data)


def aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Zeros that begin at a multiple of 64 bytes, a line of the cache."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


@functools.cache
def threads() -> int:
    """Threads that this process may use: FROVEDIS_THREADS, or its share of the processors among the ranks here."""
    asked = os.environ.get("FROVEDIS_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    return cores_of_rank()
