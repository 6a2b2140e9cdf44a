"""What a scheme is: one step of a flow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from odeopt.language import FormulaError, State


@dataclass
class Step:
    """What a scheme returns.

    Attributes
    ----------
    z : State
        The trial state.
    predicted : number, or function that gives one, or None
        Decrease of V that the step promises; None means h times the dissipation at the start.
    error : State or vector or None
        Embedded estimate of the local error; the controller takes the norm.
    solved : condition
        Whether the inner solve met its criterion; a failed one rejects.
    updates : number
        Updates that the inner solve made.
    h : number or None
        Time really advanced, if not h.
    memory : dict
        The scheme's own memory, kept only if the trial is accepted.
    pending : condition
        Whether the inner solve goes on in the next trial: then nothing is decided, and the step stays.
    inner : dict
        The part of the scheme's memory that an inner solve goes on from, kept after every trial.
    V : number or None
        The scheme's own energy of z, if not the flow's.
    answer : (x, g) or None
        The point that the stop test looks at, and that is returned, if not z.
    """

    z: State
    predicted: Any = None
    error: Any = None
    solved: Any = True
    updates: Any = 0.0
    h: Any = None
    memory: dict = field(default_factory=dict)
    pending: Any = False
    inner: dict = field(default_factory=dict)
    V: Any = None
    answer: tuple | None = None


@dataclass(frozen=True)
class Scheme:
    """One step of size h: `step(ode, t, z, h, **memory) -> Step`.

    `ode` is the flow bound to the objective (`odeopt.trial.Ode`): `ode.field(t, z)`, `ode.V`, `ode.dissipation`,
    `ode.part(name, t, z, h)`, `ode.f(x)`, `ode.g(x)`, `ode.hessian(x)`, `ode.hessp(x, v)`, of sums of
    squares `ode.r(x)`, `ode.J(x)`, `ode.Q(x)`. Evaluations at the same point are made once, and those of
    `ode.when(condition, compute, otherwise)` only where the condition holds.

    Attributes
    ----------
    convergence_order : int
        Order of the global error as h goes to 0, for smooth fields.
    backend : str or None
        "numpy" for a step that is no straight-line code.
    """

    convergence_order: ClassVar[int] = 1
    backend: ClassVar[str | None] = None

    def memory(self) -> dict:
        """Starting values of what the scheme remembers from step to step; may ask for x, z, g, f, V, h."""
        return {}

    def step(self, ode: Any, t: Any, z: State, h: Any, **memory: Any) -> Step:
        raise NotImplementedError(f"{type(self).__name__} has no step: define step(self, ode, t, z, h)")


def of_flow(scheme: Scheme, ode: Any, names: tuple[str, ...], like: str) -> list:
    """What a scheme needs of a flow beyond its field: parameters and formulas that flows such as `like` have.

    Raises
    ------
    FormulaError
        If the flow does not have one of them.
    """
    missing = [name for name in names if not hasattr(ode.flow, name)]
    if missing:
        raise FormulaError(f"{type(scheme).__name__} needs the flow's {missing[0]!r}, which {type(ode.flow).__name__} "
                           f"does not have: it is for {like}")
    return [getattr(ode.flow, name) for name in names]
