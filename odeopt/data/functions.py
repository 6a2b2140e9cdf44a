"""Functions of one and two variables, sampled on equidistant points.

Half of the points, but for runge, are for training, drawn as by the authors' code (see `odeopt.data.splits.drawn`).
Numbers of points are those of the archived runs of square_wave, sine_wave and squares; of the others the papers print
none, and they have as many as square_wave and squares.

Source: B. Bensaid, G. Poëtte, R. Turpault, J. Sci. Comput. 96, 14 (2023), and its codes
https://github.com/bbensaid30/COptimizers, data.cpp, and https://github.com/bbensaid30/TOptimizers, data.py.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from odeopt.data import splits
from odeopt.data.dataset import Dataset

_SOURCE = "B. Bensaid, G. Poëtte, R. Turpault, J. Sci. Comput. 96, 14 (2023); https://github.com/bbensaid30/COptimizers"


def square_wave(points: int = 100, frequency: float = 1.0) -> Dataset:
    """The wave 2 (2 floor(f x) - floor(2 f x)) + 1 on [-1, 1]: +1 on the first half of each period 1/f, then -1.

    Parameters
    ----------
    points : int
        Number of equidistant points, half of them for training.
    frequency : float
        f, periods in a unit of x; the papers' is 1.
    """
    return _curve("square wave", points, (-1.0, 1.0),
                  lambda x: 2.0*(2.0*np.floor(frequency*x) - np.floor(2.0*frequency*x)) + 1.0)


def sine_wave(points: int = 80) -> Dataset:
    """The wave 1/2 + sin(3 pi x)/4 on [-1, 1]; half of the equidistant points are for training."""
    return _curve("sine wave", points, (-1.0, 1.0), lambda x: 0.5 + 0.25*np.sin(3.0*np.pi*x))


def square(points: int = 100) -> Dataset:
    """x^2 on [-1, 1]; half of the equidistant points are for training."""
    return _curve("square", points, (-1.0, 1.0), lambda x: x*x)


def square_root(points: int = 100) -> Dataset:
    """sqrt(x) on [0, 2]; half of the equidistant points are for training."""
    return _curve("square root", points, (0.0, 2.0), np.sqrt)


def exponential(points: int = 100) -> Dataset:
    """exp(x) on [-1, 1]; half of the equidistant points are for training."""
    return _curve("exponential", points, (-1.0, 1.0), np.exp)


def sinc(dimension: int = 1, points: int | None = None) -> Dataset:
    """sin(r)/r, r = |x|, on [-1, 1] or its square; 1 at the origin.

    The authors' code has 1 for every negative x in one dimension, which is no sinc; this has the function itself.

    Parameters
    ----------
    dimension : {1, 2}
    points : int, optional
        Points of each axis: 100 in one dimension, 10 in two.

    Raises
    ------
    ValueError
        If the dimension is neither 1 nor 2.
    """
    if dimension == 1:
        return _curve("sinc", 100 if points is None else points, (-1.0, 1.0), _sinc)
    if dimension == 2:
        return _surface("sinc in 2D", 10 if points is None else points, (-1.0, 1.0), lambda x, y: _sinc(np.hypot(x, y)))
    raise ValueError(f"`dimension` must be 1 or 2, got {dimension}")


def gaussian_bump(points: int = 10) -> Dataset:
    """4 exp(-0.15 (x - 4)^2 - 0.5 (y - 3)^2) on the square [0, 4]^2, of points^2 points, half of them for training."""
    return _surface("Gaussian bump", points, (0.0, 4.0),
                    lambda x, y: 4.0*np.exp(-0.15*(x - 4.0)**2 - 0.5*(y - 3.0)**2))


def squares(points: int = 10) -> Dataset:
    """(x, y) to (x^2, y^2) on the square [-1, 1]^2, of points^2 points, half of them for training: carreFunction2."""
    return _surface("squares", points, (-1.0, 1.0), lambda x, y: np.column_stack([x*x, y*y]))


def runge(points: int = 21, test_points: int = 40) -> Dataset:
    """Runge's function 1/(1 + 25 x^2) on [-1, 1], at equidistant points of their own for training and for testing.

    Source: https://github.com/bbensaid30/TOptimizers, data.py and main_Runge.py; C. Runge, Z. Math. Phys. 46 (1901)
    224-243.
    """
    x, test_x = _axis(points, (-1.0, 1.0)), _axis(test_points, (-1.0, 1.0))
    return Dataset("Runge", x[:, None], 1.0/(1.0 + 25.0*x*x), test_x[:, None], 1.0/(1.0 + 25.0*test_x*test_x),
                   "C. Runge, Z. Math. Phys. 46 (1901) 224-243; https://github.com/bbensaid30/TOptimizers")


def _sinc(x: np.ndarray) -> np.ndarray:
    return np.sinc(x/np.pi)                             # NumPy's is sin(pi x)/(pi x)


def _axis(points: int, interval: tuple[float, float]) -> np.ndarray:
    if points < 2:
        raise ValueError(f"`points` must be at least 2, got {points}")
    return np.linspace(*interval, points)


def _curve(name: str, points: int, interval: tuple[float, float], function: Callable) -> Dataset:
    x = _axis(points, interval)
    return _halved(name, x[:, None], function(x))


def _surface(name: str, points: int, interval: tuple[float, float], function: Callable) -> Dataset:
    axis = _axis(points, interval)
    x, y = (grid.ravel() for grid in np.meshgrid(axis, axis, indexing="ij"))
    return _halved(name, np.column_stack([x, y]), function(x, y))


def _halved(name: str, inputs: np.ndarray, targets: np.ndarray) -> Dataset:
    train, test = splits.drawn(len(inputs), len(inputs)//2)
    return Dataset(name, inputs[train], targets[train], inputs[test], targets[test], _SOURCE)
