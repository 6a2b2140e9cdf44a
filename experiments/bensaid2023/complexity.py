"""Evaluations per step of Lyapunov control, beside the law."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments import gallery
from odeopt import methods, objectives, plot, solve_many, studies
from odeopt.controllers import Controller
from odeopt.results.solution import Trace

SETTINGS = {"LC (2, 1e4)": methods.lc_gd(), "LC (2, 2)": methods.lc_gd(grow=2.0),
            "LCD (30, 1e4, 3)": methods.lcd_gd(), "LCD (30, 1e3, 2)": methods.lcd_gd(grow=1e3, bisections=2)}
LANDSCAPES = {
    "quadratic, κ = 100": objectives.Quadratic((1.0, 100.0)),
    "quadratic, κ = 1000": objectives.Quadratic((1.0, 1000.0)),
    "polyTwo": objectives.PolyTwo(), "polyThree": objectives.PolyThree(), "polyFive": objectives.PolyFive()}
QUARTER = 0.25                  # of the runs must go on
COLORS = ("blue", "vermillion", "green", "purple", "black")


def compute(smoke: bool) -> xr.Dataset:
    steps, side = (128, 3) if smoke else (512, 6)
    numbers = 2**np.arange(int(np.log2(steps)) + 1)
    rows = [xr.concat([_one(landscape, method, numbers, side) for method in SETTINGS.values()], "setting")
            for landscape in LANDSCAPES.values()]
    laws = [law(method.controller) for method in SETTINGS.values()]
    return xr.concat(rows, "landscape").assign(law=("setting", laws)).assign_coords(
        landscape=list(LANDSCAPES), setting=list(SETTINGS), n=numbers).assign_attrs(starts=f"{side} × {side}")


def law(controller: Controller) -> float:
    """The published limit of evaluations per step."""
    searched = np.log(controller.grow)/np.log(controller.shrink)
    return float(1.0 + searched + getattr(controller, "bisections", 0))


def _one(landscape: objectives.Objective, method: methods.Method, numbers: np.ndarray, side: int) -> xr.Dataset:
    """Evaluations per step of the first n steps, over the runs that take so many, and the mean of c."""
    quadratic = isinstance(landscape, objectives.Quadratic)
    starts = studies.grid((0.0, 3.0) if quadratic else landscape.box, (side, side))
    gtol = 1e-100 if quadratic else 1e-6
    runs = solve_many(landscape, method, starts, gtol=gtol, max_steps=int(numbers[-1]), trace=True)
    counts = np.full((len(starts), int(numbers[-1])), np.nan)
    gained = []
    for i in range(len(starts)):
        trials, c = _steps(runs[i].trace, method.controller)
        counts[i, :len(trials)] = np.cumsum(trials)
        gained.append(c)
    reached = counts[:, numbers - 1]
    enough = np.isfinite(reached).mean(axis=0) >= QUARTER
    ratio = np.where(enough, np.nanmean(np.where(enough, reached, 0.0), axis=0)/numbers, np.nan)
    return xr.Dataset({"ratio": ("n", ratio), "c": float(np.concatenate(gained).mean()), "backend": runs.backend})


def _steps(trace: Trace, controller: Controller) -> tuple[np.ndarray, np.ndarray]:
    """Trials of every step, without that which applies a step again, and what bisection gained: h = h(passed) f1^c."""
    ends = np.flatnonzero(trace.accepted)
    p = getattr(controller, "bisections", 0)
    trials, gained = np.diff(ends, prepend=0), np.zeros(len(ends))
    if p:
        for k, (end, count) in enumerate(zip(ends, trials.copy(), strict=True)):
            tried = trace.h[end - count + 1:end + 1]
            trials[k] -= tried[-1] in tried[:-1]
            if count > 1:
                searched = trials[k] - p
                gained[k] = np.log(tried[-1]/tried[searched - 1])/np.log(controller.shrink)
    return trials, gained


def draw(data: xr.Dataset) -> Figure:
    with plot.style():
        figure, axes = plot.panels(2, 2, plot.PAGE, 4.6, sharex=True)
        for ax, name in zip(axes.flat, data["setting"].values, strict=True):
            one = data.sel(setting=name)
            for landscape, color, mark in zip(LANDSCAPES, COLORS, "osD^v", strict=True):
                ax.plot(one["n"], one["ratio"].sel(landscape=landscape), color=plot.COLORS[color], marker=mark,
                        markersize=3, label=landscape)
            law, limits = float(one["law"]), (one["law"] + one["c"]).values
            ax.axhline(law, color="0.3", linestyle="--", label="law 1 + log f₂/log f₁ + p")
            if limits.max() > law:
                ax.axhspan(limits.min(), limits.max(), color=plot.COLORS["sky"], alpha=0.4, linewidth=0,
                           label="law + mean of c")
            ax.set_xscale("log", base=2)
            ax.set_xticks([1, 4, 16, 64, 256], labels=["1", "4", "16", "64", "256"])
            ax.yaxis.set_major_locator(MaxNLocator(integer=True))
            ax.set_title(name)
        for ax in axes[1]:
            ax.set_xlabel("steps n")
        for ax in axes[:, 0]:
            ax.set_ylabel("evaluations per step, C(n)/n")
        handles, labels = axes[1, 1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def last(data: xr.Dataset) -> xr.DataArray:
    """C(n)/n at the largest n that enough runs reach."""
    known = data["ratio"].notnull().sum("n") - 1
    return data["ratio"].isel(n=known)


def caption(data: xr.Dataset) -> str:
    values = last(data)
    away = 100*(values/(data["law"] + data["c"]) - 1.0)
    quadratics = [name for name in data["landscape"].values if name.startswith("quadratic")]
    rows = []
    for name in data["landscape"].values:
        longest = data["ratio"].sel(landscape=name).notnull()
        rows.append({"landscape": name, **{
            setting: f"{float(values.sel(landscape=name, setting=setting)):.2f} (n = "
                     f"{int(data['n'].values[longest.sel(setting=setting).values][-1])})"
            for setting in data["setting"].values}})
    rows.append({"landscape": "law"} | {s: f"{float(data['law'].sel(setting=s)):.2f}" for s in data["setting"].values})
    rows.append({"landscape": "law + mean of c"} | {s: _between((data["law"] + data["c"]).sel(setting=s))
                                                    for s in data["setting"].values})
    gain = {s: _between(data["c"].sel(setting=s)) for s in data["setting"].values}
    return f"""\
Backtracking costs evaluations, but how many is known beforehand: per step at most 1 + log *f*₂/log *f*₁ +
*p* in the long run, whatever the curvature. Means over runs from {data.starts} starts, as long as at least
a quarter of them go on; the evaluations at the start, and the step that LCD applies again after a bisection, are
not counted. On the quadratics, of condition number κ, the largest difference to the limit is
{float(abs(away.sel(landscape=quadratics)).max()):.1f} %. Short runs still show where the first step, 0.1,
lay: C(n) differs from the law by log(0.1/*h*)/log *f*₁, once, with *h* the step
to be tried next. With bisection the
published law is not a bound: the step that is accepted is *f*₁ᶜ times the one that passed first, 0 ≤ *c* ≤
1 − 2⁻ᵖ, and what is gained is searched again in the next step. The mean of *c*, from the accepted steps
alone, is {gain["LCD (30, 1e4, 3)"]} for LCD (30, 1e4, 3) and {gain["LCD (30, 1e3, 2)"]} for LCD (30, 1e3,
2); law + mean of *c* is the limit that the counts approach.

{gallery.markdown(pd.DataFrame(rows))}"""


def _between(values: xr.DataArray) -> str:
    low, high = f"{float(values.min()):.2f}", f"{float(values.max()):.2f}"
    return low if low == high else f"{low}–{high}"
