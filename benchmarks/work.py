"""What one call of a network has to do, whoever does it: arithmetic, and weights to read."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

# They read a few rows of their table, which says nothing about the bytes a call has to read.
_LOOK_UPS = (torch.ops.aten.embedding, torch.ops.aten.index_select)


@dataclass(frozen=True)
class Work:
    """Of one call: FLOPs of its convolutions and matrix products (a multiply-add is two), and the bytes of the
    parameters that are read in whole."""

    flops: int
    weight_bytes: int


class _Reads(TorchDispatchMode):
    """Notes the storages that operators are given."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        if function.overloadpacket not in _LOOK_UPS:
            given = pytree.tree_leaves((args, kwargs))
            self.storages |= {t.untyped_storage().data_ptr() for t in given if isinstance(t, torch.Tensor)}
        return function(*args, **(kwargs or {}))


def count(model: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[Any, Work]:
    """Call `model(*inputs)` in PyTorch; give its result and the work that was."""
    # Attention and recurrent layers in one operator each would not be counted; as matrix products they are.
    recurrent = any(isinstance(module, torch.nn.RNNBase) for module in model.modules())
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            torch.backends.mkldnn.flags(False, allow_tf32=False) if recurrent else nullcontext(),
            sdpa_kernel(SDPBackend.MATH),
            _Reads() as reads,
            FlopCounterMode(display=False) as counter,
        ):
            result = model(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    storages = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in model.parameters()}
    read = sum(size for pointer, size in storages.items() if pointer in reads.storages)
    return result, Work(counter.get_total_flops(), read)
