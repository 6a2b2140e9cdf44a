"""NumPy, on whole arrays."""

from __future__ import annotations

import numpy as np

from experiments.benchmarks.peers import Way, batches, sizes
from experiments.benchmarks.peers.formulas import FORMULAS
from experiments.benchmarks.problems import Problem

NAME = "NumPy"


def versions() -> dict[str, str]:
    return {"numpy": np.__version__}


def ways(problem: Problem) -> dict[str, Way]:
    """Batches of several sizes; small ones stay in the cache."""
    if problem.early:
        return {}
    formula = FORMULAS[problem.kind](np)

    def run(size: int) -> tuple[np.ndarray, float]:
        ends, trials = [], 0.0
        for rows in batches(len(problem.starts), size):
            state = formula.begin(np.ascontiguousarray(problem.starts[rows].T))
            for k in range(problem.trials):
                state = formula.trial(state, formula.live(state), *formula.clock(k))
            ends.append(np.stack(state[0], axis=1))
            trials += float(state[-1].sum())
        return np.concatenate(ends), trials
    return {f"batches of {size}": lambda size=size: run(size) for size in sizes(len(problem.starts))[:3]}
