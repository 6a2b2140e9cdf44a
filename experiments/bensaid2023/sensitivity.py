"""How small a change of the start changes the outcome."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import maps
from experiments.bensaid2023.methods import ADAPTIVE, BENCHMARKS, CLASSICAL, LYAPUNOV, SMALL_STEPS
from odeopt import objectives, plot
from odeopt.methods import Method
from odeopt.solver import solve_many
from odeopt.studies import grid
from odeopt.studies.basins import label

ULP = 1e-16                                                     # stands for the next floating-point number
MOVES = (ULP, 1e-12, 1e-9, 1e-6, 1e-3)
METHODS = ({"GD 0.1": CLASSICAL["GD"], "GD 0.01": SMALL_STEPS["GD 0.01"]}
           | {f"{name} 0.1": CLASSICAL[name] for name in ("Momentum", "AWB", "Adam")} | ADAPTIVE
           | {name: LYAPUNOV[name] for name in ("LC (2, 1e4)", "LC (2, 2)", "LCD (30, 1e4, 3)", "LC_M")})


def compute(smoke: bool) -> xr.Dataset:
    shape = maps.cells(smoke)
    rows = [xr.concat([changes(name, method, shape) for method in METHODS.values()], "optimizer")
            for name in BENCHMARKS]
    whole = xr.concat(rows, "benchmark").assign_coords(benchmark=list(BENCHMARKS), optimizer=list(METHODS))
    return whole.assign_attrs(starts=f"{shape[0]} × {shape[1]}", box=objectives.PolyTwo.box)


def changes(benchmark: str, method: Method, shape: tuple[int, int], moves: tuple[float, ...] = MOVES) -> xr.Dataset:
    """Which starts, the cell centres, have another label than one of their four neighbours at every distance."""
    landscape = getattr(objectives, benchmark)()
    x = grid(landscape.box, shape)
    starts = [x, *(neighbour for move in moves for neighbour in neighbours(x, move))]
    runs = solve_many(landscape, method, np.concatenate(starts), gtol=1e-4, max_steps=20_000)
    labels = label(runs, landscape.minima, landscape.label_radius).reshape(-1, *shape)
    others = labels[1:].reshape(len(moves), -1, *shape)
    return xr.Dataset({"label": (("w", "b"), labels[0].astype("int8")),
                       "changed": (("move", "w", "b"), (others != labels[0]).any(axis=1))}, {"move": list(moves)})


def neighbours(x: np.ndarray, move: float) -> list[np.ndarray]:
    """The points with one coordinate moved down or up."""
    found = []
    for axis in range(x.shape[1]):
        for way in (-1.0, 1.0):
            y = x.copy()
            y[:, axis] = np.nextafter(x[:, axis], way*np.inf) if move == ULP else x[:, axis] + way*move
            found.append(y)
    return found


def share(shown: maps.Map, move: float) -> float:
    """Share of the starts whose label changes."""
    return float(shown.runs["changed"].sel(move=move).mean())


def percent(part: float) -> str:
    return f"{100*part:.2f}".rstrip("0").rstrip(".") + " %"


def draw(data: xr.Dataset) -> Figure:
    exponents = np.log10(data["move"].values)

    def one(shown: maps.Map, ax: Axes) -> None:
        changed = shown.runs["changed"].values.astype(bool)
        least = np.where(changed.any(axis=0), exponents[changed.argmax(axis=0)], np.nan)
        plot.shares(least, data.box, ax, vmin=exponents[0], vmax=0.0, bar=False, levels=0, cmap="inferno",
                    title=f"{shown.method}\n{percent(share(shown, ULP))} | {percent(share(shown, 1e-6))}")
        ax.plot(*shown.minima.T, "o", markersize=2.5, color=plot.COLORS["blue"], markeredgewidth=0)
        ax.set(xlabel="$w$", ylabel="$b$")
    with plot.style():
        figure, axes = maps.atlas(data, one, columns=6, height=5.6)
        bar = figure.colorbar(axes.flat[0].images[0], ax=axes, aspect=40, pad=0.015)
        bar.set_ticks(exponents, labels=["1 ulp", *(f"$10^{{{e:.0f}}}$" for e in exponents[1:])])
        bar.ax.set_ylim(exponents[0], exponents[-1])
        bar.set_label("least move of the start that changes where it ends (white: none)")
    return figure


def caption(data: xr.Dataset) -> str:
    ulp, small, large = ({(m.benchmark, m.method): share(m, move) for m in maps.views(data)}
                         for move in (ULP, 1e-6, 1e-3))
    moved = [f"{name} on {maps.TITLES[b]} ({percent(part)})" for (b, name), part in ulp.items() if part]
    two = max(part for (b, _), part in small.items() if b == "PolyTwo")
    three = sorted(((part, name) for (b, name), part in small.items() if b == "PolyThree" and part), reverse=True)
    listed = ", ".join(f"{name} {percent(part)}" for part, name in three) or "none"
    outcome = f"a label of {', '.join(moved)} and of nothing else" if moved else "nothing in any of the maps"
    return f"""\
Each of {data.starts} starts was moved in one coordinate, down and up, to the next floating-point number (1 ulp)
and by 10⁻¹², 10⁻⁹, 10⁻⁶, 10⁻³; colours give the least of these moves at which one of the four neighbours reaches
another minimum (disc), or none. In the titles: shares at 1 ulp | at 10⁻⁶. One ulp changes {outcome}: a map may look
like noise, but rounding does not decide its cells. At 10⁻⁶, {f"up to {percent(two)} of the" if two else "no"} labels
change on Benchmark 1, and on Benchmark 2: {listed}. So far do maps agree whose starts are known to six digits.
At 10⁻³ it is {percent(large["PolyThree", "LC_M"])} for LC_M and {percent(large["PolyThree", "AWB 0.1"])} for AWB,
against {percent(large["PolyThree", "ER"])} for ER, which follows the gradient flow."""
