"""Runs in the lanes: chunks of starts on a pool of threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from odeopt.backends.base import MOST_NUMBERS, Outcome, bar, count, journal, on_threads, told

CHUNK = 1024                    # starts that a thread takes at a time
ROUNDS = 4096                   # rounds of lanes.TRIALS trials between two looks at Ctrl-C, some 0.1 s
SEGMENT = 512                   # rows of a trace that are recorded at a time


def run(run: Any, path: str | None) -> Outcome:
    """Run to the ends, with a journal at `path`."""
    began = time.perf_counter()
    from odeopt.compile import lanes
    kernel, starts = run.kernel, run.starts
    compiled = time.perf_counter()
    rows, stride, threads = None, {}, 1
    if run.machine.traced:
        records, stories, every = _record(kernel, starts)
        rows, stride = kernel.columns(stories), {"stride": every}
    else:
        threads = min(run.threads, -(-len(starts)//CHUNK))
        with journal(run, path, kernel.width) as kept:
            records = _run_threads(kernel, starts, threads, run.progress, kept)
    ends = kernel.columns(records)
    count(ends, kernel.first_work, kernel.work.counts, np.ones(len(starts), dtype=bool))
    finished = time.perf_counter()
    facts = {"time": finished - compiled, "compile_time": compiled - began, "threads": threads, "flags": lanes.FLAGS}
    return Outcome(ends, rows, facts | stride)


def _run_threads(kernel: Any, starts: np.ndarray, threads: int, progress: bool, kept: Any) -> np.ndarray:
    """Every start's last record; the status of those that did not end is 0."""
    records = np.zeros((len(starts), kernel.width))
    done = np.zeros(len(starts), dtype=bool) if kept is None else kept.restore(records)
    stop, lock = threading.Event(), threading.Lock()
    queue, handed = _chunks(done), [int(done.sum())]

    def work() -> None:
        lanes, drain, under_way = kernel.lanes(), False, np.empty(0, dtype=np.int64)
        while not stop.is_set() and not drain:
            with lock:
                first, last = next(queue, (len(starts), len(starts)))
                handed[0] += last - first
            drain = first == len(starts)
            records[first:last] = kernel.records(starts[first:last])
            if kept is not None:
                under_way = np.append(under_way, np.arange(first, last))
            while not stop.is_set():
                first = lanes.run(records, first, last, drain, ROUNDS)
                if kept is not None:
                    under_way = kept.add(records, under_way)
                if first == last and (lanes.empty or not drain):
                    break

    with bar(len(starts), progress) as show:
        def watch() -> None:
            show(handed[0])
            if kept is not None:
                kept.tell()
        on_threads(work, threads, stop, watch)
    for first, last in queue:                               # interrupted before these were handed out
        records[first:last] = kernel.records(starts[first:last])
    return records


def _chunks(done: np.ndarray) -> Iterator[tuple[int, int]]:
    """(first, last) of chunks that hold the starts that are not done, and no others."""
    edges = np.flatnonzero(np.diff(done, prepend=True, append=True))
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        for first in range(begin, end, CHUNK):
            yield first, min(first + CHUNK, end)


def _record(kernel: Any, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Last records (S, width), the records of all rows (S, rows, width), and the trials between two rows.

    Row r holds what the start has become after r*stride trials. Where a block of starts takes more than MOST_NUMBERS
    numbers the stride doubles; the last record is then a row of its own.
    """
    from odeopt.compile.lanes import LANES
    stories, lasts = [], []
    for first in range(0, len(starts), LANES):
        records = kernel.records(starts[first:first + LANES])
        kept, last, trials, own = [records[:, None]], records, 0, 1
        for block in kernel.lanes().trace(records, SEGMENT):
            last = block[:, -1]
            kept.append(block[:, -(trials + 1) % own::own])
            trials += block.shape[1]
            if sum(rows.size for rows in kept) > MOST_NUMBERS:
                kept, own = [np.concatenate(kept, axis=1)[:, ::2]], 2*own
        stories.append((np.concatenate(kept, axis=1), own))
        lasts.append(last)
    return np.concatenate(lasts), *told(stories, lasts)
