"""The benchmarks run in small, and what they compare is the same."""

import json

import numpy as np
import pytest

from experiments.benchmarks import __main__ as command
from experiments.benchmarks import compare, peak, report
from experiments.benchmarks.peers import batches, formulas, lanes, numba_, numpy_
from experiments.benchmarks.problems import Problem, problems
from odeopt import methods, objectives


@pytest.fixture(scope="module")
def small():
    return problems(quick=True)


@pytest.mark.parametrize("name", problems(quick=True))
@pytest.mark.parametrize("tool", [numpy_, numba_])
def test_each_tool_computes_the_same_map(tool, name, small):
    """Run by run: a trial rounds x by some 1e-16, accepted steps descend, so that over at most 100 trials the sum stays
    below 1e-13 and errors along valleys grow little (1.2e-12 at most as measured); other formulas differ by more than
    1e-3."""
    ways = tool.ways(small[name])
    assert ways or small[name].early
    ends, trials = lanes.ways(small[name])[""]()
    for way in ways.values():
        other, count = way()
        assert count == trials
        np.testing.assert_allclose(other, ends, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize(("gradient", "objective"), [
    (lambda w, b: formulas.polyfive(w, b)[1:], objectives.PolyFive()), (formulas.polythree, objectives.PolyThree()),
    (lambda *x: formulas.HeavyBall(np).gradient(np.stack(x)), objectives.Rosenbrock(10))])
def test_gradients_by_hand_are_the_derived_ones(gradient, objective):
    """Some tens of terms are rounded by 1e-16 each of what is of the largest gradient's size: below 1e-12 of it."""
    x = np.random.default_rng(1).uniform(-3.0, 3.0, (50, 10 if isinstance(objective, objectives.Rosenbrock) else 2))
    derived = np.array([objective.gradient(point) for point in x]).T
    np.testing.assert_allclose(np.stack(gradient(*x.T)), derived, rtol=1e-12, atol=1e-12*np.abs(derived).max())


def test_a_map_that_differs_is_refused():
    ours = {"ends": 3358.0, "trials": 2.7e8}
    compare._check("polyfive", "other", {"ends": 3358.1, "trials": 2.7e8}, ours, 40_000)
    for wrong in ({"ends": 3500.0}, {"trials": 2.8e8}, {"ends": np.nan}):
        with pytest.raises(RuntimeError, match="other does not compute the map polyfive"):
            compare._check("polyfive", "other", {**ours, **wrong}, ours, 40_000)


def test_batches_are_of_one_size():
    assert [part.stop - part.start for part in batches(12, 4)] == [4, 4, 4]
    with pytest.raises(ValueError, match="5 does not divide 12"):
        list(batches(12, 5))


def test_operations_are_those_of_the_formulas():
    """Of gradient descent each further coordinate takes a product for g, two operations for x - h g, two for |g|^2."""
    def counted(objective, method):
        return peak.operations(Problem("", "", objective, method, np.ones((2, objective.dimension)), 10))
    spectra = (2.0, 3.0), (2.0, 3.0, 5.0)
    two, three = (counted(objectives.Quadratic(spectrum), methods.gd(0.1)) for spectrum in spectra)
    assert three["arithmetic"] - two["arithmetic"] == 5
    assert two["functions"] == three["functions"] == 0
    assert counted(objectives.LogSumExp(), methods.gd(0.1))["functions"] > 0
    assert counted(objectives.PolyThree(), methods.adam(0.1))["functions"] == 0     # its clocks are carried


def test_what_is_absent_is_named_and_not_judged(tmp_path, monkeypatch, capsys):
    """The whole command in small, with two tools, one of them not installed."""
    monkeypatch.setattr(compare, "TOOLS", ("lanes", "numpy_", "absent"))
    command.main(["--quick"], tmp_path)
    folder = tmp_path/"smoke"/"benchmarks"
    page = (folder/"report.md").read_text(encoding="utf-8")
    assert "no measurement" in page and "Not measured: absent (No module named" in page
    found = json.loads((folder/"measurements.json").read_text(encoding="utf-8"))
    aims = report.targets(found).set_index("aim")["reached"]
    assert (aims[aims.index.str.contains("JAX|torch")] == "not measured").all()
    assert 0.0 < found["peak"]["cases"]["polyfive_refill"]["share"] < 1.0
    assert [case["converged"] for case in found["scaling"]["starts"]] == [1000, 10_000]
    assert found["scaling"]["trials"][0]["trials"] < found["scaling"]["trials"][1]["trials"]
    assert found["first_result"]["warm"]["all"] < found["first_result"]["cold"]["all"]
    for name in ("tools", "starts"):
        assert (folder/f"{name}.png").stat().st_size > 5000
    command.main(["--quick", "--draw"], tmp_path)
    assert (folder/"report.md").read_text(encoding="utf-8") == page
    assert "share of the peak" in capsys.readouterr().out
