"""Flows with inertia."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from odeopt.flows.base import Flow


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

    def field(self, v: Any, g: Any) -> Any:
        return v, -self.friction*v - self.gain*g

    def V(self, f: Any, v: Any) -> Any:
        return self.gain*f + 0.5*(v @ v)

    def dissipation(self, v: Any) -> Any:
        return self.friction*(v @ v)

    def cap(self) -> Any:
        """1/friction: up to there explicit friction does not reverse v."""
        return 1.0/self.friction

    def damp(self, h: Any, v: Any) -> dict:
        return {"v": np.exp(-self.friction*h)*v}

    def kick(self, h: Any, v: Any, g: Any) -> dict:
        return {"v": v - h*self.gain*g}

    def drift(self, h: Any, x: Any, v: Any) -> dict:
        return {"x": x + h*v}
