"""polyFive: a landscape whose stiffness varies by four orders of magnitude."""

import xarray as xr
from matplotlib.figure import Figure

from experiments import maps
from experiments.bensaid2023.methods import LYAPUNOV, SMALL_STEPS
from experiments.bensaid2023.published import POLYFIVE

NAMES = ("GD 0.01", "Adam 0.001", "LC (2, 1e4)", "LCD (30, 1e4, 3)")


def compute(smoke: bool) -> xr.Dataset:
    known = SMALL_STEPS | LYAPUNOV
    chosen = {name: known[name] for name in NAMES}
    return maps.run(["PolyFive"], chosen, maps.cells(smoke, 200), max_steps=200_000)


def draw(data: xr.Dataset) -> Figure:
    return maps.basins(data, columns=2, height=7.6)


def caption(data: xr.Dataset) -> str:
    views = {m.method: m for m in maps.views(data)}
    steps = {name: f"{float(m.converged['steps'].mean()):.0f}" for name, m in views.items()}
    reach = {name: f"{100*m.share(*m.minimal):.2f} %" for name, m in views.items()}
    stuck = maps.percent(views["Adam 0.001"].share(*views["Adam 0.001"].degenerate))
    return f"""\
All four minima of polyFive, (0, 3), (−4, 3), (4, −1), (0, −1), are global; at the first the largest
curvature is 5362, at the last it vanishes. {data.starts} starts on [−5, 5]², up to 200 000 steps. GD with
learning rate 0.01 diverges from {maps.percent(views["GD 0.01"].share(-3))} of the starts (published:
{POLYFIVE["GD 0.01"]["diverged"]} %, from 28 000 random starts, as all published numbers here). Adam with
0.001 never does, but {reach["Adam 0.001"]} reach a minimum (published: {POLYFIVE["Adam 0.001"]["minima"]}
%) and {stuck} end at degenerate critical points, where the Hessian is singular and which are no minima; the
mean run takes {steps["Adam 0.001"]} steps. Under Lyapunov control {reach["LC (2, 1e4)"]} (LC; published:
{POLYFIVE["LC (2, 1e4)"]["minima"]} %) and {reach["LCD (30, 1e4, 3)"]} (LCD) reach a minimum, after
{steps["LC (2, 1e4)"]} and {steps["LCD (30, 1e4, 3)"]} steps."""
