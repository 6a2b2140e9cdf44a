"""Two arms of a spiral, one a class."""

from __future__ import annotations

import numpy as np

from odeopt.data import splits
from odeopt.data.dataset import Dataset

_VARIANTS = {"a": (100, 100), "b": (550, 110), "c": (100, 100)}      # points of an arm, training samples


def two_spirals(variant: str = "a") -> Dataset:
    """Two Archimedean spirals: the points r (cos phi, sin phi), r = 2 phi + pi, are class 0, and their negatives 1.

    phi takes equidistant values in [0, 2 pi]: 100 in the variants "a" and "c", 550 in "b". 100 samples are for training
    and 100 for testing in "a" and "c", 110 and 990 in "b", drawn as by the authors' code (see
    `odeopt.data.splits.drawn`). The papers tell "c" from "a" by its network, which has sigmoids for tanh.

    Parameters
    ----------
    variant : {"a", "b", "c"}

    Raises
    ------
    ValueError
        If there is no such variant.
    """
    if not isinstance(variant, str) or variant not in _VARIANTS:
        raise ValueError(f'`variant` must be "a", "b" or "c", got {variant!r}')
    points, count = _VARIANTS[variant]
    phi = np.linspace(0.0, 2.0*np.pi, points)
    inputs, labels = _arms(phi, 2.0*phi + np.pi)
    train, test = splits.drawn(len(inputs), count)
    return Dataset(f"two spirals {variant}", inputs[train], labels[train], inputs[test], labels[test],
                   "B. Bensaid, G. Poëtte, R. Turpault, J. Sci. Comput. 96, 14 (2023); "
                   "https://github.com/bbensaid30/COptimizers", "classification", ("first arm", "second arm"))


def early_spiral() -> Dataset:
    """The spirals of 1988, of 97 points each: r = 6.5 (104 - i)/104, angle i pi/16, i = 0..96; all are for training.

    Source: K. J. Lang, M. J. Witbrock, "Learning to tell two spirals apart", Proc. 1988 Connectionist Models Summer
    School, Morgan Kaufmann, 52-59.
    """
    i = np.arange(97)
    inputs, labels = _arms(i*np.pi/16.0, 6.5*(104 - i)/104.0)
    return Dataset("early spiral", inputs, labels, source="K. J. Lang, M. J. Witbrock, Proc. 1988 Connectionist Models "
                   "Summer School, 52-59", task="classification", classes=("first arm", "second arm"))


def _arms(angle: np.ndarray, radius: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    arm = np.column_stack([radius*np.cos(angle), radius*np.sin(angle)])
    return np.concatenate([arm, -arm]), np.repeat([0, 1], len(arm))
