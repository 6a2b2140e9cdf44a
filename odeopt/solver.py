"""The two entry points: `solve` for one start, `solve_many` for thousands."""

from __future__ import annotations

import math
import os
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from odeopt import methods
from odeopt.language import State
from odeopt.methods import Method
from odeopt.objectives.base import Objective
from odeopt.solution import Ensemble, Solution, Trace
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
               progress: bool = False) -> Ensemble:
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

    Returns
    -------
    Ensemble
        After Ctrl-C what has ended is there, and the other rows have the status INTERRUPTED.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range or of the wrong kind.
    FormulaError
        If a formula cannot be read.
    """
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
    asked, backend = backend, _backend(machine, backend, starts.shape[1])
    threads = _threads(threads)
    run = _run_lanes if backend == "lanes" else _run_numpy
    columns, stored, facts = run(machine, starts, trace, threads, progress)
    ensemble = _ensemble(machine, method, starts, columns, stored, backend, facts)
    if method.then is not None:
        _go_on(ensemble, *method.then, gtol=gtol, max_steps=max_steps, max_trials=max_trials, t_end=t_end,
               count_rises=count_rises, trace=trace, backend=asked, threads=threads, progress=progress)
    return ensemble


def _go_on(ensemble: Ensemble, status: Status, other: Method, **options: Any) -> None:
    """Run the other method from where runs with this status ended, and enter what became of them."""
    rows = ensemble.status == status
    if not rows.any() or (ensemble.status == Status.INTERRUPTED).any():
        return
    then = solve_many(ensemble.objective, other, ensemble.x[rows], **options)
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

def _ensemble(machine: Machine, method: Method, starts: np.ndarray, columns: dict, stored: dict | None, backend: str,
              facts: dict) -> Ensemble:
    n = starts.shape[1]
    flow = machine.flow

    def stacked(of: dict, *prefix: str) -> np.ndarray:
        return np.stack([of[(*prefix, i)] for i in range(n)], axis=-1)

    def blocks(of: dict) -> dict:
        return {b: stacked(of, "z", b) for b in flow.blocks} | {s: of["z", s] for s in flow.scalars}
    z = blocks(columns)
    with np.errstate(all="ignore"):
        fun = np.asarray(machine.objective.f(z["x"]))
    trace = None
    if stored is not None:
        trace = Trace(stored["t",], stored["tried",], stored["n",].astype(int), stored["trials",].astype(int),
                      blocks(stored), stacked(stored, "g"), facts.pop("stride"), machine.objective, flow)
    return Ensemble(
        x=z["x"], fun=fun, jac=stacked(columns, "g"), z=z, t=columns["t",], h=columns["h",],
        nit=columns["n",].astype(int), trials=columns["trials",].astype(int),
        **{name: columns[name,].astype(int) for name in COUNTS}, status=columns["status",].astype(int),
        memory=_nested(columns, "memory"), rises=columns["rises",].astype(int) if ("rises",) in columns else None,
        starts=starts, objective=machine.objective, method=method, limits=machine.limits, backend=backend,
        trace=trace, **facts)


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

def _run_lanes(machine: Machine, starts: np.ndarray, trace: bool, threads: int, progress: bool) -> tuple:
    began = time.perf_counter()
    from odeopt.compile import lanes
    kernel = lanes.LaneKernel(machine, starts.shape[1])
    compiled = time.perf_counter()
    stored, stride = None, 1
    if trace:
        out, rows, stride = _record(kernel, starts)
        stored = kernel.columns(rows)
        threads = 1
    else:
        threads = min(threads, -(-len(starts)//CHUNK))
        out = _run_threads(kernel, starts, threads, progress)
    columns = kernel.columns(out)
    for name in COUNTS:
        column = np.full(len(starts), float(kernel.first_work[name]))
        per_trial, per_step = kernel.work.counts[name]
        if ("work", name) in columns:
            column = column + columns["work", name]
        else:
            column = column + per_trial*columns["trials",] + per_step*columns["n",]
        columns[name,] = column
    finished = time.perf_counter()
    facts = {"time": finished - compiled, "compile_time": compiled - began, "threads": threads, "flags": lanes.FLAGS}
    return columns, stored, facts | ({"stride": stride} if trace else {})


def _run_threads(kernel: Any, starts: np.ndarray, threads: int, progress: bool) -> np.ndarray:
    """Every start's last record; the status of those that did not end is 0."""
    records = np.zeros((len(starts), kernel.width))
    stop, lock = threading.Event(), threading.Lock()
    queue, handed, ended = iter(range(0, len(starts), CHUNK)), [0], threading.Semaphore(0)

    def work() -> None:
        try:
            lanes, drain = kernel.lanes(), False
            while not stop.is_set() and not drain:
                with lock:
                    first = next(queue, None)
                    handed[0] = len(starts) if first is None else min(first + CHUNK, len(starts))
                drain = first is None
                first = len(starts) if first is None else first
                last = min(first + CHUNK, len(starts))
                records[first:last] = kernel.records(starts[first:last])
                while not stop.is_set():
                    first = lanes.run(records, first, last, drain, ROUNDS)
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
            except KeyboardInterrupt:
                stop.set()
                warnings.warn(_INTERRUPTED, RuntimeWarning, stacklevel=5)
        for future in futures:
            future.result()
    if handed[0] < len(starts):                             # interrupted before these were handed out
        records[handed[0]:] = kernel.records(starts[handed[0]:])
    return records


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

def _run_numpy(machine: Machine, starts: np.ndarray, trace: bool, threads: int, progress: bool) -> tuple:
    began = time.perf_counter()
    last, stories = [], []
    with np.errstate(all="ignore"), _bar(len(starts), progress) as bar:
        for i, x in enumerate(starts):
            try:
                record, counts, story = _run_one(machine, x, trace)
            except KeyboardInterrupt:
                warnings.warn(_INTERRUPTED, RuntimeWarning, stacklevel=4)
                break
            last.append(_flat(record) | {(name,): float(count) for name, count in counts.items()})
            stories.append(story)
            bar(i + 1)
    for x in starts[len(last):]:
        record, counts = machine.begin(x)
        last.append({**_flat(record), ("status",): 0.0} | {(name,): float(count) for name, count in counts.items()})
        stories.append([_flat(record)])
    columns = {path: np.array([row[path] for row in last]) for path in last[0]}
    stored = None
    if trace:
        longest = max(map(len, stories))
        padded = [story + [story[-1]]*(longest - len(story)) for story in stories]
        stored = {path: np.array([[row[path] for row in story] for story in padded]) for path in padded[0][0]}
    facts = {"time": time.perf_counter() - began, "compile_time": 0.0, "threads": 1}
    return columns, stored, facts | ({"stride": 1} if trace else {})


def _run_one(machine: Machine, x: np.ndarray, trace: bool) -> tuple[dict, dict, list]:
    record, counts = machine.begin(x.copy())
    story = [_flat(record)] if trace else []
    while record["status"] == 0.0:
        record, work = machine.trial(record)
        for name, (per_trial, per_step) in work.items():
            counts[name] += per_trial + per_step
        if trace:
            story.append(_flat(record))
    return record, counts, story


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
