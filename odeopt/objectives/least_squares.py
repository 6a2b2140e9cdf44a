"""Sums of squares: f = scale * (r_1^2 + ... + r_P^2), with the residuals r as formulas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from odeopt.objectives.base import CriticalPoint, Landscape
from odeopt.parameters import numbers


@dataclass(frozen=True)
class LeastSquares(Landscape):
    """A sum of squares: subclasses define `residuals(self, *x)`, a tuple of P numbers.

    f = scale * sum r^2; with scale = None, half the mean of the squares, as in the papers. `value`, the gradient and
    the Jacobian follow.

    Attributes
    ----------
    scale : float or None
    """

    def residuals(self, *x: Any) -> tuple:
        """The formulas that are squared."""
        raise NotImplementedError(f"{type(self).__name__} has no residuals: define residuals(self, x, y, ...)")

    def value(self, *x: Any) -> Any:
        r = self.residuals(*x)
        return 0.5*self.factor(len(r))*sum(a*a for a in r)


@dataclass(frozen=True)
class PowellSingular(LeastSquares):
    """f = (x1 + 10 x2)^2 + 5 (x3 - x4)^2 + (x2 - 2 x3)^4 + 10 (x1 - x4)^4: a singular Hessian at the minimum 0.

    The Jacobian has rank 2 there, and Gauss and Newton's step halves the distance, where it is quadratic elsewhere.
    The usual start is (3, -1, 0, 1), f = 215.

    Source: M. J. D. Powell, "An iterative method for finding stationary values of a function of several variables",
    Comput. J. 5 (1962) 147-151; number 13 of J. J. Moré, B. S. Garbow, K. E. Hillstrom, ACM Trans. Math. Softw. 7
    (1981) 17-41.
    """

    dimension = 4
    scale = 1.0
    box = (-4.0, 4.0)
    critical_points = (CriticalPoint((0.0, 0.0, 0.0, 0.0), "global minimum"),)

    def residuals(self, x1: Any, x2: Any, x3: Any, x4: Any) -> tuple:
        inner, outer = x2 - 2.0*x3, x1 - x4
        return x1 + 10.0*x2, np.sqrt(5.0)*(x3 - x4), inner*inner, np.sqrt(10.0)*outer*outer


_TIMES = (1.0, 2.0, 3.0, 5.0, 7.0, 10.0)
_DATA = (109.0, 149.0, 149.0, 191.0, 213.0, 224.0)


@dataclass(frozen=True)
class ExponentialFit(LeastSquares):
    """Residuals a (1 - exp(-b t_i)) - y_i: a saturating exponential through data.

    The data, unless given, are those of Box, Hunter and Hunter, Statistics for Experimenters (1978), pages 483-487:
    biochemical oxygen demand against days, the problem BoxBOD of NIST's Statistical Reference Datasets, of high
    difficulty from its start (1, 1). Its least sum of squares, certified, is 1168.0088766 at (213.80940889,
    0.54723748542); the minimum listed is that, to double precision.

    Parameters
    ----------
    times, data : tuple of float
        t_i and y_i.
    """

    times: tuple[float, ...] = _TIMES
    data: tuple[float, ...] = _DATA

    box = (0.0, 250.0)

    def __post_init__(self) -> None:
        numbers(times=self.times, data=self.data)
        if not 0 < len(self.times) == len(self.data):
            raise ValueError(f"`times` and `data` must be as many, and at least one, got {len(self.times)} and "
                             f"{len(self.data)}")

    def residuals(self, a: Any, b: Any) -> tuple:
        return tuple(a*(1.0 - np.exp(-b*t)) - y for t, y in zip(self.times, self.data, strict=True))

    @property
    def critical_points(self) -> tuple[CriticalPoint, ...]:
        if (self.times, self.data) != (_TIMES, _DATA):
            return ()
        return (CriticalPoint((213.8094088903979, 0.5472374854191994), "global minimum"),)
