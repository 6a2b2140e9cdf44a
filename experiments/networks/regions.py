"""Thousands of trainings on the two spirals: what the network says over the plane."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from experiments.networks.problems import PROBLEMS
from experiments.networks.runs import Runs, measured
from odeopt import methods, plot, studies
from odeopt.status import Status

PROBLEM = PROBLEMS["two spirals a"]
SHARES = {"best tenth": 0.1, "median": 0.5, "worst tenth": 0.9}


def compute(smoke: bool, starts: int | None = None) -> xr.Dataset:
    starts = starts or (20 if smoke else 1000)
    network, samples = PROBLEM.network()
    runs = studies.training(network, methods.lc_gd(), PROBLEM.starts(network, starts), test=samples, gtol=PROBLEM.gtol,
                            count_rises=None, time_limit=60.0)
    # the runs that converge, by their test loss
    order = np.flatnonzero(runs.success)[np.argsort(runs.test_loss[runs.success], kind="stable")]
    chosen = [order[int(share*(len(order) - 1))] for share in SHARES.values()]
    shown = {"chosen": ("shown", chosen), "x": (("shown", "weight"), runs.ensemble.x[chosen])}
    return measured(runs).assign(shown).assign_coords(shown=list(SHARES)).assign_attrs(
        starts=starts, time=runs.ensemble.time)


def draw(data: xr.Dataset) -> Figure:
    network, samples = PROBLEM.network()
    with plot.style():
        figure, axes = plot.panels(1, 3, plot.PAGE, 2.5, sharey=True)
        for ax, shown in zip(axes, SHARES, strict=True):
            start = int(data["chosen"].sel(shown=shown))
            loss = float(data["test_loss"][start])
            plot.regions(network, data["x"].sel(shown=shown).values, samples, ax, legend=ax is axes[1],
                         title=f"{shown}: test loss {loss:.2g}")
            ax.label_outer()
        for ax in axes[:-1]:
            ax.images[0].colorbar.remove()
    return figure


def caption(data: xr.Dataset) -> str:
    runs = Runs(data)
    steps, train, test, accuracy = map(runs.summary, ("steps", "train_loss", "test_loss", "test_accuracy"))
    return f"""\
LC_EGD trains the network 2-12-12-12-1 with tanh, sigmoid at the output, from {data.starts} "Xavier" starts on 100
points of the spirals (filled; open: 100 points to test on) until |∇*R*| ≤ 10⁻². The colour is the output, the line
where it is 1/2; the three runs lie at 10, 50 and 90 % of those that converge, ordered by their test loss.
{100*steps.share:.4g} % of the runs converge, {100*runs.share(Status.TIME_LIMIT):.3g} % are out of time; in
{data.time/60:.2g} minutes altogether.
Medians, and quartiles: {steps.median:.0f} steps ({steps.lower:.0f} to {steps.upper:.0f}), training loss
{train.median:.2g} ({train.lower:.2g} to {train.upper:.2g}), test loss {test.median:.2g} ({test.lower:.2g} to
{test.upper:.2g}), test accuracy {100*accuracy.median:.0f} % ({100*accuracy.lower:.0f} to {100*accuracy.upper:.0f} %).
The authors archived, of 1000 and of 10 000 starts, medians of 476 and 487 steps, and of the former 0.0063, 0.012 and 98
%."""
