"""The vector emitter: a machine's trial for an objective of any size, as one kernel that calls the objective.

The machine is traced with vectors as `Column`s, one coordinate for all. Its trace holds numbers, coordinates and
barriers: the objective's value and gradient, and sums over coordinates. The *phase* of an operation is the number of
barriers before it; all coordinates of a phase are one fused loop, and what a later phase needs of them is kept in a
buffer. The kernel branches where the lanes select: the trace is specialised to a trial that is accepted and to one that
is rejected, so that a gradient at the new point costs nothing where the step is not taken.

Vectors are rows of one workspace Z, known by their offsets. Where a block takes over a buffer only the offsets are
exchanged; a rejected trial leaves the blocks as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ctypes import CFUNCTYPE, c_int64, c_void_p
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from odeopt.compile import cache
from odeopt.compile.emit import KERNEL, Writer, head, indented
from odeopt.compile.evaluator import BOTH, GRADIENT, VALUE, Evaluator
from odeopt.compile.rewriting import specialised
from odeopt.compile.slots import counted, paths
from odeopt.compile.tracer import REDUCTIONS, Column, Graph, Number
from odeopt.language import FormulaError, leaves, rebuilt

# a sum over coordinates: where it starts, and one more coordinate
_SUMS = {"sum": ("0.0", "add_in_any_order({}, {})"), "any": ("False", "{} | {}"),
         "largest": ("-math.inf", KERNEL["max"]), "smallest": ("math.inf", KERNEL["min"])}
_CALLS = ("value", "gradient")
FLAGS = ("arcp", "contract", "nsz")
_EACH = "with loop(builder, n) as (i, _):"
_RUN = '''

@intrinsic
def trials_of(typing, objective, data, work, layout, P, S, offsets, Z, n, trials):
    def generate(context, builder, signature, arguments):
        objective, data, work, layout, P, S, offsets, Z, n, trials = arguments_of(builder, arguments)
{load}
        with loop(builder, trials) as (_, leave):
            with builder.if_then((s0 != 0.0).value):
                leave()
{trial}
{store}
        return context.get_dummy_value()
    return types.void(objective, data, work, layout, P, S, offsets, Z, n, trials), generate


@cfunc("void(int64, int64, int64, int64, CPointer(float64), CPointer(float64), CPointer(int64), CPointer(float64), "
       "int64, int64)", error_model="numpy")
def run(objective, data, work, layout, P, S, offsets, Z, n, trials):
    """At most `trials` trials: numbers of the record in S, vectors in rows of Z at `offsets`."""
    trials_of(objective, data, work, layout, P, S, offsets, Z, n, trials)
'''
_RUN_TYPE = CFUNCTYPE(None, *[c_int64]*4, *[c_void_p]*4, c_int64, c_int64)


@dataclass(frozen=True)
class Called:
    """An objective of any size as the trace sees it: its value and gradient are operations."""

    f_star: Any
    backend = None

    def f(self, x: Column) -> Any:
        return x.reduced("value")

    def gradient(self, x: Column) -> Column:
        return x.like([x.reduced("gradient")])

    def __repr__(self) -> str:
        return "an objective called by address"

    def __getattr__(self, name: str) -> Any:
        if name in ("hessian", "hessp", "r", "jacobian", "gauss_newton", "prox"):
            raise FormulaError(f"the vector kernels know the objective's value and gradient, not its {name}: "
                               'use backend="numpy", or a method without it')
        raise AttributeError(name)


class VectorKernel:
    """A compiled machine for objectives of any size.

    Attributes
    ----------
    source : str
        The kernel's text.
    paths : list of tuple
        (key, ..., ) of every number and vector of the record; the status is the first.
    varying : list of bool
        Which of them are vectors.
    work : Work
        Evaluations of a trial; those that are counted in the kernel have the path ("work", name).
    """

    def __init__(self, machine: Any) -> None:
        called = replace(machine, objective=Called(machine.objective.f_star))
        names, self.values = zip(*called.parameters(), strict=True)
        start, graph = Graph(), Graph()
        record, _ = called.bound([start.input(f"p{k}") for k in range(len(names))]).begin(
            Column([start.input("x", varying=True)]))
        self.varying = [isinstance(a, Number) and a.varying for a in leaves(record)]
        self.paths = [path[:-1] if varying else path
                      for path, varying in zip(paths(record), self.varying, strict=True)]
        slots = [graph.input(f"s{k}", varying) for k, varying in enumerate(self.varying)]
        new, self.work = called.bound([graph.input(f"p{k}") for k in range(len(names))]).trial(rebuilt(record, slots))
        after = leaves(new)
        for path, slot, more in counted(graph, self.work, len(slots)):
            self.paths.append(path)
            self.varying.append(False)
            slots.append(slot)
            after.append(more)
        emitter = Emitter(graph, slots, after, self.work.keep)
        self.source = emitter.text(called.title, names)
        self.rows = emitter.rows
        self.address = cache.load_kernel(self.source).run.address


class Room:
    """Where one thread runs: the record's numbers and vectors, buffers, and the objective's scratch."""

    def __init__(self, kernel: VectorKernel, evaluator: Evaluator, n: int) -> None:
        self._kernel = kernel
        self._numbers = np.zeros(len(kernel.varying))
        self._rows = np.zeros((kernel.rows, n))
        self._first = np.arange(kernel.rows)*n
        self._offsets = self._first.copy()
        arrays = (evaluator.data, evaluator.scratch(), evaluator.layout, np.array(kernel.values, dtype=float),
                  self._numbers, self._offsets, self._rows)
        self._kept = evaluator, arrays                      # in memory, since the function has their addresses alone
        self._function = partial(_RUN_TYPE(kernel.address), evaluator.address, *(a.ctypes.data for a in arrays), n)

    def begin(self, record: Mapping) -> None:
        """Take the record of a run at its start, as NumPy read it."""
        self._offsets[:] = self._first
        self._numbers[:] = 0.0
        rows = iter(self._rows)
        for k, (value, varying) in enumerate(zip(leaves(record), self._kernel.varying, strict=False)):
            if varying:
                next(rows)[:] = value
            else:
                self._numbers[k] = value

    @property
    def running(self) -> bool:
        """Whether the run has not ended."""
        return self._numbers[0] == 0.0

    def vector(self, *path: str) -> np.ndarray:
        """A vector of the record, in place until the run goes on."""
        vectors = [name for name, varying in zip(self._kernel.paths, self._kernel.varying, strict=True) if varying]
        return self._rows[self._offsets[vectors.index(path)]//self._rows.shape[1]]

    def go(self, trials: int) -> bool:
        """Go on for at most so many trials; whether the run has not ended."""
        self._function(trials)
        return self.running

    def record(self) -> np.ndarray:
        """The record as it is, flat: numbers and vectors in the order of the kernel's paths, the status first."""
        rows = (self._rows[offset//self._rows.shape[1]] for offset in self._offsets)
        return np.concatenate([next(rows) if varying else self._numbers[k:k + 1]
                               for k, varying in enumerate(self._kernel.varying)])


class Emitter:
    """Writes a trace as sections: what decides on a trial, what follows if it is accepted, and if it is rejected.

    Parameters
    ----------
    graph : Graph
    slots : list of Number
        The record before the trial; the first, the status, is 0 while the run goes on.
    after : list
        The record after it.
    keep : Number or bool
        Whether the trial is accepted.
    """

    def __init__(self, graph: Graph, slots: Sequence[Number], after: Sequence, keep: Any) -> None:
        self._graph, self._slots, self._after, self._keep = graph, slots, after, keep
        if any(node.op == "loop" for node in graph.nodes):
            raise FormulaError("iterate with more than 4 rounds has no vector kernel: "
                               'use backend="numpy", or at most 4 rounds')
        inputs = [node for node in graph.nodes if node.op == "input"]
        self._names = {node.index: node.arguments[0] for node in inputs if not node.varying}
        self._rows = {node.index: f"o{k}" for k, node in enumerate(n for n in inputs if n.varying)}
        self._offsets = list(self._rows.values())
        self._evaluated: int | None = None                  # the point whose intermediates the objective holds
        self._operations: set[str] = set()

    @property
    def rows(self) -> int:
        """Rows of the workspace: the record's and buffers."""
        return len(self._offsets)

    def text(self, title: str, parameters: Sequence[str]) -> str:
        """The kernel's text."""
        trial = self._trial()
        numbers = [f"s{k}" for k, slot in enumerate(self._slots) if not slot.varying]
        load = [f"p{k} = P[{k}]  # {name}" for k, name in enumerate(parameters)]
        load += [f"{name} = Variable(builder, S[{name[1:]}])" for name in numbers]
        load += [f"{name} = Variable(builder, offsets[{k}])" for k, name in enumerate(self._offsets)]
        store = [f"S[{name[1:]}] = {name}" for name in numbers]
        store += [f"offsets[{k}] = {name}" for k, name in enumerate(self._offsets)]
        text, functions = head(title, self._operations, FLAGS)
        return text + _RUN.format(load=indented([*functions, *load], 8), trial=indented(trial, 12),
                                  store=indented(store, 8))

    def _trial(self) -> list[str]:
        if not isinstance(self._keep, Number):
            return self._branch(bool(self._keep))
        accepted, rejected = map(self._specialised, (True, False))
        lines = self._section([self._keep], [*accepted, *rejected])
        before = dict(self._names), dict(self._rows), self._evaluated
        lines += [f"with builder.if_else(({self._text(self._keep)} != 0.0).value) as (accepted, rejected):",
                  "    with accepted:", *(f"        {line}" for line in self._branch(True))]
        self._names, self._rows, self._evaluated = before
        return [*lines, "    with rejected:", *(f"        {line}" for line in self._branch(False))]

    def _text(self, a: Any) -> str:
        return Writer(self._names).text(a)

    # -- what follows a decision

    def _branch(self, accepted: bool) -> list[str]:
        """Lines that make the new record once it is known whether the trial is accepted."""
        moved = [(slot, a) for slot, a in zip(self._slots, self._specialised(accepted), strict=True) if a is not slot]
        lines = self._section([a for _, a in moved], [a for slot, a in moved if slot.varying])
        lines += self._exchanged([(slot, a) for slot, a in moved if slot.varying])
        numbers = {self._text(slot): self._text(a) for slot, a in moved if not slot.varying}
        return [*lines, _assigned(numbers, numbers.values())] if numbers else lines

    def _exchanged(self, moved: Sequence[tuple[Number, Any]]) -> list[str]:
        """Blocks take over the rows of their new values; the rows that they give up become buffers."""
        lines: list[str] = []
        taken: dict[str, str] = {}
        for slot, a in moved:
            row = self._rows[a.index] if isinstance(a, Number) and a.varying else None
            if row is None or row in taken.values():        # one number for all coordinates, or two blocks become equal
                value = self._text(a) if row is None else f"Z[{row} + i]"
                row = self._buffer()
                lines += [_EACH, f"    Z[{row} + i] = {value}"]
            taken[self._rows[slot.index]] = row
        free = [row for row in taken if row not in taken.values()]
        buffers = [row for row in taken.values() if row not in taken]
        if taken:
            lines.append(_assigned([*taken, *buffers], [*taken.values(), *free]))
        return lines

    def _specialised(self, accepted: bool) -> list:
        """The record after a trial of which it is known whether it is accepted."""
        return specialised(self._graph, self._keep, accepted, self._after)

    # -- sections

    def _section(self, roots: Sequence, later: Sequence) -> list[str]:
        """Lines that compute `roots`; what `later` needs of their coordinates is kept in buffers."""
        order = self._needed(roots)
        phase = _phases(order)
        kept = {node.index for node in self._needed(later, within=order) if node.varying}
        for node in order:
            barrier = node.op in REDUCTIONS or node.op == "gradient"
            for a in node.arguments:
                if isinstance(a, Number) and a.index in phase and a.varying and (
                        node.op in _CALLS or phase[node.index] - barrier > phase[a.index]):
                    kept.add(a.index)
        lines = []
        for p in range(max(phase.values(), default=0) + 1):
            here = [node for node in order if phase[node.index] == p]
            lines += self._calls([node for node in here if node.op in _CALLS])
            plain = [node for node in here if node.op not in (*REDUCTIONS, "gradient")]
            lines += self._written([node for node in plain if not node.varying])
            sums = [node for node in order if node.op in _SUMS and phase[node.index] == p + 1]
            lines += self._loop([node for node in plain if node.varying], sums, kept)
        return lines

    def _needed(self, roots: Sequence, within: Sequence[Number] | None = None) -> list[Number]:
        """What must be computed for `roots`, in order; or which of the nodes `within` they need first."""
        inside = None if within is None else {node.index for node in within}
        needed: dict[int, Number] = {}
        seen = self._names.keys() | self._rows.keys()
        stack = list(roots)
        while stack:
            node = stack.pop()
            if not isinstance(node, Number) or node.index in seen:
                continue
            seen.add(node.index)
            if inside is None or node.index in inside:
                needed[node.index] = node
            if inside is None or node.index not in inside:
                stack += node.arguments
        return [needed[index] for index in sorted(needed)]

    def _written(self, nodes: Sequence[Number]) -> list[str]:
        writer = Writer(self._names)
        writer.write(nodes, {node.index for node in nodes}, "")
        self._operations |= writer.operations
        return writer.lines

    def _calls(self, nodes: Sequence[Number]) -> list[str]:
        """One call of the objective for a value and a gradient at the same point."""
        asked: dict[int, dict[str, Number]] = {}
        for node in nodes:
            asked.setdefault(node.arguments[0].index, {})[node.op] = node
        lines = []
        for x, what in asked.items():
            result, row = "_", self._rows[x]
            if "value" in what:
                result = self._names[what["value"].index] = f"r{what['value'].index}"
            code = VALUE if "gradient" not in what else BOTH if "value" in what or self._evaluated != x else GRADIENT
            self._evaluated = x if code == VALUE else None  # a gradient consumes the intermediates
            g = row
            if code != VALUE:
                g = self._rows[what["gradient"].index] = self._buffer()
            lines.append(f"{result} = evaluate(objective, {code}, Z, {row}, {g}, data, work, layout)")
        return lines

    def _loop(self, body: Sequence[Number], sums: Sequence[Number], kept: set[int]) -> list[str]:
        """The fused loop over the coordinates of a phase."""
        writer, begin = Writer(dict(self._names)), []
        for a in (a for node in (*body, *sums) for a in node.operands):
            if a.index in self._rows and a.index not in writer.names:
                writer.names[a.index] = f"z{a.index}"
                writer.lines.append(f"    z{a.index} = Z[{self._rows[a.index]} + i]")
        writer.write(body, {node.index for node in body}, "    ")
        for node in sums:
            name = self._names[node.index] = f"r{node.index}"
            first, more = _SUMS[node.op]
            begin.append(f"{name} = Variable(builder, {first})")
            writer.lines.append("    " + _assigned([name], [more.format(name, writer.text(node.arguments[0]))]))
        for node in body:
            if node.index in kept:
                row = self._rows[node.index] = self._buffer()
                writer.lines.append(f"    Z[{row} + i] = {writer.names[node.index]}")
        self._operations |= writer.operations
        return [*begin, _EACH, *writer.lines] if writer.lines else []

    def _buffer(self) -> str:
        self._offsets.append(f"o{len(self._offsets)}")
        return self._offsets[-1]


def _phases(order: Sequence[Number]) -> dict[int, int]:
    """The number of barriers before each operation; coordinates are computed where they are first used."""
    phase: dict[int, int] = {}
    barrier = {node.index: node.op in REDUCTIONS or node.op == "gradient" for node in order}
    for node in order:
        before = (phase.get(a.index, 0) for a in node.operands)
        phase[node.index] = max(before, default=0) + barrier[node.index]
    latest = dict.fromkeys(phase, max(phase.values(), default=0))
    for node in reversed(order):
        if node.varying and not barrier[node.index]:
            phase[node.index] = latest[node.index]
        for a in node.arguments:
            if isinstance(a, Number) and a.index in phase:
                latest[a.index] = min(latest[a.index], phase[node.index] - barrier[node.index])
    return phase


def _assigned(variables: Iterable[str], values: Iterable[str]) -> str:
    return f"assign([{', '.join(variables)}], [{', '.join(values)}])"
