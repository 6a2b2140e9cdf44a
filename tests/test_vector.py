"""The vector emitter: the same trial as NumPy's for objectives of any size, and no evaluation too many."""

import time

import numpy as np
import pytest

import odeopt as oo
from odeopt import Status
from odeopt.compile.evaluator import BOTH, GRADIENT, VALUE, called_back
from odeopt.compile.vector import Room, VectorKernel
from odeopt.controllers import Constant, LyapunovBacktracking
from odeopt.flows import Flow, GradientFlow
from odeopt.language import leaves
from odeopt.schemes import ExplicitEuler, Scheme, Step
from odeopt.trial import Limits, Machine

EPS = np.finfo(float).eps
RNG = np.random.default_rng(0)
A = RNG.normal(size=(9, 9))
A = A @ A.T / 9 + np.eye(9)


def f(x):
    return 0.5 * x @ A @ x + np.sum(np.cos(x)) + 0.25 * np.sum(x**4)


def g(x):
    return A @ x - np.sin(x) + x**3


SMOOTH = oo.objectives.Function(f, g)
UNKNOWN = ("lc_newton", "lc_lm", "lm", "lm_constant", "lm_er", "lm_fletcher", "lm_nielsen", "lm_uphill")
NAMES = [name for name in oo.methods.names() if name not in UNKNOWN]


def machine(method, objective=SMOOTH, **limits):
    return Machine(objective, method.flow, method.scheme, method.controller, method.h0, Limits(**limits))


def flat(record):
    return np.concatenate([np.atleast_1d(np.asarray(a, dtype=float)) for a in leaves(record)])


def shaken(record, rng):
    """The record with its state moved by some roundings."""
    z = {name: v * (1.0 + 16 * EPS * rng.uniform(-1, 1, np.shape(v))) for name, v in record["z"].blocks.items()}
    return record | {"z": oo.State(z)}


@pytest.mark.parametrize("name", NAMES)
def test_one_trial_of_every_method_from_the_same_state(name):
    """Each trial of a run in NumPy, repeated by the kernel from the state in which NumPy began it.

    The allowance is what moving that state by 16 roundings does to the trial in NumPy: sums over coordinates are
    taken in another order.
    """
    m = machine(oo.methods.get(name), gtol=1e-3)
    run, rng = Room(VectorKernel(m), SMOOTH.evaluator(9), 9), np.random.default_rng(1)
    compared = decided = 0
    for x in np.random.default_rng(2).normal(size=(3, 9)):
        with np.errstate(all="ignore"):
            record = m.begin(x)[0]
            for _ in range(30):
                if record["status"] != 0.0:
                    break
                run.begin(record)
                run.go(1)
                new = m.trial(record)[0]
                want, got = flat(new), run.record()[: len(flat(new))]
                spread = np.max([np.abs(flat(m.trial(shaken(record, rng))[0]) - want) for _ in range(3)], axis=0)
                allowed = 8 * np.max(spread) + 64 * EPS * np.maximum(np.abs(want), 1.0)
                agree = (np.abs(got - want) <= allowed) | (np.isnan(got) & np.isnan(want))
                assert np.all(agree), (want[~agree], (got - want)[~agree])
                compared, decided = compared + 1, decided + (np.max(spread) < 1e-9)
                record = new
    assert decided > 0.8 * compared > 20


@pytest.mark.parametrize("name", ["lc_gd", "lc_momentum", "adam", "nesterov", "lcd_gd", "er"])
def test_whole_runs_agree_with_numpy(name):
    X = np.random.default_rng(3).normal(size=(6, 9))
    one, two = (
        oo.solve_many(SMOOTH, oo.methods.get(name), X, max_steps=40, gtol=1e-5, backend=b) for b in ("vector", "numpy")
    )
    assert one.backend == "vector"
    np.testing.assert_allclose(one.x, two.x, rtol=0, atol=1e-10)
    for count in ("status", "nit", "trials", "nfev", "njev"):
        np.testing.assert_array_equal(getattr(one, count), getattr(two, count))


def test_landscapes_as_networks_give_the_maps_of_the_lanes():
    """PolyFive in the lanes, and as a Python function of any size."""
    poly = oo.objectives.PolyFive()
    plain = oo.objectives.Function(lambda x: float(poly.f(x)), poly.gradient)
    X = np.random.default_rng(4).uniform(-4, 4, (20, 2))
    lanes = oo.solve_many(poly, oo.methods.lc_gd(), X, gtol=1e-4, max_steps=30)
    vectors = oo.solve_many(plain, oo.methods.lc_gd(), X, gtol=1e-4, max_steps=30, backend="vector")
    np.testing.assert_array_equal(lanes.trials, vectors.trials)
    np.testing.assert_allclose(lanes.x, vectors.x, rtol=1e-9)


# -- no evaluation too many


def counted(objective=SMOOTH, n=9):
    calls = []

    def evaluate(what, x, gradient):
        calls.append((what, x))
        if what != VALUE:
            gradient[:] = objective.gradient(x)
        return float(objective.f(x))

    return calls, called_back(evaluate, n)


@pytest.mark.parametrize(
    ("name", "per_trial", "per_step"),
    [("lc_gd", [VALUE], [GRADIENT]), ("gd", [], [BOTH]), ("adam", [], [BOTH]), ("lc_momentum", [VALUE], [GRADIENT])],
)
def test_a_rejected_trial_costs_a_value_and_an_accepted_one_a_gradient(name, per_trial, per_step):
    m = machine(oo.methods.get(name), gtol=1e-6, max_steps=25.0)
    calls, evaluator = counted()
    run = Room(VectorKernel(m), evaluator, 9)
    record = m.begin(np.linspace(-1, 1, 9))[0]
    run.begin(record)
    steps = trials = 0
    while run.running and trials < 200:
        calls.clear()
        before, x, gradient = run.record(), run.vector("z", "x").copy(), run.vector("g").copy()
        run.go(1)
        accepted = int(run.record()[2] > before[2])
        assert [what for what, _ in calls] == per_trial + per_step * accepted
        trials, steps = trials + 1, steps + accepted
        if not accepted:  # the state is restored to the last bit
            assert np.array_equal(x, run.vector("z", "x"))
            assert np.array_equal(gradient, run.vector("g"))
    assert 10 <= steps <= trials
    assert per_trial == [] or name == "lc_momentum" or steps < trials


def test_a_value_is_not_evaluated_twice_at_the_same_point():
    m = machine(oo.methods.lcd_gd(), gtol=1e-6)
    calls, evaluator = counted()
    run = Room(VectorKernel(m), evaluator, 9)
    run.begin(m.begin(np.linspace(-1, 1, 9))[0])
    while run.go(64):
        pass
    points = [x.tobytes() for what, x in calls if what != GRADIENT]
    assert len(points) - len(set(points)) <= 0.2 * len(points)  # the last passing trial of a search is applied again
    gradients = [k for k, (what, _) in enumerate(calls) if what == GRADIENT]
    assert gradients
    for k in gradients:  # a gradient follows the value whose intermediates it uses
        assert calls[k - 1][0] == VALUE
        assert np.array_equal(calls[k - 1][1], calls[k][1])


# -- blocks that change places


class Rotating(Scheme):
    """Every step shifts the memory by one and swaps its last two vectors; one of them is also filled."""

    def memory(self, x):
        return {"a": x, "b": 2.0 * x, "c": 3.0 * x, "d": 0.0 * x, "e": 0.0 * x}

    def step(self, ode, t, z, h, a, b, c, d, e):
        new = z + h * ode.field(t, z)
        return Step(new, memory={"a": z.x, "b": a, "c": a, "d": 0.0 * a + h, "e": b})


def test_blocks_take_over_rows_in_any_permutation():
    method = oo.Method(GradientFlow(), Rotating(), Constant(), 0.05)
    m = machine(method, gtol=0.0, max_steps=12.0)
    run = Room(VectorKernel(m), SMOOTH.evaluator(9), 9)
    record = m.begin(np.linspace(-1, 2, 9))[0]
    run.begin(record)
    for _ in range(11):
        record = m.trial(record)[0]
        run.go(1)
        np.testing.assert_allclose(run.record(), flat(record), rtol=1e-13, atol=1e-14)


class Largest(Flow):
    """Steepest descent of the largest coordinate of the gradient, and all reductions in V."""

    blocks = ("x",)

    def field(self, g):
        return -g * np.where(np.abs(g) >= 0.5 * np.max(np.abs(g)), 1.0, 0.0)

    def V(self, f, g):
        return f + 0.0 * (np.min(g) + np.sum(g) + np.linalg.norm(g))

    def dissipation(self, g):
        return np.sum(g * g * np.where(np.abs(g) >= 0.5 * np.max(np.abs(g)), 1.0, 0.0))


def test_every_reduction_over_coordinates():
    method = oo.Method(Largest(), ExplicitEuler(), LyapunovBacktracking(slope=0.25), 0.1)
    X = np.random.default_rng(5).normal(size=(4, 9))
    one, two = (oo.solve_many(SMOOTH, method, X, max_steps=30, gtol=1e-3, backend=b) for b in ("vector", "numpy"))
    np.testing.assert_array_equal(one.trials, two.trials)
    np.testing.assert_allclose(one.x, two.x, rtol=0, atol=1e-11)


# -- sizes, threads, limits, errors


@pytest.mark.parametrize("n", [1, 2, 100_000])
def test_any_size(n):
    """f = |x|^2/2: gradient descent with h = 1/2 halves x; the kernel does not depend on n."""
    half = oo.objectives.Function(lambda x: 0.5 * float(x @ x), lambda x: x.copy())
    end = oo.solve(half, oo.methods.gd(0.5), np.arange(1.0, n + 1), max_steps=20, gtol=0.0, backend="vector")
    np.testing.assert_array_equal(end.x, np.arange(1.0, n + 1) * 0.5**20)


def test_bits_do_not_depend_on_threads():
    X = np.random.default_rng(6).normal(size=(23, 9))
    ends = [
        oo.solve_many(SMOOTH, oo.methods.lc_gd(), X, max_steps=15, backend="vector", threads=threads)
        for threads in (1, 2, 5)
    ]
    for end in ends[1:]:
        assert end.x.tobytes() == ends[0].x.tobytes()
        assert end.trials.tolist() == ends[0].trials.tolist()


def test_a_trace_holds_every_trial():
    whole = oo.solve(SMOOTH, oo.methods.lc_gd(), np.ones(9), gtol=1e-4, backend="vector", trace=True)
    plain = oo.solve(SMOOTH, oo.methods.lc_gd(), np.ones(9), gtol=1e-4, backend="numpy", trace=True)
    assert len(whole.trace) == whole.trials + 1
    np.testing.assert_array_equal(whole.trace.accepted, plain.trace.accepted)
    np.testing.assert_array_equal(whole.trace.h, plain.trace.h)
    np.testing.assert_allclose(whole.trace.x, plain.trace.x, atol=1e-13)


def test_a_time_limit_ends_a_start():
    def slow(x):
        time.sleep(0.01)
        return 0.5 * float(x @ x)

    objective = oo.objectives.Function(slow, lambda x: x.copy())
    for backend in ("vector", "numpy"):
        began = time.perf_counter()
        end = oo.solve(
            objective, oo.methods.lc_gd(h0=1e-6, grow=1.0), [1.0, 2.0], backend=backend, time_limit=0.2, max_steps=10**6
        )
        assert end.status == Status.TIME_LIMIT
        assert time.perf_counter() - began < 2.0
        assert 0.2 <= end.seconds < 1.0
    with pytest.raises(ValueError, match=r"time_limit.*lanes"):
        oo.solve(oo.objectives.PolyTwo(), oo.methods.gd(), [1.0, 2.0], time_limit=1.0)


def test_a_gradient_below_its_rounding_error_ends_a_run():
    """Samples that nothing fits: their gradients cancel at the minimum, down to rounding and no further."""
    network = oo.objectives.Network((1, 3, 1), [[1.0]] * 7, np.sin(np.arange(7.0)))
    start = network.initial(1)[0]
    end = oo.solve(network, oo.methods.momentum(0.05, 0.5), start, gtol=0.0, max_steps=10**6, stop_at_noise=True)
    assert end.status == Status.NOISE
    assert end.trials <= 20_000
    assert np.linalg.norm(end.jac) <= network.gradient_noise(end.x) < 1e-14
    with pytest.raises(ValueError, match="stop_at_noise"):
        oo.solve(oo.objectives.PolyTwo(), oo.methods.gd(), [1.0, 2.0], stop_at_noise=True)
    with pytest.raises(oo.FormulaError, match="gradient_noise"):
        oo.solve(SMOOTH, oo.methods.gd(1e-9), np.ones(9), backend="vector", stop_at_noise=True, gtol=0.0)


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_vectors_cannot_do_says_so(name):
    with pytest.raises(oo.FormulaError, match=r'backend="numpy"'):
        oo.solve(SMOOTH, oo.methods.get(name), np.ones(9), backend="vector")


class Coordinates(GradientFlow):
    def field(self, g):
        return oo.put(-g, 0, 0.0)


def test_single_coordinates_have_a_clear_error():
    method = oo.Method(Coordinates(), ExplicitEuler(), Constant(), 0.1)
    with pytest.raises(oo.FormulaError, match="any length"):
        oo.solve(SMOOTH, method, np.ones(9), backend="vector")


def test_an_exception_of_the_function_reaches_the_user():
    def fails(x):
        if np.abs(x).max() < 0.5:
            raise ZeroDivisionError("inside")
        return 0.5 * float(x @ x)

    objective = oo.objectives.Function(fails, lambda x: x.copy())
    with pytest.raises(ZeroDivisionError, match="inside"):
        oo.solve(objective, oo.methods.lc_gd(h0=0.3, grow=1.0), np.ones(9), backend="vector")
