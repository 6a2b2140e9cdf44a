"""What the backends share: tables of records, counts, thinned traces, threads, the journal, the progress bar."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from odeopt.language import State
from odeopt.trial import COUNTS

MOST_NUMBERS = 1 << 24          # numbers in a trace (of a block of starts, in the lanes) before it is thinned, 128 MiB
INTERRUPTED = "interrupted: runs that had not ended have the status INTERRUPTED"


@dataclass
class Outcome:
    """What a backend gives.

    Attributes
    ----------
    ends : dict
        Columns of the runs' last records by path, ("t",), ("z", "x"), ("memory", "phase"), ...: arrays (S,) of
        numbers and (S, n) of vectors, with the evaluations ("nfev",), ...
    rows : dict or None
        The same of traces, (S, rows) and (S, rows, n).
    facts : dict
        Seconds, threads, flags, and the `stride` of traces.
    """

    ends: dict[tuple, np.ndarray]
    rows: dict[tuple, np.ndarray] | None
    facts: dict[str, Any] = field(default_factory=dict)


def named(record: Mapping, prefix: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    """(path, number or vector) of everything in a record as NumPy read it."""
    for key, value in record.items():
        value = value.blocks if isinstance(value, State) else value
        if isinstance(value, Mapping):
            yield from named(value, (*prefix, key))
        else:
            yield (*prefix, key), value


def flat(values: Iterable) -> np.ndarray:
    """Numbers and vectors one after the other."""
    return np.concatenate([np.atleast_1d(np.asarray(value, dtype=float)) for value in values])


def columns(records: np.ndarray, shape: Sequence[tuple[tuple, int | None]]) -> dict[tuple, np.ndarray]:
    """Views of flat records (..., width) by path; `shape` gives the lengths of vectors, None for numbers."""
    views, k = {}, 0
    for path, n in shape:
        views[path] = records[..., k] if n is None else records[..., k:k + n]
        k += 1 if n is None else n
    return views


def unbegun(start: np.ndarray, shape: Sequence[tuple[tuple, int | None]]) -> np.ndarray:
    """The record of a run that was interrupted before it began: of it the start is known, and no gradient.

    To begin it would evaluate the objective, which may take long, after somebody pressed Ctrl-C.
    """
    record = np.zeros(sum(n or 1 for _, n in shape))
    views = columns(record, shape)
    views["z", "x"][...], views["g",][...] = start, np.nan
    return record


class Story:
    """The records (width,) of one run after every `stride` trials; the stride doubles where they grow too many."""

    def __init__(self, first: np.ndarray) -> None:
        self._rows, self.stride, self._trials = [first], 1, 0

    def add(self, record: Callable[[], np.ndarray]) -> None:
        """One more trial; `record` gives the record after it, and is called only if it is kept."""
        self._trials += 1
        if self._trials % self.stride == 0:
            self._rows.append(record())
        if len(self._rows)*len(self._rows[0]) > MOST_NUMBERS:
            self._rows, self.stride = self._rows[::2], 2*self.stride

    def rows(self) -> np.ndarray:
        """(1, rows, width)."""
        return np.array(self._rows)[None]


def told(stories: Sequence[tuple[np.ndarray, int]], lasts: Sequence[np.ndarray]) -> tuple[np.ndarray, int]:
    """Rows of all traces (S, rows, width), and the trials between two rows.

    Parameters
    ----------
    stories : list of (rows (s, rows, width), stride)
        Of one or more runs each. Runs that ended earlier repeat their last row.
    lasts : list of arrays (s, width)
        Last records, which are rows of their own where a story was thinned.
    """
    stride = max(own for _, own in stories)
    thinned = [rows[:, ::stride//own] for rows, own in stories]
    if stride > 1:
        thinned = [np.concatenate([rows, last[:, None]], axis=1) for rows, last in zip(thinned, lasts, strict=True)]
    together = np.empty((sum(map(len, thinned)), max(rows.shape[1] for rows in thinned), thinned[0].shape[2]))
    first = 0
    for rows in thinned:
        part = together[first:first + len(rows)]
        part[:, :rows.shape[1]], part[:, rows.shape[1]:] = rows, rows[:, -1:]
        first += len(rows)
    return together, stride


def recorded(stories: Iterable[Story], records: np.ndarray,
             shape: Sequence[tuple[tuple, int | None]]) -> tuple[dict[tuple, np.ndarray], int]:
    """Columns of the stories of runs with these last records (S, width), and the trials between two rows."""
    rows, stride = told([(story.rows(), story.stride) for story in stories], list(records[:, None]))
    return columns(rows, shape), stride


def count(ends: dict[tuple, np.ndarray], first: Mapping[str, int], counts: Mapping[str, tuple],
          begun: np.ndarray) -> None:
    """Add the columns of evaluations to those of the runs' ends.

    Parameters
    ----------
    ends : dict
        Those counted by the kernel have the path ("work", name).
    first : dict
        Evaluations of a start.
    counts : dict
        Evaluations of a trial, and those more of an accepted one.
    begun : bool array (S,)
        Which runs were begun.
    """
    for name in COUNTS:
        column = first[name]*begun.astype(float)
        if ("work", name) in ends:
            column += ends["work", name]
        else:
            per_trial, per_step = counts[name]
            column += per_trial*ends["trials",]
            column += per_step*ends["n",]
        ends[name,] = column


def on_threads(work: Callable[[], None], threads: int, stop: threading.Event, watch: Callable[[], None]) -> None:
    """Run `work` on so many threads until all have returned.

    The main thread calls `watch` every tenth of a second; Ctrl-C sets `stop`, at which `work` is to return.
    """
    ended = threading.Semaphore(0)

    def one() -> None:
        try:
            work()
        finally:
            ended.release()
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(one) for _ in range(threads)]
        waiting = threads
        while waiting:
            try:
                waiting -= ended.acquire(timeout=0.1)
                watch()
            except KeyboardInterrupt:
                stop.set()
                warnings.warn(INTERRUPTED, RuntimeWarning, stacklevel=7)
        for future in futures:
            future.result()


def journal(run: Any, path: str | None, width: int) -> contextlib.AbstractContextManager:
    """The journal of a run's table (S, width), or nothing."""
    if path is None:
        return contextlib.nullcontext()
    from odeopt.results.journal import Journal
    return Journal(path, run.problem, (len(run.starts), width))


class bar:
    """A progress bar of starts handed out, or nothing."""

    def __init__(self, total: int, show: bool) -> None:
        self._bar = None
        if show:
            from tqdm import tqdm
            self._bar = tqdm(total=total, unit=" starts")

    def __enter__(self) -> Callable[[int], None]:
        return self._to

    def _to(self, count: int) -> None:
        if self._bar is not None:
            self._bar.update(count - self._bar.n)

    def __exit__(self, *error: Any) -> None:
        if self._bar is not None:
            self._bar.close()
