"""Figures of trainings: what the drawn artists hold, read back from the axes."""

import matplotlib

matplotlib.use("agg")

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

import odeopt as oo
from odeopt import plot
from odeopt.objectives import Network
from odeopt.status import Status
from odeopt.studies import Profile, Training, dolan_more, performance_profile, training

SPIRALS = oo.data.two_spirals("a")


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def network():
    return Network((2, 4, 1), SPIRALS.inputs, SPIRALS.targets, output="sigmoid")


@pytest.fixture(scope="module")
def trainings(network):
    """Three methods; of the second three runs in ten have failed, of the third all."""
    starts = network.initial(10)
    made = {name: training(network, oo.methods.get(name), starts, gtol=0.05, test=SPIRALS)
            for name in ("lc_gd", "adam")}
    assert made["adam"].success.all()
    status = made["adam"].status.copy()
    status[:3] = Status.NOISE
    made["adam"] = Training(dataclasses.replace(made["adam"].ensemble, status=status), SPIRALS)
    failed = np.full(10, Status.DIVERGED)
    return made | {"gd": Training(dataclasses.replace(made["adam"].ensemble, status=failed), SPIRALS)}


@pytest.fixture(scope="module")
def solutions(network):
    start = network.initial(1)[0]
    return {name: oo.solve(network, oo.methods.get(name), start, gtol=0.02, max_steps=2000, trace=True)
            for name in ("lc_gd", "adam", "lc_momentum")}


def drawn(ax):
    """Whatever overlaps or leaves the figure shows when it is laid out; warnings are errors."""
    ax.get_figure(root=True).canvas.draw()
    return ax


# -- one look for a method


def test_a_method_has_the_same_look_by_all_its_names():
    def looks(*names):
        return {tuple(plot.method_styles([name])[name].values()) for name in names}

    assert looks("gd", "GD", "gd 0.1", "EGD") == {(plot.COLORS["orange"].lower(), "-")}
    assert looks("lc_gd", "LC_EGD", "lci_gd", "lc_gd_then_adam") == {(plot.COLORS["orange"].lower(), "--")}
    assert looks("lcd_gd") == {(plot.COLORS["orange"].lower(), "-.")}
    assert looks("lc_momentum", "LC_M") == {(plot.COLORS["green"].lower(), "--")}
    assert looks("adam", "Adam 1e-3") == {(plot.COLORS["vermillion"].lower(), "-")}
    assert looks("something else") == {(plot.COLORS["black"], "-")}


def test_methods_of_one_figure_look_different():
    names = ["gd 0.1", "gd 0.01", "gd 0.001", "lc_gd", "lcd_gd", "adam", "lc_rmsprop", "momentum", "ngd", "er", "mine"]
    styles = plot.method_styles(names)
    assert list(styles) == names
    assert len({tuple(style.values()) for style in styles.values()}) == len(names)


# -- box plots


def test_boxes_hold_the_quartiles_of_converged_runs(trainings):
    ax = drawn(plot.boxes(trainings))
    right = next(other for other in ax.figure.axes if other is not ax)
    for axes, what in ((ax, "train_loss"), (right, "seconds")):
        assert axes.get_yscale() == "log"
        outlines = [patch.get_path().vertices[:, 1] for patch in axes.patches]
        for name, outline in zip(("lc_gd", "adam"), outlines, strict=False):
            told = trainings[name].summary().quantities[what]
            # matplotlib calls numpy.quantile: the same interpolation, up to a few roundings
            np.testing.assert_allclose([outline.min(), outline.max()], [told.lower, told.upper], rtol=1e-14)
        assert not np.isfinite(outlines[2:]).any()                                  # all runs of the third failed
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["0", "30", "100", "failed [%]"]
    assert [label.get_text() for label in ax.get_xticklabels()] == list(trainings)
    assert (ax.get_ylabel(), right.get_ylabel()) == ("training loss", "time [s]")
    assert ax.yaxis.label.get_color() != right.yaxis.label.get_color()


def test_boxes_of_accuracies_have_a_linear_scale(trainings):
    ax = drawn(plot.boxes(trainings, left="test_accuracy", right=None, title="Two spirals"))
    assert (ax.get_yscale(), len(ax.figure.axes), ax.get_title()) == ("linear", 1, "Two spirals")


def test_boxes_of_failures_alone_are_empty(trainings):
    ax = drawn(plot.boxes({"gd": trainings["gd"]}))
    assert [text.get_text() for text in ax.texts] == ["100", "failed [%]"]


# -- profiles


def test_profiles_are_step_functions_with_their_values():
    losses = {"gd": [1e-3, 1e-1, np.nan], "lc_gd": [1e-4, 1e-2, 1e-2]}
    profile = performance_profile(losses, [-4, -3, -2, -1])
    ax = drawn(plot.profile(profile))
    styles = plot.method_styles(list(losses))
    for line, (name, share) in zip(ax.lines, profile.shares.items(), strict=True):
        assert line.get_drawstyle() == "steps-post"
        np.testing.assert_allclose(line.get_xdata()[:-1], [1e-4, 1e-3, 1e-2, 1e-1], rtol=1e-14)
        np.testing.assert_array_equal(line.get_ydata()[:-1], share)
        assert (to_hex(line.get_color()), line.get_linestyle()) == (styles[name]["color"], styles[name]["linestyle"])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(losses)
    assert ax.get_xlim() == pytest.approx((1e-4, 1e-1))


def test_profiles_of_ratios_show_the_last_jump():
    profile = dolan_more({"gd": [1.0, 30.0], "adam": [2.0, 3.0]})
    ax = drawn(plot.profile(profile, legend=False))
    assert ax.get_legend() is None
    assert ax.get_xlim()[0] == 1.0
    assert ax.get_xlim()[1] > 10.0
    assert ax.lines[0].get_ydata()[-1] == 1.0


def test_a_profile_of_failures_alone_is_drawn():
    ax = drawn(plot.profile(dolan_more({"gd": [np.nan]})))
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), 0.0)


def test_a_profile_needs_no_study():
    ax = drawn(plot.profile(Profile("loss", np.array([-1.0, 0.0]), {"gd": np.array([0.0, 1.0])})))
    assert ax.get_xlabel() == "loss"


# -- curves


@pytest.mark.parametrize("what", ["f", "V", "h", "g_norm"])
def test_curves_hold_the_accepted_rows_of_traces(solutions, what):
    ax = drawn(plot.curves(solutions, what=what))
    for line, solution in zip(ax.lines, solutions.values(), strict=True):
        trace = solution.trace
        rows = np.append(0, np.flatnonzero(trace.accepted))
        np.testing.assert_array_equal(line.get_xdata(), np.arange(solution.nit + 1))
        np.testing.assert_array_equal(line.get_ydata(), getattr(trace, what)[rows])
    assert ax.get_yscale() == "log"


def test_curves_end_at_the_runs_own_counts(solutions):
    for against, count in (("steps", "nit"), ("trials", "trials"), ("gradients", "njev")):
        ax = drawn(plot.curves(solutions, against=against, legend=False))
        for line, solution in zip(ax.lines, solutions.values(), strict=True):
            last = getattr(solution, count)
            assert line.get_xdata()[-1] == pytest.approx(last, rel=1e-14)
    controlled = solutions["lc_gd"]
    assert controlled.trials > controlled.nit                                       # a gradient is taken on acceptance
    np.testing.assert_allclose(ax.lines[0].get_xdata(), 1 + np.arange(controlled.nit + 1), rtol=1e-14)


def test_negative_values_have_a_linear_scale():
    # f = x^4/4 - x^2/2 has the least value -1/4
    well = oo.objectives.Function(lambda x: float(np.sum(x**4/4 - x**2/2)), lambda x: x**3 - x)
    solution = oo.solve(well, oo.methods.gd(lr=0.1), [0.1], trace=True)
    assert drawn(plot.curves({"gd": solution})).get_yscale() == "linear"


# -- regions


def test_regions_show_the_output_and_where_it_is_one_half(network, solutions):
    x = solutions["lc_gd"].x
    ax = drawn(plot.regions(network, x, SPIRALS, points=41))
    image = ax.images[0]
    u, (a, b, c, d) = np.asarray(image.get_array()), image.get_extent()
    for i, j in ((0, 0), (40, 0), (7, 33), (20, 20)):                               # row: x2, column: x1
        point = [[np.linspace(a, b, 41)[j], np.linspace(c, d, 41)[i]]]
        assert u[i, j] == pytest.approx(network.predict(x, point).item(), rel=1e-12)
    points = [line.get_xydata() for line in ax.lines]
    assert sum(map(len, points)) == 200
    np.testing.assert_array_equal(points[1], SPIRALS.inputs[SPIRALS.targets == 1])
    np.testing.assert_array_equal(points[2], SPIRALS.test_inputs[SPIRALS.test_targets == 0])
    assert all((p.min(axis=0) > (a, c)).all() and (p.max(axis=0) < (b, d)).all() for p in points)
    (contour,) = ax.collections
    on_line = np.concatenate([path.vertices for path in contour.get_paths()])
    cell = max((b - a)/40, (d - c)/40)
    for point in on_line[::10]:                             # interpolated in a cell: the output passes 1/2 beside it
        near = network.predict(x, point + cell*np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])).ravel()
        assert near.min() <= 0.5 <= near.max()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training", "test", "$u = 1/2$"]


def test_regions_of_logits_show_probabilities():
    network = Network((2, 1), SPIRALS.inputs, SPIRALS.targets, loss="binary_cross_entropy")
    x = np.array([1.0, -2.0, 0.5])
    ax = drawn(plot.regions(network, x, points=11))
    a, _, c, _ = ax.images[0].get_extent()
    assert ax.images[0].get_array()[0, 0] == pytest.approx(1/(1 + np.exp(-(a - 2*c + 0.5))), rel=1e-12)


# -- wrong calls


def test_wrong_calls_say_what_was_expected(network, trainings, solutions):
    with pytest.raises(TypeError, match="a dict of at least one"):
        plot.boxes([])
    with pytest.raises(ValueError, match=r"'speed' was not measured.*train_loss"):
        plot.boxes(trainings, left="speed")
    with pytest.raises(TypeError, match="a dict of at least one"):
        plot.curves({})
    with pytest.raises(ValueError, match="`what` must be one of f, V, h, g_norm, got 'x'"):
        plot.curves(solutions, what="x")
    with pytest.raises(ValueError, match="'gd' has no trace"):
        plot.curves({"gd": oo.solve(network, oo.methods.gd(), network.initial(1)[0], max_steps=2)})
    with pytest.raises(ValueError, match="two inputs and one output"):
        plot.regions(Network((3, 1), np.ones((1, 3)), [1.0]), np.ones(4))
    assert not plt.get_fignums()                                                    # no empty figure is left behind


def test_figures_are_drawn_into_given_axes(network, trainings, solutions):
    figure, axes = plot.panels(2, 2, width=plot.PAGE, height=6)
    calls = (lambda ax: plot.boxes(trainings, ax), lambda ax: plot.curves(solutions, ax),
             lambda ax: plot.profile(dolan_more({"gd": [1.0, 2.0]}), ax),
             lambda ax: plot.regions(network, solutions["adam"].x, ax=ax, points=21))
    for call, ax in zip(calls, axes.flat, strict=True):
        assert call(ax) is ax
    figure.canvas.draw()
