"""Starts: how the weights of a network are drawn."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

# what a layer's weights are drawn from, given its inputs and outputs: a uniform law on +-b, or a normal one
_UNIFORM: dict[str, Callable] = {
    "glorot_uniform": lambda a, b: np.sqrt(6.0/(a + b)),
    "he_uniform": lambda a, b: np.sqrt(6.0/a),
    "lecun_uniform": lambda a, b: np.sqrt(3.0/a),
}
_NORMAL: dict[str, Callable] = {
    "glorot_normal": lambda a, b: np.sqrt(2.0/(a + b)),
    "he_normal": lambda a, b: np.sqrt(2.0/a),
    "lecun_normal": lambda a, b: np.sqrt(1.0/a),
}
ALIASES = {"bengio": "glorot_uniform", "kaiming": "glorot_normal", "he": "he_normal", "xavier": "lecun_normal",
           "lecun": "lecun_normal"}
NAMES = (*_UNIFORM, *_NORMAL, *ALIASES, "uniform")


def draw(layers: tuple[int, ...], init: str, box: tuple[float, float], seed: int, start: int) -> np.ndarray:
    """The parameters (n,) of one start.

    Each start has a generator of its own, Philox with the seed as key and the start's number as counter: what start 7
    is does not depend on how many are drawn.
    """
    random = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, start]))
    name = ALIASES.get(init, init)
    if name == "uniform":
        return random.uniform(*box, sum((a + 1)*b for a, b in pairwise(layers)))
    parts = []
    for a, b in pairwise(layers):
        if name in _UNIFORM:
            bound = _UNIFORM[name](a, b)
            parts.append(random.uniform(-bound, bound, a*b))
        else:
            parts.append(_NORMAL[name](a, b)*random.standard_normal(a*b))
        parts.append(np.zeros(b))
    return np.concatenate(parts)
