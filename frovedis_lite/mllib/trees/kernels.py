"""kernels/compute/trees.c and trees_predict.c for Python: their structures, and calls with arrays for pointers."""

import ctypes
from typing import Any

import numpy as np

from frovedis_lite import native

Size = ctypes.c_int64
PREDICTION = ("trees_apply", "trees_sum", "trees_place")
_POINTER = ctypes.c_void_p
NODE = np.dtype(
    [("threshold", "f8"), ("feature", "i4"), ("left", "i4"), ("right", "i4"), ("missing_left", "i4")], align=True
)
"""A node for prediction; a leaf's children are itself. Children are counted from the tree's root."""


class Forest(ctypes.Structure):
    """What all nodes share."""

    _fields_ = [
        *((name, _POINTER) for name in ("bins", "order", "weight", "moment", "square", "value", "label")),
        *((name, Size) for name in ("rows", "columns", "bin_count", "classes", "channels", "counted", "entropy")),
        *((name, Size) for name in ("weight_step", "moment_step", "value_step", "max_features")),
        ("least_rows", ctypes.c_double),
    ]


class NodeList(ctypes.Structure):
    """Nodes to be split."""

    _fields_ = [(name, _POINTER) for name in ("tree", "begin", "end", "seed", "total", "least_weight")]


class SplitList(ctypes.Structure):
    """The best split of each."""

    _fields_ = [(name, _POINTER) for name in ("score", "feature", "bin", "next", "missing_left", "left")]


def call(name: str, *arguments: Any) -> None:
    """Call a kernel: arrays go as their addresses (C-contiguous, of the dtype the kernel takes), structures by
    reference, None as NULL; the last argument is the number of threads."""
    library = native.library("trees_predict" if name in PREDICTION else "trees")
    getattr(library, name)(*(_passed(value) for value in arguments))


def pointer(array: np.ndarray | None) -> int | None:
    """The address of a contiguous array, which must outlive its use."""
    if array is None:
        return None
    if not array.flags.c_contiguous:
        raise TypeError("a kernel takes contiguous arrays")
    return array.__array_interface__["data"][0]  # in a third of the time of array.ctypes


def _passed(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(pointer(value))
    if isinstance(value, ctypes.Structure):
        return ctypes.byref(value)
    return value
