"""Odeopt's lanes."""

from __future__ import annotations

from experiments.benchmarks.peers import Way
from experiments.benchmarks.problems import Problem

NAME = "lanes"


def versions() -> dict[str, str]:
    from odeopt.results.environment import environment
    return {name: environment()[name] for name in ("odeopt", "numba", "llvmlite")}


def ways(problem: Problem) -> dict[str, Way]:
    prepared = problem.run()

    def run():
        ensemble = prepared.ends()
        return ensemble.x, float(ensemble.trials.sum())
    return {"": run}
