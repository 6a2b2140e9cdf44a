"""Numba, scalar: one run after another, as one writes it without thinking of SIMD."""

from __future__ import annotations

import numpy as np
from numba import njit

from experiments.benchmarks.peers import Way, formulas
from experiments.benchmarks.problems import Problem

NAME = "numba, scalar"
OPTIONS = {"error_model": "numpy", "fastmath": {"arcp", "contract", "nsz"}}
polyfive, polythree = (njit(inline="always")(f) for f in (formulas.polyfive, formulas.polythree))
GTOL2 = formulas.GTOL2


def versions() -> dict[str, str]:
    import numba
    return {"numba": numba.__version__}


@njit(**OPTIONS)
def backtracking(starts, most):
    ends, total = np.empty_like(starts), 0
    for i in range(len(starts)):
        w, b = starts[i]
        f, dw, db = polyfive(w, b)
        h, trials = 0.1, 0
        g2 = dw*dw + db*db
        while g2 > GTOL2 and trials < most:
            w1, b1 = w - h*dw, b - h*db
            f1, dw1, db1 = polyfive(w1, b1)
            if f1 - f <= -0.5*h*g2:
                w, b, f, dw, db = w1, b1, f1, dw1, db1
                g2 = dw*dw + db*db
                h *= 1e4
            else:
                h *= 0.5
            trials += 1
        ends[i, 0], ends[i, 1] = w, b
        total += trials
    return ends, total


@njit(**OPTIONS)
def heavy_ball(starts, most):
    n = starts.shape[1]
    ends, total = np.empty_like(starts), 0
    v, g = np.empty(n), np.empty(n)
    for i in range(len(starts)):
        x = ends[i]
        x[:] = starts[i]
        v[:] = 0.0
        g2, trials = _rosenbrock(x, g), 0
        while g2 > GTOL2 and trials < most:
            for k in range(n):
                v[k] = 0.9*v[k] + g[k]
                x[k] -= 1e-4*v[k]
            g2 = _rosenbrock(x, g)
            trials += 1
        total += trials
    return ends, total


@njit(**OPTIONS)
def _rosenbrock(x, g):
    """The gradient into g, and its square."""
    g[:] = 0.0
    for k in range(len(x) - 1):
        wall = x[k + 1] - x[k]*x[k]
        g[k] -= 400.0*x[k]*wall + 2.0*(1.0 - x[k])
        g[k + 1] += 200.0*wall
    g2 = 0.0
    for k in range(len(x)):
        g2 += g[k]*g[k]
    return g2


@njit(**OPTIONS)
def adam(starts, most):
    ends, total = np.empty_like(starts), 0
    for i in range(len(starts)):
        w, b = starts[i]
        mw = mb = sw = sb = 0.0
        first = second = 1.0
        dw, db = polythree(w, b)
        trials = 0
        while dw*dw + db*db > GTOL2 and trials < most:
            first *= 0.9
            second *= 0.999
            step, root = 0.1/(1.0 - first), np.sqrt(1.0 - second)
            mw, mb = 0.9*mw + 0.1*dw, 0.9*mb + 0.1*db
            sw, sb = 0.999*sw + 0.001*dw*dw, 0.999*sb + 0.001*db*db
            w -= step*mw/(np.sqrt(sw)/root + 1e-8)
            b -= step*mb/(np.sqrt(sb)/root + 1e-8)
            dw, db = polythree(w, b)
            trials += 1
        ends[i, 0], ends[i, 1] = w, b
        total += trials
    return ends, total


RUNS = {"polyfive": backtracking, "rosenbrock": heavy_ball, "adam": adam}


def ways(problem: Problem) -> dict[str, Way]:
    return {"": lambda: RUNS[problem.kind](problem.starts, problem.trials)}
