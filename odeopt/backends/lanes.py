"""Runs in the lanes: chunks of starts on a pool of threads."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from odeopt.backends.base import INTERRUPTED, MOST_NUMBERS, Outcome, bar, journal, told
from odeopt.trial import COUNTS

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
    for name in COUNTS:
        column = np.full(len(starts), float(kernel.first_work[name]))
        per_trial, per_step = kernel.work.counts[name]
        if ("work", name) in ends:
            column += ends["work", name]
        else:
            column += per_trial*ends["trials",]
            column += per_step*ends["n",]
        ends[name,] = column
    finished = time.perf_counter()
    facts = {"time": finished - compiled, "compile_time": compiled - began, "threads": threads, "flags": lanes.FLAGS}
    return Outcome(ends, rows, facts | stride)


def _run_threads(kernel: Any, starts: np.ndarray, threads: int, progress: bool, journal: Any = None) -> np.ndarray:
    """Every start's last record; the status of those that did not end is 0."""
    records = np.zeros((len(starts), kernel.width))
    done = np.zeros(len(starts), dtype=bool) if journal is None else journal.restore(records)
    stop, lock = threading.Event(), threading.Lock()
    queue, handed, ended = _chunks(done), [int(done.sum())], threading.Semaphore(0)

    def work() -> None:
        try:
            lanes, drain, under_way = kernel.lanes(), False, np.empty(0, dtype=np.int64)
            while not stop.is_set() and not drain:
                with lock:
                    first, last = next(queue, (len(starts), len(starts)))
                    handed[0] += last - first
                drain = first == len(starts)
                records[first:last] = kernel.records(starts[first:last])
                if journal is not None:
                    under_way = np.append(under_way, np.arange(first, last))
                while not stop.is_set():
                    first = lanes.run(records, first, last, drain, ROUNDS)
                    if journal is not None:
                        under_way = journal.add(records, under_way)
                    if first == last and (lanes.empty or not drain):
                        break
        finally:
            ended.release()

    with ThreadPoolExecutor(threads) as pool, bar(len(starts), progress) as show:
        futures = [pool.submit(work) for _ in range(threads)]
        waiting = threads
        while waiting:
            try:
                waiting -= ended.acquire(timeout=0.1)
                show(handed[0])
                if journal is not None:
                    journal.tell()
            except KeyboardInterrupt:
                stop.set()
                warnings.warn(INTERRUPTED, RuntimeWarning, stacklevel=6)
        for future in futures:
            future.result()
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
