"""Linearly implicit Euler with Gauss and Newton's matrix: one step of Levenberg and Marquardt's methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from odeopt.flows.gradient import GradientFlow
from odeopt.flows.newton import ScaledGradient, with_diagonal
from odeopt.language import FormulaError, State, linear_solve
from odeopt.schemes.base import Scheme, Step


@dataclass(frozen=True)
class GaussNewtonEuler(Scheme):
    """x + s with (Q + D/h) s = -g: implicit Euler for x' = -g/D, linearized with Gauss and Newton's matrix Q for H.

    Levenberg and Marquardt's mu is 1/h: a rule for mu is a controller of h, and mu = 0, Gauss and Newton's step, is
    h = inf. D is the metric of `flows.ScaledGradient`, 1 for `flows.GradientFlow`. Order 1, whatever Q; its step never
    leaves the ball in which the quadratic model is trusted, and

        predicted = -g.s - s.Q s/2 = (s.D s/h - g.s)/2

    is the decrease of the model, of two terms that are not negative (Levenberg 1944; Marquardt 1963).
    """

    def step(self, ode: Any, t: Any, z: State, h: Any) -> Step:
        if not isinstance(ode.flow, ScaledGradient) and type(ode.flow) is not GradientFlow:
            raise FormulaError(f"GaussNewtonEuler steps GradientFlow and ScaledGradient only, got "
                               f"{type(ode.flow).__name__}: for the flow LevenbergMarquardt take an explicit scheme")
        g = ode.g(z.x)
        D = (z.d if "d" in z else 1.0 + 0.0*g)/h
        s = linear_solve(with_diagonal(ode.Q(z.x), D), -g)
        return Step(z.replace(x=z.x + s), predicted=lambda: 0.5*(s @ (D*s) - g @ s))
