"""Fully connected networks as objectives, read by NumPy; the compiled evaluator is in `kernel`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from odeopt.objectives.base import Objective
from odeopt.objectives.network.activations import ACTIVATIONS
from odeopt.objectives.network.initializations import NAMES, draw
from odeopt.objectives.network.losses import LOSSES
from odeopt.parameters import interval, not_negative, positive, real_array, whole

MOST_NUMBERS = 1 << 22          # of the samples' gradients at a time, 32 MiB


@dataclass(frozen=True, eq=False, repr=False)
class Network(Objective):
    """The loss of a fully connected network on its samples, as a function of all weights and biases.

    ::

        f(x) = 1/P sum_p loss(u(x; inputs_p), targets_p) + l2/2 sum of the squared weights

    `u` maps a sample through the layers, a <- activation(W a + b). The parameters x (n,) hold, layer by layer, W
    (outputs, inputs) row by row and then b (outputs,): for one neuron (w, b), as in the papers.

    Parameters
    ----------
    layers : tuple of int
        Units of each layer, inputs and outputs included: (2, 20, 1).
    inputs : array (P, layers[0])
    targets : array
        (P, layers[-1]) for squares, or (P,) for one output; integer labels for losses of classes.
    activation : str or tuple of str
        Of the hidden layers; a tuple gives that of every layer, the last included.
    loss : str
        Of one sample, with outputs u and targets y:

        ====================== ==========================================================================
        half_squares           sum (u - y)^2/2
        mean_squares           mean (u - y)^2
        binary_cross_entropy   mean log(1 + exp(-+u)), of logits u, with the sign of the label 1 or 0
        log_loss               mean -log(u) or -log(1 - u), of probabilities u, with label 1 or 0
        cross_entropy          log(sum exp(u)) - u_y, of logits u, with label y in 0..layers[-1]-1
        softmax_mean_squares   mean (p - y)^2, of logits u, with p = softmax(u) and label y as a unit vector
        ====================== ==========================================================================
    output : str, optional
        Activation of the last layer, if `activation` is one name; "identity" if not given.
    l2 : float
        Of the weights; biases are left alone.
    reduction : {"mean", "sum"}
        "sum" leaves out the factor 1/P.
    batch_size : int, optional
        Samples of a batch, in the given order; the last batch may have fewer. None: one batch.
    dtype : {"float64", "float32"}
        Precision of the passes over the data; x and the results are float64 in any case.
    weight : float, optional
        Factor of the sum of the losses of all outputs in f, in place of the reduction's: for a part of a larger sum, as
        `batch` gives it.

    Raises
    ------
    ValueError, TypeError
        If sizes, names or data do not fit each other, or data are not finite.

    Attributes
    ----------
    activations : tuple of str
        Of each layer of weights.
    encoded : array (P, layers[-1])
        The targets as numbers: labels of several classes as unit vectors.

    Notes
    -----
    Activations: identity, tanh, sigmoid, relu (with slope 0 at 0), gelu (z times the normal distribution function),
    gelu_sigmoid (z sigma(1.702 z), the gelu of the papers), softplus, sine, and those of the one-neuron landscapes:
    polyTwo, polyThree, polyFour, polyFive, polyEight, cloche, ratTwo.

    "half_squares" is the loss of B. Bensaid, G. Poëtte, R. Turpault, J. Sci. Comput. 96:14 (2023), where R is the mean
    of half the squares; with `reduction="sum"` R is that of their papers on mini-batches. "softmax_mean_squares" is
    that of their classifiers of images, and layers[-1] times it the score of G. W. Brier, "Verification of forecasts
    expressed in terms of probability", Mon. Weather Rev. 78 (1950) 1-3. D. Hendrycks and K. Gimpel,
    "Gaussian error linear units", arXiv:1606.08415, for gelu; B. A. Pearlmutter, "Fast exact multiplication by the
    Hessian", Neural Comput. 6 (1994) 147-160, for `hessp`.
    """

    layers: tuple[int, ...]
    inputs: Any = field(repr=False)
    targets: Any = field(repr=False)
    activation: str | tuple[str, ...] = "tanh"
    loss: str = "half_squares"
    output: str | None = None
    l2: float = 0.0
    reduction: str = "mean"
    batch_size: int | None = None
    dtype: str = "float64"
    weight: float | None = None
    activations: Any = field(init=False)
    encoded: Any = field(init=False)

    backend = "vector"

    def __post_init__(self) -> None:
        layers = _checked_layers(self.layers)
        _named(self.loss, LOSSES, "loss")
        _named(self.dtype, ("float64", "float32"), "dtype")
        _named(self.reduction, ("mean", "sum"), "reduction")
        activations = _activations(self.activation, self.output, len(layers) - 1)
        inputs = _frozen(_samples(self.inputs, layers[0]), self.dtype)
        P, k = len(inputs), layers[-1]
        self._check(activations[-1], P)
        kind = LOSSES[self.loss]
        encoded = _frozen(kind.targets(self.targets, P, k), self.dtype)
        self._set(layers=layers, inputs=inputs, targets=_frozen(self.targets), activations=activations, encoded=encoded,
                  l2=float(self.l2))

    def _check(self, last: str, P: int) -> None:
        if LOSSES[self.loss].logits and last != "identity":
            raise ValueError(f'the loss "{self.loss}" is of logits, so the last layer must be "identity", got "{last}"'
                             '; for labels 0 and 1 "log_loss" is of probabilities')
        not_negative(l2=self.l2)
        if self.weight is not None:
            positive(weight=self.weight)
        if self.batch_size is not None and not (_is_count(self.batch_size) and self.batch_size <= P):
            raise ValueError(f"`batch_size` must be an integer from 1 to the number of samples, {P}, or None, got "
                             f"{self.batch_size!r}")

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        usual = {"output": None, "l2": 0.0, "reduction": "mean", "batch_size": None, "dtype": "float64", "weight": None}
        options = ["activation", "loss", *(name for name, value in usual.items() if getattr(self, name) != value)]
        shown = [f"{name}={getattr(self, name)!r}" for name in options]
        return f"Network({self.layers}, {len(self.inputs)} samples, {', '.join(shown)})"

    @property
    def loss_weight(self) -> float:
        """The factor of every loss in f."""
        samples = len(self.inputs) if self.reduction == "mean" else 1
        return self.weight or 1.0/(samples*(self.layers[-1] if LOSSES[self.loss].mean else 1))

    # -- parameters

    @property
    def dimension(self) -> int:
        """Number n of weights and biases."""
        return sum((a + 1)*b for a, b in pairwise(self.layers))

    def unpack(self, x: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        """Weights (outputs, inputs) and biases (outputs,) of each layer, views of x (n,)."""
        x = np.asarray(x)
        if x.shape != (self.dimension,):
            raise ValueError(f"{self!r} has {self.dimension} parameters, got an array of shape {x.shape}")
        parts, end = [], 0
        for a, b in pairwise(self.layers):
            start, end = end, end + (a + 1)*b
            parts.append((x[start:end - b].reshape(b, a), x[end - b:end]))
        return parts

    def initial(self, count: int, init: str = "glorot_uniform", seed: int = 0,
                box: tuple[float, float] = (-1.0, 1.0)) -> np.ndarray:
        """Starts (count, n); start i is the same whatever the count.

        Parameters
        ----------
        count : int
        init : str
            With `a` inputs and `b` outputs of a layer, weights are drawn from

            ============================== ===========================================================
            glorot_uniform, bengio         U(-+sqrt(6/(a + b)))
            glorot_normal, kaiming         N(0, 2/(a + b))
            he_uniform; he_normal, he      U(-+sqrt(6/a)); N(0, 2/a)
            lecun_uniform; lecun_normal,   U(-+sqrt(3/a)); N(0, 1/a)
            lecun, xavier
            uniform                        U(box), the biases too
            ============================== ===========================================================

            and biases are 0. "bengio", "kaiming" and "xavier" are what the papers call so.
        seed : int
        box : (low, high)
            For "uniform".
        """
        _named(init, NAMES, "init")
        whole(1, count=count)
        whole(0, seed=seed)
        box = interval(box, "box")
        return np.array([draw(self.layers, init, box, seed, i) for i in range(count)])

    # -- batches

    @property
    def batches(self) -> int:
        """Number m of batches."""
        return 1 if self.batch_size is None else -(-len(self.inputs)//self.batch_size)

    def batch(self, i: int) -> Network:
        """The part of f that is due to batch i, 0 to m - 1: their sum is f. It shares the data."""
        if not 0 <= i < self.batches:
            raise IndexError(f"{self!r} has the batches 0..{self.batches - 1}, got {i}")
        size = self.batch_size or len(self.inputs)
        part = self._rows(slice(i*size, (i + 1)*size))
        part._set(l2=self.l2/self.batches, batch_size=None)
        return part

    def _rows(self, rows: slice) -> Network:
        """These samples alone, with the weight that they have in f."""
        part = copy.copy(self)
        part._set(inputs=self.inputs[rows], targets=self.targets[rows], encoded=self.encoded[rows],
                  weight=self.loss_weight)
        return part

    # -- value and derivatives

    def f(self, x: Any) -> Any:
        return self._each(self._value, x)

    def gradient(self, x: Any) -> Any:
        return self._each(self._gradient, x)

    def hessp(self, x: Any, v: Any) -> Any:
        x, v = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(v, dtype=float))
        rows = [self._hessp(*pair) for pair in zip(*(a.reshape(-1, a.shape[-1]) for a in (x, v)), strict=True)]
        return np.reshape(rows, x.shape)

    def hessian(self, x: Any) -> Any:
        return self.hessp(np.asarray(x)[..., None, :], np.eye(self.dimension))

    @property
    def scale(self) -> float | None:
        """The factor of the squared residuals in f."""
        return LOSSES[self.loss].squares*self.loss_weight or None

    def r(self, x: Any) -> Any:
        """The residuals at x (n,): u - y, or p - y, by samples, and with `l2` the weights times sqrt(l2/(2 scale))."""
        if self.scale is None:
            return super().r(x)
        residuals = LOSSES[self.loss].residuals(self._forward(x, self.inputs)[1][-1], self.encoded)
        return np.concatenate([residuals.ravel(), np.sqrt(0.5*self.l2/self.scale)*self._weights(x)])

    def jacobian(self, x: Any) -> Any:
        """The derivatives of the residuals at x (n,), as rows."""
        if self.scale is None:
            return super().jacobian(x)
        passed = self._forward(x, self.inputs)
        u, slopes = passed[1][-1], LOSSES[self.loss].residual_slopes
        rows = [self._sample_gradients(x, passed, slopes(u, np.broadcast_to(e, u.shape)))
                for e in np.eye(self.layers[-1], dtype=self.dtype)]
        J = np.stack(rows, axis=1).reshape(-1, self.dimension)
        return np.concatenate([J, np.sqrt(0.5*self.l2/self.scale)*self._weights(np.eye(self.dimension)).T])

    def sample_values(self, x: Any) -> np.ndarray:
        """What each sample adds to f at x (n,), without `l2`: (P,)."""
        u = self._forward(x, self.inputs)[1][-1]
        return self.loss_weight*LOSSES[self.loss].value(u, self.encoded).sum(axis=1, dtype=float)

    def sample_gradients(self, x: Any) -> np.ndarray:
        """What each sample adds to the gradient at x (n,), without `l2`: (P, n)."""
        passed = self._forward(x, self.inputs)
        return self.loss_weight*self._sample_gradients(x, passed, LOSSES[self.loss].slope(passed[1][-1], self.encoded))

    def gradient_noise(self, x: Any) -> float:
        """A bound, to first order, for the norm of the gradient's rounding error: eps |sum_p |g_p||.

        Each sample's part g_p has a relative error of at least one rounding: where the sum of the parts is not larger,
        no digit of it is significant.
        """
        size, rows = np.zeros(self.dimension), max(1, MOST_NUMBERS//self.dimension)
        for first in range(0, len(self.inputs), rows):
            size += np.abs(self._rows(slice(first, first + rows)).sample_gradients(x)).sum(axis=0)
        return float(np.finfo(self.dtype).eps*np.linalg.norm(size))

    def evaluator(self, n: int | None = None) -> Any:
        """The same function compiled (`odeopt.compile.evaluator.Evaluator`), for compiled loops over steps.

        `f` and `gradient` are NumPy's, independent of it. The kernel depends on the activations, the loss and the
        precision: sizes and depth are data. It is compiled once (seconds) and kept in the cache folder.
        """
        from odeopt.objectives.network.kernel import evaluator
        return evaluator(self)

    # -- predictions

    def predict(self, x: Any, inputs: Any = None) -> np.ndarray:
        """The outputs u (P, layers[-1]) at x (n,), for the network's own inputs or others; logits stay logits."""
        inputs = self.inputs if inputs is None else _samples(inputs, self.layers[0]).astype(self.dtype)
        return self._forward(x, inputs)[1][-1].astype(float)

    def accuracy(self, x: Any, inputs: Any = None, targets: Any = None) -> float:
        """Share of the samples whose class is predicted, for the network's own samples or others.

        The class is the largest output; with one output, or for "binary_cross_entropy" and "log_loss", each output says
        1 if the probability is above 1/2 (for squares, if it is above 1/2). NaN if an output is.
        """
        if (inputs is None) != (targets is None):
            raise TypeError("`accuracy` takes both `inputs` and `targets`, or neither")
        u, kind = self.predict(x, inputs), LOSSES[self.loss]
        y = self.encoded if targets is None else kind.targets(targets, len(u), u.shape[1])
        if np.isnan(u).any():
            return np.nan
        if u.shape[1] > 1 and self.loss not in ("binary_cross_entropy", "log_loss"):
            return float(np.mean(u.argmax(axis=1) == y.argmax(axis=1)))
        return float(np.mean((u > (0.0 if kind.logits else 0.5)) == (y > 0.5)))

    # -- passes

    def _each(self, function: Callable, x: Any) -> Any:
        x = np.asarray(x, dtype=float)
        return np.array([function(row) for row in x]) if x.ndim == 2 else function(x)

    def _forward(self, x: Any, inputs: np.ndarray) -> tuple[list, list]:
        """The weighted sums of every layer, and the values, the inputs first."""
        sums, values = [], [inputs]
        with np.errstate(all="ignore"):
            for (W, b), name in zip(self.unpack(np.asarray(x, dtype=self.dtype)), self.activations, strict=True):
                sums.append(values[-1] @ W.T + b)
                values.append(ACTIVATIONS[name].value(sums[-1]))
        return sums, values

    def _backward(self, x: Any, sums: list, slope: np.ndarray) -> list:
        """The slopes (P, outputs) by the weighted sums of every layer, from those by the outputs."""
        slopes = []
        parts = self.unpack(np.asarray(x, dtype=self.dtype))
        with np.errstate(all="ignore"):
            for (W, _), name, z in reversed(list(zip(parts, self.activations, sums, strict=True))):
                slopes.append(slope*ACTIVATIONS[name].slope(z))
                slope = slopes[-1] @ W
        return slopes[::-1]

    def _value(self, x: np.ndarray) -> float:
        u = self._forward(x, self.inputs)[1][-1]
        with np.errstate(all="ignore"):
            losses = LOSSES[self.loss].value(u, self.encoded).sum(dtype=float)
        weights = self._weights(x)
        return float(self.loss_weight*losses + 0.5*self.l2*(weights @ weights))

    def _gradient(self, x: np.ndarray) -> np.ndarray:
        sums, values = self._forward(x, self.inputs)
        with np.errstate(all="ignore"):
            slopes = self._backward(x, sums, LOSSES[self.loss].slope(values[-1], self.encoded))
            parts = [part for d, a in zip(slopes, values, strict=False) for part in ((d.T @ a).ravel(), d.sum(axis=0))]
        return self.loss_weight*np.concatenate(parts).astype(float) + self._decayed(x)

    def _sample_gradients(self, x: Any, passed: tuple[list, list], slope: np.ndarray) -> np.ndarray:
        sums, values = passed
        slopes, P = self._backward(x, sums, slope), len(slope)
        parts = [part for d, a in zip(slopes, values, strict=False)
                 for part in ((d[:, :, None]*a[:, None, :]).reshape(P, -1), d)]
        return np.concatenate(parts, axis=1).astype(float)

    def _hessp(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The derivative of the gradient along v: that of every quantity of both passes, by the chain rule."""
        kind, (sums, values) = LOSSES[self.loss], self._forward(x, self.inputs)
        layers = list(zip(self.unpack(x.astype(self.dtype)), self.unpack(v.astype(self.dtype)),
                          [ACTIVATIONS[name] for name in self.activations], strict=True))
        with np.errstate(all="ignore"):
            moved, rates = [np.zeros_like(self.inputs)], []
            for ((W, _), (V, c), activation), z, a in zip(layers, sums, values, strict=False):
                rates.append(moved[-1] @ W.T + a @ V.T + c)
                moved.append(activation.slope(z)*rates[-1])
            by_value = kind.slope(values[-1], self.encoded)
            rate = kind.curvature(values[-1], self.encoded, moved[-1])
            parts: list[np.ndarray] = []
            for k in reversed(range(len(layers))):
                (W, _), (V, _), activation = layers[k]
                slope, z = activation.slope(sums[k]), sums[k]
                by_sum = by_value*slope
                rate_sum = rate*slope + by_value*activation.curvature(z)*rates[k]
                parts[:0] = [(rate_sum.T @ values[k] + by_sum.T @ moved[k]).ravel(), rate_sum.sum(axis=0)]
                by_value, rate = by_sum @ W, rate_sum @ W + by_sum @ V
        return self.loss_weight*np.concatenate(parts).astype(float) + self._decayed(v)

    def _is_weight(self) -> np.ndarray:
        return np.concatenate([np.arange((a + 1)*b) < a*b for a, b in pairwise(self.layers)])

    def _weights(self, x: Any) -> np.ndarray:
        """What `l2` acts on: the weights of x (..., n), and nothing if it is 0."""
        return np.asarray(x, dtype=float)[..., self._is_weight() if self.l2 else slice(0)]

    def _decayed(self, x: np.ndarray) -> Any:
        return self.l2*np.where(self._is_weight(), x, 0.0) if self.l2 else 0.0


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= 1)


def _named(name: Any, known: Any, what: str) -> None:
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"`{what}` must be one of {', '.join(known)}, got {name!r}")


def _checked_layers(layers: Any) -> tuple[int, ...]:
    if not isinstance(layers, (tuple, list)) or len(layers) < 2 or not all(map(_is_count, layers)):
        raise ValueError("`layers` must be the numbers of units, at least those of the inputs and the outputs, each "
                         f">= 1, as in (2, 20, 1), got {layers!r}")
    return tuple(map(int, layers))


def _activations(activation: Any, output: str | None, depth: int) -> tuple[str, ...]:
    if isinstance(activation, str):
        output = "identity" if output is None else output
        _named(activation, ACTIVATIONS, "activation")
        _named(output, ACTIVATIONS, "output")
        return (activation,)*(depth - 1) + (output,)
    if output is not None:
        raise ValueError("`output` is the activation of the last layer where `activation` is one name: with "
                         f"{activation!r}, which has that of every layer, leave out output={output!r}")
    if not isinstance(activation, (tuple, list)) or len(activation) != depth:
        raise ValueError(f"`activation` must be one name, or one for each of the {depth} layers of weights, got "
                         f"{activation!r}")
    for name in activation:
        _named(name, ACTIVATIONS, "activation")
    return tuple(activation)


def _samples(given: Any, width: int) -> np.ndarray:
    inputs = real_array(given, "inputs")
    if inputs.ndim != 2 or inputs.shape[1] != width:
        mend = "; use inputs[:, None]" if inputs.ndim == 1 else ""
        raise ValueError(f"`inputs` must have a row for each sample and {width} columns, one for each unit of the "
                         f"first layer, got shape {inputs.shape}{mend}")
    if not len(inputs):
        raise ValueError("`inputs` has no sample: at least one is needed")
    if not np.isfinite(inputs).all():
        p, i = np.argwhere(~np.isfinite(inputs))[0]
        raise ValueError(f"`inputs` must be finite, got {inputs[p, i]} in sample {p}, column {i}: remove or impute "
                         "such samples")
    return inputs


def _frozen(given: Any, dtype: str | None = None) -> np.ndarray:
    with np.errstate(over="ignore"):
        array = np.array(given, dtype=dtype)
    if dtype is not None and not np.isfinite(array).all():
        raise ValueError(f'data of size {np.max(np.abs(given)):.3g} exceed {dtype}: scale them, or use dtype="float64"')
    array.flags.writeable = False
    return array
