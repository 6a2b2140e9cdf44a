"""How samples are parted into training and test: the ways of the papers, number by number."""

from __future__ import annotations

import math

import numpy as np

from odeopt.parameters import is_number


def permuted(P: int, test_size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and test indices of scikit-learn's `train_test_split` with `random_state=seed`.

    The first ceil(test_size P) indices of a random permutation are for testing.

    Parameters
    ----------
    P : int
        Number of samples.
    test_size : float or int
        A share between 0 and 1, or an integer number of samples.
    seed : int

    Raises
    ------
    ValueError
        If a part would be empty.
    """
    whole = isinstance(test_size, (int, np.integer))
    if not (is_number(test_size) and 0 < test_size < (P if whole else 1)):
        raise ValueError(f"`test_size` must be a share between 0 and 1 or an integer between 0 and the {P} samples, "
                         f"got {test_size}")
    count = int(test_size) if whole else math.ceil(test_size*P)
    if count == P:
        raise ValueError(f"`test_size` {test_size} leaves none of the {P} samples to train on: choose a smaller one")
    order = np.random.RandomState(seed).permutation(P)
    return order[count:], order[:count]


def shuffled(P: int, test_size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and test indices of Keras's data sets: a shuffled list, of which the last share is for testing."""
    order = np.arange(P)
    np.random.RandomState(seed).shuffle(order)
    first = int(P*(1.0 - test_size))
    return order[:first], order[first:]


def drawn(P: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and test indices of Bensaid's C++ code: `count` indices drawn one after another, then the rest in order.

    The code draws by `std::default_random_engine` with seed 0 and `std::uniform_int_distribution`, and again if an
    index is there already. In GNU's library these are Park and Miller's generator s = 16807 s mod 2^31 - 1, from s = 1,
    and the number of the bucket, of P equal ones, that s - 1 falls into.

    Source: https://github.com/bbensaid30/COptimizers, data.cpp, trainTestData.
    """
    modulus, state = 2**31 - 1, 1
    bucket = (modulus - 2)//P
    train: dict[int, None] = {}
    while len(train) < count:
        state = 16807*state % modulus
        index = (state - 1)//bucket
        if index < P:
            train[index] = None
    chosen = np.array(list(train))
    return chosen, np.setdiff1d(np.arange(P), chosen)
