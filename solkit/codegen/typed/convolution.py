"""Convolutions of one, two and three dimensions, transposed ones too, of any dtype.

A task sums up a run of pixels of a row, for several output channels at once, so that each pixel it reads counts several
times. The loop over the run is the innermost one: a tap of the window meets a part of it without a test.
"""

from math import prod

from solkit.codegen.kernel import plus, times
from solkit.codegen.typed.call import Call, per_dim
from solkit.codegen.typed.functions import add, mul
from solkit.codegen.typed.loops import TypedKernel, indices, tasks
from solkit.codegen.typed.numbers import number
from solkit.ir import contiguous

BLOCK = 64  # pixels of a run
TILE = 4  # output channels at once, at most


class _Convolution:
    """One call: sizes, and the lines of its kernel. An image without a batch is a batch of one."""

    def __init__(self, call: Call) -> None:
        self.call, self.kernel, self.out = call, TypedKernel(), call.output
        self.x, self.weight = call.tensor("input"), call.tensor("weight")
        self.kind = number(self.out.type.dtype)
        Call.need(self.x.type.dtype == self.weight.type.dtype == self.out.type.dtype and not self.kind.is_bool)
        self.window = self.weight.shape[2:]
        self.rank = len(self.window)
        self.transposed = "transpose" in call.name or bool(call.get("transposed", False))
        self.stride, self.dilation = (per_dim(call[name], self.rank) for name in ("stride", "dilation"))
        self.padding = self._padding(call["padding"])
        whole = (1,) * (self.rank + 2 - len(self.x.shape))
        self.images, self.channels, *self.extent = (*whole, *self.x.shape)
        _, outputs, *self.rows, self.width = (*whole, *self.out.shape)
        self.groups = call["groups"]
        self.reads, self.gives = self.channels // self.groups, outputs // self.groups  # channels of a group
        self.tile = next(count for count in range(TILE, 0, -1) if self.gives % count == 0)

    def _padding(self, given: str | int | list[int]) -> list[int]:
        if given == "same":  # an even window pads one more behind
            return [d * (k - 1) // 2 for d, k in zip(self.dilation, self.window, strict=True)]
        return [0] * self.rank if given == "valid" else per_dim(given, self.rank)

    def emit(self) -> TypedKernel:
        k, kind, call = self.kernel, self.kind, self.call
        source, factors, target = k.read(self.x), k.read(self.weight), k.write(self.out)
        bias = None if call.get("bias") is None else k.read(call["bias"])
        over = (self.images, self.groups, self.gives // self.tile, *self.rows, -(-self.width // BLOCK))
        plane = prod(self.rows) * self.width
        own = contiguous((self.images, self.groups, self.gives, *self.rows, self.width))
        places = [*own[:2], own[2] * self.tile, *own[3:-1], 0]
        cost = min(self.width, BLOCK) * self.tile * self.reads * prod(self.window)
        with tasks(k, over, {**indices(over), "y": places}, cost=cost) as at:
            n, g, o, *p, block = (at[f"d{axis}"] for axis in range(len(over)))
            k.line(f"const int64_t n = {n}, g = {g}, o = {times(f'({o})', self.tile)}, first = ({block}) * {BLOCK};")
            k.line(f"const int64_t count = sol_min({BLOCK}, {self.width} - first);")
            for t in range(self.tile):
                start = "0" if bias is None else kind.at(bias, plus(times("g", self.gives), "o", t))
                k.line(f"{kind.value} sum{t}[{BLOCK}];")
                k.line(f"for (int64_t j = 0; j < count; j++) sum{t}[j] = {start};")
            k.open(f"for (int64_t c = 0; c < {self.reads}; c++)")
            image = f"(n * {self.channels} + g * {self.reads} + c) * {prod(self.extent)}"
            k.line(f"const int64_t image = {image};")
            line = plus("image", *self._outer_taps(p))
            self._weights(factors)
            self._run(source, line)
            for _ in range(self.rank + 1):
                k.close()
            for t in range(self.tile):
                place = plus(at["y"], "first + j", t * plane)
                k.line(f"for (int64_t j = 0; j < count; j++) {kind.put(target, place, f'sum{t}[j]')}")
        return k

    def _outer_taps(self, p: list[str]) -> list[str]:
        """Open the loops over the window, leaving out rows beside the image; terms of where the row is."""
        k, steps = self.kernel, contiguous(tuple(self.extent))
        for axis in range(self.rank):
            k.open(f"for (int64_t k{axis} = 0; k{axis} < {self.window[axis]}; k{axis}++)")
            if axis == self.rank - 1:
                break
            stride, padding, moved = self.stride[axis], self.padding[axis], f"k{axis} * {self.dilation[axis]}"
            if self.transposed:
                k.line(f"int64_t q{axis} = ({p[axis]}) + {padding} - {moved};")
                k.line(f"if (q{axis} < 0 || q{axis} % {stride}) continue;")
                k.line(f"q{axis} /= {stride};")
            else:
                k.line(f"const int64_t q{axis} = ({p[axis]}) * {stride} - {padding} + {moved};")
            k.line(f"if (q{axis} < 0 || q{axis} >= {self.extent[axis]}) continue;")
        return [times(f"q{axis}", steps[axis]) for axis in range(self.rank - 1)]

    def _weights(self, factors: str) -> None:
        size = prod(self.window)
        tap = plus(*(times(f"k{axis}", step) for axis, step in enumerate(contiguous(tuple(self.window)))))
        for t in range(self.tile):
            output = plus("o", t)
            if self.transposed:
                plane = f"((g * {self.reads} + c) * {self.gives} + {output})"
            else:
                plane = f"((g * {self.gives} + {output}) * {self.reads} + c)"
            self.kernel.line(f"const {self.kind.value} w{t} = {self.kind.at(factors, plus(f'{plane} * {size}', tap))};")

    def _run(self, source: str, line: str) -> None:
        """One tap times the run of pixels: those that it meets inside of the image."""
        k, kind, stride, size = self.kernel, self.kind, self.stride[-1], self.extent[-1]
        moved = f"k{self.rank - 1} * {self.dilation[-1]}"
        if self.transposed:
            # Pixel (q + j) / stride of the image, where that is whole.
            k.line(f"const int64_t q = first + {self.padding[-1]} - {moved};")
            k.line(f"const int64_t begin = q < 0 ? -q : ({stride} - q % {stride}) % {stride};")
            k.line(f"const int64_t end = sol_min(count, {size * stride} - q), from = {line} + (q + begin) / {stride};")
            pixel, loop = "from + i", f"for (int64_t i = 0, j = begin; j < end; i++, j += {stride})"
        else:
            k.line(f"const int64_t q = {times('first', stride)} - {self.padding[-1]} + {moved};")
            k.line(f"const int64_t begin = q < 0 ? SOL_CEIL(-q, {stride}) : 0;")
            k.line(f"const int64_t end = q < {size} ? sol_min(count, ({size} - 1 - q) / {stride} + 1) : 0;")
            k.line(f"const int64_t from = {line} + q;")
            pixel, loop = f"from + {times('j', stride)}", "for (int64_t j = begin; j < end; j++)"
        k.open(loop)
        k.line(f"const {kind.value} v = {kind.at(source, pixel)};")
        for t in range(self.tile):
            k.line(f"sum{t}[j] = {add(kind, f'sum{t}[j]', mul(kind, 'v', f'w{t}'))};")
        k.close()


def _convolution(call: Call) -> TypedKernel:
    return _Convolution(call).emit()


CONVOLUTIONS = {
    **{f"aten.conv{rank}d.{variant}": _convolution for rank in (1, 2, 3) for variant in ("default", "padding")},
    "aten.conv_transpose1d.default": _convolution,
    "aten.conv_transpose2d.input": _convolution,
    "aten.conv_transpose3d.input": _convolution,
    "aten.convolution.default": _convolution,
}
