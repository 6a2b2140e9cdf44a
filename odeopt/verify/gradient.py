"""Whether an objective's gradient and Hessian are the derivatives of its value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from odeopt.compile.derivative import Derivatives
from odeopt.compile.tracer import Vector
from odeopt.language import FormulaError
from odeopt.objectives import Function, Landscape, Objective
from odeopt.parameters import instance, real_array
from odeopt.verify.base import Verdict

POINTS = 100                    # at random, fewer in many dimensions
TOLERANCE = 1e-9                # of recorded derivatives, relative to the slopes nearby; beside ten times the round-off
OF_DIFFERENCES = 1e-6           # of differences, likewise; beside ten times their own estimate of their error
_APPROXIMATE = {"2-point": 1e-5, "3-point": 1e-7}           # gradients that are differences themselves
LARGEST, LEVELS = 0.05, 8       # first step of differences, relative to x, and how often it is halved
TRACE, DIFFERENCES = "the derivative of the recorded value", "central differences"


def gradient(objective: Objective, points: Any = None) -> Verdict:
    """Whether the gradient is the derivative of the value, and the Hessian that of the gradient, where there is one.

    There are two references. If the value can be recorded (that of a plain Python function too, if it is written in
    NumPy's words), the recorded operations are differentiated: exact up to round-off. Central differences with steps
    halved and extrapolated to zero (C. J. F. Ridders, Adv. Eng. Softw. 4 (1982) 75-76) ask for values only, and know
    how accurate they are; they leave out what has a kink nearby. The complex step is no reference: it is silently
    wrong where a formula has |a|, a minimum or a choice.

    Parameters
    ----------
    objective : Objective
        A landscape, or a `Function` of any kind.
    points : array_like (S, n), optional
        Where to compare; random points of the objective's box if not given.

    Returns
    -------
    Verdict
        "measured" with the largest errors, relative to the slopes nearby; "refuted" with the worst point, the
        component and both numbers; "refused" if nothing is finite.

    Raises
    ------
    TypeError, ValueError
        If it is no objective, if the points are none of its, or if it does not tell its dimension and no points are
        given.
    """
    instance(Objective, objective=objective)
    X = _points(objective, points)
    worst: dict[tuple[str, str], _Difference] = {}
    with np.errstate(all="ignore"):
        exact = _recorded(objective, X)
        for x, v in zip(X, np.random.default_rng(1).normal(size=X.shape), strict=True):
            for found in _differences_at(objective, exact, x, v/np.sqrt(v @ v)):
                key = found.what, found.reference
                worst[key] = max(worst.get(key, found), found, key=lambda d: (d.excess, d.relative))
    if not worst:
        return Verdict("refused", objective, f"at none of {len(X)} points are value and derivatives finite")
    for (what, reference), d in worst.items():
        if d.excess > 1.0:
            component = what + "".join(f"[{i}]" for i in d.component)
            sides = {component: d.given, reference: d.expected, "difference": d.given - d.expected}
            return Verdict("refuted", objective, f"{component} differs from {reference} by {d.relative:.1e} relative",
                           {**{f"x{i}": float(a) for i, a in enumerate(d.x)}, **sides})
    agreements: dict[str, list[str]] = {}
    for (what, reference), d in worst.items():
        agreements.setdefault(what.split()[0], []).append(f"{reference} to {d.relative:.1e}")
    detail = "; ".join(f"{what} agrees with {', '.join(found)}" for what, found in agreements.items())
    plain = "; the value cannot be recorded" if exact is None else ""
    return Verdict("measured", objective, f"{detail} (relative, at {len(X)} points){plain}")


class _Difference(NamedTuple):
    """The worst component of a comparison at one point; refuted if `excess`, relative to the allowance, is above 1."""

    what: str
    reference: str
    x: np.ndarray
    component: tuple[int, ...]
    given: float
    expected: float
    relative: float
    excess: float


def _points(objective: Objective, points: Any) -> np.ndarray:
    n = objective.dimension
    if points is not None:
        X = np.atleast_2d(real_array(points, "points"))
        if X.ndim != 2 or n not in (None, X.shape[1]):
            raise ValueError(f"`points` must be points of {objective!r}, an array (S, n), got the shape {X.shape}")
        return X
    if n is None:
        raise ValueError(f"{objective!r} does not tell its dimension: give points, an array (S, n)")
    low, high = getattr(objective, "box", (-2.0, 2.0))
    return np.random.default_rng(0).uniform(low, high, (min(POINTS, 1 + 200//n), n))


def _recorded(objective: Any, X: np.ndarray) -> Derivatives | None:
    """The derivatives of the recorded value, if it can be recorded and is the value at all points."""
    def formula(*x: Any) -> Any:
        if isinstance(objective, Landscape):
            return objective.value(*x)
        if not isinstance(objective, Function):
            return objective.f(Vector(x))
        value = objective.fun(Vector(x), *objective.args)
        return value[0] if objective.jac is True else value
    try:
        exact = Derivatives(lambda _: formula, X.shape[1], 0, "trace")
        recorded = [float(exact.value(*x)) for x in X]
    except Exception:                                       # on numbers without value plain functions fail as they like
        return None
    values = [float(objective.f(x)) for x in X]
    size = np.max(np.abs(values), initial=0.0, where=np.isfinite(values))
    return exact if np.allclose(recorded, values, TOLERANCE, TOLERANCE*size, equal_nan=True) else None


def _differences_at(objective: Objective, exact: Derivatives | None, x: np.ndarray,
                    v: np.ndarray) -> Iterator[_Difference]:
    """All comparisons at one point, of Hessians with differences along one direction v."""
    if not np.isfinite(objective.f(x)):
        return
    jac = getattr(objective, "jac", None)
    tolerance = _APPROXIMATE.get(jac, TOLERANCE) if isinstance(jac, str) else TOLERANCE
    rough = max(tolerance, OF_DIFFERENCES)
    g = _array(objective.gradient(x))
    slopes, error, scale = _extrapolated(objective.f, x, np.eye(len(x)))
    if exact is not None:
        recorded, rounding = _with_rounding(lambda x: exact.value_and_gradient(*x)[1], x)
        yield from _compared("gradient", TRACE, x, g, recorded, rounding, scale, tolerance)
    yield from _compared("gradient", DIFFERENCES, x, g, slopes, error, scale, rough)
    try:
        H, Hv = _array(objective.hessian(x)), _array(objective.hessp(x, v))
    except FormulaError:                                    # has none
        return
    (slope,), (error,), scale = _extrapolated(objective.gradient, x, v[None])
    if exact is not None:
        recorded, rounding = _with_rounding(lambda x: exact.hessian(*x), x)
        yield from _compared("hessian", TRACE, x, H, recorded, rounding, scale, TOLERANCE)
        yield from _compared("hessp", TRACE, x, Hv, recorded @ v, rounding @ np.abs(v), scale, TOLERANCE)
    yield from _compared("hessian @ v", DIFFERENCES, x, H @ v, slope, error, scale, rough)
    yield from _compared("hessp", DIFFERENCES, x, Hv, slope, error, scale, rough)


def _with_rounding(function: Callable, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A function's values, and how far they move with the last digits of x."""
    value = _array(function(x))
    return value, np.abs(_array(function(x*(1.0 + 16*np.finfo(float).eps))) - value)


def _compared(what: str, reference: str, x: np.ndarray, given: np.ndarray, expected: np.ndarray, error: np.ndarray,
              scale: float, tolerance: float) -> Iterator[_Difference]:
    size = np.max(np.abs(expected), initial=scale, where=np.isfinite(expected)) + np.finfo(float).tiny
    difference = np.where(np.isfinite(given), np.abs(given - expected), np.inf)
    excess = np.where(np.isfinite(expected + error), difference/(tolerance*size + 10.0*error), -1.0)
    i = np.unravel_index(np.argmax(excess), excess.shape)
    if excess[i] >= 0.0:
        component = tuple(map(int, i))
        yield _Difference(what, reference, x, component, float(given[i]), float(expected[i]),
                          float(difference[i]/size), float(excess[i]))


def _extrapolated(function: Callable, x: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Slopes of a function along directions, estimates of their errors, and the largest slope nearby."""
    largest, centre = LARGEST*max(1.0, float(np.abs(x).max())), _array(function(x))
    column: list[np.ndarray] = []
    best: Any = np.full((len(directions), *centre.shape), np.nan)
    error, scale, bend = np.full(best.shape, np.inf), 0.0, np.full(best.shape, np.inf)
    for k in range(LEVELS):
        h = largest*0.5**k
        up, down = (np.stack([_array(function(x + s*h*d)) for d in directions]) for s in (1.0, -1.0))
        beside = np.abs(np.stack([up, down]) - centre)/h
        scale = float(np.max(beside, initial=scale, where=np.isfinite(beside)))
        before, bend = bend, np.abs(up - 2.0*centre + down)/h
        noise = np.finfo(float).eps*np.maximum(np.abs(up), np.abs(down))/h
        row = [(up - down)/(2.0*h)]
        for m, above in enumerate(column):
            row.append(row[m] + (row[m] - above)/(4.0**(m + 1) - 1.0))
            estimate = np.maximum(np.abs(row[-1] - row[m]), np.abs(row[-1] - above)) + noise
            best, error = np.where(estimate < error, row[-1], best), np.where(estimate < error, estimate, error)
        column = row
    # at a kink both sides differ in slope however small the step; near one the last step alone may be on one side
    kink = (bend > 0.75*before + 1e-6*scale) | (np.abs(best - column[0]) > 1e-3*scale)
    return best, np.where(kink, np.inf, error), scale


def _array(a: Any) -> np.ndarray:
    return np.array(a, dtype=float)                         # a copy: a user's gradient may write into one array again
