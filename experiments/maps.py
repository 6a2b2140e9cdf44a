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

SMOKE = (24, 24)
TITLES = {"PolyTwo": "Benchmark 1", "PolyThree": "Benchmark 2", "PolyFive": "polyFive"}


def run(benchmarks: Iterable[str], methods: Mapping[str, Method], shape: tuple[int, int], **options: Any) -> xr.Dataset:
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
        `label`, `steps`, `trials` (without the repeated ones of a bisection) and, if they are counted, `rises`,
        over (benchmark, method, w, b); `backend` over (benchmark, method).
    """
    rows = [xr.concat([_one(benchmark, method, shape, options) for method in methods.values()], "method")
            for benchmark in benchmarks]
    whole = xr.concat(rows, "benchmark").assign_coords(benchmark=list(benchmarks), method=list(methods))
    return whole.assign_attrs(starts=f"{shape[0]} × {shape[1]}")


def _one(benchmark: str, method: Method, shape: tuple[int, int], options: dict) -> xr.Dataset:
    found = studies.basins(getattr(objectives, benchmark)(), method, shape=shape, **options)
    runs = found.ensemble
    columns = {"label": found.label.astype("int8"), "steps": runs.nit, "rises": runs.rises,
               "trials": runs.trials - np.asarray(runs.memory.get("repeats", 0.0), dtype=int)}
    grids = {name: (("w", "b"), np.reshape(column, shape)) for name, column in columns.items() if column is not None}
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
        """Labels of true minima (some landscapes also list degenerate points that attract runs)."""
        kinds = {tuple(c.x): c.kind for c in self.objective.critical_points}
        return [k for k, x in enumerate(self.minima) if "minimum" in kinds[tuple(x)]]

    def outcome(self) -> str:
        """How the runs end, in a few words."""
        parts = {"to minima": self.minimal, "diverge": [-3], "to saddles": [k for k in range(len(self.minima))
                 if k not in self.minimal], "elsewhere": [-1], "go on": [-2]}
        said = [f"{percent(self.share(*labels))} {words}" for words, labels in parts.items() if self.share(*labels)]
        return ", ".join(said)


def views(data: xr.Dataset) -> Iterator[Map]:
    """The maps of a dataset, benchmark by benchmark."""
    for benchmark, method in product(data["benchmark"].values, data["method"].values):
        yield Map(str(benchmark), str(method), data.sel(benchmark=benchmark, method=method))


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


def atlas(data: xr.Dataset, draw: Callable[[Map, Axes], Any], columns: int, height: float) -> tuple[Figure, Any]:
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
        if i % data.sizes["method"] == 0:
            ax.annotate(TITLES[shown.benchmark], (0, 1), (-30, 15), "axes fraction", "offset points", fontsize=8,
                        fontweight="bold", annotation_clip=False)
    if data.attrs["smoke"]:
        figure.suptitle(data.attrs["smoke"], color="firebrick", fontsize=8)
    return figure, axes


def basins(data: xr.Dataset, columns: int, height: float, title: Callable[[Map], str] = Map.outcome) -> Figure:
    """A page of basin maps with one legend; `title(map)` follows the method's name."""
    with plot.style():
        figure, _ = atlas(data, lambda m, ax: plot.basins(m, ax, legend=False, title=f"{m.method}\n{title(m)}"), columns, height)
        points = next(views(data)).minima
        plot.legend(figure, data["label"].values, points)
    return figure
