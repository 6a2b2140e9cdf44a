"""The lanes: results do not depend on how the work is cut, and traces tell what happened."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass

import numpy as np
import pytest

import odeopt as oo
from odeopt import Status
from odeopt.backends import lanes as solving
from odeopt.compile import lanes
from odeopt.controllers import Constant
from odeopt.flows import GradientFlow
from odeopt.schemes import Scheme, Step

EPS = np.finfo(float).eps


@dataclass(frozen=True)
class FixedPoint(Scheme):
    """Implicit Euler by at most nine fixed-point rounds: a loop with an early exit in the kernel."""

    def step(self, ode, t, z, h):
        def body(y, moved):
            new = z.x - h * ode.g(y)
            return new, (new - y) @ (new - y), (new - y) @ (new - y) < 1e-12

        y, _, done = oo.iterate(body, (z.x, 1.0), 9)
        return Step(z.replace(x=y), solved=done)


class Careful(oo.Controller):
    def control(self, h, solved):
        return True, np.where(solved, 1.2 * h, 0.5 * h), {}


CASES = {
    "lc_gd": (oo.objectives.PolyThree(), oo.methods.lc_gd()),
    "lcd_gd": (oo.objectives.PolyTwo(), oo.methods.lcd_gd()),
    "adam": (oo.objectives.LogSumExp(dimension=3), oo.methods.adam(lr=0.05)),
    "er": (oo.objectives.Himmelblau(), oo.methods.er()),
    "loop": (oo.objectives.PolyTwo(), oo.Method(GradientFlow(), FixedPoint(), Careful(), 0.01)),
}


def starts(objective, S, seed=0):
    """Starts of every fate: ordinary ones, a minimum, a saddle, and points from which runs diverge."""
    X = np.random.default_rng(seed).uniform(-3.0, 3.0, (S, objective.dimension))
    X[7], X[11], X[13] = 0.0, 1e80, np.nan
    return X


def run(case, X, **options):
    objective, method = CASES[case]
    return oo.solve_many(
        objective, method, X, **{"gtol": 1e-5, "max_steps": 150, "backend": "lanes", **options}
    )


def numbers(ensemble):
    """Everything that a result holds, as {name: array}."""
    names = ("x", "fun", "jac", "t", "h", "nit", "trials", "nfev", "njev", "nhev", "status")
    return (
        {name: getattr(ensemble, name) for name in names}
        | {f"z.{k}": v for k, v in ensemble.z.items()}
        | {f"memory.{k}": v for k, v in ensemble.memory.items()}
    )


def assert_same_bits(one, two, rows=slice(None)):
    one, two = numbers(one), numbers(two)
    assert one.keys() == two.keys()
    for name, array in one.items():
        kept = np.where(np.isnan(array), np.nan, array) if array.dtype == float else array  # any NaN is NaN
        other = two[name][rows]
        other = np.where(np.isnan(other), np.nan, other) if other.dtype == float else other
        assert kept.tobytes() == other.tobytes(), name


@pytest.mark.parametrize("case", list(CASES))
def test_results_do_not_depend_on_threads_chunks_or_the_order_and_number_of_starts(case, monkeypatch):
    X = starts(CASES[case][0], 900)
    whole = run(case, X, threads=1)
    assert len(set(whole.status.tolist())) >= 2
    assert whole.backend == "lanes"
    rng = np.random.default_rng(1)
    for rows in (
        rng.permutation(900),
        np.sort(rng.choice(900, 333, replace=False)),
        np.array([5]),
        np.arange(899, -1, -7),
    ):
        assert_same_bits(run(case, X[rows], threads=1), whole, rows)
    for chunk, rounds in ((1, 1), (7, 3), (100, 1), (128, 4096), (5000, 2)):
        monkeypatch.setattr(solving, "CHUNK", chunk)
        monkeypatch.setattr(solving, "ROUNDS", rounds)
        for threads in (1, 2, 5):
            assert_same_bits(run(case, X, threads=threads), whole)


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("width", [64, 256])
def test_results_do_not_depend_on_the_number_of_lanes(case, width, monkeypatch):
    X = starts(CASES[case][0], 700)
    usual = run(case, X)
    monkeypatch.setattr(lanes, "LANES", width)
    monkeypatch.setattr(lanes, "STRIDE", width + 8)
    assert_same_bits(run(case, X), usual)


@pytest.mark.parametrize("case", list(CASES))
def test_results_do_not_depend_on_the_trace(case):
    X = starts(CASES[case][0], 150)  # more than one block of lanes
    traced, plain = run(case, X, trace=True), run(case, X)
    assert_same_bits(traced, plain)
    assert plain.trace is None
    trace = traced.trace
    assert trace.stride == 1
    np.testing.assert_array_equal(trace.x[:, 0], X)
    np.testing.assert_array_equal(trace.trials[:, -1], plain.trials)
    np.testing.assert_array_equal(trace.accepted.sum(axis=1), plain.nit)
    if case != "er":  # which returns its probe
        np.testing.assert_array_equal(trace.x[:, -1], plain.x)


def test_the_trials_between_two_looks_do_not_matter(monkeypatch):
    X = starts(CASES["lc_gd"][0], 300)
    usual = run("lc_gd", X, max_trials=37)
    for trials in (2, 64):
        monkeypatch.setattr(lanes, "TRIALS", trials)
        assert_same_bits(run("lc_gd", X, max_trials=37), usual)


def test_backend_and_threads_say_what_ran(monkeypatch):
    objective, method = CASES["lc_gd"]
    X = starts(objective, 50)
    plain = run("lc_gd", X[:3], backend="numpy")
    assert (plain.backend, plain.threads) == ("numpy", 1)
    assert run("lc_gd", X, backend=None).backend == "lanes"
    assert run("lc_gd", X).flags == ()
    assert run("lc_gd", X, threads=2).threads == 1  # one chunk is one thread's work
    monkeypatch.setattr(solving, "CHUNK", 10)
    assert run("lc_gd", X, threads=2).threads == 2
    function = oo.objectives.Function(lambda x: float(x @ x), lambda x: 2 * x)
    assert oo.solve(function, method, [1.0, 2.0]).backend == "numpy"
    with pytest.raises(ValueError, match="straight-line"):
        oo.solve(function, method, [1.0, 2.0], backend="lanes")
    for n, backend in ((16, "lanes"), (17, "numpy")):
        wide = oo.objectives.Quadratic((1.0,) * n)
        end = oo.solve_many(wide, oo.methods.gd(), np.ones((2, n)), max_steps=3)
        assert end.backend == backend
        np.testing.assert_allclose(end.x, 0.9**3, rtol=1e-14)


# -- traces


@pytest.mark.parametrize("backend", ["lanes", "numpy"])
def test_a_trace_tells_every_trial(backend):
    """Step, decision, state and energy of every trial of LC on the gradient flow, recomputed.

    A value of PolyThree is a sum of two squares, and the trial x - h g has an error of some roundings of
    |x| + h |g|: V1 is known to within 32 EPS (V1 + |slope at x1| (|x| + h |g|)).
    """
    objective, _ = CASES["lc_gd"]
    X = np.random.default_rng(2).uniform(-1.5, 1.5, (12, 2))
    end = run("lc_gd", X, trace=True, backend=backend, max_steps=25)
    for i in range(len(X)):
        one = end[i]
        trace = one.trace
        assert len(trace) == one.trials + 1
        assert np.isnan(trace.h[0])
        assert not trace.accepted[0]
        assert trace.h[1] == 0.1
        np.testing.assert_array_equal(trace.trials, np.arange(len(trace)))
        x, g, h, accepted = trace.x[:-1], trace.g[:-1], trace.h[1:, None], trace.accepted[1:]
        np.testing.assert_allclose(np.diff(trace.t)[accepted], trace.h[1:][accepted], rtol=1e-9)
        assert np.all(np.diff(trace.t)[~accepted] == 0.0)
        np.testing.assert_allclose(g, objective.gradient(x), rtol=1e-10, atol=1e-13)
        tried = x - h * g
        np.testing.assert_allclose(
            trace.x[1:][accepted], tried[accepted], rtol=4 * EPS, atol=4 * EPS * np.abs(x).max()
        )
        np.testing.assert_array_equal(trace.x[1:][~accepted], x[~accepted])
        # the next step: grown after a success, halved after a failure
        np.testing.assert_allclose(trace.h[2:], trace.h[1:-1] * np.where(accepted, 1e4, 0.5)[:-1], rtol=1e-14)
        # the decision, by the energies that NumPy finds at the same points
        with np.errstate(over="ignore"):
            V0, V1, promised = objective.f(x), objective.f(tried), 0.5 * h[:, 0] * np.sum(g * g, axis=1)
            slope = np.linalg.norm(objective.gradient(tried), axis=1)
            known = (
                32 * EPS * (V1 + V0 + slope * (np.abs(x).max(axis=1) + h[:, 0] * np.linalg.norm(g, axis=1)))
            )
        assert np.all((-promised + known >= V1 - V0)[accepted])
        assert np.all((-promised - known < V1 - V0)[~accepted])
        np.testing.assert_allclose(trace.V, objective.f(trace.x), rtol=1e-14)
        np.testing.assert_array_equal(trace.V, trace.f)
        assert np.all(np.diff(trace.V) <= 32 * EPS * trace.V[:-1])


def test_a_thinned_trace_is_a_part_of_the_whole(monkeypatch):
    X = starts(oo.objectives.PolyThree(), 40)
    whole = run("lc_gd", X, trace=True)
    monkeypatch.setattr(solving, "MOST_NUMBERS", 40 * len(numbers(whole)) * 60)
    monkeypatch.setattr(solving, "SEGMENT", 50)
    thin = run("lc_gd", X, trace=True)
    assert_same_bits(thin, whole)
    stride = thin.trace.stride
    assert stride in (2, 4, 8, 16, 32, 64)
    rows = thin.trace.x.shape[1]
    assert rows < whole.trace.x.shape[1] / stride + 3
    for r in range(rows - 1):
        row = min(r * stride, whole.trace.x.shape[1] - 1)
        np.testing.assert_array_equal(thin.trace.x[:, r], whole.trace.x[:, row])
        np.testing.assert_array_equal(thin.trace.n[:, r], whole.trace.n[:, row])
    np.testing.assert_array_equal(thin.trace.x[:, -1], whole.trace.x[:, -1])


def test_rises_are_counted_in_the_kernel_as_the_trace_shows_them():
    objective, method = oo.objectives.PolyTwo(), oo.methods.ema_momentum(lr=0.2)
    X = starts(objective, 60)[14:]
    end = oo.solve_many(objective, method, X, max_steps=60, gtol=1e-6, count_rises=0.01, trace=True)
    V = end.trace.V
    with np.errstate(invalid="ignore", over="ignore"):
        rose = (np.diff(V, axis=1) > 0.01 * np.abs(V[:, :-1])) & end.trace.accepted[:, 1:]
    np.testing.assert_array_equal(end.rises, rose.sum(axis=1))
    assert end.rises.max() > 3


# -- Ctrl-C

INTERRUPTED = """
    import sys, warnings
    import numpy as np
    import odeopt as oo
    from odeopt.objectives import PolyTwo

    X = np.load(sys.argv[1])
    slow, backend = oo.methods.gd(1e-7), sys.argv[3]
    oo.solve_many(PolyTwo(), slow, X[:2], max_steps=3, backend=backend)     # compiled before the clock runs
    print("ready", flush=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        end = oo.solve_many(PolyTwo(), slow, X, gtol=1e-3, max_steps=10**9, backend=backend, threads=2)
    np.savez(sys.argv[2], x=end.x, status=end.status, nit=end.nit, trials=end.trials, njev=end.njev,
             warned=[str(w.message) for w in caught], counts=str(end.counts()))
"""


@pytest.mark.parametrize("backend", ["lanes", "numpy"])
def test_after_an_interrupt_what_has_ended_is_there(backend, tmp_path):
    """Runs that end within milliseconds before others that would take hours, and a Ctrl-C."""
    S, quick = (3000, 40) if backend == "lanes" else (12, 4)
    X = np.random.default_rng(0).uniform(-0.5, 0.5, (S, 2))
    edge = 2.0 + 0.01 * np.linspace(
        0.0, 1.0, 100_001
    )  # |g| falls along x -> 2 from above: start where it nearly is gtol
    points = np.stack([edge, np.full_like(edge, -1.0)], axis=1)
    sizes = np.linalg.norm(oo.objectives.PolyTwo().gradient(points), axis=1)
    X[:quick] = points[np.searchsorted(sizes, 1e-3)]
    X[1] = [2.0, -1.0]  # at the minimum: ended before its first step
    np.save(tmp_path / "starts.npy", X)
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(INTERRUPTED))
    command = [sys.executable, str(script), str(tmp_path / "starts.npy"), str(tmp_path / "end.npz"), backend]
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        sent = time.perf_counter()
        assert process.wait(60) == 0
        assert time.perf_counter() - sent < 10
    end = np.load(tmp_path / "end.npz")
    ended = end["status"] == Status.CONVERGED
    assert ended[:quick].all()
    assert np.all(end["status"][~ended] == Status.INTERRUPTED)
    assert ended.sum() == quick
    assert any("INTERRUPTED" in message for message in end["warned"])
    assert "INTERRUPTED" in str(end["counts"])
    again = oo.solve_many(
        oo.objectives.PolyTwo(), oo.methods.gd(1e-7), X[:quick], gtol=1e-3, max_steps=10**9, backend=backend
    )
    np.testing.assert_array_equal(end["x"][:quick], again.x)
    np.testing.assert_array_equal(end["nit"][:quick], again.nit)
    assert again.nit[0] > 0
    assert again.nit[1] == 0
    assert end["x"].shape == X.shape
    if backend == "lanes":  # never a point that nobody started from
        unfinished = end["x"][~ended]
        np.testing.assert_array_equal(unfinished, X[~ended])


def test_a_constant_step_is_no_slot_but_is_returned():
    end = oo.solve_many(
        oo.objectives.PolyTwo(),
        oo.Method(GradientFlow(), oo.schemes.ExplicitEuler(), Constant(), 0.05),
        [[0.1, 0.2]],
        max_steps=3,
        trace=True,
    )
    assert end.h.tolist() == [0.05]
    assert end.trace.h[0, 1:].tolist() == [0.05] * 3
