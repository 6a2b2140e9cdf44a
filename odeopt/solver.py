"""The two entry points: `solve` for one start, `solve_many` for thousands."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from odeopt import methods
from odeopt.backends import lanes, plain, vector
from odeopt.backends.base import Outcome
from odeopt.methods import Method
from odeopt.objectives.base import Objective
from odeopt.parameters import check_numbers, is_number, not_negative, real_array, whole
from odeopt.results.environment import usable_cores
from odeopt.results.solution import Ensemble, Solution, Trace, blocks
from odeopt.status import Status
from odeopt.trial import COUNTS, Limits, Machine

MOST_COORDINATES = 16           # above, unrolled text grows too long to compile


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
    x0 = real_array(x0, "x0")
    if x0.ndim != 1 or not x0.size:
        raise ValueError(f"`x0` must be one point, an array (n,), got the shape {x0.shape}; "
                         "for many starts use solve_many")
    return solve_many(objective, method, x0[None, :], **options)[0]


def solve_many(objective: Objective, method: Method, starts: Any, *, gtol: float = 1e-6, max_steps: int = 10_000,
               max_trials: int | None = None, t_end: float | None = None, count_rises: float | None = None,
               trace: bool = False, backend: str | None = None, threads: int | None = None,
               progress: bool = False, time_limit: float | None = None, stop_at_noise: bool = False,
               out: str | os.PathLike | None = None) -> Ensemble:
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
    backend : {"lanes", "vector", "numpy"}, optional
        Compiled kernels for formulas of at most 16 coordinates; compiled loops that call an objective of any size
        (networks, Python functions); or plain NumPy for anything. If not given, the lanes wherever they can, vectors
        for networks; the result says what ran.
    threads : int, optional
        As many as this process may use if not given. Results do not depend on it.
    progress : bool
        Show a bar.
    time_limit : float, optional
        Seconds after which a start is given up (TIME_LIMIT). Not for the lanes, where starts run side by side.
    stop_at_noise : bool
        End a run whose gradient is below its own rounding error (NOISE), looked at every 1024 trials. For objectives
        that know this error, as networks do, in compiled vectors.
    out : path, optional
        A NetCDF-4 file for the result, as `Ensemble.save` writes it. While the runs go on, those that have ended are
        appended to a journal beside it, `out` + ".part" (but for traced runs): after a kill the same call goes on from
        there, to the same bits. If the file is there already, with the same problem, it is loaded and nothing runs;
        `Ensemble.path` and the printed result say so.

    Returns
    -------
    Ensemble
        After Ctrl-C what has ended is there, and the other rows have the status INTERRUPTED (where they had not even
        begun, x is the start and fun and jac are not-a-number); with `out` the journal is kept. If `out` can no
        longer be written when all runs have ended, the result is returned with a warning.

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
    Exception
        What an objective in Python raises; with `out` the runs that had ended are in the journal, and the same call
        goes on from there.
    """
    run = prepare(objective, method, starts, gtol=gtol, max_steps=max_steps, max_trials=max_trials, t_end=t_end,
                  count_rises=count_rises, trace=trace, backend=backend, threads=threads, progress=progress,
                  time_limit=time_limit, stop_at_noise=stop_at_noise)
    if out is None:
        return run.ends()
    from odeopt.results.storage import kept
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
        What is to run: "lanes", "vector" or "numpy".
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

    @property
    def time_limit(self) -> float:
        """Seconds for each start."""
        limit = self.options["time_limit"]
        return math.inf if limit is None else limit

    @property
    def noise(self) -> Callable | None:
        """The rounding error of the gradient, if runs end below it."""
        return self.machine.objective.gradient_noise if self.options["stop_at_noise"] else None

    @functools.cached_property
    def kernel(self) -> Any:
        """The machine, compiled for the lanes or for vectors."""
        if self.backend == "vector":
            from odeopt.compile.vector import VectorKernel
            return VectorKernel(self.machine)
        from odeopt.compile.lanes import LaneKernel
        return LaneKernel(self.machine, self.starts.shape[1])

    @functools.cached_property
    def problem(self) -> str:
        """A digest of all that results depend on but versions and the processor: formulas, parameters, starts ...

        Of what the lanes run the kernel's text is the formula; of other formulas, their code.
        """
        from odeopt.results.description import fingerprint
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
        outcome = _BACKENDS[self.backend](self, None if self.machine.traced else journal)
        ensemble = _ensemble(self, outcome, started)
        if self.method.then is not None:
            _go_on(ensemble, self, *self.method.then, None if journal is None else journal + ".then")
            ensemble.finished = _now()
        return ensemble


def prepare(objective: Objective, method: Method, starts: Any, *, gtol: float, max_steps: int,
            max_trials: int | None = None, t_end: float | None = None, count_rises: float | None = None,
            trace: bool = False, backend: str | None = None, threads: int | None = None,
            progress: bool = False, time_limit: float | None = None, stop_at_noise: bool = False) -> Run:
    """Check what `solve_many` is given."""
    check_problem(objective, method)
    starts = real_array(starts, "starts")
    if starts.ndim != 2 or 0 in starts.shape:
        raise ValueError(f"`starts` must be an array (S, n) of at least one start, got the shape {starts.shape}")
    if objective.dimension is not None and starts.shape[1] != objective.dimension:
        raise ValueError(f"{objective!r} takes points of {objective.dimension} coordinates, got starts of "
                         f"{starts.shape[1]}")
    limits = _limits(gtol, max_steps, max_trials, t_end)
    if count_rises is not None:
        not_negative(count_rises=count_rises)
    for name, value in (("trace", trace), ("stop_at_noise", stop_at_noise), ("progress", progress)):
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"`{name}` must be True or False, got {value!r}")
    machine = Machine(objective, method.flow, method.scheme, method.controller, float(method.h0), limits,
                      rise=count_rises, traced=trace)
    options = {"gtol": gtol, "max_steps": max_steps, "max_trials": max_trials, "t_end": t_end,
               "count_rises": count_rises, "trace": trace, "backend": backend, "time_limit": time_limit,
               "stop_at_noise": stop_at_noise}
    backend = _backend(machine, backend, starts.shape[1])
    if time_limit is not None and not (is_number(time_limit) and time_limit > 0):
        raise ValueError(f"`time_limit` must be > 0, got {time_limit!r}: seconds, or None for no limit")
    if time_limit is not None and backend == "lanes":
        raise ValueError(f"`time_limit` must be None for the lanes, where starts run side by side, got {time_limit!r}: "
                         "bound max_trials")
    if stop_at_noise and backend != "vector":
        raise ValueError(f'`stop_at_noise` is for compiled vectors (backend="vector"), this run is for {backend!r}')
    return Run(machine, method, starts, backend,
               {name: value.item() if isinstance(value, np.generic) else value for name, value in options.items()},
               _threads(threads), progress)


def check_problem(objective: Any, method: Any) -> None:
    """Refuse what is no objective and no method, or has a parameter that is no number."""
    if not isinstance(objective, Objective):
        name = getattr(objective, "__name__", "")
        hint = f"write {name}()" if isinstance(objective, type) else "functions go into objectives.Function"
        raise TypeError(f"`objective` must be an Objective, got {objective!r}: {hint}")
    if not isinstance(method, Method):
        name = getattr(method, "__name__", "")
        hint = f": write {name}()" if name in methods.names() else "; see odeopt.methods"
        raise TypeError(f"`method` must be a Method, got {method!r}{hint}")
    check_numbers(objective)
    check_numbers(method)


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
    if ensemble.seconds is not None and then.seconds is not None:
        ensemble.seconds[rows] += np.nan_to_num(then.seconds)               # NaN: interrupted before it began
    ensemble.time += then.time
    ensemble.compile_time += then.compile_time
    if then.backend != ensemble.backend:
        ensemble.backend = f"{ensemble.backend}, then {then.backend}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _limits(gtol: float, max_steps: int, max_trials: int | None, t_end: float | None) -> Limits:
    not_negative(gtol=gtol)
    steps = _count("max_steps", max_steps)
    trials = 100.0*steps if max_trials is None else _count("max_trials", max_trials)
    if t_end is not None and not (is_number(t_end) and t_end > 0):
        raise ValueError(f"`t_end` must be > 0, got {t_end!r}: a time, or None for no end")
    return Limits(float(gtol), steps, trials, None if t_end is None else float(t_end))


def _count(name: str, value: float) -> float:
    if not (is_number(value) and value >= 1 and (value == math.inf or value % 1 == 0)):
        raise ValueError(f"`{name}` must be at least 1 and whole, got {value!r}")
    return float(value) if value <= sys.float_info.max else math.inf


def _backend(machine: Machine, backend: str | None, dimension: int) -> str:
    if not (backend is None or (isinstance(backend, str) and backend in _BACKENDS)):
        raise ValueError(f'`backend` must be "lanes", "vector", "numpy" or None, got {backend!r}')
    formulas = [part for part in (machine.flow, machine.scheme) if part.backend is not None]
    plain = next(iter(formulas), machine.objective if machine.objective.backend is not None else None)
    if backend == "lanes" and plain is not None:
        raise ValueError(f"{plain!r} is no straight-line formula, so the lanes cannot run it: "
                         f'use backend="{plain.backend}" or None')
    if backend == "vector" and formulas:
        raise ValueError(f"{formulas[0]!r} is no straight-line formula, so compiled vectors cannot run it: "
                         'use backend="numpy" or None')
    if backend is not None:
        return backend
    if formulas:
        return "numpy"
    return machine.objective.backend or ("lanes" if dimension <= MOST_COORDINATES else "numpy")


def _threads(threads: int | None) -> int:
    if threads is None:
        return usable_cores()
    whole(1, threads=threads)
    return int(threads)


# -- results

_BACKENDS = {"lanes": lanes.run, "vector": vector.run, "numpy": plain.run}


def _ensemble(run: Run, outcome: Outcome, started: str) -> Ensemble:
    machine, flow, ends, rows = run.machine, run.machine.flow, outcome.ends, outcome.rows

    def state(of: dict) -> dict:
        return {name: of["z", name] for name in (*flow.blocks, *flow.scalars)}
    z, trace, facts = state(ends), None, dict(outcome.facts)
    if rows is not None:
        trace = Trace(rows["t",], rows["tried",], _whole(rows["n",]), _whole(rows["trials",]), state(rows), rows["g",],
                      facts.pop("stride"), machine.objective, flow)
    begun = (ends["status",] != Status.INTERRUPTED) | ~np.isnan(ends["g",]).all(axis=1)
    counts: dict[str, Any] = {name: _whole(ends[name,]) for name in COUNTS}
    return Ensemble(
        x=z["x"], fun=_values(machine.objective, z["x"], begun), jac=ends["g",], z=z, t=ends["t",],
        h=ends["h",],
        nit=_whole(ends["n",]), trials=_whole(ends["trials",]), **counts, status=_whole(ends["status",]),
        memory=_nested(ends, "memory"), rises=None if machine.rise is None else _whole(ends["rises",]),
        starts=run.starts, objective=machine.objective, method=run.method, limits=machine.limits, backend=run.backend,
        trace=trace, options=run.options, started=started, finished=_now(), **facts)


def _whole(column: np.ndarray) -> np.ndarray:
    """A column of whole numbers as such, in its own place: many starts need no room for copies."""
    whole = column.view(np.int64)
    whole[...] = column
    return whole


def _values(objective: Objective, x: np.ndarray, begun: np.ndarray) -> np.ndarray:
    """The objective at points (S, n), a block at a time: whole columns would be intermediate results of its formula.

    Of runs that were interrupted before they began it is not-a-number.
    """
    fun, places = np.full(len(x), np.nan), np.flatnonzero(begun)
    with np.errstate(all="ignore"):
        for part in blocks(len(places)):
            rows = places[part]
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
