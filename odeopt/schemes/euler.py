"""Euler's schemes: explicit and semi-implicit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from odeopt.language import FormulaError, State
from odeopt.schemes.base import Scheme, Step


@dataclass(frozen=True)
class ExplicitEuler(Scheme):
    """z + h F(t, z), of order 1. On the gradient flow it is gradient descent, stable for h L < 2."""

    def step(self, ode: Any, t: Any, z: State, h: Any) -> Step:
        return Step(z + h*ode.field(t, z))


@dataclass(frozen=True)
class SemiImplicitEuler(Scheme):
    """The blocks move one after another, each by h times its field at what the others have become: order 1.

    The promised decrease is h times the dissipation where the last block moved, (x_n, v_n+1) for ("v", "x"): with the
    old v the tests of the LC momentum method are others, and so are its basins.

    Parameters
    ----------
    order : tuple of str
        The order in which the blocks move, each of them once.
    """

    order: tuple[str, ...] = ("v", "x")

    def step(self, ode: Any, t: Any, z: State, h: Any) -> Step:
        if sorted(self.order) != sorted(z):
            raise FormulaError("SemiImplicitEuler: `order` must name each of the blocks "
                               f"{', '.join(map(repr, z))} once, got {self.order!r}")
        for name in self.order:
            seen = z
            z = z.replace(**{name: z[name] + h*ode.field(t, z)[name]})
        return Step(z, predicted=lambda: h*ode.dissipation(t, seen))
