"""Tensors of any dtype for tests, and many small calls compiled as one model and compared with PyTorch."""

import torch
from compare import Each

import solkit as sol

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
