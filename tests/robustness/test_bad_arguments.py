"""Arguments that make no sense are refused by name, with what was given and what was expected."""

import math
import re
from datetime import date

import numpy as np
import pytest

import odeopt as oo
from odeopt import controllers, flows, methods, objectives, schemes
from odeopt.objectives import PolyTwo
from odeopt.status import Status

NAN, INF = math.nan, math.inf
POLY = PolyTwo()
MASKED = np.ma.array([0.1, 0.2], mask=[True, False])
RECORDS = np.zeros(2, dtype=[("a", "f8")])


def solved(**options):
    given = {"objective": POLY, "method": methods.gd(), "starts": [[0.1, 0.2]], "max_steps": 5, "backend": "numpy"}
    given |= options
    objective, method, X = (given.pop(name) for name in ("objective", "method", "starts"))
    return oo.solve_many(objective, method, X, **given)


def at(x0):
    return oo.solve(POLY, methods.gd(), x0, max_steps=5, backend="numpy")


def basins(**options):
    given = {"box": (-1, 1), "shape": (2, 2), "max_steps": 5, "backend": "numpy", "objective": POLY} | options
    return oo.studies.basins(given.pop("objective"), methods.lc_gd(), **given)


def refused(call, error, name, given):
    """In the one style of the package: `name` must be ..., got ..."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert type(caught.value) is error, message
    assert re.search(rf"`{re.escape(name)}`.* must (be|have|list)", message), message
    assert f"got {given}" in message, message


# -- starts

STARTS = {
    "texts": (["a", "b"], TypeError),
    "texts of numbers": (["1", "2"], TypeError),
    "bytes": (b"12", TypeError),
    "complex": ([1j, 2.0], TypeError),
    "complex without imaginary part": ([1 + 0j, 2.0], TypeError),
    "a dict": ({"x": 1.0}, TypeError),
    "a set": ({1.0, 2.0}, TypeError),
    "ragged": ([[1.0], [1.0, 2.0]], TypeError),
    "something missing": ([1.0, None], TypeError),
    "dates": (np.array(["2020-01-01", "2020-01-02"], "M8[D]"), TypeError),
    "objects": ([date(2020, 1, 1), date(2020, 1, 2)], TypeError),
    "records": (RECORDS, TypeError),
    "masked": (MASKED, TypeError),
    "beyond double precision": ([10**400, 1], TypeError),
    "a function": (math.sin, TypeError),
}


@pytest.mark.parametrize("case", STARTS)
def test_a_start_that_is_no_array_of_numbers(case):
    x0, error = STARTS[case]
    refused(lambda: at(x0), error, "x0", repr(x0))


@pytest.mark.parametrize("x0", [1.0, [], [[[0.1, 0.2]]], NAN])
def test_a_start_of_another_shape(x0):
    refused(lambda: at(x0), ValueError, "x0", f"the shape {np.shape(x0)}")


@pytest.mark.parametrize("method", ["gd", "lc_gd", "adam", "er", "lc_momentum", "projected_gd", "lm"])
@pytest.mark.parametrize("x0", [[NAN, 1.0], [INF, 0.0], [1.0, -INF], [1e300, -1e300], [1.7e308, 1.7e308]])
def test_a_start_that_is_not_finite_or_huge_has_diverged(method, x0):
    run = oo.solve(POLY, methods.get(method), x0, max_steps=50, max_trials=500, backend="numpy")
    assert run.status == Status.DIVERGED
    assert run.nit == 0
    np.testing.assert_array_equal(run.x, x0)


@pytest.mark.parametrize(
    "x0", [np.float16([0.5, 0.25]), np.longdouble([0.5, 0.25]), np.float32([0.5, 0.25]), np.ma.array([0.5, 0.25])]
)
def test_other_precisions_become_double(x0):
    run = at(x0)
    assert run.x.dtype == float
    assert run.x.tolist() == at([0.5, 0.25]).x.tolist()


def test_read_only_and_strided_starts_are_copied():
    X = np.broadcast_to(np.array([0.5, 0.25]), (4, 2))
    assert solved(starts=X).x.tolist() == [at([0.5, 0.25]).x.tolist()] * 4
    assert solved(starts=X[::-2, ::-1]).starts.flags.writeable


# -- options

OPTIONS = [
    ("gtol", None), ("gtol", [1e-3]), ("gtol", 1j), ("gtol", True), ("gtol", -INF),
    ("max_steps", None), ("max_steps", 2.5), ("max_steps", [3]), ("max_steps", NAN), ("max_steps", True),
    ("max_steps", -1), ("max_trials", -3), ("max_trials", 1.5), ("max_trials", NAN), ("max_trials", "9"),
    ("t_end", "1"), ("t_end", [1.0]), ("t_end", 1j), ("t_end", -INF), ("t_end", True),
    ("count_rises", "x"), ("count_rises", -1.0), ("count_rises", NAN), ("count_rises", [1.0]),
    ("time_limit", "x"), ("time_limit", 0.0), ("time_limit", -1), ("time_limit", NAN), ("time_limit", [1]),
    ("threads", -1), ("threads", "2"), ("threads", NAN), ("threads", [2]), ("threads", True), ("threads", 2.0),
    ("backend", "LANES"), ("backend", 1), ("backend", ["numpy"]), ("backend", b"numpy"),
    ("backend", np.array(["numpy", "lanes"])),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), OPTIONS, ids=repr)
def test_options_out_of_range_or_of_the_wrong_kind(name, value):
    refused(lambda: solved(**{name: value}), ValueError, name, repr(value))


@pytest.mark.parametrize("name", ["trace", "stop_at_noise", "progress"])
@pytest.mark.parametrize("value", ["no", None, 2])
def test_what_is_yes_or_no(name, value):
    refused(lambda: solved(**{name: value}), TypeError, name, repr(value))


@pytest.mark.parametrize("value", [3, b"a.nc", ["a.nc"], object()])
def test_an_output_that_is_no_path(value):
    refused(lambda: solved(out=value), TypeError, "out", repr(value))
    refused(lambda: basins(out=value), TypeError, "out", repr(value))


@pytest.mark.parametrize("value", ["", "."])
def test_an_output_that_is_a_folder(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(lambda: solved(out=value), IsADirectoryError, "out", f"the folder {value!r}")


def test_a_time_limit_is_refused_by_the_lanes():
    with pytest.raises(ValueError, match=r"`time_limit` must be None for the lanes.*got 3.0: bound max_trials"):
        solved(time_limit=3.0, backend="lanes")


def test_a_misspelt_option_is_named():
    with pytest.raises(TypeError, match="g_tol"):
        solved(g_tol=1e-3)
    with pytest.raises(TypeError, match="g_tol"):
        basins(g_tol=1e-3)


@pytest.mark.parametrize("name", ["objective", "method"])
@pytest.mark.parametrize("value", [None, 3.0, (POLY,), "PolyTwo", flows.GradientFlow()], ids=repr)
def test_what_is_no_objective_and_no_method(name, value):
    refused(lambda: solved(**{name: value}), TypeError, name, repr(value))


@pytest.mark.parametrize("backend", ["lanes", "numpy"])
def test_more_threads_than_starts(backend):
    """As many as can be used are begun, not a million."""
    X = np.full((3000, 2), 0.1) if backend == "lanes" else [[0.1, 0.2]]
    end = solved(threads=10**6, backend=backend, starts=X)
    assert end.counts() == {"MAX_STEPS": len(X)}
    assert 1 <= end.threads <= 3


@pytest.mark.parametrize("value", [INF, 10**400, 1e300])
def test_limits_beyond_any_count_are_no_limits(value):
    assert solved(max_steps=value, method=methods.lc_gd()).counts() == {"CONVERGED": 1}
    assert solved(max_trials=value).counts() == {"MAX_STEPS": 1}


@pytest.mark.parametrize("value", [np.float32(1e-3), np.float64(1e-3), np.int64(1)])
def test_numbers_of_numpy_are_numbers(value):
    assert solved(gtol=value, max_steps=np.int64(5)).limits.gtol == float(value)


# -- maps

BASINS = [
    ("box", "x", TypeError), ("box", (1j, 2), TypeError), ("box", ("0", "1"), TypeError), ("box", (None, 1), TypeError),
    ("box", 3, ValueError), ("box", (1,), ValueError), ("box", (1, -1), ValueError), ("box", (0, 0), ValueError),
    ("box", (NAN, 1), ValueError), ("box", (-INF, 1), ValueError), ("box", (-INF, INF), ValueError),
    ("box", (-1e308, 1e308), ValueError), ("box", ((0, 1), (1, 0)), ValueError), ("box", ((0, 1),), ValueError),
    ("box", ((0, 1),)*3, ValueError),
    ("shape", "ab", ValueError), ("shape", None, ValueError), ("shape", 3, ValueError), ("shape", (), ValueError),
    ("shape", (0, 2), ValueError), ("shape", (-1, 2), ValueError), ("shape", (2.5, 2), ValueError),
    ("shape", ("2", "2"), ValueError), ("shape", (NAN, 2), ValueError), ("shape", (True, 2), ValueError),
    ("shape", (2,), ValueError), ("shape", (2, 2, 2), ValueError),
    ("shape", (10**7, 10**7), MemoryError), ("shape", (10**30, 2), MemoryError),
    ("minima", "x", TypeError), ("minima", [[1j, 2]], TypeError), ("minima", 3, ValueError),
    ("minima", [1, 2, 3], ValueError), ("minima", [[1, 2, 3]], ValueError), ("minima", [[NAN, 1]], ValueError),
    ("minima", [[INF, 0]], ValueError), ("minima", np.zeros((1, 1, 2)), ValueError),
    ("radius", "x", ValueError), ("radius", -1, ValueError), ("radius", 0, ValueError), ("radius", NAN, ValueError),
    ("radius", [1], ValueError), ("radius", 1j, ValueError),
    ("gtol", -1, ValueError), ("max_steps", 0, ValueError), ("max_trials", 0, ValueError),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "error"), BASINS, ids=repr)
def test_maps_of_nothing(name, value, error):
    refused(lambda: basins(**{name: value}), error, name, repr(value))


def test_maps_of_objectives_that_have_no_box_or_no_minima():
    bowl = objectives.Function(lambda x: float(x @ x), lambda x: 2 * x)
    with pytest.raises(ValueError, match=r"lists no minima: give them as `minima`, an array \(k, 2\)"):
        basins(objective=bowl)
    with pytest.raises(ValueError, match=r"has no box: give one as `box`, \(low, high\)"):
        basins(objective=bowl, box=None)
    with pytest.raises(ValueError, match=r"`shape` must have 3 entries.*got \(2, 2\)"):
        basins(objective=objectives.Rosenbrock(3))


def test_a_box_of_huge_numbers_diverges_everywhere():
    assert basins(box=(-1e300, 1e300)).fraction == {0: 0.0, 1: 0.0, 2: 0.0, 3: 0.0, -3: 1.0}


# -- parameters

PARAMETERS = [
    (methods.gd, "lr", [-1.0, 0.0, NAN, INF, "x", None, [0.1], 1j, True]),
    (methods.momentum, "momentum", [-0.1, 1.0, NAN, "x", None, [0.9]]),
    (methods.corrected_momentum, "momentum", [0.0, 1.0, NAN, "x"]),
    (methods.nesterov_avd, "alpha", [0.0, -3.0, INF, "3"]),
    (methods.adam, "betas", [0.9, None, "x", (0.9,), (0.9, 0.99, 0.999)]),
    (methods.adam, "eps", [-1e-8, NAN, INF, "x", None, [1e-8], 1j]),
    (methods.rmsprop, "alpha", [0.0, 1.0, NAN, "x"]),
    (methods.er, "tol", [0.0, -1.0, NAN, "x"]),
    (methods.egd, "shrink", [1.0, 0.5, NAN, INF, "x", None]),
    (methods.lc_gd, "slope", ["x", None, [0.5], 1j]),
    (methods.lc_gd, "grow", [0.5, INF, NAN, "x"]),
    (methods.lc_gd, "h0", [-1.0, 0.0, NAN, INF, "x", None, 1j, True]),
    (methods.lcd_gd, "bisections", [-1, 1.5, "x", None]),
    (methods.lc_momentum, "friction", [-1.0, NAN, INF, "x", None, [2.0], 1j]),
    (methods.lc_rmsprop, "rate", [0.0, -1.0, NAN, INF, "x"]),
    (methods.lc_clipping, "threshold", [0.0, -1.0, NAN, "x"]),
    (methods.lc_pgd, "p", [1.0, INF, NAN, "x", None]),
    (methods.lm, "mu", [0.0, -1.0, NAN, "x"]),
    (methods.lm_uphill, "b", [0, 3, 1.0, "x"]),
    (methods.projected_gd, "h_max", [0.0, -1.0, NAN, "flaw", [1.0], 1j]),
    (flows.HeavyBall, "gain", [0.0, -1.0, NAN, "x"]),
    (flows.AdaGrad, "rate", [0.0, NAN, "x"]),
    (flows.AWB, "first_rate", [0.0, -1.0, NAN, None]),
    (flows.Adam, "second_rate", [0.0, -1.0, INF, None]),
    (flows.NesterovConvex, "alpha", [1.0, NAN, "x"]),
    (flows.LevenbergMarquardt, "mu", [-1.0, NAN, "x"]),
    (flows.ScaledGradient, "metric", ["Identity", None, 1.0]),
    (schemes.ProjectedEuler, "tol", [0.0, NAN, "x"]),
    (schemes.ProjectedEuler, "most", [0, 2.5, "x"]),
    (schemes.MeanVelocity, "rest", [-1.0, NAN, "x"]),
    (controllers.EmbeddedError, "order", [-1, 1.5, "x"]),
    (controllers.Solved, "quick", [0.0, NAN, "x", None]),
    (controllers.NielsenGain, "p", [2, -1, 3.0, "3"]),
    (controllers.Constant, "at", ["End", None, 0]),
    (controllers.Constant, "h_min", [-1.0, NAN, INF, "x", None]),
    (controllers.Both, "first", [None, "x", controllers.Constant]),
    (objectives.Rosenbrock, "dimension", [1, 2.0, NAN, "2", None, True]),
    (objectives.Rosenbrock, "b", [0.0, -1.0, NAN, "x"]),
    (objectives.LogSumExp, "temperature", [0.0, -1.0, NAN, None]),
    (objectives.StyblinskiTang, "dimension", [0, 1.5, "x"]),
    (objectives.Quadratic, "spectrum", [[1.0, 2.0], 3.0, "x", (1.0, NAN), (1.0, INF), (1.0, "2"), None]),
    (objectives.ExponentialFit, "data", [[1.0], 3.0, (NAN,)*6, ("1",)*6]),
    (objectives.Example, "number", [0, 1.5, "1", None]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [(make, name, value) for make, name, values in PARAMETERS for value in values],
    ids=lambda a: getattr(a, "__name__", repr(a)),
)
def test_parameters_out_of_range_or_of_the_wrong_kind(make, name, value):
    with pytest.raises((ValueError, TypeError)) as caught:
        make(**{name: value})
    message = str(caught.value)
    # a method may call by another name what its parts call by theirs; the value is that which was given
    assert re.search(r"`\w+(\[\d\])?`.* must ", message), message
    assert f"got {value!r}" in message or (name == "p" and make is methods.lc_pgd), message


@pytest.mark.parametrize("value", ["x", None, [1.0], 1j, NAN, True], ids=repr)
def test_parameters_of_formulas_of_ones_own(value):
    """What no class of the package checks is checked by a run: a list would be taken for a vector."""
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Steep(oo.Flow):
        slope: float = 1.0

        def field(self, g):
            return -self.slope * g

    @dataclass(frozen=True)
    class Bowl(oo.Landscape):
        a: float = 1.0

        def value(self, x, y):
            return self.a * (x * x + y * y)

    method = oo.Method(Steep(value), schemes.ExplicitEuler(), controllers.Constant())
    with pytest.raises(TypeError, match=re.escape(f"`slope` of Steep must be a number, got {value!r}")):
        solved(method=method)
    with pytest.raises(TypeError, match=re.escape(f"`a` of Bowl must be a number, got {value!r}")):
        solved(objective=Bowl(value))


@pytest.mark.parametrize("backend", ["lanes", "numpy"])
def test_a_parameter_of_zero_divides_as_in_any_reader(backend):
    """1/0 is inf: no cap on the step of a heavy ball without friction."""
    end = solved(method=methods.lc_momentum(friction=0.0), max_steps=20, backend=backend, max_trials=500)
    assert end.status[0] in (Status.STEP_UNDERFLOW, Status.MAX_STEPS, Status.MAX_TRIALS)


NAMES = [
    (lambda: methods.get("lc_gt"), "lc_gt", "did you mean 'lc_gd'"),
    (lambda: methods.get("ADAMM"), "ADAMM", "Known: "),
    (lambda: methods.get(""), "''", "Known: "),
    (lambda: methods.get("SGD"), "SGD", "different methods"),
]


@pytest.mark.parametrize(("call", "given", "mend"), NAMES)
def test_misspelt_methods(call, given, mend):
    with pytest.raises(ValueError, match=re.escape(given)) as caught:
        call()
    assert mend in str(caught.value)


@pytest.mark.parametrize(
    ("module", "name"),
    [(flows, "HeavyBal"), (schemes, "Euler"), (controllers, "Backtracking"), (objectives, "Rosenbrok")],
)
def test_misspelt_classes(module, name):
    with pytest.raises(AttributeError, match=name):
        getattr(module, name)


def test_a_misspelt_parameter_is_named():
    with pytest.raises(TypeError, match="frictoin"):
        flows.HeavyBall(frictoin=1.0)
    with pytest.raises(TypeError, match="learning_rate"):
        methods.get("gd", learning_rate=0.1)
