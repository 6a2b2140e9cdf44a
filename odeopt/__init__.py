"""odeopt: neural-network optimizers as ODE integrators.

An optimizer is a formula: a flow (a vector field with its Lyapunov function), a scheme (one step of it) and a
controller (is the step accepted, and what is the next one). The same text is read by NumPy, by SymPy and by a tracer
that compiles kernels for thousands of starts.

>>> import odeopt as oo
>>> oo.solve(oo.objectives.PolyThree(), oo.methods.lc_gd(), [0.4, -0.7], gtol=1e-6)      # doctest: +SKIP
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_MODULES = ("controllers", "data", "flows", "methods", "objectives", "plot", "schemes", "studies", "verify")
_HOME = {
    "language": ("FormulaError", "State", "iterate", "linear_solve", "put", "sigmoid", "where"),
    "flows": ("Flow",), "schemes": ("Scheme", "Step"), "controllers": ("Controller",), "objectives": ("Landscape",),
    "methods": ("Method",), "solver": ("solve", "solve_many"), "results.solution": ("Ensemble", "Solution", "Trace"),
    "status": ("Status",), "results.storage": ("load",),
}
_NAMES = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Controller", "Ensemble", "Flow", "FormulaError", "Landscape", "Method", "Scheme", "Solution", "State", "Status",
    "Step", "Trace", "controllers", "data", "flows", "iterate", "linear_solve", "load", "methods", "objectives",
    "plot", "put", "schemes", "sigmoid", "solve", "solve_many", "studies", "verify", "where",
]

if TYPE_CHECKING:
    from odeopt import controllers, data, flows, methods, objectives, plot, schemes, studies, verify
    from odeopt.controllers import Controller
    from odeopt.flows import Flow
    from odeopt.language import FormulaError, State, iterate, linear_solve, put, sigmoid, where
    from odeopt.methods import Method
    from odeopt.objectives import Landscape
    from odeopt.results.solution import Ensemble, Solution, Trace
    from odeopt.results.storage import load
    from odeopt.schemes import Scheme, Step
    from odeopt.solver import solve, solve_many
    from odeopt.status import Status


def __getattr__(name: str) -> Any:
    """Modules load when they are first used: `import odeopt` costs little more than NumPy."""
    if name in _MODULES:
        return importlib.import_module(f"odeopt.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(f"odeopt.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'odeopt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
