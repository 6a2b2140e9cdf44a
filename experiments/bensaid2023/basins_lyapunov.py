"""Lyapunov control beside the exact gradient flow."""

import xarray as xr
from matplotlib.figure import Figure

from experiments import maps
from experiments.bensaid2023.methods import BENCHMARKS, LYAPUNOV
from odeopt.controllers import EmbeddedError
from odeopt.flows import GradientFlow
from odeopt.methods import Method
from odeopt.schemes import DormandPrince

FLOW = "gradient flow"


def exact(tol: float) -> Method:
    """The gradient flow by Dormand and Prince's pair, with a first step for the steepest corner."""
    return Method(GradientFlow(), DormandPrince(), EmbeddedError(tol=tol, order=4, grow=5.0, shrink=10.0), 1e-3, FLOW)


def compute(smoke: bool) -> xr.Dataset:
    shape = maps.cells(smoke)
    data = maps.run(BENCHMARKS, {FLOW: exact(1e-10), **LYAPUNOV}, shape)
    coarser = maps.run(BENCHMARKS, {FLOW: exact(1e-8)}, shape)["label"]
    return data.assign(moved=(coarser != data["label"].sel(optimizer=[FLOW])).sum(("optimizer", "w", "b")))


def agreement(data: xr.Dataset, shown: maps.Map) -> float:
    """Share of the starts that end where the flow ends."""
    return float((shown.runs["label"] == data["label"].sel(benchmark=shown.benchmark, optimizer=FLOW)).mean())


def draw(data: xr.Dataset) -> Figure:
    def title(shown: maps.Map) -> str:
        return "(exact)" if shown.method == FLOW else f"{maps.percent(agreement(data, shown))} as the flow"
    return maps.basins(data, columns=5, height=6.9, title=title, thin=2)


def caption(data: xr.Dataset) -> str:
    share = {(m.benchmark, m.method): maps.percent(agreement(data, m)) for m in maps.views(data)}
    worst = {m.method: maps.percent(m.share(3)) for m in maps.views(data) if m.benchmark == "PolyThree"}
    diverged = int((data["label"] == -3).sum())
    one, two = (int(data["moved"].sel(benchmark=b)) for b in BENCHMARKS)
    return f"""\
Where methods that demand V(new) − V(old) ≤ −λ *h* · dissipation end, from {data.starts} starts, beside the
gradient flow itself, integrated by a Runge–Kutta pair of order 5 with tolerance 10⁻¹⁰. Each title gives the
share of starts that end where the flow does. A tolerance 100 times larger moves {one} of the flow's labels
on Benchmark 1 and {two} on Benchmark 2. Of all these runs, {diverged} diverge. But the demand alone does
not keep a run in the basin of its start: on Benchmark 2, LC (2, 1e4), which after each step first tries one
10⁴ times longer, ends where the flow does from {share["PolyThree", "LC (2, 1e4)"]} of the starts and misses
the worst minimum, (0, 1), almost always ({worst["LC (2, 1e4)"]}; the flow: {worst[FLOW]}). With growth by 2
it is {share["PolyThree", "LC (2, 2)"]} ({worst["LC (2, 2)"]} to (0, 1)), with a predicted step (LC_EGD3)
{share["PolyThree", "LC_EGD3"]}. LC_M, LC_RMSProp and LC_signGD discretise other flows, so their basins
differ from those of the gradient flow for that reason too."""
