"""What a machine's record becomes in the lanes: slots, each a number with its value before and after a trial."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from odeopt.compile.rewriting import clocks, copied
from odeopt.compile.tracer import Graph, Number
from odeopt.language import leaves, rebuilt, where


@dataclass(frozen=True)
class Slot:
    """One number of the record: where it stands, its value at the start, before and after a trial."""

    path: tuple
    initial: Any
    before: Number
    after: Any

    @property
    def parameter(self) -> int | None:
        """Which parameter it starts as, if it starts as one."""
        name = self.initial.arguments[0] if isinstance(self.initial, Number) and self.initial.op == "input" else ""
        return int(name[1:]) if name[:1] == "p" else None

    @property
    def uniform(self) -> bool:
        """Whether every start has the same value and no trial changes it: then it needs no room in the lanes."""
        return self.after is self.before and (self.parameter is not None or not isinstance(self.initial, Number))


def traced(machine: Any, start: Graph, graph: Graph, record: Mapping) -> tuple[list[Slot], Any]:
    """The slots of a record made in `start`, the trial of the machine, bound in `graph`, and the trial's work."""
    initial = leaves(record)
    before = [graph.input(f"s{k}") for k in range(len(initial))]
    new, work = machine.trial(rebuilt(record, before))
    slots = [Slot(*parts) for parts in zip(paths(record), initial, before, leaves(new), strict=True)]
    slots += [Slot(path, 0.0, slot, after) for path, slot, after in counted(graph, work, len(slots))]
    time = next(slot for slot in slots if slot.path == ("t",))
    if isinstance(time.initial, Number) or time.initial < 0.0:      # exp(u t) may overflow there, and come back
        return slots, work
    moving = [slot for slot in slots if not slot.uniform]
    after, carried = clocks(graph, time.before, time.after, [slot.after for slot in moving], shared(slots, graph))
    moving = [replace(slot, after=a) for slot, a in zip(moving, after, strict=True)]
    return [slot for slot in slots if slot.uniform] + moving + [
        Slot(("clock", k), np.exp(copied(u, start)*time.initial), *rest) for k, (u, *rest) in enumerate(carried)], work


def shared(slots: Iterable[Slot], graph: Graph) -> dict[int, Any]:
    """The values of slots that are uniform, by the indices of what the trial knows them as."""
    return {slot.before.index: copied(slot.initial, graph) for slot in slots if slot.uniform}


def counted(graph: Graph, work: Any, first: int) -> Iterator[tuple[tuple, Number, Any]]:
    """(path, before, after) of evaluations that differ from trial to trial: they are counted as they come."""
    for name, (per_trial, per_step) in work.items():
        if isinstance(per_trial, Number) or isinstance(per_step, Number):
            slot = graph.input(f"s{first}")
            first += 1
            yield ("work", name), slot, slot + (per_trial + where(work.keep, per_step, 0.0))


def needed(graph: Graph, slots: Sequence[Slot], internal: Container[str]) -> tuple[list[Slot], set[int]]:
    """The slots that are results, or that results depend on, and the nodes that must be computed for them."""
    found = [slot for slot in slots if slot.path[0] not in internal and not slot.uniform]
    while True:
        live = graph.live([slot.after for slot in found])
        known = {slot.path for slot in found}
        more = [slot for slot in slots if slot.before.index in live and not slot.uniform and slot.path not in known]
        if not more:
            return [slot for slot in slots if slot.path in known], live
        found += more


def paths(record: Mapping, prefix: tuple = ()) -> Any:
    """(key, key, ..., coordinate) of every leaf, in the order of `leaves`."""
    for key, value in record.items():
        blocks = getattr(value, "blocks", value)
        if isinstance(blocks, Mapping):
            yield from paths(blocks, (*prefix, key))
        elif hasattr(value, "coordinates"):
            yield from ((*prefix, key, i) for i in range(len(value.coordinates)))
        else:
            yield (*prefix, key)
