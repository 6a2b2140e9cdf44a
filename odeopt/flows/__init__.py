"""Flows: continuous models of optimizers, each with its Lyapunov function."""

from odeopt.flows.adaptive import AWB, AdaGrad, Adam, AMSGrad, RMSProp
from odeopt.flows.base import Flow
from odeopt.flows.gradient import ClippedGradient, GradientFlow, NormalizedGradient, PGradient, SignGradient
from odeopt.flows.inertial import (
    CorrectedMomentum,
    HeavyBall,
    Mechanic,
    NesterovAVD,
    NesterovConvex,
    RestingHeavyBall,
)
from odeopt.flows.newton import LevenbergMarquardt, Newton, ScaledGradient

__all__ = ["AWB", "AMSGrad", "AdaGrad", "Adam", "ClippedGradient", "CorrectedMomentum", "Flow", "GradientFlow",
           "HeavyBall", "LevenbergMarquardt", "Mechanic", "NesterovAVD", "NesterovConvex", "Newton",
           "NormalizedGradient", "PGradient", "RMSProp", "RestingHeavyBall", "ScaledGradient", "SignGradient"]
