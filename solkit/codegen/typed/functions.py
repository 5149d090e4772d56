"""The element-wise ATen overloads, each with its C expression."""

from collections.abc import Callable

import torch

from solkit.codegen.typed.call import Call
from solkit.codegen.typed.elementwise import FAULT, Function
from solkit.codegen.typed.numbers import Number

# -- arithmetic -----------------------------------------------------------------------------------------------------


def add(n: Number, a: str, b: str) -> str:
    """a + b; of truth values, whether one is true."""
    return f"({a} | {b})" if n.is_bool else _wrapping(n, a, "+", b)


def sub(n: Number, a: str, b: str) -> str:
    """a - b."""
    return _wrapping(n, a, "-", b)


def mul(n: Number, a: str, b: str) -> str:
    """a * b; of truth values, whether both are true."""
    return f"({a} & {b})" if n.is_bool else _wrapping(n, a, "*", b)


def _wrapping(n: Number, a: str, sign: str, b: str) -> str:
    return f"({a} {sign} {b})" if n.floating else f"({n.value})(({n.wide}){a} {sign} ({n.wide}){b})"


def _scaled(n: Number, a: str, call: Call) -> str:
    factor = call.get("alpha", 1)
    return a if factor == 1 else mul(n, a, n.literal(factor))


def _reciprocal(n: Number, a: str, call: Call) -> str:
    return f"(1 / {a})"


def _divided(n: Number, a: str, b: str, call: Call) -> str:
    mode = "floor" if "floor_divide" in call.name else call.get("rounding_mode")
    if mode is None:
        return f"({a} / {b})"
    if n.floating:
        return f"{n.helper('div_floor')}({a}, {b})" if mode == "floor" else f"{n.function('trunc')}({a} / {b})"
    if not n.signed:
        return f"({n.value})sol_div_unsigned({a}, {b}, {FAULT})"
    return f"({n.value})sol_div_{mode}({a}, {b}, {FAULT})"


def _remainder(name: str) -> Callable:
    def text(n: Number, a: str, b: str, call: Call) -> str:
        if n.floating:
            return f"{n.helper('rem_floor')}({a}, {b})" if name == "floor" else f"{n.function('fmod')}({a}, {b})"
        if not n.signed:
            return f"({n.value})sol_rem_unsigned({a}, {b}, {FAULT})"
        return f"({n.value})sol_rem_{name}({a}, {b}, {FAULT})"

    return text


def _power(n: Number, a: str, b: str, call: Call) -> str:
    if n.floating:
        exponent = call["exponent"]
        known = {1: a, 2: f"({a} * {a})", 3: f"({a} * {a} * {a})", 0.5: f"{n.function('sqrt')}({a})"}
        if isinstance(exponent, (int, float)) and exponent in known:
            return known[exponent]
        return f"{n.function('pow')}({a}, {b})"
    if n.is_bool:
        return f"({a} | !{b})"
    return f"({n.value})sol_power{'' if n.signed else '_unsigned'}({a}, {b})"


def maximum(n: Number, a: str, b: str) -> str:
    """The larger one, NaN where either is."""
    return f"({a} > {b} || {a} != {a} ? {a} : {b})" if n.floating else f"({a} > {b} ? {a} : {b})"


def minimum(n: Number, a: str, b: str) -> str:
    """The smaller one, NaN where either is."""
    return f"({a} < {b} || {a} != {a} ? {a} : {b})" if n.floating else f"({a} < {b} ? {a} : {b})"


def _clamp(n: Number, a: str, low: str | None, high: str | None, call: Call) -> str:
    # A limit may be below the other: the upper one wins. A NaN stays.
    if low is not None:
        a = maximum(n, a, low)
    return a if high is None else f"({high} < {a} || {high} != {high} ? {high} : {a})"


def _abs(n: Number, a: str, call: Call) -> str:
    if n.floating:
        return f"{n.function('fabs')}({a})"
    return f"({a} < 0 ? {sub(n, '0', a)} : {a})" if n.signed else a


def _sign(n: Number, a: str, call: Call) -> str:
    return f"({n.value})(({a} > 0) - ({a} < 0))" if n.signed else f"({n.value})({a} > 0)"


def _round(n: Number, a: str, call: Call) -> str:
    if not n.floating:
        return a
    digits, rint = call.get("decimals", 0), n.function("rint")
    if not digits:
        return f"{rint}({a})"
    scale = n.literal(10.0 ** abs(digits))
    return f"({rint}({a} * {scale}) / {scale})" if digits > 0 else f"({rint}({a} / {scale}) * {scale})"


def _whole(name: str) -> Callable:
    return lambda n, a, call: f"{n.function(name)}({a})" if n.floating else a


def _lerp(n: Number, a: str, b: str, weight: str, call: Call) -> str:
    near = f"{a} + {weight} * ({b} - {a})"
    return f"({n.function('fabs')}({weight}) < 0.5 ? {near} : {b} - ({b} - {a}) * (1 - {weight}))"


def _addc(sign: str) -> Callable:
    def text(n: Number, a: str, b: str, c: str, call: Call) -> str:
        Call.need(n.floating)
        return f"({a} + {n.literal(call.get('value', 1))} * {b} {sign} {c})"

    return text


def _xlogy(n: Number, a: str, b: str, call: Call) -> str:
    return f"({b} != {b} ? {b} : {a} == 0 ? 0 : {a} * {n.function('log')}({b}))"


def _nan_to_num(n: Number, a: str, call: Call) -> str:
    if not n.floating:
        return a
    info = torch.finfo(n.dtype)
    nan, top, low = call.get("nan", 0.0), call.get("posinf", info.max), call.get("neginf", info.min)
    inf = n.literal(float("inf"))
    return f"({a} != {a} ? {n.literal(nan)} : {a} == {inf} ? {n.literal(top)} : {a} == -{inf} ? {n.literal(low)} : {a})"


# -- bits -----------------------------------------------------------------------------------------------------------


def _bits(sign: str) -> Callable:
    return lambda n, a, b, call: Call.need(not n.floating, f"({n.value})({a} {sign} {b})")


def _not(n: Number, a: str, call: Call) -> str:
    return f"!{a}" if n.is_bool else Call.need(not n.floating, f"({n.value})~{a}")


def _left(n: Number, a: str, b: str, call: Call) -> str:
    Call.need(not n.floating)
    below = f"{b} < 0 || " if n.signed else ""
    return f"({below}{b} >= {n.bits} ? 0 : ({n.value})(({n.wide}){a} << {b}))"


def _right(n: Number, a: str, b: str, call: Call) -> str:
    Call.need(not n.floating)
    if not n.signed:
        return f"({b} >= {n.bits} ? 0 : ({n.value})({a} >> {b}))"
    return f"({n.value})({a} >> ({b} < 0 || {b} >= {n.bits} ? {n.bits - 1} : {b}))"


# -- activations ----------------------------------------------------------------------------------------------------


def _relu(n: Number, a: str, call: Call) -> str:
    return maximum(n, a, "0")


def _between(low: Callable[[Call], float], high: Callable[[Call], float]) -> Callable:
    return lambda n, a, call: _clamp(n, a, n.literal(low(call)), n.literal(high(call)), call)


def _leaky(n: Number, a: str, call: Call) -> str:
    return f"({a} > 0 ? {a} : {a} * {n.literal(call['negative_slope'])})"


def exponential_unit(n: Number, a: str, alpha: float, scale: float, inner: float) -> str:
    """scale * x where x is positive, else scale * alpha * (e^(inner x) - 1)."""
    low = f"{n.function('expm1')}({a} * {n.literal(inner)}) * {n.literal(alpha * scale)}"
    return f"({a} > 0 ? {a} * {n.literal(scale)} : {low})"


def _softplus(n: Number, a: str, call: Call) -> str:
    beta, threshold = n.literal(call.get("beta", 1)), n.literal(call.get("threshold", 20))
    soft = f"{n.function('log1p')}({n.function('exp')}({a} * {beta})) / {beta}"
    return f"({a} * {beta} > {threshold} ? {a} : {soft})"


def _gelu(n: Number, a: str, call: Call) -> str:
    if call.get("approximate", "none") == "tanh":
        cubic = f"{n.literal(0.7978845608028654)} * ({a} + {n.literal(0.044715)} * {a} * {a} * {a})"
        return f"({n.literal(0.5)} * {a} * (1 + {n.function('tanh')}({cubic})))"
    return f"({n.literal(0.5)} * {a} * (1 + {n.function('erf')}({a} * {n.literal(0.7071067811865476)})))"


def _hard_sigmoid(n: Number, a: str) -> str:
    return f"({_clamp(n, f'({a} + 3)', n.literal(0), n.literal(6), None)} / 6)"


def _logit(n: Number, a: str, call: Call) -> str:
    if call.get("eps") is not None:
        a = _clamp(n, a, n.literal(call["eps"]), n.literal(1 - call["eps"]), call)
    return f"{n.function('log')}({a} / (1 - {a}))"


# -- the table ------------------------------------------------------------------------------------------------------

FUNCTIONS: dict[str, Function] = {}


def _add(function: Function, *overloads: str) -> None:
    FUNCTIONS.update((f"aten.{overload}", function) for overload in overloads)


def _unary(text: Callable, *names: str) -> None:
    _add(Function(("self",), text), *(f"{name}.default" for name in names))


def _binary(text: Callable, *names: str, variants: tuple[str, ...] = ("Tensor", "Scalar")) -> None:
    _add(Function(("self", "other"), text), *(f"{name}.{variant}" for name in names for variant in variants))


def _predicate(text: Callable, *overloads: str, operands: tuple[str, ...] = ("self", "other")) -> None:
    _add(Function(operands, text, result=False, predicate=True), *overloads)


_binary(lambda n, a, b, call: add(n, a, _scaled(n, b, call)), "add")
_binary(lambda n, a, b, call: sub(n, a, _scaled(n, b, call)), "sub", "subtract")
_binary(lambda n, a, b, call: sub(n, b, _scaled(n, a, call)), "rsub")
_binary(lambda n, a, b, call: mul(n, a, b), "mul", "multiply")
_binary(_divided, "div", variants=("Tensor", "Scalar", "Tensor_mode", "Scalar_mode"))
_binary(_divided, "floor_divide", variants=("default", "Scalar"))
_binary(_remainder("floor"), "remainder", variants=("Tensor", "Scalar", "Scalar_Tensor"))
_binary(_remainder("trunc"), "fmod")
_binary(lambda n, a, b, call: maximum(n, a, b), "maximum", variants=("default",))
_binary(lambda n, a, b, call: minimum(n, a, b), "minimum", variants=("default",))
_binary(lambda n, a, b, call: maximum(n, a, b), "max", variants=("other",))
_binary(lambda n, a, b, call: minimum(n, a, b), "min", variants=("other",))
_binary(lambda n, a, b, call: f"({a} >= {b} || {b} != {b} ? {a} : {b})", "fmax", variants=("default",))
_binary(lambda n, a, b, call: f"({a} <= {b} || {b} != {b} ? {a} : {b})", "fmin", variants=("default",))
_binary(lambda n, a, b, call: f"{n.function('atan2')}({a}, {b})", "atan2", variants=("default",))
_binary(lambda n, a, b, call: f"{n.function('hypot')}({a}, {b})", "hypot", variants=("default",))
_binary(lambda n, a, b, call: f"{n.function('copysign')}({a}, {b})", "copysign")
_binary(lambda n, a, b, call: f"{n.helper('log_add_exp')}({a}, {b})", "logaddexp", variants=("default",))
_binary(_xlogy, "xlogy", variants=("Tensor", "Scalar_Self", "Scalar_Other"))
_add(Function(("self", "exponent"), _power), "pow.Tensor_Tensor", "pow.Tensor_Scalar", "pow.Scalar")
_add(Function(("self", "min", "max"), _clamp), "clamp.default", "clamp.Tensor")
_add(Function(("self", "min"), lambda n, a, b, call: maximum(n, a, b)), "clamp_min.default", "clamp_min.Tensor")
_add(Function(("self", "max"), lambda n, a, b, call: minimum(n, a, b)), "clamp_max.default", "clamp_max.Tensor")
_add(Function(("self", "end", "weight"), _lerp), "lerp.Tensor", "lerp.Scalar")
_add(Function(("self", "tensor1", "tensor2"), _addc("*")), "addcmul.default")
_add(Function(("self", "tensor1", "tensor2"), _addc("/")), "addcdiv.default")

_unary(lambda n, a, call: sub(n, "0", a) if not n.floating else f"(-{a})", "neg")
_unary(_abs, "abs")
_unary(_sign, "sign", "sgn")
_unary(_reciprocal, "reciprocal")
_unary(lambda n, a, call: f"(1 / {n.function('sqrt')}({a}))", "rsqrt")
_unary(lambda n, a, call: mul(n, a, a), "square")
_unary(lambda n, a, call: f"({a} - {n.function('trunc')}({a}))", "frac")
_unary(_nan_to_num, "nan_to_num")
_add(Function(("self",), _round), "round.default", "round.decimals")
for _name in ("floor", "ceil", "trunc"):
    _unary(_whole(_name), _name)
for _name in (
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "erf", "erfc", "lgamma"),
):
    _unary(lambda n, a, call, name=_name: f"{n.function(name)}({a})", _name)

_unary(_relu, "relu")
_unary(lambda n, a, call: f"{n.helper('sigmoid')}({a})", "sigmoid")
_unary(lambda n, a, call: f"({a} * {n.helper('sigmoid')}({a}))", "silu")
_unary(lambda n, a, call: f"({a} * {n.function('tanh')}({n.helper('softplus')}({a})))", "mish")
_unary(lambda n, a, call: f"(-{n.helper('softplus')}(-{a}))", "log_sigmoid")
_unary(_softplus, "softplus")
_unary(_gelu, "gelu")
_unary(_logit, "logit")
_unary(lambda n, a, call: _hard_sigmoid(n, a), "hardsigmoid")
_unary(lambda n, a, call: f"({a} * {_hard_sigmoid(n, a)})", "hardswish")
_unary(_leaky, "leaky_relu")
_unary(lambda n, a, call: exponential_unit(n, a, call["alpha"], call["scale"], call["input_scale"]), "elu")
_unary(lambda n, a, call: exponential_unit(n, a, call["alpha"], 1.0, 1.0 / call["alpha"]), "celu")
_unary(lambda n, a, call: exponential_unit(n, a, 1.6732632423543772, 1.0507009873554805, 1.0), "selu")
_unary(_between(lambda call: call["min_val"], lambda call: call["max_val"]), "hardtanh")
_unary(_between(lambda call: 0, lambda call: 6), "relu6")
_unary(
    lambda n, a, call: f"({a} <= {n.literal(call['threshold'])} ? {n.literal(call['value'])} : {a})",
    "threshold",
)
_unary(
    lambda n, a, call: f"({a} >= {n.literal(-call['lambd'])} && {a} <= {n.literal(call['lambd'])} ? 0 : {a})",
    "hardshrink",
)
_unary(
    lambda n, a, call: (
        f"({a} > {n.literal(call['lambd'])} ? {a} - {n.literal(call['lambd'])} : "
        f"{a} < {n.literal(-call['lambd'])} ? {a} + {n.literal(call['lambd'])} : {a} != {a} ? {a} : 0)"
    ),
    "softshrink",
)

for _name, _sign_text in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}.items():
    _predicate(lambda n, a, b, call, s=_sign_text: f"({a} {s} {b})", f"{_name}.Tensor", f"{_name}.Scalar")
_predicate(lambda n, a, call: f"({a} != {a})" if n.floating else "0", "isnan.default", operands=("self",))
for _name, _test in {
    "isinf": "__builtin_fabs({a}) == __builtin_inf()",
    "isfinite": "{a} - {a} == 0",
    "isposinf": "{a} == __builtin_inf()",
    "isneginf": "{a} == -__builtin_inf()",
    "signbit": "__builtin_signbit({a}) != 0",
}.items():
    _predicate(
        lambda n, a, call, name=_name, test=_test: (
            f"({test.format(a=a)})"
            if n.floating
            else "1"
            if name == "isfinite"
            else f"({a} < 0)"
            if name == "signbit"
            else "0"
        ),
        f"{_name}.default",
        operands=("self",),
    )

_both = ("self", "other")
for _name, _sign_text in {"logical_and": "&", "logical_or": "|", "logical_xor": "^"}.items():
    _add(Function(_both, _bits(_sign_text), truths=_both), f"{_name}.default")
_add(Function(("self",), lambda n, a, call: f"!{a}", truths=("self",)), "logical_not.default")
for _name, _sign_text in {"and": "&", "or": "|", "xor": "^"}.items():
    _binary(_bits(_sign_text), f"bitwise_{_name}", variants=("Tensor", "Scalar", "Scalar_Tensor"))
    _binary(_bits(_sign_text), f"__{_name}__")
_unary(_not, "bitwise_not")
for _text, _side in ((_left, "left"), (_right, "right")):
    _binary(_text, f"__{_side[0]}shift__")
    _binary(_text, f"bitwise_{_side}_shift", variants=("Tensor", "Tensor_Scalar", "Scalar_Tensor"))

_add(
    Function(("condition", "self", "other"), lambda n, c, a, b, call: f"({c} ? {a} : {b})", truths=("condition",)),
    *(f"where.{variant}" for variant in ("self", "Scalar", "ScalarSelf", "ScalarOther")),
)
_add(
    Function(("self", "mask", "value"), lambda n, a, c, b, call: f"({c} ? {b} : {a})", truths=("mask",)),
    "masked_fill.Scalar",
    "masked_fill.Tensor",
)

_copy = Function(("self",), lambda n, a, call: a)
_add(_copy, *(f"to.{variant}" for variant in ("dtype", "dtype_layout", "device", "other")))
_add(_copy, "_to_copy.default", "type_as.default", "clone.default", "contiguous.default", "alias.default")
_add(_copy, "detach.default", "lift_fresh_copy.default", "positive.default")
_add(Function(("input",), lambda n, a, call: Call.need(not call["train"], a)), "dropout.default")
_add(Function(("src",), lambda n, a, call: a), "copy.default")
_add(Function(("value",), lambda n, a, call: a), "fill.Scalar", "fill.Tensor")
