"""How fast the discrete energy follows the continuous dissipation."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from experiments.bensaid2023.methods import CLASSICAL
from odeopt import plot
from odeopt.methods import Method
from odeopt.objectives import PolyTwo
from odeopt.solver import solve_many
from odeopt.status import Status

STARTS = ((-0.5, 0.5), (-2.5, 2.5), (-1.5, 0.5), (-3.0, -2.5), (-1.0, -2.5), (1.0, 1.0), (1.1, 0.0), (-1.1, 0.0),
          (2.5, 3.0), (-5.0, -4.0))                                                     # the authors'
NAMES = ("GD", "Momentum")
LOOKS = [(color, line) for line in ("-", (0, (3, 1)))
         for color in ("blue", "vermillion", "green", "orange", "purple")]


def compute(smoke: bool) -> xr.Dataset:
    steps = 60 if smoke else 300
    whole = xr.concat([_one(CLASSICAL[name], steps) for name in NAMES], "optimizer")
    return whole.assign_coords(optimizer=list(NAMES)).assign_attrs(starts=len(STARTS), steps=steps)


def _one(method: Method, steps: int) -> xr.Dataset:
    """The decrease rate D that the step itself used, and how far the energy is from following it."""
    runs = solve_many(PolyTwo(), method, STARTS, gtol=0.0, max_steps=steps, trace=True)
    trace = runs.trace
    with np.errstate(all="ignore"):
        if "v" in trace.z:
            rate = method.flow.friction*np.sum(trace.z["v"][:, 1:]**2, axis=-1)
        else:
            rate = trace.g_norm[:, :-1]**2
        defect = np.abs(np.diff(trace.V, axis=-1)/method.h0 + rate)
    ended = ~(trace.accepted[:, 1:] & np.isfinite(defect) & np.isfinite(rate))
    lost = runs.status == Status.DIVERGED
    return xr.Dataset({"rate": (("start", "n"), np.where(ended, np.nan, rate)),
                       "defect": (("start", "n"), np.where(ended, np.nan, defect)), "lost": ("start", lost)},
                      {"n": np.arange(1, steps + 1)})


def draw(data: xr.Dataset) -> Figure:
    with plot.style():
        figure, axes = plot.panels(2, 2, plot.PAGE, 4.4, sharex=True, sharey="row")
        for column, name in zip(axes.T, NAMES, strict=True):
            runs = data.sel(optimizer=name)
            sides = (runs["defect"], runs["defect"]/runs["rate"])
            for ax, side in zip(column, sides, strict=True):
                for i, (start, (color, line)) in enumerate(zip(STARTS, LOOKS, strict=True)):
                    lost = bool(runs["lost"][i])
                    ax.semilogy(data["n"], side[i].where(side[i] > 0), color=plot.COLORS[color], linestyle=line,
                                linewidth=0.8, marker="." if lost else None, markersize=3,
                                label=str(start).replace("-", "−").replace(".0", ""))
            column[0].set_title(f"{name}, {int(runs['lost'].sum())} of {len(STARTS)} diverge")
            column[1].set_xlabel("step $n$")
        axes[0, 0].set_ylabel(r"$|\Delta V/h + D|$")
        axes[1, 0].set_ylabel(r"$|\Delta V/h + D|\,/\,D$")
        axes[0, 0].set_ylim(1e-24, 1e8)
        axes[1, 0].set_ylim(1e-4, 1e4)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        for handle in handles:
            handle.set_marker("")
        figure.legend(handles, labels, loc="outside lower center", ncols=5, title="start $(w, b)$", title_fontsize=7)
    return figure


def late(data: xr.Dataset, name: str) -> np.ndarray:
    """The relative defects in the second half of the runs that do not diverge."""
    runs = data.sel(optimizer=name, n=data["n"] > data.steps//2)
    return (runs["defect"]/runs["rate"]).values[~runs["lost"].values.astype(bool)]


def caption(data: xr.Dataset) -> str:
    least = np.linalg.eigvalsh(PolyTwo().hessian(PolyTwo().minima[0]))[0]
    gd, momentum = (late(data, name) for name in NAMES)
    return f"""\
Along the flows d*V*/d*t* = −*D*; how far is a step from it? Benchmark 1, *h* = 0.1, {data.starts} starts. GD:
*V* = *f*, *D* = |*g*|² at the start of the step; Momentum: *V* = *f* + |*v*|²/2, *D* = |*v*|² at its end. Above,
the distance itself, which is what the authors drew; below, relative to *D*. Dots: runs that diverge, from the
first step on. In GD the distance is *h* *g*ᵀ*Hg*/2 and falls as fast as *D*: after {data.steps//2} steps it is
{100*gd.min():.2f} to {100*gd.max():.2f} % of it, for the least eigenvalue of the Hessian at the minima gives
*h*λ/2 = {100*0.1*least/2:.2f} %. So GD follows its dissipation to a few percent wherever it converges. Momentum
swings through the minimum, and where *v* turns *D* is small and the distance is not: the median is
{100*np.median(momentum):.0f} %, and 80 % of the steps lie between {100*np.quantile(momentum, 0.1):.0f} and
{100*np.quantile(momentum, 0.9):.0f} %. The starts (±1.1, 0) are mirror images and their lines coincide."""
