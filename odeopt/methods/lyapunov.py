"""Methods whose energy falls by a share of its dissipation: those of Bensaid, Poette and Turpault, the authors."""

from __future__ import annotations

from dataclasses import replace

from odeopt.controllers import Bisection, LyapunovBacktracking, Prediction, SumBacktracking
from odeopt.flows import (
    ClippedGradient,
    GradientFlow,
    HeavyBall,
    Mechanic,
    NormalizedGradient,
    PGradient,
    RMSProp,
    SignGradient,
)
from odeopt.methods.base import Method, published
from odeopt.methods.constant import adam
from odeopt.schemes import ExplicitEuler, FrozenFriction, RungeKuttaChebyshev, SemiImplicitEuler
from odeopt.status import Status


@published("LC", "LC_EGD")
def lc_gd(h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0, grow: float = 1e4) -> Method:
    """Lyapunov backtracking with memory on the gradient flow (Bensaid, Poette and Turpault)."""
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow)
    return Method(GradientFlow(), ExplicitEuler(), control, h0, "lc_gd")


@published("LCD", "LC_EGD2")
def lcd_gd(h0: float = 0.1, slope: float = 0.5, shrink: float = 30.0, grow: float = 1e4, bisections: int = 3) -> Method:
    """`lc_gd` with bisection of log h between what passed and what failed."""
    control = Bisection(slope=slope, shrink=shrink, grow=grow, bisections=bisections)
    return Method(GradientFlow(), ExplicitEuler(), control, h0, "lcd_gd")


@published("LC_EGD3")
def lcp_gd(h0: float = 0.1, slope: float = 0.5, safety: float = 0.9, floor: float = 0.01) -> Method:
    """`lc_gd` with a predicted step."""
    return Method(GradientFlow(), ExplicitEuler(), Prediction(slope=slope, safety=safety, floor=floor), h0, "lcp_gd")


@published("LC_EGD with Adam")
def lc_gd_then_adam(h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0, grow: float = 1e4,
                    lr: float = 1e-3) -> Method:
    """`lc_gd`; where its step underflows before convergence, `adam` goes on from there, as in the authors' code.

    Their LC_EGD2 passes beta1 and beta2 where 1 - beta1 and 1 - beta2 belong; here it is Adam with its usual betas.
    """
    first = lc_gd(h0, slope, shrink, grow)
    return replace(first, name="lc_gd_then_adam", then=(Status.STEP_UNDERFLOW, adam(lr)))


@published("LCI_EGD")
def lci_gd(h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0, grow: float = 1e4) -> Method:
    """`lc_gd` with the test on the whole run: f_n+1 - f_0 <= -slope (sum of all h |g|^2). Not monotone."""
    control = SumBacktracking(slope=slope, shrink=shrink, grow=grow)
    return Method(GradientFlow(), ExplicitEuler(), control, h0, "lci_gd")


@published("LC_M", "LCM")
def lc_momentum(h0: float = 0.1, friction: float = 2.0, slope: float = 0.125, shrink: float = 2.0,
                grow: float = 1e4) -> Method:
    """The heavy ball under Lyapunov backtracking, h <= 1/friction; the authors take slope = 1/(4 friction)."""
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow, h_max="flow")
    return Method(HeavyBall(friction), SemiImplicitEuler(), control, h0, "lc_momentum")


@published("LC_RMSProp", "LCR")
def lc_rmsprop(h0: float = 0.1, rate: float = 10.0, eps: float = 0.1, slope: float = 0.5, shrink: float = 2.0,
               grow: float = 1e4) -> Method:
    """RMSProp under Lyapunov backtracking, h <= 1/rate; the average of squares moves first."""
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow, h_max="flow")
    return Method(RMSProp(rate, eps), SemiImplicitEuler(("s", "x")), control, h0, "lc_rmsprop")


@published("LC_clipping")
def lc_clipping(threshold: float = 1e-3, h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0,
                grow: float = 1e4) -> Method:
    """Clipped gradient descent under Lyapunov backtracking; the authors take threshold = 10 gtol."""
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow)
    return Method(ClippedGradient(threshold), ExplicitEuler(), control, h0, "lc_clipping")


@published()
def lc_normalized(h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0, grow: float = 1e4) -> Method:
    """Normalized gradient descent under Lyapunov backtracking."""
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow)
    return Method(NormalizedGradient(), ExplicitEuler(), control, h0, "lc_normalized")


@published("LC_signGD")
def lc_sign(h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0, grow: float = 1e4) -> Method:
    """Sign gradient descent under Lyapunov backtracking."""
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow)
    return Method(SignGradient(), ExplicitEuler(), control, h0, "lc_sign")


@published("LC_pGD")
def lc_pgd(p: float = 3.0, h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0, grow: float = 1e4) -> Method:
    """p-gradient descent under Lyapunov backtracking."""
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow)
    return Method(PGradient(p), ExplicitEuler(), control, h0, "lc_pgd")


@published("LC_RK")
def lc_rkc(h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0, grow: float = 2.0) -> Method:
    """The two-stage Runge-Kutta-Chebyshev step under Lyapunov backtracking, with the dissipation at the start.

    The authors' code takes the second stage for the first after a rejection; here the gradient is restored.
    """
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow, at="start")
    return Method(GradientFlow(), RungeKuttaChebyshev(), control, h0, "lc_rkc")


@published("LC_Mechanic")
def lc_mechanic(h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0, grow: float = 1e4) -> Method:
    """Friction sqrt(E/E0) under Lyapunov backtracking, h <= 1/friction; slow, since friction fades with the energy.

    The authors' code takes the friction of the trial in the test and in further trials; here it is that of the last
    state.
    """
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow, h_max="flow")
    return Method(Mechanic(), FrozenFriction(), control, h0, "lc_mechanic")
