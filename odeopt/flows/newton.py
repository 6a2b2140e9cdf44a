"""Flows in the metric of a matrix: Newton's, Levenberg and Marquardt's, and the gradient flow in a constant metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from odeopt.flows.base import Flow
from odeopt.language import linear_solve, put
from odeopt.parameters import not_negative

TINY = 1e-16                    # a smaller entry of the metric is replaced by 1, as in the authors' code


def with_diagonal(rows: Any, diagonal: Any) -> tuple:
    """The rows of a matrix with a vector added to its diagonal."""
    return tuple(put(row, i, row[i] + diagonal[i]) for i, row in enumerate(rows))


@dataclass(frozen=True)
class Newton(Flow):
    """x' = -H^(-1) g with the Hessian H, V = |g|^2/2, -dV/dt = |g|^2 (Branin 1972; Smale 1976).

    Along solutions g = exp(-t) g(0), exactly, towards any critical point; the field is infinite where H is singular.
    f falls only where H > 0, hence this V. Explicit Euler with h = 1 is Newton's method, with h < 1 the damped one.
    """

    def field(self, g: Any, H: Any) -> Any:
        return -linear_solve(H, g)

    def V(self, g: Any) -> Any:
        return 0.5*(g @ g)

    def dissipation(self, g: Any) -> Any:
        return g @ g


@dataclass(frozen=True)
class LevenbergMarquardt(Flow):
    """x' = -(Q + mu I)^(-1) g with Gauss and Newton's matrix Q of a sum of squares.

    V = f, -dV/dt = g.(Q + mu I)^(-1) g > 0 (Bensaid, Poette and Turpault).

    Parameters
    ----------
    mu : float
        Damping, >= 0: a large one gives the gradient flow at speed 1/mu, 0 Gauss and Newton's flow.
    """

    mu: float = 10.0

    def __post_init__(self) -> None:
        not_negative(mu=self.mu)

    def direction(self, g: Any, Q: Any) -> Any:
        return linear_solve(with_diagonal(Q, self.mu*np.ones_like(g)), g)

    def field(self, g: Any, Q: Any) -> Any:
        return -self.direction(g, Q)

    def V(self, f: Any) -> Any:
        return f

    def dissipation(self, g: Any, Q: Any) -> Any:
        return g @ self.direction(g, Q)


@dataclass(frozen=True)
class ScaledGradient(Flow):
    """x' = -g/d, V = f, -dV/dt = sum g^2/d: the gradient flow in a constant diagonal metric d > 0 of the start.

    Levenberg and Marquardt's methods with varying mu are steps h = 1/mu of this flow by `schemes.GaussNewtonEuler`.

    Parameters
    ----------
    metric : {"identity", "diagonal", "largest"}
        d = 1, the diagonal of Gauss and Newton's matrix at the start (Fletcher), or the largest entry of that diagonal
        (Nielsen). Entries below 1e-16 are replaced by 1.
    """

    metric: str = "identity"

    blocks = ("x", "d")
    positive = ("d",)

    def __post_init__(self) -> None:
        if self.metric not in ("identity", "diagonal", "largest"):
            raise ValueError(f'`metric` must be "identity", "diagonal" or "largest", got {self.metric!r}')

    @property
    def start(self) -> Any:
        return self._one if self.metric == "identity" else self._of_the_start

    def _one(self, x: Any) -> dict:
        return {"d": np.ones_like(x)}

    def _of_the_start(self, x: Any, Q: Any) -> dict:
        d = np.ones_like(x)
        for i, row in enumerate(Q):
            d = put(d, i, row[i])
        if self.metric == "largest":
            d = np.max(d)*np.ones_like(x)
        return {"d": np.where(d >= TINY, d, 1.0)}

    def field(self, g: Any, d: Any) -> Any:
        return -g/d, np.zeros_like(d)

    def V(self, f: Any) -> Any:
        return f

    def dissipation(self, g: Any, d: Any) -> Any:
        return np.sum(g*g/d)
