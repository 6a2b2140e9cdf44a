"""Starts around minima: which methods stay."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from odeopt import methods, objectives, plot, solve_many
from odeopt.flows import AWB

RADII = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
LEFT = 5e-2                     # a run has left if it ends farther away
SETS = 10                       # of starts, each turned against the others


@dataclass(frozen=True)
class OutsideAWB(AWB):
    """AWB with eps outside the root, as in the authors' experiment."""

    def weight(self, s: Any) -> Any:
        return 1.0/(np.sqrt(s) + self.eps)

    def field(self, m: Any, s: Any, g: Any) -> Any:
        return -self.weight(s)*m, self.first_rate*(g - m), self.second_rate*(g*g - s)

    def V(self, f: Any, m: Any, s: Any) -> Any:
        return f + np.sum(m*m*self.weight(s))/(2.0*self.first_rate)

    def dissipation(self, m: Any, s: Any, g: Any) -> Any:
        weight, ratio = self.weight(s), 0.25*self.second_rate/self.first_rate
        return np.sum(m*m*weight*(1.0 + ratio*(g*g - s)*weight/np.sqrt(s)))

    def move(self, h: Any, x: Any, m: Any, s: Any) -> dict:
        return {"x": x - h*m*self.weight(s)}


def _outside(eps: float) -> methods.Method:
    inside = methods.awb(0.1)
    return replace(inside, flow=OutsideAWB(inside.flow.first_rate, inside.flow.second_rate, eps))


METHODS = {
    "AWB 0.1, ε = 1e-7 outside": _outside(1e-7), "AWB 0.1, ε = 1e-10 inside": methods.awb(0.1),
    "Adam 0.1": methods.adam(0.1), "GD 0.01": methods.gd(0.01), "Momentum 0.01": methods.ema_momentum(0.01),
    "LC (2, 1e4)": methods.lc_gd(), "LC (2, 2)": methods.lc_gd(grow=2.0), "LCD (30, 1e4, 3)": methods.lcd_gd()}


def compute(smoke: bool) -> xr.Dataset:
    landscape, count = objectives.PolyThree(), 20 if smoke else 200
    angles = 2.0*np.pi*np.arange(SETS*count)/(SETS*count)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    minima = np.array(landscape.minima)
    starts = (minima[:, None, None] + np.multiply.outer(RADII, circle)).reshape(-1, 2)
    rows = []
    for method in METHODS.values():
        ends = solve_many(landscape, method, starts, gtol=1e-4, max_steps=20_000).x
        ends = ends.reshape(len(minima), len(RADII), count, SETS, 2)
        with np.errstate(over="ignore", invalid="ignore"):
            away = np.sqrt(((ends - minima[:, None, None, None])**2).sum(axis=-1))
        rows.append(100.0*(~(away <= LEFT)).mean(axis=2))
    return xr.Dataset({"left": (("optimizer", "minimum", "radius", "set"), np.array(rows))},
                      {"optimizer": list(METHODS), "radius": list(RADII), "minimum": [_place(x) for x in minima]},
                      {"starts": f"{SETS*count} per circle, {SETS} × {count}", "count": count})


def _place(x: np.ndarray) -> str:
    return "(" + ", ".join(f"{c:g}".replace("-", "−") for c in x) + ")"


def draw(data: xr.Dataset) -> Figure:
    left = data["left"].mean("set")
    with plot.style():
        figure, axes = plot.panels(1, left.sizes["minimum"], plot.PAGE, 2.5, sharey=True)
        for ax, minimum in zip(axes, data["minimum"].values, strict=True):
            values = left.sel(minimum=minimum).values
            image = ax.imshow(values, vmin=0.0, vmax=100.0, cmap="cividis", aspect="auto")
            for (i, j), value in np.ndenumerate(values):
                ax.text(j, i, _share(value), ha="center", va="center", fontsize=6.5,
                        color="white" if value < 60.0 else "black")
            ax.set_title(str(minimum))
            ax.set_xticks(range(len(RADII)), labels=[f"10$^{{{round(np.log10(r))}}}$" for r in RADII])
            ax.set_yticks(range(left.sizes["optimizer"]), labels=[str(name) for name in data["optimizer"].values])
            ax.tick_params(length=0)
        figure.supxlabel("radius of the circle of starts", fontsize=8)
        bar = figure.colorbar(image, ax=axes, aspect=25, pad=0.015)
        bar.set_label("% that leave")
    return figure


def _share(value: float) -> str:
    """Never 0 or 100 if it is not."""
    whole = value in (0.0, 100.0) or 0.5 <= value < 99.5
    return f"{value:.0f}" if whole else f"{value:.1f}" if value < 0.5 else "> 99"


def spread(data: xr.Dataset) -> float:
    """The largest difference between a share from one set of starts and from all."""
    return float(abs(data["left"] - data["left"].mean("set")).max())


def caption(data: xr.Dataset) -> str:
    left = data["left"].mean("set")
    worst = left.sel(optimizer=["LC (2, 1e4)", "LCD (30, 1e4, 3)"]).max(("minimum", "optimizer"))
    quiet = [name for name in METHODS if float(left.sel(optimizer=name).max()) == 0.0]
    shares = {name: " / ".join(f"{v:.0f}" for v in left.sel(optimizer=name, minimum="(0, 1)").values) for name in (
        "LC (2, 1e4)", "LCD (30, 1e4, 3)")}
    awb = {name: " / ".join(f"{v:.1f}" for v in left.sel(optimizer=name, minimum="(2, −1)").values)
           for name in METHODS if name.startswith("AWB")}
    safe = [r for r in RADII if float(worst.sel(radius=r)) == 0.0]
    none = f"from radius {safe[0]:g} on none" if safe else "some"
    outside, inside = awb.values()
    return f"""\
Share (%) of starts on small circles around each minimum of Benchmark 2 whose runs end more than
{LEFT:g} away from it; {data.starts} starts, equally spaced. With {data.attrs["count"]} starts, as usual, a
share differs from these by up to {spread(data):.1f} points. {", ".join(quiet[:-1])} and {quiet[-1]} stay at
every radius. Lyapunov control that lets the step grow by 10⁴ stays too, but from nearer starts: from (0, 1), the worst
minimum, {shares["LC (2, 1e4)"]} % of the runs of LC (2, 1e4) and {shares["LCD (30, 1e4, 3)"]} % of those of
LCD (30, 1e4, 3) leave, and {none} at any minimum. The radius that is safe shrinks with the growth
factor: the first trial of each step is that much longer, and may land in a lower valley. AWB
is unstable at every radius: averages start at zero and are not corrected, so its first step is 0.1 · 0.1/√0.001
= {0.1*0.1/np.sqrt(0.001):.2f} in each coordinate, however small the gradient is. ε matters at the smallest radii, where
it is no longer small beside the average of squares: from (2, −1) {outside} % leave with ε = 10⁻⁷ outside the
root and {inside} % with 10⁻¹⁰ inside. Runs end when |*g*| ≤ 10⁻⁴."""
