"""The lanes' share of the machine's peak of fused multiply-adds, on one core.

Counted are the additions, subtractions, multiplications, divisions and square roots of a trial as the tracer has them,
one each: a fused multiply-add is two. Not counted: comparisons, selects and logic, though they take the same units;
negations and absolute values, which are a sign; exp and other functions, which are some twenty operations each.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from numba import njit

from experiments.benchmarks.problems import Problem, polyfive, problems, square
from experiments.benchmarks.processes import ONE_THREAD, answer, pin, timed
from odeopt import Status

ARITHMETIC = ("add", "sub", "mul", "div", "sqrt")
FUNCTIONS = ("exp", "log", "tanh", "sigmoid", "sin", "cos")
LANES, ROWS = 64, 4
DEPTH = 12  # unrolled within the registers; 8 to 16 are equal, and 5 % below sums that never leave them


@njit(error_model="numpy", fastmath={"contract"}, nogil=True)
def multiply_adds(A, rounds, factor, term):
    """DEPTH multiply-adds a round of each number of A (ROWS, LANES): loaded once, and independent of the others."""
    for _ in range(rounds):
        for j in range(LANES):
            w, x, y, z = A[0, j], A[1, j], A[2, j], A[3, j]
            for _ in range(DEPTH):
                w, x, y, z = w*factor + term, x*factor + term, y*factor + term, z*factor + term
            A[0, j], A[1, j], A[2, j], A[3, j] = w, x, y, z


def peak(rounds: int) -> float:
    """Floating-point operations per second of `multiply_adds`."""
    A = np.zeros((ROWS, LANES))
    took, _ = timed(lambda: multiply_adds(A, rounds, 0.5, 1.0))
    return 2.0*A.size*DEPTH*rounds/took["seconds"]


def operations(problem: Problem) -> dict[str, int]:
    """Operations of a trial: `arithmetic`, which are counted, `functions` and `others`, which are not."""
    counts = problem.run().kernel.operations
    groups = {"arithmetic": ARITHMETIC, "functions": FUNCTIONS}
    found = {group: sum(counts.get(name, 0) for name in names) for group, names in groups.items()}
    return {**found, "others": sum(counts.values()) - sum(found.values())}


def cases(quick: bool) -> dict[str, Problem]:
    """Maps whose share is measured: fixed steps, where every run takes all trials, and with refill of the lanes."""
    most, compared = 200 if quick else 2000, problems(quick)
    starts = square(24 if quick else 200, 5.0)
    unfinished = starts[polyfive(starts, most, "").run().ends().status == Status.MAX_TRIALS]
    return {
        "polyfive_fixed": polyfive(unfinished, most, f"polyFive, {most} fixed trials, runs that take them all"),
        "polyfive_refill": polyfive(starts, 10**9, "polyFive, to the ends, with refill"),
        "rosenbrock": compared["rosenbrock"], "adam": compared["adam"],
    }


def measure(quick: bool = False) -> dict:
    """In a process of its own: the `peak`, and for each case its `title`, `operations`, rates and shares (medians)."""
    return answer("experiments.benchmarks.peak", *["--quick"]*quick, **ONE_THREAD)


def _measured(quick: bool, repetitions: int = 7) -> dict:
    maps, rounds = cases(quick), 500 if quick else 40_000
    counted = {name: operations(problem) for name, problem in maps.items()}
    prepared = {name: problem.run() for name, problem in maps.items()}
    for run in prepared.values():
        run.ends()
    peak(rounds)
    peaks: list[float] = []
    rates: dict[str, list[float]] = {name: [] for name in maps}
    for _ in range(repetitions):
        peaks.append(peak(rounds))
        for name, run in prepared.items():
            took, ensemble = timed(run.ends)
            rates[name].append(ensemble.trials.sum()*counted[name]["arithmetic"]/took["seconds"])
    best = float(np.median(peaks))
    found = {name: {"title": problem.title, "operations": counted[name], "rate": float(np.median(rates[name])),
                    "share": float(np.median(rates[name]))/best} for name, problem in maps.items()}
    return {"peak": best, "peaks": peaks, "cases": found}


if __name__ == "__main__":
    pin()
    print(json.dumps(_measured("--quick" in sys.argv)))
