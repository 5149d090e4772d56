"""Numbers of each dtype in C: how they lie in memory, what they are computed as, and the way from one to another."""

import functools
import math
from dataclasses import dataclass

import torch

from solkit.codegen.typed.call import Unsupported

_STORAGE = {
    torch.float32: "float",
    torch.float64: "double",
    torch.float16: "uint16_t",
    torch.bfloat16: "uint16_t",
    torch.bool: "uint8_t",
    torch.uint8: "uint8_t",
    torch.int8: "int8_t",
    torch.int16: "int16_t",
    torch.int32: "int32_t",
    torch.int64: "int64_t",
    torch.uint16: "uint16_t",
    torch.uint32: "uint32_t",
    torch.uint64: "uint64_t",
}
HALVES = {torch.float16: "float16", torch.bfloat16: "bfloat16"}


@dataclass(frozen=True)
class Number:
    """One dtype in C.

    Attributes:
        dtype: as PyTorch has it.
        storage: the C type of an element in memory.
        value: the C type it is computed with: float for half precision, else that of the element.
    """

    dtype: torch.dtype
    storage: str
    value: str

    @property
    def floating(self) -> bool:
        return self.dtype.is_floating_point

    @property
    def is_bool(self) -> bool:
        return self.dtype == torch.bool

    @property
    def signed(self) -> bool:
        return self.floating or self.storage.startswith("int")

    @property
    def bits(self) -> int:
        return 8 * self.dtype.itemsize

    @property
    def wide(self) -> str:
        """The unsigned C type in which whole numbers of this type are added and multiplied, so that they wrap."""
        return "uint64_t" if self.bits == 64 else "uint32_t"

    def at(self, pointer: str, position: str) -> str:
        """The value of the element at a position in memory."""
        return self.load(f"{pointer}[{position}]")

    def put(self, pointer: str, position: str, value: str) -> str:
        """The statement that writes a value of this type there."""
        return f"{pointer}[{position}] = {self.store(value)};"

    def load(self, element: str) -> str:
        """The value of an element of memory."""
        return f"sol_from_{HALVES[self.dtype]}({element})" if self.dtype in HALVES else element

    def store(self, value: str) -> str:
        """What to write to memory for a value of this type."""
        return f"sol_to_{HALVES[self.dtype]}({value})" if self.dtype in HALVES else value

    def rounded(self, value: str) -> str:
        """A value, computed with more digits than the type has, as one of the type: what a store and a load make."""
        return self.load(self.store(value))

    def function(self, name: str) -> str:
        """The C function of this name for a floating-point type: sinf or sin, as a builtin that needs no header."""
        return f"__builtin_{name}{'' if self.value == 'double' else 'f'}"

    def helper(self, name: str) -> str:
        """A function of typed.h for a floating-point type."""
        return f"sol_{name}_{'d' if self.value == 'double' else 'f'}"

    def literal(self, number: float) -> str:
        """A Python number as a C constant of the value type."""
        if self.is_bool:
            return "1" if number else "0"
        if self.floating:
            return _floating_literal(float(number), "" if self.value == "double" else "f")
        whole = _wrapped(int(number), self.bits, self.signed)
        if whole == -(1 << 63):
            return "INT64_MIN"
        suffix = ("" if self.signed else "u") + ("ll" if self.bits == 64 else "")
        return f"({self.value}){whole}{suffix}" if whole >= 0 else f"({self.value})({whole}{suffix})"

    def least(self) -> str:
        """The identity of `maximum`: below or equal to all."""
        return self._bound(-1)

    def most(self) -> str:
        """The identity of `minimum`."""
        return self._bound(1)

    def _bound(self, sign: int) -> str:
        if self.floating:
            return self.literal(sign * math.inf)
        if self.is_bool:
            return self.literal(sign > 0)
        info = torch.iinfo(self.dtype)
        return self.literal(info.max if sign > 0 else info.min)

    def convert(self, value: str, source: "Number") -> str:
        """A value of `source` as one of this type, the way `Tensor.to` does it."""
        if source.dtype == self.dtype:
            return value
        if self.is_bool:
            return f"({value} != 0)"
        if self.floating:
            plain = value if source.value == self.value else f"({self.value})({value})"
            return self.rounded(plain) if self.dtype in HALVES else plain
        if not source.floating:
            return f"({self.value})({value})"
        if self.dtype == torch.uint64:
            return f"sol_to_uint64({value})"
        middle = "int64" if self.bits == 64 or not self.signed else "int32"
        whole = f"sol_to_{middle}({value})"
        return whole if self.value == f"{middle}_t" else f"({self.value}){whole}"


def _floating_literal(number: float, suffix: str) -> str:
    if math.isnan(number):
        return f'__builtin_nan{suffix}("")'
    if math.isinf(number) or (suffix and abs(number) > 3.4028235677973366e38):
        return f"{'-' if number < 0 else ''}__builtin_inf{suffix}()"
    return f"({number!r}{suffix})" if math.copysign(1, number) < 0 else f"{number!r}{suffix}"


def _wrapped(whole: int, bits: int, signed: bool) -> int:
    whole &= (1 << bits) - 1
    return whole - (1 << bits) if signed and whole >> (bits - 1) else whole


@functools.cache
def number(dtype: torch.dtype) -> Number:
    """How numbers of `dtype` are said in C.

    Raises:
        Unsupported: there is no such number in C (complex, quantized, 8-bit floating point).
    """
    storage = _STORAGE.get(dtype)
    if storage is None:
        raise Unsupported(f"{dtype} has no form in C")
    return Number(dtype, storage, "float" if dtype in HALVES else storage)


INDEX = number(torch.int64)
