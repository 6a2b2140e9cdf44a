"""Random formulas agree to round-off in NumPy, SymPy and the lanes; the words that formulas are written in.

The reference of a random formula is its tree, evaluated with 50 digits together with a running bound of the
error that double precision makes (Wilkinson; Higham, Accuracy and Stability of Numerical Algorithms, section
3.3): every operation hands on the errors of its operands and adds U times its own result. A reader that does
another operation, or one too few, is off by far more than this bound.
"""

import functools
import math
import operator
import random
from dataclasses import dataclass

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import odeopt as oo
from odeopt import FormulaError, State, iterate, linear_solve, put, sigmoid
from odeopt.compile.emit import numpy_function
from odeopt.compile.symbolic import Reader
from odeopt.compile.tracer import Graph, Number, Vector
from odeopt.controllers import Constant
from odeopt.flows import Flow, GradientFlow
from odeopt.schemes import Scheme, Step

U = 2.0**-53
HUGE = mpmath.inf
DIGITS = 50

# -- random trees: (operation, operands ...) of three kinds: "number", "vector", "condition" (of either shape)

CONSTANTS = (0.5, 1.25, -0.75, 2.0, 0.125, -3.0)  # exact in binary and in decimal
COMPARISONS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def random_tree(rng, kind, depth):
    """A tree of this kind; constants stand beside something that varies only."""

    def number(d=depth - 1):
        return random_tree(rng, "number", d)

    def vector(d=depth - 1):
        return random_tree(rng, "vector", d)

    def like(kind=kind):
        return random_tree(rng, kind, depth - 1)

    def condition(of):
        a = random_tree(rng, of, depth - 2)
        b = rng.choice(
            [lambda: random_tree(rng, of, depth - 2), lambda: ("constant", rng.choice(CONSTANTS))]
        )()
        test = ("compare", rng.choice(["<", "<=", ">", ">=", ">", "<", "==", "!="]), a, b)
        return rng.choice(
            [
                lambda: test,
                lambda: ("not", test),
                lambda: (rng.choice(["and", "or"]), test, condition(of) if depth > 2 else test),
            ]
        )()

    if depth <= 0:
        return ("input", rng.choice("vw") if kind == "vector" else "a")
    choices = [
        lambda: (rng.choice("+-*/"), like(), like()),
        lambda: (rng.choice("+-*"), *rng.sample([like(), ("constant", rng.choice(CONSTANTS))], 2)),
        lambda: (
            "/",
            *rng.choice(
                [(like(), ("constant", rng.choice(CONSTANTS))), (("constant", 1.25), ("safe", like()))]
            ),
        ),
        lambda: ("/", like(), ("safe", like())),
        lambda: ("neg", like()),
        lambda: ("power", like(), rng.choice([2, 3, 4, 5])),
        lambda: ("power", ("safe", like()), rng.choice([-1, -2, -3])),
        lambda: (
            rng.choice(["minimum", "maximum"]),
            like(),
            rng.choice([like(), ("constant", rng.choice(CONSTANTS))]),
        ),
        lambda: (rng.choice(["tanh", "sigmoid", "abs", "sign", "tanh", "abs"]), like()),
        lambda: (
            "exp",
            rng.choice([("neg", ("abs", like())), ("minimum", like(), ("constant", 2.0)), ("tanh", like())]),
        ),
        lambda: (rng.choice(["log", "sqrt"]), ("safe", like())),
        lambda: ("sqrt", ("abs", like())),
        lambda: (
            "where",
            condition(rng.choice([kind, "number"])),
            like(),
            rng.choice([like(), ("constant", rng.choice(CONSTANTS))]),
        ),
    ]
    if kind == "number":
        choices += [
            lambda: ("dot", vector(), vector()),
            lambda: ("sum", vector()),
            lambda: ("item", vector(), rng.choice([0, 1, -1])),
        ]
    else:
        choices += [
            lambda: (rng.choice("+-*"), *rng.sample([vector(), number()], 2)),
            lambda: ("/", vector(), ("safe", number())),
        ]
    return rng.choice(choices)()


TEXTS = {
    "neg": "(-{})",
    "not": "(~{})",
    "and": "({} & {})",
    "or": "({} | {})",
    "dot": "({} @ {})",
    "sum": "np.sum({})",
    "sigmoid": "sigmoid({})",
    "safe": "(0.25 + np.abs({}))",
    "where": "np.where({}, {}, {})",
}


def text(tree):
    """The tree as Python text."""
    op, *operands = tree
    if op in ("input", "constant"):
        return f"{operands[0]}" if op == "input" or operands[0] >= 0 else f"({operands[0]})"
    if op == "compare":
        return f"({text(operands[1])} {operands[0]} {text(operands[2])})"
    if op == "power":
        return f"({text(operands[0])})**{operands[1] if operands[1] > 0 else f'({operands[1]})'}"
    if op == "item":
        return f"({text(operands[0])})[{operands[1]}]"
    if op in "+-*/":
        return f"({text(operands[0])} {op} {text(operands[1])})"
    return TEXTS.get(op, f"np.{op}({', '.join(['{}'] * len(operands))})").format(*map(text, operands))


def function(tree):
    """The tree as a Python function of (v, w, a)."""
    namespace = {"np": np, "sigmoid": sigmoid}
    exec(compile(f"def formula(v, w, a):\n    return {text(tree)}", "<random formula>", "exec"), namespace)
    return namespace["formula"]


class Bounded:
    """An exact value and a bound of the absolute error that a reader may make; a vector is a list."""

    def __init__(self, value, error=0.0):
        self.value = mpmath.mpf(value)
        self.error = mpmath.mpf(error) if mpmath.isfinite(error) else HUGE

    def rounded(self, roundings):
        """With the rounding of the operation that gave it; a subnormal result has an absolute one."""
        return Bounded(
            self.value, self.error + roundings * U * abs(self.value) * (1 + 1e-6) + mpmath.mpf(2) ** -1070
        )


def reference(tree, given):
    """The exact value(s) of a tree with bounds; a condition is True, False or None (too close to call)."""
    op, *operands = tree
    if op == "input":
        return given[operands[0]]
    if op == "constant":
        return Bounded(operands[0])
    if op == "compare":
        return elementwise(
            lambda a, b: compared(operands[0], a, b), *(reference(o, given) for o in operands[1:])
        )
    if op == "power":
        return elementwise(lambda a: power(a, operands[1]), reference(operands[0], given))
    if op == "item":
        return reference(operands[0], given)[operands[1]]
    values = [reference(o, given) for o in operands]
    if op in ("dot", "sum"):
        terms = elementwise(RULES["*"], *values) if op == "dot" else values[0]
        # in any order of summation, |error| <= (n - 1) U sum |terms|, to first order (Higham, section 4.2)
        size = sum(abs(t.value) + t.error for t in terms)
        return Bounded(sum(t.value for t in terms), sum(t.error for t in terms) + len(terms) * U * size)
    return elementwise(RULES[op], *values)


def elementwise(rule, *values):
    lengths = {len(v) for v in values if isinstance(v, list)}
    if not lengths:
        return rule(*values)
    return [rule(*(v[i] if isinstance(v, list) else v for v in values)) for i in range(lengths.pop())]


def compared(sign, a, b):
    apart = abs(a.value - b.value) > a.error + b.error
    exact = a.error == b.error == 0
    return bool(COMPARISONS[sign](a.value, b.value)) if apart or exact else None


def divided(a, b):
    if abs(b.value) <= 2 * b.error:
        return Bounded(0, HUGE)
    quotient = a.value / b.value  # three roundings: kernels may take a times 1/b
    return Bounded(quotient, (a.error + abs(quotient) * b.error) / (abs(b.value) - b.error)).rounded(3)


def power(a, n):
    m = abs(n)
    value, error = a.value**m, (abs(a.value) + a.error) ** m - abs(a.value) ** m
    result = Bounded(value, error).rounded(m)  # products, or pow
    return result if n > 0 else divided(Bounded(1), result)


def mapped(f, slope, ulps):
    """A function with |f(x + e) - f(x)| <= slope(x, |e|), computed to within `ulps` roundings."""
    return lambda a: Bounded(f(a.value), slope(a.value, a.error)).rounded(ulps)


def chosen(condition, a, b):
    return Bounded(0, HUGE) if condition is None else (a if condition else b)


def both(a, b):
    return False if a is False or b is False else None if a is None or b is None else True


def negated(a):
    return None if a is None else not a


RULES = {
    "+": lambda a, b: Bounded(a.value + b.value, a.error + b.error).rounded(1),
    "-": lambda a, b: Bounded(a.value - b.value, a.error + b.error).rounded(1),
    # fused with an addition a product has no rounding, which the bound covers
    "*": lambda a, b: Bounded(
        a.value * b.value, abs(a.value) * b.error + abs(b.value) * a.error + a.error * b.error
    ).rounded(1),
    "/": divided,
    "neg": lambda a: Bounded(-a.value, a.error),
    "abs": lambda a: Bounded(abs(a.value), a.error),
    "safe": lambda a: Bounded(abs(a.value) + 0.25, a.error).rounded(1),
    "minimum": lambda a, b: Bounded(min(a.value, b.value), max(a.error, b.error)),
    "maximum": lambda a, b: Bounded(max(a.value, b.value), max(a.error, b.error)),
    "sign": lambda a: Bounded(mpmath.sign(a.value), 0 if abs(a.value) > a.error or a.error == 0 else HUGE),
    "sqrt": mapped(
        mpmath.sqrt, lambda x, e: (e / mpmath.sqrt(x) if e < x else mpmath.sqrt(x + e)) if e else 0, 1
    ),
    "exp": mapped(mpmath.exp, lambda x, e: mpmath.exp(x) * mpmath.expm1(e) if e < 700 else HUGE, 4),
    "log": mapped(mpmath.log, lambda x, e: -mpmath.log(1 - e / x) if e < x else HUGE, 4),
    "tanh": mapped(mpmath.tanh, lambda x, e: e, 4),
    "sigmoid": mapped(lambda x: 1 / (1 + mpmath.exp(-x)), lambda x, e: e / 4, 6),
    "where": chosen,
    "and": both,
    "or": lambda a, b: negated(both(negated(a), negated(b))),
    "not": negated,
}


def bounds(tree, v, w, a):
    """Exact value(s) and error bounds at a state, as a list of Bounded."""
    with mpmath.workdps(DIGITS):
        result = reference(
            tree, {"v": [Bounded(x) for x in v], "w": [Bounded(x) for x in w], "a": Bounded(a)}
        )
        return result if isinstance(result, list) else [result]


def off(number, value):
    """The distance of a value (a float, or SymPy's) from the exact one."""
    with mpmath.workdps(DIGITS):
        return abs(number.value - mpmath.mpf(str(value) if isinstance(value, sp.Basic) else float(value)))


def usable(number):
    """Whether a bound is worth comparing with: no condition is too close to call, nothing overflows."""
    return number.error < 1e-8 * (1 + abs(number.value)) and abs(number.value) < 1e200


def state(rng, n):
    """Coordinates that are exact in 40 digits, and at times equal, zero or of other size."""

    def coordinate():
        return rng.choice(
            [
                rng.uniform(-2.0, 2.0),
                rng.uniform(-2.0, 2.0),
                rng.uniform(-2.0, 2.0),
                rng.gauss(0, 20.0),
                float(rng.randint(-2, 2)),
                1e-3 * rng.gauss(0, 1),
            ]
        )

    return [coordinate() for _ in range(n)], [coordinate() for _ in range(n)], coordinate()


def recorded(tree, n):
    graph = Graph()
    v, w = (Vector([graph.input(f"{name}{i}") for i in range(n)]) for name in "vw")
    a = graph.input("a")
    result = function(tree)(v, w, a)
    return graph, [*v, *w, a], list(result) if isinstance(result, Vector) else [result]


def by_sympy(tree, v, w, a):
    """The recorded formula, read by SymPy at a state that is exact, to 30 digits."""
    _, inputs, outputs = recorded(tree, len(v))
    names = [node.arguments[0] for node in inputs]
    reader = Reader({name: sp.Float(x, 60) for name, x in zip(names, [*v, *w, a], strict=True)}, exact=True)
    try:
        return [
            sp.N(reader.expression(out), 30) if isinstance(out, Number) else sp.Float(out, 60)
            for out in outputs
        ]
    except ZeroDivisionError:  # SymPy refuses 0/0 even where it is not chosen
        return None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), n=st.sampled_from([2, 3]), kind=st.sampled_from(["number", "vector"]))
def test_numpy_and_sympy_and_the_emitted_text_agree_on_random_formulas(seed, n, kind):
    rng = random.Random(seed)
    tree = random_tree(rng, kind, 4)
    graph, inputs, outputs = recorded(tree, n)
    emitted = numpy_function(graph, inputs, outputs)
    for _ in range(3):
        v, w, a = state(rng, n)
        exact = bounds(tree, v, w, a)
        with np.errstate(all="ignore"):
            direct = np.atleast_1d(function(tree)(np.array(v), np.array(w), np.float64(a)))
            text_ = [float(x) for x in emitted(*map(np.float64, [*v, *w, a]))]
        symbolic = by_sympy(tree, v, w, a) if all(map(usable, exact)) else [None] * len(exact)
        assert len(direct) == len(text_) == len(exact)
        for number, x, y, s in zip(exact, direct, text_, symbolic, strict=True):
            if usable(number):
                assert off(number, x) <= number.error, (text(tree), v, w, a)
                assert off(number, y) <= number.error, (text(tree), v, w, a)
            if s is not None:  # 60 digits in place of 16
                allowed = 1e-9 * number.error + mpmath.mpf(10) ** -27 * abs(number.value)
                assert off(number, s) <= allowed, (text(tree), v, w, a)


@dataclass(frozen=True)
class Read(Scheme):
    """Writes the values of functions of x = (v, w, a) into the flow's scalars."""

    functions: tuple = ()
    n: int = 2

    def step(self, ode, t, z, h):
        x, n = z.x, self.n
        values = []
        for f in self.functions:
            result = f(x[:n], x[n : 2 * n], x[2 * n])
            values += [result[i] for i in range(n)] if np.ndim(result) else [result]
        return Step(z.replace(**{f"r{k}": value for k, value in enumerate(values)}))


def carrying(count):
    """A flow of x and `count` scalars that stands still; schemes write what they like into the scalars."""
    names = tuple(f"r{k}" for k in range(count))

    class Carrying(Flow):
        scalars = names

        def field(self, x):
            return (x * 0.0, *[0.0] * count)

        def start(self):
            return dict.fromkeys(names, 0.0)

        def V(self, f):
            return f

    return Carrying()


def one_step(functions, starts, n, count, backend):
    """What the functions of (v, w, a) give at every start, as one step of a run gives it."""
    method = oo.Method(carrying(count), Read(tuple(functions), n), Constant(), 1.0)
    objective = oo.objectives.Quadratic((1.0,) * (2 * n + 1))
    end = oo.solve_many(objective, method, starts, max_steps=1, gtol=0.0, backend=backend)
    assert end.backend == backend
    return np.stack([end.z[f"r{k}"] for k in range(count)], axis=1)


@pytest.mark.parametrize(("n", "seed"), [(2, 1), (3, 2), (2, 3)])
def test_lanes_and_numpy_agree_on_random_formulas_from_the_same_state(n, seed):
    rng = random.Random(seed)
    trees = [random_tree(rng, kind, depth) for kind in ("number", "vector") for depth in (2, 3, 3, 4, 4, 4)]
    functions = [function(tree) for tree in trees]
    states = [state(rng, n) for _ in range(60)]
    starts = np.array([[*v, *w, a] for v, w, a in states])
    owner = [k for k, tree in enumerate(trees) for _ in range(len(bounds(tree, *states[0])))]
    lanes = one_step(functions, starts, n, len(owner), "lanes")
    plain = one_step(functions, starts[:20], n, len(owner), "numpy")
    compared_, sharp = 0, 0
    for row, (v, w, a) in enumerate(states):
        exact = [number for tree in trees for number in bounds(tree, v, w, a)]
        for k, number in enumerate(exact):
            if not usable(number):
                continue
            compared_ += 1
            sharp += number.error <= 1e-13 * max(1, abs(number.value))
            assert off(number, lanes[row, k]) <= number.error, (text(trees[owner[k]]), v, w, a)
            if row < len(plain):
                assert off(number, plain[row, k]) <= number.error, (text(trees[owner[k]]), v, w, a)
    assert compared_ > 0.8 * lanes.size  # the test has teeth: most values are compared,
    assert sharp > 0.9 * compared_  # and to a few roundings


SPECIAL = {
    "minimum": lambda v, w, a: np.minimum(v, w),
    "maximum": lambda v, w, a: np.maximum(v, w),
    "sign": lambda v, w, a: np.sign(v),
    "abs": lambda v, w, a: np.abs(v),
    "sqrt": lambda v, w, a: np.sqrt(v),
    "exp": lambda v, w, a: np.exp(v),
    "log": lambda v, w, a: np.log(v),
    "tanh": lambda v, w, a: np.tanh(v),
    "sigmoid": lambda v, w, a: sigmoid(v),
    "divide": lambda v, w, a: v / w,
    "multiply": lambda v, w, a: v * w,
    "less": lambda v, w, a: np.where(v < w, 1.0, 2.0),
    "not less": lambda v, w, a: np.where(~(v < w), 1.0, 2.0),
    "equal": lambda v, w, a: np.where(v == w, 1.0, 2.0),
    "unequal": lambda v, w, a: np.where(v != w, 1.0, 2.0),
    "chosen": lambda v, w, a: np.where(v > 0.0, v, w),
    "finite": lambda v, w, a: np.where((v < np.inf) & (v > -np.inf), v, 0.0),
    "logical": lambda v, w, a: np.where(np.logical_or(v > w, np.logical_not(v >= 0.0)), 1.0, 0.0),
    "norm": lambda v, w, a: np.linalg.norm(v),
    "largest": lambda v, w, a: np.max(v),
    "least": lambda v, w, a: np.min(w),
    "square": lambda v, w, a: np.square(v),
    "power": lambda v, w, a: np.power(v, 3),
    "base": lambda v, w, a: 2.0**a,
}


def test_special_values_propagate_in_the_lanes_as_in_numpy():
    """Infinities and NaN are made on the way, as quotients: a start that is not finite has ended at once."""
    quotients = [
        (0.0, 0.0),
        (1.0, 0.0),
        (-1.0, 0.0),
        (0.0, 1.0),
        (2.0, 2.0),
        (-5.0, 2.0),
        (1e155, 1e-155),
        (1e-155, 1e155),
    ]
    starts = np.array([[p, q, r, s, 1.5] for p, r in quotients for q, s in quotients])
    starts = [*starts[np.abs(starts).max(axis=1) < 1e150].tolist(), [-0.25, 1e-5, 1e-100, -1e-200, 1.5]]
    functions = [lambda v, w, a, f=f: f(v / w, (v / w)[::-1], a * v[0] / w[0]) for f in SPECIAL.values()]
    count = sum(1 if name in ("norm", "largest", "least", "base") else 2 for name in SPECIAL)
    lanes = one_step(functions, starts, 2, count, "lanes")
    with np.errstate(all="ignore"):
        plain = np.array(
            [
                np.concatenate([np.atleast_1d(f(x[:2], x[2:4], x[4])) for f in functions])
                for x in np.array(starts)
            ]
        )
    np.testing.assert_allclose(lanes, plain, rtol=4 * 2.0**-52)


# -- the tracer


def two():
    graph = Graph()
    return graph, graph.input("a"), graph.input("b")


def test_equal_operations_are_one_node():
    graph, a, b = two()
    assert a + b is b + a
    assert a * b is b * a
    assert (a & b) is (b & a)
    assert a - b is not b - a
    assert a / b is a / b
    assert np.exp(a + b) is np.exp(b + a)
    assert a + 1.0 is 1 + a
    assert a * 1.0 is not a * 1.5
    before = len(graph.nodes)
    _ = [np.minimum(a, b) * 2.0 for _ in range(5)]
    assert len(graph.nodes) == before + 2


def test_zeros_of_either_sign_are_other_constants():
    _, a, _ = two()
    assert a * 0.0 is not a * (-0.0)


def test_operations_of_constants_are_folded():
    graph, a, _ = two()
    before = len(graph.nodes)
    assert graph.operation("add", 1.0, 2.0) == 3.0
    assert np.where(np.bool_(True), a, 2.0) is a
    assert np.where(a > 0.0, 2.0, 2.0) == 2.0
    assert graph.operation("sigmoid", -1000.0) == 0.0
    assert math.isnan(graph.operation("sqrt", -1.0))
    assert graph.operation("div", 1.0, 0.0) == math.inf
    assert np.where(a > 0.0, a, a) is a
    assert (a > 0.0) | np.bool_(True) is True
    kept = a > 0.0
    assert (kept & np.bool_(True)) is kept
    assert {node.op for node in graph.nodes[before:]} == {"gt"}


@pytest.mark.parametrize("n", range(1, 10))
def test_integer_powers_are_products(n):
    graph, a, _ = two()
    result = a**n
    assert {node.op for node in graph.nodes} <= {"input", "mul"}
    steps = len(graph.nodes) - 2
    assert steps <= 2 * math.log2(n)  # by repeated squaring
    assert numpy_function(graph, [a], [result])(3.0) == (3.0**n,)
    assert a**n is np.power(a, float(n))


def test_other_powers():
    graph, a, b = two()
    vector = Vector([a, b])
    outputs = [a**0, a**-2, a**0.5, a**1.5, 2.0**a, b**a, *(vector**vector), *(2.0**vector), *(vector**2)]
    got = numpy_function(graph, [a, b], [x for x in outputs if isinstance(x, Number)])(
        np.float64(1.7), np.float64(0.3)
    )
    x, y = 1.7, 0.3
    want = [x**-2, x**0.5, x**1.5, 2**x, y**x, x**x, y**y, 2**x, 2**y, x**2, y**2]
    assert outputs[0] == 1.0
    np.testing.assert_allclose(got, want, rtol=1e-15)


def test_vectors_know_their_words():
    graph, a, b = two()
    v = Vector([a, b])
    matrix = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    outputs = [
        *(matrix @ v),
        *(v @ matrix.T),
        v @ np.array([2.0, 3.0]),
        np.array([2.0, 3.0]) @ v,
        np.sum(v),
        v.sum(),
        np.dot(v, v),
        np.linalg.norm(v),
        np.max(v),
        np.min(v),
        *(np.array([1.0, 2.0]) - v),
        *(np.float64(2.0) * v),
        *np.zeros_like(v),
        *np.ones_like(v),
        *sigmoid(np.zeros_like(v)),
        *sigmoid(v),
        *v[::-1],
        v[-1],
        *put(v, 1, 7.0),
        sum(v),
        *(-v),
        *abs(v),
    ]
    numbers = [x if isinstance(x, Number) else graph.operation("add", a - a, x) for x in outputs]
    got = numpy_function(graph, [a, b], numbers)(np.float64(1.5), np.float64(-2.0))
    x = np.array([1.5, -2.0])
    s = 1 / (1 + np.exp(-x))
    want = [
        *(matrix @ x),
        *(matrix @ x),
        x @ [2.0, 3.0],
        x @ [2.0, 3.0],
        -0.5,
        -0.5,
        x @ x,
        math.sqrt(x @ x),
        1.5,
        -2.0,
        *([1.0, 2.0] - x),
        *(2 * x),
        0,
        0,
        1,
        1,
        0.5,
        0.5,
        *s,
        *x[::-1],
        -2.0,
        1.5,
        7.0,
        -0.5,
        *(-x),
        *abs(x),
    ]
    np.testing.assert_allclose(got, want, rtol=1e-15)
    assert len(v) == np.size(np.zeros(2)) == v.size
    assert np.shape(v) == v.shape == (2,)
    assert np.ndim(v) == 1
    assert np.ndim(a) == 0


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda v, a: v + Vector([a, a, a]), "lengths"),
        (lambda v, a: v @ Vector([a]), "lengths"),
        (lambda v, a: np.arctan(a), "np.arctan"),
        (lambda v, a: np.linalg.eigh(v), r"np\.linalg\.eigh"),
        (lambda v, a: np.add.reduce(v), "np.add with reduce"),
        (lambda v, a: float(a), "math"),
        (lambda v, a: bool(a > 0), "np.where"),
        (lambda v, a: bool(v > 0), "np.where"),
        (lambda v, a: list(a), "vector"),
        (lambda v, a: operator.setitem(v, 0, 1.0), "put"),
        (lambda v, a: np.sum(v, axis=0), "axis"),
        (lambda v, a: range(a), "math"),
    ],
)
def test_what_cannot_be_recorded_says_what_to_write(bad, message):
    _, a, b = two()
    with pytest.raises(FormulaError, match=message):
        bad(Vector([a, b]), a)


def kernel(flow, scheme, controller, **options):
    from odeopt.compile.lanes import LaneKernel
    from odeopt.trial import Limits, Machine

    return LaneKernel(
        Machine(oo.objectives.Rosenbrock(), flow, scheme, controller, 0.1, Limits(**options)), 2
    )


def test_kernels_hold_nothing_that_is_not_needed():
    """Gradient descent needs no value, no V and no memory; t_end brings the clock into play."""
    plain = kernel(GradientFlow(), oo.schemes.ExplicitEuler(), Constant())
    assert {path[0] for path in plain.paths} <= {"status", "t", "n", "trials", "z", "g"}
    assert ("h",) not in plain.paths  # a constant step is a parameter
    checked = kernel(GradientFlow(), oo.schemes.ExplicitEuler(), oo.controllers.LyapunovBacktracking())
    assert ("V",) in checked.paths
    assert ("h",) in checked.paths
    assert ("f",) not in checked.paths  # V is f: one slot holds both
    assert sum(checked.operations.values()) > sum(plain.operations.values())


def test_a_memory_that_only_keeps_itself_alive_is_dropped():
    @dataclass(frozen=True)
    class Counting(Scheme):
        def memory(self):
            return {"steps": 0.0, "level": 1.0}

        def step(self, ode, t, z, h, steps, level):
            return Step(z + h * level * ode.field(t, z), memory={"steps": steps + 1.0, "level": 0.5 * level})

    paths = kernel(GradientFlow(), Counting(), Constant()).paths
    assert ("scheme_memory", "level") in paths
    assert ("scheme_memory", "steps") not in paths


# -- linear_solve


def solved_by_tracer(A, b):
    graph, n = Graph(), len(b)
    inputs = [graph.input(f"i{k}") for k in range(n * n + n)]
    x = linear_solve([Vector(inputs[n * i : n * i + n]) for i in range(n)], Vector(inputs[n * n :]))
    with np.errstate(all="ignore"):
        return np.array(numpy_function(graph, inputs, list(x))(*map(np.float64, [*np.ravel(A), *b])))


@pytest.mark.parametrize("n", range(1, 9))
def test_linear_solve_is_backward_stable(n):
    """Residual <= growth n U |A| |x|, with growth <= 2^(n-1), and below 10 in practice, by pivoting."""
    rng = np.random.default_rng(n)
    for _ in range(20):
        A, b = rng.normal(size=(n, n)) * 10.0 ** rng.uniform(-3, 3, (n, 1)), rng.normal(size=n)
        x = solved_by_tracer(A, b)
        allowed = 20 * n * n * U * (np.abs(A).max(axis=1) * np.abs(x).sum() + np.abs(b))
        assert np.all(np.abs(A @ x - b) <= 10 * allowed.max())
        np.testing.assert_allclose(x, np.linalg.solve(A, b), rtol=1e-12 * np.linalg.cond(A))


def test_linear_solve_pivots():
    """Without pivoting the first would divide by zero and the second lose every digit."""
    for A, b in (
        ([[0.0, 1.0], [1.0, 0.0]], [2.0, 3.0]),
        ([[1e-20, 1.0], [1.0, 1.0]], [1.0, 2.0]),
        ([[0.0, 0.0, 2.0], [0.0, 3.0, 1.0], [4.0, 1.0, 1.0]], [2.0, 4.0, 6.0]),
    ):
        np.testing.assert_allclose(solved_by_tracer(A, b), np.linalg.solve(A, b), rtol=1e-15)


@pytest.mark.parametrize(
    "A", [np.zeros((2, 2)), np.ones((2, 2)), np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 9.0], [0.0, 0.0, 0.0]])]
)
def test_a_singular_system_has_no_finite_solution(A):
    b = np.arange(1.0, len(A) + 1)
    assert not np.all(np.isfinite(solved_by_tracer(A, b)))
    assert not np.any(np.isfinite(linear_solve(A, b)))


def test_linear_solve_takes_arrays_beside_recorded_numbers():
    graph, a, b = two()
    by_matrix = linear_solve(np.array([[2.0, 1.0], [1.0, 3.0]]), Vector([a, b]))
    by_vector = linear_solve([Vector([a, b]), Vector([b, a])], np.array([1.0, 2.0]))
    got = numpy_function(graph, [a, b], [*by_matrix, *by_vector])(np.float64(3.0), np.float64(1.0))
    want = [*np.linalg.solve([[2, 1], [1, 3]], [3, 1]), *np.linalg.solve([[3, 1], [1, 3]], [1, 2])]
    np.testing.assert_allclose(got, want, rtol=1e-14)
    with pytest.raises((FormulaError, ValueError), match="at most 8"):
        linear_solve(np.eye(9), Vector([a] * 9))


# -- iterate


@dataclass(frozen=True)
class ImplicitEuler(Scheme):
    """y = x - h g(y) by Newton's method, at most `most` rounds."""

    most: int = 12
    tol: float = 1e-9

    def step(self, ode, t, z, h):
        def newton(y, size):
            residual = y - z.x + h * ode.g(y)
            H = ode.hessian(y)
            n = len(y)
            rows = [put(h * H[i], i, 1.0 + h * H[i][i]) for i in range(n)]
            return (
                y - linear_solve(rows, residual),
                np.sqrt(residual @ residual),
                np.sqrt(residual @ residual) <= self.tol,
            )

        y, _, done = iterate(newton, (z.x, 1.0), self.most)
        return Step(z.replace(x=y), solved=done)


class Halve(oo.Controller):
    def control(self, h, solved):
        return True, np.where(solved, 1.5 * h, 0.5 * h), {}


@pytest.mark.parametrize("most", [4, 12])
def test_newton_in_a_scheme_counts_alike_in_both_readers(most):
    """The readers differ by rounding: with a tolerance far from it rounds and counts are the same."""
    method = oo.Method(GradientFlow(), ImplicitEuler(most, 1e-6), Halve(), 0.02)
    starts = np.random.default_rng(3).uniform(-2.0, 2.0, (40, 2))
    ends = [
        oo.solve_many(oo.objectives.Rosenbrock(), method, starts, max_steps=6, gtol=1e-9, backend=b)
        for b in ("lanes", "numpy")
    ]
    lanes, plain = ends
    for name in ("status", "nit", "trials", "nfev", "njev", "nhev"):
        np.testing.assert_array_equal(getattr(lanes, name), getattr(plain, name), err_msg=name)
    np.testing.assert_allclose(lanes.x, plain.x, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(lanes.h, plain.h, rtol=1e-13)
    rounds = lanes.nhev / lanes.trials
    assert rounds.max() <= most
    assert np.ptp(rounds) > 0.1  # some starts need more rounds than others: the exit is early


def test_implicit_euler_solves_its_equation():
    method = oo.Method(GradientFlow(), ImplicitEuler(12, 1e-10), Constant(), 0.02)
    starts = np.random.default_rng(4).uniform(-2.0, 2.0, (50, 2))
    objective = oo.objectives.Rosenbrock()
    end = oo.solve_many(objective, method, starts, max_steps=1, gtol=0.0, backend="lanes")
    stepped = end.nit == 1
    assert stepped.mean() > 0.5
    residual = end.x + 0.02 * objective.gradient(end.x) - starts
    assert np.abs(residual[stepped]).max() < 1e-9


def test_what_was_known_in_a_round_is_unknown_after_the_loop():
    """Values met inside a loop belong to its rounds: asked for again afterwards they are evaluated again."""

    class Asks(Scheme):
        def step(self, ode, t, z, h):
            def body(y, s):
                return y - h * ode.g(y), s + ode.f(z.x), s > 100.0

            y, s, _ = iterate(body, (z.x, 0.0), 6)
            return Step(z.replace(x=y + 0.0 * s + 0.0 * ode.f(z.x)))

    method = oo.Method(GradientFlow(), Asks(), Constant(), 0.01)
    ends = [
        oo.solve_many(oo.objectives.PolyTwo(), method, [[0.3, 0.4]], max_steps=3, gtol=0.0, backend=b)
        for b in ("lanes", "numpy")
    ]
    np.testing.assert_allclose(ends[0].x, ends[1].x, rtol=1e-14)


def test_iterate_unrolls_up_to_four_rounds_and_loops_above():
    for most, loops in ((4, 0), (5, 1)):
        graph, a, _ = two()
        x, done = iterate(lambda x: (0.5 * (x + 2.0 / x), np.abs(x * x - 2.0) < 1e-12), (a,), most)
        assert sum(node.op == "loop" for node in graph.nodes) == loops
        assert isinstance(x, Number)
        assert isinstance(done, Number)
    graph, a, _ = two()
    x, done = iterate(lambda x: (0.5 * (x + 2.0 / x), np.abs(x * x - 2.0) < 1e-12), (a,), 4)
    run = numpy_function(graph, [a], [x, done])
    for start in (1.0, 1.4, 30.0, math.sqrt(2.0)):  # Heron's rule for sqrt(2)
        want = iterate(lambda x: (0.5 * (x + 2.0 / x), np.abs(x * x - 2.0) < 1e-12), (start,), 4)
        assert run(np.float64(start)) == want


def test_a_bisection_from_constants_is_recorded():
    """The start of an iteration may hold constants only; the root of x^3 = a in [0, 4], in both readers."""

    def root(a, most):
        def body(low, high):
            middle = 0.5 * (low + high)
            above = middle * middle * middle > a
            low, high = np.where(above, low, middle), np.where(above, middle, high)
            return low, high, high - low < 1e-12

        return iterate(body, (0.0, 4.0), most)

    def roots(v, w, a):
        low, high, _ = root(a, 60)
        short, _, _ = root(a, 3)
        return Vector([low + high, short]) if isinstance(a, Number) else np.array([low + high, short])

    starts = np.zeros((20, 5))
    starts[:, 4] = np.linspace(0.1, 60.0, 20)
    lanes = one_step([roots], starts, 2, 2, "lanes")
    plain = one_step([roots], starts, 2, 2, "numpy")
    np.testing.assert_allclose(lanes[:, 0] / 2, np.cbrt(starts[:, 4]), rtol=1e-11)
    np.testing.assert_array_equal(lanes, plain)  # halving is exact
    assert np.all(np.abs(lanes[:, 1] + 0.25 - np.cbrt(starts[:, 4])) <= 0.2501)  # three halvings of [0, 4]


@pytest.mark.parametrize("most", [0, -1, 2.5, "3"])
def test_iterate_refuses_a_wrong_number_of_rounds(most):
    with pytest.raises(ValueError, match="most"):
        iterate(lambda x: (x, True), (1.0,), most)


def test_a_body_that_loses_a_value_is_an_error():
    _, a, b = two()
    with pytest.raises(FormulaError, match="took 2 numbers and returned 1"):
        iterate(lambda x, y: (x, x > 0.0), (a, b), 9)


# -- put, sigmoid and states


def test_put_replaces_one_coordinate_and_leaves_the_rest():
    x = np.array([1.0, 2.0, 3.0])
    y = put(x, 1, 7.0)
    assert y.tolist() == [1.0, 7.0, 3.0]
    assert x.tolist() == [1.0, 2.0, 3.0]
    _, a, b = two()
    v = Vector([a, b])
    assert put(v, 0, b).coordinates == (b, b)
    assert v.coordinates == (a, b)


def test_sigmoid_is_stable_at_both_ends():
    x = np.array([-800.0, -745.0, -30.0, 0.0, 30.0, 800.0])
    with mpmath.workdps(400):
        want = [float(1 / (1 + mpmath.exp(-mpmath.mpf(a)))) for a in x]
    np.testing.assert_allclose(sigmoid(x), want, rtol=1e-15)
    np.testing.assert_allclose([sigmoid(a) for a in x], want, rtol=1e-15)


finite = st.floats(-1e3, 1e3)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(finite, min_size=10, max_size=10), finite)
def test_states_are_a_vector_space_with_an_inner_product(numbers, h):
    p = State({"x": np.array(numbers[:2]), "v": np.array(numbers[2:4]), "s": np.float64(numbers[4])})
    q = State({"x": np.array(numbers[5:7]), "v": np.array(numbers[7:9]), "s": np.float64(numbers[9])})
    flat = [np.concatenate([z.x, z.v, [z.s]]) for z in (p, q)]
    for got, want in (
        (p + q, flat[0] + flat[1]),
        (p - q, flat[0] - flat[1]),
        (h * p, h * flat[0]),
        (p * h, h * flat[0]),
        (np.float64(h) * p, h * flat[0]),
        (-p, -flat[0]),
        (p / 2.0, flat[0] / 2.0),
    ):
        assert isinstance(got, State)
        np.testing.assert_array_equal(np.concatenate([got.x, got.v, [got.s]]), want)
    assert p @ q == pytest.approx(flat[0] @ flat[1], rel=1e-12, abs=1e-9)
    assert list(p) == ["x", "v", "s"]
    assert p["v"] is p.v


def test_states_are_not_changed_in_place():
    z = State({"x": np.array([1.0, 2.0])})
    with pytest.raises(TypeError, match="replace"):
        z.x = np.zeros(2)
    with pytest.raises(AttributeError, match="no block 'v', only x"):
        z.replace(v=1.0)
    with pytest.raises(AttributeError, match="no block 'v', only x"):
        _ = z.v
    assert z.replace(x=z.x + 1).x.tolist() == [2.0, 3.0]
    assert z.x.tolist() == [1.0, 2.0]


def test_recorded_states_have_the_same_algebra():
    graph, a, b = two()
    z = State({"x": Vector([a, b]), "s": a})
    total = 2.0 * z + z / 4.0 - (-z)
    outputs = [*total.x, total.s, z @ z, (a * z).s, (z * np.float64(3.0)).s, (np.float64(3.0) * z).s]
    got = numpy_function(graph, [a, b], outputs)(np.float64(4.0), np.float64(8.0))
    assert got == (13.0, 26.0, 13.0, 16.0 + 64.0 + 16.0, 16.0, 12.0, 12.0)
    assert functools.reduce(operator.and_, [p is q for p, q in zip((z + z).x, (z + z).x, strict=True)])
