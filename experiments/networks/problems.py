"""The small problems of the papers: data, network, starts, tolerance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from odeopt import data
from odeopt.data import Dataset
from odeopt.objectives import Network


@dataclass(frozen=True)
class Problem:
    """A network with its samples, and how it is trained.

    Parameters
    ----------
    data : callable
        Gives the samples.
    layers, activation, output
        As in `Network`; the loss is half the squares.
    init, box
        As in `Network.initial`.
    gtol : float
        A run converges when |g| falls to it.
    """

    data: Callable[[], Dataset]
    layers: tuple[int, ...]
    activation: str
    gtol: float
    output: str = "identity"
    init: str = "xavier"
    box: tuple[float, float] = (-1.0, 1.0)

    def network(self) -> tuple[Network, Dataset]:
        """The network on the training samples, and all samples."""
        samples = self.data()
        return Network(self.layers, samples.inputs, samples.targets, self.activation, output=self.output), samples

    def starts(self, network: Network, count: int) -> np.ndarray:
        """`count` starts (count, n)."""
        return network.initial(count, self.init, box=self.box)


def scaled_boston() -> Dataset:
    """Boston's houses with prices scaled to 0..1 over the training samples."""
    return data.boston().unit_targets()


_SPIRALS = (2, 12, 12, 12, 1)

PROBLEMS = {
    "two spirals a": Problem(partial(data.two_spirals, "a"), _SPIRALS, "tanh", 1e-2, "sigmoid"),
    "two spirals b": Problem(partial(data.two_spirals, "b"), _SPIRALS, "tanh", 1e-2, "sigmoid"),
    "two spirals c": Problem(partial(data.two_spirals, "c"), _SPIRALS, "sigmoid", 1e-3, "sigmoid"),
    "square wave": Problem(data.square_wave, (1, 15, 1), "sigmoid", 1e-3, init="uniform", box=(-100.0, 100.0)),
    "square wave, tanh": Problem(data.square_wave, (1, 15, 1), "tanh", 1e-3, init="uniform", box=(-100.0, 100.0)),
    "sine wave": Problem(data.sine_wave, (1, 15, 1), "sigmoid", 1e-3, init="uniform", box=(-10.0, 10.0)),
    "squares": Problem(data.squares, (2, 15, 2), "relu", 1e-7, init="uniform", box=(-100.0, 100.0)),
    "Boston": Problem(scaled_boston, (13, 15, 15, 1), "tanh", 1e-4),
}
