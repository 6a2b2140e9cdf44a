"""Methods for sums of squares: Levenberg and Marquardt's family, and Newton's method.

mu = 1/h, so that a rule for mu is a controller of h. The next mu is 1/solution.h, the papers' iterations are `trials`,
and matrices are counted by `nhev`.
"""

from __future__ import annotations

from odeopt.controllers import Constant, EmbeddedError, FletcherGain, LyapunovBacktracking, NielsenGain, Uphill
from odeopt.flows import LevenbergMarquardt, Newton, ScaledGradient
from odeopt.methods.base import Method, published
from odeopt.parameters import positive
from odeopt.schemes import EulerRichardson, ExplicitEuler, GaussNewtonEuler


@published("LM_base")
def lm_constant(mu: float = 10.0) -> Method:
    """Constant mu, every step accepted: explicit Euler with h = 1 on the flow `LevenbergMarquardt`, as well."""
    positive(mu=mu)
    return Method(ScaledGradient(), GaussNewtonEuler(), Constant(), 1.0/mu, "lm_constant")


@published("LM")
def lm(mu: float = 10.0, factor: float = 10.0, slope: float = 1e-300) -> Method:
    """Marquardt's rule (1963): mu/factor where f falls, mu*factor where it does not.

    That is Lyapunov backtracking with memory of the step h = 1/mu, which demands the share `slope` of the decrease that
    the quadratic model predicts: none to speak of here.
    """
    positive(mu=mu)
    control = LyapunovBacktracking(slope=slope, shrink=factor, grow=factor)
    return Method(ScaledGradient(), GaussNewtonEuler(), control, 1.0/mu, "lm")


@published("LMF")
def lm_fletcher(mu: float = 10.0, low: float = 0.25, high: float = 0.75) -> Method:
    """Fletcher's rule (1971), D the diagonal of Q at the start."""
    positive(mu=mu)
    return Method(ScaledGradient("diagonal"), GaussNewtonEuler(), FletcherGain(low, high), 1.0/mu, "lm_fletcher")


@published("LMNielson", "LMNielsen")
def lm_nielsen(tau: float = 1.0, beta: float = 2.0, gamma: float = 3.0) -> Method:
    """Nielsen's rule (1999): mu starts at tau times the largest diagonal entry of Q, D being that entry here."""
    positive(tau=tau)
    return Method(ScaledGradient("largest"), GaussNewtonEuler(), NielsenGain(beta, gamma), 1.0/tau, "lm_nielsen")


@published("LMUphill")
def lm_uphill(mu: float = 10.0, low: float = 0.25, high: float = 0.75, b: int = 1) -> Method:
    """Fletcher's rule with steps uphill along a kept direction (Transtrum and Sethna 2012)."""
    positive(mu=mu)
    return Method(ScaledGradient("diagonal"), GaussNewtonEuler(), Uphill(low, high, b), 1.0/mu, "lm_uphill")


@published("LM_ER")
def lm_er(mu: float = 10.0, tol: float = 0.01) -> Method:
    """ER on the flow with constant mu, the first step being 1/mu; stops on the gradient of its probe."""
    positive(mu=mu)
    return Method(LevenbergMarquardt(mu), EulerRichardson(), EmbeddedError(tol), 1.0/mu, "lm_er")


@published("LC_LM")
def lc_lm(mu: float = 10.0, h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0, grow: float = 1e4) -> Method:
    """The flow with constant mu under Lyapunov backtracking: f(x - h d) - f(x) <= -slope h g.d, (Q + mu I) d = g."""
    positive(mu=mu)
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow)
    return Method(LevenbergMarquardt(mu), ExplicitEuler(), control, h0, "lc_lm")


@published()
def lc_newton(h0: float = 1.0, slope: float = 0.25, shrink: float = 2.0, grow: float = 2.0) -> Method:
    """The damped Newton method: backtracking on V = |g|^2/2 with h <= 1. It converges to any critical point."""
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow, h_max=1.0)
    return Method(Newton(), ExplicitEuler(), control, h0, "lc_newton")
