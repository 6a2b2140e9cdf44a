"""Activations: what a unit does to the weighted sum z of its inputs, with two derivatives.

Every activation stands here twice, as NumPy reads it and as the text that the compiled evaluator reads. Polynomials and
rational functions are those of the one-neuron landscapes (`odeopt.objectives.neurons`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from odeopt.language import sigmoid

_SQRT_TAU = math.sqrt(2.0*math.pi)


@dataclass(frozen=True)
class Activation:
    """An elementwise function a(z).

    Parameters
    ----------
    value, slope, curvature : callable
        a, a' and a'' of an array z.
    text, slope_text : str
        a and a' for the compiled evaluator: expressions of z, and of z and a, in double precision.
    single : (str, str), optional
        The same in single precision, where it pays: half the time.
    """

    value: Callable
    slope: Callable
    curvature: Callable
    text: str
    slope_text: str
    single: tuple[str, str] | None = None

    @property
    def needs_z(self) -> bool:
        """Whether the slope is no function of the value alone, so that z must be kept for it."""
        return "z" in self.slope_text


def _tanh_curvature(z: np.ndarray) -> np.ndarray:
    a = np.tanh(z)
    return -2.0*a*_tanh_slope(z)


def _tanh_slope(z: np.ndarray) -> np.ndarray:
    a = np.tanh(z)
    return 1.0 - a*a


def _sigmoid_slope(z: np.ndarray) -> np.ndarray:
    a = sigmoid(z)
    return a*(1.0 - a)


def _sigmoid_curvature(z: np.ndarray) -> np.ndarray:
    return _sigmoid_slope(z)*(1.0 - 2.0*sigmoid(z))


def _step(z: np.ndarray) -> np.ndarray:
    return np.where(z > 0.0, 1.0, 0.0).astype(z.dtype)


def _normal_cdf(z: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr
    return ndtr(z)


def _normal_density(z: np.ndarray) -> np.ndarray:
    return np.exp(-0.5*z*z)/_SQRT_TAU


def _swish(z: np.ndarray, rate: float) -> np.ndarray:
    return z*sigmoid(rate*z)


def _swish_slope(z: np.ndarray, rate: float) -> np.ndarray:
    s = sigmoid(rate*z)
    return s*(1.0 + rate*z*(1.0 - s))


def _swish_curvature(z: np.ndarray, rate: float) -> np.ndarray:
    s = sigmoid(rate*z)
    return rate*s*(1.0 - s)*(2.0 + rate*z*(1.0 - 2.0*s))


def _bell(z: np.ndarray) -> np.ndarray:
    return np.exp(-0.5*z*z)


def _polynomial(*coefficients: float) -> Activation:
    """A polynomial by its coefficients, the highest power first; evaluated by Horner's rule."""
    first, second = (tuple(np.polyder(coefficients, order).tolist()) for order in (1, 2))
    return Activation(lambda z: _horner(coefficients, z), lambda z: _horner(first, z), lambda z: _horner(second, z),
                      _horner_text(coefficients), _horner_text(first))


def _horner(coefficients: tuple, z: np.ndarray) -> np.ndarray:
    total = np.full_like(z, coefficients[0])
    for c in coefficients[1:]:
        total = total*z + z.dtype.type(c)
    return total


def _horner_text(coefficients: tuple) -> str:
    text = repr(float(coefficients[0]))
    for c in coefficients[1:]:
        text = f"({text}*z + {float(c)!r})" if c else f"({text}*z)"
    return text


_SCALE = 2.0/(3.0 + math.sqrt(5.0))


def _ratio(z: np.ndarray) -> np.ndarray:
    return _SCALE*(z*z + 1.0)/((z - 2.0)*z + 2.0)


def _ratio_slope(z: np.ndarray) -> np.ndarray:
    q = (z - 2.0)*z + 2.0
    return 2.0*_SCALE*((1.0 - z)*z + 1.0)/(q*q)


def _ratio_curvature(z: np.ndarray) -> np.ndarray:
    q = (z - 2.0)*z + 2.0
    return 2.0*_SCALE*((1.0 - 2.0*z)*q - 4.0*(z - 1.0)*((1.0 - z)*z + 1.0))/(q*q*q)


ACTIVATIONS = {
    "identity": Activation(lambda z: z, np.ones_like, np.zeros_like, "z", "1.0"),
    "tanh": Activation(np.tanh, _tanh_slope, _tanh_curvature, "vtanh(z)", "1.0 - a*a",
                       ("vtanh32(z)", "float32(1.0) - a*a")),
    "sigmoid": Activation(sigmoid, _sigmoid_slope, _sigmoid_curvature, "vsigmoid(z)", "a*(1.0 - a)"),
    # not a number is greater than nothing, and must come through
    "relu": Activation(lambda z: np.maximum(z, 0.0), _step, np.zeros_like,
                       "0.0 if z <= 0.0 else z", "1.0 if a > 0.0 else 0.0"),
    "gelu": Activation(lambda z: z*_normal_cdf(z), lambda z: _normal_cdf(z) + z*_normal_density(z),
                       lambda z: (2.0 - z*z)*_normal_density(z),
                       "z*vnormal_cdf(z)", f"vnormal_cdf(z) + z*vexp(-0.5*z*z)/{_SQRT_TAU!r}"),
    "gelu_sigmoid": Activation(lambda z: _swish(z, 1.702), lambda z: _swish_slope(z, 1.702),
                               lambda z: _swish_curvature(z, 1.702), "z*vsigmoid(1.702*z)",
                               "vsigmoid(1.702*z)*(1.0 + 1.702*z*(1.0 - vsigmoid(1.702*z)))"),
    "softplus": Activation(lambda z: np.logaddexp(z, 0.0), sigmoid, _sigmoid_slope, "vsoftplus(z)", "vsigmoid(z)"),
    "sine": Activation(np.sin, np.cos, lambda z: -np.sin(z), "vsin(z)", "vcos(z)"),
    "polyTwo": _polynomial(1, 0, -1),
    "polyThree": _polynomial(2, -3, 0, 5),
    "polyFour": _polynomial(1, 0, -2, 0, 3),
    "polyFive": _polynomial(1, -4, 2, 8, -11, -12),
    "polyEight": _polynomial(35, -360, 1540, -3528, 4620, -3360, 1120, 0, 1),
    "cloche": Activation(_bell, lambda z: -z*_bell(z), lambda z: (z*z - 1.0)*_bell(z), "vexp(-0.5*z*z)", "-z*a"),
    "ratTwo": Activation(_ratio, _ratio_slope, _ratio_curvature, f"{_SCALE!r}*(z*z + 1.0)/((z - 2.0)*z + 2.0)",
                         f"{2.0*_SCALE!r}*((1.0 - z)*z + 1.0)/(((z - 2.0)*z + 2.0)*((z - 2.0)*z + 2.0))"),
}
