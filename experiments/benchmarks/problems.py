"""The maps that every tool computes: the same starts, formulas, stop test and largest number of trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import odeopt as oo
from odeopt.solver import Run, prepare

GTOL = 1e-4


@dataclass(frozen=True)
class Problem:
    """A map of runs.

    Attributes
    ----------
    kind : str
        The formulas, for the tools that have their own.
    title : str
    objective, method
        The same formulas, for the lanes.
    starts : array (S, n)
    trials : int
        Most trials of a run.
    early : bool
        Whether a batch may end when all of its runs have: a `while` loop. Else every batch takes `trials` trials, of
        which those after a run's end change nothing: fixed steps.
    """

    kind: str
    title: str
    objective: Any
    method: Any
    starts: np.ndarray
    trials: int
    early: bool = False

    def told(self, ends: np.ndarray) -> float:
        """What is compared of the ends (S, n): their sum."""
        return float(ends.sum())

    def run(self, threads: int = 1) -> Run:
        """What the lanes run, compiled; the trials are the only limit."""
        run = prepare(self.objective, self.method, self.starts, gtol=GTOL, max_steps=10**9, max_trials=self.trials,
                      threads=threads)
        run.kernel                                          # noqa: B018  # compiles, or loads from the cache
        return run


def square(side: int, half: float) -> np.ndarray:
    """Starts (side^2, 2) on np.linspace(-half, half, side)^2."""
    line = np.linspace(-half, half, side)
    return np.stack([a.ravel() for a in np.meshgrid(line, line)], axis=1)


def polyfive(starts: np.ndarray, trials: int, title: str, early: bool = False) -> Problem:
    """Gradient descent under Lyapunov backtracking on polyFive: shrink 2, grow 1e4, slope 1/2."""
    return Problem("polyfive", title, oo.objectives.PolyFive(), oo.methods.lc_gd(), starts, trials, early)


def problems(quick: bool = False) -> dict[str, Problem]:
    """The compared maps by name."""
    side = 24 if quick else 200
    few, many = (20, 100) if quick else (400, 2000)
    box = np.random.default_rng(0).uniform(-1.0, 1.0, (256 if quick else 8192, 10))
    return {
        "polyfive_fixed": polyfive(square(side, 5.0), few, f"polyFive, {few} fixed trials"),
        "polyfive": polyfive(square(side, 5.0), many, f"polyFive, early stop, at most {many} trials", True),
        "rosenbrock": Problem("rosenbrock", f"Rosenbrock, n = 10, {few} fixed steps",
                              oo.objectives.Rosenbrock(10), oo.methods.momentum(1e-4, 0.9), box, few),
        "adam": Problem("adam", f"Adam on polyThree, {few} fixed steps",
                        oo.objectives.PolyThree(), oo.methods.adam(0.1), square(side, 3.0), few),
    }
