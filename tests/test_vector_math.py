"""Accuracy, special values and vectorisation of odeopt.compile.vector_math."""

import ast
import inspect
import math
import platform
import re

import mpmath
import numba
import numpy as np
import pytest

from odeopt.compile import vector_math
from odeopt.compile.vector_math import (
    vcos,
    vexp,
    vlog,
    vlog1p,
    vnormal_cdf,
    vsigmoid,
    vsin,
    vsoftplus,
    vtanh,
    vtanh32,
)

INF = math.inf
LN2 = math.log(2.0)
MIN_NORMAL = np.finfo(float).tiny


def lane_kernel(function, fastmath=("arcp", "contract", "nsz")):
    """Compile a loop over lanes; the flags are those of networks' kernels."""

    @numba.njit(fastmath=set(fastmath), error_model="numpy")
    def kernel(x, y):
        for j in range(x.shape[0]):
            y[j] = function(x[j])

    return kernel


FUNCTIONS = (vexp, vlog, vlog1p, vtanh, vsigmoid, vsoftplus, vsin, vcos, vnormal_cdf)
KERNELS = {f: lane_kernel(f) for f in FUNCTIONS}


def lanes(function, x):
    x = np.ascontiguousarray(x, dtype=float)
    y = np.empty_like(x)
    KERNELS[function](x, y)
    return y


def signed_powers(rng, low, high, n):
    """Random signs and magnitudes, uniform in the exponent."""
    return rng.choice([-1.0, 1.0], n) * 10.0 ** rng.uniform(low, high, n)


def exp_points(rng, n):
    k = rng.integers(-1074, 1023, n)
    return np.concatenate(
        [
            rng.uniform(-708.0, 709.78, n),
            rng.uniform(-745.1, -708.0, n),  # subnormal results
            rng.uniform(-1.0, 1.0, n),
            signed_powers(rng, -20, 2.8, n),
            (k + 0.5) * LN2 + rng.normal(0.0, 1e-6, n),  # ends of the reduced range
            [709.782712893384, -745.1332191019411, 5e-324],
        ]
    )


def log_points(rng, n):
    return np.concatenate(
        [
            10.0 ** rng.uniform(-307, 308, n),
            rng.integers(1, 2**52, n).view(float),  # subnormal, uniform
            2.0 ** rng.uniform(-1073, -1020, n),
            rng.uniform(0.6, 1.6, n),
            1.0 + signed_powers(rng, -15.9, -1, n),
            math.sqrt(0.5) + rng.normal(0.0, 1e-6, n),
            math.sqrt(2.0) + rng.normal(0.0, 1e-6, n),
            [5e-324, MIN_NORMAL, np.nextafter(MIN_NORMAL, 0), np.finfo(float).max],
        ]
    )


def tanh_points(rng, n):
    k = rng.integers(0, 30, n)
    return np.concatenate(
        [
            rng.uniform(-22.0, 22.0, n),
            rng.uniform(-1.0, 1.0, n),
            rng.uniform(0.2, 0.7, n),
            signed_powers(rng, -300, 2, n),
            signed_powers(rng, -5, 0, n),
            0.0822 + (k + 0.5) * LN2 / 2 + rng.normal(0.0, 1e-6, n),
            [5e-324, -MIN_NORMAL, 20.0, -1e300],
        ]
    )


def sigmoid_points(rng, n):
    k = rng.integers(-1074, 60, n)
    return np.concatenate(
        [
            rng.uniform(-708.0, 40.0, n),
            rng.uniform(-745.1, -708.0, n),  # subnormal results
            rng.uniform(-40.0, 40.0, n),
            rng.uniform(-3.0, 3.0, n),
            signed_powers(rng, -20, 2, n),
            (k + 0.5) * LN2 + rng.normal(0.0, 1e-6, n),
            [5e-324, -5e-324, 1e300],
        ]
    )


def log1p_points(rng, n):
    return np.concatenate(
        [
            rng.uniform(-0.5, 1.0, n),
            signed_powers(rng, -300, -1, n),
            10.0 ** rng.uniform(0, 308, n),
            [5e-324, -0.5, np.finfo(float).max],
        ]
    )


def softplus_points(rng, n):
    return np.concatenate(
        [
            rng.uniform(-40.0, 40.0, n),
            rng.uniform(-745.1, 0.0, n),
            rng.uniform(-2.0, 2.0, n),
            signed_powers(rng, -20, 2.8, n),
            [-745.1332191019411, 1e308],
        ]
    )


def angle_points(rng, n):
    return np.concatenate(
        [
            rng.uniform(-10.0, 10.0, n),
            rng.uniform(-1e6, 1e6, n),
            signed_powers(rng, -300, 0, n),
            rng.integers(-600_000, 600_000, n) * (math.pi / 2),  # next to zeros of sine and cosine
            (rng.integers(-600_000, 600_000, n) + 0.5) * (math.pi / 2),  # ends of the reduced range
        ]
    )


def normal_points(rng, n):
    return np.concatenate(
        [
            rng.uniform(-8.0, 8.0, n),
            rng.uniform(-37.5, 0.0, n),
            rng.uniform(-38.5, -37.5, n),  # subnormal results
            rng.uniform(-1.0, 1.0, n),
            signed_powers(rng, -20, 1, n),
        ]
    )


def mp_sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


def mp_softplus(x):
    return mpmath.log1p(mpmath.exp(x))


def mp_normal_cdf(x):
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


CASES = [
    pytest.param(vexp, mpmath.exp, exp_points, 1.1, id="exp"),
    pytest.param(vlog, mpmath.log, log_points, 0.9, id="log"),
    pytest.param(vtanh, mpmath.tanh, tanh_points, 2.5, id="tanh"),
    pytest.param(vsigmoid, mp_sigmoid, sigmoid_points, 2.3, id="sigmoid"),
    pytest.param(vlog1p, mpmath.log1p, log1p_points, 1.3, id="log1p"),
    pytest.param(vsoftplus, mp_softplus, softplus_points, 2, id="softplus"),
    pytest.param(vsin, mpmath.sin, angle_points, 2, id="sin"),
    pytest.param(vcos, mpmath.cos, angle_points, 2, id="cos"),
    pytest.param(vnormal_cdf, mp_normal_cdf, normal_points, 6, id="normal_cdf"),
]


def max_ulp(x, y, exact):
    """Largest error of ``y`` in units of the spacing of doubles there."""
    worst = 0.0
    with mpmath.workprec(160):
        for xi, yi in zip(x.tolist(), y.tolist(), strict=True):
            value = exact(mpmath.mpf(xi))
            spacing = np.spacing(abs(float(value))).item()
            worst = max(worst, float(abs(yi - value) / spacing))
    return worst


@pytest.mark.parametrize("function, exact, points, bound", CASES)
def test_error_within_documented_bound(function, exact, points, bound):
    x = points(np.random.default_rng(1), 1000)
    assert f"to {bound} ulp" in function.py_func.__doc__
    assert max_ulp(x, lanes(function, x), exact) <= bound


@pytest.mark.parametrize("function, exact, points, bound", CASES)
def test_lanes_give_the_bits_of_scalar_calls(function, exact, points, bound):
    scalar = numba.njit(lambda x: function(x))
    x = np.append(points(np.random.default_rng(2), 300), [0.0, 1.0, INF, math.nan])
    expected = np.array([scalar(xi) for xi in x])
    np.testing.assert_array_equal(lanes(function, x), expected)
    for n in (1, 3, 7):  # short loops run in the scalar remainder
        np.testing.assert_array_equal(lanes(function, x[:n]), expected[:n])


@pytest.mark.parametrize("function, exact, points, bound", CASES)
def test_reassociation_in_the_caller_does_no_harm(function, exact, points, bound):
    x = points(np.random.default_rng(3), 300)
    y = np.empty_like(x)
    lane_kernel(function, ("arcp", "contract", "nsz", "reassoc"))(x, y)
    np.testing.assert_array_equal(y, lanes(function, x))


@pytest.mark.parametrize(
    "function, x, expected",
    [
        (
            vexp,
            [0.0, -0.0, 709.79, 1e308, INF, -745.14, -746.5, -1e308, -INF, math.nan],
            [1.0, 1.0, INF, INF, INF, 0.0, 0.0, 0.0, 0.0, math.nan],
        ),
        (
            vlog,
            [1.0, 0.0, -0.0, INF, -5e-324, -1.0, -INF, math.nan],
            [0.0, -INF, -INF, INF, math.nan, math.nan, math.nan, math.nan],
        ),
        (
            vtanh,
            [0.0, -0.0, 25.0, 1e308, INF, -INF, math.nan, -math.nan],
            [0.0, 0.0, 1.0, 1.0, 1.0, -1.0, math.nan, math.nan],
        ),
        (
            vsigmoid,
            [0.0, -0.0, 50.0, 1e308, INF, -746.5, -1e308, -INF, math.nan],
            [0.5, 0.5, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, math.nan],
        ),
        (vlog1p, [0.0, -0.0, INF, math.nan], [0.0, 0.0, INF, math.nan]),
        (vsoftplus, [0.0, 800.0, INF, -800.0, -INF, math.nan], [math.log(2.0), 800.0, INF, 0.0, 0.0, math.nan]),
        (vsin, [0.0, -0.0, 1e16, INF, -INF, math.nan], [0.0, 0.0, math.nan, math.nan, math.nan, math.nan]),
        (vcos, [0.0, -0.0, 1e16, INF, -INF, math.nan], [1.0, 1.0, math.nan, math.nan, math.nan, math.nan]),
        (vnormal_cdf, [0.0, -0.0, 9.0, INF, -39.0, -INF, math.nan], [0.5, 0.5, 1.0, 1.0, 0.0, 0.0, math.nan]),
    ],
)
def test_special_values(function, x, expected):
    np.testing.assert_array_equal(lanes(function, x), expected)
    np.testing.assert_array_equal([function(xi) for xi in x], expected)


def test_large_angles_are_known_to_their_own_spacing():
    x = 10.0 ** np.random.default_rng(6).uniform(6, 15, 1000)
    with mpmath.workprec(200):
        for function, exact in ((vsin, mpmath.sin), (vcos, mpmath.cos)):
            expected = np.array([float(exact(mpmath.mpf(xi))) for xi in x.tolist()])
            assert np.all(np.abs(lanes(function, x) - expected) <= np.spacing(x) + 2e-16)


def test_tanh_in_single_precision():
    assert "to 2.5 ulp" in vtanh32.py_func.__doc__
    x = tanh_points(np.random.default_rng(7), 10_000)
    x = x[(np.abs(x) > 1e-37) & (np.abs(x) < 1e38)].astype(np.float32)  # the normal numbers
    y, exact = np.empty_like(x), np.tanh(x.astype(float))
    kernel = lane_kernel(vtanh32)
    kernel(x, y)
    assert np.max(np.abs(y - exact) / np.spacing(np.abs(exact).astype(np.float32))) <= 2.5
    special = np.array([0.0, 50.0, INF, -INF, math.nan], np.float32)
    kernel(special, y[:5])
    np.testing.assert_array_equal(y[:5], [0.0, 1.0, 1.0, -1.0, math.nan])
    if platform.machine().lower() in ("x86_64", "amd64"):
        (asm,) = kernel.inspect_asm().values()
        assert len(re.findall(r"^\s+v?(?:mul|add|sub|f[n]?m(?:add|sub)\d*)ps\s", asm, re.MULTILINE)) > 10


def test_tanh_is_odd():
    x = tanh_points(np.random.default_rng(4), 300)
    np.testing.assert_array_equal(lanes(vtanh, -x), -lanes(vtanh, x))


def packed_and_libm(kernel):
    """Count packed double operations in the assembly; list the libm calls."""
    (asm,) = kernel.inspect_asm().values()
    packed = re.findall(
        r"^\s+v?(?:mul|add|sub|f[n]?m(?:add|sub)\d*)pd\s", asm, re.MULTILINE
    )
    libm = re.findall(r"\$?\b(exp|expm1|log|log1p|tanh|sin|cos|erfc?|ldexp|round|rint)\b", asm)
    return len(packed), libm


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="reads x86 assembly"
)
def test_loops_over_lanes_vectorise():
    for function, kernel in KERNELS.items():
        lanes(function, [1.0])
        packed, libm = packed_and_libm(kernel)
        assert packed >= 15, function
        assert not libm, function
    # The check itself: the library function shows up as a scalar call.
    library = lane_kernel(math.exp)
    library(np.ones(1), np.ones(1))
    packed, libm = packed_and_libm(library)
    assert packed == 0
    assert libm


def test_source_text_is_self_contained():
    source = inspect.getsource(vector_math)
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in (
            [node.module]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }
    assert imported == {"llvmlite", "math", "numba"}
    namespace = {"__name__": "pasted"}
    exec(source, namespace)
    assert namespace["vtanh"](0.3) == vtanh(0.3)
