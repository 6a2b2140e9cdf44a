"""An objective that is called by address: one C function and what it reads.

The compiled loop over steps knows no objective. It calls::

    double evaluate(int64 what, const double *x, double *g, const void *data, double *work, const int64 *layout)

`what` is VALUE: the value f(x), which leaves its intermediates in `work`; GRADIENT: the gradient into `g`, at the x of
the last value with this `work`, whose intermediates it consumes; BOTH: value and gradient in one pass. `work` belongs
to one thread; the rest is only read.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

VALUE, GRADIENT, BOTH = 1, 2, 3

_TYPE = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64, *[ctypes.c_void_p]*5)


@dataclass(frozen=True, eq=False)
class Evaluator:
    """A compiled objective.

    Parameters
    ----------
    address : int
        Of the C function.
    n : int
        Coordinates of x.
    data : array
        What it reads, in its own layout.
    layout : array of int64
        Sizes and places.
    work : int
        Numbers of 8 bytes of scratch that a thread needs.
    code : object
        What keeps the function in memory.
    failed : list of exceptions
        Raised by a function in Python, which returns not-a-number then: a caller in C cannot pass them on.
    """

    address: int
    n: int
    data: np.ndarray = field(repr=False)
    layout: np.ndarray = field(repr=False)
    work: int
    code: Any = field(default=None, repr=False)
    failed: list[BaseException] = field(default_factory=list, repr=False)

    def check(self) -> None:
        """Raise the first exception of a function in Python."""
        if self.failed:
            raise self.failed[0]

    def scratch(self) -> np.ndarray:
        """Room for one thread."""
        return np.empty(self.work)

    def __call__(self, what: int, x: np.ndarray, g: np.ndarray, work: np.ndarray) -> float:
        """Evaluate at x (n,), with the gradient into g (n,); other threads run meanwhile."""
        for name, array, least in (("x", x, self.n), ("g", g, self.n), ("work", work, self.work)):
            if not (array.dtype == np.float64 and array.flags.c_contiguous and array.size >= least):
                raise ValueError(f"`{name}` must be a contiguous array of at least {least} float64, got {array.dtype} "
                                 f"of shape {array.shape}")
        for name, array in (("g", g), ("work", work)):
            if not array.flags.writeable:
                raise ValueError(f"`{name}` is written to, but the array is read-only")
        pointers = (a.ctypes.data for a in (x, g, self.data, work, self.layout))
        return _TYPE(self.address)(what, *pointers)


def called_back(function: Callable[[int, np.ndarray, np.ndarray], float], n: int) -> Evaluator:
    """An evaluator that calls `function(what, x, g) -> f` in Python, of x and g (n,)."""
    failed: list[BaseException] = []

    @ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64, *[ctypes.POINTER(ctypes.c_double)]*2, *[ctypes.c_void_p]*3)
    def evaluate(what: int, x: Any, g: Any, data: Any, work: Any, layout: Any) -> float:
        gradient = np.ctypeslib.as_array(g, (n,))
        try:
            return function(what, np.ctypeslib.as_array(x, (n,)).copy(), gradient)
        except BaseException as error:
            failed.append(error)
            gradient[:] = np.nan if what != VALUE else gradient
            return np.nan
    address = ctypes.cast(evaluate, ctypes.c_void_p).value or 0
    return Evaluator(address, n, np.zeros(1), np.zeros(1, dtype=np.int64), 1, evaluate, failed)
