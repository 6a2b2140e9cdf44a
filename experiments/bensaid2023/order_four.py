"""A minimum of order four: adaptation makes convergence linear."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments import gallery
from odeopt import methods, objectives, plot, solve

METHODS = {"LC (2, 1e4)": methods.lc_gd(), "LC (2, 2)": methods.lc_gd(grow=2.0),
           "LCD (30, 1e4, 3)": methods.lcd_gd(), "GD 0.1": methods.gd(0.1)}
LEVELS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-8, 1e-12)
LOOKS = dict(zip(METHODS, (("blue", "o"), ("green", "D"), ("vermillion", "s"), ("black", "")), strict=True))


def compute(smoke: bool) -> xr.Dataset:
    rows = [_one(method, 1e-3 if smoke else 1e-5) for method in METHODS.values()]
    return xr.concat(rows, "optimizer", join="outer").assign_coords(
        optimizer=list(METHODS), level=list(LEVELS)).assign_attrs(starts="1")


def _one(method: methods.Method, gtol: float) -> xr.Dataset:
    """|g|, |x| and the step after every accepted step, and the steps to each level of |g|."""
    gtol = gtol if method.name == "gd" else LEVELS[-1]
    run = solve(objectives.PowerFour(), method, [1.0], gtol=gtol, trace=True)
    rows = np.append(0, np.flatnonzero(run.trace.accepted))
    g = run.trace.g_norm[rows]
    steps = [int(np.argmax(g <= level)) if (g <= level).any() else -1 for level in LEVELS]
    columns = {"g": g, "x": np.abs(run.trace.x[rows, 0]), "h": run.trace.h[rows]}
    return xr.Dataset({name: ("n", column) for name, column in columns.items()} | {"steps": ("level", steps)},
                      {"n": np.arange(len(rows))})


def factor(data: xr.Dataset, name: str) -> float:
    """Mean factor of |x| per step."""
    x = data["x"].sel(optimizer=name).dropna("n").values
    return float((x[-1]/x[0])**(1.0/(len(x) - 1)))


def draw(data: xr.Dataset) -> Figure:
    with plot.style():
        figure, (left, middle, right) = plot.panels(1, 3, plot.PAGE, 2.6)
        for name, (color, mark) in LOOKS.items():
            one = data.sel(optimizer=name).dropna("n", subset=["g"])
            look = {"color": plot.COLORS[color], "marker": mark, "markersize": 2.5, "label": name}
            left.plot(one["n"], one["g"], **look)
            middle.plot(one["n"][1:], one["g"][1:], **look)
            right.plot(one["x"][:-1], one["h"][1:], **look)
        n = np.geomspace(3.0, float(data["n"].max()), 50)
        middle.plot(n, 4.0*(0.8*n)**-1.5, color=plot.COLORS["orange"], linestyle="--", zorder=4,
                    label="4 (0.8 n)$^{-3/2}$")
        x = np.geomspace(1e-4, 1.0, 2)
        right.plot(x, 1.0/(12.0*x*x), color="black", linestyle=":", zorder=5, label="1/curvature")
        left.set(xlim=(-0.5, 30.5), yscale="log", ylim=(1e-14, 10.0), xlabel="steps n", ylabel="|g|")
        middle.set(xscale="log", yscale="log", ylim=(1e-14, 10.0), xlabel="steps n")
        right.set(xscale="log", yscale="log", xlim=(2.0, 3e-5), xlabel="|x|", ylabel="accepted step h")
        handles, labels = right.get_legend_handles_labels()
        more = middle.get_legend_handles_labels()
        figure.legend([*handles[:4], more[0][-1], handles[4]], [*labels[:4], more[1][-1], labels[4]],
                      loc="outside lower center", ncols=6)
    return figure


def caption(data: xr.Dataset) -> str:
    rows = [{"method": name, **{f"10{_power(level)}": str(n) if n >= 0 else "" for level, n in zip(
        LEVELS, data["steps"].sel(optimizer=name).values, strict=True)}} for name in data["optimizer"].values]
    lc, double, lcd = (f"{factor(data, name):.3f}" for name in list(METHODS)[:3])
    gd = data.sel(optimizer="GD 0.1").dropna("n")
    exponent = np.polyfit(np.log(gd["n"].values[50:]), np.log(gd["g"].values[50:]), 1)[0]
    return f"""\
*f* = *x*⁴ from *x* = 1. The curvature 12*x*² fades towards the minimum, and with a constant step so does
progress: *x*(*n*+1) = *x* − 0.4*x*³ gives |*x*| ≈ (0.8*n*)^(−1/2), |*g*| ≈ 4(0.8*n*)^(−3/2), the rate of
the gradient flow (measured exponent of |*g*|: −{-exponent:.2f}). Lyapunov control with a step that may grow
follows the curvature: *h* stays near its inverse (right), and convergence is linear. |*x*| shrinks by the
mean factor {lc} a step with LC (2, 1e4), {double} with LC (2, 2) and {lcd} with LCD (30, 1e4, 3). Steps
until |*g*| is at most

{gallery.markdown(pd.DataFrame(rows))}"""


def _power(level: float) -> str:
    return str(round(np.log10(level))).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
