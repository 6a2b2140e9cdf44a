"""The gradient flow and its rescalings: first order, V = f."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from odeopt.flows.base import Flow


@dataclass(frozen=True)
class GradientFlow(Flow):
    """x' = -g, V = f, -dV/dt = |g|^2."""

    def field(self, g: Any) -> Any:
        return -g

    def V(self, f: Any) -> Any:
        return f

    def dissipation(self, g: Any) -> Any:
        return g @ g


@dataclass(frozen=True)
class NormalizedGradient(GradientFlow):
    """x' = -g/|g|, V = f, -dV/dt = |g|: the limit p to infinity of the p-gradient flows."""

    def field(self, g: Any) -> Any:
        return -g/np.sqrt(g @ g)

    def dissipation(self, g: Any) -> Any:
        return np.sqrt(g @ g)


@dataclass(frozen=True)
class ClippedGradient(GradientFlow):
    """x' = -c g with c = min(1, threshold/|g|), V = f, -dV/dt = c |g|^2.

    Parameters
    ----------
    threshold : float
        Largest speed |x'|.
    """

    threshold: float = 1e-3

    def clip(self, g: Any) -> Any:
        return np.minimum(1.0, self.threshold/np.sqrt(g @ g))

    def field(self, g: Any) -> Any:
        return -self.clip(g)*g

    def dissipation(self, g: Any) -> Any:
        return self.clip(g)*(g @ g)


@dataclass(frozen=True)
class SignGradient(GradientFlow):
    """x' = -sign(g), V = f, -dV/dt = |g|_1 (the l1 norm)."""

    def field(self, g: Any) -> Any:
        return -np.sign(g)

    def dissipation(self, g: Any) -> Any:
        return np.sum(np.abs(g))
