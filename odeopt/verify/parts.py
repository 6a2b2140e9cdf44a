"""A flow's parts are flows, and sum to its field."""

from __future__ import annotations

from typing import Any

import numpy as np

from odeopt.flows import Flow
from odeopt.language import FormulaError, State
from odeopt.objectives import Himmelblau, Objective
from odeopt.parameters import instance
from odeopt.trial import Ode
from odeopt.verify.base import Verdict

STATES = 100                    # random states
TOLERANCE = 1e-8                # relative; the difference quotients are extrapolated, their error is about 1e-11


def parts(flow: Flow, objective: Objective | None = None) -> Verdict:
    """Whether the parts of a flow may be composed by splittings.

    A part that asks for h must be a flow, part(h1 + h2) = part(h2) after part(h1) (the first part's clock runs on), and
    the derivatives of all parts at h = 0, with the parts that are sub-fields, must sum to the field.

    Parameters
    ----------
    flow : Flow
        With `parts`.
    objective : Objective, optional
        Himmelblau's function if not given.

    Returns
    -------
    Verdict
        "measured" at 100 random states, or "refuted" with a part, a state and both sides.

    Raises
    ------
    TypeError
        If the flow or the objective is none.
    FormulaError
        If the flow declares no parts, or one cannot be read.
    """
    objective = Himmelblau() if objective is None else objective
    instance(Flow, flow=flow)
    instance(Objective, objective=objective)
    if not flow.parts:
        raise FormulaError(f"{type(flow).__name__} declares no parts, so there is nothing to verify")
    ode, rng, worst = Ode(flow, objective), np.random.default_rng(0), 0.0
    exact = [name for name in flow.parts if ode.is_exact(name)]
    for _ in range(STATES):
        t, z = rng.uniform(0.5, 2.0), _random(flow, objective, rng)
        h1, h2 = rng.uniform(0.05, 0.5, 2)
        for name in exact:
            later = t + h1 if name == flow.parts[0] else t  # the first part carries the clock
            once, twice = ode.part(name, t, z, h1 + h2), ode.part(name, later, ode.part(name, t, z, h1), h2)
            error = _distance(once, twice)
            if not error <= TOLERANCE:
                return _refuted(flow, f"{name} is no flow: {name}(h1 + h2) is not {name}(h2) after {name}(h1)",
                                {"h1": h1, "h2": h2, **_numbers(z)}, once, twice, error)
            worst = max(worst, error)
        rates = [_rate(ode, name, t, z) if name in exact else ode.subfield(name, t, z) for name in flow.parts]
        total = rates[0]
        for rate in rates[1:]:
            total = total + rate
        field = ode.field(t, z)
        error = _distance(total, field)
        if not error <= TOLERANCE:
            detail = "the parts' derivatives at h = 0 do not sum to the field"
            return _refuted(flow, detail, {"t": t, **_numbers(z)}, total, field, error)
        worst = max(worst, error)
    return Verdict("measured", flow, f"{', '.join(flow.parts)}: flows that sum to the field, within {worst:.1e} "
                                     f"at {STATES} random states")


def _rate(ode: Ode, name: str, t: float, z: State) -> State:
    """The derivative at h = 0, by central differences extrapolated once."""
    def quotient(h: float) -> State:
        return (ode.part(name, t, z, h) - ode.part(name, t, z, -h))/(2.0*h)
    return (4.0*quotient(1e-3) - quotient(2e-3))/3.0


def _random(flow: Flow, objective: Objective, rng: np.random.Generator) -> State:
    n = 2 if objective.dimension is None else objective.dimension
    blocks: dict[str, Any] = {}
    for name in (*flow.blocks, *flow.scalars):
        value = rng.uniform(0.5, 3.0, n) if name in flow.positive else rng.normal(0.0, 1.5, n)
        blocks[name] = value if name in flow.blocks else np.float64(np.abs(value[0]) + 0.5)
    return State(blocks)


def _distance(a: State, b: State) -> float:
    """Largest difference of two states, relative to their size."""
    size = max(1.0, *(float(np.max(np.abs(value))) for value in b.blocks.values()))
    return max(float(np.max(np.abs(a[name] - b[name]))) for name in b)/size


def _numbers(z: State) -> dict[str, float]:
    return {f"{name}{i}" if np.ndim(value) else name: float(number)
            for name, value in z.blocks.items() for i, number in enumerate(np.atleast_1d(value))}


def _refuted(flow: Flow, detail: str, where: dict[str, float], left: State, right: State, error: float) -> Verdict:
    """The largest of the differences, with both sides."""
    gaps = {name: np.abs(left[name] - right[name]) for name in right}
    name = max(gaps, key=lambda block: float(np.max(gaps[block])))
    i = int(np.argmax(gaps[name]))
    sides = {f"{name}{i}, left": float(np.atleast_1d(left[name])[i]), "right": float(np.atleast_1d(right[name])[i]),
             "difference": error}
    return Verdict("refuted", flow, detail, {**where, **sides})
