"""The lanes: a machine's trial as one straight-line kernel over many starts at SIMD speed.

A *machine* is anything with `begin(x)` and `trial(record)` on nested records of numbers that hold a `status` (0 while
running). Here its two functions are traced: `begin` is evaluated by NumPy for all starts at once, `trial` is written as
numba text, a `sweep` that gives every lane one trial. The loops around it (`driver`) fill the lanes from a queue of
starts, retire those that ended and put the next start in their place; they are compiled once for all machines.

Two facts shape the text. Selects are LLVM selects, never branches, and a sweep reads one buffer and writes another:
stored in place, LLVM turns select-and-store into masked stores, 1.5 times slower on CPUs without AVX-512 (measured). The
number of swept lanes is a multiple of 64, so that the vector loop has no scalar remainder, which would round otherwise:
results do not depend on lanes, chunks or threads, bit for bit.
"""

from __future__ import annotations

import ctypes
import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from odeopt.compile import cache
from odeopt.compile.emit import VECTOR_MATH, Writer, numpy_function
from odeopt.compile.tracer import Graph, Number, Vector
from odeopt.language import leaves, rebuilt

LANES = 128                     # starts in flight on a thread; 32 to 256 differ by less than 10 %, memory stays in L1
GRAIN = 64                      # swept lanes are a multiple of this, as in the driver
TRIALS = 16                     # sweeps between two looks at who has ended
FLAGS = ("arcp", "contract", "nsz")

_HEAD = '''"""{title}"""
import math

from numba import cfunc, types
from numba.extending import intrinsic

FLAGS = {flags}


@intrinsic
def select(context, condition, a, b):
    """An LLVM select: `a if condition else b` would be a branch."""
    def generate(context, builder, signature, arguments):
        return builder.select(*arguments)
    if isinstance(a, types.Boolean):
        return types.boolean(types.boolean, types.boolean, types.boolean), generate
    return types.float64(types.boolean, types.float64, types.float64), generate

'''
_SWEEP = '''
@cfunc("void(CPointer(float64), CPointer(float64), int64, CPointer(float64))", error_model="numpy", fastmath=FLAGS, cache=True)
def sweep(A, B, lanes, P):
    """One trial of every lane, from A to B."""
{parameters}
    for j in range(lanes):
{load}
{trial}
{store}
'''


class LaneKernel:
    """A compiled machine.

    Attributes
    ----------
    source : str
        The kernel's text.
    operations : dict
        Floating-point operations of one trial, by name (selects and comparisons included).
    paths : list of tuple
        (key, ..., coordinate) of every slot, a column of the records; the status is the first.
    first_work, work
        Evaluations of the start and of a trial, as the machine counts them.
    """

    def __init__(self, machine: Any, dimension: int) -> None:
        names, self._values = zip(*machine.parameters(), strict=True)
        self._trace_begin(machine, names, dimension)
        self._trace_trial(machine, names)
        self.source = self._text(machine, names)
        self._sweep = cache.load_kernel(self.source).sweep
        self._driver = cache.load_kernel(_driver_text())

    def _trace_begin(self, machine: Any, names: Sequence[str], dimension: int) -> None:
        self._start = Graph()
        self._x = [self._start.input(f"x{i}") for i in range(dimension)]
        self._start_parameters = [self._start.input(f"p{k}") for k in range(len(names))]
        self._record, self.first_work = machine.bound(self._start_parameters).begin(Vector(self._x))

    def _trace_trial(self, machine: Any, names: Sequence[str]) -> None:
        graph = self._graph = Graph()
        self._parameters = [graph.input(f"p{k}") for k in range(len(names))]
        bound = machine.bound(self._parameters)
        before = [graph.input(f"s{k}") for k in range(len(leaves(self._record)))]
        record, work = bound.trial(rebuilt(self._record, before))
        paths = list(_paths(self._record))
        initial, after = leaves(self._record), leaves(record)
        if len(after) != len(paths):
            raise AssertionError("a trial must keep the shape of its record")
        for name, (per_trial, per_step) in work.items():
            if isinstance(per_trial, Number) or isinstance(per_step, Number):        # counted round by round in the kernel
                slot = graph.input(f"s{len(before)}")
                keep, running = work.keep, work.running
                paths.append(("work", name))
                before.append(slot)
                initial.append(0.0)
                after.append(slot + np.where(running, per_trial, 0.0) + np.where(keep, per_step, 0.0))
        self.work = work
        # A slot that no trial changes, and that starts as a parameter or a constant, is that parameter or constant.
        uniform = {}
        for k, (old, new) in enumerate(zip(before, after, strict=True)):
            if new is old and (not isinstance(initial[k], Number) or _parameter(initial[k]) is not None):
                uniform[k] = initial[k]
        # A slot that only keeps itself alive is dropped.
        kept = {k for k, path in enumerate(paths) if path[0] not in machine.internal and k not in uniform}
        while True:
            live = graph.live([after[k] for k in kept])
            more = {k for k, slot in enumerate(before) if slot.index in live and k not in uniform} - kept
            if not more:
                break
            kept |= more
        self._slots = sorted(kept)
        self.paths = [paths[k] for k in self._slots]
        self._uniform = {paths[k]: value for k, value in uniform.items()}
        self._initial = [initial[k] for k in self._slots]
        self._before = [before[k] for k in self._slots]
        self._after = [after[k] for k in self._slots]
        self._before_uniform = {before[k].index: value for k, value in uniform.items()}
        self._live = live
        self._begin = numpy_function(self._start, [*self._x, *self._start_parameters], self._initial)

    def _text(self, machine: Any, names: Sequence[str]) -> str:
        trial = Writer({s.index: f"s{k}" for k, s in enumerate(self._before)}
                       | {p.index: f"p{k}" for k, p in enumerate(self._parameters)})
        for index, value in self._before_uniform.items():
            trial.names[index] = f"p{_parameter(value)}" if isinstance(value, Number) else trial.text(value)
        trial.write(self._graph.nodes, self._live, " "*8)
        self.operations = _count(self._graph.nodes, self._live)
        head = _HEAD.format(title=machine.title, flags=set_text(FLAGS))
        if trial.operations & set(VECTOR_MATH):
            from odeopt.compile import vector_math
            head += inspect.getsource(vector_math) + "\n"
        return head + _SWEEP.format(
            parameters="\n".join(f"    p{k} = P[{k}]  # {name}" for k, name in enumerate(names)),
            load="\n".join(f"        s{k} = A[{k*LANES} + j]  # {'.'.join(map(str, path))}" for k, path in enumerate(self.paths)),
            trial="\n".join(trial.lines),
            store="\n".join(f"        B[{k*LANES} + j] = {trial.text(a)}" for k, a in enumerate(self._after)))

    # -- running

    @property
    def width(self) -> int:
        """Numbers that a start takes in the results."""
        return len(self._slots)

    def records(self, starts: np.ndarray) -> np.ndarray:
        """The records (S, width) of runs at their starts (S, n)."""
        columns = [np.ascontiguousarray(starts[:, i]) for i in range(starts.shape[1])]
        records = np.empty((len(starts), self.width))
        with np.errstate(all="ignore"):
            for k, column in enumerate(self._begin(*columns, *np.array(self._values))):
                records[:, k] = column
        return records

    @property
    def uniform_paths(self) -> list[tuple]:
        """Entries of the record that are the same for every start and trial."""
        return list(self._uniform)

    def uniform(self, path: tuple) -> float:
        """The value that every start has at `path`, where it is no slot."""
        value = self._uniform[path]
        return float(self._values[_parameter(value)] if isinstance(value, Number) else value)

    def lanes(self) -> Lanes:
        return Lanes(self)


class Lanes:
    """The lanes of one thread."""

    def __init__(self, kernel: LaneKernel) -> None:
        self._sweep, self._driver = kernel._sweep, kernel._driver
        self._parameters = np.array(kernel._values, dtype=float)
        self._a = np.zeros(kernel.width*LANES)
        self._a[:LANES] = 1.0                               # empty lanes have ended
        self._b = self._a.copy()
        self._owner = np.zeros(LANES, dtype=np.int64)
        self._filled = np.zeros(1, dtype=np.int64)

    @property
    def empty(self) -> bool:
        return self._filled[0] == 0

    def run(self, records: np.ndarray, first: int, last: int, drain: bool, rounds: int) -> int:
        """Run the records first..last-1 to their ends, in place; see `driver.run`."""
        return self._driver.run(self._sweep.address, self._parameters, self._a, self._b, self._owner, self._filled, records,
                                first, last, drain, rounds, TRIALS//2)

    def trace(self, records: np.ndarray, rows: int) -> Iterator[np.ndarray]:
        """What up to LANES records become trial by trial until all have ended, in blocks (starts, up to `rows`, width)."""
        n, pointer = len(records), ctypes.POINTER(ctypes.c_double)
        a, b = self._a.reshape(-1, LANES), self._b.reshape(-1, LANES)
        a[:, :n] = records.T
        parameters = self._parameters.ctypes.data_as(pointer)
        while np.any(a[0, :n] == 0.0):
            block = np.empty((n, rows, len(a)))
            for row in range(rows):
                self._sweep.ctypes(a.ctypes.data_as(pointer), b.ctypes.data_as(pointer), -(-n//GRAIN)*GRAIN, parameters)
                a, b = b, a
                block[:, row] = a[:, :n].T
                if not np.any(a[0, :n] == 0.0):
                    block = block[:, :row + 1]
                    break
            yield block


def _driver_text() -> str:
    path = os.path.join(os.path.dirname(__file__), "driver.py")
    with open(path, encoding="utf-8") as file:
        return file.read()


def set_text(names: Sequence[str]) -> str:
    """A set's text in a fixed order: repr of a set changes from process to process, and the cache would never hit."""
    return "{" + ", ".join(repr(name) for name in sorted(names)) + "}"


def _paths(record: Mapping, prefix: tuple = ()) -> Any:
    """(key, key, ..., coordinate) of every leaf, in the order of `leaves`."""
    for key, value in record.items():
        blocks = getattr(value, "blocks", value)
        if isinstance(blocks, Mapping):
            yield from _paths(blocks, (*prefix, key))
        elif hasattr(value, "coordinates"):
            yield from ((*prefix, key, i) for i in range(len(value)))
        else:
            yield (*prefix, key)


def _parameter(number: Number) -> int | None:
    """Which parameter this number of the start is, if it is one."""
    name = number.arguments[0] if number.op == "input" else ""
    return int(name[1:]) if name[:1] == "p" else None


def _count(nodes: Sequence[Number], live: set[int]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for node in nodes:
        if node.index in live and node.op not in ("input", "result", "loop"):
            counts[node.op] = counts.get(node.op, 0) + 1
    return counts
