"""Controllers that do not look at the energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from odeopt.controllers.base import Controller
from odeopt.parameters import between, positive, whole


@dataclass(frozen=True)
class Constant(Controller):
    """Every trial is accepted, the step stays h0."""

    def control(self, h: Any) -> tuple:
        return True, h, {}


@dataclass(frozen=True)
class EmbeddedError(Controller):
    """Accept if |error| <= tol; the next step is h safety (tol/|error|)^(1/(order + 1)), within limits.

    With order = 1 and no limit on growth it is the rule of the method ER of Bensaid, Poette and Turpault.

    Parameters
    ----------
    tol : float
        Largest Euclidean norm of the scheme's error estimate.
    safety : float
    order : int
        Order of the lower of the two schemes compared.
    grow, shrink : float
        Largest factors by which one trial makes the step grow or shrink; where the estimate is not finite it shrinks by
        10. The authors have no limits; far from the asymptotic range an estimate says little, and 5 and 10 are usual.
    """

    tol: float = 0.01
    safety: float = 0.9
    order: int = 1
    grow: float = 1e10
    shrink: float = 1e10

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(tol=self.tol, safety=self.safety)
        whole(1, order=self.order)
        between(1.0, np.inf, grow=self.grow, shrink=self.shrink)

    def control(self, h: Any, error: Any) -> tuple:
        ratio = np.sqrt(error @ error)/self.tol
        bounded = np.maximum(ratio, 1e-300)                 # an estimate of 0 would make the next step infinite
        root = np.sqrt(bounded) if self.order == 1 else bounded**(1.0/(self.order + 1))
        factor = np.minimum(np.maximum(self.safety/root, 1.0/self.shrink), self.grow)
        return ratio <= 1.0, h*np.where(ratio < np.inf, factor, 0.1), {}
