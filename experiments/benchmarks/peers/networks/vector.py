"""Odeopt's compiled loop over steps."""

from __future__ import annotations

import numpy as np

from experiments.benchmarks.peers import Way
from experiments.benchmarks.peers.lanes import versions
from experiments.benchmarks.trainings import Training

NAME = "vector"
TRIALS = 3                      # after status, time and steps

__all__ = ["NAME", "versions", "ways"]


def ways(training: Training) -> dict[str, Way]:
    """One start, or up to ten one after another."""
    run, records = training.compiled()

    def train(count: int) -> tuple[np.ndarray, float]:
        trials = 0.0
        for record in records[count - 1::-1]:               # the first one's end is wanted
            run.begin(record)
            while run.go(1_000_000):
                pass
            trials += run.record()[TRIALS]
        return run.vector("z", "x").copy(), trials
    return {"one start": lambda: train(1), "one start after another": lambda: train(len(records))}
