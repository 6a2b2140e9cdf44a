"""Controllers that keep the Lyapunov function decreasing (Bensaid, Poette and Turpault; Armijo 1966 for V = f).

All demand V1 - V0 <= -slope * predicted, where `predicted` is the step times the dissipation. slope is the authors'
lambda, shrink their f1, grow their f2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from odeopt.controllers.base import Controller
from odeopt.parameters import at_least, between, positive, whole


@dataclass(frozen=True)
class ResetBacktracking(Controller):
    """Accept if V does not rise; every step starts again at h0 and is divided by `shrink` until it is accepted.

    Parameters
    ----------
    h0 : float
        First step to try, each time.
    shrink : float
        > 1.
    """

    h0: float = 0.1
    shrink: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        between(1.0, np.inf, shrink=self.shrink)
        positive(h0=self.h0)

    def control(self, h: Any, V0: Any, V1: Any) -> tuple:
        ok = V1 - V0 <= 0.0
        return ok, np.where(ok, self.h0, h/self.shrink), {}


@dataclass(frozen=True)
class LyapunovBacktracking(Controller):
    """Accept if V1 - V0 <= -slope*predicted; then the next trial is h*grow, else h/shrink.

    Parameters
    ----------
    slope : float
        Share of the predicted decrease that is demanded, in (0, 1).
    shrink : float
        > 1.
    grow : float
        >= 1: the next trial starts from the accepted step ("memory") times this.
    """

    slope: float = 0.5
    shrink: float = 2.0
    grow: float = 1e4

    def __post_init__(self) -> None:
        super().__post_init__()
        between(0.0, 1.0, slope=self.slope)
        between(1.0, np.inf, shrink=self.shrink)
        at_least(1.0, grow=self.grow)

    def passes(self, V0: Any, V1: Any, predicted: Any) -> Any:
        """Whether V decreases enough; not-a-number does not pass."""
        return -self.slope*predicted >= V1 - V0

    def control(self, h: Any, V0: Any, V1: Any, predicted: Any) -> tuple:
        ok = self.passes(V0, V1, predicted)
        return ok, np.where(ok, h*self.grow, h/self.shrink), {}


@dataclass(frozen=True)
class SumBacktracking(LyapunovBacktracking):
    """Backtracking on the whole run (the authors' LCI): accept if V1 - V(start) <= -slope * (sum of all predictions).

    What earlier steps decreased beyond their due may be spent, so V may rise now and then. The sum over all steps is
    bounded as with the test of each.
    """

    def memory(self, V: Any) -> dict:
        return {"V_start": V, "paid": 0.0}

    def control(self, h: Any, V1: Any, predicted: Any, V_start: Any, paid: Any) -> tuple:
        due = paid + predicted
        ok = self.passes(V_start, V1, due)
        return ok, np.where(ok, h*self.grow, h/self.shrink), {"V_start": V_start, "paid": np.where(ok, due, paid)}


@dataclass(frozen=True)
class Bisection(LyapunovBacktracking):
    """Backtracking, then a bisection of log h between the step that passed and the last that failed (the authors' LCD).

    A trial that passes need not be accepted, so the search is a state machine, one trial at a time: phase 0 searches,
    phases 1..bisections try midpoints, and if the last midpoint fails the best step that passed is applied again
    (`repeats` counts these; the authors do not count them as evaluations).

    Parameters
    ----------
    bisections : int
        Midpoints tried after a rejection, the authors' p.
    """

    shrink: float = 30.0
    bisections: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(1, bisections=self.bisections)

    def memory(self, h: Any) -> dict:
        return {"phase": 0.0, "low": h, "high": h, "failed": 0.0, "repeats": 0.0}

    def control(self, h: Any, V0: Any, V1: Any, predicted: Any, phase: Any, low: Any, high: Any, failed: Any,
                repeats: Any) -> tuple:
        ok = self.passes(V0, V1, predicted)
        search, again = phase < 0.5, phase > self.bisections + 0.5
        begin, last = search & ok & (failed > 0.5), (phase > self.bisections - 0.5) & ~again
        low = np.where(ok, h, low)
        high = np.where(begin, self.shrink*h, np.where(ok, high, h))
        accept = again | (search & ok & (failed < 0.5)) | (last & ok)
        step = np.where(accept, h*self.grow,
                        np.where(last, low, np.where(search & ~ok, h/self.shrink, np.sqrt(low*high))))
        phase = np.where(accept, 0.0, np.where(begin, 1.0, np.where(search, 0.0, phase + 1.0)))
        failed = np.where(accept, 0.0, np.where(search & ~ok, 1.0, failed))
        repeats = repeats + np.where(again, 1.0, 0.0)
        return accept, step, {"phase": phase, "low": low, "high": high, "failed": failed, "repeats": repeats}


@dataclass(frozen=True)
class Prediction(LyapunovBacktracking):
    """The next step is predicted from how V fell, after passed and failed trials alike (the authors' LC_EGD3).

    For a quadratic V1 - V0 = -h W + k h^2 with W = predicted/h, and the next step is `safety` times the largest that
    would pass. On polynomials of high degree the prediction can undershoot below rounding, where it stays: the run ends
    with STEP_UNDERFLOW.

    Parameters
    ----------
    safety : float
        The authors' rho, in (0, 1).
    floor : float
        Least curvature assumed, as a share of (1 - slope) W/h: bounds the growth by safety/floor.
    """

    safety: float = 0.9
    floor: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        between(0.0, 1.0, safety=self.safety)
        positive(floor=self.floor)

    def control(self, h: Any, V0: Any, V1: Any, predicted: Any) -> tuple:
        ok = self.passes(V0, V1, predicted)
        W = predicted/h
        admissible = (1.0 - self.slope)*W
        factor = self.safety*admissible/np.maximum((V1 - V0)/h + W, self.floor*admissible)
        return ok, h*np.where(factor > 0.0, factor, 1.0/self.shrink), {}
