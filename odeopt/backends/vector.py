"""Runs of compiled vectors: one start after the other on each thread, the objective called by address."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from odeopt.backends.base import Outcome, Story, bar, columns, count, journal, on_threads, recorded, unbegun
from odeopt.status import Status

CHECK = 1024                    # trials between two looks at rounding noise
LOOK = 0.05                     # seconds between two looks at Ctrl-C and the time limit


def run(run: Any, path: str | None) -> Outcome:
    """Run to the ends, with a journal at `path`."""
    began = time.perf_counter()
    from odeopt.compile.vector import FLAGS
    kernel, evaluator, n = run.kernel, run.machine.objective.evaluator(run.starts.shape[1]), run.starts.shape[1]
    compiled = time.perf_counter()
    shape = [(name, n if varying else None) for name, varying in zip(kernel.paths, kernel.varying, strict=True)]
    pool = _Pool(run, kernel, evaluator, shape)
    with journal(run, path, pool.table.shape[1]) as kept:
        threads = pool.go(kept)
    evaluator.check()
    ends = columns(pool.records, shape)
    count(ends, pool.first_work, kernel.work.counts, pool.begun)
    rows, finished = None, time.perf_counter()
    facts: dict[str, Any] = {"time": finished - compiled, "compile_time": compiled - began, "threads": threads,
                             "flags": FLAGS, "seconds": pool.seconds}
    if run.machine.traced:
        rows, facts["stride"] = recorded(pool.stories, pool.records, shape)
    return Outcome(ends, rows, facts)


class _Pool:
    """Threads that take start after start."""

    def __init__(self, run: Any, kernel: Any, evaluator: Any, shape: list[tuple[tuple, int | None]]) -> None:
        self._run, self._kernel, self._evaluator, self._shape = run, kernel, evaluator, shape
        S, width = len(run.starts), sum(size or 1 for _, size in shape)
        self.table = np.zeros((S, width + 1))                # what a journal holds
        self.records, self.seconds = self.table[:, :-1], self.table[:, -1]
        self.stories: list[Any] = [None]*S
        self.begun = np.ones(S, dtype=bool)
        self.first_work: dict[str, int] = {}
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._handed = 0

    def go(self, kept: Any) -> int:
        """Run all starts that the journal does not hold; returns the number of threads."""
        done = np.zeros(len(self.table), dtype=bool) if kept is None else kept.restore(self.table)
        queue = iter(np.flatnonzero(~done).tolist())
        threads = max(1, min(self._run.threads, int((~done).sum())))
        self._handed = int(done.sum())
        with bar(len(done), self._run.progress) as show:
            def watch() -> None:
                show(self._handed)
                if kept is not None:
                    kept.tell()
            on_threads(lambda: self._work(queue, kept), threads, self._stop, watch)
        for i in queue:                                     # interrupted before these were begun
            self.records[i], self.begun[i] = unbegun(self._run.starts[i], self._shape), False
            self.seconds[i] = np.nan
            self.stories[i] = Story(self.records[i].copy()) if self._run.machine.traced else None
        if not self.first_work:                             # all are in the journal
            self._begin(self._room(), 0)
        return threads

    def _room(self) -> Any:
        from odeopt.compile.vector import Room
        return Room(self._kernel, self._evaluator, self._run.starts.shape[1])

    def _work(self, queue: Iterator[int], kept: Any) -> None:
        room = self._room()
        while not self._stop.is_set() and not self._evaluator.failed:
            with self._lock:
                i = next(queue, None)
                self._handed += i is not None
            if i is None:
                break
            began = time.perf_counter()
            self._begin(room, i)
            self._end(room, i, self._through(room, self.stories[i], began))
            self.seconds[i] = time.perf_counter() - began
            if kept is not None:
                kept.add(self.table, np.array([i]))

    def _begin(self, room: Any, i: int) -> None:
        with np.errstate(all="ignore"):
            record, self.first_work = self._run.machine.begin(self._run.starts[i].copy())
        room.begin(record)
        self.stories[i] = Story(room.record()) if self._run.machine.traced else None

    def _end(self, room: Any, i: int, status: Status | None) -> None:
        self.records[i] = room.record()
        if status is not None:
            self.records[i, 0] = status

    def _through(self, room: Any, story: Story | None, began: float) -> Status | None:
        """Run to the end; the status if it was not the machine that ended it."""
        running, trials, done, last = room.running, 1, 0, time.perf_counter()
        while running:
            more = min(trials, CHECK - done % CHECK) if story is None else 1
            running = room.go(more)
            done += more
            if story is not None:
                story.add(room.record)
            now = time.perf_counter()
            if running and (self._stop.is_set() or self._evaluator.failed):
                return Status.INTERRUPTED
            if running and now - began > self._run.time_limit:
                return Status.TIME_LIMIT
            if running and done % CHECK == 0 and self._noisy(room):
                return Status.NOISE
            trials = 2*trials if now - last < LOOK else max(1, trials//2)
            last = now
        return None

    def _noisy(self, room: Any) -> bool:
        """Whether the gradient is below its own rounding error."""
        noise = self._run.noise
        return noise is not None and noise(room.vector("z", "x")) >= np.linalg.norm(room.vector("g"))
