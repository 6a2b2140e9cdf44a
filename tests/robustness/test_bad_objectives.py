"""Objectives in Python that raise, lie, change or return nonsense: their errors reach the user, or a status says it."""

import math
import time
from itertools import count

import numpy as np
import pytest

import odeopt as oo
from odeopt.objectives import Function
from odeopt.status import Status

READERS = ("numpy", "vector")


def bowl(x):
    return float(x @ x)


def slope(x):
    return 2.0 * x


def run(fun, jac=slope, reader="numpy", method=None, x0=(0.5, 0.3), **options):
    kept = {name: options.pop(name) for name in ("args", "hess") if name in options}
    options = {"max_steps": 200, "max_trials": 3000} | options
    return oo.solve(Function(fun, jac, **kept), method or oo.methods.lc_gd(), list(x0), backend=reader, **options)


def raising(error):
    def fun(x):
        raise error
    return fun


def yielding(x):
    yield 1.0


# -- what they return: (function, gradient, error, pieces of the message)

RETURNS = {
    "a text": (lambda x: "low", slope, TypeError, ["`fun` must return one real number", "'low'"]),
    "a number as text": (lambda x: "1.5", slope, TypeError, ["`fun` must return one real number", "'1.5'"]),
    "nothing": (lambda x: None, slope, TypeError, ["`fun` must return one real number", "None"]),
    "complex": (lambda x: 1j, slope, TypeError, ["`fun` must return one real number", "1j"]),
    "a dict": (lambda x: {}, slope, TypeError, ["`fun` must return one real number", "{}"]),
    "a generator": (yielding, slope, TypeError, ["`fun` must return one real number", "generator"]),
    "a vector": (lambda x: x * x, slope, ValueError, ["`fun` must return one number", "shape (2,)"]),
    "an empty list": (lambda x: [], slope, ValueError, ["`fun` must return one number", "shape (0,)"]),
    "value and gradient": (lambda x: (bowl(x), 2 * x), slope, TypeError, ["did you mean jac=True?"]),
    "a value only": (bowl, True, TypeError, ["(value, gradient) where jac=True", "0.33999"]),
    "three": (lambda x: (bowl(x), 2 * x, 1), True, TypeError, ["(value, gradient) where jac=True"]),
    "a short gradient": (bowl, lambda x: x[:1], ValueError, ["shape of x, (2,)", "got (1,)"]),
    "a number for a gradient": (bowl, lambda x: 1.0, ValueError, ["shape of x, (2,)", "got ()"]),
    "a row": (bowl, lambda x: x[None], ValueError, ["shape of x, (2,)", "got (1, 2)"]),
    "no gradient": (bowl, lambda x: None, TypeError, ["`jac(x)` must be an array of numbers", "None"]),
    "a gradient of texts": (
        bowl, lambda x: ["a", "b"], TypeError, ["`jac(x)` must be an array of numbers", "['a', 'b']"]),
    "a complex gradient": (bowl, lambda x: 2 * x + 1j, TypeError, ["`jac(x)` must be an array of numbers", "1.j"]),
    "a modulus by complex step": (lambda x: np.abs(x).sum(), "cs", TypeError, ['jac="cs"', "0.8", '"3-point"']),
    "the real part by complex step": (lambda x: x.real @ x.real, "cs", TypeError, ['jac="cs"', "0.33999", '"3-point"']),
    "a complex vector": (lambda x: x * x, "cs", TypeError, ['jac="cs"', '"3-point"']),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", RETURNS)
def test_what_a_function_returns_is_looked_at(case, reader):
    fun, jac, error, pieces = RETURNS[case]
    with pytest.raises(error) as caught:
        run(fun, jac, reader)
    assert type(caught.value) is error
    for piece in pieces:
        assert piece in str(caught.value)


@pytest.mark.parametrize("make", [lambda x: float(x @ x), lambda x: math.exp(x[0])])
def test_numbers_that_lose_their_imaginary_part_give_no_gradient_by_complex_step(make):
    with pytest.warns(np.exceptions.ComplexWarning), pytest.raises(TypeError, match=r'jac="cs".*or use jac="3-point"'):
        run(make, "cs")


ARGUMENTS = [
    ({"fun": 3}, "`fun` must be a function of x, got 3"),
    ({"fun": None}, "`fun` must be a function of x, got None"),
    ({"fun": bowl, "jac": "4-point"}, "2-point, 3-point, cs, got '4-point'"),
    ({"fun": bowl, "jac": None}, "2-point, 3-point, cs, got None"),
    ({"fun": bowl, "jac": [slope]}, "2-point, 3-point, cs, got ["),
    ({"fun": bowl, "args": 3}, "`args` must be a tuple, got 3: write args=(3,)"),
    ({"fun": bowl, "args": [3]}, "`args` must be a tuple, got [3]"),
    ({"fun": bowl, "hess": np.eye(2)}, "`hess` must be a function of x or None, got array"),
]


@pytest.mark.parametrize(("given", "message"), ARGUMENTS, ids=lambda a: a if isinstance(a, str) else "")
def test_what_a_function_is_made_of(given, message):
    with pytest.raises(TypeError) as caught:
        Function(**given)
    assert message in str(caught.value)


HESSIANS = {
    "too large": (lambda x: np.eye(3), ValueError, "the Hessian must have the shape (2, 2), got (3, 3)"),
    "nothing": (lambda x: None, TypeError, "`hess(x)` must be an array of numbers, got None"),
    "none": (None, oo.FormulaError, "Function has no Hessian"),
}


@pytest.mark.parametrize("case", HESSIANS)
def test_hessians_that_are_none(case):
    hess, error, message = HESSIANS[case]
    with pytest.raises(error) as caught:
        run(bowl, method=oo.methods.lc_newton(), hess=hess)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("fun", "method", "missing"),
    [
        (bowl, oo.methods.lm(), "residuals"),
        (bowl, oo.methods.lc_newton(), "Hessian"),
        (bowl, oo.methods.lm_er(), "residuals"),
    ],
)
def test_derivatives_that_are_asked_for_and_missing(fun, method, missing):
    with pytest.raises(oo.FormulaError, match=missing):
        run(fun, method=method)


# -- what they raise

ERRORS = [ValueError("mine"), TypeError("mine"), ZeroDivisionError("mine"), KeyError("mine"), AttributeError("mine"),
          IndexError("mine"), RecursionError("mine"), MemoryError("mine"), OSError("mine"), SystemExit(3),
          AssertionError("mine"), NotImplementedError("mine"), StopIteration("mine")]  # fmt: skip


@pytest.mark.parametrize("place", ["at the start", "in a step", "in a stage"])
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_what_a_function_raises_is_raised(error, reader, place):
    """The very exception, wherever it arises: no reader takes it for a formula that it cannot read."""
    calls = count()

    def jac(x):
        if next(calls) >= ("at the start", "in a step", "in a stage").index(place):
            raise error
        return 2.0 * x

    method = oo.methods.lc_rkc() if place == "in a stage" else oo.methods.lc_gd()
    with pytest.raises(type(error)) as caught:
        run(bowl, jac, reader, method)
    assert caught.value is error


class Switched:
    """A function whose state is no part of the problem."""

    __slots__ = ("function",)

    def __init__(self, function):
        self.function = function

    def __call__(self, x):
        return self.function(x)


@pytest.mark.parametrize("reader", READERS)
def test_runs_that_ended_before_an_error_are_in_the_journal(reader, tmp_path):
    """The exception reaches the user; with `out` the same call goes on from what had ended."""
    broken, begun = [True], []

    def fun(x):
        if x[0] == 5.0 and broken:
            raise OSError("the licence server is down")
        begun.append(x[0])
        return float(x @ x)

    objective = Function(Switched(fun), slope)
    X, out = np.stack([np.arange(1.0, 9.0), np.ones(8)], axis=1), tmp_path / "a.nc"

    def solved():
        return oo.solve_many(objective, oo.methods.lc_gd(), X, backend=reader, threads=1, out=out)

    with pytest.raises(OSError, match="the licence server is down"):
        solved()
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc.part"]
    broken.clear()
    begun.clear()
    end = solved()
    assert end.counts() == {"CONVERGED": 8}
    assert begun.count(2.0) == 0                            # it is not run again
    assert begun.count(6.0) == 1
    assert oo.load(out).x.tobytes() == end.x.tobytes()


# -- what they say of themselves is wrong

LIES = {
    "not a number": (lambda x: np.nan, slope, Status.STEP_UNDERFLOW),
    "infinite": (lambda x: np.inf, slope, Status.STEP_UNDERFLOW),
    "minus infinite": (lambda x: -np.inf, slope, Status.STEP_UNDERFLOW),
    "a gradient of not-a-number": (bowl, lambda x: x * np.nan, Status.DIVERGED),
    "an infinite gradient": (bowl, lambda x: x / 0.0, Status.DIVERGED),
    "one coordinate of not-a-number": (bowl, lambda x: np.array([2.0 * x[0], np.nan]), Status.DIVERGED),
    "the opposite gradient": (bowl, lambda x: -2.0 * x, Status.STEP_UNDERFLOW),
    "a gradient across": (bowl, lambda x: np.array([x[1], -x[0]]), Status.STEP_UNDERFLOW),
    "a gradient ten times too large": (bowl, lambda x: 20.0 * x, Status.STEP_UNDERFLOW),
    "a constant gradient": (bowl, np.ones_like, Status.STEP_UNDERFLOW),
    "a constant value": (lambda x: 1.0, slope, Status.STEP_UNDERFLOW),
    "a kink": (lambda x: float(np.abs(x).sum()), np.sign, Status.STEP_UNDERFLOW),
    "no least value": (lambda x: -bowl(x), lambda x: -2.0 * x, Status.DIVERGED),
    "an input that it changes": (lambda x: float(np.multiply(x, 0.0, out=x).sum()), slope, Status.STEP_UNDERFLOW),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", LIES)
def test_lyapunov_control_does_not_converge_to_nonsense(case, reader):
    fun, jac, status = LIES[case]
    end = run(fun, jac, reader)
    assert end.status == status
    assert not end.success
    if status == Status.STEP_UNDERFLOW:
        assert "gradient does not fit the value" in end.message
        assert np.linalg.norm(end.x) > 1e-4


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("jac", [lambda x: 0.0 * x, lambda x: 1e-9 * x])
def test_a_gradient_that_vanishes_is_believed_and_refuted(jac, reader):
    """A run asks the gradient alone whether it has converged; `verify.gradient` compares it with the value."""
    end = run(bowl, jac, reader)
    assert (end.status, end.nit, end.x.tolist()) == (Status.CONVERGED, 0, [0.5, 0.3])
    assert oo.verify.gradient(Function(bowl, jac), [[0.5, 0.3]]).status == "refuted"


@pytest.mark.parametrize("reader", READERS)
def test_a_function_that_changes_between_calls_ends(reader):
    ticks, rng = count(), np.random.default_rng(0)
    assert run(lambda x: bowl(x) + next(ticks), reader=reader).status == Status.STEP_UNDERFLOW
    noisy = run(lambda x: bowl(x) + 0.1*rng.normal(), reader=reader)
    assert noisy.status in (Status.STEP_UNDERFLOW, Status.CONVERGED)    # of the true gradient
    assert noisy.trials < 3000


@pytest.mark.parametrize("reader", READERS)
def test_overflow_within_a_function_is_no_warning(reader):
    """Whatever thread calls it: infinite values are results, as in a run by NumPy."""
    end = run(lambda x: float(np.exp(1e3 * x @ x)), lambda x: 2e3 * x * np.exp(1e3 * x @ x), reader, x0=(1.0, 0.0))
    assert end.status == Status.DIVERGED


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("jac", [slope, "2-point", "3-point"])
def test_huge_points_diverge(jac, reader):
    assert run(bowl, jac, reader, x0=(1e300, 1e300)).status == Status.DIVERGED


@pytest.mark.parametrize("reader", READERS)
def test_a_slow_function_is_given_up(reader):
    def slow(x):
        time.sleep(0.02)
        return 1e-3 * x

    end = run(bowl, slow, reader, oo.methods.gd(1e-3), time_limit=0.1)
    assert end.status == Status.TIME_LIMIT
    assert not end.success
    assert 0 < end.nit <= 100
    assert np.all(np.isfinite(end.x))


def test_an_interrupt_does_not_call_a_slow_function_for_what_had_not_begun():
    calls = count()

    def bowl_of_many(x):
        if x[0] == 3.0:
            raise KeyboardInterrupt
        next(calls)
        return float(x @ x)

    X = np.stack([np.arange(1.0, 1001.0), np.ones(1000)], axis=1)
    with pytest.warns(RuntimeWarning, match="interrupted"):
        end = oo.solve_many(Function(bowl_of_many, slope), oo.methods.lc_gd(), X)
    assert end.counts() == {"INTERRUPTED": 998, "CONVERGED": 2}
    assert next(calls) == end.nfev[:2].sum() + 2            # and the values at the two ends
    np.testing.assert_array_equal(end.x[2:], X[2:])
    assert np.all(np.isnan(end.fun[2:]))
    assert end.nfev[2:].sum() == end.njev[2:].sum() == 0


def test_an_interrupt_raised_by_a_function_in_compiled_vectors_is_raised():
    with pytest.raises(KeyboardInterrupt):
        run(raising(KeyboardInterrupt()), reader="vector")
