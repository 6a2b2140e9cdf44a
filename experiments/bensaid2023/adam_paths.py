"""Adam from four neighbouring starts."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from experiments.bensaid2023.methods import ADAPTIVE, CLASSICAL
from odeopt import plot
from odeopt.objectives import PolyThree
from odeopt.solver import solve_many
from odeopt.studies.basins import label

STARTS = ((0.3, 0.05), (0.3, 0.075), (0.3, 0.11), (0.3, -0.15))                        # the authors'
LINES = ("-", (0, (4, 1.5)), (0, (1, 1)), "-")


def compute(smoke: bool) -> xr.Dataset:
    landscape, gtol = PolyThree(), 1e-3 if smoke else 1e-5
    runs = solve_many(landscape, CLASSICAL["Adam"], STARTS, gtol=gtol, trace=True)
    flow = solve_many(landscape, ADAPTIVE["ER"], STARTS, gtol=gtol)
    found = {"path": (("start", "n", "axis"), runs.trace.x), "steps": ("start", runs.nit),
             "rises": ("start", (np.diff(runs.trace.f, axis=-1) > 0).sum(axis=-1))}
    for name, those in (("label", runs), ("flow", flow)):
        found[name] = ("start", label(those, landscape.minima, landscape.label_radius))
    return xr.Dataset(found).assign_attrs(starts=len(STARTS))


def draw(data: xr.Dataset) -> Figure:
    landscape = PolyThree()
    with plot.style():
        figure, ax = plot.panels(1, 1, plot.COLUMN, 3.5)
        paths = data["path"].values
        points = np.concatenate([paths.reshape(-1, 2), landscape.minima[np.unique(data["label"])]])
        low, high = points.min(axis=0), points.max(axis=0)
        half = 0.55*(high - low).max()
        box = np.stack([(low + high)/2 - half, (low + high)/2 + half], axis=1)
        plot.level_lines(landscape, box, ax, levels=np.arange(0.5, 13.0), color="#8C8C8C")
        for start, line, path, k in zip(STARTS, LINES, paths, data["label"].values, strict=True):
            color = plot.class_color(int(k))
            ax.plot(*path.T, color=color, linestyle=line, linewidth=0.9, zorder=3)
            ax.plot(*path.T, ".", color=color, markersize=2.5, markeredgewidth=0, zorder=3)
            ax.plot(*start, "o", color=color, markerfacecolor="white", markersize=3.5, zorder=4)
        below = {i: (5, -3) for i in range(len(STARTS))} | {2: (-4, 4)}
        for i, start in enumerate(STARTS):
            if i != 1:                                          # between its neighbours
                ax.annotate(str(start).replace("-", "−"), start, below[i], textcoords="offset points", fontsize=6,
                            ha="left" if i != 2 else "right", va="center")
        for k, x in enumerate(landscape.minima):
            if np.all(np.abs(x - (low + high)/2) < half):
                ax.plot(*x, "o", color=plot.class_color(k), markeredgecolor="black", markersize=5, zorder=5)
        ax.set(xlim=box[0], ylim=box[1], xlabel="$w$", aspect="equal")
        ax.set_ylabel("$b$", rotation=0)
    return figure


def ends(labels: np.ndarray) -> str:
    """How many starts lead where, in words."""
    names = plot.class_names(PolyThree().minima)
    values, counts = np.unique(labels, return_counts=True)
    return " and ".join(f"{count} to {names[int(k)]}" for k, count in zip(values[::-1], counts[::-1], strict=True))


def caption(data: xr.Dataset) -> str:
    steps = data["steps"].values
    return f"""\
Paths of Adam, learning rate 0.1, on Benchmark 2 from (0.3, 0.05), (0.3, 0.075), (0.3, 0.11) and (0.3, −0.15)
(circles), beside the maximum (0, 0); dots are steps, grey lines level lines, discs minima. The four runs lead
{ends(data["label"].values)}, in {steps.min()} to {steps.max()} steps, on {data["rises"].values.min()} to
{data["rises"].values.max()} of which *f* rises: Adam sets out along the diagonals, since the signs of *g* are all
that its first step sees, overshoots and swings in. The gradient flow (ER) leads {ends(data["flow"].values)} from
these starts."""
