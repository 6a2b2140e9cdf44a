"""Controllers that look only at the scheme's inner equation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from odeopt.controllers.base import Controller
from odeopt.parameters import at_least, between, is_number


@dataclass(frozen=True)
class Solved(Controller):
    """Accept where the scheme solved its equation; then the next step is h*grow if that was quick, else h/shrink.

    Where a solve takes several trials, memory["attempts"] counts the solves, failed ones too.

    Parameters
    ----------
    grow : float
        >= 1.
    shrink : float
        > 1.
    quick : float
        The step grows after fewer updates of the inner iteration than this; else it stays.
    """

    grow: float = 1.5
    shrink: float = 2.0
    quick: float = np.inf

    def __post_init__(self) -> None:
        super().__post_init__()
        between(1.0, np.inf, shrink=self.shrink)
        at_least(1.0, grow=self.grow)
        if not (is_number(self.quick) and self.quick > 0.0):
            raise ValueError(f"`quick` must be a number > 0, got {self.quick!r}")

    def memory(self) -> dict:
        return {"attempts": 0.0}

    def control(self, h: Any, solved: Any, updates: Any, attempts: Any) -> tuple:
        h1 = np.where(solved, np.where(updates < self.quick, h*self.grow, h), h/self.shrink)
        return solved, h1, {"attempts": attempts + 1.0}
