"""Formulas of one's own, the catalogue, endings and errors: the same in the lanes and in NumPy."""

import inspect
import math
from dataclasses import dataclass

import numpy as np
import pytest

import odeopt as oo
from odeopt import FormulaError, Status
from odeopt.controllers import Constant, Controller, EmbeddedError, LyapunovBacktracking
from odeopt.flows import Adam, Flow, GradientFlow, HeavyBall
from odeopt.schemes import (
    DormandPrince,
    ExplicitEuler,
    Heun,
    Lie,
    RungeKutta4,
    Scheme,
    SemiImplicitEuler,
    Step,
    Strang,
)
from odeopt.trial import Limits, Machine

BOTH = ("lanes", "numpy")
COUNTS = ("status", "nit", "trials", "nfev", "njev", "nhev")
EPS = np.finfo(float).eps
POLY = oo.objectives.PolyTwo()


def starts(S, n=2, seed=0, size=1.5):
    return np.random.default_rng(seed).uniform(-size, size, (S, n))


def method(flow=None, scheme=None, controller=None, h0=0.1):
    return oo.Method(flow or GradientFlow(), scheme or ExplicitEuler(), controller or Constant(), h0)


# -- a flow, a scheme and a controller that use all that the contract offers


@dataclass(frozen=True)
class Thermostat(Flow):
    """x' = v, v' = -g - (friction + xi) v, xi' = |v|^2 - decay xi, with V = f + |v|^2/2 + xi^2/2."""

    friction: float = 1.0
    decay: float = 0.5

    blocks = ("x", "v")
    scalars = ("xi",)
    t0 = 0.25

    def start(self, g, f, h):
        return {"v": -h * g, "xi": 0.1 + 0.0 * f}

    def field(self, t, v, xi, g):
        return v, -g - (self.friction + xi) * v + 0.01 * np.exp(-t) * v, v @ v - self.decay * xi

    def V(self, f, v, xi):
        return f + 0.5 * (v @ v) + 0.5 * xi * xi

    def dissipation(self, t, v, xi):
        return (self.friction + xi - 0.01 * np.exp(-t)) * (v @ v) + self.decay * xi * xi - xi * (v @ v)

    def cap(self, v, xi):
        return 0.2 / (1.0 + xi) + 0.0 * (v @ v)

    def jump(self, v, g, z0):
        """A restart where the velocity points uphill, softly where it already did."""
        return {"v": np.where(v @ g > 0.0, np.where(z0.v @ g > 0.0, 0.5, 0.25), 1.0) * v}

    def residual(self, g, v):
        return g @ g + v @ v


@dataclass(frozen=True)
class Relaxed(Scheme):
    """Half an explicit step beyond the last point, with its own time, energy, promise, memory and answer."""

    weight: float = 0.05
    largest: float = 0.12

    def memory(self, x, h):
        return {"x_prev": x, "h_prev": h, "count": 0.0}

    def step(self, ode, t, z, h, x_prev, h_prev, count):
        used = h * (1.0 - 0.1 / (1.0 + count))
        mean = 0.5 * (z.x + x_prev)
        k = ode.field(t, z)
        z1 = z + used * (k + 0.5 * (ode.field(t + 0.5 * h_prev, z.replace(x=mean)) - k))
        moved = z1.x - z.x
        return Step(
            z1,
            predicted=lambda: 0.5 * used * ode.dissipation(t, z),
            solved=np.sqrt(moved @ moved) <= self.largest,
            h=used,
            memory={"x_prev": z.x, "h_prev": used, "count": count + 1.0},
            V=ode.V(t + used, z1) + self.weight * (moved @ moved),
            answer=(mean, ode.g(mean)),
        )


@dataclass(frozen=True)
class Patient(Controller):
    """Accepts small rises, fewer and fewer of them; asks for nearly everything."""

    h_max: float | str | None = "flow"
    slack: float = 0.02

    def memory(self, h, V):
        return {"level": 1.0 + 0.0 * V, "best": V, "longest": h}

    def control(self, h, t, n, V0, V1, predicted, solved, z0, z1, f0, f1, g0, g1, level, best, longest):
        ok = -0.1 * predicted + self.slack * level * np.abs(V0) >= V1 - V0
        turned = (g0 @ g1 < 0.0) | (f1 > f0) & ~(z1.xi > z0.xi)
        step = np.where(ok & solved, h * np.where(turned, 1.1, 1.5), 0.5 * h) + 0.0 * t + 0.0 * n
        return (
            ok,
            step,
            {
                "level": np.where(ok, 0.9 * level, level),
                "best": np.minimum(best, V1),
                "longest": np.maximum(longest, h),
            },
        )


OWN = oo.Method(Thermostat(), Relaxed(), Patient(), 0.05)


def test_formulas_of_ones_own_run_alike_in_both_readers():
    objective = oo.objectives.PolyThree()
    X = starts(40, objective.dimension)
    lanes, plain = (oo.solve_many(objective, OWN, X, max_trials=40, gtol=0.2, backend=b) for b in BOTH)
    for name in COUNTS:
        np.testing.assert_array_equal(getattr(lanes, name), getattr(plain, name), err_msg=name)
    for name in ("x", "jac", "t", "h", "fun"):
        np.testing.assert_allclose(
            getattr(lanes, name), getattr(plain, name), rtol=1e-9, atol=1e-11, err_msg=name
        )
    for block in ("x", "v", "xi"):
        np.testing.assert_allclose(lanes.z[block], plain.z[block], rtol=1e-9, atol=1e-11, err_msg=block)
    assert set(lanes.memory) == set(plain.memory) == {"level", "best", "longest"}
    for name in lanes.memory:
        np.testing.assert_allclose(lanes.memory[name], plain.memory[name], rtol=1e-9, err_msg=name)
    assert lanes.z["xi"].shape == (40,)
    # all of it happened: rejections, steps of the scheme's own length, starts at t0, more than one ending
    assert np.any(lanes.trials > lanes.nit)
    assert np.all((lanes.t > 0.25) & (lanes.t < 0.25 + 0.2 * 40))
    assert {Status.MAX_TRIALS} <= set(lanes.status.tolist())


def test_an_answer_is_tested_and_returned():
    """The stop test looks at the scheme's answer, and the run returns it with its gradient."""
    end = oo.solve_many(oo.objectives.PolyThree(), OWN, starts(40), gtol=0.2, max_trials=400)
    found = end.status == Status.CONVERGED
    assert found.sum() > 10
    np.testing.assert_allclose(end.jac, oo.objectives.PolyThree().gradient(end.x), rtol=1e-9, atol=1e-13)
    speed = np.sum(end.z["v"] ** 2, axis=1)
    assert np.all((np.sum(end.jac**2, axis=1) + speed)[found] <= 0.2**2 * (1 + 1e-12))


def test_what_the_controller_may_ask_for_is_what_it_says():
    """Every name that a controller may ask for, recomputed from the trace."""

    @dataclass(frozen=True)
    class Asking(Controller):
        def memory(self):
            return dict.fromkeys(
                ("t_", "n_", "V0_", "V1_", "p_", "f0_", "f1_", "g0_", "g1_", "z0_", "z1_"), 0.0
            )

        def control(self, h, t, n, V0, V1, predicted, z0, z1, f0, f1, g0, g1):
            return (
                True,
                h,
                {
                    "t_": t,
                    "n_": n,
                    "V0_": V0,
                    "V1_": V1,
                    "p_": predicted,
                    "f0_": f0,
                    "f1_": f1,
                    "g0_": g0 @ g0,
                    "g1_": g1 @ g1,
                    "z0_": z0 @ z0,
                    "z1_": z1 @ z1,
                },
            )

    objective, flow = oo.objectives.PolyTwo(), HeavyBall(2.0)
    for backend in BOTH:
        end = oo.solve_many(
            objective,
            method(flow, controller=Asking()),
            starts(5),
            max_steps=7,
            gtol=0.0,
            trace=True,
            backend=backend,
        )
        before, after = ({k: v[:, row] for k, v in end.trace.z.items()} for row in (6, 7))
        f0, f1 = objective.f(before["x"]), objective.f(after["x"])
        kinetic0, kinetic1 = (np.sum(z["v"] ** 2, axis=1) for z in (before, after))
        want = {
            "t_": 0.6,
            "n_": 6.0,
            "f0_": f0,
            "f1_": f1,
            "V0_": f0 + 0.5 * kinetic0,
            "V1_": f1 + 0.5 * kinetic1,
            "p_": 0.1 * 2.0 * kinetic0,
            "g0_": np.sum(objective.gradient(before["x"]) ** 2, axis=1),
            "g1_": np.sum(end.jac**2, axis=1),
            "z0_": np.sum(before["x"] ** 2, axis=1) + kinetic0,
            "z1_": np.sum(after["x"] ** 2, axis=1) + kinetic1,
        }
        for name, value in want.items():
            np.testing.assert_allclose(
                end.memory[name],
                np.broadcast_to(value, 5),
                rtol=1e-12,
                atol=1e-15,
                err_msg=f"{name} {backend}",
            )


def test_rejected_steps_leave_state_and_scheme_memory_but_not_the_controllers():
    @dataclass(frozen=True)
    class Remembering(Scheme):
        def memory(self):
            return {"steps": 0.0}

        def step(self, ode, t, z, h, steps):
            return Step(z.replace(s=steps + 1.0), memory={"steps": steps + 1.0}, solved=h < 0.5)

    class Still(Flow):
        scalars = ("s",)

        def start(self):
            return {"s": 0.0}

        def field(self, x):
            return x * 0.0, 0.0

    class Doubling(Controller):
        def memory(self):
            return {"trials": 0.0}

        def control(self, h, trials):
            return True, np.where(h > 0.5, h / 8.0, 2.0 * h), {"trials": trials + 1.0}

    for backend in BOTH:
        end = oo.solve_many(
            oo.objectives.PolyTwo(),
            method(Still(), Remembering(), Doubling(), 0.3),
            starts(3),
            max_trials=11,
            gtol=0.0,
            backend=backend,
        )
        # steps 0.3, 0.6 (rejected), 0.075, 0.15, 0.3, 0.6 (rejected), ...; s changes, hence no underflow
        assert end.trials.tolist() == [11] * 3
        assert end.nit.tolist() == [8] * 3
        assert end.z["s"].tolist() == [8.0] * 3
        assert end.memory["trials"].tolist() == [11.0] * 3


# -- the catalogue, trial by trial


def numpy_record(machine, columns, x):
    """A record of the lanes, given as {path: number}, as a NumPy record."""

    def filled(value, path):
        if isinstance(value, oo.State):
            return oo.State({k: filled(v, (*path, k)) for k, v in value.blocks.items()})
        if isinstance(value, dict):
            return {k: filled(v, (*path, k)) for k, v in value.items()}
        if np.ndim(value):
            return np.array(columns.get(path, value))
        return np.float64(columns.get(path, value))

    record = filled(machine.begin(np.array(x))[0], ())
    if "f" in record:
        record["f"] = machine.objective.f(record["z"].x)  # the lanes drop it where V is f
    return record


def leaves_of(record):
    from odeopt.language import leaves

    public = {k: v for k, v in record.items() if k != "f"}
    return np.concatenate([np.atleast_1d(np.asarray(a, dtype=float)) for a in leaves(public)])


def largest_of_vector(numbers, record):
    """Every number replaced by the largest of the vector that it belongs to."""
    from odeopt.language import leaves

    sizes = [np.size(a) for a in leaves({k: v for k, v in record.items() if k != "f"})]
    return np.concatenate(
        [np.full(len(part), part.max()) for part in np.split(numbers, np.cumsum(sizes)[:-1])]
    )


def shaken(record, rng):
    """The record with every number of the state moved by some roundings."""

    def moved(value):
        if isinstance(value, oo.State):
            return oo.State({k: moved(v) for k, v in value.blocks.items()})
        return value * (1.0 + 16 * EPS * rng.choice([-1.0, 1.0], np.shape(value)))

    out = {k: moved(v) if k in ("z", "g", "V", "f", "t", "h") else v for k, v in record.items()}
    return out


LANDSCAPES = (oo.objectives.PolyFive(), oo.objectives.Rosenbrock(dimension=3), oo.objectives.LogSumExp())
SQUARES = ("lm_constant", "lm", "lm_fletcher", "lm_nielsen", "lm_uphill", "lm_er", "lc_lm")  # for sums of squares
PAIRS = [(name, LANDSCAPES[0 if name in SQUARES else k % 3]) for k, name in enumerate(oo.methods.names())]


@pytest.mark.parametrize(("name", "objective"), PAIRS, ids=[f"{n}-{type(o).__name__}" for n, o in PAIRS])
def test_one_trial_of_every_method_from_the_same_state(name, objective):
    """Every trial of a run in the lanes, repeated by NumPy from the state in which the lanes began it.

    The allowance is what shaking that state by 16 roundings does to the trial in NumPy (its condition, to
    first order), and the tolerance of an inner solve.
    """
    from odeopt.compile.lanes import LaneKernel

    constant = "lr" in inspect.signature(getattr(oo.methods, name)).parameters
    m = oo.methods.get(name, **({"lr": 1e-3} if constant else {}))  # a step with which none diverges
    tol = getattr(m.scheme, "tol", 0.0)
    machine = Machine(objective, m.flow, m.scheme, m.controller, m.h0, Limits(gtol=1e-3, max_trials=20.0))
    kernel = LaneKernel(machine, objective.dimension)
    X = starts(4, objective.dimension, 5)
    records = kernel.records(X)
    story = kernel.columns(np.concatenate([records[:, None], *kernel.lanes().trace(records, 32)], axis=1))
    rng, compared, decided, exact = np.random.default_rng(0), 0, 0, 0
    with np.errstate(all="ignore"):
        for i, row in np.argwhere(story["status",][:, :-1] == 0.0):
            before, after = ({path: column[i, r] for path, column in story.items()} for r in (row, row + 1))
            record = numpy_record(machine, before, X[i])
            want = machine.trial(record)[0]
            value, got = leaves_of(want), leaves_of(numpy_record(machine, after, X[i]))
            shaken_ = [leaves_of(machine.trial(shaken(record, rng))[0]) for _ in range(3)]
            spread = largest_of_vector(np.max(np.abs(np.array(shaken_) - value), axis=0), want)
            assert len(got) == len(value)
            agree = np.abs(got - value) <= 8 * spread + 8 * EPS * np.abs(value) + tol + 1e-300
            agree |= (got == value) | (np.isnan(got) & np.isnan(value))
            assert np.all(agree), (name, X[i], row, value[~agree], (got - value)[~agree], spread[~agree])
            compared += 1
            decided += float(want["n"]) == after["n",]
            exact += np.all(spread <= 1e-11 * (np.abs(value) + 1e-3))
    assert compared >= 10
    assert decided == compared  # accepted or rejected alike
    assert exact >= 0.5 * compared  # and the allowance is small in most trials


# -- counts


class Counted:
    """A quartic as a plain Python function that counts its calls."""

    def __init__(self):
        self.f = self.g = 0

    def fun(self, x):
        self.f += 1
        return float(np.sum(x**4) + x[0] * x[1])

    def jac(self, x):
        self.g += 1
        return 4 * x**3 + x[::-1]


@pytest.mark.parametrize(
    "m",
    [
        *(oo.methods.get(name) for name in oo.methods.names() if name not in (*SQUARES, "lc_newton")),
        method(scheme=Heun()),
        method(HeavyBall(), RungeKutta4()),
        method(HeavyBall(), Strang()),
        method(scheme=DormandPrince(), controller=EmbeddedError(1e-3, order=4)),
    ],
    ids=lambda m: m.name,
)
def test_evaluations_are_counted_as_they_are_made(m):
    counted = Counted()
    end = oo.solve_many(
        oo.objectives.Function(counted.fun, counted.jac), m, [[0.9, -0.4]], max_trials=12, gtol=1e-9
    )
    assert end.backend == "numpy"
    assert end.njev[0] == counted.g
    assert end.nfev[0] == counted.f - 1  # the value at the end, for `fun`


@pytest.mark.parametrize(
    ("scheme", "gradients"), [(ExplicitEuler(), 1), (Heun(), 2), (RungeKutta4(), 4), (DormandPrince(), 6)]
)
def test_a_known_gradient_is_not_evaluated_again(scheme, gradients):
    """The gradient at the accepted point is the next step's first stage, and first-same-as-last is used."""
    for backend in BOTH:
        end = oo.solve_many(
            oo.objectives.PolyTwo(),
            method(scheme=scheme, h0=0.01),
            starts(3),
            max_steps=5,
            gtol=0.0,
            backend=backend,
        )
        assert end.njev.tolist() == [1 + 5 * gradients] * 3
        assert end.nfev.tolist() == [0] * 3


def test_backtracking_pays_a_value_a_trial_and_a_gradient_a_step():
    for backend in BOTH:
        end = oo.solve_many(
            oo.objectives.PolyTwo(), oo.methods.lc_gd(), starts(20), max_steps=9, gtol=0.0, backend=backend
        )
        assert np.any(end.trials > end.nit)
        np.testing.assert_array_equal(end.nfev, end.trials + 1)
        np.testing.assert_array_equal(end.njev, end.nit + 1)


# -- endings


class Uphill(GradientFlow):
    def field(self, g):
        return g


class Unsolved(Scheme):
    def step(self, ode, t, z, h):
        return Step(z + h * ode.field(t, z), solved=ode.f(z.x) < -1.0)


class Endless(Controller):
    """Rejects for ever, and remembers that it did."""

    def memory(self):
        return {"count": 0.0}

    def control(self, h, count):
        return count < 0.0, h, {"count": count + 1.0}


ENDINGS = {
    Status.CONVERGED: (oo.methods.gd(0.1), {"gtol": 1e-3}),
    Status.REACHED_T: (oo.methods.gd(0.03), {"gtol": 0.0, "t_end": 1.0}),
    Status.MAX_STEPS: (oo.methods.gd(0.01), {"gtol": 1e-6, "max_steps": 7}),
    Status.MAX_TRIALS: (method(controller=Endless()), {"max_trials": 11}),
    Status.STEP_UNDERFLOW: (method(Uphill(), controller=LyapunovBacktracking()), {}),
    Status.STALLED: (method(scheme=Unsolved()), {}),
    Status.DIVERGED: (oo.methods.gd(10.0), {}),
}


@pytest.mark.parametrize("backend", BOTH)
@pytest.mark.parametrize("status", list(ENDINGS))
def test_every_ending_is_reached(status, backend):
    m, options = ENDINGS[status]
    end = oo.solve_many(oo.objectives.PolyTwo(), m, starts(6, seed=3), backend=backend, **options)
    assert end.status.tolist() == [status] * 6
    assert end.counts() == {status.name: 6}
    assert np.all(end.success) == (status in (Status.CONVERGED, Status.REACHED_T))
    one = end[0]
    assert one.status is status
    assert one.message == status.message
    assert len(one.message) > 20
    if status is Status.CONVERGED:
        assert np.all(end.g_norm <= 1e-3)
    if status is Status.REACHED_T:
        assert np.all(end.t == 1.0)
        assert np.all(end.nit == 34)
    if status is Status.MAX_STEPS:
        assert np.all(end.nit == 7)
    if status is Status.MAX_TRIALS:
        assert np.all((end.trials == 11) & (end.nit == 0))
    if status is Status.STALLED:
        assert np.all((end.trials == 1) & (end.nit == 0))
    if status is Status.STEP_UNDERFLOW:  # halved until x + h g = x: some 50 times
        assert np.all((end.trials > 40) & (end.trials < 70))
        np.testing.assert_array_equal(end.x, end.starts)
    if status is Status.DIVERGED:
        assert not np.any(np.isfinite(end.g_norm))


def test_steps_below_the_least_step_end_a_run():
    for backend in BOTH:
        end = oo.solve_many(
            oo.objectives.PolyTwo(),
            method(Uphill(), controller=LyapunovBacktracking(h_min=0.01)),
            starts(4),
            backend=backend,
        )
        assert end.status.tolist() == [Status.STEP_UNDERFLOW] * 4
        assert end.trials.tolist() == [4] * 4  # 0.1, 0.05, 0.025, 0.0125; then 0.00625


@pytest.mark.parametrize("backend", BOTH)
def test_the_end_time_is_hit_exactly(backend):
    """Even where t + (T - t), both rounded, is not T: after a first short step."""

    class Slow(GradientFlow):
        def field(self, g):
            return -1e-6 * g

    class Growing(Controller):
        def control(self, h):
            return True, 1e9 * h, {}

    ends = np.random.default_rng(1).uniform(1.5, 9.0, 2000).tolist()
    missed = [t_end for t_end in ends if 0.7 + (t_end - 0.7) != t_end]
    assert len(missed) > 10
    for t_end in missed[:10] + ends[:10]:
        end = oo.solve_many(
            POLY,
            method(Slow(), controller=Growing(), h0=0.7),
            [[0.4, 0.7]],
            gtol=0.0,
            t_end=t_end,
            backend=backend,
        )
        assert end.status[0] == Status.REACHED_T
        assert end.t[0] == t_end
        assert end.nit[0] == 2
    for m in (oo.methods.gd(0.07), oo.methods.lc_gd(h0=1e-3), oo.methods.lcp_gd()):
        end = oo.solve_many(
            POLY, m, starts(40 if backend == "lanes" else 5), gtol=0.0, t_end=float(ends[0]), backend=backend
        )
        assert np.all(end.t[end.status == Status.REACHED_T] == ends[0])
        assert np.all(end.t <= ends[0])


def test_a_start_at_the_minimum_has_converged():
    for backend in BOTH:
        end = oo.solve_many(
            oo.objectives.PolyTwo(), oo.methods.lc_gd(), [[2.0, -1.0], [0.5, 0.5]], backend=backend
        )
        assert end.status.tolist() == [Status.CONVERGED] * 2
        assert end.nit[0] == end.trials[0] == 0
        assert end.x[0].tolist() == [2.0, -1.0]


@pytest.mark.parametrize("backend", BOTH)
def test_starts_that_are_not_finite_have_diverged(backend):
    X = [[np.nan, 0.1], [np.inf, 0.0], [0.3, -np.inf], [0.3, 0.2], [1e200, 1e200]]
    for m in (oo.methods.gd(), oo.methods.lc_gd(), oo.methods.adam(), oo.methods.er()):
        end = oo.solve_many(oo.objectives.PolyTwo(), m, X, max_steps=50, backend=backend)
        assert end.status[[0, 1, 2, 4]].tolist() == [Status.DIVERGED] * 4
        assert end.trials[[0, 1, 2, 4]].tolist() == [0] * 4
        assert end.status[3] != Status.DIVERGED
        np.testing.assert_array_equal(end.x[[0, 1, 2, 4]], np.array(X)[[0, 1, 2, 4]])


@pytest.mark.parametrize("backend", BOTH)
def test_explicit_euler_on_the_heavy_ball_from_rest_gets_nowhere_under_lyapunov_control(backend):
    """At rest the dissipation is 0, and Euler's step raises V by h^2 |g|^2/2: no step passes.

    What passes in the end passes by rounding, once h^2 |g|^2/2 is below a rounding of V: then x has not
    moved at all.
    """
    m = method(HeavyBall(1.0), ExplicitEuler(), LyapunovBacktracking())
    X = starts(10, seed=4)
    first = oo.solve_many(oo.objectives.PolyTwo(), m, X, gtol=1e-6, max_trials=20, backend=backend)
    assert first.nit.tolist() == [0] * 10
    end = oo.solve_many(oo.objectives.PolyTwo(), m, X, gtol=1e-6, max_trials=3000, backend=backend)
    assert not np.any(end.success)
    assert set(end.status.tolist()) <= {Status.STEP_UNDERFLOW, Status.MAX_TRIALS, Status.STALLED}
    assert np.abs(end.x - X).max() < 1e-5


@pytest.mark.parametrize("backend", BOTH)
def test_adam_diverges_where_its_field_is_asked_for_at_time_zero(backend):
    """0/0 at t = 0; the splitting asks after its first part has moved the clock."""
    end = oo.solve_many(oo.objectives.PolyTwo(), method(Adam(), ExplicitEuler()), starts(5), backend=backend)
    assert end.status.tolist() == [Status.DIVERGED] * 5
    assert end.trials.tolist() == [1] * 5
    well = oo.solve_many(
        oo.objectives.PolyTwo(), method(Adam(), Lie()), starts(5), max_steps=20, backend=backend
    )
    assert not np.any(well.status == Status.DIVERGED)


def test_plain_numbers_divide_and_negate_as_recorded_ones_do():
    """1/t at t = 0 is infinity, and ~ of a comparison is its negation, in NumPy as in the lanes."""

    class Clock(Flow):
        def field(self, t, g):
            return -g * np.minimum(1.0, 0.5 / t)

    @dataclass(frozen=True)
    class Negating(Scheme):
        def step(self, ode, t, z, h):
            return Step(
                z + h * np.where(~(h > 1.0), 1.0, 0.5) * np.where(~(t > 5.0), 1.0, 0.5) * ode.field(t, z)
            )

    class Refusing(Controller):
        def control(self, h, t, n, solved):
            return ~(h > 1.0) & solved, h * np.where(~(n > 3.0) & solved, 1.0, 0.5), {}

    ends = [
        oo.solve_many(
            oo.objectives.PolyTwo(),
            method(Clock(), Negating(), Refusing(), 0.2),
            starts(5, size=0.8),
            max_steps=8,
            gtol=0.0,
            backend=b,
        )
        for b in BOTH
    ]
    assert ends[0].nit.tolist() == ends[1].nit.tolist() == [8] * 5
    np.testing.assert_allclose(ends[0].x, ends[1].x, rtol=1e-13)
    np.testing.assert_array_equal(ends[0].h, ends[1].h)


# -- errors: the formula, the line, what went wrong, the mend


class Branching(Flow):
    def field(self, g):
        if g[0] > 0.0:
            return -g
        return -2.0 * g


class Helping(Flow):
    def slope(self, g):
        return 1.0 if g[0] > 0.0 else 2.0

    def field(self, g):
        return -self.slope(g) * g


class MathExp(Flow):
    def field(self, g):
        return -math.exp(g) * g


class MathExpOfOne(Flow):
    def field(self, g):
        return -math.exp(g[0]) * g


class Assigning(Flow):
    def field(self, x, g):
        x[0] = 1.0
        return -g


class Misnaming(Flow):
    def field(self, gradiant):
        return -gradiant


class TooFew(Flow):
    blocks = ("x", "v")

    def field(self, g):
        return -g


class Decomposing(Flow):
    def field(self, g):
        return np.linalg.eigh(g)[1]


class Indexing(Flow):
    def field(self, g):
        return -g[7] * g


class Meaning(Flow):
    def field(self, g):
        return -g.mean() * g


class BranchingScheme(Scheme):
    def step(self, ode, t, z, h):
        return Step(z + (h if h < 1.0 else 1.0) * ode.field(t, z))


class BranchingController(Controller):
    def control(self, h, V0, V1):
        return (True, h, {}) if V1 < V0 else (False, 0.5 * h, {})


class Pair(Controller):
    def control(self, h):
        return True, h


class Forgetful(Controller):
    def control(self, h):
        return True, h, {"count": 1.0}


class BranchingLandscape(oo.Landscape):
    def value(self, x, y):
        return x * x + (y * y if y > 0.0 else 0.0)


class MathLandscape(oo.Landscape):
    def value(self, x, y):
        return x * x + math.cosh(y)


class Nameless(Flow):
    def field(self, *blocks):
        return -blocks[0]


class NoEnergy(Flow):
    def field(self, g):
        return -g


class Distance(GradientFlow):
    def V(self, x, x_star):
        return (x - x_star) @ (x - x_star)


class Unknown(oo.Landscape):
    def value(self, x, y):
        return x * x + y * y


class StartsWrongly(Flow):
    scalars = ("s",)

    def start(self):
        return {"r": 0.0}

    def field(self, g, s):
        return -g, s


# name: (objective, method, readers that refuse, text of the line at fault or None, pieces of the message)
ERRORS = {
    "branch": (
        POLY,
        method(Branching()),
        ("lanes",),
        "if g[0] > 0.0:",
        ["Branching.field", "np.where(condition, a, b)"],
    ),
    "helper": (
        POLY,
        method(Helping()),
        ("lanes",),
        "return 1.0 if g[0] > 0.0 else 2.0",
        ["Helping.field", "np.where(condition, a, b)"],
    ),
    "math": (POLY, method(MathExp()), BOTH, "return -math.exp(g)*g", ["MathExp.field", "np.exp"]),
    "math of a number": (
        POLY,
        method(MathExpOfOne()),
        ("lanes",),
        "return -math.exp(g[0])*g",
        ["MathExpOfOne.field", "np.exp"],
    ),
    "assignment": (POLY, method(Assigning()), BOTH, "x[0] = 1.0", ["Assigning.field", "oo.put(x, i, a)"]),
    "name": (
        POLY,
        method(Misnaming()),
        BOTH,
        None,
        ["Misnaming.field", "'gradiant'", "did you mean 'gradient'?", "Known: "],
    ),
    "blocks": (
        POLY,
        method(TooFew()),
        BOTH,
        None,
        ["TooFew.field", "1 values", "x, v", "return one for each"],
    ),
    "eigh": (POLY, method(Decomposing()), BOTH, "return np.linalg.eigh(g)[1]", ["Decomposing.field"]),
    "index": (POLY, method(Indexing()), BOTH, "return -g[7]*g", ["Indexing.field", "IndexError"]),
    "attribute": (
        POLY,
        method(Meaning()),
        ("lanes",),
        "return -g.mean()*g",
        ["Meaning.field", "mean", 'backend = "numpy"'],
    ),
    "scheme": (
        POLY,
        method(scheme=BranchingScheme()),
        ("lanes",),
        "return Step(z + (h if h < 1.0 else 1.0)*ode.field(t, z))",
        ["BranchingScheme.step", "np.where(condition, a, b)"],
    ),
    "controller": (
        POLY,
        method(controller=BranchingController()),
        ("lanes",),
        "return (True, h, {}) if V1 < V0 else (False, 0.5*h, {})",
        ["BranchingController.control", "np.where(condition, a, b)"],
    ),
    "pair": (POLY, method(controller=Pair()), BOTH, None, ["Pair.control", "(accept, next h, memory)"]),
    "memory": (POLY, method(controller=Forgetful()), BOTH, None, ["Forgetful", "'count'", "declare"]),
    "landscape": (
        BranchingLandscape(),
        method(),
        BOTH,
        "return x*x + (y*y if y > 0.0 else 0.0)",
        ["BranchingLandscape.value", "np.where(condition, a, b)"],
    ),
    "math landscape": (
        MathLandscape(),
        method(),
        BOTH,
        "return x*x + math.cosh(y)",
        ["MathLandscape.value", "np.exp"],
    ),
    "star": (POLY, method(Nameless()), BOTH, None, ["Nameless.field", "*blocks", "name each argument"]),
    "no V": (
        POLY,
        method(NoEnergy(), controller=LyapunovBacktracking()),
        BOTH,
        None,
        ["NoEnergy has no V", "Constant"],
    ),
    "no x_star": (
        Unknown(),
        method(Distance(), controller=LyapunovBacktracking()),
        BOTH,
        None,
        ["Distance", "x_star", "Unknown()"],
    ),
    "no error": (
        POLY,
        method(controller=EmbeddedError()),
        BOTH,
        None,
        ["EmbeddedError", "ExplicitEuler", "DormandPrince"],
    ),
    "start": (POLY, method(StartsWrongly()), BOTH, None, ["StartsWrongly.start", "'s'"]),
    "parts": (POLY, method(scheme=Lie()), BOTH, None, ["GradientFlow", "parts", "Lie"]),
}


@pytest.mark.parametrize("backend", BOTH)
@pytest.mark.parametrize("case", list(ERRORS))
def test_an_unreadable_formula_is_named_with_its_line_and_the_mend(case, backend):
    objective, m, refusing, line, pieces = ERRORS[case]
    if backend not in refusing:  # plain Python is legal where there are plain numbers
        assert oo.solve_many(objective, m, starts(2), max_steps=2, backend=backend).nit.max() > 0
        return
    with pytest.raises(FormulaError) as caught:
        oo.solve_many(objective, m, starts(2), max_steps=2, backend=backend)
    message = str(caught.value)
    for piece in pieces:
        assert piece in message, message
    if line is not None:
        lines, _ = inspect.getsourcelines(inspect.getmodule(Branching))
        number = next(
            k for k, text in enumerate(lines, 1) if text.strip().replace(" ", "") == line.replace(" ", "")
        )
        line = lines[number - 1].strip()
        assert f"{__file__}:{number}\n    {line}\n" in message, message


def test_an_unknown_name_says_what_is_known_even_without_a_near_one():
    class Asking(Flow):
        def field(self, qqqq):
            return qqqq

    with pytest.raises(FormulaError, match=r"'qqqq', which is not known here\. Known: .*Hdx, .*x_star\."):
        oo.solve(POLY, method(Asking()), [0.1, 0.2])


def test_a_formula_for_numpy_only_runs_there_and_is_refused_by_the_lanes():
    class Projected(Flow):
        backend = "numpy"

        def field(self, g):
            values, vectors = np.linalg.eigh(np.outer(g, g) + np.diag([1.0, 2.0]))
            return -vectors @ np.diag(1 / values) @ vectors.T @ g

    end = oo.solve_many(POLY, method(Projected()), starts(3), max_steps=300, gtol=1e-3)
    assert end.backend == "numpy"
    assert np.all(end.success)
    with pytest.raises(ValueError, match="no straight-line formula"):
        oo.solve_many(POLY, method(Projected()), starts(3), backend="lanes")


# -- arguments


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"starts": [0.1, 0.2]}, ValueError, r"\(S, n\)"),
        ({"starts": np.zeros((0, 2))}, ValueError, "at least one"),
        ({"starts": np.zeros((2, 2, 2))}, ValueError, r"\(S, n\)"),
        ({"starts": np.zeros((2, 3))}, ValueError, "2 coordinates, got starts of 3"),
        ({"starts": "here"}, TypeError, "array of numbers"),
        ({"starts": [["a", "b"]]}, TypeError, "array of numbers"),
        ({"starts": None}, (TypeError, ValueError), "starts"),
        ({"starts": [[1.0, 2.0], [3.0]]}, TypeError, "array of numbers"),
        ({"gtol": -1e-3}, ValueError, "gtol"),
        ({"gtol": np.nan}, ValueError, "gtol"),
        ({"gtol": "small"}, ValueError, "gtol"),
        ({"gtol": np.inf}, ValueError, "gtol"),
        ({"max_steps": 0}, ValueError, "max_steps"),
        ({"max_steps": "many"}, ValueError, "max_steps"),
        ({"max_trials": 0}, ValueError, "max_trials"),
        ({"t_end": 0.0}, ValueError, "t_end"),
        ({"t_end": np.nan}, ValueError, "t_end"),
        ({"backend": "gpu"}, ValueError, "backend"),
        ({"threads": 0}, ValueError, "threads"),
        ({"threads": 1.5}, ValueError, "threads"),
        ({"objective": oo.objectives.PolyTwo}, TypeError, r"write PolyTwo\(\)"),
        ({"objective": lambda x: x @ x}, TypeError, "Function"),
        ({"method": "lc_gd"}, TypeError, "methods"),
        ({"method": oo.methods.lc_gd}, TypeError, "Method"),
    ],
)
def test_a_wrong_argument_is_named(change, error, message):
    arguments = {"objective": POLY, "method": oo.methods.gd(), "starts": [[0.1, 0.2]], **change}
    positional = [arguments.pop(name) for name in ("objective", "method", "starts")]
    with pytest.raises(error, match=message):
        oo.solve_many(*positional, **arguments)


def test_solve_takes_one_point_and_a_method_takes_instances():
    with pytest.raises(ValueError, match="one point"):
        oo.solve(POLY, oo.methods.gd(), [[0.1, 0.2]])
    with pytest.raises(TypeError, match=r"write GradientFlow\(\)"):
        oo.Method(GradientFlow, ExplicitEuler(), Constant())
    for h0 in (0.0, -1.0, np.inf, np.nan, "large"):
        with pytest.raises(ValueError, match="h0"):
            method(h0=h0)
    with pytest.raises(ValueError, match="did you mean 'lc_gd'"):
        oo.methods.get("lc_gt")


@pytest.mark.parametrize("backend", BOTH)
def test_inputs_are_left_alone_and_results_are_copies(backend):
    X = starts(6)
    before = X.copy()
    for m in (oo.methods.gd(), oo.methods.adam(), OWN):
        end = oo.solve_many(POLY, m, X, max_steps=5, backend=backend, trace=True)
        np.testing.assert_array_equal(X, before)
        assert X.flags.writeable
        assert not np.shares_memory(end.x, X)
        X[:] = 9.0
        np.testing.assert_array_equal(end.starts, before)
        np.testing.assert_array_equal(end.trace.x[:, 0], before)
        X[:] = before
    x0 = np.array([0.3, 0.4])
    oo.solve(POLY, oo.methods.gd(), x0, max_steps=5, backend=backend)
    assert x0.tolist() == [0.3, 0.4]
    assert x0.flags.writeable
    fixed = starts(3)
    fixed.flags.writeable = False
    assert (
        oo.solve_many(
            POLY, oo.methods.gd(), np.asfortranarray(fixed), max_steps=5, backend=backend
        ).nit.tolist()
        == [5] * 3
    )
    assert oo.solve_many(POLY, oo.methods.gd(), [[1, 2]], max_steps=5, backend=backend).starts.dtype == float


def test_a_gradient_function_may_use_its_array_again():
    buffer = np.zeros(2)

    def jac(x):
        buffer[:] = 4 * x**3 + 0.1 * x
        return buffer

    objective = oo.objectives.Function(lambda x: float(np.sum(x**4) + 0.05 * x @ x), jac)
    fresh = oo.objectives.Function(objective.fun, lambda x: jac(x).copy())
    for m in (oo.methods.lc_gd(), method(scheme=Heun()), oo.methods.er()):
        one, two = (oo.solve(o, m, [0.8, -0.3], max_steps=20, gtol=1e-9) for o in (objective, fresh))
        assert one.x.tolist() == two.x.tolist()
        assert one.trials == two.trials


def test_parameters_are_arguments_of_the_kernel_not_its_text():
    """Floats do not compile a kernel anew; a whole number given for a float is that float."""
    from odeopt.compile import cache

    texts, original = [], cache.load_kernel
    cache.load_kernel = lambda text, **options: texts.append(text) or original(text, **options)
    try:
        ends = [
            oo.solve_many(
                POLY, method(HeavyBall(friction), SemiImplicitEuler(), h0=h), starts(3), max_steps=9, gtol=g
            )
            for friction, h, g in ((1.0, 0.1, 0.0), (2.5, 0.05, 1e-3), (2, 0.2, 1e-9))
        ]
    finally:
        cache.load_kernel = original
    assert len(texts) >= 3
    assert len(set(texts)) <= 2  # the sweep, and the driver around it
    plain = oo.solve_many(
        POLY,
        method(HeavyBall(2), SemiImplicitEuler(), h0=0.2),
        starts(3),
        max_steps=9,
        gtol=1e-9,
        backend="numpy",
    )
    np.testing.assert_allclose(ends[2].x, plain.x, rtol=1e-12)
    assert not np.allclose(ends[0].x, ends[1].x)
