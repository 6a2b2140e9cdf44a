"""Schemes: discretizations, one step of a flow."""

from odeopt.schemes.base import Scheme, Step
from odeopt.schemes.euler import ExplicitEuler, SemiImplicitEuler
from odeopt.schemes.runge_kutta import (
    DormandPrince,
    EulerRichardson,
    Heun,
    Midpoint,
    RungeKutta,
    RungeKutta4,
)
from odeopt.schemes.splitting import Lie, Splitting, Strang

__all__ = ["DormandPrince", "EulerRichardson", "ExplicitEuler", "Heun", "Lie", "Midpoint", "RungeKutta", "RungeKutta4",
           "Scheme", "SemiImplicitEuler", "Splitting", "Step", "Strang"]
