"""Images sampled at the points of a grid: `grid_sample` of planes and volumes, in all its modes."""

import itertools
from math import prod

from solkit.codegen.kernel import plus, times
from solkit.codegen.typed.call import Call
from solkit.codegen.typed.loops import TypedKernel, tasks
from solkit.codegen.typed.numbers import Number, number
from solkit.ir import contiguous

BILINEAR, NEAREST, BICUBIC = range(3)
ZEROS, BORDER, REFLECTION = range(3)


class _Grid:
    """One call. The grid [N, *points, rank] holds coordinates from -1 to 1, the last dimension of the image first."""

    def __init__(self, call: Call) -> None:
        self.call, self.kernel = call, TypedKernel()
        self.x, self.grid = call.tensor("input"), call.tensor("grid")
        self.mode, self.padding, self.aligned = (
            call["interpolation_mode"],
            call["padding_mode"],
            call["align_corners"],
        )
        self.kind = number(self.x.type.dtype)
        Call.need(self.kind.floating and self.grid.type.dtype == self.x.type.dtype and self.x.type.size > 0)
        self.images, self.channels, *self.extent = self.x.shape
        self.rank = len(self.extent)

    def emit(self) -> TypedKernel:
        k, kind, points = self.kernel, self.kind, prod(self.grid.shape[1:-1])
        source, places, target = k.read(self.x), k.read(self.grid), k.write(self.call.output)
        size = prod(self.extent)
        walk = {
            "grid": (points * self.rank, self.rank),
            "image": (self.channels * size, 0),
            "y": (self.channels * points, 1),
        }
        cost = self.channels * 4**self.rank + 20
        with tasks(k, (self.images, points), walk, cost=cost) as at:
            for axis in range(self.rank):
                place = plus(at["grid"], self.rank - 1 - axis)
                k.line(f"const {kind.value} g{axis} = {kind.at(places, place)};")
                self._coordinate(axis)
            k.open(f"for (int64_t c = 0; c < {self.channels}; c++)")
            k.line(f"const int64_t plane = {at['image']} + c * {size};")
            k.line(f"{kind.value} sum = 0;")
            taps = [self._taps(axis) for axis in range(self.rank)]
            for tap in itertools.product(*taps):
                self._add(source, tap)
            k.line(kind.put(target, f"{at['y']} + c * {points}", "sum"))
            k.close()
        return k

    def _coordinate(self, axis: int) -> None:
        """p: where the point lies among the pixels; b: the first of the pixels it is made of; t: how far it is beyond
        that."""
        k, kind, size = self.kernel, self.kind, self.extent[axis]
        half = kind.literal(0.5)
        if self.aligned:
            k.line(f"{kind.value} p{axis} = (g{axis} + 1) * {half} * {size - 1};")
        else:
            k.line(f"{kind.value} p{axis} = ((g{axis} + 1) * {size} - 1) * {half};")
        if self.mode != BICUBIC:
            k.line(f"p{axis} = {self._bounded(f'p{axis}', axis)};")
        if self.mode == NEAREST:
            k.line(f"p{axis} = {kind.function('rint')}(p{axis});")
        k.line(f"const {kind.value} b{axis} = {kind.function('floor')}(p{axis}), t{axis} = p{axis} - b{axis};")

    def _bounded(self, p: str, axis: int) -> str:
        """A coordinate inside of the image, as the padding has it."""
        size = self.extent[axis]
        if self.padding == ZEROS:
            return p
        if self.padding == REFLECTION:
            low, span = ("0", size - 1) if self.aligned else (self.kind.literal(-0.5), size)
            p = f"sol_reflect_{'d' if self.kind.value == 'double' else 'f'}({p}, {low}, {span})"
        return f"sol_between_{'d' if self.kind.value == 'double' else 'f'}({p}, {size - 1})"

    def _taps(self, axis: int) -> list[tuple[str, str]]:
        """(pixel, weight) of what a coordinate is made of."""
        b, t = f"b{axis}", f"t{axis}"
        if self.mode == NEAREST:
            return [(b, "1")]
        if self.mode == BILINEAR:
            return [(b, f"(1 - {t})"), (f"({b} + 1)", t)]
        return [(f"({b} + {step})", weight) for step, weight in zip(range(-1, 3), _cubic(self.kind, t), strict=True)]

    def _add(self, source: str, tap: tuple[tuple[str, str], ...]) -> None:
        k, kind, steps = self.kernel, self.kind, contiguous(tuple(self.extent))
        k.line("{")
        inside, terms = [], ["plane"]
        for axis, (pixel, _) in enumerate(tap):
            text = self._bounded(pixel, axis) if self.mode == BICUBIC else pixel
            k.line(f"    const {kind.value} q{axis} = {text};")
            inside.append(f"q{axis} >= 0 && q{axis} < {self.extent[axis]}")  # false for NaN
            terms.append(times(f"(int64_t)q{axis}", steps[axis]))
        weight = " * ".join(weight for _, weight in tap)
        k.line(f"    if ({' && '.join(inside)}) sum += {kind.at(source, plus(*terms))} * {weight};")
        k.line("}")


def _cubic(n: Number, t: str) -> list[str]:
    """Weights of the four pixels around a point that is `t` behind the second (Keys 1981, with a = -0.75)."""

    def near(d: str) -> str:
        return f"(({n.literal(1.25)} * {d} - {n.literal(2.25)}) * {d} * {d} + 1)"

    def far(d: str) -> str:
        terms = (n.literal(-0.75), n.literal(3.75), n.literal(6.0), n.literal(3.0))
        return f"((({terms[0]} * {d} + {terms[1]}) * {d} - {terms[2]}) * {d} + {terms[3]})"

    return [far(f"({t} + 1)"), near(t), near(f"(1 - {t})"), far(f"(2 - {t})")]


GRIDS = {
    f"aten.{name}.default": lambda call: _Grid(call).emit()
    for name in ("grid_sampler", "grid_sampler_2d", "grid_sampler_3d")
}
