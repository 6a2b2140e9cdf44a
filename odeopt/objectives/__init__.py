"""Objectives: landscapes with their critical points, and anybody's Python function."""

from odeopt.objectives.base import CriticalPoint, Landscape, Objective
from odeopt.objectives.function import Function
from odeopt.objectives.landscapes import (
    Beale,
    Himmelblau,
    LogSumExp,
    PowerFour,
    Quadratic,
    QuarticSaddle,
    Rosenbrock,
    StyblinskiTang,
    VValley,
)
from odeopt.objectives.least_squares import (
    BealeSquares,
    ExponentialFit,
    LeastSquares,
    PowellSingular,
    RosenbrockSquares,
)
from odeopt.objectives.neurons import Cloche, Neuron, PolyEight, PolyFive, PolyFour, PolyThree, PolyTwo, RatTwo
from odeopt.objectives.sums import Component, Example

__all__ = ["Beale", "BealeSquares", "Cloche", "Component", "CriticalPoint", "Example", "ExponentialFit", "Function",
           "Himmelblau", "Landscape", "LeastSquares", "LogSumExp", "Neuron", "Objective", "PolyEight", "PolyFive",
           "PolyFour", "PolyThree", "PolyTwo", "PowellSingular", "PowerFour", "Quadratic", "QuarticSaddle", "RatTwo",
           "Rosenbrock", "RosenbrockSquares", "StyblinskiTang", "VValley"]
