"""Kernels for ATen overloads on tensors of any dtype: half precision, element-wise calls, errors, threads."""

import pytest
import torch
from compare import Each
from dtypes import (
    BF16,
    BOOL,
    F16,
    F32,
    F64,
    FLOATS,
    I8,
    I32,
    I64,
    SIGNED,
    U8,
    WHOLE,
    both,
    check,
    named,
    numbers,
    one,
    same,
)

import solkit as sol
from solkit.codegen.typed import EMITTERS
from solkit.errors import InputError

aten = torch.ops.aten

# -- half precision -------------------------------------------------------------------------------------------------

PATTERNS = torch.arange(-(1 << 15), 1 << 15).to(torch.int16)


@pytest.mark.parametrize("dtype", [F16, BF16])
def test_every_half_is_read_as_pytorch_reads_it(dtype):
    halves = PATTERNS.view(dtype)
    made = sol.optimize(Each({"f": lambda x: x.float()}).eval(), halves)
    assert made.explain().in_pytorch == []
    torch.testing.assert_close(made(halves)["f"], halves.float(), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", [F16, BF16])
def test_floats_are_rounded_to_halves_as_pytorch_does(dtype):
    """Each half, what lies between it and the next, and a little beside that."""
    halves = PATTERNS.view(dtype).float()
    bits = halves.view(torch.int32)
    width = 13 if dtype == F16 else 16
    beside = [bits + offset for offset in (0, 1, (1 << (width - 1)) - 1, 1 << (width - 1), (1 << (width - 1)) + 1)]
    floats = torch.cat([item.view(F32) for item in beside])
    made = sol.optimize(Each({"f": lambda x: x.to(dtype)}).eval(), floats)
    assert made.explain().in_pytorch == []
    torch.testing.assert_close(made(floats)["f"], floats.to(dtype), rtol=0, atol=0, equal_nan=True)
    other = floats.double()
    made = sol.optimize(Each({"f": lambda x: x.to(dtype)}).eval(), other)
    torch.testing.assert_close(made(other)["f"], other.to(dtype), rtol=0, atol=0, equal_nan=True)


def test_every_dtype_to_every_other():
    every = (F16, BF16, F32, F64, *WHOLE, BOOL)
    special = torch.tensor([0.0, -0.0, 0.5, -0.5, 1.5, -1.9, 100.7, -100.2, 3.0])
    cases = {}
    for source in every:
        x = special if source.is_floating_point else numbers(source, 9)
        for target in every:
            if source != target and not (source.is_floating_point and target == U8):
                cases[f"{source} {target}"] = (lambda x, to=target: x.to(to), x.to(source))
    cases["no elements"] = (lambda x: x.to(I32), torch.empty(0, 3))
    check(cases)


def test_floats_that_are_too_large_for_whole_numbers():
    x = torch.tensor([1e10, -1e10, 3e9, 1e20, float("inf"), float("-inf"), float("nan"), 2147483647.0, -2147483648.0])
    check({str(d): (lambda x, d=d: x.to(d), x) for d in (I32, I64)})


# -- element-wise ---------------------------------------------------------------------------------------------------


def test_arithmetic():
    check(
        named(
            add=both(lambda a, b: aten.add.Tensor(a, b, alpha=3), (*FLOATS, *WHOLE)),
            sub=both(torch.sub, (*FLOATS, *WHOLE)),
            mul=both(torch.mul, (*FLOATS, *WHOLE, BOOL)),
            either=both(torch.add, (BOOL,)),
            div=both(torch.div, (*FLOATS, I32, U8)),
            maximum=both(torch.maximum, (*FLOATS, *WHOLE, BOOL)),
            minimum=both(torch.minimum, (*FLOATS, *WHOLE, BOOL)),
            rsub=one(lambda a: 2 - a, (*FLOATS, *WHOLE)),
            scalar=one(lambda a: a * 3 + 2, (*FLOATS, *WHOLE)),
            half=one(lambda a: a * 0.5, (*FLOATS, *WHOLE, BOOL)),
            mixed={"int and float": (torch.add, numbers(I64, 3, 4), numbers(F32, 4))},
            kinds={"half and int": (torch.mul, numbers(F16, 3, 4), numbers(I32, 4))},
            wider={"int8 and int64": (torch.add, numbers(I8, 3, 4), numbers(I64, 4))},
        )
    )


def test_division_of_whole_numbers():
    """With the sign of either, and what overflows."""
    a, b = torch.arange(-7, 8).view(-1, 1), torch.tensor([-5, -3, -2, -1, 1, 2, 3, 5])
    functions = {
        "trunc": lambda a, b: torch.div(a, b, rounding_mode="trunc"),
        "floor": lambda a, b: torch.div(a, b, rounding_mode="floor"),
        "remainder": torch.remainder,
        "fmod": torch.fmod,
        "floor_divide": torch.floor_divide,
    }
    check(
        {
            f"{name} {dtype}": (function, a.to(dtype), b.to(dtype))
            for name, function in functions.items()
            for dtype in (F16, F32, F64, *SIGNED)
        }
        | {f"{name} uint8": (function, a.abs().to(U8), b.abs().to(U8)) for name, function in functions.items()}
        | {"scalar": (lambda a: (a % 3, a // 3, a % -3, torch.fmod(a, -3)), a)}
    )


def test_powers_shifts_and_bits():
    bases, exponents = numbers(I64, 3, 4, low=-3, high=4), numbers(I64, 3, 4, seed=1, low=0, high=5)
    small = torch.arange(12).reshape(3, 4)
    check(
        {f"pow {d}": (torch.pow, bases.to(d), exponents.to(d)) for d in (*FLOATS, *SIGNED)}
        | {f"square {d}": (lambda a: a**2, bases.to(d)) for d in (*FLOATS, *WHOLE)}
        | {f"root {d}": (lambda a: a.abs() ** 0.5, bases.to(d)) for d in FLOATS}
        | {f"2 ** {d}": (lambda a: 2**a, exponents.to(d)) for d in (*FLOATS, *WHOLE)}
        | {f"left {d}": (lambda a, b: a << b, small.to(d), exponents.to(d)) for d in WHOLE}
        | {f"right {d}": (lambda a, b: a >> b, numbers(d, 3, 4, low=-100, high=100), small.to(d)) for d in WHOLE}
        | {
            f"{name} {d}": (function, numbers(d, 3, 4), numbers(d, 4, seed=1))
            for name, function in {"and": torch.bitwise_and, "or": torch.bitwise_or, "xor": torch.bitwise_xor}.items()
            for d in (*WHOLE, BOOL)
        }
        | {f"operators {d}": (lambda a, b: (a & b) | (a ^ 1), small.to(d), small.to(d)) for d in WHOLE}
        | {f"not {d}": (torch.bitwise_not, small.to(d)) for d in (*WHOLE, BOOL)}
    )


def test_comparisons_and_logic():
    functions = {n: getattr(torch, n) for n in ("lt", "le", "gt", "ge", "eq", "ne")}
    logic = {n: getattr(torch, n) for n in ("logical_and", "logical_or", "logical_xor")}
    nan = torch.tensor([1.0, float("nan"), float("inf"), -float("inf"), 0.0, -0.0])
    cases = {}
    for name, function in {**functions, **logic}.items():
        cases |= named(**{name: both(function, (F16, F32, F64, I8, I64, U8, BOOL))})
    for name, function in functions.items():
        cases |= named(**{f"{name} 2": one(lambda a, f=function: f(a, 2), (BF16, F32, I32, U8))})
        cases |= named(**{f"{name} 0.5": one(lambda a, f=function: f(a, 0.5), (F64, F32, I32))})
        cases[f"{name} nan"] = (function, nan, nan.flip(0))
    cases |= {f"not {d}": (torch.logical_not, numbers(d, 3, 4)) for d in (F16, F32, I32, BOOL)}
    cases["mixed"] = (torch.lt, numbers(I64, 3, 4), numbers(F32, 4))
    for name in ("isnan", "isinf", "isfinite", "isposinf", "isneginf", "signbit"):
        for dtype in (F16, F32, F64):
            cases[f"{name} {dtype}"] = (getattr(torch, name), nan.to(dtype))
    check(cases)


def test_functions_of_one_number():
    names = (
        *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
        *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "erf", "erfc", "lgamma"),
        *("floor", "ceil", "trunc", "round", "sign", "neg", "abs", "reciprocal", "sigmoid", "frac", "square"),
    )
    cases = {}
    for name in names:
        for dtype in (F16, F32, F64):
            x = torch.tensor([0.3, -0.7, 1.0, 2.5, -3.5, 0.0, 1.5, -0.5], dtype=dtype)
            cases[f"{name} {dtype}"] = (getattr(torch, name), x)
    for name in ("sin", "exp", "sqrt", "floor", "sign", "neg", "abs", "round", "square", "sigmoid", "reciprocal"):
        cases[f"{name} int32"] = (getattr(torch, name), numbers(I32, 3, 4, low=1, high=9))
    for dtype in (F32, F64):
        cases[f"digits {dtype}"] = (lambda a: (torch.round(a, decimals=1), torch.round(a * 100, decimals=-1)),
                                    numbers(dtype, 9))  # fmt: skip
    check(cases)


def test_activations():
    import torch.nn.functional as F

    functions = {
        "relu": F.relu,
        "elu": lambda x: F.elu(x, 0.7),
        "celu": lambda x: F.celu(x, 0.7),
        "selu": F.selu,
        "softplus": lambda x: F.softplus(x, 2.0, 3.0),
        "mish": F.mish,
        "softsign": F.softsign,
        "silu": F.silu,
        "gelu": F.gelu,
        "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
        "hardtanh": lambda x: F.hardtanh(x, -0.5, 0.7),
        "hardsigmoid": F.hardsigmoid,
        "hardswish": F.hardswish,
        "leaky": lambda x: F.leaky_relu(x, 0.2),
        "threshold": lambda x: F.threshold(x, 0.1, 3.0),
        "hardshrink": F.hardshrink,
        "softshrink": F.softshrink,
        "logsigmoid": F.logsigmoid,
        "relu6": F.relu6,
        "clamp": lambda x: x.clamp(-1, 1),
        "clamp_min": lambda x: x.clamp(min=-0.5),
        "nan_to_num": torch.nan_to_num,
        "lerp": lambda x: torch.lerp(x, x + 1, 0.3),
        "addcmul": lambda x: torch.addcmul(x, x, x, value=0.5),
        "addcdiv": lambda x: torch.addcdiv(x, x, x.exp(), value=0.5),
        "atan2": lambda x: torch.atan2(x, x + 1),
        "hypot": lambda x: torch.hypot(x, x + 1),
        "logaddexp": lambda x: torch.logaddexp(x, x * 2),
        "fmax": lambda x: torch.fmax(x, x * 2),
        "copysign": lambda x: torch.copysign(x + 3, x),
        "dropout": lambda x: F.dropout(x, 0.5, False),
    }
    check({f"{n} {d}": (f, numbers(d, 3, 5)) for n, f in functions.items() for d in FLOATS if (n, d) != ("hypot", F16)})


def test_choice_and_filling():
    condition = numbers(BOOL, 3, 4)
    every = (*FLOATS, F32, *WHOLE, BOOL)
    limits = torch.tensor([-1, 0, 1, 2]), torch.tensor([3])
    check(
        {f"where {d}": (torch.where, condition, numbers(d, 3, 4), numbers(d, 4, seed=1)) for d in every}
        | {f"scalar {d}": (lambda c, x: torch.where(c, x, 2), condition, numbers(d, 3, 4)) for d in every if d != BOOL}
        | {f"other {d}": (lambda c, x: torch.where(c, 2, x), condition, numbers(d, 3, 4)) for d in every if d != BOOL}
        | {"two numbers": (lambda c: torch.where(c, 1.5, 2), condition)}
        | {f"fill {d}": (lambda c, x: x.masked_fill(c, 1), condition, numbers(d, 3, 4)) for d in every}
        | {f"clamp {d}": (lambda x, a, b: x.clamp(a, b), numbers(d, 3, 4), *(v.to(d) for v in limits)) for d in SIGNED}
        | {"clamp 2": (lambda x: x.clamp(-2, 2), numbers(I64, 3, 4))}
        | {"one number": (torch.where, condition, torch.tensor(2.0), torch.tensor(3.0))}
    )


# -- what is wrong with the numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "good", "bad", "said"),
    [
        (lambda x, i: x.gather(0, i), [0, 2], [0, 3], "the index 3, but dimension 0 has 3 elements"),
        (lambda x, i: x.index_select(0, i), [0, 2], [-1, 0], "the index -1"),
        (lambda x, i: x[i], [-3, 2], [-4, 0], "the index -4, but dimension 0 has 3 elements: -3 to 2"),
        (lambda x, i: x.scatter(0, i, 1.0), [0, 2], [0, 1 << 40], "the index 1099511627776"),
        (lambda x, i: i // (i - 5), [0, 2], [5, 0], "by zero"),
        (lambda x, i: i % (i - 5), [0, 2], [5, 0], "by zero"),
    ],
)
def test_an_index_that_is_outside(function, good, bad, said):
    x = torch.tensor([1.0, 2.0, 3.0])
    made = sol.optimize(Each({"f": function}).eval(), (x, torch.tensor(good)))
    assert made.explain().in_pytorch == []
    with pytest.raises(InputError, match=said):
        made((x, torch.tensor(bad)))
    again = made((x, torch.tensor(good)))["f"]
    assert torch.equal(again, function(x, torch.tensor(good)))


def test_row_numbers_that_compiled_code_makes_are_checked():
    table = torch.nn.Embedding(5, 3)
    made = sol.optimize(Each({"f": lambda i: table(i * 2)}).eval(), torch.tensor([0, 2]))
    assert made.explain().in_pytorch == []
    with pytest.raises(InputError, match="5 rows"):
        made(torch.tensor([0, 3]))


def test_calls_behind_one_another_are_one_kernel():
    x = torch.arange(12).reshape(3, 4)
    made = sol.optimize(Each({"f": lambda x: torch.where(x < 5, x * 2 + 1, -x)}).eval(), x)
    assert len(made.explain().rows) == 1


def test_constants_of_any_dtype():
    table, more = torch.arange(6), torch.randn(6, dtype=F64)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("table", table)
            self.register_buffer("more", more)

        def forward(self, i):
            return self.table[i] + 1, self.more[i] * self.more[:2]

    model, i = Model().eval(), torch.tensor([4, 1])
    made = sol.optimize(model, i)
    assert made.explain().in_pytorch == []
    for mine, theirs in zip(made(i), model(i), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_several_threads_agree(settings):
    x = numbers(I64, 300, 400)
    model = Each({"f": lambda x: (x * 3, x.sum(1), x.cumsum(0), x.flip(1), *torch.sort(x, dim=1, stable=True))}).eval()
    made = sol.optimize(model, x)
    for threads in (1, 2, 4):
        settings["threads"] = threads
        for mine, theirs in zip(made(x)["f"], model(x)["f"], strict=True):
            assert same(mine, theirs)


def test_every_emitter_names_an_overload_of_pytorch():
    for name in EMITTERS:
        packet = getattr(aten, name.split(".")[1])
        assert name.split(".")[2] in packet.overloads(), name


def test_verify_allows_for_the_rounding_of_half_precision():
    for dtype in (F16, BF16):
        x = numbers(dtype, 6, 40)
        found = sol.verify(Each({"f": lambda x: ((x * 3 + x.sin()).softmax(-1), x.sum(1), x @ x.T)}).eval(), x)
        assert found.ok
        assert found.worst.local > 1e-4
