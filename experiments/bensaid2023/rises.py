"""How often the energy rises."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import gallery, maps
from experiments.bensaid2023.methods import ADAPTIVE, BENCHMARKS, CLASSICAL
from experiments.bensaid2023.published import ARCHIVE, Archived
from odeopt import plot
from odeopt.flows import AWB, Adam

RISE = 0.01
DRAWN = [*CLASSICAL, "ER"]
COMPARED = ["GD", "Momentum", "AWB", "AWB, a = 1", "Adam", "Adam, a = 1", "ER"]


@dataclass(frozen=True)
class WeightedAWB(AWB):
    """AWB with the energy that the authors' code watches: its weight 1/(2a) has a = (1 - 0.9)/0.1 = 1."""

    def V(self, f: Any, m: Any, s: Any) -> Any:
        return f + 0.5*np.sum(m*m/np.sqrt(s + self.eps))


@dataclass(frozen=True)
class WeightedAdam(Adam):
    """The same for Adam."""

    def V(self, t: Any, f: Any, m: Any, s: Any) -> Any:
        return f + np.where(t > 0.0, 0.5*(m @ self.direction(t, m, s)), 0.0)


def compute(smoke: bool) -> xr.Dataset:
    methods = CLASSICAL | ADAPTIVE
    for name, kind in (("AWB", WeightedAWB), ("Adam", WeightedAdam)):
        flow = kind(**asdict(methods[name].flow))
        methods[f"{name}, a = 1"] = replace(methods[name], flow=flow)
    runs = [maps.run(BENCHMARKS, {name: methods[name]}, maps.cells(smoke), gtol=archived("PolyTwo", name).gtol,
                     count_rises=RISE) for name in COMPARED]
    return xr.concat(runs, "optimizer")


def archived(benchmark: str, method: str) -> Archived:
    """The row of the archive."""
    name = method.removesuffix(", a = 1")
    return ARCHIVE[benchmark][f"{name} 0.1" if name in CLASSICAL else name]


def share(shown: maps.Map) -> xr.DataArray:
    """Share of each run's steps on which V rises by more than RISE |V|."""
    return shown.runs["rises"]/shown.runs["steps"]


def draw(data: xr.Dataset) -> Figure:
    def one(shown: maps.Map, ax: Axes) -> None:
        part = share(shown).values
        with np.errstate(divide="ignore"):
            plot.shares(np.log10(part), shown.box, ax, vmin=-3.0, vmax=0.0, bar=False, levels=0,
                        objective=shown.objective, title=f"{shown.method}\nmean {100*np.nanmean(part):.2f} %")
        plot.level_lines(shown.objective, shown.box, ax, color="0.6", alpha=1.0)
    with plot.style():
        figure, axes = maps.atlas(data.sel(optimizer=DRAWN), one, columns=len(DRAWN), height=3.3)
        bar = figure.colorbar(axes.flat[0].images[0], ax=axes, aspect=30, pad=0.015, extend="min")
        bar.set_ticks([-3.0, -2.0, -1.0, 0.0], labels=["0.1 %", "1 %", "10 %", "100 %"])
        bar.set_label("steps on which V rises by > 1 % (white: none)")
    return figure


def caption(data: xr.Dataset) -> str:
    gd, awb = (maps.view(data, "PolyTwo", name) for name in ("GD", "AWB"))
    lost = gd.label == -3
    return f"""\
Share of each run's steps on which the flow's own V rises by more than 1 % of |V|, from {data.starts}
starts; white: on none. Learning rate 0.1. V is *f* for GD and ER, |*v*|²/2 + *f* for Momentum, *f* + Σ
*m*²/(2*a* √(*s* + 10⁻¹⁰)) for AWB, and for Adam the same with bias corrections at its clock *t* = 0.1 *n*
and 10⁻⁸ outside the root. Along the flows V never rises: what is seen are errors of the discretisation.
They are not confined to runs that go wrong: on Benchmark 1 {maps.percent(awb.share(*awb.minimal))} of the
runs of AWB reach a minimum, but V rises on up to {100*float(share(awb).max()):.0f} % of the steps of one.
The gradient test is that of the authors' archive, 10⁻⁵ for Momentum, AWB and Adam and 10⁻⁴ for GD and ER,
since the shares depend on it.

{gallery.markdown(compared(data))}
Archived runs had random starts. The exact relaxations of AWB and Adam have *a* = −log(0.9)/0.1 = 1.054; the
energy that the authors' code watched has *a* = (1 − 0.9)/0.1 = 1, and with it the archived numbers come
out. In GD the rises come from runs that diverge. The archive went on with them and counted rises on 0.999
of their steps; ours end when they leave the finite numbers, on Benchmark 1 after
{float(gd.runs["steps"].values[lost].mean()):.1f} steps on average, of which
{100*share(gd).values[lost].mean():.0f} % are rises."""


def compared(data: xr.Dataset) -> pd.DataFrame:
    """Mean shares, and runs with at least one rise, beside the archived ones."""
    rows = []
    for shown in maps.views(data):
        known = archived(shown.benchmark, shown.method)
        rising = float((shown.runs["rises"] > 0).mean())
        rows.append({
            "benchmark": maps.TITLES[shown.benchmark], "method": shown.method,
            "mean share": f"{float(share(shown).mean()):.4f}",
            "archived": f"{known.rises:.4f}" if np.isfinite(known.rises) else "",
            "runs with a rise, %": f"{100*rising:.1f}", "archived, %": f"{known.rising:.1f}"})
    return pd.DataFrame(rows)
