"""Results: one run, many runs, and what happened on the way."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from odeopt.language import State
from odeopt.status import Status
from odeopt.trial import Ode


@dataclass(eq=False, repr=False)
class Trace:
    """What happened in every trial, the rejected ones too; row 0 is the start.

    Attributes
    ----------
    t, h, n : array (rows,)
        Time, step tried (NaN in row 0), accepted steps so far.
    accepted : bool array (rows,)
        Whether the trial was accepted; a rejected one leaves the state.
    z : dict of arrays (rows, n) or (rows,)
        The blocks and scalars of the state; `x` is z["x"].
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
        return np.sqrt(np.sum(self.g*self.g, axis=-1))

    @property
    def accepted(self) -> np.ndarray:
        first = np.zeros((*self.n.shape[:-1], 1), dtype=bool)
        return np.concatenate([first, np.diff(self.n, axis=-1) > 0], axis=-1)

    @functools.cached_property
    def f(self) -> np.ndarray:
        x = self.x
        return np.reshape(self.objective.f(x.reshape(-1, x.shape[-1])), x.shape[:-1])

    @functools.cached_property
    def V(self) -> np.ndarray:
        return energy(self.objective, self.flow, self.t, self.z)

    def __len__(self) -> int:
        return self.t.shape[-1]

    def __repr__(self) -> str:
        return f"Trace of {len(self)} rows: t, h, n, accepted, z, x, g_norm, f, V"


def energy(objective: Any, flow: Any, t: np.ndarray, z: dict[str, np.ndarray]) -> np.ndarray:
    """The flow's V at states given as arrays, evaluated by NumPy.

    Parameters
    ----------
    objective, flow
    t : array (...)
    z : dict of arrays (..., n) for blocks, (...) for scalars
    """
    from odeopt.compile.emit import numpy_function
    from odeopt.compile.tracer import Graph, Vector
    t = np.asarray(t, dtype=float)
    with np.errstate(all="ignore"):
        if objective.backend == "numpy" or flow.backend == "numpy":
            rows = [Ode(flow, objective).V(t[i], State({k: v[i] for k, v in z.items()})) for i in np.ndindex(t.shape)]
            return np.reshape(rows, t.shape)
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
    trace : Trace or None
    backend : str
        What ran: "lanes" or "numpy".
    time, compile_time : float
        Seconds.
    then : Ensemble or None
        The runs that the method's `then` went on with. They are entered in the arrays: x, fun, jac, h and status are
        theirs, times and counts are sums; `memory`, `trace` and the blocks of `z` but x stay those of the first method.
    gone_on : bool array (S,) or None
        Which runs these are.
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
    trace: Trace | None = None
    then: Ensemble | None = None
    gone_on: np.ndarray | None = None

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
        value = getattr(self.ensemble, name)
        if name in ("objective", "method", "limits", "backend", "time", "compile_time", "threads", "flags"):
            return value
        return _row(value, self.index)

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
    def V(self) -> float | None:
        """The flow's Lyapunov function at the end, if it has one."""
        flow = self.ensemble.method.flow
        if self.then is not None:
            return self.then.V
        if flow.V is None:
            return None
        return float(energy(self.objective, flow, self.t, {k: np.asarray(v) for k, v in self.z.items()}))

    @functools.cached_property
    def trace(self) -> Trace | None:
        """Every trial of this run."""
        whole = self.ensemble.trace
        if whole is None:
            return None
        trials = whole.trials[self.index]
        rows = np.append(True, np.diff(trials) > 0)
        cut = {k: v[self.index][rows] for k, v in whole.z.items()}
        return Trace(whole.t[self.index][rows], whole.h[self.index][rows], whole.n[self.index][rows], trials[rows], cut,
                     whole.g[self.index][rows], whole.stride, whole.objective, whole.flow)

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
