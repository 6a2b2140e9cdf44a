"""Adaptive steps and constant ones on two small problems: loss and time of every start."""

import xarray as xr
from matplotlib.figure import Figure

from experiments.networks.problems import PROBLEMS
from experiments.networks.runs import by_method, train
from odeopt import methods, plot

METHODS = {"GD": methods.gd(0.1), "Momentum": methods.ema_momentum(0.1), "Adam": methods.adam(0.001),
           "EGD": methods.egd(), "EM": methods.em(), "ER": methods.er(), "LC_EGD": methods.lc_gd(),
           "LCD_EGD": methods.lcd_gd()}
DRAWN = ("two spirals a", "sine wave")


def compute(smoke: bool) -> xr.Dataset:
    starts = 3 if smoke else 40
    found = [_one(problem, starts) for problem in (DRAWN[:1] if smoke else DRAWN)]
    return xr.concat(found, "problem", join="outer").assign_attrs(starts=starts)


def _one(problem: str, count: int) -> xr.Dataset:
    posed = PROBLEMS[problem]
    network, samples = posed.network()
    found = train(network, samples, METHODS, posed.starts(network, count), gtol=posed.gtol, time_limit=10.0)
    return found.assign_coords(problem=problem)


def draw(data: xr.Dataset) -> Figure:
    problems = data["problem"].values.tolist()
    with plot.style():
        figure, axes = plot.panels(len(problems), 1, plot.PAGE, 2.6*len(problems), squeeze=False)
        for ax, problem in zip(axes[:, 0], problems, strict=True):
            plot.boxes(by_method(data.sel(problem=problem)), ax, "test_loss", "seconds", title=problem)
    return figure


def caption(data: xr.Dataset) -> str:
    parts = []
    for problem in data["problem"].values.tolist():
        runs = by_method(data.sel(problem=problem))
        losses = {name: one.summary("test_loss") for name, one in runs.items()}
        times = {name: one.summary("seconds").median for name, one in runs.items()}
        spread = {name: q.upper/q.lower for name, q in losses.items()}
        parts.append(
            f"On {problem} the smallest median test loss is {min(q.median for q in losses.values()):.2g} "
            f"({min(losses, key=lambda name: losses[name].median)}), the shortest median time "
            f"{1e3*min(times.values()):.2g} ms ({min(times, key=times.__getitem__)}); the upper quartile of the loss "
            f"is {spread['LC_EGD']:.2g} times the lower one for LC_EGD, {spread['GD']:.2g} times for GD and "
            f"{spread['Adam']:.2g} times for Adam.")
    return f"""\
Boxes are quartiles over the runs that converge, of {data.starts} starts, with whiskers at 5 and 95 %: the test loss on
the left axis, the time of a training on the right one. Above each method stands the share of the starts that fail, also
those that take more than ten seconds. The learning rates of GD and Momentum (the papers' form) and the first steps are
0.1, that of Adam is 0.001. {" ".join(parts)} Boxes of the spirals reach up to the plateau where all outputs are 1/2 and
the gradient is below the tolerance of 10⁻²."""
