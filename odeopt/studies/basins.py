"""Which minimum every start of a box reaches."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from odeopt.methods import Method
from odeopt.objectives.base import Objective
from odeopt.parameters import is_number, real_array
from odeopt.results.solution import Ensemble
from odeopt.solver import check_problem, prepare
from odeopt.status import Status

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from odeopt.results.rerun import Rerun

ELSEWHERE, NOT_CONVERGED, DIVERGED = -1, -2, -3
LARGE_GRADIENT = 1000.0         # a run that ends with a larger one has diverged (never tested during a run: most starts
                                # of polyFive begin above it)


@dataclass(eq=False, repr=False)
class Basins:
    """Labels of a grid of starts.

    Attributes
    ----------
    label : int array of `shape`
        At [i, j, ...] that of the start at the centres of cells i, j, ...: k >= 0 for minimum k, reached within
        `radius`; -1 for a small gradient far from every known minimum, -2 for not converged, -3 for diverged.
    minima : array (k, n)
    box : tuple of (low, high)
        For each coordinate.
    ensemble : Ensemble
        The runs, in C order of the grid.
    """

    label: np.ndarray
    minima: np.ndarray
    box: tuple
    shape: tuple[int, ...]
    radius: float
    ensemble: Ensemble

    @property
    def objective(self) -> Any:
        return self.ensemble.objective

    @property
    def method(self) -> Method:
        return self.ensemble.method

    @property
    def steps(self) -> np.ndarray:
        """Accepted steps, on the grid."""
        return self.ensemble.nit.reshape(self.shape)

    @property
    def evaluations(self) -> np.ndarray:
        """Values and gradients evaluated, on the grid."""
        return (self.ensemble.nfev + self.ensemble.njev).reshape(self.shape)

    @property
    def fraction(self) -> dict[int, float]:
        """Share of the starts with each label; every minimum is listed."""
        labels, counts = np.unique(self.label, return_counts=True)
        found = dict(zip(labels.tolist(), (counts/self.label.size).tolist(), strict=True))
        return {k: found.get(k, 0.0) for k in [*range(len(self.minima)), *(k for k in found if k < 0)]}

    def to_xarray(self) -> xr.Dataset:
        """Labels, steps and evaluations on the grid, whose coordinates are the cell centres."""
        from odeopt.results.labelled import grid
        return grid(self)

    def to_pandas(self) -> pd.DataFrame:
        """A table of one line a start, its label included."""
        return self.ensemble.to_pandas().assign(label=self.label.ravel())

    def save(self, path: str | os.PathLike) -> None:
        """Write all to a NetCDF-4 file, formulas, options, versions and machine included; see `odeopt.load`."""
        from odeopt.results.storage import save
        save(self, path)

    def rerun(self, threads: int | None = None, progress: bool = False) -> Rerun:
        """Run all starts again, with the same options, and compare to the last bit."""
        return self.ensemble.rerun(threads, progress)

    def same_grid(self, other: Basins) -> bool:
        """Whether the starts lie on the same grid and are labelled by the same minima."""
        return (self.box, self.shape, self.radius) == (other.box, other.shape, other.radius) and np.array_equal(
            self.minima, other.minima)

    def __repr__(self) -> str:
        names = {ELSEWHERE: "elsewhere", NOT_CONVERGED: "not converged", DIVERGED: "diverged"}
        names |= {k: "(" + ", ".join(f"{c:g}" for c in x) + ")" for k, x in enumerate(self.minima)}
        shares = ", ".join(f"{names[k]} {100*share:.2f} %" for k, share in self.fraction.items())
        shape = " x ".join(map(str, self.shape))
        return f"Basins of {self.method.name} on {self.objective!r}, {shape} starts: {shares}"


def grid(box: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Cell centres of a grid on a box, shape (product of `shape`, n), the last coordinate running fastest.

    Parameters
    ----------
    box : (low, high) or one such pair for each coordinate
    shape : tuple of int
        Cells along each coordinate.
    """
    shape = check_shape(shape)
    limits = check_box(box, len(shape))
    try:
        axes = [low + (high - low)*(np.arange(n) + 0.5)/n for (low, high), n in zip(limits, shape, strict=True)]
        return np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], axis=1)
    except (MemoryError, ValueError) as error:              # ValueError: more than an array can index
        raise MemoryError(f"`shape` must be of a grid that fits into memory, got {shape}: take fewer cells") from error


def check_shape(shape: Any) -> tuple[int, ...]:
    """Cells along each coordinate, at least one."""
    if not (isinstance(shape, (tuple, list)) and shape and all(
            is_number(n) and isinstance(n, (int, np.integer)) and n >= 1 for n in shape)):
        raise ValueError(f"`shape` must be a tuple of integers >= 1, one for each coordinate, got {shape!r}")
    return tuple(int(n) for n in shape)


def check_box(box: Any, dimension: int) -> tuple[tuple[float, float], ...]:
    """(low, high) of each coordinate, from one such pair or as many as there are coordinates."""
    pairs = real_array(box, "box")
    if pairs.shape == (2,):
        pairs = np.tile(pairs, (dimension, 1))
    with np.errstate(all="ignore"):                         # an infinite box has an infinite width
        fits = pairs.shape == (dimension, 2) and np.all((pairs[:, 0] < pairs[:, 1]) & np.isfinite(pairs @ (-1, 1)))
    if not fits:
        raise ValueError(f"`box` must be (low, high) or {dimension} such pairs with low < high, of finite width, got "
                         f"{box!r}")
    return tuple((float(low), float(high)) for low, high in pairs)


def label(ensemble: Ensemble, minima: np.ndarray, radius: float) -> np.ndarray:
    """The label of every run of an ensemble; see `Basins`."""
    nearest, least = np.full(len(ensemble), ELSEWHERE), np.full(len(ensemble), np.inf)
    with np.errstate(all="ignore"):
        for k, point in enumerate(minima):                  # one after another: all distances would be a large array
            distance = np.sqrt(((ensemble.x - point)**2).sum(axis=1))
            closer = (distance <= radius) & (distance < least)
            nearest[closer], least[closer] = k, distance[closer]
        exhausted = np.isin(ensemble.status, (Status.MAX_STEPS, Status.MAX_TRIALS))
        diverged = (ensemble.status == Status.DIVERGED) | (exhausted & (ensemble.g_norm > LARGE_GRADIENT))
    return np.where(diverged, DIVERGED, np.where(ensemble.success, nearest, NOT_CONVERGED))


def _minima(objective: Objective, minima: Any, n: int) -> np.ndarray:
    """The points (k, n) that label runs."""
    minima = getattr(objective, "minima", None) if minima is None else minima
    if minima is None:
        raise ValueError(f"{objective!r} lists no minima: give them as `minima`, an array (k, {n})")
    points = real_array(minima, "minima")
    points = points.reshape(-1, n) if points.ndim == 1 and points.size % n == 0 else points
    if points.ndim != 2 or points.shape[1] != n or not np.isfinite(points).all():
        raise ValueError(f"`minima` must be finite points, an array (k, {n}), got {minima!r}")
    return points


def basins(objective: Objective, method: Method, box: Any = None, shape: tuple[int, ...] = (100, 100), *,
           gtol: float = 1e-4, max_steps: int = 20_000, minima: Any = None, radius: float | None = None,
           out: str | os.PathLike | None = None, **options: Any) -> Basins:
    """Run a method from every cell centre of a box and label each start by where it ends.

    Parameters
    ----------
    objective : Objective
    method : Method
    box : (low, high) or one pair for each coordinate, optional
        The objective's own box if not given.
    shape : tuple of int
        Cells along each coordinate.
    gtol, max_steps
        As in `solve_many`; the defaults are the papers'.
    minima : array_like (k, n), optional
        The points that label runs; the objective's if not given.
    radius : float, optional
        A run reaches a minimum within this distance; the objective's `label_radius` (0.05) if not given.
    out : path, optional
        A NetCDF-4 file for the result, with a journal beside it while it runs; as in `solve_many`.
    **options
        As in `solve_many`.

    Returns
    -------
    Basins
    """
    check_problem(objective, method)
    shape = check_shape(shape)
    n = objective.dimension or len(shape)
    if n != len(shape):
        raise ValueError(f"`shape` must have {n} entries, one for each coordinate of {objective!r}, got {shape}")
    box = getattr(objective, "box", None) if box is None else box
    if box is None:
        raise ValueError(f"{objective!r} has no box: give one as `box`, (low, high)")
    box, points = check_box(box, n), _minima(objective, minima, n)
    radius = getattr(objective, "label_radius", 5e-2) if radius is None else radius
    if not (is_number(radius) and radius > 0.0):
        raise ValueError(f"`radius` must be > 0, got {radius!r}")
    radius = float(radius)
    run = prepare(objective, method, grid(box, shape), gtol=gtol, max_steps=max_steps, **options)

    def labelled(ensemble: Ensemble) -> Basins:
        return Basins(label(ensemble, points, radius).reshape(shape), points, box, shape, radius, ensemble)
    if out is None:
        return labelled(run.ends())
    from odeopt.results.storage import kept
    return kept(out, run, labelled)
