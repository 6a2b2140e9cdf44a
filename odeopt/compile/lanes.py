"""The lanes: a machine's trial as one straight-line kernel over many starts at SIMD speed.

A *machine* (`trial.Machine`) has `begin(x)` and `trial(record)` on nested records of numbers that hold a `status` (0
while running) and a time `t`. Here its two functions are traced: `begin` is evaluated by NumPy for all starts at once,
`trial` is written as text, of which a `sweep` gives every lane one trial. The loops around it (`driver`) fill the lanes
from a queue of starts, retire those that ended and put the next start in their place; they are compiled once for all
machines.

Two facts shape the text. Selects are LLVM selects, never branches, and a sweep reads one buffer and writes another:
stored in place, LLVM turns select-and-store into masked stores, nearly twice as slow on AVX2 (measured).
Every operation is rounded as it is written (elementary functions apart, which are alike everywhere), products and sums
are fused by the graph and not by LLVM: a vector loop and its remainder round alike, and results do not depend on lanes,
chunks or threads, bit for bit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from ctypes import CFUNCTYPE, c_bool, c_int64, c_void_p
from typing import Any

import numpy as np

from odeopt.compile import cache
from odeopt.compile.emit import Writer, head, indented, numpy_function
from odeopt.compile.rewriting import AS_THEY_ARE, arranged, uniform
from odeopt.compile.scheduling import scheduled
from odeopt.compile.slots import Slot, needed, shared, traced
from odeopt.compile.tracer import Graph, Number, Vector

LANES = 128                     # starts in flight on a thread; 64 and 256 are as fast, to a tenth
STRIDE = LANES + 8              # rows 1024 bytes apart share sets of the L1 cache (Rosenbrock-10: a quarter slower)
TRIALS = 16                     # sweeps between two looks at the queue
FLAGS = ()                      # no fast-math: what is fused is the graph's choice

_TRIAL = '''

@intrinsic
def trial(typing, A, B, j, P):
    """One trial of lane j, from A to B."""
    def generate(context, builder, signature, arguments):
        A, B, j, P = arguments_of(builder, arguments)
{lines}
        return context.get_dummy_value()
    return types.void(A, B, j, P), generate
'''
_SWEEP = '''

@cfunc("int64(CPointer(float64), CPointer(float64), int64, CPointer(float64))", error_model="numpy")
def sweep(A, B, lanes, P):
    """One trial of every lane, from A to B; whether a run has ended."""
    parameters = ({numbers})
    for j in range(lanes):
        trial(A, B, j, parameters)
    ended = 0
    for j in range(lanes):                                  # in the loop above it would take a register
        ended |= B[j] != 0.0
    return ended
'''


class LaneKernel:
    """A compiled machine.

    Attributes
    ----------
    source : str
        The kernel's text.
    paths : list of tuple
        (key, ..., coordinate) of every slot, a column of the records; the status is the first.
    first_work : dict
        Evaluations of the start.
    work : Work
        Evaluations of a trial; those that are counted in the kernel have the path ("work", name).
    """

    def __init__(self, machine: Any, dimension: int) -> None:
        names, self._values = zip(*machine.parameters(), strict=True)
        start, trial = Graph(), Graph()
        x = [start.input(f"x{i}") for i in range(dimension)]
        parameters, bound = ([graph.input(f"p{k}") for k in range(len(names))] for graph in (start, trial))
        record, self.first_work = machine.bound(parameters).begin(Vector(x))
        slots, self.work = traced(machine.bound(bound), start, trial, record)
        self._uniform = {slot.path: slot for slot in slots if slot.uniform}
        slots, live = needed(trial, slots, (*machine.internal, "clock"))
        self.paths = [slot.path for slot in slots]
        self._begin = numpy_function(start, [*x, *parameters], [slot.initial for slot in slots])
        self._trial = [node for node in trial.nodes if node.index in live]
        self.source = _text(machine.title, names, trial, slots, self._uniform.values())
        self.sweep = cache.load_kernel(self.source).sweep.address
        self.driver = cache.load_kernel(cache.source("driver"), vectorize=False).run.address

    @property
    def operations(self) -> dict[str, int]:
        """Operations of one trial by name, comparisons and selects included; without those that all lanes share."""
        return dict(Counter(node.op for node in self._trial if node.op not in AS_THEY_ARE and not uniform(node)))

    @property
    def width(self) -> int:
        """Numbers that a start takes in the records."""
        return len(self.paths)

    def records(self, starts: np.ndarray) -> np.ndarray:
        """The records (S, width) of runs at their starts (S, n)."""
        columns = [np.ascontiguousarray(starts[:, i]) for i in range(starts.shape[1])]
        records = np.empty((len(starts), self.width))
        with np.errstate(all="ignore"):
            for k, column in enumerate(self._begin(*columns, *np.array(self._values))):
                records[:, k] = column
        return records

    def columns(self, records: np.ndarray) -> dict[tuple, np.ndarray]:
        """Columns of records (..., width) by path, vectors as one array each; what is uniform is filled in."""
        columns = {path: records[..., k] for k, path in enumerate(self.paths)}
        for path, slot in self._uniform.items():
            value = slot.initial if slot.parameter is None else self._values[slot.parameter]
            columns[path] = np.full(records.shape[:-1], float(value))
        vectors: dict[tuple, list] = {}
        for path in columns:
            if isinstance(path[-1], int):
                vectors.setdefault(path[:-1], []).append(path)
        for vector, names in vectors.items():
            first, coordinates = self._place(names), [columns.pop(name) for name in sorted(names)]
            columns[vector] = (np.stack(coordinates, axis=-1) if first is None else
                               records[..., first:first + len(names)])
        return columns

    def _place(self, names: list[tuple]) -> int | None:
        """Where the coordinates of a vector stand side by side in the records: it needs no copy."""
        first = self.paths.index(names[0]) if names[0] in self.paths else 0
        return first if self.paths[first:first + len(names)] == names else None

    def lanes(self) -> Lanes:
        """The lanes of one thread."""
        return Lanes(self)


def _text(title: str, names: Sequence[str], graph: Graph, slots: Sequence[Slot], alike: Collection[Slot]) -> str:
    """The kernel's text."""
    after = arranged(graph, [slot.after for slot in slots], shared(alike, graph))
    nodes = graph.needed(after)
    writer = Writer({node.index: node.arguments[0] for node in nodes if node.op == "input"})
    lines = writer.lines
    lines += [f"p{k} = P[{k}]  # {name}" for k, name in enumerate(names)]
    for slot in alike:                                      # loops know them as slots
        if slot.before.index in writer.names:
            value = writer.text(slot.initial) if slot.parameter is None else f"p{slot.parameter}"
            lines.append(f"{writer.text(slot.before)} = number(builder, {value})")
    unread = {slot.before.index: (k, slot.path) for k, slot in enumerate(slots)}
    ends: dict[int, list[int]] = defaultdict(list)
    for k, a in enumerate(after):
        if isinstance(a, Number):
            ends[a.index].append(k)

    def read(a: Number) -> None:
        if a.index in unread:
            k, path = unread.pop(a.index)
            lines.append(f"{writer.text(a)} = A[{k*STRIDE} + j]  # {'.'.join(map(str, path))}")

    def store(a: Any, rows: Sequence[int]) -> None:
        lines.extend(f"B[{k*STRIDE} + j] = {writer.text(a)}" for k in rows)
    for node in scheduled([node for node in nodes if node.op != "input"], unread):
        for a in node.needs():
            read(a)
        writer.write([node], {node.index}, "")
        store(node, ends.pop(node.index, ()))
    for k, a in enumerate(after):
        if not isinstance(a, Number):
            store(a, [k])
        elif a.index in ends:                               # an input
            read(a)
            store(a, ends.pop(a.index))
    text, functions = head(title, writer.operations, FLAGS)
    return (text + _TRIAL.format(lines=indented([*functions, *lines], 8))
            + _SWEEP.format(numbers="".join(f"P[{k}], " for k in range(len(names)))))


class Lanes:
    """The lanes of one thread."""

    def __init__(self, kernel: LaneKernel) -> None:
        self._sweep, self._run = _SWEEP_TYPE(kernel.sweep), _RUN_TYPE(kernel.driver)
        self._address = kernel.sweep
        self._parameters = np.array(kernel._values, dtype=float)
        self._a, self._b = _buffers(kernel.width*STRIDE)
        self._owner = np.zeros(LANES, dtype=np.int64)
        self._filled = np.zeros(1, dtype=np.int64)

    @property
    def empty(self) -> bool:
        """Whether no run is under way."""
        return self._filled[0] == 0

    def run(self, records: np.ndarray, first: int, last: int, drain: bool, rounds: int) -> int:
        """Run the records first..last-1 to their ends, in place; see `driver.run`."""
        return self._run(self._address, _pointer(self._parameters), _pointer(self._a), _pointer(self._b), LANES, STRIDE,
                         _pointer(self._owner), _pointer(self._filled), _pointer(records), records.shape[1], first,
                         last, drain, rounds, TRIALS//2)

    def trace(self, records: np.ndarray, rows: int) -> Iterator[np.ndarray]:
        """What up to LANES records become, trial by trial until all have ended: blocks (starts, <= rows, width)."""
        n, parameters = len(records), _pointer(self._parameters)
        (a, before), (b, after) = ((flat.reshape(-1, STRIDE)[:, :n], _pointer(flat)) for flat in (self._a, self._b))
        a[:] = records.T
        ended = a[0] != 0.0
        while not ended.all():
            block = np.empty((n, rows, len(a)))
            for row in range(rows):
                self._sweep(before, after, n, parameters)
                b[:, ended] = a[:, ended]
                a, before, b, after = b, after, a, before
                block[:, row] = a.T
                ended = a[0] != 0.0
                if ended.all():
                    block = block[:, :row + 1]
                    break
            yield block


_SWEEP_TYPE = CFUNCTYPE(c_int64, c_void_p, c_void_p, c_int64, c_void_p)
_RUN_TYPE = CFUNCTYPE(c_int64, c_int64, *[c_void_p]*3, *[c_int64]*2, *[c_void_p]*3, *[c_int64]*3, c_bool, *[c_int64]*2)


def _buffers(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two times n zeros, from the start of a cache line: vectors that cross lines cost 8 % (measured on AVX2).

    The second lies 512 bytes before the first, modulo a page: a load waits for stores just before it whose addresses
    seem the same in their last 12 bits. At some other distances Rosenbrock-10 took 1.5 times as long.
    """
    page, line = 4096//8, 64//8
    apart = -(-n//page)*page + page - 512//8
    zeros = np.zeros(line + apart + n)
    first = -zeros.ctypes.data//8 % line
    return zeros[first:first + n], zeros[first + apart:first + apart + n]


def _pointer(array: np.ndarray) -> int:
    return array.ctypes.data
