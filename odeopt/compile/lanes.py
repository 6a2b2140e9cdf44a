"""The lanes: a machine's trial as one straight-line kernel over many starts at SIMD speed.

A *machine* is anything with `begin(x)` and `trial(record)` on nested records of numbers that hold a `status` (0 while
running). Here its two functions are traced and written as numba text: `sweep` gives every lane one trial, `run` fills the
lanes from a queue of starts, retires those that ended and puts the next start in their place.

Two facts shape the text. Selects are LLVM selects, never branches, and a sweep reads one buffer and writes another:
stored in place, LLVM turns select-and-store into masked stores, 1.5 times slower on CPUs without AVX-512 (measured). The
number of swept lanes is a multiple of 64, so that the vector loop has no scalar remainder, which would round otherwise:
results do not depend on lanes, chunks or threads, bit for bit.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from odeopt.compile import cache
from odeopt.compile.emit import VECTOR_MATH, Writer
from odeopt.compile.tracer import Graph, Number, Vector
from odeopt.language import leaves, rebuilt

LANES = 128                     # starts in flight on a thread; 32 to 256 differ by less than 10 %, memory stays in L1
GRAIN = 64                      # swept lanes are a multiple of this
TRIALS = 16                     # sweeps between two looks at who has ended
FLAGS = ("arcp", "contract", "nsz")

_HEAD = '''"""{title}"""
import math

from numba import njit, types
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
_BODY = '''
@njit("void(float64[::1], float64[::1], int64, float64[::1])", error_model="numpy", fastmath=FLAGS, nogil=True, cache=True)
def sweep(A, B, lanes, P):
    """One trial of every lane, from A to B."""
{parameters}
    for j in range(lanes):
{load}
{trial}
{store}


@njit("void(float64[::1], int64, float64[::1], float64[::1])", error_model="numpy", fastmath=FLAGS, nogil=True, cache=True)
def begin(A, j, x, P):
    """Puts a start into lane j."""
{parameters}
{begin}


@njit("int64(float64[::1], float64[::1], int64[::1], int64[::1], float64[:, ::1], float64[:, ::1], int64, int64, "
      "boolean, int64, float64[::1])", error_model="numpy", nogil=True, cache=True)
def run(A, B, owner, filled, X, out, first, last, drain, rounds, P):
    """Runs starts first..last-1; returns the first one not yet in a lane.

    With `drain` it goes on until the lanes are empty, else it stops when the queue can no longer fill them.
    """
    n = filled[0]
    for _ in range(rounds):
        while n < {lanes} and first < last:
            begin(A, n, X[first], P)
            owner[n] = first
            n += 1
            first += 1
        if n == 0 or (n < {lanes} and not drain):
            break
        swept = (n + {grain} - 1) // {grain} * {grain}
        for _ in range({trials}):
            sweep(A, B, swept, P)
            sweep(B, A, swept, P)
        j = 0
        while j < n:
            if A[{status} + j] == 0.0:
                j += 1
                continue
            n -= 1
            for k in range({slots}):
                out[owner[j], k] = A[k * {lanes} + j]
                A[k * {lanes} + j] = A[k * {lanes} + n]
            owner[j] = owner[n]
            A[{status} + n] = 1.0
    filled[0] = n
    return first


@njit("int64(float64[::1], float64[::1], int64, float64[:, :, ::1], int64, float64[::1])",
      error_model="numpy", nogil=True, cache=True)
def record(A, B, n, rows, stride, P):
    """Writes lanes 0..n-1 into rows[:, k] after every `stride` trials; returns how many rows it filled."""
    swept = (n + {grain} - 1) // {grain} * {grain}
    for row in range(rows.shape[1]):
        running = False
        for j in range(n):
            running = running or A[{status} + j] == 0.0
        if not running:
            return row
        for _ in range(stride):
            sweep(A, B, swept, P)
            for k in range({slots}):
                for j in range(swept):
                    A[k * {lanes} + j] = B[k * {lanes} + j]
        for j in range(n):
            for k in range({slots}):
                rows[j, row, k] = A[k * {lanes} + j]
    return rows.shape[1]
'''


class LaneKernel:
    """A compiled machine.

    Attributes
    ----------
    source : str
        The kernel's text.
    operations : dict
        Floating-point operations of one trial, by name (selects and comparisons included).
    module
        The numba module with `sweep`, `begin`, `run` and `record`.
    """

    def __init__(self, machine: Any, dimension: int) -> None:
        names, self._values = zip(*machine.parameters(), strict=True)
        self._trace_begin(machine, names, dimension)
        self._trace_trial(machine, names)
        self.source = self._text(machine, names)
        self.module = cache.load_kernel(self.source)

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

    def _text(self, machine: Any, names: Sequence[str]) -> str:
        status = self.paths.index(("status",))*LANES
        trial = Writer({s.index: f"s{k}" for k, s in enumerate(self._before)}
                       | {p.index: f"p{k}" for k, p in enumerate(self._parameters)})
        for index, value in self._before_uniform.items():
            trial.names[index] = f"p{_parameter(value)}" if isinstance(value, Number) else trial.text(value)
        trial.write(self._graph.nodes, self._live, " "*8)
        start = Writer({x.index: f"x[{i}]" for i, x in enumerate(self._x)}
                       | {p.index: f"p{k}" for k, p in enumerate(self._start_parameters)})
        start.write(self._start.nodes, self._start.live(self._initial), " "*4)
        used = trial.operations | start.operations
        self.operations = _count(self._graph.nodes, self._live)
        head = _HEAD.format(title=machine.title, flags=set_text(FLAGS))
        if used & set(VECTOR_MATH):
            from odeopt.compile import vector_math
            head += inspect.getsource(vector_math) + "\n"
        return head + _BODY.format(
            parameters="\n".join(f"    p{k} = P[{k}]  # {name}" for k, name in enumerate(names)),
            load="\n".join(f"        s{k} = A[{k*LANES} + j]  # {'.'.join(map(str, path))}" for k, path in enumerate(self.paths)),
            trial="\n".join(trial.lines),
            store="\n".join(f"        B[{k*LANES} + j] = {trial.text(a)}" for k, a in enumerate(self._after)),
            begin="\n".join([*start.lines, *(f"    A[{k*LANES} + j] = {start.text(a)}" for k, a in enumerate(self._initial))]),
            status=status, slots=len(self._slots), lanes=LANES, grain=GRAIN, trials=TRIALS//2)

    # -- running

    @property
    def width(self) -> int:
        """Numbers that a start takes in the results."""
        return len(self._slots)

    def parameters(self) -> np.ndarray:
        return np.array(self._values, dtype=float)

    @property
    def uniform_paths(self) -> list[tuple]:
        """Entries of the record that are the same for every start and trial."""
        return list(self._uniform)

    def column(self, path: tuple) -> int | None:
        return self.paths.index(path) if path in self.paths else None

    def uniform(self, path: tuple) -> float:
        """The value that every start has at `path`, where it is no slot."""
        value = self._uniform[path]
        return float(self._values[_parameter(value)] if isinstance(value, Number) else value)

    def lanes(self) -> Lanes:
        return Lanes(self)


class Lanes:
    """The lanes of one thread."""

    def __init__(self, kernel: LaneKernel) -> None:
        self._run, self._begin, self._record = kernel.module.run, kernel.module.begin, kernel.module.record
        self._parameters = kernel.parameters()
        self._a = np.zeros(kernel.width*LANES)
        self._a[kernel.paths.index(("status",))*LANES:][:LANES] = 1.0              # empty lanes have ended
        self._b = self._a.copy()
        self._owner = np.zeros(LANES, dtype=np.int64)
        self.filled = np.zeros(1, dtype=np.int64)

    def run(self, starts: np.ndarray, out: np.ndarray, first: int, last: int, drain: bool, rounds: int) -> int:
        return self._run(self._a, self._b, self._owner, self.filled, starts, out, first, last, drain, rounds, self._parameters)

    def record(self, starts: np.ndarray, rows: np.ndarray, stride: int, fresh: bool) -> int:
        """Trace up to LANES starts: rows[start, k] is the record after (k+1)*stride further trials, `first` that before."""
        if fresh:
            for j in range(len(starts)):
                self._begin(self._a, j, starts[j], self._parameters)
            self.first = self._a.reshape(-1, LANES)[:, :len(starts)].T.copy()
        return self._record(self._a, self._b, len(starts), rows, stride, self._parameters)


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
