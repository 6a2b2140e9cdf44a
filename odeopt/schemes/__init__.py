"""Schemes: discretizations, one step of a flow."""

from odeopt.schemes.base import Scheme, Step
from odeopt.schemes.dissipative import MeanVelocity, ProjectedEuler
from odeopt.schemes.euler import ExplicitEuler, SemiImplicitEuler
from odeopt.schemes.inertial import Accelerated, FrozenFriction, LookAhead, Verlet
from odeopt.schemes.levenberg_marquardt import GaussNewtonEuler
from odeopt.schemes.runge_kutta import (
    DormandPrince,
    EulerRichardson,
    Heun,
    Midpoint,
    RungeKutta,
    RungeKutta4,
    RungeKuttaChebyshev,
)
from odeopt.schemes.splitting import Lie, Splitting, Strang

__all__ = ["Accelerated", "DormandPrince", "EulerRichardson", "ExplicitEuler", "FrozenFriction", "GaussNewtonEuler",
           "Heun", "Lie", "LookAhead", "MeanVelocity", "Midpoint", "ProjectedEuler", "RungeKutta", "RungeKutta4",
           "RungeKuttaChebyshev", "Scheme", "SemiImplicitEuler", "Splitting", "Step", "Strang", "Verlet"]
