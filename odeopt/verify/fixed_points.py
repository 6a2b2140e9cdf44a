"""A method rests where the gradient vanishes, and nowhere else."""

from __future__ import annotations

import numpy as np

from odeopt.language import FormulaError
from odeopt.methods import Method
from odeopt.objectives import Landscape, PolyThree
from odeopt.parameters import instance
from odeopt.trial import Limits, Machine, Ode
from odeopt.verify.base import Verdict

STATES = 100                    # random points that must move
TRIALS = 20_000                 # for the first step: a controller may reject many, an inner solve take a thousand each
STILL = 1e-9                    # a critical point, known to rounding, may move by this


def fixed_points(method: Method, objective: Landscape | None = None) -> Verdict:
    """Whether one trial from rest moves the critical points of a landscape by rounding only, and other points at all.

    Parameters
    ----------
    method : Method
    objective : Landscape, optional
        With critical points listed; polyThree (nine, of every kind) if not given.

    Returns
    -------
    Verdict
        "measured", or "refuted" with the point that moves, is undefined (0/0) or rests though it is not critical.

    Raises
    ------
    TypeError
        If the method or the landscape is none.
    FormulaError
        If the landscape lists no critical points, or a formula cannot be read.
    """
    objective = PolyThree() if objective is None else objective
    instance(Method, method=method)
    instance(Landscape, objective=objective)
    if not objective.critical_points:
        raise FormulaError(f"{objective!r} lists no critical points, so nothing is known to rest: choose a landscape "
                           "that does")
    limits = Limits(gtol=0.0)
    machine = Machine(objective, method.flow, method.scheme, method.controller, np.float64(method.h0), limits)
    for point in objective.critical_points:
        moved = _moved(machine, np.array(point.x))
        if not moved <= STILL:
            what = "is undefined at" if np.isnan(moved) else f"moves by {moved:.1e} from"
            return Verdict("refuted", method, f"one trial {what} the {point.kind} {point.x} of {objective!r}")
    rng = np.random.default_rng(0)
    for x in rng.uniform(*objective.box, (STATES, objective.dimension)):
        record = _stepped(machine, x)
        if record["n"] == 0 or np.array_equal(record["z"].x, x):
            return Verdict("refuted", method, f"{x.tolist()} rests, but is no critical point of {objective!r}: "
                                              f"|g| = {np.linalg.norm(objective.gradient(x)):.3g}")
    return Verdict("measured", method, f"the {len(objective.critical_points)} critical points of {objective!r} rest, "
                                       f"{STATES} random points move")


def _stepped(machine: Machine, x: np.ndarray) -> dict:
    """The record after the first accepted step from x, or where there is none."""
    with np.errstate(all="ignore"):
        record, _ = machine.begin(x)
        for _ in range(TRIALS):
            if record["n"] > 0 or record["status"] != 0.0:
                break
            record, _ = machine.trial(record)
        return record


def _moved(machine: Machine, x: np.ndarray) -> float:
    """How far one trial proposes to go from x, NaN if that is undefined."""
    with np.errstate(all="ignore"):
        record, _ = machine.begin(x)
        ode = Ode(machine.flow, machine.objective)
        z = machine.scheme.step(ode, record["t"], record["z"], record["h"], **record["scheme_memory"]).z
        return float(np.max(np.abs(z.x - x)))
