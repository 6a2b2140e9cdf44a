"""One neuron on two or three data points: landscapes whose minima are known.

The network u(x) = act(w x + b) has two parameters, the weight w and the bias
b.  With the inputs 0 and 1 it sees act at b and at w + b only, hence its
critical points are the pairs (b, w + b) of critical points of one function of
one number, and the shape of the landscape is designed by choosing act.

Sources: B. Bensaid, G. Poëtte, R. Turpault, J. Sci. Comput. 96:14 (2023),
DOI 10.1007/s10915-023-02215-4, and the same authors' "Numerical splitting
schemes as the cornerstone for mini-batch optimization" (2025, HAL
hal-04991621), whose TeX source has tables of critical points.  Where those
tables err the truth is listed here, and the class says so.
"""

import math
from dataclasses import dataclass

import numpy as np

from odeopt.objectives.base import CriticalPoint, Landscape


@dataclass(frozen=True)
class Neuron(Landscape):
    """One neuron act(w x + b); a subclass gives `activation`.

    Unless the subclass says otherwise it is fitted to the points (0, 0) and (1, 0)
    by the mean of half the squares, f(w, b) = (act(b)^2 + act(w + b)^2)/4.

    With phi = act^2 the critical points are b in crit(phi), w + b in crit(phi),
    and the Hessian there is [[B, B], [B, A + B]] with A = phi''(b)/4 and
    B = phi''(w + b)/4.  So a point is a minimum if b and w + b both are minima
    of phi.  Every critical point of f is critical for both data points:
    mini-batches cannot disagree there.
    """

    def activation(self, z):
        """The activation at z."""
        raise NotImplementedError

    def value(self, w, b):
        first = self.activation(b)
        second = self.activation(w + b)
        return 0.25 * (first * first + second * second)

    def residuals(self, w, b):
        return self.activation(b), self.activation(w + b)


@dataclass(frozen=True)
class PolyTwo(Neuron):
    """One neuron with act(z) = z^2 - 1 ("Benchmark 1", PolyGlobalMild).

    Four global minima f = 0 with the same Hessian, eigenvalues 3 -+ sqrt(5):
    gradient descent is stable there for h < 2/(3 + sqrt(5)) = 0.382.  The
    saddles have f = 1/4 (the source's table says 1/2, which is the value of the
    maximum at the origin).
    """

    levels = (0.002, 0.01, 0.025, 0.05, 0.075, 0.1)
    critical_points = (
        CriticalPoint((-2.0, 1.0), "global minimum"),
        CriticalPoint((2.0, -1.0), "global minimum"),
        CriticalPoint((0.0, -1.0), "global minimum"),
        CriticalPoint((0.0, 1.0), "global minimum"),
        CriticalPoint((-1.0, 0.0), "saddle"),
        CriticalPoint((1.0, 0.0), "saddle"),
        CriticalPoint((1.0, -1.0), "saddle"),
        CriticalPoint((-1.0, 1.0), "saddle"),
        CriticalPoint((0.0, 0.0), "maximum"),
    )

    def activation(self, z):
        return z * z - 1.0


@dataclass(frozen=True)
class PolyThree(Neuron):
    """One neuron with act(z) = 2 z^3 - 3 z^2 + 5 ("Benchmark 2", PolyLocalMild).

    One global minimum (0, -1), f = 0, and three local ones: f = 4 at (-2, 1)
    and (2, -1), f = 8 at (0, 1).  The largest eigenvalue of the Hessian at a
    minimum is at least 31.4, hence gradient descent with h = 0.1 is stable at
    none of them (2/31.4 = 0.064).
    """

    levels = (1.0, 3.0, 5.0, 7.0, 9.0, 11.0)
    critical_points = (
        CriticalPoint((-2.0, 1.0), "local minimum"),
        CriticalPoint((2.0, -1.0), "local minimum"),
        CriticalPoint((0.0, -1.0), "global minimum"),
        CriticalPoint((0.0, 1.0), "local minimum"),
        CriticalPoint((1.0, -1.0), "saddle"),
        CriticalPoint((-1.0, 0.0), "saddle"),
        CriticalPoint((1.0, 0.0), "saddle"),
        CriticalPoint((-1.0, 1.0), "saddle"),
        CriticalPoint((0.0, 0.0), "maximum"),
    )

    def activation(self, z):
        return (2.0 * z - 3.0) * z * z + 5.0


@dataclass(frozen=True)
class PolyFour(Neuron):
    """One neuron with act(z) = z^4 - 2 z^2 + 3 (PolyGlobalStiff).

    The four minima of `PolyTwo`, all global, with f = 2 instead of 0 and four
    times its Hessian: eigenvalues 4 (3 -+ sqrt(5)).
    """

    levels = (2.02, 2.1, 2.3, 2.7, 3.1, 4.0)
    critical_points = PolyTwo.critical_points

    def activation(self, z):
        square = z * z
        return (square - 2.0) * square + 3.0


@dataclass(frozen=True)
class PolyFive(Neuron):
    """One neuron with act(z) = z^5 - 4 z^4 + 2 z^3 + 8 z^2 - 11 z - 12 (PolyAllStiff).

    act = (z + 1)^2 (z - 3) (z^2 - 3 z + 4) and act' = (z - 1)^2 (z + 1) (5 z - 11):
    act^2 has a minimum of order 2 at z = 3 and one of order 4 at z = -1, an
    inflection at z = 1 and a maximum at z = 11/5.

    All minima are global, f = 0: the Hessian is regular at (0, 3) (eigenvalues
    782 and 5362), singular at (-4, 3) and (4, -1), zero at (0, -1).  The pairs
    with the inflection are no minima but attract runs from one side: (2, 1),
    (-2, 3) (called local minima in the source's table), (-2, 1), (2, -1) with
    f = 64 and (0, 1) with f = 128.  They are the "degenerate" points here.
    """

    box = (-5.0, 5.0)
    levels = (0.5, 8.0, 30.0, 60.0, 70.0, 100.0, 140.0)
    critical_points = (
        CriticalPoint((0.0, 3.0), "global minimum"),
        CriticalPoint((-4.0, 3.0), "global minimum"),
        CriticalPoint((4.0, -1.0), "global minimum"),
        CriticalPoint((0.0, -1.0), "global minimum"),
        CriticalPoint((2.0, 1.0), "degenerate"),
        CriticalPoint((-2.0, 3.0), "degenerate"),
        CriticalPoint((-2.0, 1.0), "degenerate"),
        CriticalPoint((2.0, -1.0), "degenerate"),
        CriticalPoint((0.0, 1.0), "degenerate"),
        CriticalPoint((4 / 5, 11 / 5), "saddle"),
        CriticalPoint((-4 / 5, 3.0), "saddle"),
        CriticalPoint((16 / 5, -1.0), "saddle"),
        CriticalPoint((-16 / 5, 11 / 5), "saddle"),
        CriticalPoint((6 / 5, 1.0), "saddle"),
        CriticalPoint((-6 / 5, 11 / 5), "saddle"),
        CriticalPoint((0.0, 11 / 5), "maximum"),
    )

    def activation(self, z):
        return ((((z - 4.0) * z + 2.0) * z + 8.0) * z - 11.0) * z - 12.0


@dataclass(frozen=True)
class PolyEight(Neuron):
    """One neuron with act = 35 z^8 - 360 z^7 + ... + 1120 z^2 + 1, three flat points.

    act(z) = 35 z^8 - 360 z^7 + 1540 z^6 - 3528 z^5 + 4620 z^4 - 3360 z^3
    + 1120 z^2 + 1 and act' = 280 z (z - 1)^3 (z - 2)^3: act^2 has a minimum of
    order 2 at z = 0, one of order 4 at z = 2, and a maximum of order 4 at z = 1.

    Global minimum (0, 0) with f = 1/2 (eigenvalues 428 and 2932); local minima
    with singular Hessian (2, 0), (-2, 2), f = 1056.5, and (0, 2), f = 2112.5,
    where the Hessian vanishes.  The saddles and the maximum have no direction of
    negative curvature either, but repel, slowly, on both sides.
    """

    critical_points = (
        CriticalPoint((0.0, 0.0), "global minimum"),
        CriticalPoint((2.0, 0.0), "local minimum"),
        CriticalPoint((-2.0, 2.0), "local minimum"),
        CriticalPoint((0.0, 2.0), "local minimum"),
        CriticalPoint((1.0, 0.0), "saddle"),
        CriticalPoint((-1.0, 1.0), "saddle"),
        CriticalPoint((1.0, 1.0), "saddle"),
        CriticalPoint((-1.0, 2.0), "saddle"),
        CriticalPoint((0.0, 1.0), "maximum"),
    )

    def activation(self, z):
        cubic = ((35.0 * z - 360.0) * z + 1540.0) * z - 3528.0
        return ((((cubic * z + 4620.0) * z - 3360.0) * z + 1120.0) * z) * z + 1.0


_BELL = math.sqrt(2.0 * math.log(1.5))


@dataclass(frozen=True)
class Cloche(Neuron):
    """One bell-shaped neuron, act(z) = exp(-z^2/2), classifying 0, 1, 2 as 1, 0, 1.

    Mean binary cross-entropy of the three points::

        f(w, b) = (b^2/2 + (2 w + b)^2/2 - log(1 - exp(-(w + b)^2/2)))/3

    Two critical points, both global minima: (0, -+sqrt(2 ln(3/2))) with
    f = ln(27/4)/3.  f is infinite on the line w + b = 0, which no continuous
    run can cross.
    """

    critical_points = (
        CriticalPoint((0.0, _BELL), "global minimum"),
        CriticalPoint((0.0, -_BELL), "global minimum"),
    )
    residuals = None  # type: ignore[assignment]  # cross-entropy is no sum of squares

    def activation(self, z):
        return np.exp(-0.5 * z * z)

    def value(self, w, b):
        middle = w + b
        last = middle + w
        # 1 - exp(-t) = 2 T/(1 + T) with T = tanh(t/2) has no cancellation near t = 0.
        tanh = np.tanh(0.25 * middle * middle)
        return (0.5 * (b * b + last * last) + np.log(0.5 + 0.5 / tanh)) / 3.0


_ROOT_FIVE = math.sqrt(5.0)
_GOLDEN = 0.5 * (1.0 + _ROOT_FIVE)
_SCALE = 2.0 / (3.0 + _ROOT_FIVE)
_LOG_SCALE = math.log(_SCALE)


@dataclass(frozen=True)
class RatTwo(Neuron):
    """One neuron with a rational activation, classifying 0 and 1 as 1.

    act(z) = c (z^2 + 1)/(z^2 - 2 z + 2) with c = 2/(3 + sqrt(5)), so that the
    largest value of act is 1, taken at the golden ratio p = (1 + sqrt(5))/2; the
    smallest is c^2, at 1 - p.  Mean binary cross-entropy of the two points:
    f(w, b) = -(log act(b) + log act(w + b))/2.

    One minimum, (0, p) with f = 0; two saddles and a maximum.  -log act falls from
    its maximum at 1 - p to its limit -log c = 0.962 at -infinity: runs with b or
    w + b below 1 - p leave for good, ever more slowly.
    """

    critical_points = (
        CriticalPoint((0.0, _GOLDEN), "global minimum"),
        CriticalPoint((-_ROOT_FIVE, _GOLDEN), "saddle"),
        CriticalPoint((_ROOT_FIVE, 1.0 - _GOLDEN), "saddle"),
        CriticalPoint((0.0, 1.0 - _GOLDEN), "maximum"),
    )
    residuals = None  # type: ignore[assignment]  # cross-entropy is no sum of squares

    def activation(self, z):
        return _SCALE * (z * z + 1.0) / ((z - 2.0) * z + 2.0)

    def value(self, w, b):
        return 0.5 * (self._loss(b) + self._loss(w + b))

    def _loss(self, z):
        """-log act(z)."""
        shifted = z - 1.0
        return np.log(shifted * shifted + 1.0) - np.log(z * z + 1.0) - _LOG_SCALE
