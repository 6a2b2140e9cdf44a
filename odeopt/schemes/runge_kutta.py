"""Explicit Runge-Kutta schemes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction as Q
from typing import Any, ClassVar

from odeopt.language import State
from odeopt.schemes.base import Scheme, Step


@dataclass(frozen=True)
class RungeKutta(Scheme):
    """An explicit Runge-Kutta scheme, given by its tableau.

    Attributes
    ----------
    A : tuple of rows
        Strictly lower triangular; row i weighs the stages before i.
    b, b_hat : tuple
        Weights of the step, and of the embedded step if there is one.

    Raises
    ------
    ValueError
        If a subclass declares a tableau of the wrong shape or with weights that do not sum to 1.
    """

    A: ClassVar[tuple] = ()
    b: ClassVar[tuple] = (Q(1),)
    b_hat: ClassVar[tuple | None] = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        stages = len(cls.b)
        if [len(row) for row in cls.A] != list(range(1, stages)):
            raise ValueError(f"{cls.__name__}: A must have {stages - 1} rows of 1, 2, ... entries for {stages} weights")
        for weights in (cls.b, cls.b_hat or cls.b):
            if len(weights) != stages or abs(sum(weights) - 1) > 1e-14:
                raise ValueError(f"{cls.__name__}: the weights {weights} must be {stages} and sum to 1")

    def step(self, ode: Any, t: Any, z: State, h: Any) -> Step:
        points, stages = [z], [ode.field(t, z)]
        for row in self.A:
            points.append(z + h*combined(row, stages) if any(row) else z)
            stages.append(ode.field(t + float(sum(row))*h, points[-1]))
        b = self.b
        error = None
        if self.b_hat is not None:
            error = h*combined(tuple(p - q for p, q in zip(b, self.b_hat, strict=True)), stages)

        def predicted() -> Any:
            """The quadrature of the dissipation by the scheme's own weights."""
            times = [0.0, *(float(sum(row)) for row in self.A)]
            terms = [float(w)*ode.dissipation(t + c*h, y) for w, c, y in zip(b, times, points, strict=True) if w]
            return h*sum(terms[1:], terms[0])
        first_same_as_last = bool(self.A) and b == (*self.A[-1], 0)     # then the last stage is the next step's first
        return Step(points[-1] if first_same_as_last else z + h*combined(b, stages), predicted=predicted, error=error)


def combined(weights: tuple, stages: list) -> State:
    """The weighted sum of stages; zero weights are passed over, unit weights multiply nothing."""
    terms = [k if w == 1 else float(w)*k for w, k in zip(weights, stages, strict=False) if w]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


@dataclass(frozen=True)
class Midpoint(RungeKutta):
    """The classical Euler-Richardson scheme: the field at the midpoint, order 2; on -L x stable for 0 < h L < 2."""

    convergence_order = 2
    A = ((Q(1, 2),),)
    b = (Q(0), Q(1))
    b_hat = (Q(1), Q(0))


@dataclass(frozen=True)
class Heun(RungeKutta):
    """The mean of the field at both ends, order 2, with Euler's step embedded (Heun 1900)."""

    convergence_order = 2
    A = ((Q(1),),)
    b = (Q(1, 2), Q(1, 2))
    b_hat = (Q(1), Q(0))


@dataclass(frozen=True)
class RungeKutta4(RungeKutta):
    """The classical scheme of order 4 (Kutta 1901)."""

    convergence_order = 4
    A = ((Q(1, 2),), (Q(0), Q(1, 2)), (Q(0), Q(0), Q(1)))
    b = (Q(1, 6), Q(1, 3), Q(1, 3), Q(1, 6))


@dataclass(frozen=True)
class DormandPrince(RungeKutta):
    """Order 5 with an embedded scheme of order 4 (Dormand and Prince 1980), the tableau of SciPy's RK45."""

    convergence_order = 5
    A = ((Q(1, 5),), (Q(3, 40), Q(9, 40)), (Q(44, 45), Q(-56, 15), Q(32, 9)),
         (Q(19372, 6561), Q(-25360, 2187), Q(64448, 6561), Q(-212, 729)),
         (Q(9017, 3168), Q(-355, 33), Q(46732, 5247), Q(49, 176), Q(-5103, 18656)),
         (Q(35, 384), Q(0), Q(500, 1113), Q(125, 192), Q(-2187, 6784), Q(11, 84)))
    b = (Q(35, 384), Q(0), Q(500, 1113), Q(125, 192), Q(-2187, 6784), Q(11, 84), Q(0))
    b_hat = (Q(5179, 57600), Q(0), Q(7571, 16695), Q(393, 640), Q(-92097, 339200), Q(187, 2100), Q(1, 40))


@dataclass(frozen=True)
class RungeKuttaChebyshev(RungeKutta):
    """Two stages for stability in place of order: z + h/2 (F(z) + F(z + h/4 F(z))), of order 1.

    On -L x it multiplies by 1 - z + z^2/8, z = h L, which is <= 1 in modulus on [0, 8], four times the range of Euler's
    step, and -1 at z = 4 (Guillou and Lago 1960; van der Houwen and Sommeijer 1980, without damping).
    """

    A = ((Q(1, 4),),)
    b = (Q(1, 2), Q(1, 2))


@dataclass(frozen=True)
class EulerRichardson(Scheme):
    """The map of Bensaid, Poette and Turpault's method ER: z + h F(z + h F(z)), with a FULL step to the probe.

    It is the extragradient map, of order 1, stable on -L x for 0 < h L < 1; the scheme usually named Euler-Richardson
    is `Midpoint`. The error estimate is (h/2)(F - F~). On flows of x alone the stop test looks at the probe, and the
    probe is what a run returns: at the state itself the test would never pass, since the step grows until h L is
    about 1.
    """

    def step(self, ode: Any, t: Any, z: State, h: Any) -> Step:
        k = ode.field(t, z)
        probe = z + h*k
        k_probe = ode.field(t + h, probe)
        return Step(z + h*k_probe, error=0.5*h*(k_probe - k),
                    answer=(probe.x, ode.g(probe.x)) if tuple(z) == ("x",) else None)
