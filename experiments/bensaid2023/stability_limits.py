"""Linear stability limits, measured."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from experiments import gallery
from odeopt import methods, objectives, plot, schemes, solve
from odeopt.controllers import Constant
from odeopt.flows import GradientFlow
from odeopt.methods import Method
from odeopt.results.solution import Solution

BETA = 0.9


def _scheme(scheme: schemes.Scheme) -> Callable[[float], Method]:
    return lambda h: Method(GradientFlow(), scheme, Constant(), h, type(scheme).__name__)


def _radius(trace: Callable, determinant: Callable) -> Callable:
    """The spectral radius of a map of (x, v)."""
    def of(z: np.ndarray) -> np.ndarray:
        root = np.sqrt(trace(z)**2 - 4.0*determinant(z) + 0j)
        return np.maximum(np.abs(trace(z) + root), np.abs(trace(z) - root))/2.0
    return of


METHODS = {
    "GD": methods.gd, "ER (code's map)": _scheme(schemes.EulerRichardson()),
    "Midpoint": _scheme(schemes.Midpoint()), "Heun": _scheme(schemes.Heun()),
    "RK4": _scheme(schemes.RungeKutta4()), "RKC2": _scheme(schemes.RungeKuttaChebyshev()),
    "Momentum": lambda h: methods.ema_momentum(h, BETA), "Momentum_Euler": lambda h: methods.euler_momentum(h, BETA)}
AMPLIFICATION = {
    "GD": lambda z: abs(1 - z), "ER (code's map)": lambda z: abs(1 - z + z**2),
    "Midpoint": lambda z: abs(1 - z + z**2/2), "Heun": lambda z: abs(1 - z + z**2/2),
    "RK4": lambda z: abs(1 - z + z**2/2 - z**3/6 + z**4/24), "RKC2": lambda z: abs(1 - z + z**2/8),
    "Momentum": _radius(lambda z: 1 + BETA - (1 - BETA)*z, lambda z: BETA + 0*z),
    "Momentum_Euler": _radius(lambda z: 1 + BETA + 0*z, lambda z: BETA + (1 - BETA)*z)}
THEORY = {"GD": 2.0, "ER (code's map)": 1.0, "Midpoint": 2.0, "Heun": 2.0, "RK4": 2.785293563405282, "RKC2": 8.0,
          "Momentum": 2.0*(1.0 + BETA)/(1.0 - BETA), "Momentum_Euler": 1.0}
FORMULA = {"GD": "1 − z", "ER (code's map)": "1 − z + z²", "Midpoint": "1 − z + z²/2", "Heun": "1 − z + z²/2",
           "RK4": "1 − z + z²/2 − z³/6 + z⁴/24", "RKC2": "1 − z + z²/8",
           "Momentum": "λ² − (1 + β − (1 − β)z)λ + β", "Momentum_Euler": "λ² − (1 + β)λ + β + (1 − β)z"}
INERTIAL = ("Momentum", "Momentum_Euler")
LOOKS = dict(zip(METHODS, (("black", "o"), ("vermillion", "s"), ("blue", "D"), ("blue", "x"), ("green", "^"),
                           ("purple", "v"), ("blue", "D"), ("vermillion", "s")), strict=True))


def compute(smoke: bool) -> xr.Dataset:
    steps = 5_000 if smoke else 50_000
    limits = [limit(make, steps) for make in METHODS.values()]
    zs = [_sample(name) for name in METHODS]
    measured = [[growth(make, z, 1000 if name in INERTIAL else 100) for z in row]
                for (name, make), row in zip(METHODS.items(), zs, strict=True)]
    polythree = objectives.PolyThree()
    kinds = [c for c in polythree.critical_points if "minimum" in c.kind]
    stiffest = [np.linalg.eigvalsh(np.reshape(polythree.hessian(np.array(c.x)), (2, 2)))[-1] for c in kinds]
    return xr.Dataset({"limit": ("optimizer", limits), "theory": ("optimizer", list(THEORY.values())),
                       "z": (("optimizer", "point"), zs), "growth": (("optimizer", "point"), measured),
                       "stiffest": ("minimum", stiffest)},
                      {"optimizer": list(METHODS)}, {"starts": "1", "steps": steps})


def _sample(name: str) -> np.ndarray:
    """Values of z up to a little above the limit."""
    factors = np.geomspace(0.02, 1.01, 14) if name in INERTIAL else np.linspace(0.08, 1.12, 14)
    return THEORY[name]*factors


def growth(make: Callable[[float], Method], z: float, steps: int) -> float:
    """The mean factor per step of x on x^2/2, in the second half of a run; z = h L with L = 1."""
    run = solve(objectives.Quadratic((1.0,)), make(float(z)), [1.0], gtol=0.0, max_steps=steps, trace=True)
    sizes, window = np.abs(run.trace.x[:, 0]), steps//10            # largest of a window: x oscillates
    first, last = (np.max(sizes[end - window:end]) for end in (steps//2, steps))
    return float((last/first)**(2.0/steps))


def _norm(run: Solution) -> float:
    """The largest number of the last state; NaN or infinite if the run diverged."""
    return float(max(np.max(np.abs(block)) for block in run.z.values()))


def decays(make: Callable[[float], Method], z: float, steps: int) -> bool:
    """Whether the state on x^2/2 shrinks over many steps."""
    run = solve(objectives.Quadratic((1.0,)), make(float(z)), [1.0], gtol=0.0, max_steps=steps)
    return _norm(run) < 1.0


def limit(make: Callable[[float], Method], steps: int) -> float:
    """Bisection between the largest z of a scan that decays and the next one."""
    scan = np.linspace(0.25, 50.25, 501)            # misses 4, where RKC2 touches 1
    low = scan[next(k for k in range(len(scan)) if not decays(make, scan[k + 1], 2000))]
    high = low + 0.1
    while high - low > 1e-5:
        middle = 0.5*(low + high)
        low, high = (middle, high) if decays(make, middle, steps) else (low, middle)
    return float(0.5*(low + high))


def draw(data: xr.Dataset) -> Figure:
    with plot.style():
        figure, axes = plot.panels(1, 2, plot.PAGE, 3.4)
        for name, (color, mark) in LOOKS.items():
            right = name in INERTIAL
            ax, one = axes[int(right)], data.sel(optimizer=name)
            z = np.geomspace(0.015, 60.0, 6000) if right else np.linspace(0.0, 9.5, 3000)
            if name != "Heun":
                ax.plot(z, AMPLIFICATION[name](z), color=plot.COLORS[color], zorder=2)
            ax.plot(one["z"], one["growth"], linestyle="none", marker=mark, markersize=3.5, color=plot.COLORS[color],
                    label=f"{name}: {float(one['limit']):.3f}", zorder=3)
            ax.plot(one["limit"], 1.0, marker="|", markersize=12, markeredgewidth=1.5, color=plot.COLORS[color],
                    zorder=4)
        for ax, title in zip(axes, ("gradient flow", "heavy ball, β = 0.9"), strict=True):
            ax.axhline(1.0, color="0.5", linewidth=0.6, zorder=1)
            ax.set(ylim=(0.0, 1.6), xlabel="z = h L", title=title)
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, title="measured limits",
                      title_fontsize=7)
        axes[1].set(xscale="log", xlim=(0.015, 60.0), ylim=(0.92, 1.06))
        axes[1].set_xticks([0.1, 1.0, 10.0], labels=["0.1", "1", "10"])
        axes[0].set_ylabel("factor per step")
    return figure


def caption(data: xr.Dataset) -> str:
    rows = [{"method": name, "measured": f"{float(data['limit'].sel(optimizer=name)):.4f}",
             "theory": f"{THEORY[name]:.4f}".rstrip("0").rstrip("."), "amplification": FORMULA[name]}
            for name in data["optimizer"].values]
    stiff = data["stiffest"].values
    known = dict(zip(data["optimizer"].values, data["limit"].values, strict=True))
    return f"""\
Factor by which a step of length *h* multiplies a state on a quadratic with curvature *L*: stability
polynomials, for the heavy ball spectral radii (lines); runs (marks); and by bisection, from runs of
{data.steps} steps, the step from which they grow (ticks; table). ER's map makes a full step to its probe,
which halves its limit; `Midpoint` is the scheme usually called Euler–Richardson. RKC2 touches 1 at *z* = 4.
Averaging the gradient with β = 0.9 and using the new average (Momentum) moves the limit to 2(1 + β)/(1 −
β); using the old one (Momentum_Euler) halves that of GD. The largest curvatures at the minima of
Benchmark 2 are {stiff.min():.1f} to {stiff.max():.1f}: GD is stable at all of them for *h* <
{known["GD"]/stiff.max():.4f} and at none from {known["GD"]/stiff.min():.4f} on, so not with 0.1; Momentum is up
to {known["Momentum"]/stiff.max():.4f}.

{gallery.markdown(pd.DataFrame(rows))}"""
