"""Schemes along which V falls exactly by a stated amount: projection, and a quadratic equation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from odeopt.language import State, ask, where
from odeopt.parameters import not_negative, positive, whole
from odeopt.schemes.base import Scheme, Step, of_flow


@dataclass(frozen=True)
class ProjectedEuler(Scheme):
    """Explicit Euler, projected onto V = V0 - h D: the decrease that Euler's step promises is made exact. Order 1.

    From the Euler point y the equation V(y + a n) = V0 - h D(z) is solved for a along n, the gradient of V at y (the
    flow's `normal`), by a -= residual/|n|^2 from a = 0, one update a trial: a step takes as many trials as updates, and
    one more. On the gradient flow it is the authors' PGD, on the heavy ball their PM. Without a root, or far from one,
    the solve fails: V0 - h D may lie below the least value of V.

    Parameters
    ----------
    tol : float
        Largest residual, absolute.
    most : int
        Largest number of updates.
    far : float
        Residual above which a solve of more than 20 updates is given up; one that is not finite always is.
    """

    tol: float = 1e-9
    most: int = 1000
    far: float = 1e6

    def __post_init__(self) -> None:
        positive(tol=self.tol, far=self.far)
        whole(1, most=self.most)

    def memory(self, z: State) -> dict:
        return {"along": 0.0, "updates": 0.0, "target": 0.0, "normal": 0.0*z}

    def step(self, ode: Any, t: Any, z: State, h: Any, along: Any, updates: Any, target: Any, normal: State) -> Step:
        formula, = of_flow(self, ode, ("normal",), 'flows with a formula `normal`: the gradient of V, {"x": ..., ...}')
        loss = h*ode.dissipation(t, z)
        y = z + h*ode.field(t, z) + along*normal

        def begun() -> tuple:
            return ode.V(t, z) - loss, (0.0*z).replace(**ask(formula, ode.given(t + h, y)))
        target, normal = ode.when(updates < 0.5, begun, (target, normal))
        residual = ode.V(t + h, y) - target
        size = np.abs(residual)
        solved = size <= self.tol
        lost = ~(size < np.inf) | ((updates > 20.0) & (size > self.far)) | (updates > self.most - 0.5)
        pending = ~(solved | lost)
        following = {"along": along - residual/(normal @ normal), "updates": updates + 1.0, "target": target,
                     "normal": normal}
        return Step(y, predicted=loss, solved=solved, updates=updates, pending=pending,
                    inner=where(pending, following, self.memory(z)))


@dataclass(frozen=True)
class MeanVelocity(Scheme):
    """The heavy ball with V1 - V0 = -friction h |(v + v1)/2|^2 exactly: the authors' LC_EM. Order 1.

    x1 = x + h v and v1 = 2 r w - v, w = 2 v - h gain g, where r is the root of larger modulus of (2 + friction h) |w|^2
    r^2 - 2 v.w r + gain (f(x1) - f(x)) = 0; without a real one, or with |w|^2 near 0, the trial fails. Where |v|^2 <
    `rest` it starts again with v = -gain g and the step h0, which raises V by about |v|^2/2. The authors' code goes on
    from there with the value and gradient of the point before; here they are those of the new point.

    Parameters
    ----------
    h0 : float
        The step of a restart.
    rest : float
        Restart below this |v|^2, and refuse a leading coefficient below it.
    """

    h0: float = 0.1
    rest: float = 1e-12

    def __post_init__(self) -> None:
        positive(h0=self.h0)
        not_negative(rest=self.rest)

    def step(self, ode: Any, t: Any, z: State, h: Any) -> Step:
        friction, gain = of_flow(self, ode, ("friction", "gain"), "HeavyBall")
        v, force = z.v, gain*ode.g(z.x)
        resting = v @ v < self.rest
        h = np.where(resting, self.h0, h)
        x = z.x + h*where(resting, -force, v)
        w = 2.0*v - h*force
        a, half_b = (2.0 + friction*h)*(w @ w), -(v @ w)
        discriminant = half_b*half_b - a*gain*(ode.f(x) - ode.f(z.x))
        root = np.sqrt(np.maximum(discriminant, 0.0))
        mean = (np.where(half_b <= 0.0, root - half_b, -root - half_b)/a)*w             # (v + v1)/2
        solved = resting | ((discriminant >= 0.0) & (a >= self.rest))
        return Step(z.replace(x=x, v=where(resting, -force, 2.0*mean - v)), h=h, solved=solved,
                    predicted=lambda: np.where(resting, 0.0, friction*h*(mean @ mean)))
