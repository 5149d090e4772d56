"""Kernels for ATen overloads on tensors of any dtype: every one against PyTorch, and nothing left to it."""

import pytest
import torch
from compare import Each

import solkit as sol
from solkit.codegen.typed import EMITTERS
from solkit.errors import InputError

aten = torch.ops.aten
F16, BF16, F32, F64 = torch.float16, torch.bfloat16, torch.float32, torch.float64
I8, I16, I32, I64, U8, BOOL = torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool
FLOATS, SIGNED = (F16, BF16, F64), (I8, I16, I32, I64)
WHOLE = (*SIGNED, U8)
EPS = {F16: 2e-3, BF16: 1.6e-2, F32: 2e-6, F64: 1e-12}


def numbers(dtype, *shape, seed=0, low=-5, high=6):
    """Random numbers of a dtype; whole ones from low to high - 1."""
    random = torch.Generator().manual_seed(seed)
    if dtype.is_floating_point:
        return (torch.randn(shape, generator=random, dtype=F64) * 2).to(dtype)
    if dtype == BOOL:
        return torch.rand(shape, generator=random) < 0.5
    return torch.randint(0 if dtype == U8 else low, high, shape, generator=random).to(dtype)


def check(cases):
    """Compile all cases, name -> (function, tensors), as one model, and compare each with PyTorch."""
    model = Each({name: function for name, (function, *_) in cases.items()}).eval()
    inputs = [tuple(given) for _, *given in cases.values()]
    before = sol.config["verify"]
    sol.config["verify"] = False  # below is said what differs
    try:
        made = sol.optimize(model, *inputs)
    finally:
        sol.config["verify"] = before
    assert made.explain().in_pytorch == []
    mine, theirs = made(*inputs), model(*inputs)
    wrong = [name for name in cases if not same(mine[name], theirs[name])]
    assert not wrong, {name: (mine[name], theirs[name]) for name in wrong[:3]} | {"all": wrong}


def same(mine, theirs):
    if isinstance(theirs, (list, tuple)):
        return len(mine) == len(theirs) and all(map(same, mine, theirs))
    if (mine.shape, mine.dtype) != (theirs.shape, theirs.dtype):
        return False
    if not theirs.is_floating_point():
        return torch.equal(mine, theirs)
    eps = EPS[theirs.dtype]
    finite = theirs[theirs.isfinite()].abs()
    most = finite.max().item() if finite.numel() else 0.0
    return torch.allclose(mine.double(), theirs.double(), rtol=eps, atol=eps * most, equal_nan=True)


SHAPES = (((3, 1, 5), (4, 5)), ((2, 3), ()), ((1,), (1,)), ((0, 3), (3,)), ((2, 3, 4), (2, 3, 4)))


def both(function, dtypes, **given):
    """Cases of a function of two tensors that broadcast: all dtypes, and all shapes, but not each with each."""
    cases = {}
    for count in range(max(len(dtypes), len(SHAPES))):
        dtype, (left, right) = dtypes[count % len(dtypes)], SHAPES[count % len(SHAPES)]
        first, second = numbers(dtype, *left, **given), numbers(dtype, *right, seed=1, **given)
        cases[f"{dtype} {left} {right}"] = (function, first, second)
    return cases


def one(function, dtypes, *shape, **given):
    return {f"{dtype} {shape}": (function, numbers(dtype, *(shape or (3, 4)), **given)) for dtype in dtypes}


def named(**groups):
    return {f"{group}: {name}": case for group, cases in groups.items() for name, case in cases.items()}


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


# -- moves ----------------------------------------------------------------------------------------------------------


def test_moves():
    functions = {
        "permute": lambda x: x.permute(2, 0, 1),
        "transpose": lambda x: x.transpose(0, 2),
        "slice": lambda x: x[:, 1:4:2],
        "expand": lambda x: x[:, :1].expand(2, 6, 5),
        "select": lambda x: x[1],
        "split": lambda x: x.split(3, 2),
        "chunk": lambda x: x.chunk(2, 1),
        "unbind": lambda x: x.unbind(0),
        "cat": lambda x: torch.cat([x, x[:1], x], 0),
        "cat 2": lambda x: torch.cat([x, x[:, :, :2]], -1),
        "stack": lambda x: torch.stack([x, x], 1),
        "flip": lambda x: x.flip(0, 2),
        "roll": lambda x: x.roll((1, -2), (0, 2)),
        "roll all": lambda x: x.roll(7),
        "repeat": lambda x: x.repeat(2, 1, 3, 2),
        "tile": lambda x: x.tile(3, 2),
        "interleave": lambda x: x.repeat_interleave(3, 1),
        "interleave all": lambda x: x.repeat_interleave(2),
        "tril": lambda x: x.tril(-1),
        "triu": lambda x: x.triu(1),
        "pad": lambda x: torch.nn.functional.pad(x, (1, 2, 0, 1)),
        "crop": lambda x: torch.nn.functional.pad(x, (-1, 2, -1, 0), value=1),
        "diagonal": lambda x: x.diagonal(0, 1, 2),
        "unfold": lambda x: x.unfold(2, 3, 1),
    }
    cases = {f"{n} {d}": (f, numbers(d, 2, 4, 5)) for n, f in functions.items() for d in (F16, F64, I64, U8, BOOL)}
    cases |= {f"{n} float32": (functions[n], numbers(F32, 2, 4, 5)) for n in ("interleave", "tril", "flip", "crop")}
    cases["mixed"] = (lambda a, b: torch.cat([a, b]), numbers(I32, 2, 3), numbers(F64, 1, 3))
    cases["none"] = (lambda a: (a[:, :0], torch.cat([a, a[:0]])), numbers(I64, 3, 4))
    for mode in ("reflect", "replicate", "circular"):
        for d in (F64, I64) if mode == "circular" else (F32, F64):
            cases[f"{mode} {d}"] = (lambda x, m=mode: torch.nn.functional.pad(x, (2, 1), mode=m), numbers(d, 2, 3, 4))
    cases["part"] = (lambda x, y: torch.slice_scatter(x, y, 1, 1, 4, 2), numbers(I64, 3, 5), numbers(I64, 3, 2))
    cases["row"] = (lambda x, y: torch.select_scatter(x, y, 1, -2), numbers(F32, 3, 5), numbers(F32, 3))
    check(cases)


# -- reductions -----------------------------------------------------------------------------------------------------


def test_reductions():
    functions = {
        "sum": lambda x: (x.sum(), x.sum(1), x.sum((0, 2), keepdim=True)),
        "prod": lambda x: (x.prod(), x.prod(1), x.prod(2, keepdim=True)),
        "amax": lambda x: (x.amax(1), x.amax((0, 2)), x.max()),
        "amin": lambda x: (x.amin(1), x.amin((0, 2)), x.min()),
        "argmax": lambda x: (x.argmax(), x.argmax(1), x.argmax(-1, keepdim=True)),
        "argmin": lambda x: (x.argmin(), x.argmin(1), x.argmin(-1, keepdim=True)),
        "max": lambda x: (*x.max(1), *x.min(2, keepdim=True)),
        "any": lambda x: (x.any(), x.any(1), x.all(), x.all(2, keepdim=True)),
        "cumsum": lambda x: (x.cumsum(0), x.cumsum(-1)),
        "cumprod": lambda x: (x.cumprod(0), x.cumprod(-1)),
    }
    floating = {
        "mean": lambda x: (x.mean(), x.mean((0, 2)), x.mean(1, keepdim=True)),
        "var": lambda x: (x.var(), x.std(1), x.var(2, correction=0)),
        "norm": lambda x: tuple(torch.linalg.vector_norm(x, p, 1) for p in (0, 1, 2, 3, float("inf"), -float("inf"))),
        "logsumexp": lambda x: (x.logsumexp(1), torch.logsumexp(x * 300, (0, 2), keepdim=True)),
    }
    cases = {f"{n} {d}": (f, numbers(d, 2, 3, 4)) for n, f in functions.items() for d in (F64, I8, I32, I64, U8)}
    cases |= {f"{n} {d}": (f, numbers(d, 2, 3, 4)) for n, f in floating.items() for d in (F16, F64)}
    cases |= {f"{n} bool": (functions[n], numbers(BOOL, 2, 3, 4)) for n in ("sum", "amax", "any", "cumsum")}
    cases |= {f"{n} half": (functions[n], numbers(BF16, 2, 3, 4)) for n in ("sum", "amax", "argmax", "cumsum")}
    cases |= {f"{n} float": (functions[n], numbers(F32, 2, 3, 4)) for n in ("prod", "argmax", "max", "any", "cumsum")}
    nan = torch.tensor([[1.0, float("nan"), 3.0], [float("inf"), 2.0, float("inf")]])
    cases["nan"] = (lambda x: (x.argmax(1), x.argmin(1), *x.max(1), *x.min(1), x.logsumexp(1)), nan)
    cases["number"] = (lambda x: (x.sum(), x.argmax(), x.cumsum(0), x.prod()), torch.tensor(3))
    cases["of nothing"] = (lambda x: (x.sum(1), x.prod(1), x.sum(), x.any(1), x.all(1)), torch.empty(3, 0, dtype=I64))
    cases["no rows"] = (lambda x: (x.sum(1), x.cumsum(1)), torch.empty(0, 3))
    cases["long"] = (lambda x: (x.sum(0), x.sum(1)), numbers(F64, 70, 9000))
    check(cases)


# -- indices --------------------------------------------------------------------------------------------------------


def test_reading_at_indices():
    index = torch.tensor([[0, 2, 1], [1, 0, 2]])
    functions = {
        "gather": lambda x, i: (x.gather(1, i), x.gather(0, i % 2)),
        "index_select": lambda x, i: (x.index_select(0, i[0] % 2), x.index_select(1, i[1])),
        "index": lambda x, i: (x[:, i], x[i % 2], x[i % 2, i], x[0, i - 3]),
        "embedding": lambda x, i: torch.nn.functional.embedding(i % 2, x),
    }
    cases = {
        f"{n} {d}": (f, numbers(d, 2, 3), index) for n, f in functions.items() for d in (F16, F32, F64, I32, I64, BOOL)
    }
    cases["around"] = (lambda x, i: x[i, :, i], numbers(F32, 3, 4, 3), torch.tensor([0, -1]))
    check(cases)


def test_writing_at_indices():
    index, rows = torch.tensor([[0, 2, 1], [1, 0, 1]]), torch.tensor([2, 0])
    functions = {
        "scatter": lambda x, i, s: (x.scatter(0, i, s), x.scatter(1, i[:, :1], s)),
        "value": lambda x, i, s: x.scatter(0, i, 1),
        "add": lambda x, i, s: (x.scatter_add(0, i, s), x.scatter(1, i, s, reduce="add")),
        "reduce": lambda x, i, s: tuple(
            x.scatter_reduce(1, i, s, how, include_self=own)
            for how in ("sum", "prod", "amax", "amin", "mean")
            for own in (True, False)
        ),
        "put": lambda x, i, s: x.index_put((i[0], i[0]), s[0]),
        "accumulate": lambda x, i, s: x.index_put((i[1],), s[0], accumulate=True),
    }
    cases = {
        f"{n} {d}": (f, numbers(d, 3, 3), index, numbers(d, 2, 3, seed=1))
        for n, f in functions.items()
        for d in (F32, F64, I32, I64)
    }
    slices = {
        "index_add": lambda x, i, s: x.index_add(1, i, s, alpha=2),
        "index_copy": lambda x, i, s: x.index_copy(1, i, s),
        "index_fill": lambda x, i, s: x.index_fill(0, i, 2),
    }
    for name, function in slices.items():
        for d in (F32, I64):
            cases[f"{name} {d}"] = (function, numbers(d, 3, 4), rows, numbers(d, 3, 2, seed=1))
    check(cases)


def test_sorting():
    x = torch.tensor([[3.0, 1.0, float("nan"), 1.0, -2.0], [0.0, 5.0, 5.0, float("inf"), float("nan")]])
    functions = {
        "sort": lambda x: (*x.sort(stable=True), *torch.sort(x, dim=0, descending=True, stable=True)),
        "descending": lambda x: x.sort(descending=True, stable=True),
        "argsort": lambda x: x.argsort(stable=True),
    }
    cases = {f"{n} {d}": (f, x.nan_to_num(7.0, 8.0).to(d)) for n, f in functions.items() for d in (F16, F64, I8, I64)}
    cases |= {f"{n} nan": (f, x) for n, f in functions.items()}
    distinct = torch.randperm(60, generator=torch.Generator().manual_seed(0)).reshape(4, 15)
    cases |= {f"topk {d}": (lambda x: (*x.topk(4), *x.topk(3, 0, largest=False)), distinct.to(d)) for d in (F32, I64)}
    check(cases)


# -- products and windows -------------------------------------------------------------------------------------------


def test_products():
    a, b = (
        {d: numbers(d, 2, 3, 70) for d in (F16, F64, I32)},
        {d: numbers(d, 2, 70, 66, seed=1) for d in (F16, F64, I32)},
    )
    cases = {}
    for d in a:
        cases[f"matmul {d}"] = (torch.matmul, a[d], b[d])
        cases[f"broadcast {d}"] = (torch.matmul, a[d], b[d][0])
        cases[f"vectors {d}"] = (lambda x, y: (x @ y[:, 0], x[0] @ y, x[0] @ y[:, 0]), a[d][0], b[d][0])
        cases[f"mm {d}"] = (torch.mm, a[d][0], b[d][0])
        cases[f"bmm {d}"] = (torch.bmm, a[d], b[d])
        cases[f"addmm {d}"] = (lambda x, y, z: torch.addmm(z, x, y, alpha=2, beta=3), a[d][0], b[d][0], numbers(d, 66))
        if d != I32:
            cases[f"linear {d}"] = (torch.nn.functional.linear, a[d], b[d][0].T.contiguous(), numbers(d, 66))
    for equation in ("ij,jk->ik", "ij,jk", "ij->ji", "ij,ij->", "ij->i", "i...,i...->...", "ii->i", "ii"):
        for d in (F32, F64, I64):
            given = [numbers(d, 4, 4, seed=i) for i in range(equation.count(",") + 1)]
            cases[f"{equation} {d}"] = (lambda *x, e=equation: torch.einsum(e, *x), *given)
    for d in (F32, F64):
        cases[f"det {d}"] = (torch.linalg.det, numbers(d, 2, 4, 4))
    check(cases)


def test_windows():
    import torch.nn.functional as F

    cases = {}
    for d in (F32, F64):
        image, weight, bias = numbers(d, 2, 4, 6, 7), numbers(d, 6, 2, 3, 3, seed=1), numbers(d, 6)
        cases[f"conv2d {d}"] = (lambda x, w, b: F.conv2d(x, w, b, 2, (1, 2), 1, 2), image, weight, bias)
        cases[f"same {d}"] = (
            lambda x, w: F.conv2d(x, w, padding="same", dilation=2),
            image[:, :2].contiguous(),
            weight,
        )
        cases[f"conv3d {d}"] = (
            lambda x, w: F.conv3d(x, w, padding=1),
            numbers(d, 1, 2, 4, 5, 6),
            numbers(d, 3, 2, 3, 2, 3),
        )
        cases[f"alone {d}"] = (lambda x, w: F.conv1d(x, w, padding=1), numbers(d, 3, 80), numbers(d, 4, 3, 3))
        turned = numbers(d, 4, 3, 3, 2, seed=2)
        cases[f"transposed {d}"] = (
            lambda x, w, b: F.conv_transpose2d(x, w, b, (2, 3), 1, (1, 2), 2, (1, 1)), image, turned, bias,
        )  # fmt: skip
        cases[f"transposed 3d {d}"] = (
            lambda x, w: F.conv_transpose3d(x, w, stride=2), numbers(d, 1, 2, 3, 3, 3), numbers(d, 2, 2, 2, 2, 2),
        )  # fmt: skip
    for d in (F32, F64):
        line, image, volume = numbers(d, 2, 3, 9), numbers(d, 2, 3, 7, 8), numbers(d, 1, 2, 5, 6, 7)
        for rank, x in ((1, line), (2, image), (3, volume)):
            maximum, average = getattr(F, f"max_pool{rank}d"), getattr(F, f"avg_pool{rank}d")
            adaptive = getattr(F, f"adaptive_avg_pool{rank}d")
            cases[f"max {rank} {d}"] = (lambda x, f=maximum: f(x, 3, 2, 1, ceil_mode=True, dilation=2), x)
            cases[f"places {rank} {d}"] = (lambda x, f=maximum: f(x, 2, return_indices=True), x)
            cases[f"average {rank} {d}"] = (lambda x, f=average: (f(x, 3, 2, 1, True), f(x, 2, 2, 1, False, False)), x)
            cases[f"adaptive {rank} {d}"] = (lambda x, f=adaptive: f(x, 3), x)
    cases["whole numbers"] = (lambda x: F.max_pool2d(x, 2), numbers(I64, 1, 2, 4, 4))
    check(cases)


def test_sampling():
    import torch.nn.functional as F

    cases = {}
    for d in (F32, F64):
        image, volume = numbers(d, 2, 3, 5, 6), numbers(d, 1, 2, 3, 4, 5)
        points, more = numbers(d, 2, 4, 3, 2, seed=1) * 0.8, numbers(d, 1, 2, 3, 4, 3, seed=1)
        for mode in ("bilinear", "nearest", "bicubic"):

            def sample(x, g, mode=mode):
                options = [(p, a) for p in ("zeros", "border", "reflection") for a in (True, False)]
                return [F.grid_sample(x, g, mode, padding, aligned) for padding, aligned in options]

            cases[f"{mode} {d}"] = (sample, image, points)
            if mode != "bicubic":
                cases[f"{mode} volume {d}"] = (sample, volume, more)
    check(cases)


def test_norms():
    import torch.nn.functional as F

    def norms(x, w, b):
        size = x.shape[-1:]
        return (
            *(x.softmax(1), x.log_softmax(-1), F.layer_norm(x, size, w[:5], b[:5]), F.layer_norm(x, x.shape[1:])),
            *(
                F.rms_norm(x, size, w[:5]),
                F.group_norm(x, 2, w, b),
                F.instance_norm(x),
                F.prelu(x, w),
                F.prelu(x, w[:1]),
            ),
            *(F.batch_norm(x, b, w.abs(), w, b), F.batch_norm(x, b, w.abs())),
        )

    cases = {f"{d}": (norms, numbers(d, 3, 6, 4, 5), numbers(d, 6, seed=1), numbers(d, 6, seed=2)) for d in FLOATS}
    cases["masked"] = (lambda x: x.masked_fill(x > 0, float("-inf")).softmax(-1), numbers(F64, 3, 4))
    cases["other dtype"] = (lambda x: x.softmax(0, dtype=torch.float32), numbers(I64, 5))
    check(cases)


def test_attention():
    import torch.nn.functional as F

    attend, cases = F.scaled_dot_product_attention, {}
    for d in FLOATS:
        q, k, v = numbers(d, 2, 4, 5, 8), numbers(d, 2, 4, 7, 8, seed=1), numbers(d, 2, 4, 7, 6, seed=2)
        cases[f"plain {d}"] = (lambda q, k, v: attend(q, k, v, scale=0.2), q, k, v)
        cases[f"causal {d}"] = (lambda q, k, v: attend(q, k, v, is_causal=True), q, k, v)
        cases[f"groups {d}"] = (lambda q, k, v: attend(q, k[:, :2], v[:, :2], enable_gqa=True), q, k, v)
        cases[f"added {d}"] = (lambda q, k, v, m: attend(q, k, v, m), q, k, v, numbers(d, 4, 5, 7))
        cases[f"masked {d}"] = (lambda q, k, v, m: attend(q, k, v, m), q, k, v, numbers(BOOL, 2, 1, 5, 7))
        cases[f"one head {d}"] = (attend, q[0], k[0], v[0])
    check(cases)


def test_recurrent_layers():
    def layer(function, gates, states, both, first):
        def run(x, h, *weights):
            before = (h, h * 0.5) if states == 2 else h
            return function(x, before, list(weights), len(weights) // (1 + both) == 4, 1, 0.0, False, both, first)

        return run

    cases = {}
    functions = {
        "lstm": (torch.lstm, 4, 2),
        "gru": (torch.gru, 3, 1),
        "rnn": (torch.rnn_tanh, 1, 1),
        "relu": (torch.rnn_relu, 1, 1),
    }
    for name, (function, gates, states) in functions.items():
        for both in (False, True):
            for d, biases, first in ((F32, True, False), (F64, False, True)):
                shapes = [(gates * 5, 3), (gates * 5, 5), *[(gates * 5,)] * (2 * biases)] * (1 + both)
                weights = [numbers(d, *shape, seed=seed) * 0.3 for seed, shape in enumerate(shapes)]
                run = layer(function, gates, states, both, first)
                x, h = numbers(d, 4, 4, 3), numbers(d, 1 + both, 4, 5, seed=9)
                cases[f"{name} {both} {d}"] = (run, x, h, *weights)
    check(cases)


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
