"""Results: one run, many runs, and what happened on the way."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from odeopt.language import FormulaError, State
from odeopt.results.environment import environment
from odeopt.status import Status
from odeopt.trial import Ode

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from odeopt.results.rerun import Rerun

BLOCK = 1 << 13                 # starts that NumPy evaluates at a time, so that intermediate results take little room


def blocks(count: int) -> Iterator[slice]:
    """Slices of at most BLOCK that cover `count` starts."""
    return (slice(first, first + BLOCK) for first in range(0, count, BLOCK))


@dataclass(eq=False, repr=False)
class Trace:
    """What happened in every trial, the rejected ones too; row 0 is the start.

    Attributes
    ----------
    t, h, n, trials : array (rows,)
        Time, step tried (NaN in row 0), accepted steps and trials so far.
    accepted : bool array (rows,)
        Whether the trial was accepted; a rejected one leaves the state.
    z : dict of arrays (rows, n) or (rows,)
        The blocks and scalars of the state; `x` is z["x"].
    g : array (rows, n)
    g_norm : array (rows,)
    f, V : array (rows,)
        Recomputed from the states by NumPy when first read.
    stride : int
        Trials between two rows (> 1 where a long run was thinned).

    In the trace of an ensemble every array has the starts as its first axis, and runs that have ended repeat their last
    row with `accepted` False.
    """

    t: np.ndarray
    h: np.ndarray
    n: np.ndarray
    trials: np.ndarray
    z: dict[str, np.ndarray]
    g: np.ndarray
    stride: int
    objective: Any
    flow: Any

    @property
    def x(self) -> np.ndarray:
        return self.z["x"]

    @property
    def g_norm(self) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.sqrt(np.sum(self.g*self.g, axis=-1))

    @property
    def accepted(self) -> np.ndarray:
        first = np.zeros((*self.n.shape[:-1], 1), dtype=bool)
        return np.concatenate([first, np.diff(self.n, axis=-1) > 0], axis=-1)

    @functools.cached_property
    def f(self) -> np.ndarray:
        x = self.x
        with np.errstate(all="ignore"):
            return np.reshape(self.objective.f(x.reshape(-1, x.shape[-1])), x.shape[:-1])

    @functools.cached_property
    def V(self) -> np.ndarray:
        return energy(self.objective, self.flow, self.t, self.z, self.f)

    def one(self, i: int) -> Trace:
        """Of an ensemble's trace that of start i, without the rows that it repeats."""
        return self.at((i, np.append(True, np.diff(self.trials[i]) > 0)))

    def at(self, place: Any) -> Trace:
        """The trace with every array indexed by `place`."""
        arrays = {name: getattr(self, name)[place] for name in ("t", "h", "n", "trials", "g")}
        trace = dataclasses.replace(self, **arrays, z={name: block[place] for name, block in self.z.items()})
        vars(trace).update({name: vars(self)[name][place] for name in ("f", "V") if name in vars(self)})
        return trace

    def __len__(self) -> int:
        return self.t.shape[-1]

    def arrays(self) -> dict[str, np.ndarray]:
        """What was recorded, by name; the state's blocks but x as "z.v"."""
        named = {name: getattr(self, name) for name in ("x", "g", "t", "h", "n", "trials")}
        return named | {f"z.{name}": block for name, block in self.z.items() if name != "x"}

    def to_xarray(self) -> xr.Dataset:
        """Labelled arrays with the dimensions (start,) row and coordinate; f and V, if the flow has one, among them."""
        from odeopt.results.labelled import rows
        return rows(self)

    def to_pandas(self) -> pd.DataFrame:
        """A table of one line a row; in an ensemble's the index is (start, row)."""
        from odeopt.results.labelled import table
        return table(self.to_xarray())

    def __repr__(self) -> str:
        return f"Trace of {len(self)} rows: t, h, n, accepted, z, x, g_norm, f, V"


def energy(objective: Any, flow: Any, t: np.ndarray, z: dict[str, np.ndarray],
           f: np.ndarray | None = None) -> np.ndarray:
    """The flow's V at states given as arrays, evaluated by NumPy.

    Parameters
    ----------
    objective, flow
    t : array (...)
    z : dict of arrays (..., n) for blocks, (...) for scalars
    f : array (...), optional
        The objective's values there: a Python function is not called again.
    """
    from odeopt.compile.emit import numpy_function
    from odeopt.compile.tracer import Graph, Vector
    t = np.asarray(t, dtype=float)
    with np.errstate(all="ignore"):
        if objective.backend is not None or flow.backend is not None:
            V = np.empty(t.shape)
            for i in np.ndindex(t.shape):
                state, ode = State({k: v[i] for k, v in z.items()}), Ode(flow, objective)
                if f is not None:
                    ode.know("f", state.x, f[i])
                V[i] = ode.V(t[i], state)
            return V
        graph, arrays, blocks = Graph(), [t], {}
        inputs = [graph.input("t")]
        for name, values in z.items():
            columns = [values] if name in flow.scalars else [values[..., i] for i in range(values.shape[-1])]
            numbers = [graph.input(f"{name}{i}") for i in range(len(columns))]
            blocks[name] = numbers[0] if name in flow.scalars else Vector(numbers)
            arrays += columns
            inputs += numbers
        V = Ode(flow, objective).V(inputs[0], State(blocks))
        return np.broadcast_to(numpy_function(graph, inputs, [V])(*arrays)[0], t.shape)


@dataclass(eq=False, repr=False)
class Ensemble:
    """Many runs of one method, one row a start.

    Attributes
    ----------
    x, jac : array (S, n)
        Last points and their gradients.
    fun : array (S,)
        Values there.
    z : dict
        All blocks of the last states.
    t, h : array (S,)
        Time reached and next step.
    nit, trials, nfev, njev, nhev : int array (S,)
        Accepted steps, all trials, evaluations of values, gradients and Hessians, the start included.
    status : int array (S,)
        See `Status`.
    memory : dict
        The controller's last memory.
    rises : int array (S,) or None
        Accepted steps on which V rose by more than `count_rises` |V|.
    starts : array (S, n)
    objective, method, limits
        What ran; see `solve_many`.
    trace : Trace or None
    backend : str
        What ran: "lanes", "vector" or "numpy".
    time, compile_time : float
        Seconds.
    threads : int
    flags : tuple of str
        Fast-math flags of the compiler, which bits depend on; none for NumPy and the lanes.
    seconds : array (S,) or None
        Of each start, where starts do not run side by side as in the lanes; NaN if it never began.
    then : Ensemble or None
        The runs that the method's `then` went on with. They are entered in the arrays: x, fun, jac, h and status are
        theirs, times and counts are sums; `memory`, `trace` and the blocks of `z` but x stay those of the first method.
    gone_on : bool array (S,) or None
        Which runs these are.
    options : dict
        The options of `solve_many` that results depend on, as they were given.
    started, finished : str
        When it ran (ISO 8601, UTC).
    path : str or None
        The file that it was loaded from.
    """

    x: np.ndarray
    fun: np.ndarray
    jac: np.ndarray
    z: dict[str, np.ndarray]
    t: np.ndarray
    h: np.ndarray
    nit: np.ndarray
    trials: np.ndarray
    nfev: np.ndarray
    njev: np.ndarray
    nhev: np.ndarray
    status: np.ndarray
    memory: dict[str, Any]
    rises: np.ndarray | None
    starts: np.ndarray
    objective: Any
    method: Any
    limits: Any
    backend: str
    time: float
    compile_time: float
    threads: int = 1
    flags: tuple[str, ...] = ()
    seconds: np.ndarray | None = None
    trace: Trace | None = None
    then: Ensemble | None = None
    gone_on: np.ndarray | None = None
    options: dict[str, Any] = field(default_factory=dict)
    started: str = ""
    finished: str = ""
    path: str | None = None

    @functools.cached_property
    def environment(self) -> dict[str, str]:
        """Versions, processor, cores and system that it ran with."""
        return environment()

    @functools.cached_property
    def problem(self) -> str:
        """A digest of all that the results depend on but versions and the processor; "" if formulas are stood for."""
        from odeopt.solver import prepare
        try:
            return prepare(self.objective, self.method, self.starts, **self.options).problem
        except FormulaError:
            return ""

    @functools.cached_property
    def V(self) -> np.ndarray | None:
        """The flow's Lyapunov function at the ends (S,); None if it has none, or asks for what is not known."""
        flow, t, z = self.method.flow, np.asarray(self.t), self.z
        if flow.V is None:
            return None
        V = np.empty(len(self))
        try:
            for rows in blocks(len(self)):
                V[rows] = energy(self.objective, flow, t[rows], {name: block[rows] for name, block in z.items()},
                                 self.fun[rows])
        except FormulaError:
            return None
        if self.then is not None:
            V[self.gone_on] = np.nan if self.then.V is None else self.then.V
        return V

    def arrays(self) -> dict[str, np.ndarray]:
        """What the runs ended with, by name; the state's blocks but x as "z.v", the memory as "memory.phase"."""
        names = ("starts", "x", "fun", "jac", "t", "h", "nit", "trials", "nfev", "njev", "nhev", "status", "rises",
                 "seconds", "gone_on")
        named = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        named |= {f"z.{name}": block for name, block in self.z.items() if name != "x"}
        return named | dict(_leaves(self.memory, "memory"))

    def one(self, i: int) -> Ensemble:
        """The ensemble of start i alone."""
        part = _part(vars(self), slice(i, i + 1))
        trace, then, on = self.trace, self.then, self.gone_on
        went_on = then is not None and on is not None and bool(on[i])
        alone = dataclasses.replace(
            self, **{f.name: part[f.name] for f in dataclasses.fields(self) if f.name not in ("trace", "then")},
            trace=None if trace is None else trace.one(i).at(None),
            then=then.one(int(on[:i].sum())) if went_on else None)      # type: ignore[union-attr, index]
        alone.gone_on = alone.gone_on if went_on else None
        vars(alone).update({name: part[name] for name in ("V", "environment") if name in part})
        return alone

    def to_xarray(self) -> xr.Dataset:
        """Labelled arrays with the dimensions start and coordinate; of a recorded trace see `trace.to_xarray`."""
        from odeopt.results.labelled import ends
        return ends(self)

    def to_pandas(self) -> pd.DataFrame:
        """A table of one line a start."""
        from odeopt.results.labelled import table
        return table(self.to_xarray())

    def save(self, path: str | os.PathLike) -> None:
        """Write all to a NetCDF-4 file, formulas, options, versions and machine included; see `odeopt.load`."""
        from odeopt.results.storage import save
        save(self, path)

    def rerun(self, threads: int | None = None, progress: bool = False) -> Rerun:
        """Run again, with the same options, and compare to the last bit."""
        from odeopt.results.rerun import rerun
        return rerun(self, threads, progress)

    @property
    def success(self) -> np.ndarray:
        """Whether each run converged or reached t_end."""
        return (self.status == Status.CONVERGED) | (self.status == Status.REACHED_T)

    @property
    def g_norm(self) -> np.ndarray:
        """|g| at the last points."""
        with np.errstate(all="ignore"):
            return np.sqrt(np.sum(self.jac*self.jac, axis=1))

    def counts(self) -> dict[str, int]:
        """How many runs ended how."""
        values, counts = np.unique(self.status, return_counts=True)
        return {Status(int(v)).name: int(c) for v, c in zip(values, counts, strict=True)}

    def __len__(self) -> int:
        return len(self.status)

    def __getitem__(self, i: int) -> Solution:
        """The run of start i."""
        i = range(len(self))[i]
        return Solution(self, i)

    def __repr__(self) -> str:
        done = self.success
        steps, trials = int(self.nit[done].sum()), int(self.trials[done].sum())
        lines = [f"Ensemble of {len(self)} runs: {self.method.name} on {self.objective!r}",
                 "  " + ", ".join(f"{count} {name}" for name, count in self.counts().items())]
        if steps:
            lines.append(f"  converged runs: {steps/done.sum():.1f} steps on average, {trials/steps:.3f} trials a step")
        if self.then is not None:
            lines.append(f"  {len(self.then)} runs ended as {self.method.then[0].name} and went on with "
                         f"{self.then.method.name}")
        lines.append(f"  {self.backend}, {self.threads} thread{'s'*(self.threads > 1)}, {self.time:.3f} s"
                     f" (+ {self.compile_time:.2f} s to compile or load)")
        if self.path is not None:
            lines.append(f"  loaded from {self.path}, where it was written on {self.finished}")
        return "\n".join(lines)


@dataclass(eq=False, repr=False)
class Solution:
    """One run: a row of an ensemble, with SciPy's names.

    Attributes
    ----------
    x, jac : array (n,)
    fun, V, t, h : float
    nit, trials, nfev, njev, nhev : int
    status : Status
    success : bool
    message : str
        How it ended and what to try.
    trace : Trace or None
    then : Solution or None
        The second part of a run that the method's `then` went on with; x, status, times and counts here include it.
    """

    ensemble: Ensemble = field()
    index: int = 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("ensemble", "index"):
            raise AttributeError(name)
        return _row(getattr(self.ensemble, name), self.index)

    @property
    def status(self) -> Status:
        return Status(int(self.ensemble.status[self.index]))

    @property
    def message(self) -> str:
        return self.status.message

    @property
    def then(self) -> Solution | None:
        """The second part of this run, if there was one."""
        whole = self.ensemble
        if whole.then is None or whole.gone_on is None or not whole.gone_on[self.index]:
            return None
        return whole.then[int(whole.gone_on[:self.index].sum())]

    @functools.cached_property
    def trace(self) -> Trace | None:
        """Every trial of this run."""
        whole = self.ensemble.trace
        return None if whole is None else whole.one(self.index)

    def to_xarray(self) -> xr.Dataset:
        """Labelled arrays of the end; of a recorded trace see `trace.to_xarray`."""
        return self.ensemble.one(self.index).to_xarray().isel(start=0)

    def to_pandas(self) -> pd.DataFrame:
        """The trace, a table of one line a trial."""
        if self.trace is None:
            raise ValueError("this run has no trace to make a table of: solve(..., trace=True)")
        return self.trace.to_pandas()

    def save(self, path: str | os.PathLike) -> None:
        """Write this run to a NetCDF-4 file, formulas, options, versions and machine included; see `odeopt.load`."""
        from odeopt.results.storage import save
        save(self, path)

    def rerun(self, threads: int | None = None, progress: bool = False) -> Rerun:
        """Run again, with the same options, and compare to the last bit."""
        return self.ensemble.one(self.index).rerun(threads, progress)

    def __repr__(self) -> str:
        rows = {"status": self.status.name, "message": self.message, "|g|": np.sqrt(self.jac @ self.jac)}
        names = ("x", "fun", "V", "t", "h", "nit", "trials", "nfev", "njev", "backend")
        rows |= {name: getattr(self, name) for name in names}
        lines = (f"{name:>9}: {value}" for name, value in rows.items())
        then = "" if self.then is None else f", then {self.then.method.name} (steps, trials and evaluations of both)"
        return "\n".join([f"{self.method.name} on {self.objective!r}{then}", *lines])


def _row(value: Any, i: int) -> Any:
    if isinstance(value, dict):
        return {k: _row(v, i) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return value[i].item() if value.ndim == 1 else value[i]
    return value


def _leaves(value: Any, name: str) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}")
    else:
        yield name, value


def _part(value: Any, rows: slice) -> Any:
    if isinstance(value, dict):
        return {key: _part(inner, rows) for key, inner in value.items()}
    return value[rows] if isinstance(value, np.ndarray) else value
