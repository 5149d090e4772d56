"""vec.h against float64 NumPy: every function, on every machine this one can compile for and run."""

import ctypes

import numpy as np
import pytest

from solkit.target import X86_LEVELS, Target, host
from solkit.toolchain import FLAGS, cross_compiler, find_compiler, kernels

SOURCE = """
#include "sol.h"
#define EACH(NAME, EXPRESSION)                                                              \\
    void NAME(const float *x, const float *y, float *z, long count) {                      \\
        for (long i = 0; i < count; i += VLEN) {                                            \\
            const int n = (int)sol_min(VLEN, count - i);                                    \\
            const vf a = vf_load_n(x + i, n), b = vf_load_n(y + i, n);                      \\
            (void)b;                                                                        \\
            vf_store_n(z + i, EXPRESSION, n);                                               \\
        }                                                                                   \\
    }
EACH(add, vf_add(a, b)) EACH(sub, vf_sub(a, b)) EACH(mul, vf_mul(a, b)) EACH(division, vf_div(a, b))
EACH(neg, vf_neg(a)) EACH(root, vf_sqrt(a)) EACH(fma3, vf_fma(a, b, a)) EACH(axpy, vf_axpy(0.7f, a, b))
EACH(greater, vf_max(a, b)) EACH(lesser, vf_min(a, b)) EACH(greater_nan, vf_max_nan(a, b))
EACH(less, vf_if_less(a, b, vf_set1(1.0f), vf_set1(2.0f))) EACH(whole, vf_round(a))
EACH(exponential, vf_exp(a)) EACH(sigmoid, vf_sigmoid(a)) EACH(tangent, vf_tanh(a))
float sum(const float *x, int n) { return vf_sum_n(vf_load_n(x, n), n); }
void gather(const float *x, float *z, long stride, int n) { vf_store_n(z, vf_gather(x, stride, n), n); }
void scatter(const float *x, float *z, long stride, int n) { vf_scatter(z, stride, vf_load_n(x, n), n); }
const int lanes = VLEN;
"""

# Machines below this one, which its processor runs too; both families of compilers; and vectors of several registers.
LEVELS = {
    "native": (find_compiler, "native"),
    "native zig": (cross_compiler, "native"),
    "AVX2": (find_compiler, "haswell"),
    "SSE2": (find_compiler, "x86-64"),
    **{f"{level.name}, 16 lanes": (find_compiler, level) for level in X86_LEVELS[1:]},
    **{f"{level.name}, 16 lanes, zig": (cross_compiler, level) for level in X86_LEVELS[1:]},
}


@pytest.fixture(scope="module", params=LEVELS)
def machine(request, tmp_path_factory):
    find, level = LEVELS[request.param]
    if level != "native" and not host().name.startswith("x86-64"):
        pytest.skip("an x86-64 machine, which this one is not")
    needed = level.features if isinstance(level, Target) else ("avx2",) if level == "haswell" else ()
    if not set(needed) <= set(host().features):
        pytest.skip("this processor has no AVX2")
    compiler = find()
    if isinstance(level, Target):
        flags = compiler.flags(level)
    else:
        flags = (f"-mcpu={level.replace('-', '_')}" if compiler.family == "zig" else f"-march={level}",)
    folder = tmp_path_factory.mktemp("vec")
    (folder / "vec.c").write_text(SOURCE)
    compiler.run(*FLAGS, *flags, "-fPIC", "-shared", f"-I{kernels()}", folder / "vec.c", "-o", folder / "vec.so")
    library = ctypes.CDLL(str(folder / "vec.so"))
    library.sum.restype = ctypes.c_float
    return library


def pointer(array):
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_float))


def apply(library, name, x, y):
    z = np.empty_like(x)
    getattr(library, name)(pointer(x), pointer(y), pointer(z), ctypes.c_long(len(x)))
    return z


SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 3e38, -3e38, 88.7, -87.3], np.float32)
PAIRS = tuple(array.reshape(-1).copy() for array in np.meshgrid(SPECIAL, SPECIAL))

BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "division": np.divide,
    "neg": lambda x, y: -x,
    "root": lambda x, y: np.sqrt(x),
    "greater_nan": np.maximum,
    "greater": lambda x, y: np.where(y < x, x, y),
    "lesser": lambda x, y: np.where(x < y, x, y),
    "less": lambda x, y: np.where(x < y, np.float32(1), np.float32(2)),
}


@pytest.mark.parametrize("name", BINARY)
def test_exact_functions_are_exact(machine, name):
    x, y = PAIRS
    with np.errstate(all="ignore"):
        expected = BINARY[name](x, y)
    np.testing.assert_array_equal(apply(machine, name, x, y), expected)


@pytest.mark.parametrize(("name", "function"), [("fma3", lambda x, y: x * y + x), ("axpy", lambda x, y: 0.7 * x + y)])
def test_multiply_add(machine, name, function):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 1001)).astype(np.float32)
    expected = function(x.astype(np.float64), y.astype(np.float64))
    np.testing.assert_allclose(apply(machine, name, x, y), expected, rtol=1e-6, atol=1e-6)


# Largest error in units in the last place of the float32 result, over its whole range.
FUNCTIONS = {
    "exponential": (np.exp, 2.0),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 4.0),
    "tangent": (np.tanh, 4.0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_accurate(machine, name):
    exact, most = FUNCTIONS[name]
    x = np.concatenate([np.linspace(-87, 88, 200_001), np.linspace(-1, 1, 100_001), np.geomspace(1e-30, 1, 1001)])
    x = x.astype(np.float32)
    made = apply(machine, name, x, x).astype(np.float64)
    expected = exact(x.astype(np.float64))
    unit = np.spacing(np.abs(expected).astype(np.float32)).astype(np.float64)
    assert (np.abs(made - expected) / unit).max() < most


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_at_the_ends(machine, name):
    x = np.array([np.nan, np.inf, -np.inf, 200, -200, 0, -0.0, 89, -104], np.float32)
    with np.errstate(all="ignore"):
        expected = FUNCTIONS[name][0](x.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(apply(machine, name, x, x), expected, rtol=1e-6, atol=1e-37)


def test_round_is_to_the_nearest(machine):
    x = np.linspace(-1000, 1000, 4097).astype(np.float32)
    np.testing.assert_array_equal(apply(machine, "whole", x, x), np.rint(x))


def test_memory(machine):
    lanes = ctypes.c_int.in_dll(machine, "lanes").value
    x = np.arange(1, 3 * lanes + 1, dtype=np.float32)
    for n in range(1, lanes + 1):
        assert machine.sum(pointer(x), n) == x[:n].sum()
        z = np.zeros(3 * lanes, np.float32)
        machine.gather(pointer(x), pointer(z), ctypes.c_long(3), n)
        np.testing.assert_array_equal(z, np.concatenate([x[: 3 * n : 3], np.zeros(3 * lanes - n)]))
        z = np.zeros(3 * lanes, np.float32)
        machine.scatter(pointer(x), pointer(z), ctypes.c_long(3), n)
        np.testing.assert_array_equal(z[: 3 * n : 3], x[:n])
        assert z.sum() == x[:n].sum()
