"""Classical optimizers: which minimum each start reaches."""

import xarray as xr
from matplotlib.figure import Figure

from experiments import maps
from experiments.bensaid2023.methods import BENCHMARKS, CLASSICAL


def compute(smoke: bool) -> xr.Dataset:
    return maps.run(BENCHMARKS, CLASSICAL, maps.cells(smoke))


def draw(data: xr.Dataset) -> Figure:
    return maps.basins(data, columns=4, height=4.4)


def caption(data: xr.Dataset) -> str:
    lost = {(m.benchmark, m.method): maps.percent(m.share(-3)) for m in maps.views(data)}
    worst = {m.method: maps.percent(m.share(3)) for m in maps.views(data) if m.benchmark == "PolyThree"}
    return f"""\
Gradient descent, Momentum, Adam without bias correction (AWB) and Adam, all with the learning rate 0.1,
from {data.starts} starts. Each start (*w*, *b*) has the colour of the minimum (disc) that its run reaches,
brown if the run diverges; grey lines are level lines of the objective. On Benchmark 1, GD diverges from
{lost["PolyTwo", "GD"]} of the starts. On Benchmark 2, whose minima are steeper, it diverges from
{lost["PolyThree", "GD"]}, next to the minima too, and Momentum from {lost["PolyThree", "Momentum"]}. AWB
diverges from {lost["PolyThree", "AWB"]}, Adam from {lost["PolyThree", "Adam"]}; but AWB leaves even starts
next to a minimum for another one (colours are mixed around the discs), and {worst["AWB"]} of its runs on
Benchmark 2 end at the worst minimum, (0, 1), against {worst["Adam"]} for Adam."""
