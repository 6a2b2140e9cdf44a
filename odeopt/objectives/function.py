"""Anybody's Python function as an objective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from odeopt.objectives.base import Objective
from odeopt.parameters import real_array

_METHODS = ("2-point", "3-point", "cs")


@dataclass(frozen=True, eq=False)
class Function(Objective):
    """A plain Python function, with SciPy's conventions for its gradient; read by NumPy only.

    Parameters
    ----------
    fun : callable
        `fun(x, *args) -> float`, or `-> (float, gradient)` with `jac=True`.
    jac : callable, True, "2-point", "3-point" or "cs"
        The gradient `jac(x, *args)`, or how to approximate it: forward or central differences, or the complex step.
    args : tuple
        Further arguments of both.
    hess : callable, optional
        `hess(x, *args) -> (n, n)`.

    Raises
    ------
    TypeError
        If `fun`, `jac`, `args` or `hess` is none of these. In a run, what they raise is raised, and so it is if they
        return anything but real numbers (TypeError) or the wrong number of them (ValueError).
    """

    fun: Callable
    jac: Any = "2-point"
    args: tuple = ()
    hess: Callable | None = None

    backend = "numpy"

    def __post_init__(self) -> None:
        if not callable(self.fun):
            raise TypeError(f"`fun` must be a function of x, got {self.fun!r}")
        if not (callable(self.jac) or self.jac is True or self.jac in _METHODS):
            raise TypeError(f"`jac` must be a function, True or one of {', '.join(_METHODS)}, got {self.jac!r}")
        if not isinstance(self.args, tuple):
            raise TypeError(f"`args` must be a tuple, got {self.args!r}: write args=({self.args!r},)")
        if not (self.hess is None or callable(self.hess)):
            raise TypeError(f"`hess` must be a function of x or None, got {self.hess!r}")

    def _value(self, x: np.ndarray) -> float:
        return self._scalar(self._both(x)[0] if self.jac is True else self.fun(np.array(x), *self.args))

    def _both(self, x: np.ndarray) -> tuple:
        both = self.fun(np.array(x), *self.args)
        if not (isinstance(both, (tuple, list)) and len(both) == 2):
            raise TypeError(f"`fun` must return (value, gradient) where jac=True, got {both!r}")
        return tuple(both)

    def _scalar(self, value: Any) -> float:
        if isinstance(value, tuple):
            raise TypeError(f"`fun` must return one number, got {value!r}: did you mean jac=True?")
        number = np.asarray(value)
        if number.dtype.kind not in "biuf":
            raise TypeError(f"`fun` must return one real number, got {value!r}")
        if number.size != 1:
            raise ValueError(f"`fun` must return one number, got an array of shape {number.shape}")
        return np.float64(number.reshape(()))

    def f(self, x: Any) -> Any:
        x = np.asarray(x, dtype=float)
        return np.array([self._value(row) for row in x]) if x.ndim == 2 else self._value(x)

    def gradient(self, x: Any) -> Any:
        x = np.asarray(x, dtype=float)
        if x.ndim == 2:
            return np.array([self.gradient(row) for row in x])
        if self.jac is True:
            g = self._both(x)[1]
        elif callable(self.jac):
            g = self.jac(np.array(x), *self.args)
        else:
            g = self._difference(x)
        g = real_array(g, "jac(x)")                         # a copy: the function may use its array again
        if g.shape != x.shape:
            raise ValueError(f"the gradient must have the shape of x, {x.shape}, got {g.shape}")
        return g

    def _difference(self, x: np.ndarray) -> np.ndarray:
        """Steps that balance truncation and rounding: eps^(1/2), eps^(1/3), and none for the complex step."""
        eps, g = np.finfo(float).eps, np.empty_like(x)
        size = np.maximum(1.0, np.abs(x))
        for i in range(len(x)):
            e = np.zeros_like(x)
            if self.jac == "cs":
                e[i] = 1e-40
                g[i] = np.imag(self._complex(x + 1j*e))/1e-40
            elif self.jac == "3-point":
                e[i] = eps**(1/3)*size[i]
                g[i] = (self._value(x + e) - self._value(x - e))/((x + e)[i] - (x - e)[i])
            else:
                e[i] = eps**0.5*size[i]
                g[i] = (self._value(x + e) - self._value(x))/((x + e)[i] - x[i])
        return g

    def _complex(self, x: np.ndarray) -> Any:
        value = self.fun(x, *self.args)
        if not (np.iscomplexobj(value) and np.size(value) == 1):        # |a| or float(a) would give the gradient 0
            raise TypeError(f'`fun` must return one complex number for complex x where jac="cs", got {value!r}: write '
                            'it without abs, float and the math module, or use jac="3-point"')
        return np.reshape(value, ())

    def evaluator(self, n: int) -> Any:
        from odeopt.compile.evaluator import GRADIENT, VALUE, called_back

        def evaluate(what: int, x: np.ndarray, g: np.ndarray) -> float:
            with np.errstate(all="ignore"):                 # of this thread, as in a run by NumPy
                if what != VALUE:
                    g[:] = self.gradient(x)
                return self._value(x) if what != GRADIENT else np.nan
        return called_back(evaluate, n)

    def hessian(self, x: Any) -> Any:
        if self.hess is None:
            return super().hessian(x)
        rows = real_array(self.hess(np.array(x), *self.args), "hess(x)")
        if rows.shape != 2*np.shape(x):
            raise ValueError(f"the Hessian must have the shape {2*np.shape(x)}, got {rows.shape}")
        return rows
