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
from odeopt.objectives.least_squares import ExponentialFit, LeastSquares, PowellSingular
from odeopt.objectives.network import Network
from odeopt.objectives.neurons import Cloche, Neuron, PolyEight, PolyFive, PolyFour, PolyThree, PolyTwo, RatTwo
from odeopt.objectives.sums import Component, Example

__all__ = ["Beale", "Cloche", "Component", "CriticalPoint", "Example", "ExponentialFit", "Function", "Himmelblau",
           "Landscape", "LeastSquares", "LogSumExp", "Network", "Neuron", "Objective", "PolyEight", "PolyFive",
           "PolyFour", "PolyThree", "PolyTwo", "PowellSingular", "PowerFour", "Quadratic", "QuarticSaddle", "RatTwo",
           "Rosenbrock", "StyblinskiTang", "VValley"]
