"""Classical optimizers: which minimum each start reaches."""

import xarray as xr
from matplotlib.figure import Figure

from experiments import maps
from experiments.bensaid2023.methods import BENCHMARKS, CLASSICAL


def compute(smoke: bool) -> xr.Dataset:
    return maps.run(BENCHMARKS, CLASSICAL, maps.SMOKE if smoke else (100, 100))


def draw(data: xr.Dataset) -> Figure:
    return maps.basins(data, columns=4, height=4.4)


def caption(data: xr.Dataset) -> str:
    lost = maps.percent(maps.view(data, "PolyTwo", "GD").share(-3))
    heavy = maps.percent(maps.view(data, "PolyThree", "Momentum").share(-3))
    worst = {name: maps.percent(maps.view(data, "PolyThree", name).share(3)) for name in ("AWB", "Adam")}
    return f"""\
Gradient descent, Momentum, Adam without bias correction (AWB) and Adam, all with the learning rate 0.1, from {data.starts}
starts. Each start (*w*, *b*) has the colour of the minimum (disc) that its run reaches, brown if the run diverges; grey
lines are level lines of the objective. On Benchmark 1, GD diverges from {lost} of the starts, some of them
next to a minimum. On Benchmark 2, whose curvature at the minima is larger, it diverges from all but
{maps.percent(1 - maps.view(data, "PolyThree", "GD").share(-3))}, and Momentum from {heavy}. AWB and Adam never diverge, but AWB does not stay where
it starts: its map of Benchmark 2 is scattered, and {worst["AWB"]} of its runs end at the worst minimum, (0, 1), against
{worst["Adam"]} for Adam."""
