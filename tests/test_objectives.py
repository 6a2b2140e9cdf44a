"""The landscapes are what they say: critical points, kinds, eigenvalues, sums.

Derivatives are taken by SymPy from `value` called with symbols, and evaluated
with 40 digits: independent of the package's own derivatives.
"""

import operator
from functools import cache

import mpmath
import numpy as np
import pytest
import sympy as sp

from odeopt import objectives as oo

EXAMPLES = [oo.Example(number) for number in range(1, 9)]
COMPONENTS = [example.batch(i) for example in EXAMPLES for i in range(example.batches)]
NEURONS = [
    oo.PolyTwo(),
    oo.PolyThree(),
    oo.PolyFour(),
    oo.PolyFive(),
    oo.PolyEight(),
    oo.Cloche(),
    oo.RatTwo(),
]
POLYNOMIAL_NEURONS = NEURONS[:5]
FORMULAS = [
    oo.QuarticSaddle(),
    oo.QuarticSaddle(c=1.3),
    oo.QuarticSaddle(c=-1.0),
    oo.QuarticSaddle(c=0.0),
    oo.Quadratic(),
    oo.Quadratic((1.0, 100.0, 1000.0)),
    oo.Quadratic((-2.0, 3.0)),
    oo.Quadratic((-2.0, -3.0)),
    oo.Rosenbrock(),
    oo.Rosenbrock(a=0.5, b=10.0),
    oo.Rosenbrock(dimension=3),
    oo.Rosenbrock(dimension=4),
    oo.Rosenbrock(dimension=7),
    oo.Himmelblau(),
    oo.Beale(),
    oo.StyblinskiTang(dimension=1),
    oo.StyblinskiTang(),
    oo.StyblinskiTang(dimension=3),
    oo.LogSumExp(),
    oo.LogSumExp(dimension=3, temperature=0.25),
    oo.PowerFour(),
]
SMOOTH = NEURONS + EXAMPLES + COMPONENTS + FORMULAS
ALL = [*SMOOTH, oo.VValley()]
UNBOUNDED = [
    oo.Component(8, 3),
    oo.Quadratic((-2.0, 3.0)),
    oo.Quadratic((-2.0, -3.0)),
]
MINIMA = ("global minimum", "local minimum")
EPS = np.finfo(float).eps


# ---------------------------------------------------------------- value with symbols

ARITHMETIC = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.divide: operator.truediv,
    np.negative: operator.neg,
    np.absolute: sp.Abs,
    np.exp: sp.exp,
    np.log: sp.log,
    np.tanh: sp.tanh,
}


class Symbol(np.lib.mixins.NDArrayOperatorsMixin):
    """A SymPy expression that NumPy's functions accept; floats become exact."""

    def __init__(self, expression):
        self.expression = expression

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        expressions = [
            a.expression if isinstance(a, Symbol) else sp.Rational(float(a)) for a in inputs
        ]
        return Symbol(ARITHMETIC[ufunc](*expressions))


@cache
def derivatives(objective):
    """Functions of 40-digit numbers: f, its gradient and its Hessian."""
    x = sp.symbols(f"x:{objective.dimension}", real=True)
    f = objective.value(*map(Symbol, x)).expression
    gradient = [sp.diff(f, a) for a in x]
    hessian = [[sp.diff(g, a) for a in x] for g in gradient]
    return [sp.lambdify([x], e, "mpmath", cse=True) for e in (f, gradient, hessian)]


def at(objective, point):
    with mpmath.workdps(40):
        x = [mpmath.mpf(a) for a in point]
        f, gradient, hessian = (d(x) for d in derivatives(objective))
        return f, mpmath.matrix(gradient), mpmath.matrix(hessian)


def eigenvalues(objective, point):
    with mpmath.workdps(40):
        hessian = at(objective, point)[2]
        return np.array([float(e) for e in mpmath.eigsy(hessian, eigvals_only=True)])


def points(objectives):
    return [
        pytest.param(objective, point, id=f"{objective}-{i}")
        for objective in objectives
        for i, point in enumerate(objective.critical_points)
    ]


def directions(n):
    if n == 1:
        return np.array([[1.0], [-1.0]])
    if n == 2:
        angle = np.linspace(0.0, 2.0 * np.pi, 7200, endpoint=False)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    u = np.random.default_rng(0).normal(size=(5000, n))
    return u / np.linalg.norm(u, axis=1, keepdims=True)


# ---------------------------------------------------------------- every landscape


@pytest.mark.parametrize("objective, point", points(SMOOTH))
def test_points_are_critical_to_double_precision(objective, point):
    """The exact critical point is at most two roundings away (one Newton step)."""
    tolerance = 4.0 * EPS
    if isinstance(objective, oo.Rosenbrock) and point.kind == "local minimum":
        tolerance = 1e-13  # found by Newton's method in double precision
    _, gradient, hessian = at(objective, point.x)
    size = max(1.0, max(map(abs, point.x)))
    curvature = np.abs(eigenvalues(objective, point.x))
    if curvature.min() > 1e-9 * curvature.max():
        with mpmath.workdps(40):
            distance = mpmath.norm(mpmath.lu_solve(hessian, gradient))
        assert distance <= tolerance * size
    else:
        assert mpmath.norm(gradient) <= tolerance * size * curvature.max()


@pytest.mark.parametrize("objective, point", points(SMOOTH))
def test_kinds_of_points(objective, point):
    curvature = eigenvalues(objective, point.x)
    if np.abs(curvature).min() > 1e-9 * np.abs(curvature).max():
        if curvature.min() > 0.0:
            assert point.kind in MINIMA
        elif curvature.max() < 0.0:
            assert point.kind == "maximum"
        else:
            assert point.kind == "saddle"
        return
    around = 1e-2 * directions(objective.dimension)
    centre = objective.value(*point.x)
    rise = objective.value(*(np.array(point.x) + around).T) - centre
    if rise.min() > 0.0:
        assert point.kind in MINIMA
    elif rise.max() < 0.0:
        assert point.kind == "maximum"
    else:
        # Runs leave where f falls on both sides; an inflection attracts from one.
        opposite = objective.value(*(np.array(point.x) - around[rise.argmin()])) - centre
        leaves = opposite < 0.0 or curvature.min() < -1e-9 * np.abs(curvature).max()
        assert point.kind == ("saddle" if leaves else "degenerate")


@pytest.mark.parametrize("objective", ALL, ids=str)
def test_global_minima_are_the_lowest_points(objective):
    """Below every local minimum and a cloud in the box."""
    values = {
        kind: [objective.value(*p.x) for p in objective.critical_points if p.kind == kind]
        for kind in MINIMA
    }
    if objective in UNBOUNDED:
        assert not values["global minimum"]
        assert objective.f_star is None
        return
    lowest = min(values["global minimum"])
    tolerance = 1e-14 * max(1.0, abs(lowest))
    assert max(values["global minimum"]) - lowest < tolerance
    assert abs(objective.f_star - lowest) < tolerance
    assert all(value > lowest + 1e-6 for value in values["local minimum"])
    rng = np.random.default_rng(1)
    cloud = rng.uniform(*objective.box, size=(objective.dimension, 20_000))
    assert objective.value(*cloud).min() >= lowest - tolerance


@pytest.mark.parametrize("objective", ALL, ids=str)
def test_critical_points_have_the_right_shape(objective):
    for point in objective.critical_points:
        assert len(point.x) == objective.dimension
        assert all(type(a) is float for a in point.x)
    places = [point.x for point in objective.critical_points]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("objective", ALL, ids=str)
def test_value_is_elementwise(objective):
    rng = np.random.default_rng(2)
    cloud = rng.uniform(*objective.box, size=(objective.dimension, 5))
    one_by_one = [objective.value(*map(float, x)) for x in cloud.T]
    np.testing.assert_allclose(objective.value(*cloud), one_by_one, rtol=1e-14)


@pytest.mark.parametrize("objective", [*NEURONS, *EXAMPLES, *FORMULAS], ids=str)
def test_gradient_of_the_package(objective):
    rng = np.random.default_rng(3)
    x = rng.uniform(*objective.box, size=objective.dimension)
    expected = np.array([float(a) for a in at(objective, x)[1]])
    error = np.abs(np.asarray(objective.gradient(x)) - expected).max()
    assert error <= 1e-12 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("objective", ALL, ids=str)
def test_minima_of_the_package(objective):
    """The rows that label runs: the minima in the order listed, then the degenerate points."""
    points = objective.critical_points
    rows = [p.x for p in points if p.kind in MINIMA] + [p.x for p in points if p.kind == "degenerate"]
    np.testing.assert_array_equal(
        np.asarray(objective.minima).reshape(-1, objective.dimension),
        np.reshape(rows, (-1, objective.dimension)),
    )


# ---------------------------------------------------------------- one neuron


@pytest.mark.parametrize("objective", POLYNOMIAL_NEURONS, ids=str)
def test_neurons_list_every_critical_point(objective):
    """The points are the pairs (b, w + b) of critical points of act^2."""
    z = sp.symbols("z", real=True)
    act = objective.activation(Symbol(z)).expression
    roots = {sp.nsimplify(r) for r in sp.real_roots(sp.Poly(sp.diff(act**2, z), z))}
    expected = {(float(s - r), float(r)) for r in roots for s in roots}
    listed = [p.x for p in objective.critical_points]
    assert len(listed) == len(roots) ** 2
    assert set(listed) == expected


@pytest.mark.parametrize(
    "objective, factors",
    [
        (oo.PolyFive(), "(z + 1)**2*(z - 3)*(z**2 - 3*z + 4)"),
        (oo.PolyThree(), "2*z**3 - 3*z**2 + 5"),
        (oo.PolyFour(), "z**4 - 2*z**2 + 3"),
        (
            oo.PolyEight(),
            "35*z**8 - 360*z**7 + 1540*z**6 - 3528*z**5 + 4620*z**4 - 3360*z**3"
            " + 1120*z**2 + 1",
        ),
    ],
    ids=str,
)
def test_activations(objective, factors):
    z = sp.symbols("z", real=True)
    act = objective.activation(Symbol(z)).expression
    assert sp.expand(act - sp.sympify(factors, locals={"z": z})) == 0


@pytest.mark.parametrize(
    "objective, derivative",
    [
        (oo.PolyFive(), "(z - 1)**2*(z + 1)*(5*z - 11)"),
        (oo.PolyEight(), "280*z*(z - 1)**3*(z - 2)**3"),
    ],
    ids=str,
)
def test_derivatives_of_activations(objective, derivative):
    z = sp.symbols("z", real=True)
    act = objective.activation(Symbol(z)).expression
    assert sp.expand(sp.diff(act, z) - sp.sympify(derivative, locals={"z": z})) == 0


def test_labels_follow_the_order_of_the_maps():
    four = [(-2.0, 1.0), (2.0, -1.0), (0.0, -1.0), (0.0, 1.0)]
    for objective in POLYNOMIAL_NEURONS[:3]:
        assert [p.x for p in objective.critical_points[:4]] == four
    nine = [(0, 3), (-4, 3), (4, -1), (0, -1), (2, 1), (-2, 3), (-2, 1), (2, -1), (0, 1)]
    assert [p.x for p in oo.PolyFive().critical_points[:9]] == nine


@pytest.mark.parametrize(
    "objective, values",
    [
        (oo.PolyTwo(), {(0, 1): 0.0, (-1, 0): 0.25, (1, -1): 0.25, (0, 0): 0.5}),
        (
            oo.PolyThree(),
            {
                **{(0, -1): 0.0, (2, -1): 4.0, (-2, 1): 4.0, (0, 1): 8.0, (0, 0): 12.5},
                **{(1, -1): 6.25, (-1, 0): 6.25, (1, 0): 10.25, (-1, 1): 10.25},
            },
        ),
        (oo.PolyFour(), {(0, 1): 2.0, (1, -1): 3.25, (0, 0): 4.5}),
        (
            oo.PolyFive(),
            {
                **{(0, 3): 0.0, (-4, 3): 0.0, (4, -1): 0.0, (0, -1): 0.0},
                **{(2, 1): 64.0, (-2, 3): 64.0, (-2, 1): 64.0, (2, -1): 64.0},
                **{(0, 1): 128.0, (0.8, 2.2): 84.181359, (1.2, 1): 148.181359},
                **{(0, 2.2): 168.362718},
            },
        ),
        (
            oo.PolyEight(),
            {
                **{(0, 0): 0.5, (2, 0): 1056.5, (-2, 2): 1056.5, (0, 2): 2112.5},
                **{(1, 0): 1156.25, (-1, 1): 1156.25, (1, 1): 2212.25, (0, 1): 2312.0},
            },
        ),
        (oo.Cloche(), {(0, np.sqrt(2 * np.log(1.5))): np.log(6.75) / 3}),
        (oo.RatTwo(), {(0, 0.5 * (1 + np.sqrt(5))): 0.0}),
        (oo.Himmelblau(), {(0, 0): 170.0, (1, 1): 106.0}),
        (oo.Beale(), {(0, 0): 14.203125, (0, 1): 14.203125}),
        (oo.Rosenbrock(), {(-1.2, 1): 24.2}),
        (oo.Rosenbrock(3), {(0, 0, 0): 2.0, (-1, -1, -1): 808.0}),
        (oo.StyblinskiTang(), {(0, 0): 0.0, (1, 1): -10.0, (-2.903534, -2.903534): -78.33233141}),
        (oo.QuarticSaddle(), {(np.sqrt(2), 0): -4.0, (1, 2): 1.0}),
        (oo.VValley(), {(-1, 1.5): 27.0, (0, 0): 1.0, (-3, 3): 4.0}),
        (oo.LogSumExp(3, 0.5), {(0, 0, 0): 0.5 * np.log(6)}),
    ],
    ids=str,
)
def test_values(objective, values):
    for x, value in values.items():
        assert objective.value(*map(float, x)) == pytest.approx(value, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize(
    "objective, point, expected",
    [
        (oo.PolyTwo(), (0, 1), (0.763932, 5.236068)),
        (oo.PolyTwo(), (-2, 1), (0.763932, 5.236068)),
        (oo.PolyThree(), (0, -1), (27.50155, 188.4984)),
        (oo.PolyThree(), (2, -1), (10.05267, 85.94733)),
        (oo.PolyThree(), (-2, 1), (5.750433, 150.2496)),
        (oo.PolyThree(), (0, 1), (4.583592, 31.41641)),
        (oo.PolyFour(), (0, 1), (3.055728, 20.94427)),
        (oo.PolyFive(), (0, 3), (782.2664, 5361.734)),
        (oo.PolyFive(), (-4, 3), (0.0, 2048.0)),
        (oo.PolyFive(), (4, -1), (0.0, 4096.0)),
        (oo.PolyFive(), (0, -1), (0.0, 0.0)),
        (oo.PolyFive(), (2, 1), (0.0, 4096.0)),
        (oo.PolyFive(), (-2, 3), (0.0, 2048.0)),
        (oo.PolyEight(), (0, 0), (427.8019, 2932.198)),
        (oo.PolyEight(), (0, 2), (0.0, 0.0)),
        (oo.QuarticSaddle(), (0, 0), (-8.0, 2.0)),
        (oo.LogSumExp(3, 0.25), (0, 0, 0), (4 / 3, 4 / 3, 4 / 3)),
    ],
    ids=str,
)
def test_eigenvalues_of_hessians(objective, point, expected):
    measured = eigenvalues(objective, point)
    np.testing.assert_allclose(measured, expected, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize(
    "objective, targets", [(oo.Cloche(), (1, 0, 1)), (oo.RatTwo(), (1, 1))], ids=str
)
def test_classifiers_are_cross_entropies(objective, targets):
    rng = np.random.default_rng(4)
    for w, b in rng.uniform(-3.0, 3.0, size=(50, 2)):
        u = np.array([objective.activation(w * x + b) for x in range(len(targets))])
        y = np.array(targets)
        with np.errstate(divide="ignore"):
            losses = -np.where(y == 1, np.log(u), np.log1p(-u))
        assert objective.value(w, b) == pytest.approx(losses.mean(), rel=1e-12)


@pytest.mark.parametrize("b", [1e-100, 1e-8, 1e-4, 0.1, 3.0, 10.0, 40.0])
def test_cloche_has_no_cancellation(b):
    with mpmath.workdps(250):
        square = mpmath.mpf(b) ** 2
        exact = float((square - mpmath.log(1 - mpmath.exp(-square / 2))) / 3)
    assert oo.Cloche().value(0.0, b) == pytest.approx(exact, rel=4.0 * EPS)


def test_rational_activation_is_at_most_one():
    z = np.linspace(-50.0, 50.0, 100_001)
    act = oo.RatTwo().activation(z)
    assert act.max() <= 1.0 + 4.0 * EPS
    assert abs(z[act.argmax()] - 0.5 * (1.0 + np.sqrt(5.0))) < 1e-3
    assert abs(z[act.argmin()] - 0.5 * (1.0 - np.sqrt(5.0))) < 1e-3


# ---------------------------------------------------------------- sums


@pytest.mark.parametrize("objective", [*EXAMPLES, *COMPONENTS], ids=str)
def test_polynomials_list_every_critical_point(objective):
    x = sp.symbols("x", real=True)
    slope = sp.Poly(sp.diff(objective.value(Symbol(x)).expression, x), x)
    roots = sorted({float(r) for r in sp.real_roots(slope)})
    listed = sorted(p.x[0] for p in objective.critical_points)
    np.testing.assert_allclose(listed, roots, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_components_sum_to_the_example(example):
    x = np.linspace(-1.0, 1.0, 41)
    total = sum(example.batch(i).value(x) for i in range(example.batches))
    np.testing.assert_allclose(example.value(x), total, rtol=1e-14)


@pytest.mark.parametrize(
    "number, batches, minima",
    [
        (1, 2, [(0.4, 2.2)]),
        (2, 2, [(-0.7143, 2.0845), (0.5, 3.875)]),
        (3, 2, [(0.72102, 1.3414), (0.0, 2.0)]),
        (4, 2, [(-0.81254, 8.4426), (0.67717, 9.9529)]),
        (5, 3, [(-4 / 9, 11.2222)]),
        (6, 3, [(-0.71807, 3.0037), (0.5, 4.7906)]),
        (7, 3, [(-0.91229, 9.3181)]),
        (8, 4, [(-0.87047, 12.1893), (0.41321, 12.6487)]),
    ],
)
def test_minima_of_examples(number, batches, minima):
    example = oo.Example(number)
    assert example.batches == batches
    listed = [p for p in example.critical_points if p.kind in MINIMA]
    assert [p.kind for p in listed] == list(MINIMA[: len(minima)])
    for point, (x, value) in zip(listed, minima, strict=True):
        assert point.x[0] == pytest.approx(x, abs=5e-5)
        assert example.value(*point.x) == pytest.approx(value, abs=5.1e-5)


def test_corrected_components_of_examples_2_and_6():
    for number in (2, 6):
        first, second = oo.Example(number).batch(0), oo.Example(number).batch(1)
        assert first.value(-0.5) == first.value(0.5) == 0.875
        assert (second.value(-0.75), second.value(0.5)) == (1.046875, 3.0)


def test_only_the_minimum_one_half_interpolates():
    """All components are critical there; at every other minimum they disagree."""
    for example in EXAMPLES:
        for point in example.critical_points:
            if point.kind not in MINIMA:
                continue
            components = map(example.batch, range(example.batches))
            steepest = max(abs(at(c, point.x)[1][0]) for c in components)
            if example.number in (2, 6) and point.x == (0.5,):
                assert steepest < 1e-15
            else:
                assert steepest > 1e-2


def test_step_of_examples_1_and_2_is_the_inverse_of_the_lipschitz_sum():
    x = np.linspace(-1.0, 1.0, 2001)
    for example in EXAMPLES[:2]:
        total = 0.0
        for i in range(example.batches):
            second = [float(at(example.batch(i), (a,))[2][0, 0]) for a in x[::500]]
            total += np.abs(second).max()
        assert example.step == pytest.approx(1.0 / total, rel=1e-3)


# ---------------------------------------------------------------- the others


def test_v_valley_takes_the_middle_subgradient_at_its_kinks():
    valley = oo.VValley()
    np.testing.assert_array_equal(valley.gradient(np.array([1.0, 1.0])), [0.0, 0.0])
    np.testing.assert_array_equal(valley.gradient(np.array([0.0, 0.5])), [-1.0, 100.0])
    np.testing.assert_array_equal(valley.gradient(np.array([0.0, 0.0])), [-1.0, 0.0])
    np.testing.assert_allclose(valley.gradient(np.array([-2.0, 1.0])), [-201.0, -200.0])
    np.testing.assert_allclose(valley.gradient(np.array([2.0, 1.0])), [201.0, -200.0])


def test_second_minimum_of_rosenbrock_appears_with_four_dimensions():
    for dimension in (2, 3, 4, 10, 30):
        kinds = [p.kind for p in oo.Rosenbrock(dimension).critical_points]
        assert kinds == list(MINIMA[: 1 if dimension < 4 else 2])
    local = oo.Rosenbrock(10).critical_points[1]
    np.testing.assert_allclose(local.x[:3], (-0.993263, 0.996606, 0.998241), atol=1e-6)
    assert oo.Rosenbrock(3, a=2.0).critical_points == ()


def test_himmelblau_has_four_minima_four_saddles_and_a_maximum():
    kinds = [p.kind for p in oo.Himmelblau().critical_points]
    assert [kinds.count(k) for k in ("global minimum", "saddle", "maximum")] == [4, 4, 1]


@pytest.mark.parametrize("dimension, count", [(1, 3), (2, 9), (3, 8), (5, 32)])
def test_styblinski_tang_counts(dimension, count):
    landscape = oo.StyblinskiTang(dimension)
    assert len(landscape.critical_points) == count
    lowest = landscape.critical_points[0]
    assert lowest.kind == "global minimum"
    assert landscape.value(*lowest.x) == pytest.approx(-39.16616570377142 * dimension)


def test_beale_falls_along_a_hyperbola():
    """f tends to 0.452 without a critical point: the way out named in the docstring."""
    for x in (-1e6, 1e6):
        assert oo.Beale().value(x, 1.0 - 0.9910714 / x) == pytest.approx(0.45201, abs=1e-4)


def test_log_sum_exp_smooths_the_largest_coordinate():
    x = np.random.default_rng(5).uniform(-3.0, 3.0, size=(3, 1000))
    above = oo.LogSumExp(3, 0.5).value(*x) - np.abs(x).max(axis=0)
    assert above.min() >= 0.0
    assert above.max() <= 0.5 * np.log(6.0)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: oo.Example(0), "number"),
        (lambda: oo.Example(9), "number"),
        (lambda: oo.Example(1).batch(2), "0..1"),
        (lambda: oo.Example(8).batch(-1), "0..3"),
        (lambda: oo.Quadratic((1.0, 0.0)), "spectrum"),
        (lambda: oo.Quadratic(()), "spectrum"),
        (lambda: oo.Rosenbrock(1), "dimension"),
        (lambda: oo.StyblinskiTang(0), "dimension"),
        (lambda: oo.LogSumExp(0), "dimension"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
