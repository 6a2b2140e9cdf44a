"""Lanes typed out by hand: the polyFive map in a kernel for this one combination, as one does without a tracer.

It has lanes, selects and a refill, and keeps the least that the loop needs: no time, no count of accepted steps, no
status.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from experiments.benchmarks.peers import Way
from experiments.benchmarks.peers.numba_ import GTOL2, polyfive, versions
from experiments.benchmarks.problems import Problem

NAME = "lanes, by hand"
LANES, TRIALS = 256, 32
ROWS = 7  # w, b, their derivatives, h, f, trials

__all__ = ["NAME", "versions", "ways"]


@njit(error_model="numpy", fastmath={"arcp", "contract", "nsz"}, nogil=True)
def sweep(W, lanes, slope, shrink, grow, most):
    for _ in range(TRIALS):
        for j in range(lanes):
            w, b, dw, db, h, f, trials = W[0, j], W[1, j], W[2, j], W[3, j], W[4, j], W[5, j], W[6, j]
            g2 = dw*dw + db*db
            w1, b1 = w - h*dw, b - h*db
            f1, dw1, db1 = polyfive(w1, b1)
            live = (g2 > GTOL2) & (trials < most)
            passes = f1 - f <= -slope*h*g2
            keep = passes & live
            step = h*grow if passes else h/shrink
            W[0, j] = w1 if keep else w
            W[1, j] = b1 if keep else b
            W[2, j] = dw1 if keep else dw
            W[3, j] = db1 if keep else db
            W[4, j] = step if live else h
            W[5, j] = f1 if keep else f
            W[6, j] = trials + (1.0 if live else 0.0)


@njit(error_model="numpy", nogil=True)
def run(starts, most):
    """End points (S, 2) and the number of trials."""
    ends, total = np.empty_like(starts), 0.0
    W, owner = np.empty((ROWS, LANES)), np.empty(LANES, np.int64)
    filled, following = 0, 0
    while True:
        while filled < LANES and following < len(starts):
            w, b = starts[following]
            f, dw, db = polyfive(w, b)
            W[0, filled], W[1, filled], W[2, filled], W[3, filled] = w, b, dw, db
            W[4, filled], W[5, filled], W[6, filled] = 0.1, f, 0.0
            owner[filled] = following
            filled += 1
            following += 1
        if filled == 0:
            return ends, total
        sweep(W, filled, 0.5, 2.0, 1e4, most)
        j = 0
        while j < filled:
            if W[2, j]*W[2, j] + W[3, j]*W[3, j] > GTOL2 and W[6, j] < most:
                j += 1
                continue
            ends[owner[j], 0], ends[owner[j], 1] = W[0, j], W[1, j]
            total += W[6, j]
            filled -= 1
            W[:, j] = W[:, filled]
            owner[j] = owner[filled]


def ways(problem: Problem) -> dict[str, Way]:
    if problem.kind != "polyfive":
        return {}
    return {"": lambda: run(problem.starts, float(problem.trials))}
