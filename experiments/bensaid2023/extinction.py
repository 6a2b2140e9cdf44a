"""Extinction in finite time: p-gradient flows."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments import gallery
from odeopt import objectives, plot, solve
from odeopt.controllers import EmbeddedError
from odeopt.flows import GradientFlow, NormalizedGradient, PGradient
from odeopt.methods import Method
from odeopt.schemes import DormandPrince

TOL = 1e-13
POWERS = (2.0, 3.0, 4.0, 10.0, np.inf)
LEVELS = tuple(10.0**-k for k in range(2, 11))
LOOKS = dict(zip(POWERS, (("black", "o"), ("blue", "s"), ("vermillion", "D"), ("green", "^"), ("purple", "v")),
                 strict=True))


def method(p: float) -> Method:
    """The p-gradient flow by Dormand and Prince's pair."""
    flow = NormalizedGradient() if p == np.inf else GradientFlow() if p == 2.0 else PGradient(p)
    return Method(flow, DormandPrince(), EmbeddedError(tol=TOL, order=4, grow=5.0, shrink=10.0), 1e-3, f"p = {p:g}")


def exponent(p: float) -> float:
    """What |x| is to the power of, for it to fall at a constant rate: |x|^a = |x0|^a - a t."""
    return 1.0 if p == np.inf else (p - 2.0)/(p - 1.0)


def compute(smoke: bool) -> xr.Dataset:
    levels = LEVELS[:7] if smoke else LEVELS
    quadratic = objectives.Quadratic((1.0,))
    rows = []
    for p in POWERS:
        ends = [solve(quadratic, method(p), [1.0], gtol=level) for level in levels]
        run = solve(quadratic, method(p), [1.0], gtol=levels[-1], trace=True).trace
        kept = np.append(0, np.flatnonzero(run.accepted))
        rows.append(xr.Dataset({"t": ("row", run.t[kept]), "x": ("row", np.abs(run.x[kept, 0])),
                                "time": ("level", [end.t for end in ends]),
                                "left": ("level", [abs(end.x[0]) for end in ends]),
                                "ok": ("level", [end.success for end in ends])}, {"row": np.arange(len(kept))}))
    exact = [1.0/exponent(p) if p > 2.0 else np.inf for p in POWERS]
    return xr.concat(rows, "p", join="outer").assign(exact=("p", exact)).assign_coords(
        p=list(POWERS), level=list(levels)).assign_attrs(starts="1")


def draw(data: xr.Dataset) -> Figure:
    with plot.style():
        figure, (left, right) = plot.panels(1, 2, plot.PAGE, 2.7)
        time = np.linspace(0.0, 2.4, 400)
        for p, (color, mark) in LOOKS.items():
            one, a = data.sel(p=p), exponent(p)
            line, dots = {"color": plot.COLORS[color]}, {"linestyle": "none", "marker": mark, "markersize": 3.5}
            left.plot(time, np.maximum(1.0 - a*time, 0.0)**(1.0/a) if a else np.exp(-time), **line)
            some = one.dropna("row").isel(row=slice(None, None, 6))
            left.plot(some["t"], some["x"], **line, **dots)
            left.plot([], [], **line, **{**dots, "linestyle": "-"}, label=f"p = {_name(p)}")
            if a:
                right.plot(one["left"], one["exact"] - one["time"], **line, **dots)
                ends = np.append(one["level"], one["left"][-1])
                right.plot(ends, ends**a/a, **line)
        left.set(xlim=(0.0, 2.4), ylim=(-0.02, 1.02), xlabel="time t", ylabel="|x|(t)")
        left.legend(loc="upper right")
        right.set(xscale="log", yscale="log", xlabel="|x| where the run ends", ylabel="exact − measured time")
        right.invert_xaxis()
    return figure


def caption(data: xr.Dataset) -> str:
    finite = data.sel(p=[p for p in POWERS if p > 2.0])
    rows = [{"p": _name(p), "measured": f"{float(finite['time'].sel(p=p)[-1]):.5f}",
             "exact": f"{float(finite['exact'].sel(p=p)):.5f}"} for p in finite["p"].values]
    a = xr.DataArray([exponent(p) for p in finite["p"].values], dims="p")
    error = float(abs(finite["time"] + finite["left"]**a/a - finite["exact"]).max())
    last = _exponent(data["level"].values[-1])
    return f"""\
*x*′ = −*g*/|*g*|^((*p*−2)/(*p*−1)) on *x*²/2 from *x* = 1: the gradient flow (*p* = 2) only decays like
e⁻ᵗ, all others are at rest after |*x*₀|ᵃ/*a* with *a* = (*p*−2)/(*p*−1). Left: exact solutions (lines) and
every sixth step of Dormand and Prince's pair, tolerance 10{_exponent(TOL)} (marks). Right: runs stop where
|*g*| falls below a level, so they end a little early; the time that is left from there is |*x*|ᵃ/*a* (lines).
With it, measured and exact times differ by {error:.0e} at most. Times until |*g*| ≤ 10{last}:

{gallery.markdown(pd.DataFrame(rows))}"""


def _name(p: float) -> str:
    return "∞" if p == np.inf else f"{p:g}"


def _exponent(level: float) -> str:
    return str(round(np.log10(level))).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
