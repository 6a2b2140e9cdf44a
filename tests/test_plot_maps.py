"""Maps and paths: what the drawn artists hold, read back from the axes."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

import odeopt as oo
from odeopt import plot

LANDSCAPE = oo.objectives.PolyThree()


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def solution():
    run = oo.solve(LANDSCAPE, oo.methods.lc_gd(), [0.4, -0.7], gtol=1e-3, trace=True)
    assert run.trials > run.nit                             # some trials are rejected
    return run


def accepted(trace):
    return np.append(0, np.flatnonzero(trace.accepted))


def test_a_cell_has_the_colour_of_its_minimum_and_the_first_coordinate_is_horizontal():
    found = oo.studies.basins(LANDSCAPE, oo.methods.lc_gd(), ((-3, 3), (-2, 2)), (12, 8))
    image = plot.basins(found).images[0]
    assert image.get_extent() == [-3, 3, -2, 2]
    pixels = np.asarray(image.get_array())
    assert pixels.shape == (8, 12, 3)
    for (i, j), label in np.ndenumerate(found.label):
        assert tuple(pixels[j, i]) == to_rgb(plot.class_color(int(label)))


def test_shares_are_drawn_where_they_are_and_what_is_not_finite_is_left_out():
    values = np.array([[0.0, 0.25], [0.5, np.nan], [0.75, 2.0]])
    ax = plot.shares(values, (0, 1))
    drawn = ax.images[0].get_array()
    np.testing.assert_array_equal(drawn.mask, np.isnan(values.T))
    np.testing.assert_array_equal(drawn.compressed(), values.T[~np.isnan(values.T)])
    assert ax.images[0].colorbar.extend == "max"            # one value passes the end of the colour map


def test_a_trajectory_is_the_path_of_accepted_states(solution):
    ax = plot.trajectory(solution)
    path, start, _, end = (line.get_xydata() for line in ax.lines)
    np.testing.assert_array_equal(path, solution.trace.x[accepted(solution.trace)])
    np.testing.assert_array_equal(start, [[0.4, -0.7]])
    np.testing.assert_array_equal(end, [solution.x])


@pytest.mark.parametrize("what", [("V", "h", "g_norm"), "f"])
def test_decay_joins_the_accepted_trials_at_their_own_numbers(solution, what):
    ax = plot.decay(solution, what=what)
    rows = accepted(solution.trace)
    for line, name in zip(ax.lines[::2], (what,) if isinstance(what, str) else what, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), rows)
        np.testing.assert_array_equal(line.get_ydata(), getattr(solution.trace, name)[rows])
    assert ax.get_yscale() == "log"


def test_wrong_calls_say_what_was_expected(solution):
    line = oo.solve(oo.objectives.PowerFour(), oo.methods.gd(), [0.1], max_steps=2, trace=True)
    for call, expected in (
            (lambda: plot.shares(np.zeros(3), (0, 1)), r"`values` must be a grid of two dimensions, got .*\(3,\)"),
            (lambda: plot.shares(np.zeros((2, 2)), (1, 0)), r"`box` must be .* lo < hi, got \(1, 0\)"),
            (lambda: plot.trajectory([]), "no run to draw"),
            (lambda: plot.trajectory(line), "of two coordinates"),
            (lambda: plot.decay(oo.solve(LANDSCAPE, oo.methods.lc_gd(), [0.4, -0.7])), "trace=True"),
            (lambda: plot.decay(solution, what=("V", "x")), r"`what` must be some of V, f, h, g_norm, t, got .*'x'"),
            (lambda: plot.decay(solution, what=()), r"`what` must be some of"),
            (lambda: plot.class_color(-4), "`label` must be -3, -2, -1 or a minimum's number, got -4")):
        with pytest.raises(ValueError, match=expected):
            call()
    assert not plt.get_fignums()                            # no empty figure is left behind
