"""Which minimum every start of a box reaches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from odeopt.methods import Method
from odeopt.objectives.base import Objective
from odeopt.solution import Ensemble
from odeopt.solver import solve_many
from odeopt.status import Status

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
    limits = _limits(box, len(shape))
    axes = [low + (high - low)*(np.arange(n) + 0.5)/n for (low, high), n in zip(limits, shape, strict=True)]
    return np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], axis=1)


def _limits(box: Any, dimension: int) -> tuple[tuple[float, float], ...]:
    box = np.array(box, dtype=float)
    if box.shape == (2,):
        box = np.tile(box, (dimension, 1))
    if box.shape != (dimension, 2) or not np.all(box[:, 0] < box[:, 1]):
        raise ValueError(f"`box` must be (low, high) or {dimension} such pairs with low < high, got {box.tolist()}")
    return tuple((float(low), float(high)) for low, high in box)


def label(ensemble: Ensemble, minima: np.ndarray, radius: float) -> np.ndarray:
    """The label of every run of an ensemble; see `Basins`."""
    S = len(ensemble)
    with np.errstate(all="ignore"):
        distance = np.full((S, 1), np.inf)
        if len(minima):
            distance = np.sqrt(((ensemble.x[:, None, :] - minima)**2).sum(axis=2))
        nearest = np.where(distance.min(axis=1) <= radius, distance.argmin(axis=1), ELSEWHERE)
        exhausted = np.isin(ensemble.status, (Status.MAX_STEPS, Status.MAX_TRIALS))
        diverged = (ensemble.status == Status.DIVERGED) | (exhausted & (ensemble.g_norm > LARGE_GRADIENT))
    return np.where(diverged, DIVERGED, np.where(ensemble.success, nearest, NOT_CONVERGED))


def basins(objective: Objective, method: Method, box: Any = None, shape: tuple[int, ...] = (100, 100), *,
           gtol: float = 1e-4, max_steps: int = 20_000, minima: Any = None, radius: float | None = None,
           **options: Any) -> Basins:
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
    **options
        As in `solve_many`.

    Returns
    -------
    Basins
    """
    shape = tuple(int(n) for n in shape)
    box = _limits(getattr(objective, "box", None) if box is None else box, len(shape))
    points = getattr(objective, "minima", None) if minima is None else minima
    if points is None:
        raise ValueError(f"{objective!r} lists no minima: give them as `minima`, an array (k, {len(shape)})")
    points = np.array(points, dtype=float).reshape(-1, len(shape))
    radius = getattr(objective, "label_radius", 5e-2) if radius is None else radius
    ensemble = solve_many(objective, method, grid(box, shape), gtol=gtol, max_steps=max_steps, **options)
    return Basins(label(ensemble, points, radius).reshape(shape), points, box, shape, radius, ensemble)
