"""Controllers of Levenberg and Marquardt's damping mu = 1/h, by the gain (V0 - V1)/predicted.

The steps are those of `schemes.GaussNewtonEuler`: rejection makes mu larger, the step shorter and closer to the
gradient. The authors' codes (Bensaid, Poette and Turpault) compare a trial with the value of the trial before it, even
where that one was rejected; here, as published, V0 is the value at the accepted point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from odeopt.controllers.base import Controller
from odeopt.language import linear_solve, put
from odeopt.parameters import between


@dataclass(frozen=True)
class FletcherGain(Controller):
    """Fletcher's rule (1971): halve mu where the model is good, multiply it by 2 to 10 where it is bad.

    With gain >= high mu is halved, and 0 below a critical mu_c. With gain < low it is multiplied by the factor nu = 2 +
    2 (V0 - V1)/g.s, cut to [2, 10], that the parabola through the values and the slope at the start suggests; from mu =
    0 it goes to mu_c nu/2, with the new mu_c = 1/max |diag Q^(-1)|. A trial is accepted if V falls.

    Parameters
    ----------
    low, high : float
        Bounds of the gain, 0 < low < high < 1.
    """

    low: float = 0.25
    high: float = 0.75

    def __post_init__(self) -> None:
        super().__post_init__()
        between(0.0, 1.0, high=self.high)
        between(0.0, self.high, low=self.low)

    def memory(self) -> dict:
        return {"critical": 0.0}

    def control(self, h: Any, V0: Any, V1: Any, predicted: Any, z0: Any, z1: Any, g0: Any, Q0: Any,
                critical: Any) -> tuple:
        h1, critical = self.next(h, V0, V1, predicted, g0 @ (z1.x - z0.x), Q0, critical)
        return V1 < V0, h1, {"critical": critical}

    def next(self, h: Any, V0: Any, V1: Any, predicted: Any, slope: Any, Q0: Any, critical: Any) -> tuple:
        """The next step and the critical mu."""
        gain = (V0 - V1)/predicted
        good, bad = gain >= self.high, ~(gain >= self.low)
        nu = 2.0 + 2.0*(V0 - V1)/slope
        nu = np.where(nu < 10.0, np.maximum(nu, 2.0), 10.0)             # 10 where V1 is not a number
        free = bad & (h > 1e16)                                         # mu is 0
        critical = np.where(free, _critical(Q0), critical)
        longer = np.where(0.5/h < critical, np.inf, 2.0*h)
        return np.where(good, longer, np.where(free, 2.0/(nu*critical), np.where(bad, h/nu, h))), critical


def _critical(Q: Any) -> Any:
    """1/max |diag Q^(-1)|, but positive where Q is singular."""
    largest, inverse = 0.0, 0.0
    for i, row in enumerate(Q):
        largest = np.maximum(largest, row[i])
        inverse = np.maximum(inverse, np.abs(linear_solve(Q, put(np.zeros_like(row), i, 1.0))[i]))
    return np.where(inverse*largest < 1e16, 1.0/inverse, 1e-16*largest)


@dataclass(frozen=True)
class Uphill(FletcherGain):
    """Fletcher's rule, with steps uphill along narrow valleys (Transtrum and Sethna 2012). V must be >= 0.

    A trial is also accepted if (1 - c)^b V1 < the least V so far, where c is the cosine between this step and the last
    accepted one: a step that keeps the direction may rise. The authors' code compares with the last trial instead,
    whose direction a rejection hardly changes. As in their code a trial with |s| <= 1e-3 gtol is the last
    (STEP_UNDERFLOW, unless |g| <= gtol).

    Parameters
    ----------
    b : int
        1 or 2; 2 accepts more steps.
    """

    b: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.b, int) and self.b in (1, 2)):
            raise ValueError(f"`b` must be 1 or 2, got {self.b!r}")

    def memory(self, x: Any, V: Any) -> dict:
        return {"critical": 0.0, "least": V, "last": 0.0*x}

    def control(self, h: Any, gtol: Any, V0: Any, V1: Any, predicted: Any, z0: Any, z1: Any, g0: Any, Q0: Any,
                critical: Any, least: Any, last: Any) -> tuple:
        s = z1.x - z0.x
        h1, critical = self.next(h, V0, V1, predicted, g0 @ s, Q0, critical)
        h1 = np.where(np.sqrt(s @ s) <= 1e-3*gtol, 0.0, h1)
        turn = 1.0 - (s @ last)/np.sqrt((s @ s)*(last @ last))          # not a number before the first step
        accept = (V1 < V0) | ((turn if self.b == 1 else turn*turn)*V1 < least)
        return accept, h1, {"critical": critical, "least": np.where(accept, np.minimum(least, V1), least),
                            "last": np.where(accept, s, last)}


@dataclass(frozen=True)
class NielsenGain(Controller):
    """Nielsen's rule (1999): mu times max(1/gamma, 1 - (beta - 1)(2 gain - 1)^p), continuous in the gain.

    After a rejection mu is multiplied by nu and nu by 2; a success sets nu back to beta. (The authors' code forgets
    that, so that one difficult passage makes every later rejection drastic.)

    Parameters
    ----------
    beta, gamma : float
        Largest factor after a success, about; the inverse of the smallest.
    p : int
        Odd.
    """

    beta: float = 2.0
    gamma: float = 3.0
    p: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        between(1.0, np.inf, beta=self.beta, gamma=self.gamma)
        if not (isinstance(self.p, int) and self.p > 0 and self.p % 2 == 1):
            raise ValueError(f"`p` must be an odd integer > 0, got {self.p!r}")

    def memory(self) -> dict:
        return {"nu": self.beta}

    def control(self, h: Any, V0: Any, V1: Any, predicted: Any, nu: Any) -> tuple:
        gain = (V0 - V1)/predicted
        accept = gain >= 0.0
        power = u = 2.0*gain - 1.0
        for _ in range(self.p - 1):
            power = power*u
        factor = np.maximum(1.0/self.gamma, 1.0 - (self.beta - 1.0)*power)
        return accept, h/np.where(accept, factor, nu), {"nu": np.where(accept, self.beta, 2.0*nu)}
