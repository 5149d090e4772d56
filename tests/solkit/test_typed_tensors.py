"""Kernels for ATen overloads on tensors of any dtype: moves, reductions, indices, products, windows, layers."""

import pytest
import torch
from dtypes import BF16, BOOL, F16, F32, F64, FLOATS, I8, I32, I64, U8, check, numbers

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


@pytest.mark.filterwarnings("ignore:The reduce argument of torch.scatter")
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
