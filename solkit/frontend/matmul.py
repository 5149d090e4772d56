"""Matrix products: by a weight they are `linear`, by anything else `matmul`."""

from typing import TYPE_CHECKING, Any

from torch.fx import Node as FxNode

from solkit.frontend.rows import Builder
from solkit.ir import Value

if TYPE_CHECKING:
    from solkit.frontend.torch import _Importer


def _product(importer: "_Importer", build: Builder, a: Value, b: Value) -> Value:
    """a @ b, as torch.matmul has it."""
    if len(a.shape) == 1 and len(b.shape) == 1:
        return build.reshape(_product(importer, build, build.reshape(a, 1, *a.shape), build.reshape(b, *b.shape, 1)))
    if len(a.shape) == 1:
        made = _product(importer, build, build.reshape(a, 1, *a.shape), b)
        return build.reshape(made, *made.shape[:-2], made.shape[-1])
    if len(b.shape) == 1:
        made = _product(importer, build, a, build.reshape(b, *b.shape, 1))
        return build.reshape(made, *made.shape[:-1])
    if len(b.shape) == 2 and importer.are_weights([b]) and not importer.are_weights([a]):
        return build.node("linear", a, build.permute(b, [1, 0]))
    return build.node("matmul", a, b)


def _matmul(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value:
    left, right, *_ = (importer._value(arg) for arg in fx.args[:2])
    return _product(importer, Builder(importer, fx), left, right)


def _addmm(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value:
    """beta * input + alpha * (a @ b)"""
    build = Builder(importer, fx)
    bias, left, right = (importer._value(arg) for arg in fx.args[:3])
    plain = a["alpha"] == a["beta"] == 1
    if plain and len(bias.shape) == 1 and bias.shape[0] == right.shape[-1] and importer.are_weights([bias, right]):
        return build.node("linear", left, build.permute(right, [1, 0]), bias)
    made = _product(importer, build, left, right)
    if a["alpha"] != 1:
        made = build.node("mul", made, a["alpha"])
    if a["beta"] != 1:
        bias = build.node("mul", bias, a["beta"])
    return build.node("add", made, bias)


def _linear(importer: "_Importer", fx: FxNode, a: dict[str, Any]) -> Value:
    build = Builder(importer, fx)
    x, weight = importer._value(a["input"]), importer._value(a["weight"])
    bias = [] if a["bias"] is None else [importer._value(a["bias"])]
    if importer.are_weights([weight, *bias]) and len(weight.shape) == 2:
        return build.node("linear", x, weight, *bias)
    turned = build.permute(weight, list(range(len(weight.shape)))[::-1])
    made = _product(importer, build, x, turned)
    return build.node("add", made, *bias) if bias else made


MATRIX = {
    **dict.fromkeys(("aten.matmul.default", "aten.mm.default", "aten.bmm.default"), _matmul),
    **dict.fromkeys(("aten.addmm.default", "aten.baddbmm.default"), _addmm),
    "aten.linear.default": _linear,
}
