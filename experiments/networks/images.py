"""Dense networks that classify images, trained by methods at their defaults: loss and accuracy against work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter

from experiments import gallery
from odeopt import methods, plot, solve_many, studies
from odeopt.data import Dataset, fashion_mnist, mnist_5000
from odeopt.methods import Method
from odeopt.objectives import Network
from odeopt.results.solution import Trace

METHODS = {"Momentum": methods.momentum(), "RMSProp": methods.rmsprop(), "Adam": methods.adam(),
           "LC_GD": methods.lc_gd(), "LCD_GD": methods.lcd_gd(), "LC_M": methods.lc_momentum(),
           "LC_RMSProp": methods.lc_rmsprop()}
TOGETHER = 2                    # runs whose traces are held at a time: memory
WORK = """\
Work is counted in passes over the training samples, forward or backward: a value of the loss is one, a gradient a
second one where the value at the same point is known, else two. A constant step costs two passes, a trial of
Lyapunov control one, and one more if it is accepted."""


def digits() -> Dataset:
    """MNIST's 5000 images, a fifth of them to test on."""
    return mnist_5000().split(0.2, seed=7)


def clothes(smoke: bool) -> Dataset:
    """Fashion-MNIST, where it is on this machine; a small figure tests on its first 1000 pictures."""
    try:
        found = fashion_mnist("float32")
    except FileNotFoundError as missing:
        raise gallery.Skipped(str(missing)) from missing
    few = slice(1000 if smoke else None)
    return replace(found, test_inputs=found.test_inputs[few], test_targets=found.test_targets[few])


def network(inputs: np.ndarray, targets: np.ndarray) -> Network:
    """784-24 tanh-10 with the mean squares of its softmax, as in the papers; in single precision, usual for images."""
    return Network((784, 24, 10), inputs, targets, loss="softmax_mean_squares", dtype="float32")


def train(samples: Dataset, used: Mapping[str, Method], count: int, passes: int) -> xr.Dataset:
    """Train from `count` starts by every method, for so many passes over the data.

    Returns
    -------
    Dataset
        `train_loss`, `test_loss` and `test_accuracy` over (optimizer, start, passes), `seconds` of a pass and `steps`
        over (optimizer, start). Of a run that diverges, the losses are not finite from there on.
    """
    marks = np.unique(np.geomspace(4, passes, 16).round().astype(int))
    objective, tester = network(samples.inputs, samples.targets), network(samples.test_inputs, samples.test_targets)
    starts = objective.initial(count, "bengio")
    rows = [xr.concat(_runs(objective, tester, method, starts, marks), "start") for method in used.values()]
    return xr.concat(rows, "optimizer").assign_coords(optimizer=list(used), passes=marks).assign_attrs(
        starts=count, samples=len(samples.inputs), tested=len(samples.test_inputs))


def _runs(objective: Network, tester: Network, method: Method, starts: np.ndarray,
          marks: np.ndarray) -> Iterator[xr.Dataset]:
    most = int(marks[-1])
    for first in range(0, len(starts), TOGETHER):
        ran = solve_many(objective, method, starts[first:first + TOGETHER], gtol=0.0, max_steps=most//2,
                         max_trials=most, trace=True)
        for i, seconds in enumerate(ran.seconds):
            trace, values = ran.trace.one(i), bool(ran.nfev[i])
            done = spent(trace, values)
            reached = np.searchsorted(done, marks, side="right") - 1
            x = trace.x[reached]
            yield xr.Dataset({
                "train_loss": ("passes", objective.f(x)), "test_loss": ("passes", tester.f(x)),
                "test_accuracy": ("passes", [tester.accuracy(point) for point in x]),
                "seconds": seconds/done[-1], "steps": int(trace.n[reached[-1]])})


def spent(trace: Trace, values: bool) -> np.ndarray:
    """Passes over the data until each row (rows,) of a trace.

    Parameters
    ----------
    trace : Trace
    values : bool
        Whether the method evaluates the loss in every trial, or gradients alone.
    """
    gradients = trace.n + 1
    return gradients + (trace.trials + 1 if values else gradients)


def draw(data: xr.Dataset) -> Figure:
    with plot.style():
        figure, axes = plot.panels(2, 2, plot.PAGE, 5.2)
        against_work(axes[0, 0], data["train_loss"], "training loss")
        axes[0, 0].set_yscale("log")
        short_decades(axes[0, 0].yaxis)
        against_work(axes[0, 1], data["test_accuracy"], "test accuracy")
        axes[0, 1].yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        plot.boxes(ends(data), axes[1, 0], "test_loss", "test_accuracy").set_yscale("linear")
        axes[1, 0].margins(y=0.12)                      # no number beside the shares of failures above
        plot.profile(profile(data), axes[1, 1], legend=False)
        axes[1, 1].set_xlabel("training loss at the end")
        short_decades(axes[1, 1].xaxis)
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=7)
    return figure


def against_work(ax: Axes, values: xr.DataArray, label: str) -> None:
    """Median and quartiles over the starts, against passes."""
    for name, look in plot.method_styles(values["optimizer"].values.tolist()).items():
        columns = values.sel(optimizer=name).transpose("passes", "start").values
        quartiles = [studies.summary(column) for column in columns]
        lower, median, upper = (np.array([getattr(q, which) for q in quartiles])
                                for which in ("lower", "median", "upper"))
        ax.fill_between(values["passes"], lower, upper, color=look["color"], alpha=0.15, linewidth=0)
        ax.plot(values["passes"], median, label=name, **look)
    ax.set(xscale="log", xlabel="passes over the data", ylabel=label)
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.margins(x=0)


def short_decades(axis: Axis) -> None:
    """Label some numbers of every decade of a logarithmic axis that has few decades."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


class End(NamedTuple):
    """Where the runs of one method are at the end, as `odeopt.plot.boxes` draws them."""

    quantities: dict[str, np.ndarray]
    success: np.ndarray


def ends(data: xr.Dataset) -> dict[str, End]:
    """The runs of every method after all passes; those fail whose loss is not finite."""
    last = data.isel(passes=-1)
    return {str(name): End({str(what): column.sel(optimizer=name).values for what, column in last.items()},
                           np.isfinite(last["train_loss"].sel(optimizer=name).values))
            for name in data["optimizer"].values}


def profile(data: xr.Dataset) -> studies.Profile:
    """Share of the runs of every method whose training loss at the end is at most 10^a."""
    losses = {name: end.quantities["train_loss"] for name, end in ends(data).items()}
    known = np.log10(np.concatenate(list(losses.values())))
    known = known[np.isfinite(known)]
    return studies.performance_profile(losses, np.linspace(known.min() - 0.1, known.max() + 0.1, 201))


def medians(data: xr.Dataset) -> pd.DataFrame:
    """Medians over the starts, a line a method."""
    rows = {}
    for name, end in ends(data).items():
        found = {what: studies.summary(values).median for what, values in end.quantities.items()}
        rows[name] = {**found, "passes per step": float(data["passes"][-1])/found["steps"]}
    return pd.DataFrame.from_dict(rows, orient="index")


def table(data: xr.Dataset) -> pd.DataFrame:
    """The medians, for readers."""
    found = medians(data)
    return pd.DataFrame({
        "method": found.index, "training loss": found["train_loss"].map("{:#.3g}".format),
        "test loss": found["test_loss"].map("{:#.3g}".format),
        "test accuracy, %": found["test_accuracy"].map(lambda share: f"{100*share:.1f}"),
        "steps": found["steps"].map("{:.0f}".format),
        "passes per step": found["passes per step"].map("{:.1f}".format),
        "ms per pass": found["seconds"].map(lambda seconds: f"{1e3*seconds:.1f}")})


def caption(data: xr.Dataset, of: str) -> str:
    found = medians(data)
    controlled = found.index.str.startswith("LC")
    best, lyapunov, standard = (found.loc[those, "train_loss"].sort_values() for those in
                                (slice(None), controlled, ~controlled))
    tested = found["test_accuracy"].sort_values(ascending=False)
    return f"""\
{of}: {data.samples} samples to train on, {data.tested} to test on, the network 784-24 tanh-10 (19 090 parameters),
{data.starts} "Bengio" starts, {int(data["passes"][-1])} passes. The loss is that of the papers' classifiers: the mean
square, over samples and classes, of softmax(*u*) less the unit vector of the label. All methods run at the defaults of
this library, which for Momentum, RMSProp and Adam are PyTorch's (learning rates 0.01, 0.01, 0.001). {WORK} Above:
medians, and quartiles as bands. Below, on the left: boxes of the quartiles at the end, with whiskers at 5 and 95 %, and
the share of the runs whose loss is not finite; on the right: share of the runs whose training loss at the end is at
most so large.

The smallest median training loss is that of {best.index[0]}, {best.iloc[0]:#.3g}. Under Lyapunov control medians go
from {lyapunov.iloc[0]:#.3g} ({lyapunov.index[0]}) to {lyapunov.iloc[-1]:#.3g} ({lyapunov.index[-1]}), with constant
steps from {standard.iloc[0]:#.3g} ({standard.index[0]}) to {standard.iloc[-1]:#.3g} ({standard.index[-1]}). On the test
samples {tested.index[0]} is the most accurate, {100*tested.iloc[0]:.1f} %, and {tested.index[-1]} the least,
{100*tested.iloc[-1]:.1f} %.

{gallery.markdown(table(data))}"""
