"""Losses: how far the outputs u of a network are from their targets y.

Of one sample, and for arrays of several: outputs (P, k) and targets of the same shape. Every loss stands here twice, as
NumPy reads it and as the text that the compiled evaluator reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from odeopt.language import sigmoid
from odeopt.parameters import real_array


@dataclass(frozen=True)
class Loss:
    """A loss of samples.

    Parameters
    ----------
    value : callable
        `value(u, y)` are the losses (P, k) of the outputs, or (P, 1); a sample's loss is their sum.
    slope : callable
        `slope(u, y)`: the derivatives (P, k) by the outputs.
    curvature : callable
        `curvature(u, y, v)`: the second derivatives by the outputs, times v; (P, k).
    targets : callable
        `targets(given, P, k)` checks the targets and returns them as (P, k).
    text, slope_text : str
        Value and slope of an output for the compiled evaluator, expressions of u and y; empty if outputs mix.
    mean : bool
        Whether a sample's loss is the mean, not the sum, over its outputs.
    squares : float
        f = squares * (sum of squared residuals) / (the number that the mean is over); 0 if it is no such sum.
    residuals : callable
        `residuals(u, y)`: what is squared, (P, k).
    residual_slopes : callable
        `residual_slopes(u, v)`: the derivatives by the outputs of the sum of the residuals times v; (P, k).
    logits : bool
        Whether the outputs are logits, so that the last layer must not squash them.
    labels : bool
        Whether the targets are classes.
    """

    value: Callable
    slope: Callable
    curvature: Callable
    targets: Callable
    text: str = ""
    slope_text: str = ""
    mean: bool = False
    squares: float = 0.0
    residuals: Callable = lambda u, y: u - y
    residual_slopes: Callable = lambda u, v: v
    logits: bool = False
    labels: bool = False


def _numbers(given: Any, P: int, k: int) -> np.ndarray:
    y = real_array(given, "targets")
    y = y[:, None] if y.ndim == 1 and k == 1 else y
    if y.shape != (P, k):
        raise ValueError(f"`targets` must have a row for each of the {P} inputs and a column for each of the {k} "
                         f"outputs, shape ({P}, {k}), got {np.shape(given)}")
    if not np.isfinite(y).all():
        raise ValueError(f"`targets` must be finite, got {y[~np.isfinite(y)][0]} in sample "
                         f"{np.argwhere(~np.isfinite(y))[0][0]}: remove or impute such samples")
    return y


def _integers(given: Any, shape: tuple, classes: int) -> np.ndarray:
    y = np.array(given)
    if y.shape != shape:
        hint = ": of unit vectors use targets.argmax(axis=1)" if y.shape == (*shape, classes) else ""
        raise ValueError(f"`targets` must be labels of shape {shape}, one row a sample, got {y.shape}{hint}")
    if y.dtype.kind not in "biu":
        raise TypeError(f"`targets` must be integer labels 0..{classes - 1}, got {y.dtype}: use targets.astype(int)")
    y = y.astype(np.int64)
    if y.size and (y.min() < 0 or y.max() >= classes):
        raise ValueError(f"labels must be in 0..{classes - 1}, got {y.min() if y.min() < 0 else y.max()}: number the "
                         "classes from 0, or give the last layer as many units as there are classes")
    return y


def _binary_labels(given: Any, P: int, k: int) -> np.ndarray:
    shape = (P,) if k == 1 and np.ndim(given) == 1 else (P, k)
    return _integers(given, shape, 2).reshape(P, k).astype(float)


def _classes(given: Any, P: int, k: int) -> np.ndarray:
    if k < 2:
        raise ValueError('"cross_entropy" and "softmax_mean_squares" need an output for each of at least 2 classes, '
                         'got 1 output: for two classes and one output use "binary_cross_entropy", or "mean_squares" '
                         'with output="sigmoid"')
    return np.eye(k)[_integers(given, (P,), k)]


def _sign(y: np.ndarray) -> np.ndarray:
    return 1.0 - 2.0*y


def _margin_slope(u: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _sign(y)*sigmoid(_sign(y)*u)


def _margin_curvature(u: np.ndarray, y: np.ndarray, v: np.ndarray) -> np.ndarray:
    return sigmoid(u)*sigmoid(-u)*v


def _probability(u: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What is said to be the probability of the label."""
    return y*u + (1.0 - y)*(1.0 - u)


def _shifted(u: np.ndarray) -> np.ndarray:
    return u - u.max(axis=-1, keepdims=True)


def _softmax(u: np.ndarray) -> np.ndarray:
    e = np.exp(_shifted(u))
    return e/e.sum(axis=-1, keepdims=True)


def _cross_entropy(u: np.ndarray, y: np.ndarray) -> np.ndarray:
    shifted = _shifted(u)
    return np.log(np.exp(shifted).sum(axis=-1, keepdims=True)) - (shifted*y).sum(axis=-1, keepdims=True)


def _centred(p: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Less its mean by the probabilities; twice, since the first mean's rounding is left where p is nearly 1."""
    for _ in range(2):
        v = v - (p*v).sum(axis=-1, keepdims=True)
    return v


def _softmax_slopes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The derivative of softmax, a symmetric matrix, times v."""
    p = _softmax(u)
    return p*_centred(p, v)


def _softmax_residuals(u: np.ndarray, y: np.ndarray) -> np.ndarray:
    """softmax(u) - y; for the label it is less the other probabilities, which cancel no digits."""
    e = np.exp(_shifted(u))
    others = (1.0 - y)*e
    return (others - y*others.sum(axis=-1, keepdims=True))/e.sum(axis=-1, keepdims=True)


def _softmax_squares_curvature(u: np.ndarray, y: np.ndarray, v: np.ndarray) -> np.ndarray:
    p = _softmax(u)
    return 2.0*_softmax_slopes(u, _centred(p, v)*(_centred(p, _softmax_residuals(u, y)) + p))


LOSSES = {
    "half_squares": Loss(lambda u, y: 0.5*(u - y)**2, lambda u, y: u - y, lambda u, y, v: v, _numbers,
                         "0.5*((u - y)*(u - y))", "u - y", squares=0.5),
    "mean_squares": Loss(lambda u, y: (u - y)**2, lambda u, y: 2.0*(u - y), lambda u, y, v: 2.0*v, _numbers,
                         "(u - y)*(u - y)", "2.0*(u - y)", mean=True, squares=1.0),
    "binary_cross_entropy": Loss(lambda u, y: np.logaddexp(0.0, _sign(y)*u), _margin_slope, _margin_curvature,
                                 _binary_labels, "vsoftplus((1.0 - 2.0*y)*u)",
                                 "(1.0 - 2.0*y)*vsigmoid((1.0 - 2.0*y)*u)", mean=True, logits=True, labels=True),
    "log_loss": Loss(lambda u, y: -np.log(_probability(u, y)), lambda u, y: _sign(y)/_probability(u, y),
                     lambda u, y, v: v/_probability(u, y)**2, _binary_labels, "-vlog(y*u + (1.0 - y)*(1.0 - u))",
                     "(1.0 - 2.0*y)/(y*u + (1.0 - y)*(1.0 - u))", mean=True, labels=True),
    "cross_entropy": Loss(_cross_entropy, lambda u, y: _softmax(u) - y, lambda u, y, v: _softmax_slopes(u, v), _classes,
                          logits=True, labels=True),
    "softmax_mean_squares": Loss(lambda u, y: _softmax_residuals(u, y)**2,
                                 lambda u, y: 2.0*_softmax_slopes(u, _softmax_residuals(u, y)),
                                 _softmax_squares_curvature, _classes, mean=True, squares=1.0,
                                 residuals=_softmax_residuals, residual_slopes=_softmax_slopes, logits=True,
                                 labels=True),
}
