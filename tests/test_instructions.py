"""What trials may hold beside arithmetic on numbers: the kernels do with it what NumPy does."""

from dataclasses import dataclass

import numpy as np
import pytest

import odeopt as oo
from odeopt import Method, Step, objectives
from odeopt.controllers import Constant, Controller
from odeopt.flows import Flow, GradientFlow
from odeopt.schemes import ExplicitEuler, Scheme

STARTS = ((0.3, 0.4), (1.2, -0.7), (-0.5, 1.1))


@dataclass(frozen=True)
class Nested(Scheme):
    """Square roots by Newton's method in a loop, in each round of another."""

    def step(self, ode, t, z, h):
        def outer(y, k):
            def inner(w, m):
                return 0.5*(w + y[0]*y[0]/w), m + 1.0, m >= 6.0
            w, _, _ = oo.iterate(inner, (1.0 + y[0]*y[0], 0.0), 9)
            return oo.put(y, 0, y[0] - h*w), k + 1.0, k >= 5.0
        y, _, _ = oo.iterate(outer, (z.x, 0.0), 8)
        return Step(z.replace(x=y))


@dataclass(frozen=True)
class Standing(Scheme):
    """A number that no round changes, in a function and in a condition."""

    def step(self, ode, t, z, h):
        def body(y, c, k):
            return y - h*np.where(c > 1.0, 1.0, 2.0)*np.sqrt(c)*ode.g(y), c, k + 1.0, k >= 5.0
        y, _, _, _ = oo.iterate(body, (z.x, 2.0, 0.0), 8)
        return Step(z.replace(x=y))


@dataclass(frozen=True)
class CountsFromACondition(Scheme):
    """What a loop carries begins as a condition and goes on as a number."""

    def step(self, ode, t, z, h):
        def body(y, c, k):
            return y - h*ode.g(y), c + 1.0, k + 1.0, k >= 5.0
        y, c, _, _ = oo.iterate(body, (z.x, z.x[0] < 5.0, 0.0), 8)
        return Step(z.replace(x=y + 0.01*c))


@dataclass(frozen=True)
class NumberAsCondition(Scheme):
    """A memory that no trial changes chooses."""

    def memory(self, x):
        return {"flag": 1.0}

    def step(self, ode, t, z, h, flag):
        return Step(z.replace(x=z.x - h*np.where(flag, ode.g(z.x), 2.0*z.x)))


@dataclass(frozen=True)
class StandsOnlyThen(Scheme):
    """A memory of which it turns out that no trial changes it."""

    def memory(self, x):
        return {"flag": False, "m": 2.0}

    def step(self, ode, t, z, h, flag, m):
        return Step(z.replace(x=z.x - h*np.sqrt(m)*ode.g(z.x)), memory={"m": np.where(flag, z.x[0], m)})


@dataclass(frozen=True)
class MemoryInALoop(Scheme):
    """A memory that no trial changes, in a loop."""

    def memory(self, x):
        return {"c": 2.0}

    def step(self, ode, t, z, h, c):
        def body(y, k):
            return y - h*np.sqrt(c)*ode.g(y), k + 1.0, k >= 5.0
        y, _, _ = oo.iterate(body, (z.x, 0.0), 8)
        return Step(z.replace(x=y))


def ends(objective, method, backend, steps=7):
    """Where runs are after so many steps, at most."""
    return oo.solve_many(objective, method, STARTS, gtol=0.0, max_steps=steps, max_trials=3*steps, backend=backend)


def assert_alike(objective, method, backend, steps=7):
    """Few steps, on which errors of some eps grow little."""
    one, two = (ends(objective, method, name, steps) for name in ("numpy", backend))
    np.testing.assert_allclose(two.x, one.x, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(two.status, one.status)
    assert np.abs(one.x - STARTS).max() > 1e-3


@pytest.mark.timeout(60)
@pytest.mark.parametrize("scheme", [Nested, Standing, CountsFromACondition, NumberAsCondition, StandsOnlyThen,
                                    MemoryInALoop])
def test_lanes_do_as_numpy(scheme):
    assert_alike(objectives.PolyTwo(), Method(GradientFlow(), scheme(), Constant(), 0.01), "lanes")


class Remembered(Controller):
    """Accepts what it remembers, a condition that is no comparison of this trial."""

    def memory(self, h):
        return {"ok": True}

    def control(self, h, V0, V1, ok):
        return ok, h, {"ok": V1 <= V0}


@pytest.mark.parametrize("backend", ["lanes", "vector"])
def test_a_condition_may_come_from_memory(backend):
    P = np.linspace(-1.0, 1.0, 9)[:, None]
    net = objectives.Network((1, 1), P, 2.0*P)
    objective = net if backend == "vector" else objectives.PolyTwo()
    assert_alike(objective, Method(GradientFlow(), ExplicitEuler(), Remembered(), 0.01), backend)


class Late(Flow):
    """A flow that wakes up at t = 0, and begins long before."""

    blocks = ("x",)
    t0 = -800.0

    def field(self, t, g):
        return -g/(1.0 + np.exp(-1.0*t))


def test_clocks_that_overflow_at_the_start_come_back():
    assert_alike(objectives.PolyTwo(), Method(Late(), ExplicitEuler(), Constant(), 0.5), "lanes", 1700)


@dataclass(frozen=True)
class Counted(objectives.Landscape):
    """A condition, times 1, is a number: two of them are 2."""

    dimension = 2

    def value(self, x, y):
        return (1.0*(x > 0.0) + 1.0*(y > 0.0))*(x*x + y*y)


def test_conditions_are_added_as_numbers():
    at = np.array([1.0, 2.0])
    assert Counted().f(at) == 10.0
    np.testing.assert_array_equal(Counted().gradient(at), [4.0, 8.0])
