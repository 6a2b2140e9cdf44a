"""Adaptive steps of 2023: which minimum each start reaches."""

import xarray as xr
from matplotlib.figure import Figure

from experiments import maps
from experiments.bensaid2023.methods import ADAPTIVE, BENCHMARKS


def compute(smoke: bool) -> xr.Dataset:
    return maps.run(BENCHMARKS, ADAPTIVE, maps.cells(smoke))


def draw(data: xr.Dataset) -> Figure:
    return maps.basins(data, columns=3, height=5.2)


def caption(data: xr.Dataset) -> str:
    best = {name: maps.percent(maps.view(data, "PolyThree", name).share(2)) for name in ADAPTIVE}
    diverged = int((data["label"] == -3).sum())
    return f"""\
ER controls the step by an embedded error; EM and EGD are Momentum and gradient descent whose step is
reduced until the energy does not rise. First step 0.1, {data.starts} starts. Of all these runs, {diverged}
diverge. ER follows the gradient flow, and its basins have smooth borders; EM rolls over barriers, and EGD
jumps over them where 0.1 is a long step. The global minimum of Benchmark 2, (0, −1), is reached from
{best["ER"]} of the starts by ER, {best["EM"]} by EM and {best["EGD"]} by EGD."""
