"""The trainings of networks: the archived numbers, the count of the work, and the figures of few starts."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import odeopt as oo
from experiments import __main__ as command
from experiments import gallery
from experiments.networks import archive, fashion, images, rates
from experiments.networks.problems import PROBLEMS, scaled_boston
from experiments.networks.published import ARCHIVE

PARAMETERS = {"two spirals a": 361, "two spirals b": 361, "two spirals c": 361, "square wave": 46,
              "square wave, tanh": 46, "sine wave": 46, "squares": 77, "Boston": 466}
SAMPLES = {"two spirals a": (100, 100), "two spirals b": (110, 990), "two spirals c": (100, 100),
           "square wave": (50, 50), "square wave, tanh": (50, 50), "sine wave": (40, 40), "squares": (50, 50),
           "Boston": (404, 102)}


def pictures(P=60, tested=20):
    """Random images of random classes, for what does not depend on the images."""
    random = np.random.default_rng(0)
    inputs, labels = random.random((P + tested, 784)), random.integers(0, 10, P + tested)
    return oo.data.Dataset("noise", inputs[:P], labels[:P], inputs[P:], labels[P:], task="classification",
                           classes=tuple("0123456789"))


@pytest.mark.parametrize("name", PROBLEMS)
def test_problems_have_the_papers_sizes(name):
    network, samples = PROBLEMS[name].network()
    assert network.dimension == PARAMETERS[name]
    assert (len(samples.inputs), len(samples.test_inputs)) == SAMPLES[name]
    assert images.network(*(getattr(pictures(), part) for part in ("inputs", "targets"))).dimension == 19_090


def test_starts_are_the_papers():
    problem = PROBLEMS["two spirals a"]
    network, _ = problem.network()
    layers = [network.unpack(x) for x in problem.starts(network, 200)]
    for k, inputs in enumerate((2, 12, 12, 12)):
        weights = np.concatenate([parts[k][0].ravel() for parts in layers])
        # the variance of a sample of normal numbers has the relative deviation sqrt(2/count)
        assert weights.var()*inputs == pytest.approx(1.0, abs=5*np.sqrt(2/len(weights)))
        assert all((parts[k][1] == 0).all() for parts in layers)
    wide = PROBLEMS["square wave"]
    points = wide.starts(wide.network()[0], 50)
    assert points.min() < -99 and points.max() > 99 and abs(points).max() <= 100


def test_bostons_prices_are_scaled_by_the_training_samples():
    raw, scaled = oo.data.boston(), scaled_boston()
    assert (scaled.targets.min(), scaled.targets.max()) == (0.0, 1.0)
    for part in ("targets", "test_targets"):
        slope, intercept = np.polyfit(getattr(raw, part), getattr(scaled, part), 1)
        assert (slope, -intercept/slope) == pytest.approx((1/np.ptp(raw.targets), raw.targets.min()))


def test_every_archived_row_is_repeated():
    for problem, known in ARCHIVE.items():
        assert set(known) <= {row.archived or name for name, row in archive.ROWS[problem].items()}


@pytest.mark.parametrize(("problem", "name", "starts"), [
    ("squares", "EM", 40), ("squares", "Momentum 0.01", 100), ("two spirals a", "Adam 0.001", 60),
    ("two spirals b", "Adam 0.001", 40), ("sine wave", "Adam 0.1", 60), ("square wave", "LC_EGD", 20)])
def test_archived_medians_lie_between_our_quartiles(problem, name, starts):
    row = pd.DataFrame([archive.repeat(problem, name, starts)])
    for quantity in ("iterations", "train", "test"):
        assert archive.within(row, quantity).all(), quantity
    for share in ("nc", "dv"):
        p = row[f"a_{share}"][0]
        # five binomial standard errors of our starts, and of one start at least
        assert row[share][0] == pytest.approx(p, abs=5*np.sqrt(max(p*(1 - p), 1/starts)/starts))


@pytest.mark.parametrize(("problem", "name"), [("squares", "Momentum 0.1"), ("sine wave", "Adam 0.001")])
def test_another_learning_rate_is_noticed(problem, name, monkeypatch):
    other = {"Momentum 0.1": "Momentum 0.01", "Adam 0.001": "Adam 0.001"}[name]
    monkeypatch.setitem(archive.ROWS, problem, {other: archive.ROWS[problem][name]})
    assert not archive.within(pd.DataFrame([archive.repeat(problem, other, 40)]), "iterations").any()


def test_dead_units_leave_the_variance_of_the_targets():
    _, samples = PROBLEMS["squares"].network()
    row = archive.repeat("squares", "EM", 20)
    left = 0.5*samples.targets.var(axis=0).sum()
    away = 0.5*((samples.test_targets - samples.targets.mean(axis=0))**2).sum(axis=1).mean()
    # |g| <= 1e-7 of the two biases: the loss is left + |g|^2/2
    assert row["train_median"] == pytest.approx(left, abs=1e-14)
    assert row["test_median"] == pytest.approx(away, abs=1e-6)
    assert (left, away) == pytest.approx((ARCHIVE["squares"]["EM"].train, ARCHIVE["squares"]["EM"].test), abs=5e-5)


def test_archive_shows_shares_and_numbers():
    table = archive.draw(pd.DataFrame([archive.repeat("squares", "Momentum 0.1", 40)]).to_xarray())
    assert table["archived iterations"][0] == "578"
    assert table["archived failed, %"][0] == "dv 93.9"
    assert table["failed, %"][0].startswith("dv ")


@pytest.mark.parametrize("name", images.METHODS)
def test_work_is_what_the_counts_of_the_run_say(name):
    samples = pictures()
    network = images.network(samples.inputs, samples.targets)
    run = oo.solve(network, images.METHODS[name], network.initial(1)[0], gtol=0.0, max_steps=12, max_trials=40,
                   trace=True)
    done = images.spent(run.trace, bool(run.nfev))
    # where values are asked for, every gradient is at a point whose value is known
    assert done[-1] == (run.nfev or run.njev) + run.njev
    assert (np.diff(done) > 0).all()


def test_losses_are_those_of_runs_that_end_there():
    samples = pictures()
    used = {name: images.METHODS[name] for name in ("Adam", "LC_GD")}
    data = images.train(samples, used, 3, 40)
    network = images.network(samples.inputs, samples.targets)
    tester = images.network(samples.test_inputs, samples.test_targets)
    starts = network.initial(3, "bengio")
    for passes in data["passes"].values:
        adam = oo.solve_many(network, used["Adam"], starts, gtol=0.0, max_steps=max(1, passes//2 - 1))
        for what, expected in (("train_loss", adam.fun), ("test_loss", tester.f(adam.x))):
            assert data[what].sel(optimizer="Adam", passes=passes).values.tolist() == expected.tolist()
    # a value more than the last mark allows would begin another trial
    controlled = oo.solve_many(network, used["LC_GD"], starts, gtol=0.0, max_steps=10**6, max_trials=40, trace=True)
    for i in range(3):
        trace = controlled[i].trace
        last = np.flatnonzero(trace.trials + trace.n + 2 <= 40)[-1]
        assert float(data["train_loss"].sel(optimizer="LC_GD")[i, -1]) == network.f(trace.x[last])


def test_the_rates_are_multiplied():
    ten = rates.scaled(10.0)
    assert ten["Adam"].h0 == pytest.approx(10*oo.methods.adam().h0)
    assert ten["LC_M"] == oo.methods.lc_momentum(h0=1.0)
    assert ten.keys() == images.METHODS.keys()
    assert {name: method.name for name, method in rates.scaled(1.0).items()} == {
        name: method.name for name, method in images.METHODS.items()}


def test_diverged_runs_fail_and_stay_in_the_profile():
    data = images.train(pictures(), {"GD": oo.methods.gd(1e200), "Adam": oo.methods.adam()}, 2, 20)
    ends = images.ends(data)
    assert not ends["GD"].success.any() and ends["Adam"].success.all()
    assert images.profile(data).shares["GD"].max() == 0.0 and images.profile(data).shares["Adam"][-1] == 1.0


def test_a_data_set_that_is_missing_leaves_its_figure_out(tmp_path, monkeypatch, capsys):
    def missing(dtype):
        raise FileNotFoundError("no such images: install them")
    monkeypatch.setattr(images, "fashion_mnist", missing)
    with pytest.raises(gallery.Skipped, match="no such images"):
        fashion.compute(True)
    name, section, _ = command.attempt("networks/fashion", tmp_path, True, False)
    assert (name, section) == ("networks/fashion", "")
    assert "networks/fashion: no such images: install them" in capsys.readouterr().out


def test_a_small_figure_is_in_its_gallery(tmp_path):
    assert command.main(["networks/regions", "--smoke"], tmp_path) == 0
    page = Path(tmp_path/"smoke"/"README.md").read_text(encoding="utf-8")
    assert "<!-- networks/regions -->" in page and "nan" not in page
    assert (tmp_path/"smoke"/"networks"/"regions.png").stat().st_size > 10_000


def test_loss_against_work_is_drawn_with_every_method():
    data = images.train(pictures(), images.METHODS, 2, 20).assign_attrs(smoke="")
    figure = images.draw(data)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(images.METHODS)
    drawn = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    plt.close(figure)
    for name, median in drawn.items():
        assert median == pytest.approx(np.median(data["train_loss"].sel(optimizer=name).values, axis=0))
    found = images.medians(data)
    assert found["passes per step"].between(2.0, 20.0).all()
    assert f"smallest median training loss is that of {found['train_loss'].idxmin()}" in images.caption(data, "noise")
