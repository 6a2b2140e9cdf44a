"""The tools that compute the maps: one module each, with `NAME`, `versions()` and `ways(problem)`.

`ways` gives, by what distinguishes them (the size of a batch, say), functions that return the ends (S, n) and the
number of trials; none if the tool is no match for the problem. Each tool runs in a process of its own: see `__main__`.
The tools of a package compute its `problems`: those of `networks` train networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from experiments.benchmarks.problems import problems

__all__ = ["TOOLS", "Way", "batches", "problems", "sizes"]

TOOLS = ("lanes", "by_hand", "jax_", "torch_compiled", "torch_", "numpy_", "numba_")
Way: TypeAlias = Callable[[], tuple[np.ndarray, float]]


def batches(count: int, size: int) -> Iterator[slice]:
    """Slices of `size` starts that cover `count`; tools that compile for a size need equal ones, so that it divides."""
    if count % size:
        raise ValueError(f"batches must be of one size: {size} does not divide {count} starts")
    return (slice(first, first + size) for first in range(0, count, size))


def sizes(count: int) -> list[int]:
    """Batch sizes to choose from: whole maps to what fits a cache, divisors of the number of starts."""
    divisors = [count//parts for parts in (1, 2, 4, 8, 16, 32, 40, 64) if count % parts == 0]
    return [size for size in divisors if size >= 1000] or [count]
