"""The gradient flow and its rescalings: first order, V = f."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from odeopt.flows.base import Flow
from odeopt.parameters import between, positive


@dataclass(frozen=True)
class GradientFlow(Flow):
    """x' = -g, V = f, -dV/dt = |g|^2 (Cauchy 1847)."""

    def field(self, g: Any) -> Any:
        return -g

    def V(self, f: Any) -> Any:
        return f

    def dissipation(self, g: Any) -> Any:
        return g @ g

    def normal(self, g: Any) -> dict:
        """The gradient of V, block by block: the direction of projections onto its level sets."""
        return {"x": g}


@dataclass(frozen=True)
class PGradient(GradientFlow):
    """x' = -g/|g|^((p-2)/(p-1)), V = f, -dV/dt = |g|^(p/(p-1)): the steepest descent whose speed costs |x'|^p/p.

    p = 2 is the gradient flow, p to infinity the normalized one. From |g| >= c (f - f_star)^a it ends in finite time if
    a < (p-1)/p: on x^2/2, p > 2, after |x0|^((p-2)/(p-1)) (p-1)/(p-2) (Wibisono, Wilson and Jordan 2016; Romero and
    Benosman 2020).

    Parameters
    ----------
    p : float
        > 1.
    """

    p: float = 3.0

    def __post_init__(self) -> None:
        between(1.0, np.inf, p=self.p)

    def weight(self, g: Any) -> Any:
        """|x'|/|g|."""
        return (g @ g)**(0.5*(2.0 - self.p)/(self.p - 1.0))

    def field(self, g: Any) -> Any:
        return -self.weight(g)*g

    def dissipation(self, g: Any) -> Any:
        return self.weight(g)*(g @ g)


@dataclass(frozen=True)
class NormalizedGradient(GradientFlow):
    """x' = -g/|g|, V = f, -dV/dt = |g|: the limit p to infinity of the p-gradient flows (Cortes 2006)."""

    def field(self, g: Any) -> Any:
        return -g/np.sqrt(g @ g)

    def dissipation(self, g: Any) -> Any:
        return np.sqrt(g @ g)


@dataclass(frozen=True)
class ClippedGradient(GradientFlow):
    """x' = -c g with c = min(1, threshold/|g|), V = f, -dV/dt = c |g|^2 (Pascanu, Mikolov and Bengio 2013).

    Parameters
    ----------
    threshold : float
        Largest speed |x'|.
    """

    threshold: float = 1e-3

    def __post_init__(self) -> None:
        positive(threshold=self.threshold)

    def clip(self, g: Any) -> Any:
        return np.minimum(1.0, self.threshold/np.sqrt(g @ g))

    def field(self, g: Any) -> Any:
        return -self.clip(g)*g

    def dissipation(self, g: Any) -> Any:
        return self.clip(g)*(g @ g)


@dataclass(frozen=True)
class SignGradient(GradientFlow):
    """x' = -sign(g), V = f, -dV/dt = |g|_1, the l1 norm (Cortes 2006)."""

    def field(self, g: Any) -> Any:
        return -np.sign(g)

    def dissipation(self, g: Any) -> Any:
        return np.sum(np.abs(g))
