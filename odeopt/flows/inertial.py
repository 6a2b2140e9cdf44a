"""Flows with inertia."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from odeopt.flows.adaptive import relaxed
from odeopt.flows.base import Flow
from odeopt.parameters import between, not_negative, positive


@dataclass(frozen=True)
class HeavyBall(Flow):
    """x' = v, v' = -friction v - gain g; V = gain f + |v|^2/2, -dV/dt = friction |v|^2 (Polyak 1964).

    With gain = 1 it is form (b) of Bensaid, Poette and Turpault (V = f + |v|^2/2); with gain = friction it is their
    forms (a) and (c), in which v averages the gradient (v of form (a) is -v here). PyTorch's momentum buffer is -v
    for friction = (1 - momentum)/lr, gain = 1/lr, h = lr.

    Parameters
    ----------
    friction : float
        1/time.
    gain : float
        Weight of the gradient.
    """

    friction: float = 1.0
    gain: float = 1.0

    blocks = ("x", "v")
    parts = ("damp", "kick", "drift")

    def __post_init__(self) -> None:
        not_negative(friction=self.friction)
        positive(gain=self.gain)

    def field(self, v: Any, g: Any) -> Any:
        return v, -self.friction*v - self.gain*g

    def V(self, f: Any, v: Any) -> Any:
        return self.gain*f + 0.5*(v @ v)

    def dissipation(self, v: Any) -> Any:
        return self.friction*(v @ v)

    def normal(self, v: Any, g: Any) -> dict:
        """The gradient of V, block by block: the direction of projections onto its level sets."""
        return {"x": self.gain*g, "v": v}

    def cap(self) -> Any:
        """1/friction: up to there explicit friction does not reverse v."""
        return 1.0/self.friction

    def damp(self, h: Any, v: Any) -> dict:
        return {"v": np.exp(-self.friction*h)*v}

    def kick(self, h: Any, v: Any, g: Any) -> dict:
        return {"v": v - h*self.gain*g}

    def drift(self, h: Any, x: Any, v: Any) -> dict:
        return {"x": x + h*v}


@dataclass(frozen=True)
class RestingHeavyBall(HeavyBall):
    """The heavy ball that has converged only where it also rests: |g| and |v| <= gtol."""

    def residual(self, g: Any, v: Any) -> Any:
        return np.maximum(g @ g, v @ v)


@dataclass(frozen=True)
class CorrectedMomentum(Flow):
    """The average of gradients with Adam's correction: x' = -m/c, m' = rate (g - m), c = 1 - exp(-rate t).

    V = f + |m|^2/(2 rate c), -dV/dt = |m|^2/c [1 + exp(-rate t)/(2 c)]. At t = 0 the field is 0/0; V is f there, its
    limit along solutions.

    Parameters
    ----------
    rate : float
        1/time of the average.
    """

    rate: float = 1.0

    blocks = ("x", "m")
    parts = ("average", "move")

    def __post_init__(self) -> None:
        positive(rate=self.rate)

    def correction(self, t: Any) -> Any:
        return 1.0 - np.exp(-self.rate*t)

    def field(self, t: Any, m: Any, g: Any) -> Any:
        return -m/self.correction(t), self.rate*(g - m)

    def V(self, t: Any, f: Any, m: Any) -> Any:
        return f + np.where(t > 0.0, (m @ m)/(2.0*self.rate*self.correction(t)), 0.0)

    def dissipation(self, t: Any, m: Any) -> Any:
        c = self.correction(t)
        return (m @ m)/c*(1.0 + np.exp(-self.rate*t)/(2.0*c))

    def average(self, h: Any, m: Any, g: Any) -> dict:
        return {"m": relaxed(self.rate, h, m, g)}

    def move(self, h: Any, t: Any, x: Any, m: Any) -> dict:
        return {"x": x - h*m/self.correction(t)}


@dataclass(frozen=True)
class NesterovAVD(Flow):
    """x' = v, v' = -(alpha/t) v - g: the limit of Nesterov's method (Su, Boyd and Candes 2016), t from 0.

    V = f + |v|^2/2, -dV/dt = (alpha/t) |v|^2. At t = 0 the field is 0/0, and its limit along solutions from rest is
    taken, v' = v/t = -g/(1 + alpha). On x^2/2 with alpha = 3 the solution from rest is x0 2 J1(t)/t.

    Parameters
    ----------
    alpha : float
        Vanishing damping; f - f_star = O(1/t^2) on convex functions needs alpha >= 3.
    """

    alpha: float = 3.0

    blocks = ("x", "v")
    parts = ("damp", "kick", "drift")

    def __post_init__(self) -> None:
        positive(alpha=self.alpha)

    def over_time(self, t: Any, v: Any, g: Any) -> Any:
        """v/t."""
        return np.where(t > 0.0, v/t, -g/(1.0 + self.alpha))

    def field(self, t: Any, v: Any, g: Any) -> Any:
        return v, -self.alpha*self.over_time(t, v, g) - g

    def V(self, f: Any, v: Any) -> Any:
        return f + 0.5*(v @ v)

    def dissipation(self, t: Any, v: Any) -> Any:
        return np.where(t > 0.0, self.alpha*(v @ v)/t, 0.0)

    def damp(self, h: Any, t: Any, v: Any) -> dict:
        return {"v": (t/(t + h))**self.alpha*v}

    def kick(self, h: Any, v: Any, g: Any) -> dict:
        return {"v": v - h*g}

    def drift(self, h: Any, x: Any, v: Any) -> dict:
        return {"x": x + h*v}


@dataclass(frozen=True)
class NesterovConvex(NesterovAVD):
    """The same flow with the energy that proves its rate on convex functions, t^2-weighted (Su, Boyd and Candes).

    V = 2 t^2/(alpha - 1) (f - f_star) + (alpha - 1) |x - x_star + t v/(alpha - 1)|^2 and -dV/dt = 2 t [g.(x - x_star)
    - 2/(alpha - 1) (f - f_star)], which is >= 0 if f is convex and alpha >= 3: then f - f_star <= (alpha - 1)^2 |x0 -
    x_star|^2/(2 t^2).
    """

    def __post_init__(self) -> None:
        between(1.0, np.inf, alpha=self.alpha)

    def V(self, t: Any, x: Any, v: Any, f: Any, f_star: Any, x_star: Any) -> Any:
        y = x - x_star + (t/(self.alpha - 1.0))*v
        return 2.0*t*t/(self.alpha - 1.0)*(f - f_star) + (self.alpha - 1.0)*(y @ y)

    def dissipation(self, t: Any, x: Any, g: Any, f: Any, f_star: Any, x_star: Any) -> Any:
        return 2.0*t*(g @ (x - x_star) - 2.0/(self.alpha - 1.0)*(f - f_star))


@dataclass(frozen=True)
class Mechanic(Flow):
    """x' = v, v' = -sqrt(E/E0) v - g: friction that fades with the energy E = f + |v|^2/2, E0 its value at the start.

    V = E, -dV/dt = sqrt(E/E0) |v|^2 (Bensaid, Poette and Turpault). It needs f >= 0; where the least value is 0 the
    friction vanishes towards the end, and convergence is slow.
    """

    blocks = ("x", "v")
    scalars = ("E0",)
    positive = ("E0",)

    def start(self, f: Any) -> dict:
        return {"E0": f}

    def friction(self, f: Any, v: Any, E0: Any) -> Any:
        return np.sqrt((f + 0.5*(v @ v))/E0)

    def field(self, f: Any, v: Any, g: Any, E0: Any) -> Any:
        return v, -self.friction(f, v, E0)*v - g, 0.0*E0

    def V(self, f: Any, v: Any) -> Any:
        return f + 0.5*(v @ v)

    def dissipation(self, f: Any, v: Any, E0: Any) -> Any:
        return self.friction(f, v, E0)*(v @ v)

    def cap(self, f: Any, v: Any, E0: Any) -> Any:
        """1/friction: up to there explicit friction does not reverse v."""
        return 1.0/self.friction(f, v, E0)
