"""Splittings: words of sub-flows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from odeopt.language import FormulaError, State
from odeopt.schemes.base import Scheme, Step
from odeopt.schemes.runge_kutta import Midpoint


@dataclass(frozen=True)
class Splitting(Scheme):
    """The composition of a flow's parts along a word.

    Parameters
    ----------
    word : tuple of (part, fraction)
        From first to last; the fractions of each part sum to 1.
    inner : Scheme
        Integrates the parts that are sub-fields (that do not ask for h).
    clock : str or None
        The part that carries the clock; None: the flow's first.
    """

    word: tuple[tuple[str, float], ...] = ()
    inner: Scheme = field(default_factory=Midpoint)
    clock: str | None = None

    def __post_init__(self) -> None:
        totals: dict[str, float] = {}
        for name, fraction in self.word:
            totals[name] = totals.get(name, 0.0) + fraction
        wrong = {name: total for name, total in totals.items() if abs(total - 1.0) > 1e-14}
        if wrong:
            raise ValueError(f"the fractions of each part must sum to 1, got {wrong}")

    def letters(self, flow: Any) -> tuple[tuple[str, float], ...]:
        """The word for this flow."""
        return self.word

    def step(self, ode: Any, t: Any, z: State, h: Any) -> Step:
        flow = ode.flow
        if not flow.parts:
            raise FormulaError(f"{type(flow).__name__} has no parts, so {type(self).__name__} cannot split it: "
                               "define `parts`, or use SemiImplicitEuler or a Runge-Kutta scheme")
        clock, letters = self.clock or flow.parts[0], self.letters(flow)
        if {name for name, _ in letters} != set(flow.parts) or clock not in flow.parts:
            raise FormulaError(f"{type(self).__name__} must name all parts of {type(flow).__name__} "
                               f"({', '.join(flow.parts)}), one of them as the clock, got {letters} and {clock!r}")
        for name, fraction in letters:
            length = h if fraction == 1.0 else fraction*h
            if ode.is_exact(name):
                z = ode.part(name, t, z, length)
            else:
                z = self.inner.step(_SubOde(ode, name), t, z, length).z
            if name == clock:
                t = t + length
        return Step(z)


@dataclass(frozen=True)
class Lie(Splitting):
    """The parts one after another, in the flow's order (or the one given): order 1."""

    order: tuple[str, ...] = ()

    def letters(self, flow: Any) -> tuple[tuple[str, float], ...]:
        return tuple((name, 1.0) for name in self.order or flow.parts)


@dataclass(frozen=True)
class Strang(Splitting):
    """Half steps of all parts but the last, a full step of it, half steps backwards: order 2 (Strang 1968)."""

    convergence_order = 2
    order: tuple[str, ...] = ()

    def letters(self, flow: Any) -> tuple[tuple[str, float], ...]:
        *outer, last = self.order or flow.parts
        halves = tuple((name, 0.5) for name in outer)
        return (*halves, (last, 1.0), *reversed(halves))


class _SubOde:
    """The ode of one sub-field, for the inner scheme."""

    def __init__(self, ode: Any, name: str) -> None:
        self._ode, self._name, self.flow = ode, name, ode.flow

    def field(self, t: Any, z: State) -> State:
        return self._ode.subfield(self._name, t, z)
