"""What an objective is: a function to be minimized, with its gradient."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from odeopt.language import FormulaError


class Objective:
    """A function f of a vector x, its gradient and what else is known of it.

    Attributes
    ----------
    dimension : int or None
        Length of x, if fixed.
    f_star, x_star : float, array or None
        Least value and a point where it is taken, if known.
    backend : str or None
        "numpy" if the functions are no formulas (plain Python).
    """

    dimension: Any = None
    f_star: Any = None
    x_star: Any = None
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
        """The Hessian at x times v."""
        rows = self.hessian(x)
        if isinstance(rows, np.ndarray):
            return rows @ v
        return v.like([row @ v for row in rows])


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

    Gradient and Hessian are derived by SymPy from what the formula does to recorded numbers, once, and kept in the
    cache folder. Every reader evaluates the same derived text.

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
    """

    dimension = 2
    box: ClassVar[tuple[float, float]] = (-3.0, 3.0)
    levels: ClassVar[tuple[float, ...]] = ()
    label_radius: ClassVar[float] = 5e-2
    critical_points: ClassVar[Any] = ()

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
        return _derivatives(self).value(*numbers, *parameters)

    def gradient(self, x: Any) -> Any:
        numbers, parameters = _coordinates(x, self.dimension, self), _parameters(self)
        return _vector(x, _derivatives(self).value_and_gradient(*numbers, *parameters)[1])

    def hessian(self, x: Any) -> Any:
        numbers, parameters = _coordinates(x, self.dimension, self), _parameters(self)
        rows = _derivatives(self).hessian(*numbers, *parameters)
        if isinstance(x, np.ndarray):
            return np.stack([_vector(x, row) for row in rows], axis=-2)
        return tuple(_vector(x, row) for row in rows)


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


def _derivatives(landscape: Any) -> Any:
    structure = tuple((f.name, getattr(landscape, f.name)) for f in dataclasses.fields(landscape)
                      if f.name not in _float_fields(landscape))
    kind: Any = type(landscape)
    return _derived(kind, structure)


@functools.lru_cache(maxsize=256)
def _derived(kind: type, structure: tuple) -> Any:
    from odeopt.compile.derivative import Derivatives
    bare: Any = object.__new__(kind)
    for name, value in structure:
        object.__setattr__(bare, name, value)
    names = [f.name for f in dataclasses.fields(bare) if f.name not in dict(structure)]

    def bound(numbers: Any) -> Any:
        for name, number in zip(names, numbers, strict=True):
            object.__setattr__(bare, name, number)
        return bare.value
    return Derivatives(bound, bare.dimension, len(names))
