"""Derivatives of recorded numbers are those of the formula: rule by rule, on random formulas and on every landscape."""

import ast
import operator
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass

import mpmath
import numpy as np
import pytest

import odeopt as oo
from odeopt import FormulaError, objectives, verify
from odeopt.compile import derivative
from odeopt.compile.adjoint import gradient, ordered, tangents
from odeopt.compile.derivative import FOLDER, SOURCES, Derivatives, deriver
from odeopt.compile.tracer import COMPARISONS, LOGICAL, Graph, Number
from odeopt.controllers import Constant
from odeopt.flows import Flow
from odeopt.language import iterate, sigmoid
from odeopt.schemes import ExplicitEuler

U = 2.0**-53

# -- recorded numbers with many digits: derivatives of the rules are exact, those of the formula are differences

EXACT = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv, "neg": operator.neg,
    "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge, "eq": operator.eq, "ne": operator.ne,
    "and": lambda a, b: a and b, "or": lambda a, b: a or b, "not": operator.not_,
    "select": lambda c, a, b: a if c else b,
    "sqrt": mpmath.sqrt, "abs": abs, "sign": mpmath.sign, "exp": mpmath.exp, "log": mpmath.log, "tanh": mpmath.tanh,
    "sin": mpmath.sin, "cos": mpmath.cos, "sigmoid": lambda a: 1/(1 + mpmath.exp(-a)),
    "min": lambda a, b: a if a <= b else b, "max": lambda a, b: a if a >= b else b,
}


def exact(outputs, inputs, values):
    """Values of recorded numbers, in mpmath's working precision."""
    known = {a.index: mpmath.mpf(x) for a, x in zip(inputs, values, strict=True)}

    def value(a):
        return known[a.index] if isinstance(a, Number) else a if isinstance(a, bool) else mpmath.mpf(a)
    for node in ordered(outputs):
        if node.index not in known:
            known[node.index] = EXACT[node.op](*map(value, node.arguments))
    return [value(a) for a in outputs]


def recorded(formula, n):
    """A formula of n numbers: its inputs and its value."""
    graph = Graph()
    x = [graph.input(f"x{i}") for i in range(n)]
    return x, formula(*x)


def slope(outputs, inputs, at, along):
    """Derivatives along a direction by central differences: 60 digits leave an error of 1e-40."""
    h = mpmath.mpf(10)**-20
    ahead, behind = (exact(outputs, inputs, [mpmath.mpf(a) + s*v for a, v in zip(at, along, strict=True)])
                     for s in (h, -h))
    return [(a - b)/(2*h) for a, b in zip(ahead, behind, strict=True)]


def check(formula, at):
    """The gradient and a Hessian-vector product of a formula at a point, to 25 digits."""
    x, f = recorded(formula, len(at))
    g = gradient(f, x)
    v = [0.5, 1.25, -2.0][:len(at)]                       # products of constants are folded in double precision
    with mpmath.workdps(60):
        unit = np.eye(len(at))
        want = [slope([f], x, at, unit[i])[0] for i in range(len(at))] + slope(g, x, at, v)
        got = exact([*g, *tangents(g, x, v)], x, at)
        size = 1 + max(map(abs, want))
        for a, b in zip(got, want, strict=True):
            assert abs(a - b) <= size*mpmath.mpf(10)**-25, (at, got, want)
        along = exact(tangents([f], x, v), x, at)[0]        # forward and reverse mode are one derivative
        assert abs(along - sum(a*b for a, b in zip(got, v, strict=False))) <= size*mpmath.mpf(10)**-40
    return f, g


RULES = {                                                   # nonlinear in the result, so that adjoints are not 1
    "add": lambda a, b: (a + b)*a, "sub": lambda a, b: (a - b)*a, "mul": lambda a, b: (a*b)*a, "div": lambda a, b: a/b,
    "neg": lambda a: np.exp(-a)*a, "sqrt": lambda a: np.sqrt(a)*a, "abs": lambda a, b: np.abs(a*b)*b,
    "exp": lambda a, b: np.exp(a*b), "log": lambda a, b: np.log(a)*b, "tanh": lambda a, b: np.tanh(a*b)*a,
    "sigmoid": lambda a, b: sigmoid(a*b)*a, "sin": lambda a, b: np.sin(a*b), "cos": lambda a, b: np.cos(a*b)*b,
    "select": lambda a, b: np.where(a > b, a*b, a/b), "min": lambda a, b: np.minimum(a*a, b)*a,
    "max": lambda a, b: np.maximum(a*a, b)*a, "sign": lambda a, b: np.sign(a)*b*b,
    "lt": lambda a, b: (a < b)*a*b + np.where(~(a < b), a, b*b), "le": lambda a, b: np.where(a <= b, a*a, b),
    "gt": lambda a, b: np.where(a > b, a*a, b), "ge": lambda a, b: np.where(a >= b, a*a, b),
    "eq": lambda a, b: np.where(a == b, a*a, b*b), "ne": lambda a, b: np.where(a != b, a*a, b*b),
    "and": lambda a, b: np.where((a > 0.1) & (b > 1.0), a*a, b*b),
    "or": lambda a, b: np.where((a > 9.0) | (b > 1.0), a*a, b*b),
    "not": lambda a, b: np.where(~(a > b), a*a, b*b),
    "square": lambda a: (a*a)*(a*a), "shared": lambda a, b: (a - b)*(a - b)/(a + b),
    "truths": lambda a, b: (a > 0.0)*a + (b > 0.0)*b, "negated": lambda a, b: -((-a)*b) - np.negative(-b),
    "constant": lambda a, b: 3.0*a - b/2.0 + 2.0/a,
}


def test_every_operation_is_here():
    from odeopt.compile import adjoint
    from odeopt.compile.emit import KERNEL
    recorded = set(KERNEL) - {"fma"}                        # which no formula asks for: kernels fuse
    assert {*adjoint._RULES, *adjoint._STEPS, "select", "min", "max"} == recorded
    assert recorded <= set(RULES) and recorded == set(EXACT)


@pytest.mark.parametrize("name", RULES)
def test_the_rule_of_every_operation(name):
    formula = RULES[name]
    for at in ([0.3, 1.7], [1.9, 0.6], [0.05, 0.04], [2.5, 7.0]):
        check(formula, at[:formula.__code__.co_argcount])


def at_(formula, *at):
    """The gradient at a point as floats; derivatives of functions of a landscape's readers are emitted from it."""
    derived = Derivatives(lambda _: formula, len(at), 0, "trace")
    return [float(a) for a in derived.value_and_gradient(*map(np.float64, at))[1]]


def test_kinks_take_the_branch_that_the_reader_takes():
    assert at_(lambda a, b: np.abs(a) + b, 0.0, 1.0) == [0.0, 1.0]
    assert at_(lambda a, b: np.abs(a)*b, -0.0, 3.0) == [0.0, 0.0]
    assert at_(np.minimum, 2.0, 2.0) == at_(np.maximum, 2.0, 2.0) == [1.0, 0.0]
    assert at_(lambda a, b: np.minimum(b, a), 2.0, 2.0) == [0.0, 1.0]
    assert at_(np.minimum, 1.0, 2.0) == at_(np.maximum, 2.0, 1.0) == [1.0, 0.0]
    assert at_(np.minimum, 2.0, 1.0) == at_(np.maximum, 1.0, 2.0) == [0.0, 1.0]
    assert at_(lambda a, b: np.where(a >= b, 3.0*a, 5.0*b), 1.0, 1.0) == [3.0, 0.0]
    assert at_(lambda a: np.sign(a)*1.0, 0.0) == at_(lambda a: np.where(a > 0.0, 1.0, 2.0), 0.0) == [0.0]


def test_what_is_not_chosen_does_not_matter():
    """Though it is infinite or not a number; the test of what is chosen may be far from where it is used."""
    def inner(a):
        return np.where(a > 0.0, np.sqrt(np.abs(a)), a)
    with np.errstate(all="ignore"):
        assert at_(inner, 0.0) == [1.0] and at_(inner, 4.0) == [0.25]
        assert at_(lambda a, b: np.where(a == 0.0, 1.0 + b*b, np.sin(b*a)/a), 0.0, 3.0) == [0.0, 6.0]
        assert at_(lambda a, b: np.minimum(a*a*b, 1.0/a)*b, 0.0, 3.0) == [0.0, 0.0]
        nested = at_(lambda a, b: np.where(a < 1.0, np.where(b > 0.0, np.log(b), b*a), np.log(-b))*a + b*a, 0.5, -2.0)
        np.testing.assert_allclose(nested, [-4.0, 0.75])
        d = Derivatives(lambda _: inner, 1, 0, "trace")
        assert d.hessian(np.float64(0.0)) == ((0.0,),) and d.hessian(np.float64(4.0))[0][0] == -1/32


def test_what_does_not_vary():
    x, f = recorded(lambda a, b: a*a, 2)
    assert gradient(f, x)[1] == 0.0 and gradient(3.0, x) == [0.0, 0.0] and gradient(x[0], x) == [1.0, 0.0]
    assert tangents([x[1], 2.0], x, [0.0, 1.0]) == [1.0, 0.0]
    assert tangents(gradient(x[0] + x[1], x), x, [1.0, 1.0]) == [0.0, 0.0]
    before = len(f.graph.nodes)
    gradient(f, [x[1]])
    assert len(f.graph.nodes) == before                     # nothing is recorded in vain


def test_adjoints_are_operations_like_any_other():
    (a, b), f = recorded(lambda a, b: np.exp(a*b), 2)
    ga, gb = gradient(f, [a, b])
    assert ga is f*b and gb is f*a                          # value numbering finds the value in the gradient
    assert gradient(f, [a, b])[0] is ga


def test_loops_have_no_derivative_and_unrolled_ones_do():
    def newton(most):
        def formula(a):
            return iterate(lambda x: (0.5*(x + a/x), x*x < 0.0), (1.0 + 0.0*a,), most)[0]
        return formula
    f, _ = check(newton(4), [2.5])
    assert count([f]) > 10
    x, f = recorded(newton(5), 1)
    with pytest.raises(FormulaError, match=r"a loop .* has no derivative: write it out"):
        gradient(f, x)
    assert gradient(f, [f.graph.input("other")]) == [0.0]   # it does not vary with this one

    class Looped(oo.Landscape):
        dimension = 1

        def value(self, a):
            return newton(5)(a)
    with pytest.raises(FormulaError, match=r"a loop .* has no derivative: write it out"):
        Looped().gradient(np.array([2.0]))


# -- random formulas

UNARY = [np.tanh, sigmoid, np.sin, np.cos, np.abs, lambda a: -a, lambda a: a*a, lambda a: np.exp(np.tanh(a)),
         lambda a: np.log(0.5 + a*a), lambda a: np.sqrt(0.5 + a*a), lambda a: 1.5*a, lambda a: np.sign(a)*a]
BINARY = [operator.add, operator.sub, operator.mul, lambda a, b: a/(1.0 + b*b), np.minimum, np.maximum,
          lambda a, b: np.where(a > b, a*b, a - b), lambda a, b: np.where(~(a > 0.5) | (b < a), a, b*b)]


def random_formula(seed, size=20, binary=BINARY):
    def formula(*x):
        rng, numbers = random.Random(seed), list(x)
        for _ in range(size):
            unary = rng.random() < 0.4
            arguments = [rng.choice(numbers[-6:]) for _ in range(1 if unary else 2)]
            numbers.append(rng.choice(UNARY if unary else binary)(*arguments))
        return sum(numbers[-3:], 0.25*numbers[-4])
    return formula


def count(outputs):
    """Operations that these numbers take: arithmetic, functions, comparisons and choices; a minimum is two of them."""
    return sum(2 if node.op in ("min", "max") else node.op != "input" for node in ordered(outputs))


def operations(landscape):
    """Operations of a landscape's value, of value and gradient together, and of its Hessian times a vector."""
    x, f = recorded(landscape.value, landscape.dimension)
    g = gradient(f, x)
    v = [f.graph.input(f"v{i}") for i in range(landscape.dimension)]
    return {"value": count([f]), "gradient": count([f, *g]), "hessp": count(tangents(g, x, v))}


def dearness(f, x):
    """Operations of the value with its gradient, over those of the value; and what the theorem says at most."""
    chooses = any(node.op in ("select", "min", "max") for node in ordered([f]))
    return count([f, *gradient(f, x)])/count([f]), 8 if chooses else 5


@pytest.mark.parametrize("seed", range(40))
def test_random_formulas(seed):
    rng = random.Random(seed)
    check(random_formula(seed), [rng.uniform(-1.5, 1.5) for _ in range(3)])


def test_a_gradient_costs_at_most_five_values():
    """Baur and Strassen's bound: operation by operation, on formulas, and on every landscape in any dimension."""
    for formula in RULES.values():
        x, f = recorded(formula, formula.__code__.co_argcount)
        ratio, most = dearness(f, x)
        assert ratio <= most
    largest = {5: 0.0, 8: 0.0}
    for seed in range(50):
        for binary in (BINARY, BINARY[:4]):
            x, f = recorded(random_formula(seed, 60, binary), 3)
            ratio, most = dearness(f, x)
            assert ratio <= most
            largest[most] = max(largest[most], ratio)
    assert min(largest.values()) > 2.5                      # the theorem is about the worst case
    costs = {str(o): operations(o) for o in LANDSCAPES}
    assert max(c["gradient"]/c["value"] for c in costs.values()) <= 2.6
    assert max(c["hessp"]/c["value"] for c in costs.values()) <= 6.5
    for n in (2, 20, 200):
        cost = operations(objectives.Rosenbrock(n))
        assert cost["gradient"] < 2*cost["value"] and cost["hessp"] < 3*cost["value"]


# -- landscapes: two texts of one derivative, each with a bound of its own rounding errors

KINDS = [kind for kind in vars(objectives).values() if isinstance(kind, type) and issubclass(kind, oo.Landscape)]
LANDSCAPES = [kind() for kind in KINDS if not any(issubclass(other, kind) and other is not kind for other in KINDS)
              and kind not in (objectives.Component, objectives.Example)]
LANDSCAPES += [objectives.Example(number) for number in range(1, 9)]
LANDSCAPES += [objectives.Example(8).batch(i) for i in range(4)]
LANDSCAPES += [objectives.QuarticSaddle(c=-1.3), objectives.Quadratic((-2.0, 3.0, 0.1)),
               objectives.Rosenbrock(3, a=0.7, b=9.1), objectives.StyblinskiTang(3), objectives.LogSumExp(3, 0.3)]


def bounded(function, arguments):
    """Values of a function's outputs and first-order bounds of their rounding errors, at arrays of arguments.

    The function is recorded; then every operation hands on the errors of its operands and adds those of its own
    (Higham, Accuracy and Stability of Numerical Algorithms, section 3.3). Constants may be a rounding off.
    """
    graph = Graph()
    inputs = [graph.input(f"a{k}") for k in range(len(arguments))]
    outputs = flat(function(*inputs))
    known = {a.index: (x, 0.0*x) for a, x in zip(inputs, arguments, strict=True)}

    def value(a):
        if isinstance(a, Number):
            return known[a.index]
        return np.float64(a), 0.0 if float(a).is_integer() else U*abs(a)
    for node in ordered(outputs):
        if node.index not in known:
            known[node.index] = step(node.op, *(part for a in node.arguments for part in value(a)))
    return [tuple(np.broadcast_to(part, len(arguments[0])) for part in value(a)) for a in outputs]


def flat(values):
    return [b for a in values for b in flat(a)] if isinstance(values, tuple) else [values]


SLOPES = {"exp": lambda a, r: r, "log": lambda a, r: 1/a, "tanh": lambda a, r: 1 - r*r, "sqrt": lambda a, r: 0.5/r,
          "abs": lambda a, r: 1.0, "neg": lambda a, r: 1.0}


def step(op, a, da, b=0.0, db=0.0, c=0.0, dc=0.0):
    if op in (*COMPARISONS, *LOGICAL, "sign"):              # random points are far from where they change
        return {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
                "sign": lambda a, _: np.sign(a)}[op](a, b), 0.0
    if op == "select":
        return np.where(a, b, c), np.where(a, db, dc)
    if op in SLOPES:
        r = {"abs": np.abs, "neg": np.negative}.get(op) or getattr(np, op)
        r = r(a)
        return r, np.abs(SLOPES[op](a, r))*da + (0.0 if op in ("abs", "neg") else 4*U*np.abs(r))
    if op in ("add", "sub"):
        r = a + b if op == "add" else a - b
        return r, da + db + U*np.abs(r)
    if op == "mul":
        return a*b, np.abs(a)*db + np.abs(b)*da + U*np.abs(a*b)
    assert op == "div"
    return a/b, (da + np.abs(a/b)*db)/np.abs(b) + U*np.abs(a/b)


@pytest.mark.parametrize("objective", LANDSCAPES, ids=str)
def test_trace_and_sympy_derive_the_same(objective):
    """At 100 random points the difference is below the sum of both bounds, and the bounds are small."""
    n, rng = objective.dimension, np.random.default_rng(0)
    x, v = list(rng.uniform(*objective.box, (n, 100))), list(rng.normal(size=(n, 100)))
    trace, sympy = (Derivatives(lambda _: objective.value, n, 0, way) for way in ("trace", "sympy"))
    assert sympy.way == "sympy" and objective.derivatives == "sympy"
    sympy._by_sympy("value_and_gradient")                   # it can read them all; else it would be silently replaced
    with np.errstate(all="raise", under="ignore"):
        pairs = [*zip(bounded(trace.value_and_gradient, x), bounded(sympy.value_and_gradient, x), strict=True),
                 *zip(bounded(trace.hessian, x), bounded(sympy.hessian, x), strict=True)]
        product = bounded(lambda *a: tuple(sum((h*b for h, b in zip(row, a[n:], strict=True)), 0.0*a[0])
                                           for row in sympy.hessian(*a[:n])), [*x, *v])
        pairs += zip(bounded(lambda *a: trace.hessp(*a), [*x, *v]), product, strict=True)
        sizes = [np.max([np.abs(p[0][0]) for p in group], axis=0)
                 for group in (pairs[:1], pairs[1:1 + n], pairs[1 + n:-n], pairs[-n:])]
    size = np.repeat(np.array(sizes), (1, n, n*n, n), axis=0)
    for ((a, da), (b, db)), scale in zip(pairs, size, strict=True):
        assert np.all(np.abs(a - b) <= 1.01*(da + db))
        # a dozen roundings or so of the largest component, but where terms of an outer point cancel
        assert np.median((da + db)/np.maximum(scale, 1e-3)) <= 1e-13


@pytest.mark.parametrize("objective", [objectives.PolyFive(), objectives.Rosenbrock(3, a=0.7),
                                       objectives.LogSumExp(2, 0.3)], ids=str)
def test_hessp_of_landscapes(objective):
    rng, n = np.random.default_rng(1), objective.dimension
    X, V = rng.uniform(-2, 2, (5, n)), rng.normal(size=(5, n))
    many = objective.hessp(X, V)
    for x, v, Hv in zip(X, V, many, strict=True):
        np.testing.assert_array_equal(objective.hessp(x, v), Hv)
        np.testing.assert_allclose(Hv, objective.hessian(x) @ v, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(objective.hessp(X[0], V)[2], objective.hessp(X[0], V[2]))
    np.testing.assert_array_equal(objective.hessp(X, V[0])[2], objective.hessp(X[2], V[0]))


@dataclass(frozen=True)
class Damped(Flow):
    """Inertia whose damping follows the curvature: asks for the Hessian times the velocity."""

    blocks = ("x", "v")

    def field(self, x, v, g, hessp):
        return v, -g - v - 0.1*hessp(v)

    def V(self, f, v):
        return f + 0.5*(v @ v)

    def dissipation(self, v, hessp):
        return v @ v + 0.1*(v @ hessp(v))


def test_hessian_vector_products_run_in_the_lanes():
    assert verify.dissipation(Damped()).status == "proved"
    method = oo.Method(Damped(), ExplicitEuler(), Constant(), 0.02)
    X = np.random.default_rng(2).uniform(-1, 1, (20, 3))
    lanes, plain = (oo.solve_many(objectives.Rosenbrock(3, b=3.0), method, X, max_steps=100, gtol=0.0, backend=b)
                    for b in ("lanes", "numpy"))
    np.testing.assert_allclose(lanes.x, plain.x, rtol=1e-10, atol=1e-10)
    assert np.all(plain.fun < 0.3*objectives.Rosenbrock(3, b=3.0).f(X).max())


# -- who differentiates

@dataclass(frozen=True)
class OneSided(oo.Landscape):
    """A formula that SymPy cannot read: it multiplies no truth values."""

    weight: float = 1.5

    def value(self, x, y):
        return (x > 0.0)*self.weight*x*x + (y < 1.0)*(y - 1.0)*(y - 1.0)*(1.0 + x*x)


def test_formulas_that_sympy_cannot_read():
    with pytest.raises(TypeError):
        Derivatives(lambda _: OneSided().value, 2, 0)._by_sympy("value_and_gradient")
    x, y = X = np.array([[0.5, -0.5, 0.5, -0.5], [0.3, 0.4, 2.0, 2.0]])
    w, below, right = y - 1.0, y < 1.0, x > 0.0
    slopes = np.stack([3*x*right + 2*x*w*w*below, 2*w*(1 + x*x)*below], axis=1)
    np.testing.assert_allclose(OneSided().gradient(X.T), slopes)
    np.testing.assert_allclose(OneSided().hessian(X.T)[:, 0, 0], 3.0*right + 2*w*w*below)
    np.testing.assert_allclose(OneSided().f(X.T), 1.5*x*x*right + w*w*(1 + x*x)*below)
    assert verify.gradient(OneSided())
    starts = np.random.default_rng(0).uniform(-2, 2, (50, 2))
    lanes, plain = (oo.solve_many(OneSided(), oo.methods.lc_gd(), starts, gtol=1e-6, backend=b)
                    for b in ("lanes", "numpy"))
    assert lanes.backend == "lanes" and np.all(lanes.status == oo.Status.CONVERGED)
    np.testing.assert_array_equal(lanes.nit, plain.nit)
    np.testing.assert_allclose(lanes.x, plain.x, rtol=1e-9, atol=1e-12)


@dataclass(frozen=True)
class Traced(objectives.Rosenbrock):
    """Rosenbrock's function, by the trace whatever its dimension."""

    derivatives = "trace"


def test_the_trace_alone_runs_in_the_lanes_too():
    starts = np.random.default_rng(0).uniform(-2, 2, (20, 3))
    a, b = (oo.solve_many(kind(3, b=5.0), oo.methods.lc_gd(), starts, gtol=1e-3)
            for kind in (objectives.Rosenbrock, Traced))
    assert a.backend == b.backend == "lanes"
    np.testing.assert_allclose(a.x, b.x, atol=1e-3)
    want = objectives.Rosenbrock(3, a=0.5).gradient(starts)
    np.testing.assert_allclose(Traced(3, a=0.5).gradient(starts), want, rtol=1e-12, atol=1e-11)


def test_long_formulas_are_left_to_the_trace():
    def way(formula, n):
        return Derivatives(lambda _: formula, n, 0).way

    def iterated(x, y):
        for _ in range(8):
            x, y = np.tanh(x*y) + 0.1*x, x - y*y
        return x*x + y*y
    assert way(lambda *x: sum(a*a for a in x), 16) == "sympy"
    assert way(lambda *x: sum(a*a for a in x), 17) == "trace"
    assert way(iterated, 2) == "trace"                      # 60 operations, but 50 000 without common subexpressions
    assert way(objectives.Rosenbrock(16).value, 16) == way(objectives.LogSumExp(16).value, 16) == "sympy"
    with pytest.raises(ValueError, match='"sympy" or "trace", got \'jax\''):
        Derivatives(lambda _: iterated, 2, 0, "jax")


def test_many_coordinates():
    n = 200
    x, v = np.random.default_rng(0).uniform(-1.5, 1.5, (2, n))
    wall = x[1:] - x[:-1]**2
    g, Hv = np.zeros((2, n))
    g[:-1] = -400*x[:-1]*wall - 2*(1 - x[:-1])
    g[1:] += 200*wall
    Hv[:-1] = (800*x[:-1]**2 - 400*wall + 2)*v[:-1] - 400*x[:-1]*v[1:]
    Hv[1:] += 200*v[1:] - 400*x[:-1]*v[:-1]
    np.testing.assert_allclose(objectives.Rosenbrock(n).gradient(x), g, rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(objectives.Rosenbrock(n).hessp(x, v), Hv, rtol=1e-12, atol=1e-10)


def test_the_trace_needs_no_sympy():
    code = ("import sys, numpy as np, odeopt as oo\n"
            "class R(oo.objectives.Rosenbrock): derivatives = 'trace'\n"
            "R(20).gradient(np.ones(20)), R().hessian(np.ones(2)), R().hessp(np.ones(2), np.ones(2))\n"
            "assert 'sympy' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


# -- verify.gradient

def quartic(x):
    return np.sum(x**4) + x[0]*x[1]


def slopes(x):
    return 4*x**3 + np.array([x[1], x[0], 0.0])


def curvature(x):
    return np.diag(12*x**2) + np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 0]])


POINTS = np.random.default_rng(0).normal(size=(20, 3))
RECORDED, DIFFERENCES = "the derivative of the recorded value", "central differences"


@pytest.mark.parametrize("objective", LANDSCAPES, ids=str)
def test_gradients_of_landscapes_are_verified(objective):
    points = np.random.default_rng(3).uniform(*objective.box, (8, objective.dimension))
    verdict = verify.gradient(objective, [*points, *(p.x for p in objective.critical_points)][:20])
    assert verdict.status == "measured", verdict
    assert all(f"{what} agrees with {RECORDED} to" in verdict.detail for what in ("gradient", "hessian", "hessp"))


def test_random_points_are_of_the_box():
    verdict = verify.gradient(objectives.Himmelblau())
    assert verdict and "at 100 points" in repr(verdict) and "measured: Himmelblau()" in repr(verdict)
    with pytest.raises(ValueError, match=r"does not tell its dimension: give points, an array \(S, n\)"):
        verify.gradient(objectives.Function(quartic, slopes))


@pytest.mark.parametrize(("objective", "recorded"), [
    (objectives.Function(quartic, slopes, hess=curvature), True),
    (objectives.Function(lambda x: float(quartic(x)), slopes, hess=curvature), False),
    (objectives.Function(lambda x: (quartic(x), slopes(x)), True), True),
    (objectives.Function(quartic), True), (objectives.Function(quartic, "3-point"), True),
    (objectives.Function(quartic, "cs"), True),
    (objectives.Function(lambda x: quartic(x) if x[0] > 0.0 else 2.0*quartic(x),
                         lambda x: slopes(x)*(1 + (x[0] <= 0))), False),
    (objectives.Function(lambda x, c: c*quartic(x), lambda x, c: c*slopes(x), (3.0,)), True)])
def test_honest_plain_functions_are_not_refuted(objective, recorded):
    verdict = verify.gradient(objective, POINTS)
    assert verdict.status == "measured", verdict
    assert (f"gradient agrees with {RECORDED}" in verdict.detail) == recorded
    assert ("the value cannot be recorded" in verdict.detail) != recorded
    assert ("hessian" in verdict.detail) == (objective.hess is not None)


@pytest.mark.parametrize(("fun", "reference"), [(quartic, RECORDED), (lambda x: float(quartic(x)), DIFFERENCES)])
@pytest.mark.parametrize("lie", [-0.5, 1e-4])
def test_a_lying_gradient_is_refuted(fun, reference, lie):
    """With the component, and with both numbers, at the worst point."""
    objective = objectives.Function(fun, lambda x: slopes(x) + lie*np.array([0.0, x[0], 0.0]))
    verdict = verify.gradient(objective, POINTS)
    assert verdict.status == "refuted" and not verdict and verdict.subject is objective
    at = verdict.counterexample
    x = np.array([at[f"x{i}"] for i in range(3)])
    assert x.tolist() in POINTS.tolist()
    assert at["gradient[1]"] == slopes(x)[1] + lie*x[0]
    assert at[reference] == pytest.approx(slopes(x)[1], abs=1e-9)
    assert at["difference"] == pytest.approx(lie*x[0], rel=1e-4)
    assert f"gradient[1] differs from {reference} by" in repr(verdict) and "gradient[1] = " in repr(verdict)


def test_a_small_lie_is_refuted_where_the_value_can_be_recorded():
    assert not verify.gradient(objectives.Function(quartic, lambda x: slopes(x)*(1 + 1e-8)), POINTS)


def test_lying_hessians_are_refuted():
    def wrong(x):
        return curvature(x) + np.array([[0, 0, 1e-4], [0, 0, 0], [0, 0, 0]])
    verdict = verify.gradient(objectives.Function(quartic, slopes, hess=wrong), POINTS)
    assert "hessian[0][2]" in verdict.counterexample and not verdict
    verdict = verify.gradient(objectives.Function(lambda x: float(quartic(x)), slopes, hess=wrong), POINTS)
    assert "hessian @ v[0]" in verdict.counterexample and not verdict

    class Wrong(objectives.PolyThree):
        def hessp(self, x, v):
            return 0.999*super().hessp(x, v)
    assert "hessp" in verify.gradient(Wrong()).detail and not verify.gradient(Wrong())


def test_the_complex_step_of_a_kink_is_refused():
    """|x + i e| forgets e: the gradient would be 0."""
    with pytest.raises(TypeError, match="without abs"):
        verify.gradient(objectives.Function(lambda x: np.abs(x).sum(), "cs"), POINTS)


@pytest.mark.parametrize("fun", [lambda x: np.abs(x[0] - 1.0) + x[1], lambda x: float(np.abs(x[0] - 1.0) + x[1])])
def test_kinks_are_left_out_of_differences(fun):
    """Wherever the kink is among the points of the differences."""
    near = [[1.0 + s*d, 0.3] for d in [0.0, *0.05*2.0**-np.linspace(-1, 30, 47)] for s in (1.0, -1.0)]
    objective = objectives.Function(fun, lambda x: np.array([np.sign(x[0] - 1.0), 1.0]))
    assert verify.gradient(objective, near).status == "measured"
    assert not verify.gradient(objectives.Function(fun, lambda x: np.array([np.sign(x[0] - 1.0), 0.9])), near)


def test_nothing_to_compare_is_refused():
    objective = objectives.Function(lambda x: np.inf, lambda x: x*np.nan)
    verdict = verify.gradient(objective, POINTS)
    assert verdict.status == "refused" and not verdict
    assert not verify.gradient(objectives.Function(quartic, lambda x: slopes(x)*np.nan), POINTS)


# -- kept texts

def test_what_another_version_has_derived_is_not_found(tmp_path, monkeypatch):
    """A change of any source of the derivation changes the key of what is kept."""
    folder = tmp_path/"sources"
    folder.mkdir()
    for name in SOURCES:
        shutil.copy(f"{FOLDER}/{name}.py", folder)
    assert deriver.__wrapped__(str(folder)) == deriver()
    digests = {deriver()}
    for name in SOURCES:
        with open(folder/f"{name}.py", "a", encoding="utf-8") as file:
            file.write("# changed\n")
        digests.add(deriver.__wrapped__(str(folder)))
    assert len(digests) == 1 + len(SOURCES)

    monkeypatch.setenv("ODEOPT_CACHE_DIR", str(tmp_path))
    for version in ("one", "one", "another"):
        monkeypatch.setattr(derivative, "deriver", lambda version=version: version)
        assert Derivatives(lambda _: lambda x: x*x*x, 1, 0).value_and_gradient(2.0) == (8.0, (12.0,))
    assert len(list((tmp_path/"derived").iterdir())) == 2


def test_no_source_of_the_derivation_is_forgotten():
    """Whatever of this folder these import, but the cache, is among them."""
    for name in SOURCES:
        with open(f"{FOLDER}/{name}.py", encoding="utf-8") as file:
            tree = ast.parse(file.read())
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        inside = {module.removeprefix("odeopt.compile.") for module in imported if module.startswith("odeopt.compile.")}
        assert inside <= set(SOURCES)


def test_the_derivatives_that_come_with_the_package_are_what_is_derived_now():
    """If not: python -m odeopt.objectives.shipped."""
    from odeopt.compile.derivative import shipped
    from odeopt.objectives.shipped import texts

    assert shipped() == texts()
