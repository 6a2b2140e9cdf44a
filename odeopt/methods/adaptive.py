"""Adaptive steps that demand no share of the dissipation: energy that does not rise, embedded error, exact decrease."""

from __future__ import annotations

from odeopt.controllers import EmbeddedError, ResetBacktracking, Solved
from odeopt.flows import GradientFlow, HeavyBall, RestingHeavyBall
from odeopt.methods.base import Method, friction, published
from odeopt.parameters import positive
from odeopt.schemes import EulerRichardson, ExplicitEuler, MeanVelocity, ProjectedEuler, SemiImplicitEuler


@published("EGD")
def egd(h0: float = 0.1, shrink: float = 1.5) -> Method:
    """Gradient descent whose step, from h0 each time, is divided by `shrink` until f does not rise.

    The EGD of Bensaid, Poette and Turpault.
    """
    return Method(GradientFlow(), ExplicitEuler(), ResetBacktracking(h0=h0, shrink=shrink), h0, "egd")


@published("EM")
def em(h0: float = 0.1, momentum: float = 0.9, shrink: float = 1.5) -> Method:
    """`ema_momentum` whose step is reduced until |v|^2/2 + rate f does not rise; rate = (1 - momentum)/h0 stays.

    The EM of Bensaid, Poette and Turpault.
    """
    rate = friction(momentum, h0, "h0")
    return Method(HeavyBall(rate, rate), SemiImplicitEuler(), ResetBacktracking(h0=h0, shrink=shrink), h0, "em")


@published("ER")
def er(h0: float = 0.1, tol: float = 0.01) -> Method:
    """The extragradient map with a full-step probe under an embedded error; stops on the probe and returns it.

    The ER of Bensaid, Poette and Turpault.
    """
    positive(tol=tol)
    return Method(GradientFlow(), EulerRichardson(), EmbeddedError(tol=tol), h0, "er")


@published("PGD")
def projected_gd(h0: float = 0.1, tol: float = 1e-9, h_max: float | None = None) -> Method:
    """Gradient descent, projected along the new gradient onto f = f_n - h |g_n|^2 by a simplified Newton iteration.

    One trial is one update. The step grows by 1.5 where less than 5 updates were needed, and is halved where none of
    1000 was enough. It is the PGD of Bensaid, Poette and Turpault, whose iterations are the solves, failed ones too:
    memory["attempts"]. They take tol = gtol^2/10, and in one of their codes h_max = 10.
    """
    positive(tol=tol)
    control = Solved(grow=1.5, shrink=2.0, quick=5.0, h_max=h_max)
    return Method(GradientFlow(), ProjectedEuler(tol), control, h0, "projected_gd")


@published("PM")
def projected_momentum(h0: float = 0.1, momentum: float = 0.9, tol: float = 1e-10) -> Method:
    """`euler_momentum`, projected along the gradient of V onto V = V_n - h D_n; converged only where |v| <= gtol too.

    The step moves as in `projected_gd`, with rate = (1 - momentum)/h0 kept. It is the PM of Bensaid, Poette and
    Turpault, who take tol = gtol^2/100.
    """
    positive(tol=tol)
    rate = friction(momentum, h0, "h0")
    control = Solved(grow=1.5, shrink=2.0, quick=5.0)
    return Method(RestingHeavyBall(rate, rate), ProjectedEuler(tol), control, h0, "projected_momentum")


@published("LC_EM")
def lc_em(h0: float = 0.1, momentum: float = 0.9, shrink: float = 2.0, grow: float = 1e4) -> Method:
    """`ema_momentum`'s flow with the decrease rate h |(v + v1)/2|^2 of V made exact by a quadratic equation.

    The step is limited by solvability only, a poor practice with a large `grow`. The code of its authors, Bensaid,
    Poette and Turpault, goes on from its restarts with the old value and gradient; here they are renewed.
    """
    rate = friction(momentum, h0, "h0")
    return Method(HeavyBall(rate, rate), MeanVelocity(h0), Solved(grow=grow, shrink=shrink), h0, "lc_em")
