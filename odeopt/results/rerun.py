"""Running again what a result says, and comparing to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from odeopt.results.environment import changed
from odeopt.results.solution import Ensemble
from odeopt.solver import prepare


@dataclass(frozen=True)
class Difference:
    """How an array differs: in how many of its numbers, and by how much at most (NaN where one of two is NaN)."""

    count: int
    most: float


@dataclass(frozen=True, repr=False)
class Rerun:
    """What running again gave.

    Attributes
    ----------
    result : Ensemble
        The new runs; of a `Basins` and a `Solution` those of its starts.
    differences : dict of Difference
        By the names of arrays ("x", "status", "trace.t", ...), those that are not equal to the last bit.
    changed : dict of (before, now)
        Versions and processor that are no longer what they were.
    """

    result: Ensemble
    differences: dict[str, Difference]
    changed: dict[str, tuple[str, str]]

    @property
    def equal(self) -> bool:
        """Whether every bit agrees; one NaN is as good as another."""
        return not self.differences

    def __repr__(self) -> str:
        lines = [f"Rerun of {len(self.result)} runs: " + ("equal to the last bit" if self.equal else "different")]
        lines += [f"  {name}: {d.count} numbers differ, by at most {d.most:g}" for name, d in self.differences.items()]
        lines += [f"  {name} was {before or 'absent'}, is {now or 'absent'}"
                  for name, (before, now) in self.changed.items()]
        return "\n".join(lines)


def rerun(ensemble: Ensemble, threads: int | None, progress: bool) -> Rerun:
    """Run an ensemble again with its own options, on the backend that ran.

    Raises
    ------
    FormulaError
        If it was loaded without a formula that is not of the package's own classes.
    """
    run = prepare(ensemble.objective, ensemble.method, ensemble.starts, **ensemble.options, threads=threads,
                  progress=progress)
    result = run.ends()
    before, now = dict(_all(ensemble)), dict(_all(result))
    differences = {name: _difference(before.get(name), now.get(name)) for name in before | now}
    return Rerun(result, {name: d for name, d in differences.items() if d is not None}, changed(ensemble.environment))


def _all(ensemble: Ensemble, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Every array but the times, those of the trace and of the second method included."""
    parts: list[tuple[str, Any]] = [("", ensemble), ("trace.", ensemble.trace)]
    for name, part in parts:
        if part is not None:
            yield from ((prefix + name + key, array) for key, array in part.arrays().items() if key != "seconds")
    if ensemble.then is not None:
        yield from _all(ensemble.then, prefix + "then.")


def _difference(before: np.ndarray | None, now: np.ndarray | None) -> Difference | None:
    if before is None or now is None or before.shape != now.shape:
        sizes = [0 if array is None else array.size for array in (before, now)]
        return Difference(max(sizes), np.nan)
    a, b = np.asarray(before, dtype=float), np.asarray(now, dtype=float)
    differ = ~((a == b) & (np.signbit(a) == np.signbit(b))) & ~(np.isnan(a) & np.isnan(b))
    if not differ.any():
        return None
    with np.errstate(all="ignore"):
        return Difference(int(differ.sum()), float(np.max(np.abs(a - b)[differ])))
