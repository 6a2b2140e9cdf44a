"""Landscapes of n numbers that the literature draws and measures on."""

from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from odeopt.objectives.base import CriticalPoint, Landscape
from odeopt.parameters import numbers, positive, whole


@dataclass(frozen=True)
class VValley(Landscape):
    """f(x, y) = 100 (y - |x|)^2 + |1 - x|: a nonsmooth bent valley.

    The only point where zero is a generalized gradient is the minimum (1, 1),
    f = 0, which is a kink.  On the floor y = |x| of the valley f = |1 - x|, and
    the curvature across it is 400.  The derivative of |x| at 0 is taken as 0.

    Source: C. Castera, J. Bolte, C. Févotte, E. Pauwels, "An inertial Newton
    algorithm for deep learning", J. Mach. Learn. Res. 22 (2021), figure 1.
    """

    box = (-2.2, 2.2)
    critical_points = (CriticalPoint((1.0, 1.0), "global minimum"),)

    def value(self, x, y):
        across = y - np.abs(x)
        return 100.0 * across * across + np.abs(1.0 - x)


@dataclass(frozen=True)
class QuarticSaddle(Landscape):
    """f(x, y) = x^4 - c x^2 + y^2: a strict saddle between two minima.

    For c > 0 the minima are (-+sqrt(c/2), 0) with f = -c^2/4, and the Hessian at
    the saddle, the origin, is diag(-2c, 2).  For c <= 0 the origin is the minimum.

    Source: C. Castera, "Inertial Newton algorithms avoiding strict saddle
    points", J. Optim. Theory Appl. 199 (2023) 881-903.

    Parameters
    ----------
    c : float
        Steepness of the descent from the saddle.
    """

    c: float = 4.0

    box = (-2.0, 2.0)

    def value(self, x, y):
        square = x * x
        return (square - self.c) * square + y * y

    @property
    def critical_points(self):
        if self.c <= 0.0:
            return (CriticalPoint((0.0, 0.0), "global minimum"),)
        x = float(np.sqrt(0.5 * self.c))
        return (
            CriticalPoint((x, 0.0), "global minimum"),
            CriticalPoint((-x, 0.0), "global minimum"),
            CriticalPoint((0.0, 0.0), "saddle"),
        )


@dataclass(frozen=True)
class Quadratic(Landscape):
    """f(x) = (d_1 x_1^2 + ... + d_n x_n^2)/2, with the origin as its critical point.

    If all d_i are positive gradient descent converges for h < 2/max(d), at best by
    the factor (k - 1)/(k + 1) a step, with k = max(d)/min(d).

    Parameters
    ----------
    spectrum : tuple of float
        The eigenvalues d_i of the Hessian, not zero; negative ones make a saddle.
    """

    spectrum: tuple = (1.0, 10.0)

    def __post_init__(self):
        numbers(spectrum=self.spectrum)
        if not self.spectrum or 0.0 in self.spectrum:
            raise ValueError(
                "`spectrum` must hold at least one number and no zero (a zero "
                f"leaves a line of critical points), got {self.spectrum}"
            )

    @property
    def dimension(self) -> int:
        return len(self.spectrum)

    def value(self, *x):
        return 0.5 * sum(d * a * a for d, a in zip(self.spectrum, x, strict=True))

    @property
    def critical_points(self):
        if min(self.spectrum) > 0.0:
            kind = "global minimum"
        elif max(self.spectrum) < 0.0:
            kind = "maximum"
        else:
            kind = "saddle"
        return (CriticalPoint((0.0,) * self.dimension, kind),)


@dataclass(frozen=True)
class Rosenbrock(Landscape):
    """f(x) = sum of b (x_(i+1) - x_i^2)^2 + (a - x_i)^2, i = 1 to n - 1: a banana.

    For n = 2 the only critical point is the minimum (a, a^2), f = 0, at the end of
    the valley y = x^2.  For n > 2 and a = 1 it is (1, ..., 1); from n = 4 on there
    is a local minimum near (-1, 1, ..., 1), where many runs end, and saddles,
    which are not listed.  For n > 2 and another a no critical point is listed.

    Sources: H. H. Rosenbrock, Comput. J. 3 (1960) 175-184; S. Kok, C. Sandrock,
    "Locating and characterizing the stationary points of the extended Rosenbrock
    function", Evol. Comput. 17 (2009) 437-453.

    Parameters
    ----------
    dimension : int
        n, at least 2.
    a, b : float
        Place of the minimum, and steepness of the walls of the valley (positive).
    """

    dimension: int = 2
    a: float = 1.0
    b: float = 100.0

    scale = 1.0
    box = (-2.0, 2.0)

    def __post_init__(self):
        whole(2, dimension=self.dimension)
        positive(b=self.b)

    def value(self, *x):
        total = 0.0
        for left, right in pairwise(x):
            wall = right - left * left
            slope = self.a - left
            total = total + self.b * wall * wall + slope * slope
        return total

    def residuals(self, *x):
        root = np.sqrt(self.b)
        return tuple(r for left, right in pairwise(x) for r in (root * (right - left * left), self.a - left))

    @property
    def critical_points(self):
        if self.dimension == 2:
            return (CriticalPoint((self.a, self.a * self.a), "global minimum"),)
        if self.a != 1.0:
            return ()
        points = [CriticalPoint((1.0,) * self.dimension, "global minimum")]
        second = _second_banana(self.dimension, self.b)
        if second is not None:
            points.append(CriticalPoint(second, "local minimum"))
        return tuple(points)


def _second_banana(n, b):
    """The minimum of `Rosenbrock(n, 1, b)` with x_1 < 0, by Newton's method, or None."""
    x = np.ones(n)
    x[0] = -1.0
    for _ in range(30):
        wall = x[1:] - x[:-1] ** 2
        gradient = np.zeros(n)
        gradient[:-1] = -4.0 * b * x[:-1] * wall - 2.0 * (1.0 - x[:-1])
        gradient[1:] += 2.0 * b * wall
        diagonal = np.zeros(n)
        diagonal[:-1] = 8.0 * b * x[:-1] ** 2 - 4.0 * b * wall + 2.0
        diagonal[1:] += 2.0 * b
        beside = np.diag(-4.0 * b * x[:-1], 1)
        hessian = np.diag(diagonal) + beside + beside.T
        x = x - np.linalg.solve(hessian, gradient)
    found = x[0] < 0.0 and np.abs(gradient).max() < 1e-10 * b
    if found and np.linalg.eigvalsh(hessian)[0] > 0.0:
        return tuple(x.tolist())
    return None


@dataclass(frozen=True)
class Himmelblau(Landscape):
    """f(x, y) = (x^2 + y - 11)^2 + (x + y^2 - 7)^2: four equal minima, f = 0.

    One minimum is (3, 2).  Four saddles and a maximum complete the list.

    Source: D. M. Himmelblau, Applied Nonlinear Programming, McGraw-Hill (1972).
    """

    box = (-5.0, 5.0)
    critical_points = (
        CriticalPoint((3.0, 2.0), "global minimum"),
        CriticalPoint((-2.8051180869527449, 3.1313125182505730), "global minimum"),
        CriticalPoint((-3.7793102533777469, -3.2831859912861694), "global minimum"),
        CriticalPoint((3.5844283403304917, -1.8481265269644036), "global minimum"),
        CriticalPoint((0.086677504555396352, 2.8842547011747761), "saddle"),
        CriticalPoint((3.3851541836070209, 0.073851879837749288), "saddle"),
        CriticalPoint((-3.0730257507643896, -0.081353044287967512), "saddle"),
        CriticalPoint((-0.12796134673068007, -1.9537149802445764), "saddle"),
        CriticalPoint((-0.27084459066734767, -0.92303855647998146), "maximum"),
    )

    def value(self, x, y):
        first = x * x + y - 11.0
        second = x + y * y - 7.0
        return first * first + second * second


@dataclass(frozen=True)
class Beale(Landscape):
    """f(x, y) = sum of (c_i - x + x y^i)^2, c = (1.5, 2.25, 2.625): a flat valley.

    The minimum is (3, 1/2), f = 0, where the Hessian has condition 162.  There are
    two saddles, (0, 1) and one at y = -2.64.  Along y = 1 - 0.991/x f tends to 0.452
    as x goes to -+infinity, and the gradient to zero: runs may leave the box there.

    Source: E. M. L. Beale, "On an iterative method for finding a local minimum of a
    function of more than one variable", Tech. Rep. 25, Princeton University (1958).
    """

    scale = 1.0
    box = (-4.5, 4.5)
    critical_points = (
        CriticalPoint((3.0, 0.5), "global minimum"),
        CriticalPoint((0.0, 1.0), "saddle"),
        CriticalPoint((0.10053793732415836, -2.6445135850231250), "saddle"),
    )

    def value(self, x, y):
        first, second, third = self.residuals(x, y)
        return first * first + second * second + third * third

    def residuals(self, x, y):
        square = y * y
        return 1.5 + x * (y - 1.0), 2.25 + x * (square - 1.0), 2.625 + x * (square * y - 1.0)


@dataclass(frozen=True)
class StyblinskiTang(Landscape):
    """f(x) = sum of (x_i^4 - 16 x_i^2 + 5 x_i)/2: 2^n minima, one of them global.

    Every coordinate of a critical point is a root of 4 x^3 - 32 x + 5: the lower
    minimum -2.903534, the maximum 0.156731 or the upper minimum 2.746803.  The
    global minimum has -2.903534 everywhere, f = -39.166166 n.

    For n > 2 only the minima are listed, which still are 2^n.

    Source: M. A. Styblinski, T.-S. Tang, "Experiments in nonconvex optimization:
    stochastic approximation with function smoothing and simulated annealing",
    Neural Networks 3 (1990) 467-483.

    Parameters
    ----------
    dimension : int
        n, at least 1.
    """

    dimension: int = 2

    box = (-5.0, 5.0)

    def __post_init__(self):
        whole(1, dimension=self.dimension)

    def value(self, *x):
        return 0.5 * sum(((a * a - 16.0) * a + 5.0) * a for a in x)

    @property
    def critical_points(self):
        low, top, high = -2.9035340277711771, 0.15673125678034010, 2.7468027709908370
        roots = (low, high) if self.dimension > 2 else (low, high, top)
        points = []
        for x in product(roots, repeat=self.dimension):
            tops = x.count(top)
            if x.count(low) == self.dimension:
                kind = "global minimum"
            elif tops == 0:
                kind = "local minimum"
            elif tops == self.dimension:
                kind = "maximum"
            else:
                kind = "saddle"
            points.append(CriticalPoint(x, kind))
        return tuple(points)


@dataclass(frozen=True)
class LogSumExp(Landscape):
    """f(x) = t log(sum of exp(x_i/t) + exp(-x_i/t)): a smooth max |x_i|.

    Convex, with the minimum at the origin, f = t log(2n), where the Hessian is
    I/(n t).  Far from it f grows like max |x_i| and the Hessian vanishes: f is not
    strongly convex.  |x_i|/t above 709 overflows.

    It is t log sum exp((r_k x - s_k)/t) with the 2n rows r_k = -+e_i and s = 0, the
    convex test function of B. O'Donoghue, E. Candès, "Adaptive restart for
    accelerated gradient schemes", Found. Comput. Math. 15 (2015) 715-732, whose
    random rows are replaced so that the minimizer is known.  See also S. Boyd,
    L. Vandenberghe, Convex Optimization, Cambridge (2004), section 3.1.5.

    Parameters
    ----------
    dimension : int
        n, at least 1.
    temperature : float
        t, positive: max |x_i| <= f <= max |x_i| + t log(2n).
    """

    dimension: int = 2
    temperature: float = 1.0

    def __post_init__(self):
        whole(1, dimension=self.dimension)
        positive(temperature=self.temperature)

    def value(self, *x):
        total = 0.0
        for a in x:
            scaled = a / self.temperature
            total = total + np.exp(scaled) + np.exp(-scaled)
        return self.temperature * np.log(total)

    @property
    def critical_points(self):
        return (CriticalPoint((0.0,) * self.dimension, "global minimum"),)


@dataclass(frozen=True)
class PowerFour(Landscape):
    """f(x) = x^4: the convex function of one number with a flat minimum, 0.

    The curvature vanishes at the minimum: the gradient flow approaches it like
    1/sqrt(8 t), and gradient descent with a constant step is sublinear too.
    """

    dimension = 1
    box = (-2.0, 2.0)
    critical_points = (CriticalPoint((0.0,), "global minimum"),)

    def value(self, x):
        square = x * x
        return square * square
