"""The two entry points: `solve` for one start, `solve_many` for thousands."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from odeopt import methods
from odeopt.language import State
from odeopt.methods import Method
from odeopt.objectives.base import Objective
from odeopt.solution import Ensemble, Solution, Trace, blocks
from odeopt.status import Status
from odeopt.trial import COUNTS, Limits, Machine

MOST_COORDINATES = 16           # above, unrolled text grows too long to compile
CHUNK = 1024                    # starts that a thread takes at a time
ROUNDS = 4096                   # rounds of lanes.TRIALS trials between two looks at Ctrl-C, some 0.1 s
SEGMENT = 512                   # rows of a trace that are recorded at a time
MOST_NUMBERS = 1 << 24          # numbers in the trace of a block of starts before it is thinned, 128 MiB
_INTERRUPTED = "interrupted: runs that had not ended have the status INTERRUPTED"


def solve(objective: Objective, method: Method, x0: Any, **options: Any) -> Solution:
    """Run one method from one start.

    Parameters
    ----------
    objective : Objective
    method : Method
    x0 : array_like (n,)
        The start; it is copied.
    **options
        As in `solve_many`.

    Returns
    -------
    Solution
        Divergence, a vanishing step and an exhausted limit are statuses with a message, not exceptions.
    """
    x0 = _array(x0, "x0")
    if x0.ndim != 1:
        raise ValueError(f"`x0` must be one point, an array (n,), got the shape {x0.shape}; "
                         "for many starts use solve_many")
    return solve_many(objective, method, x0[None, :], **options)[0]


def solve_many(objective: Objective, method: Method, starts: Any, *, gtol: float = 1e-6, max_steps: int = 10_000,
               max_trials: int | None = None, t_end: float | None = None, count_rises: float | None = None,
               trace: bool = False, backend: str | None = None, threads: int | None = None,
               progress: bool = False, out: str | os.PathLike | None = None) -> Ensemble:
    """Run one method from many starts.

    Parameters
    ----------
    objective : Objective
    method : Method
    starts : array_like (S, n)
    gtol : float
        Converged when |g| (the root of the flow's residual) is <= gtol.
    max_steps : int
        Largest number of accepted steps.
    max_trials : int, optional
        Largest number of trials; 100 max_steps if not given.
    t_end : float, optional
        Time at which to end.
    count_rises : float, optional
        Count the accepted steps on which V rises by more than this, relative to |V| (`Ensemble.rises`).
    trace : bool
        Record every trial. For many starts memory grows with the longest run: bound it by `max_trials`.
    backend : {"lanes", "numpy"}, optional
        Compiled kernels for formulas of at most 16 coordinates, or plain NumPy for anything. If not given, lanes
        wherever they can; the result says what ran.
    threads : int, optional
        For the lanes; as many as this process may use if not given. Results do not depend on it.
    progress : bool
        Show a bar.
    out : path, optional
        A NetCDF-4 file for the result, as `Ensemble.save` writes it. While the runs go on, those that have ended are
        appended to a journal beside it, `out` + ".part" (but for traced runs): after a kill the same call goes on from
        there, to the same bits. If the file is there already, with the same problem, it is loaded and nothing runs;
        `Ensemble.path` and the printed result say so.

    Returns
    -------
    Ensemble
        After Ctrl-C what has ended is there, and the other rows have the status INTERRUPTED; with `out` the journal
        is kept. If `out` can no longer be written when all runs have ended, the result is returned with a warning.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range or of the wrong kind, or `out` is there but damaged or no result.
    FormulaError
        If a formula cannot be read.
    FileExistsError
        If `out` or its journal is there, of another problem.
    OSError
        If `out` cannot be written.
    """
    run = prepare(objective, method, starts, gtol=gtol, max_steps=max_steps, max_trials=max_trials, t_end=t_end,
                  count_rises=count_rises, trace=trace, backend=backend, threads=threads, progress=progress)
    if out is None:
        return run.ends()
    from odeopt.storage import kept
    return kept(out, run, lambda ensemble: ensemble)


@dataclass(frozen=True, eq=False)
class Run:
    """A method, its starts and its limits, checked.

    Attributes
    ----------
    machine : Machine
    method : Method
    starts : array (S, n)
    backend : str
        What is to run: "lanes" or "numpy".
    options : dict
        Of `solve_many`, those that results depend on, as they were given.
    threads : int
    progress : bool
    """

    machine: Machine
    method: Method
    starts: np.ndarray
    backend: str
    options: dict[str, Any]
    threads: int
    progress: bool

    @functools.cached_property
    def kernel(self) -> Any:
        """The machine, compiled for the lanes."""
        from odeopt.compile import lanes
        return lanes.LaneKernel(self.machine, self.starts.shape[1])

    @functools.cached_property
    def problem(self) -> str:
        """A digest of all that results depend on but versions and the processor: formulas, parameters, starts ...

        Of what the lanes run the kernel's text is the formula; of other formulas, their code.
        """
        from odeopt.description import fingerprint
        formulas = [self.kernel.source if self.backend == "lanes" else fingerprint(self.machine),
                    fingerprint(self.method.then)]
        parameters = [(name, value.hex()) for name, value in self.machine.parameters()]
        options = {name: value for name, value in self.options.items() if name != "backend"}     # as asked, not as ran
        text = json.dumps([self.backend, formulas, parameters, options, self.starts.shape], sort_keys=True)
        digest = hashlib.sha256(text.encode())
        digest.update(self.starts.data)
        return digest.hexdigest()

    def ends(self, journal: str | None = None) -> Ensemble:
        """Run to the ends.

        Parameters
        ----------
        journal : str, optional
            Path of a journal to go on with, or to begin; a second method's has ".then" appended.
        """
        started = _now()
        run = _run_lanes if self.backend == "lanes" else _run_numpy
        ensemble = _ensemble(self, *run(self, None if self.machine.traced else journal), started=started)
        if self.method.then is not None:
            _go_on(ensemble, self, *self.method.then, None if journal is None else journal + ".then")
            ensemble.finished = _now()
        return ensemble


def prepare(objective: Objective, method: Method, starts: Any, *, gtol: float, max_steps: int,
            max_trials: int | None = None, t_end: float | None = None, count_rises: float | None = None,
            trace: bool = False, backend: str | None = None, threads: int | None = None,
            progress: bool = False) -> Run:
    """Check what `solve_many` is given."""
    if not isinstance(objective, Objective):
        name = getattr(objective, "__name__", "")
        hint = f"write {name}()" if isinstance(objective, type) else "functions go into objectives.Function"
        raise TypeError(f"`objective` must be an Objective, got {objective!r}: {hint}")
    if not isinstance(method, Method):
        name = getattr(method, "__name__", "")
        hint = f": write {name}()" if name in methods.names() else "; see odeopt.methods"
        raise TypeError(f"`method` must be a Method, got {method!r}{hint}")
    starts = _array(starts, "starts")
    if starts.ndim != 2 or 0 in starts.shape:
        raise ValueError(f"`starts` must be an array (S, n) of at least one start, got the shape {starts.shape}")
    if objective.dimension is not None and starts.shape[1] != objective.dimension:
        raise ValueError(f"{objective!r} takes points of {objective.dimension} coordinates, got starts of "
                         f"{starts.shape[1]}")
    limits = _limits(gtol, max_steps, max_trials, t_end)
    machine = Machine(objective, method.flow, method.scheme, method.controller, float(method.h0), limits,
                      rise=count_rises, traced=trace)
    options = {"gtol": gtol, "max_steps": max_steps, "max_trials": max_trials, "t_end": t_end,
               "count_rises": count_rises, "trace": trace, "backend": backend}
    return Run(machine, method, starts, _backend(machine, backend, starts.shape[1]),
               {name: value.item() if isinstance(value, np.generic) else value for name, value in options.items()},
               _threads(threads), progress)


def _go_on(ensemble: Ensemble, run: Run, status: Status, other: Method, journal: str | None) -> None:
    """Run the other method from where runs with this status ended, and enter what became of them."""
    rows = ensemble.status == status
    if not rows.any() or (ensemble.status == Status.INTERRUPTED).any():
        return
    then = prepare(ensemble.objective, other, ensemble.x[rows], **run.options, threads=run.threads,
                   progress=run.progress).ends(journal)
    ensemble.then, ensemble.gone_on = then, rows
    for name in ("x", "fun", "jac", "h", "status"):
        getattr(ensemble, name)[rows] = getattr(then, name)
    for name in ("t", "nit", "trials", *COUNTS):
        getattr(ensemble, name)[rows] += getattr(then, name)
    if ensemble.rises is not None and then.rises is not None:
        ensemble.rises[rows] += then.rises
    ensemble.time += then.time
    ensemble.compile_time += then.compile_time
    if then.backend != ensemble.backend:
        ensemble.backend = f"{ensemble.backend}, then {then.backend}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _array(values: Any, name: str) -> np.ndarray:
    try:
        return np.array(values, dtype=float, order="C")
    except (TypeError, ValueError) as error:
        raise TypeError(f"`{name}` must be an array of numbers, got {values!r}") from error


def _limits(gtol: float, max_steps: int, max_trials: int | None, t_end: float | None) -> Limits:
    max_trials = 100*max_steps if max_trials is None else max_trials
    for name, value in (("max_steps", max_steps), ("max_trials", max_trials)):
        if not (isinstance(value, (int, float, np.integer)) and value >= 1):
            raise ValueError(f"`{name}` must be at least 1, got {value!r}")
    if not (isinstance(gtol, (int, float)) and 0.0 <= gtol < math.inf):
        raise ValueError(f"`gtol` must be >= 0 and finite, got {gtol!r}")
    if t_end is not None and not t_end > 0:
        raise ValueError(f"`t_end` must be > 0, got {t_end!r}")
    return Limits(float(gtol), float(max_steps), float(max_trials), None if t_end is None else float(t_end))


def _backend(machine: Machine, backend: str | None, dimension: int) -> str:
    plain = next((p for p in (machine.objective, machine.flow, machine.scheme) if p.backend == "numpy"), None)
    if backend not in (None, "lanes", "numpy"):
        raise ValueError(f'`backend` must be "lanes", "numpy" or None, got {backend!r}')
    if backend == "lanes" and plain is not None:
        raise ValueError(f"{plain!r} is no straight-line formula, so the lanes cannot run it: "
                         'use backend="numpy" or None')
    if backend is None:
        return "lanes" if plain is None and dimension <= MOST_COORDINATES else "numpy"
    return backend


def _threads(threads: int | None) -> int:
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not (isinstance(threads, (int, np.integer)) and threads >= 1):
        raise ValueError(f"`threads` must be an integer >= 1, got {threads!r}")
    return int(threads)


# -- results: columns by path, as the lanes name them: ("z", "x", 0), ("t",), ("memory", "phase"), ...

@dataclass(frozen=True)
class _Table:
    """Records (..., width), the paths of their columns, and all columns by path: those and others.

    The arrays of a result are views of it where they can be: many starts need no room for copies.
    """

    records: np.ndarray
    paths: list[tuple]
    columns: dict[tuple, np.ndarray]

    def vectors(self, n: int, *prefix: str) -> np.ndarray:
        """The coordinates of a vector, (..., n)."""
        names = [(*prefix, i) for i in range(n)]
        first = self.paths.index(names[0]) if names[0] in self.paths else 0
        if self.paths[first:first + n] == names:
            return self.records[..., first:first + n]
        return np.stack([self.columns[name] for name in names], axis=-1)

    def integers(self, name: str) -> np.ndarray:
        """A column of whole numbers as such, in its own place."""
        column = self.columns[name,]
        whole = column.view(np.int64)
        whole[...] = column
        return whole


def _ensemble(run: Run, ends: _Table, rows: _Table | None, facts: dict, started: str) -> Ensemble:
    n, machine = run.starts.shape[1], run.machine

    def state(of: _Table) -> dict:
        flow = machine.flow
        return {b: of.vectors(n, "z", b) for b in flow.blocks} | {s: of.columns["z", s] for s in flow.scalars}
    z, trace = state(ends), None
    if rows is not None:
        trace = Trace(rows.columns["t",], rows.columns["tried",], rows.integers("n"), rows.integers("trials"),
                      state(rows), rows.vectors(n, "g"), facts.pop("stride"), machine.objective, machine.flow)
    counts: dict[str, Any] = {name: ends.integers(name) for name in COUNTS}
    return Ensemble(
        x=z["x"], fun=_values(machine.objective, z["x"]), jac=ends.vectors(n, "g"), z=z, t=ends.columns["t",],
        h=ends.columns["h",], nit=ends.integers("n"), trials=ends.integers("trials"),
        **counts, status=ends.integers("status"),
        memory=_nested(ends.columns, "memory"), rises=None if machine.rise is None else ends.integers("rises"),
        starts=run.starts, objective=machine.objective, method=run.method, limits=machine.limits, backend=run.backend,
        trace=trace, options=run.options, started=started, finished=_now(), **facts)


def _values(objective: Objective, x: np.ndarray) -> np.ndarray:
    """The objective at points (S, n), a block at a time: whole columns would be intermediate results of its formula."""
    fun = np.empty(len(x))
    with np.errstate(all="ignore"):
        for rows in blocks(len(x)):
            fun[rows] = objective.f(np.ascontiguousarray(x[rows]))
    return fun


def _nested(columns: dict, key: str) -> dict:
    tree: dict = {}
    for path, column in columns.items():
        if path[0] == key:
            branch = tree
            for name in path[1:-1]:
                branch = branch.setdefault(name, {})
            branch[path[-1]] = column
    return tree


# -- the lanes

def _run_lanes(run: Run, journal: str | None) -> tuple[_Table, _Table | None, dict]:
    began = time.perf_counter()
    from odeopt.compile import lanes
    kernel, starts = run.kernel, run.starts
    compiled = time.perf_counter()
    rows, stride, threads = None, {}, 1
    if run.machine.traced:
        records, stories, every = _record(kernel, starts)
        rows, stride = _Table(stories, kernel.paths, kernel.columns(stories)), {"stride": every}
    else:
        threads = min(run.threads, -(-len(starts)//CHUNK))
        with _journal(run, journal, kernel.width) as kept:
            records = _run_threads(kernel, starts, threads, run.progress, kept)
    columns = kernel.columns(records)
    for name in COUNTS:
        column = np.full(len(starts), float(kernel.first_work[name]))
        per_trial, per_step = kernel.work.counts[name]
        if ("work", name) in columns:
            column += columns["work", name]
        else:
            column += per_trial*columns["trials",]
            column += per_step*columns["n",]
        columns[name,] = column
    finished = time.perf_counter()
    facts = {"time": finished - compiled, "compile_time": compiled - began, "threads": threads, "flags": lanes.FLAGS}
    return _Table(records, kernel.paths, columns), rows, facts | stride


def _journal(run: Run, path: str | None, width: int) -> contextlib.AbstractContextManager:
    if path is None:
        return contextlib.nullcontext()
    from odeopt.journal import Journal
    return Journal(path, run.problem, (len(run.starts), width))


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

    with ThreadPoolExecutor(threads) as pool, _bar(len(starts), progress) as bar:
        futures = [pool.submit(work) for _ in range(threads)]
        waiting = threads
        while waiting:
            try:
                waiting -= ended.acquire(timeout=0.1)
                bar(handed[0])
                if journal is not None:
                    journal.tell()
            except KeyboardInterrupt:
                stop.set()
                warnings.warn(_INTERRUPTED, RuntimeWarning, stacklevel=6)
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


class _bar:
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


def _record(kernel: Any, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Last records (S, width), the records of all rows (S, rows, width), and the trials between two rows.

    Row r holds what the start has become after r*stride trials. Where a block of starts takes more than MOST_NUMBERS
    numbers the stride doubles; the last record is then a row of its own.
    """
    from odeopt.compile.lanes import LANES
    stories, lasts, stride = [], [], 1
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
        stride = max(stride, own)
    thinned = [rows[:, ::stride//own] for rows, own in stories]
    if stride > 1:
        thinned = [np.concatenate([rows, last[:, None]], axis=1) for rows, last in zip(thinned, lasts, strict=True)]
    longest = max(rows.shape[1] for rows in thinned)
    ended = [np.repeat(rows[:, -1:], longest - rows.shape[1], axis=1) for rows in thinned]
    padded = [np.concatenate(both, axis=1) for both in zip(thinned, ended, strict=True)]
    return np.concatenate(lasts), np.concatenate(padded), stride


# -- plain NumPy

def _run_numpy(run: Run, journal: str | None) -> tuple[_Table, _Table | None, dict]:
    began = time.perf_counter()
    machine, starts = run.machine, run.starts
    with np.errstate(all="ignore"):
        first = machine.begin(starts[0].copy())
        paths = list(_row(*first))
        records, stories = np.zeros((len(starts), len(paths))), []
        with _journal(run, journal, len(paths)) as kept, _bar(len(starts), run.progress) as bar:
            done = np.zeros(len(starts), dtype=bool) if kept is None else kept.restore(records)
            try:
                for i in np.flatnonzero(~done):
                    record, counts, story = _run_one(machine, machine.begin(starts[i].copy()) if i else first)
                    records[i], done[i] = list(_row(record, counts).values()), True
                    stories.append(story)
                    if kept is not None:
                        kept.add(records, np.array([i]))
                        kept.tell()
                    bar(int(done.sum()))
            except KeyboardInterrupt:
                warnings.warn(_INTERRUPTED, RuntimeWarning, stacklevel=5)
        for i in np.flatnonzero(~done):
            record, counts = machine.begin(starts[i].copy())
            records[i] = list((_row(record, counts) | {("status",): 0.0}).values())
            stories.append([_flat(record)])
    facts = {"time": time.perf_counter() - began, "compile_time": 0.0, "threads": 1}
    ends = _Table(records, paths, {path: records[:, k] for k, path in enumerate(paths)})
    return (ends, _padded(stories), facts | {"stride": 1}) if machine.traced else (ends, None, facts)


def _run_one(machine: Machine, begun: tuple[dict, dict]) -> tuple[dict, dict, list]:
    record, counts = begun
    story = [_flat(record)] if machine.traced else []
    while record["status"] == 0.0:
        record, work = machine.trial(record)
        for name, (per_trial, per_step) in work.items():
            counts[name] += per_trial + per_step
        if machine.traced:
            story.append(_flat(record))
    return record, counts, story


def _row(record: dict, counts: dict) -> dict:
    """A run's row of the table, {path: number}; the status is the first."""
    return _flat(record) | {(name,): float(count) for name, count in counts.items()}


def _padded(stories: list[list[dict]]) -> _Table:
    """The rows of all traces, those that ended earlier with their last row repeated."""
    longest, paths = max(map(len, stories)), list(stories[0][0])
    records = np.array([[list(row.values()) for row in story + [story[-1]]*(longest - len(story))]
                        for story in stories])
    return _Table(records, paths, {path: records[..., k] for k, path in enumerate(paths)})


def _flat(record: dict, prefix: tuple = ()) -> dict:
    """A NumPy record as {path: number}."""
    flat: dict = {}
    for key, value in record.items():
        value = value.blocks if isinstance(value, State) else value
        if isinstance(value, dict):
            flat |= _flat(value, (*prefix, key))
        elif np.ndim(value):
            flat |= {(*prefix, key, i): float(a) for i, a in enumerate(value)}
        else:
            flat[(*prefix, key)] = float(value)
    return flat
