"""What a value is (shape with named dimensions, dtype) and how it lies in memory (layout)."""

from dataclasses import dataclass
from math import prod

import torch

# By rank, as the deep-learning field names them: batch, channels, depth, height, width, tokens, features.
_NAMES = {0: "", 1: "F", 2: "NF", 3: "NTF", 4: "NCHW", 5: "NCDHW"}


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a contiguous tensor."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


@dataclass(frozen=True)
class TensorType:
    """Shape and dtype. Dimensions have names, for people: N=1, C=64, H=56, W=56."""

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32

    @property
    def names(self) -> tuple[str, ...]:
        rank = len(self.shape)
        return tuple(_NAMES[rank]) if rank in _NAMES else tuple(f"d{i}" for i in range(rank))

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __str__(self) -> str:
        dims = ", ".join(f"{name}={size}" for name, size in zip(self.names, self.shape, strict=True))
        dtype = "" if self.dtype == torch.float32 else f" {str(self.dtype).removeprefix('torch.')}"
        return f"[{dims}]{dtype}"


@dataclass(frozen=True)
class Layout:
    """How an [N, C, H, W] value lies in memory.

    blocked: False is row-major NCHW; True is [N, ceil(C / VLEN), H, W, VLEN], the layout in which every operator that
        treats pixels alike works on whole vectors of channels, whatever the vector length.
    halo: (rows, columns) of zeros kept around each plane, so that a padded convolution has no borders to test for.
    """

    blocked: bool = False
    halo: tuple[int, int] = (0, 0)

    def elements(self, shape: tuple[int, ...], vector_length: int) -> int:
        """float32 elements a value of `shape` occupies."""
        if self == PLAIN:
            return prod(shape)
        batch, channels, height, width = shape
        plane = (height + 2 * self.halo[0]) * (width + 2 * self.halo[1])
        lanes = -(-channels // vector_length) * vector_length if self.blocked else channels
        return batch * lanes * plane

    def __str__(self) -> str:
        text = "NCHWc" if self.blocked else "plain"
        return text if self.halo == (0, 0) else f"{text} halo {self.halo[0]}x{self.halo[1]}"


PLAIN = Layout()
BLOCKED = Layout(blocked=True)
