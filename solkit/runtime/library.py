"""Compiled code in this process: the runtime (one thread pool for all models) and the programs."""

import ctypes
import functools

import torch

from solkit.codegen import Program
from solkit.runtime.compiled import compiled, load
from solkit.toolchain import kernels


class Runtime:
    """The C runtime: kernels/compute/runtime.c."""

    def __init__(self) -> None:
        self._library = load(compiled({"runtime.c": (kernels() / "runtime.c").read_text()}), "sol_run")
        pointer, number = ctypes.c_void_p, ctypes.c_int
        self.pool = self._function("sol_pool_get", pointer)
        self.run = self._function("sol_run", None, pointer, pointer, pointer, number, number, number, pointer)
        self.prefetch = self._function("sol_prefetch", None, pointer, *[ctypes.c_int64] * 3)
        self.memory_get = self._function("sol_memory_get", pointer, ctypes.c_int64)
        self.memory_free = self._function("sol_memory_free", None, pointer)

    def _function(self, name: str, result: type | None, *arguments: type) -> ctypes._CFuncPtr:
        function = getattr(self._library, name)
        function.restype, function.argtypes = result, arguments
        return function


@functools.cache
def runtime() -> Runtime:
    """The runtime of this process, compiled on first use.

    Raises:
        ToolchainError: there is no working compiler, or the result cannot be loaded.
    """
    return Runtime()


class _Cluster(ctypes.Structure):
    """sol_cluster of sol.h."""

    _fields_ = (
        ("kernel", ctypes.c_void_p),
        ("tasks", ctypes.POINTER(ctypes.c_int64)),
        ("values", ctypes.c_void_p),
        ("buffers", ctypes.c_int32),
        ("rounds", ctypes.c_int32),
    )


class Library:
    """A compiled program.

    clusters: the address of its table of clusters.
    vector_length: what it was compiled for.
    sizes: entry of the value table to the numbers that code for many shapes reads there, int64.
    """

    def __init__(self, program: Program) -> None:
        self.path = compiled(program.sources)
        self._library = load(self.path, "sol_clusters", "sol_vector_length")
        self.clusters = ctypes.addressof(ctypes.c_char.in_dll(self._library, "sol_clusters"))
        self.vector_length = ctypes.c_int32.in_dll(self._library, "sol_vector_length").value
        self.sizes: dict[int, torch.Tensor] = {}
        if program.sizes:
            self._own = self._own_table(program)
            self.clusters = ctypes.addressof(self._own)

    def _own_table(self, program: Program) -> ctypes.Array:
        """A copy of the table, the numbers of tasks and rounds filled in where code is for many shapes."""
        table = (_Cluster * len(program.kernels)).from_buffer_copy(
            ctypes.string_at(self.clusters, ctypes.sizeof(_Cluster) * len(program.kernels))
        )
        for index, numbers in program.sizes.items():
            values, rounds = program.table[index]
            sizes = self.sizes[values[-1]] = torch.tensor(numbers, dtype=torch.int64)
            count = getattr(self._library, f"{program.kernels[index].removesuffix('.c')}_count")
            count.restype, count.argtypes = ctypes.c_int64, (ctypes.c_void_p,)
            table[index].tasks = ctypes.pointer(ctypes.c_int64(count(sizes.data_ptr())))
            table[index].rounds = rounds
        return table
