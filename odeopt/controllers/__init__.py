"""Controllers: is a trial accepted, and what is the next step."""

from odeopt.controllers.base import Both, Controller
from odeopt.controllers.fixed import Constant, EmbeddedError
from odeopt.controllers.lyapunov import (
    Bisection,
    LyapunovBacktracking,
    Prediction,
    ResetBacktracking,
    SumBacktracking,
)
from odeopt.controllers.solved import Solved
from odeopt.controllers.trust import FletcherGain, NielsenGain, Uphill

__all__ = ["Bisection", "Both", "Constant", "Controller", "EmbeddedError", "FletcherGain", "LyapunovBacktracking",
           "NielsenGain", "Prediction", "ResetBacktracking", "Solved", "SumBacktracking", "Uphill"]
