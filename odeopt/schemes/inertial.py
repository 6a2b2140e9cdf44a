"""Schemes for flows with a position x and a velocity v, as the optimizers of the literature step them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from odeopt.language import State, ask
from odeopt.schemes.base import Scheme, Step, of_flow


@dataclass(frozen=True)
class LookAhead(Scheme):
    """v1 = v + h a(x, v), x1 = x + h (v1 + h a(x, v1)) with v' = a(x, v): order 1.

    The position moves by the velocity that the same gradient would give a step later. On the heavy ball it is PyTorch's
    SGD with nesterov=True, whose x is the point at which Nesterov's method takes its gradient.
    """

    def step(self, ode: Any, t: Any, z: State, h: Any) -> Step:
        v = z.v + h*ode.field(t, z).v
        ahead = v + h*ode.field(t, z.replace(v=v)).v
        return Step(z.replace(x=z.x + h*ahead, v=v))


@dataclass(frozen=True)
class Accelerated(Scheme):
    """Nesterov's two-point form, on `NesterovAVD`: y = x + h c v, v1 = c v - h g(y), x1 = x + h v1; order 1.

    c = (t - h)/(t + (alpha - 1) h), so that alpha = 3 and h = sqrt(lr) give x_n+1 = y_n - lr g(y_n), y_n = x_n +
    (n - 1)/(n + 2) (x_n - x_n-1). At t = 0, where v = 0 and the fraction is 0/0 for alpha = 1, nothing is kept.
    """

    def step(self, ode: Any, t: Any, z: State, h: Any) -> Step:
        alpha, = of_flow(self, ode, ("alpha",), "NesterovAVD")
        kept = np.where(t > 0.0, (t - h)/(t + (alpha - 1.0)*h), 0.0)*z.v
        v = kept - h*ode.g(z.x + h*kept)
        return Step(z.replace(x=z.x + h*v, v=v))


@dataclass(frozen=True)
class Verlet(Scheme):
    """Velocity Verlet with implicit friction, on the heavy ball: order 2, one gradient a step.

    x1 = x + h v + h^2/2 a(x, v); v1 = v + h/2 (a(x, v) + a(x1, v1)), which is linear in v1.
    """

    convergence_order = 2

    def step(self, ode: Any, t: Any, z: State, h: Any) -> Step:
        friction, gain = of_flow(self, ode, ("friction", "gain"), "HeavyBall")
        half = 0.5*h*ode.field(t, z).v
        x = z.x + h*(z.v + half)
        return Step(z.replace(x=x, v=(z.v + half - (0.5*h*gain)*ode.g(x))/(1.0 + 0.5*h*friction)))


@dataclass(frozen=True)
class FrozenFriction(Scheme):
    """Semi-implicit Euler with the friction r of the start of the step: v1 = v - h r v - h g, x1 = x + h v1; order 1.

    For flows with a formula `friction`, such as `Mechanic`. The promised decrease is h r |v1|^2: r is that of the last
    state, neither the trial's (as in the authors' code) nor that of (x, v1).
    """

    def step(self, ode: Any, t: Any, z: State, h: Any) -> Step:
        formula, = of_flow(self, ode, ("friction",), "Mechanic")
        v = z.v + h*ode.field(t, z).v
        return Step(z.replace(x=z.x + h*v, v=v), predicted=lambda: h*ask(formula, ode.given(t, z))*(v @ v))
