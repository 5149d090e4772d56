"""How much an ONNX model may take, and who keeps count.

A few bytes of a model can ask for any amount of memory: a shape of [1e6, 1e6], a Concat of a tensor with itself sixty
times over, a loop without end. So while a model runs in PyTorch each operation is first run on tensors without
data, which tells the sizes of its results, and memory is taken only if they are within `LIMITS`.
"""

import functools
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import torch
from onnx import NodeProto, TypeProto
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

WHERE = "solkit.frontend.onnx.limits.LIMITS"
NUMBERS = 64  # elements of an input that may say how large a result is
CGROUP = Path("/sys/fs/cgroup/memory.max")


def _half_of_memory() -> int:
    """Half the bytes of this machine, or of the container."""
    try:
        allowed = int(CGROUP.read_text())
    except (OSError, ValueError):  # no container, or one without a limit
        allowed = psutil.virtual_memory().total
    return min(allowed, psutil.virtual_memory().total) // 2


@dataclass
class Limits:
    """What a model may take. Set an attribute of `LIMITS` for one that you trust and that needs more.

    Attributes:
        tensor: bytes of any one tensor that an operator makes: 4 GiB. Initializers are not counted, as they are in the
            file.
        memory: bytes of all tensors of one call that are alive at the same time: half of the machine's memory.
        steps: nodes that one call runs, those in loops once for each turn: 1,048,576. While a model is captured, when
            loops are unrolled into one graph: 65,536.
        items: length of a sequence, or of a list of numbers that say how something is to be done: 65,536.
    """

    tensor: int = 1 << 32
    memory: int = field(default_factory=_half_of_memory)
    steps: int = 1 << 20
    captured_steps: int = 1 << 16
    items: int = 1 << 16


LIMITS = Limits()


class TooLarge(MemoryError):
    """A model asks for more than `LIMITS`. `Interpreter` makes a `ModelError` of it that names the node."""


def check_size(shape: Sequence[int], itemsize: float) -> None:
    """Whether there may be a tensor of this shape.

    Args:
        itemsize: bytes of an element.
    Raises:
        TooLarge: there may not.
    """
    size = int(prod(shape) * itemsize)
    if size > min(LIMITS.tensor, LIMITS.memory):
        raise TooLarge(
            f"a tensor of the shape {list(shape)} takes {_shown(size)}, and the limit is "
            f"{_shown(min(LIMITS.tensor, LIMITS.memory))}; if you trust the model, raise {WHERE}.tensor"
        )


def check_results(results: Sequence[Any]) -> None:
    """Whether a node may make these: tensors, also such without data as torch.export traces with, arrays, sequences.

    Raises:
        TooLarge: it may not.
    """
    for value in results:
        if isinstance(value, list):
            check_count(len(value))
            # Items but the newest were looked at when they were put in.
            check_results(value[:1] + value[-1:])
        elif isinstance(value, (torch.Tensor, np.ndarray)):
            check_size(value.shape, value.dtype.itemsize)


def check_count(count: int) -> None:
    """Whether Python may hold a list of so many numbers or tensors.

    Raises:
        TooLarge: it may not.
    """
    if count > LIMITS.items:
        raise TooLarge(f"a list of {count} items; the limit is {LIMITS.items}, {WHERE}.items")


def check_node(says: "onnx.defs.OpSchema | None", node: NodeProto, types: Mapping[str, TypeProto], arrays: Any) -> None:
    """Whether a node that NumPy computes may make its results.

    Args:
        says: what onnx says of its operator.
        types, arrays: of its inputs: by name, and in order.
    Raises:
        TooLarge: it may not.
    """
    numbers = {
        name: onnx.numpy_helper.from_array(array, name)
        for name, array in zip(node.input, arrays, strict=True)
        if name and isinstance(array, np.ndarray) and array.size <= NUMBERS and array.dtype.kind in "iuf"
    }
    try:
        made = {} if says is None else onnx.shape_inference.infer_node_outputs(says, node, dict(types), numbers)
    except Exception:  # the node says why itself when it runs
        return
    for kind in made.values():
        sizes = [dim.dim_value for dim in kind.tensor_type.shape.dim]  # 0 where it is not known
        check_size([max(1, size) for size in sizes], 4)


def _shown(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"


# -- keeping count --------------------------------------------------------------------------------------------------


class Budget(TorchDispatchMode):
    """Counts what one call of a model takes.

    Attributes:
        steps: nodes and subgraphs that were run.
        bytes: of the tensors made and, as of the last look, alive.
    """

    def __init__(self) -> None:
        super().__init__()
        self.steps, self.bytes = 0, 0
        # By their address, which nobody else gets as long as there is a weak reference.
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self._most_alive = 1024

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        # A view takes no memory; what it shows is looked at when it was made.
        if not func.is_view:
            for shape, itemsize in _ahead(func, args, kwargs):
                check_size(shape, itemsize)
        made = func(*args, **kwargs)
        tensors = [value for value in pytree.tree_leaves(made) if isinstance(value, torch.Tensor)]
        for tensor in tensors:
            check_size(tensor.shape, tensor.dtype.itemsize)
        if not func.is_view:
            self._keep(tensors, args, kwargs)
        return made

    def _keep(self, tensors: list[torch.Tensor], args: Any, kwargs: Any) -> None:
        given = {id_ for id_, _ in map(_storage, pytree.tree_leaves((args, kwargs))) if id_}
        for tensor in tensors:
            address, storage = _storage(tensor)
            if address and address not in given and address not in self._alive:
                self._alive[address] = StorageWeakRef(storage), storage.nbytes()
                self.bytes += storage.nbytes()
        if self.bytes > LIMITS.memory or len(self._alive) > self._most_alive:
            self._look_again()

    def _look_again(self) -> None:
        self._alive = {key: item for key, item in self._alive.items() if not item[0].expired()}
        self._most_alive = max(1024, 2 * len(self._alive))
        self.bytes = sum(size for _, size in self._alive.values())
        if self.bytes > LIMITS.memory:
            raise TooLarge(
                f"with it the tensors of this call take {_shown(self.bytes)}, and the limit is "
                f"{_shown(LIMITS.memory)}, half of this machine's memory unless {WHERE}.memory was set"
            )


def _storage(value: Any) -> tuple[int, Any]:
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
        return 0, None
    storage = value.untyped_storage()
    return storage._cdata, storage


@functools.lru_cache(maxsize=4096)
def _takes_device(func: Any) -> bool:
    return any(argument.name == "device" for argument in func._schema.arguments)


def _ahead(func: Any, args: Any, kwargs: Mapping[str, Any]) -> list[tuple[Sequence[int], int]]:
    """Shape and element size of each result; nothing where they depend on values, which are never more than the inputs
    have."""
    leaves, tree = pytree.tree_flatten((args, dict(kwargs)))
    if any(type(leaf) not in (torch.Tensor, torch.nn.Parameter) for leaf in leaves if isinstance(leaf, torch.Tensor)):
        return []  # traced: no memory is taken
    empty = {id(leaf): _without_data(leaf) for leaf in leaves if isinstance(leaf, torch.Tensor)}
    args, kwargs = pytree.tree_unflatten([empty.get(id(leaf), leaf) for leaf in leaves], tree)
    if _takes_device(func):
        kwargs["device"] = "meta"
    kwargs.pop("generator", None)
    try:
        made = func(*args, **kwargs)
    except Exception:  # it says why itself when it runs
        return []
    return [(leaf.shape, leaf.dtype.itemsize) for leaf in pytree.tree_leaves(made) if isinstance(leaf, torch.Tensor)]


def _without_data(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


_of_thread = threading.local()


@contextmanager
def counting() -> Iterator[None]:
    """One call of a model: what runs inside is counted, in an inner one on the outer's account."""
    if getattr(_of_thread, "budget", None) is not None:
        yield
        return
    budget = _of_thread.budget = Budget()
    try:
        with nullcontext() if torch.compiler.is_exporting() else budget:  # what is traced takes no memory
            yield
    finally:
        _of_thread.budget = None


def counted() -> Any:
    """For the constants that are worked out while a model is traced, with real memory: the call's budget."""
    budget = getattr(_of_thread, "budget", None)
    return nullcontext() if budget is None else budget


def step() -> None:
    """Count a node or a turn of a loop.

    Raises:
        TooLarge: it is one too many.
    """
    budget = getattr(_of_thread, "budget", None)
    if budget is None:
        return
    budget.steps += 1
    name = "captured_steps" if torch.compiler.is_exporting() else "steps"
    most = getattr(LIMITS, name)
    if budget.steps > most:
        raise TooLarge(
            f"the model runs more than {most} nodes, loops counted turn by turn; the limit is {WHERE}.{name}"
        )
