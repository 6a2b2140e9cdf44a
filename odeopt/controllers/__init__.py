"""Controllers: is a trial accepted, and what is the next step."""

from odeopt.controllers.base import Both, Controller
from odeopt.controllers.fixed import Constant, EmbeddedError
from odeopt.controllers.lyapunov import Bisection, LyapunovBacktracking, Prediction, ResetBacktracking

__all__ = ["Bisection", "Both", "Constant", "Controller", "EmbeddedError", "LyapunovBacktracking", "Prediction",
           "ResetBacktracking"]
