"""Maps of a plane of starts: run methods on landscapes, keep what they did as a dataset, draw it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from odeopt import objectives, plot, studies
from odeopt.methods import Method

TITLES = {"PolyTwo": "Benchmark 1", "PolyThree": "Benchmark 2", "PolyFive": "polyFive"}


def cells(smoke: bool, side: int = 100) -> tuple[int, int]:
    """Cells along w and b."""
    return (24, 24) if smoke else (side, side)


def run(benchmarks: Iterable[str], methods: Mapping[str, Method], shape: tuple[int, int],
        **options: Any) -> xr.Dataset:
    """Run every method on every benchmark, from every cell centre of the benchmark's box.

    Parameters
    ----------
    benchmarks : names of classes of odeopt.objectives, all with the same box
    methods : dict
        Methods by the names that figures and tables give them.
    shape : (int, int)
        Cells along w and b.
    **options
        As in `odeopt.studies.basins`.

    Returns
    -------
    Dataset
        `label`, `steps`, `trials` (without the repeated ones of a bisection, and a solve of several trials
        as one, as the papers count) and, if they are counted, `rises`, over (benchmark, optimizer, w, b);
        `backend` over (benchmark, optimizer).
    """
    rows = [xr.concat([_one(benchmark, method, shape, options) for method in methods.values()], "optimizer")
            for benchmark in benchmarks]
    whole = xr.concat(rows, "benchmark").assign_coords(benchmark=list(benchmarks), optimizer=list(methods))
    return whole.assign_attrs(starts=f"{shape[0]} × {shape[1]}")


def _one(benchmark: str, method: Method, shape: tuple[int, int], options: dict) -> xr.Dataset:
    found = studies.basins(getattr(objectives, benchmark)(), method, shape=shape, **options)
    runs = found.ensemble
    trials = runs.memory.get("attempts", runs.trials) - runs.memory.get("repeats", 0.0)
    columns = {"label": found.label.astype("int8"), "steps": runs.nit, "rises": runs.rises,
               "trials": np.asarray(trials, dtype=int)}
    grids = {name: (("w", "b"), np.reshape(column, shape))
             for name, column in columns.items() if column is not None}
    centres = {axis: low + (high - low)*(np.arange(n) + 0.5)/n
               for axis, (low, high), n in zip("wb", found.box, shape, strict=True)}
    return xr.Dataset({**grids, "backend": runs.backend}, centres, {"box": found.box[0]})


@dataclass(frozen=True)
class Map:
    """The runs of one method on one benchmark, as `odeopt.plot` draws them."""

    benchmark: str
    method: str
    runs: xr.Dataset

    @property
    def objective(self) -> Any:
        return getattr(objectives, self.benchmark)()

    @property
    def minima(self) -> np.ndarray:
        return self.objective.minima

    @property
    def label(self) -> np.ndarray:
        return self.runs["label"].values

    @property
    def box(self) -> tuple[float, float]:
        return tuple(self.runs.attrs["box"])

    @property
    def converged(self) -> xr.Dataset:
        """The runs that met the gradient test, one after another."""
        runs = self.runs.stack(start=("w", "b"))
        return runs.isel(start=np.flatnonzero(runs["label"] >= -1))

    def share(self, *labels: int) -> float:
        """Share of the starts with one of these labels."""
        return float(np.isin(self.label, labels).mean())

    @property
    def minimal(self) -> list[int]:
        """Labels of true minima."""
        kinds = {tuple(c.x): c.kind for c in self.objective.critical_points}
        return [k for k, x in enumerate(self.minima) if "minimum" in kinds[tuple(x)]]

    @property
    def degenerate(self) -> list[int]:
        """Labels of the points that are no minima but attract runs."""
        return sorted(set(range(len(self.minima))) - set(self.minimal))

    def outcome(self) -> str:
        """How the runs end, in a few words."""
        parts = {"to minima": self.minimal, "diverge": [-3], "to degenerate points": self.degenerate,
                 "elsewhere": [-1], "not converged": [-2]}
        shares = {words: self.share(*labels) for words, labels in parts.items()}
        return ", ".join(f"{percent(share)} {words}" for words, share in shares.items() if share)


def views(data: xr.Dataset) -> Iterator[Map]:
    """The maps of a dataset, benchmark by benchmark."""
    for benchmark, method in product(data["benchmark"].values, data["optimizer"].values):
        yield Map(str(benchmark), str(method), data.sel(benchmark=benchmark, optimizer=method))


def view(data: xr.Dataset, benchmark: str, method: str) -> Map:
    """One map of a dataset."""
    return next(m for m in views(data) if (m.benchmark, m.method) == (benchmark, method))


def percent(share: float) -> str:
    """A share to one decimal; never 0 or 100 % if it is not."""
    if 0.0 < share < 5e-4:
        return "< 0.1 %"
    if 0.9995 <= share < 1.0:
        return "> 99.9 %"
    return f"{100*share:.1f}".removesuffix(".0") + " %"


def atlas(data: xr.Dataset, draw: Callable[[Map, Axes], Any], columns: int,
          height: float) -> tuple[Figure, Any]:
    """A page of maps, `columns` beside each other, every benchmark beginning a new row.

    Parameters
    ----------
    data : Dataset
    draw : draw(map, ax)
        Draws one map with its title.
    columns : int
    height : float
        Inches.

    Returns
    -------
    figure, axes
    """
    maps = list(views(data))
    figure, axes = plot.panels(-(-len(maps)//columns), columns, plot.PAGE, height, sharex=True, sharey=True)
    for i, (ax, shown) in enumerate(zip(axes.flat, maps, strict=True)):
        draw(shown, ax)
        ax.title.set_fontsize(7)
        ax.label_outer()
        if i % data.sizes["optimizer"] == 0:
            ax.annotate(TITLES[shown.benchmark], (0, 0.5), (-34, 0), "axes fraction", "offset points",
                        rotation=90, ha="right", va="center", fontsize=8, fontweight="bold",
                        annotation_clip=False)
    return figure, axes


def basins(data: xr.Dataset, columns: int, height: float, title: Callable[[Map], str] = Map.outcome,
           thin: int = 1) -> Figure:
    """A page of basin maps with one legend.

    Parameters
    ----------
    data, columns, height
        As in `atlas`.
    title : title(map)
        Follows the method's name.
    thin : int
        Draw every so many of the level lines of the landscapes.
    """
    def one(shown: Map, ax: Axes) -> None:
        plot.basins(shown, ax, levels=shown.objective.levels[::thin], legend=False,
                    title=f"{shown.method}\n{title(shown)}")
    with plot.style():
        figure, _ = atlas(data, one, columns, height)
        first = next(views(data))
        names = plot.class_names(first.minima)
        names |= {k: f"{names[k]}, degenerate" for k in first.degenerate}
        plot.legend(figure, data["label"].values, names)
    return figure
