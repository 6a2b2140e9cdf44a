"""What an objective is: a function to be minimized, with its gradient."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from odeopt.language import FormulaError, read


class Objective:
    """A function f of a vector x, its gradient and what else is known of it.

    Attributes
    ----------
    dimension : int or None
        Length of x, if fixed.
    f_star, x_star : float, array or None
        Least value and a point where it is taken, if known.
    residuals : formula or None
        What is squared, if f = scale * (sum of squares of P residuals r).
    scale : float or None
        None stands for 1/(2P): f is half the mean of the squares.
    backend : str or None
        What runs it unless asked otherwise, if its functions are no formulas: "numpy", or "vector" where it has an
        `evaluator`.
    """

    dimension: Any = None
    f_star: Any = None
    x_star: Any = None
    residuals: Any = None
    scale: ClassVar[float | None] = None
    backend: ClassVar[str | None] = None

    def f(self, x: Any) -> Any:
        """The value at x: an array (..., n) gives an array (...)."""
        raise NotImplementedError(f"{type(self).__name__} has no value: define f(self, x)")

    def gradient(self, x: Any) -> Any:
        """The gradient at x: an array (..., n) gives an array (..., n)."""
        raise NotImplementedError(f"{type(self).__name__} has no gradient: define gradient(self, x)")

    def hessian(self, x: Any) -> Any:
        """The matrix of second derivatives at x, as rows."""
        raise FormulaError(f"{type(self).__name__} has no Hessian, but the scheme or flow asks for it: "
                           "define hessian(self, x)")

    def hessp(self, x: Any, v: Any) -> Any:
        """The Hessian at x times v: arrays (..., n) give an array (..., n)."""
        rows = self.hessian(x)
        if isinstance(rows, np.ndarray):
            return rows @ v
        return v.like([row @ v for row in rows])

    def evaluator(self, n: int) -> Any:
        """The function of n coordinates for compiled loops (`odeopt.compile.evaluator.Evaluator`)."""
        raise FormulaError(f"{type(self).__name__} has no function that compiled vectors could call: use another "
                           "backend, or define evaluator(self, n)")

    def gradient_noise(self, x: Any) -> float:
        """A bound for the norm of the gradient's rounding error at x."""
        raise FormulaError(f"{type(self).__name__} does not know the rounding error of its gradient: "
                           "leave `stop_at_noise` out, or define gradient_noise(self, x)")

    def r(self, x: Any) -> Any:
        """The residuals at x, a vector (P,)."""
        raise FormulaError(f"{type(self).__name__} is not known as a sum of squares, but the scheme or flow asks for "
                           "its residuals: define residuals, or choose a method without Gauss and Newton's matrix")

    def jacobian(self, x: Any) -> Any:
        """The derivatives of the residuals at x: P rows of n."""
        return self.r(x)

    def gauss_newton(self, x: Any) -> Any:
        """Gauss and Newton's matrix 2 scale J^T J at x, as rows: the Hessian without the curvature of the residuals.

        With f half the mean of squares it is the mean over the residuals of their J^T J.
        """
        J = self.jacobian(x)
        if isinstance(J, np.ndarray):
            return self.factor(J.shape[-2])*(np.swapaxes(J, -1, -2) @ J)
        columns = [J[0].like(column) for column in zip(*J, strict=True)]
        return tuple(self.factor(len(J))*J[0].like([a @ b for b in columns]) for a in columns)

    def factor(self, P: int) -> float:
        """2 scale: that of r in the gradient J^T r."""
        return 1.0/P if self.scale is None else 2.0*self.scale


@dataclass(frozen=True)
class CriticalPoint:
    """A point where the gradient vanishes.

    Parameters
    ----------
    x : tuple of float
    kind : str
        "global minimum", "local minimum", "saddle", "maximum", or "degenerate": no minimum, yet runs end there (a
        non-strict saddle, an inflection).
    """

    x: tuple[float, ...]
    kind: str


@dataclass(frozen=True)
class Landscape(Objective):
    """A formula of n numbers: subclasses define `value(self, *x)`.

    Gradient and Hessian are derived from what the formula does to recorded numbers, once, and kept in the cache
    folder. Every reader evaluates the same derived text. A sum of squares may also define
    `residuals(self, *x)`, a tuple of numbers, whose Jacobian is derived likewise.

    Attributes
    ----------
    dimension : int
        Number of coordinates; a class attribute or an `int` field.
    box : (low, high)
        The square (cube) on which it is usually drawn.
    levels : tuple of float
        Level lines worth drawing.
    label_radius : float
        A run is said to reach a minimum within this distance.
    critical_points : tuple of CriticalPoint
    derivatives : {"sympy", "trace"}
        Who differentiates: SymPy, which simplifies but takes seconds for a long formula, or the recorded operations
        themselves. SymPy is not asked for more than 16 coordinates or 500 operations.
    """

    dimension = 2
    box: ClassVar[tuple[float, float]] = (-3.0, 3.0)
    levels: ClassVar[tuple[float, ...]] = ()
    label_radius: ClassVar[float] = 5e-2
    critical_points: ClassVar[Any] = ()
    derivatives: ClassVar[str] = "sympy"

    def value(self, *x: Any) -> Any:
        """The formula."""
        raise NotImplementedError(f"{type(self).__name__} has no value: define value(self, x, y, ...)")

    @property
    def minima(self) -> np.ndarray:
        """Points (k, n) by which runs are labelled: the minima as listed, then the degenerate points."""
        points = [p.x for p in self.critical_points if p.kind.endswith("minimum")]
        points += [p.x for p in self.critical_points if p.kind == "degenerate"]
        return np.array(points, dtype=float).reshape(-1, self.dimension)

    @property
    def x_star(self) -> np.ndarray | None:
        """A global minimum, if one is listed."""
        return next((np.array(p.x) for p in self.critical_points if p.kind == "global minimum"), None)

    @property
    def f_star(self) -> float | None:
        """The least value, if a global minimum is listed."""
        x = self.x_star
        return None if x is None else float(self.value(*x))

    def f(self, x: Any) -> Any:
        numbers, parameters = _coordinates(x, self.dimension, self), _parameters(self)
        return derivatives_of(self).value(*numbers, *parameters)

    def gradient(self, x: Any) -> Any:
        numbers, parameters = _coordinates(x, self.dimension, self), _parameters(self)
        return _vector(x, derivatives_of(self).value_and_gradient(*numbers, *parameters)[1])

    def hessian(self, x: Any) -> Any:
        numbers, parameters = _coordinates(x, self.dimension, self), _parameters(self)
        rows = derivatives_of(self).hessian(*numbers, *parameters)
        if isinstance(x, np.ndarray):
            return np.stack([_vector(x, row) for row in rows], axis=-2)
        return tuple(_vector(x, row) for row in rows)

    def hessp(self, x: Any, v: Any) -> Any:
        numbers, directions = _coordinates(x, self.dimension, self), _coordinates(v, self.dimension, self)
        like = v if hasattr(v, "coordinates") or np.ndim(v) > np.ndim(x) else x
        return _vector(like, derivatives_of(self).hessp(*numbers, *_parameters(self), *directions))

    def r(self, x: Any) -> Any:
        if self.residuals is None:
            return super().r(x)
        arguments = (*_coordinates(x, self.dimension, self), *_parameters(self))
        return _vector(x, tuple(one.value(*arguments) for one in _each_residual(self)))

    def jacobian(self, x: Any) -> Any:
        if self.residuals is None:
            return super().jacobian(x)
        arguments = (*_coordinates(x, self.dimension, self), *_parameters(self))
        rows = tuple(_vector(x, one.value_and_gradient(*arguments)[1]) for one in _each_residual(self))
        return np.stack(rows, axis=-2) if isinstance(rows[0], np.ndarray) else rows


def _coordinates(x: Any, dimension: int, objective: Any) -> list:
    if hasattr(x, "coordinates"):
        return list(x.coordinates)
    x = np.asarray(x, dtype=float)
    if x.shape[-1:] != (dimension,):
        raise ValueError(f"{objective!r} takes points of {dimension} coordinates, got an array of shape {x.shape}")
    return [x[..., i] for i in range(dimension)]


def _vector(x: Any, components: tuple) -> Any:
    if hasattr(x, "coordinates"):
        return x.like(components)
    x = np.asarray(x, dtype=float)
    return np.stack([np.broadcast_to(c, x.shape[:-1]) for c in components], axis=-1)


def _float_fields(landscape: Landscape) -> list[str]:
    return [f.name for f in dataclasses.fields(landscape) if "float" in str(f.type) and "tuple" not in str(f.type)]


def _parameters(landscape: Landscape) -> list:
    return [getattr(landscape, name) for name in _float_fields(landscape)]


def derivatives_of(landscape: Any) -> Any:
    """The derivatives of its formula, as functions of coordinates and parameters."""
    kind: Any = type(landscape)
    return _derived(kind, _structure(landscape))


def _each_residual(landscape: Any) -> tuple:
    kind: Any = type(landscape)
    return _derived_residuals(kind, _structure(landscape))


def _structure(landscape: Any) -> tuple:
    return (("derivatives", landscape.derivatives), *(
        (f.name, getattr(landscape, f.name)) for f in dataclasses.fields(landscape)
        if f.name not in _float_fields(landscape)))


@functools.lru_cache(maxsize=256)
def _derived(kind: Any, structure: tuple) -> Any:
    from odeopt.compile.derivative import Derivatives
    bare, names = _bare(kind, structure)
    return Derivatives(lambda numbers: _with(bare, names, numbers).value, bare.dimension, len(names), bare.derivatives)


@functools.lru_cache(maxsize=256)
def _derived_residuals(kind: Any, structure: tuple) -> tuple:
    """The derivatives of each residual by itself: recorded, they share what they have in common."""
    from odeopt.compile.derivative import Derivatives
    from odeopt.compile.tracer import Graph
    bare, names = _bare(kind, structure)

    def residual(i: int) -> Callable:
        def value(numbers: Any) -> Callable:
            landscape = _with(bare, names, numbers)

            def one(*x: Any) -> Any:
                return landscape.residuals(*x)[i]
            one.__qualname__ = f"{kind.__qualname__}.residuals"
            return one
        return value
    graph = Graph()
    numbers = [graph.input(f"p{k}") for k in range(len(names))]
    all_ = read(_with(bare, names, numbers).residuals, *(graph.input(f"x{i}") for i in range(bare.dimension)))
    if not (isinstance(all_, tuple) and all_):
        raise FormulaError(f"{kind.__qualname__}.residuals must return a tuple of numbers, got {all_!r}")
    return tuple(Derivatives(residual(i), bare.dimension, len(names), bare.derivatives) for i in range(len(all_)))


def _bare(kind: Any, structure: tuple) -> tuple[Any, list[str]]:
    """A landscape without its run-time parameters, and their names."""
    bare: Any = object.__new__(kind)
    for name, value in structure:
        object.__setattr__(bare, name, value)
    return bare, [f.name for f in dataclasses.fields(bare) if f.name not in dict(structure)]


def _with(bare: Any, names: list[str], numbers: Any) -> Any:
    for name, number in zip(names, numbers, strict=True):
        object.__setattr__(bare, name, number)
    return bare
