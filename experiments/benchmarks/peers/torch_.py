"""Torch: operations on whole arrays, one after another, and the trial compiled by inductor."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from experiments.benchmarks.peers import Way, batches, sizes
from experiments.benchmarks.peers.formulas import FORMULAS
from experiments.benchmarks.problems import Problem

NAME = "torch, eager"
MODES = ("default", "max-autotune")


def versions() -> dict[str, str]:
    import torch
    return {"torch": torch.__version__}


def ways(problem: Problem) -> dict[str, Way]:
    """Batches of several sizes."""
    return {} if problem.early else _ways(problem, lambda advance: advance, "")


def compiled(problem: Problem) -> dict[str, Way]:
    """Batches of several sizes for each of inductor's modes.

    A call is one trial: eight in a call took a minute more to compile each time, and were no faster.
    """
    if problem.early:
        return {}
    import torch
    torch._dynamo.config.recompile_limit = 64               # one compilation a size, mode and problem
    found: dict[str, Way] = {}
    for mode in MODES:
        found |= _ways(problem, functools.partial(torch.compile, mode=mode, dynamic=False), f"{mode}, ")
    return found


def _ways(problem: Problem, translate: Callable, label: str) -> dict[str, Way]:
    import torch
    torch.set_num_threads(1)
    formula = FORMULAS[problem.kind](torch)
    advance = translate(lambda state, clock: formula.trial(state, formula.live(state), *clock))
    clocks = [[torch.tensor(c, dtype=torch.float64) for c in formula.clock(k)] for k in range(problem.trials)]

    def run(size: int) -> tuple[np.ndarray, float]:
        ends, trials = [], 0.0
        with torch.no_grad():
            for rows in batches(len(problem.starts), size):
                state = formula.begin(torch.from_numpy(np.ascontiguousarray(problem.starts[rows].T)))
                for clock in clocks:
                    state = advance(state, clock)
                ends.append(np.stack([a.numpy() for a in state[0]], axis=1))
                trials += float(state[-1].sum())
        return np.concatenate(ends), trials
    return {f"{label}batches of {size}": lambda size=size: run(size) for size in sizes(len(problem.starts))[:2]}
