"""Flows: continuous models of optimizers, each with its Lyapunov function."""

from odeopt.flows.adaptive import AWB, Adam, RMSProp
from odeopt.flows.base import Flow
from odeopt.flows.gradient import ClippedGradient, GradientFlow, NormalizedGradient, SignGradient
from odeopt.flows.inertial import HeavyBall

__all__ = ["AWB", "Adam", "ClippedGradient", "Flow", "GradientFlow", "HeavyBall", "NormalizedGradient", "RMSProp",
           "SignGradient"]
