"""Trainings: what is measured, against independent networks, traces and the papers' archived numbers."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import odeopt as oo
from odeopt.language import asks
from odeopt.objectives import Network
from odeopt.status import Status
from odeopt.studies import Training, summary, training

SPIRALS = oo.data.two_spirals("a")


def waves(count=20, seed=3):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(count, 2))
    return inputs, np.sin(inputs[:, 0]) + inputs[:, 1]


def waving(**options):
    return Network((2, 3, 1), *waves(), **options)


@pytest.fixture(scope="module")
def small():
    """Ten real runs, of which some converge within 20 steps."""
    network = waving()
    starts = network.initial(10, seed=1)
    return training(network, oo.methods.lc_gd(), starts, gtol=0.05, max_steps=20, test=waves(15, 4))


# -- what is measured


def test_trainings_that_all_fail_say_why():
    network = waving()
    starts = network.initial(3)
    assert Status.DIVERGED.message in repr(training(network, oo.methods.gd(1e300), starts, max_steps=5))
    assert "raise max_steps or gtol" in repr(training(network, oo.methods.lc_gd(), starts, gtol=0.0, max_steps=2))


@pytest.mark.parametrize("options", [{}, {"l2": 0.3, "reduction": "sum"}, {"dtype": "float32"}])
def test_losses_are_means_over_samples_without_l2(options):
    network = waving(**options)
    result = training(network, oo.methods.lc_gd(), network.initial(3), max_steps=5, test=waves(15, 4))
    # the two implementations differ by some roundings of sums over 5 numbers and 20 samples
    rtol = 100 * np.finfo(network.dtype).eps
    for samples, losses in ((waves(), result.train_loss), (waves(15, 4), result.test_loss)):
        for x, loss in zip(result.ensemble.x, losses, strict=True):
            W, b, w, c = x[:6].reshape(3, 2), x[6:9], x[9:12], x[12]
            squares = [(w @ np.tanh(W @ sample + b) + c - y) ** 2 / 2 for sample, y in zip(*samples, strict=True)]
            np.testing.assert_allclose(loss, sum(squares) / len(squares), rtol=rtol)


def test_accuracies_count_samples():
    network = Network((2, 4, 1), SPIRALS.inputs, SPIRALS.targets, output="sigmoid")
    result = training(network, oo.methods.adam(), network.initial(3), max_steps=50, test=SPIRALS)
    parts = {"train": (SPIRALS.inputs, SPIRALS.targets), "test": (SPIRALS.test_inputs, SPIRALS.test_targets)}
    for part, (inputs, labels) in parts.items():
        for x, accuracy in zip(result.ensemble.x, result.quantities[f"{part}_accuracy"], strict=True):
            W, b, w, c = x[:8].reshape(4, 2), x[8:12], x[12:16], x[16]
            says = [w @ np.tanh(W @ sample + b) + c > 0 for sample in inputs]             # sigmoid > 1/2
            assert accuracy == np.mean(says == (labels == 1))


def test_which_trainings_have_accuracies():
    inputs, labels = SPIRALS.inputs, SPIRALS.targets
    of_squares, of_labels = (Network((2, 2, 1), inputs, labels, loss=loss)
                             for loss in ("half_squares", "binary_cross_entropy"))
    for network, options, expected in ((of_squares, {}, False), (of_squares, {"test": SPIRALS}, True),
                                       (of_labels, {}, True), (of_labels, {"classify": False}, False),
                                       (of_squares, {"classify": True}, True)):
        result = training(network, oo.methods.gd(), network.initial(2), max_steps=2, **options)
        assert ("train_accuracy" in result.quantities) == expected
        assert np.isfinite(result.train_accuracy).all() == expected
        assert np.isfinite(result.test_accuracy).all() == (expected and "test" in options)


def test_rises_are_those_of_the_trace():
    network = waving()
    starts = network.initial(4, seed=2)
    result = training(network, oo.methods.gd(lr=1.5), starts, gtol=1e-12, max_steps=200, stop_at_noise=False)
    for i, start in enumerate(starts):
        solution = oo.solve(network, oo.methods.gd(lr=1.5), start, gtol=1e-12, max_steps=200, trace=True)
        V = solution.trace.V
        rises = np.diff(V) > 4096 * 2.0**-52 * np.abs(V[:-1])
        assert result.rises[i] == rises.mean()
        assert result.steps[i] == len(rises)
    assert result.rises.max() > 0.1
    controlled = training(network, oo.methods.lc_gd(), starts, max_steps=200)
    assert not controlled.rises.any()
    assert np.isnan(training(network, oo.methods.gd(), starts, max_steps=2, count_rises=None).rises).all()


def test_a_lyapunov_function_that_asks_for_the_minimum_is_not_counted():
    network = waving()
    flow = oo.flows.NesterovConvex()
    assert "f_star" in asks(flow.V)
    method = oo.Method(flow, oo.schemes.SemiImplicitEuler(), oo.controllers.Constant(), h0=1e-3)
    result = training(network, method, network.initial(2), max_steps=10)
    assert "rises" not in result.quantities
    assert (result.steps == 10).all()


def test_columns_are_those_of_the_runs(small):
    ensemble = small.ensemble
    frame = small.to_pandas()
    assert frame.index.name == "start"
    expected = {"steps": ensemble.nit, "trials": ensemble.trials, "gradients": ensemble.njev, "g_norm": ensemble.g_norm,
                "seconds": ensemble.seconds, "train_loss": small.train_loss, "test_loss": small.test_loss,
                "rises": small.rises}
    assert set(frame) == {"status", *expected}
    for name, column in expected.items():
        np.testing.assert_array_equal(frame[name], column)
    assert frame["status"].tolist() == [Status(s).name for s in ensemble.status]
    assert (small.seconds > 0).all()


# -- what they come to


def test_medians_are_of_converged_runs_and_failures_stay_in_the_shares(small):
    ensemble = small.ensemble
    status = np.array([Status.CONVERGED] * 3 + [Status.DIVERGED] + [Status.NOISE] * 2 + [
        Status.TIME_LIMIT, Status.MAX_STEPS, Status.STEP_UNDERFLOW, Status.INTERRUPTED])
    told = Training(dataclasses.replace(ensemble, status=status), waves(15, 4)).summary()
    assert told.shares == {"converged": 0.3, "nc": 0.3, "dv": 0.1, "nz": 0.2, "tl": 0.1}
    steps = told.quantities["steps"]
    assert (steps.lower, steps.median, steps.upper) == tuple(np.quantile(ensemble.nit[:3], [0.25, 0.5, 0.75]))
    assert (steps.count, steps.total) == (3, 10)
    assert told.to_pandas().loc["test_loss", "median"] == np.median(small.test_loss[:3])
    assert "3 of 10 runs converged (nc 30 %, dv 10 %, nz 20 %, tl 10 %)" in repr(told)


class Coarse(Network):
    def gradient_noise(self, x):
        return 0.1  # it is first asked after 1024 steps: their last gradient is less, and still far from 0


def test_runs_fail_as_they_should():
    inputs, targets = waves()
    line = Network((2, 1), inputs, targets)                # a quadratic: gradient descent with h > 2/L diverges
    starts = line.initial(3)
    L = np.linalg.eigvalsh(line.hessian(starts[0])).max()
    shares = {
        "dv": training(line, oo.methods.gd(lr=3 / L), starts).shares,
        "nc": training(line, oo.methods.gd(lr=1e-6 / L), starts, max_steps=10).shares,
        "tl": training(line, oo.methods.gd(lr=1e-9 / L), starts, max_steps=10**9, time_limit=1e-3).shares,
        "nz": training(Coarse((2, 1), inputs, targets), oo.methods.gd(lr=1e-2 / L), starts, gtol=0.0).shares,
        "converged": training(line, oo.methods.gd(lr=1 / L), starts).shares,
    }
    for end, found in shares.items():
        assert found == {name: float(name == end) for name in ("converged", "nc", "dv", "nz", "tl")}


def test_without_a_converged_run_there_is_a_word_and_no_number():
    network = waving()
    result = training(network, oo.methods.gd(lr=1e-6), network.initial(2), max_steps=3, test=waves(5, 1))
    told = result.summary()
    assert told.shares["nc"] == 1.0
    assert told.to_pandas().isna().all(axis=None)
    assert "0 of 2 runs converged" in repr(result)
    assert "no run converged" in repr(result)


def test_the_table_is_readable(small):
    lines = repr(small).splitlines()
    assert lines[0].startswith("Training of Network((2, 3, 1)")
    assert lines[1].startswith("lc_gd: ")
    assert lines[2].split() == ["25", "%", "median", "75", "%"]
    steps = summary(small.steps, small.success)
    assert lines[3].split() == ["steps", *(f"{q:.4g}" for q in (steps.lower, steps.median, steps.upper))]
    assert max(map(len, lines[1:])) <= 80


# -- files


def test_a_kept_training_is_the_same_again(small, tmp_path):
    small.save(tmp_path / "runs.nc")
    again = Training(oo.load(tmp_path / "runs.nc"), waves(15, 4))
    pd.testing.assert_frame_equal(small.to_pandas(), again.to_pandas(), check_exact=True)
    assert repr(again) == repr(small)


def test_a_training_into_a_file_goes_on_from_it(tmp_path):
    network, out = waving(), tmp_path / "runs.nc"
    first = training(network, oo.methods.lc_gd(), network.initial(3), max_steps=50, out=out)
    second = training(network, oo.methods.lc_gd(), network.initial(3), max_steps=50, out=out, test=waves(5, 1))
    assert second.ensemble.path == str(out)
    np.testing.assert_array_equal(first.seconds, second.seconds)            # read, not run again
    assert np.isfinite(second.test_loss).all()


# -- the papers

ARCHIVED = {        # medians of 1000 starts with their digits: B. Bensaid, https://github.com/bbensaid30/COptimizers
    "lc_gd": {"steps": (476, 0.5), "train_loss": (6.3e-3, 5e-5), "test_loss": (1.2e-2, 5e-4),
              "test_accuracy": (0.98, 5e-3)},
    "adam": {"steps": (384, 0.5), "train_loss": (5.0e-3, 5e-5), "test_loss": (2.35e-2, 5e-5),
             "test_accuracy": (0.95, 5e-3)},
}


@pytest.mark.parametrize("name", ARCHIVED)
def test_two_spirals_come_to_the_archived_medians(name):
    """A median lies between the order statistics S/2 -+ 3 sqrt(S)/2 of S runs with probability 0.997."""
    network = Network((2, 12, 12, 12, 1), SPIRALS.inputs, SPIRALS.targets, output="sigmoid")
    S = 100
    result = training(network, oo.methods.get(name), network.initial(S, "xavier"), test=SPIRALS, gtol=1e-2)
    assert result.shares["converged"] == 1.0
    for quantity, (median, digits) in ARCHIVED[name].items():
        ordered = np.sort(result.quantities[quantity])
        assert ordered[S // 2 - 15 - 1] - digits <= median <= ordered[S // 2 + 15 - 1] + digits, quantity


# -- wrong calls


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"test": waves()[0]}, TypeError, "a Dataset or \\(inputs, targets\\)"),
        ({"test": (np.ones((5, 3)), np.ones(5))}, ValueError, "`test` does not fit the network: .* 2 columns"),
        ({"test": (np.ones((5, 2)), np.ones(4))}, ValueError, "`test` does not fit the network: .* each of the 5"),
        ({"test": (np.full((1, 2), np.nan), np.ones(1))}, ValueError, "`test` does not fit .* finite"),
        ({"starts": np.empty((0, 13))}, ValueError, "at least one start"),
        ({"starts": np.ones((2, 12))}, ValueError, "13 coordinates"),
        ({"network": oo.objectives.PolyThree()}, TypeError, "training is of a Network"),
        ({"method": "lc_gd"}, TypeError, "must be a Method"),
        ({"method": oo.methods.lm(), "backend": "numpy"}, ValueError, "stop_at_noise"),
    ],
)
def test_wrong_calls_say_what_was_expected(options, error, says):
    network = waving()
    call = {"network": network, "method": oo.methods.lc_gd(), "starts": network.initial(2), "max_steps": 3} | options
    with pytest.raises(error, match=says):
        training(**call)


def test_labels_of_a_test_set_must_be_labels():
    network = Network((2, 3), SPIRALS.inputs, SPIRALS.targets, loss="cross_entropy")
    with pytest.raises(TypeError, match=r"`test` does not fit the network: .*integer labels"):
        training(network, oo.methods.gd(), network.initial(1), test=(SPIRALS.test_inputs, np.full(100, 0.5)))


def test_a_training_is_of_an_ensemble_of_a_network():
    with pytest.raises(TypeError, match="must be an Ensemble"):
        Training("runs.nc")
    with pytest.raises(TypeError, match="training is of a Network"):
        Training(oo.solve_many(oo.objectives.PolyThree(), oo.methods.gd(), [[0.1, 0.2]]))


def test_methods_that_are_not_compiled_run_in_numpy():
    network = waving()
    result = training(network, oo.methods.lm(), network.initial(2), backend="numpy", stop_at_noise=False, max_steps=50)
    assert result.ensemble.backend == "numpy"
    assert (result.seconds > 0).all()
