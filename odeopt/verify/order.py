"""A scheme has the order that it states."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from odeopt.compile.tracer import Graph, Vector
from odeopt.flows import Flow
from odeopt.language import FormulaError, State, ask, leaves, rebuilt
from odeopt.objectives import Himmelblau, Objective
from odeopt.parameters import instance, real_array
from odeopt.schemes import Scheme
from odeopt.trial import Ode
from odeopt.verify.base import Verdict

LARGEST, SMALLEST = 1e-3, 1e-11  # errors between which the order is fitted, relative to the solution's size
POINTS, ENOUGH = 4, 8           # least number of them, and how many are enough
STEADY = 0.1                    # the slopes between neighbours differ by less in the asymptotic range
TOLERANCE = 0.1                 # of the fitted order
FINEST = 2**15                  # steps
PATIENCE = 8                    # sizes of step, over which an error that does not fall any more is a plateau

_KINKS = {"abs": "np.abs", "sign": "np.sign", "min": "np.minimum", "max": "np.maximum", "select": "np.where"}


def order(flow: Flow, scheme: Scheme, objective: Objective | None = None, x0: Any = None, *,
          duration: float | None = None, stated: int | None = None) -> Verdict:
    """Whether the error at a fixed time falls as h^p with the stated p, on a nonlinear problem.

    The number of steps grows by sqrt(2). The order is the slope fitted to the longest run of points (at least 4)
    whose errors lie between 1e-3 and 1e-11 and whose neighbours' slopes differ by less than 0.1: neither before the
    asymptotic range nor on the plateau of rounding. It must be within 0.1 of the stated one. The reference is SciPy's
    DOP853 with relative tolerance 1e-13.

    Parameters
    ----------
    flow : Flow
    scheme : Scheme
        Stepped with constant h.
    objective : Objective, optional
        Himmelblau's function if not given: linear problems may converge faster than the scheme's order.
    x0 : array_like, optional
        Start; the other blocks start at random values of size one.
    duration : float, optional
        One time unit of the rate at the start if not given, or 8 or 64 where the errors fall too fast to be measured.
    stated : int, optional
        `scheme.convergence_order` if not given.

    Returns
    -------
    Verdict
        "measured" or "refuted", with the fitted order and its points; "refused" for a field with kinks, on which no
        scheme has an order above 1 or 2, or if too few points are in the asymptotic range.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or x0 no point of the objective.
    FormulaError
        If the scheme takes steps of its own length, or a formula cannot be read.
    """
    objective = Himmelblau() if objective is None else objective
    instance(Flow, flow=flow)
    instance(Scheme, scheme=scheme)
    instance(Objective, objective=objective)
    stated = scheme.convergence_order if stated is None else stated
    subject = (flow, scheme)
    x0 = np.linspace(0.4, -0.3, objective.dimension or 2) if x0 is None else real_array(x0, "x0")
    if x0.ndim != 1 or objective.dimension not in (None, len(x0)):
        raise ValueError(f"`x0` must be one point of {objective!r}, an array (n,), got the shape {x0.shape}")
    kink = _kink(flow, objective, x0)
    if kink:
        return Verdict("refused", subject, f"the field has {kink}: where it bends, the order of smooth problems is "
                                           "lost")
    ode = Ode(flow, objective)
    t0, z0 = _start(flow, x0)
    rate = _size(ode.field(t0, z0))/_size(z0)
    kept: list[tuple[float, float]] = []
    for span in [duration] if duration is not None else [factor/max(rate, 1.0) for factor in (1.0, 8.0, 64.0)]:
        if len(kept) < ENOUGH:
            kept = max(kept, _errors(ode, scheme, t0, z0, span), key=len)
    if len(kept) < POINTS:
        return Verdict("refused", subject, f"only {len(kept)} errors are in the asymptotic range, {POINTS} are needed: "
                                           "choose another duration or start")
    logs = np.log(np.array(kept))
    slope = float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])
    detail = (f"stated order {stated}, measured {slope:.2f} on {objective!r}: {len(kept)} points, "
              f"h from {kept[0][0]:.1e} to {kept[-1][0]:.1e}, errors from {kept[0][1]:.1e} to {kept[-1][1]:.1e}")
    return Verdict("measured" if abs(slope - stated) <= TOLERANCE else "refuted", subject, detail)


def _errors(ode: Ode, scheme: Scheme, t0: float, z0: State, duration: float) -> list[tuple[float, float]]:
    """(step, relative error at the end) in the asymptotic range."""
    exact = _reference(ode, t0, z0, duration)
    points: dict[float, float] = {}
    errors: list[float] = []
    kept: list[tuple[float, float]] = []
    for count in sorted({round(2.0**(k/2)) for k in range(2*int(math.log2(FINEST)))}):
        end = _flat(_stepped(ode, scheme, t0, z0, duration/count, count))
        error = float(np.linalg.norm(end - exact)/np.linalg.norm(exact))
        errors.append(error)
        stagnant = len(errors) > PATIENCE and not error < 0.9*errors[-PATIENCE]
        if error < SMALLEST or len(kept) >= ENOUGH or stagnant:
            break
        if error <= LARGEST:
            points[duration/count] = error
            kept = _asymptotic(list(points.items()))
    return kept


def _asymptotic(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The longest run of points whose neighbours' slopes are steady."""
    slopes = [math.log(e1/e0)/math.log(h1/h0) for (h0, e0), (h1, e1) in itertools.pairwise(points)]
    runs = [points[i:j + 1] for i in range(len(slopes)) for j in range(i + 1, len(slopes) + 1)
            if max(slopes[i:j]) - min(slopes[i:j]) < STEADY]
    return max(runs, key=len, default=[])


def _kink(flow: Flow, objective: Objective, x0: np.ndarray) -> str:
    """What in the field is not smooth, in the formulas' words; nothing where the field is plain Python."""
    if flow.backend is not None or objective.backend is not None:
        return ""
    graph = Graph()
    z0 = _start(flow, x0)[1]
    z = rebuilt(State({name: Vector(value) if np.ndim(value) else value for name, value in z0.blocks.items()}),
                [graph.input(f"z{i}") for i in range(len(_flat(z0)))])
    live = graph.live(leaves(Ode(flow, objective).field(graph.input("t"), z)))
    return ", ".join(sorted({_KINKS[node.op] for node in graph.nodes if node.index in live and node.op in _KINKS}))


def _start(flow: Flow, x0: np.ndarray) -> tuple[float, State]:
    """A state off the axes, at a time at which a clock has started."""
    rng = np.random.default_rng(0)
    blocks: dict[str, Any] = {"x": x0}
    for name in (*flow.blocks[1:], *flow.scalars):
        value = rng.uniform(0.5, 1.5, len(x0)) if name in flow.positive else rng.normal(0.0, 0.5, len(x0))
        blocks[name] = value if name in flow.blocks else np.float64(np.abs(value[0]) + 0.5)
    return flow.t0 + 1.0*flow.asks_clock, State(blocks)


def _flat(z: State) -> np.ndarray:
    return np.concatenate([np.atleast_1d(value) for value in z.blocks.values()]).astype(float)


def _size(z: State) -> float:
    return float(np.linalg.norm(_flat(z)))


def _stepped(ode: Ode, scheme: Scheme, t: float, z: State, h: float, count: int) -> State:
    """`count` steps of constant h."""
    given = {"x": z.x, "z": z, "h": h, "g": ode.g(z.x), "f": ode.f(z.x)}
    memory, taken = ask(scheme.memory, given), 0
    while taken < count:
        fresh = Ode(ode.flow, ode.objective)
        step = scheme.step(fresh, t, z, np.float64(h), **memory)
        if step.h is not None:
            raise FormulaError(f"{type(scheme).__name__} takes steps of its own length: its order needs its own test")
        memory = {**memory, **step.inner}
        if not step.pending:
            t, z, memory, taken = t + h, step.z, {**memory, **step.memory}, taken + 1
    return z


def _reference(ode: Ode, t0: float, z0: State, duration: float) -> np.ndarray:
    from scipy.integrate import solve_ivp
    names, shapes = list(z0), [np.shape(value) for value in z0.blocks.values()]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]

    def state(y: np.ndarray) -> State:
        parts = (np.reshape(part, shape) for part, shape in zip(np.split(y, ends), shapes, strict=True))
        return State(dict(zip(names, parts, strict=True)))

    def field(t: float, y: np.ndarray) -> np.ndarray:
        return _flat(Ode(ode.flow, ode.objective).field(t, state(y)))
    solution = solve_ivp(field, (t0, t0 + duration), _flat(z0), method="DOP853", rtol=1e-13, atol=1e-15)
    return solution.y[:, -1]
