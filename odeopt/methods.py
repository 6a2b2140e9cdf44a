"""Published optimizers as sentences: flow, scheme, controller, first step.

Hyper-parameters have the field's names and PyTorch's meaning. `get(name, **hyper)` finds a method by its name or by an
unambiguous alias of the papers.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from odeopt.controllers import (
    Bisection,
    Constant,
    Controller,
    EmbeddedError,
    FletcherGain,
    LyapunovBacktracking,
    NielsenGain,
    Prediction,
    ResetBacktracking,
    Solved,
    SumBacktracking,
    Uphill,
)
from odeopt.flows import (
    AWB,
    AdaGrad,
    Adam,
    AMSGrad,
    ClippedGradient,
    CorrectedMomentum,
    Flow,
    GradientFlow,
    HeavyBall,
    LevenbergMarquardt,
    Mechanic,
    NesterovAVD,
    Newton,
    NormalizedGradient,
    PGradient,
    RestingHeavyBall,
    RMSProp,
    ScaledGradient,
    SignGradient,
)
from odeopt.schemes import (
    Accelerated,
    EulerRichardson,
    ExplicitEuler,
    FrozenFriction,
    GaussNewtonEuler,
    Heun,
    Lie,
    LookAhead,
    MeanVelocity,
    ProjectedEuler,
    RungeKuttaChebyshev,
    Scheme,
    SemiImplicitEuler,
    Verlet,
)
from odeopt.status import Status

__all__ = ["Method", "get", "names"]


@dataclass(frozen=True)
class Method:
    """An optimizer: a flow, the scheme that steps it, the controller of the step, and the first step.

    Parameters
    ----------
    flow : Flow
    scheme : Scheme
    controller : Controller
    h0 : float
        First step tried, > 0.
    name : str
        For tables and legends.
    then : (Status, Method), optional
        Runs that end with this status are gone on with by the other method, from where they ended and with the same
        limits anew; steps, trials, evaluations and times are added.

    """

    flow: Flow
    scheme: Scheme
    controller: Controller
    h0: float = 0.1
    name: str = ""
    then: tuple[Status, Method] | None = None

    def __post_init__(self) -> None:
        for part, kind in (("flow", Flow), ("scheme", Scheme), ("controller", Controller)):
            value = getattr(self, part)
            if not isinstance(value, kind):
                hint = f": write {value.__name__}()" if isinstance(value, type) and issubclass(value, kind) else ""
                raise TypeError(f"Method: `{part}` must be a {kind.__name__}, got {value!r}{hint}")
        if not (isinstance(self.h0, (int, float)) and 0.0 < self.h0 < math.inf):
            raise ValueError(f"Method: `h0` must be a finite step > 0, got {self.h0!r}")
        if self.then is not None and not (isinstance(self.then, tuple) and len(self.then) == 2
                                          and isinstance(self.then[0], Status) and isinstance(self.then[1], Method)):
            raise TypeError(f"Method: `then` must be (Status, Method), got {self.then!r}")
        if not self.name:
            parts = (self.flow, self.scheme, self.controller)
            object.__setattr__(self, "name", " + ".join(type(part).__name__ for part in parts))


_METHODS: dict[str, Callable[..., Method]] = {}
_ALIASES: dict[str, str] = {}


def _method(*aliases: str) -> Callable:
    def register(function: Callable[..., Method]) -> Callable[..., Method]:
        _METHODS[function.__name__] = function
        _ALIASES.update(dict.fromkeys(aliases, function.__name__))
        __all__.append(function.__name__)
        return function
    return register


def names() -> dict[str, tuple[str, ...]]:
    """Every method's name, with its aliases."""
    return {name: tuple(a for a, n in _ALIASES.items() if n == name) for name in _METHODS}


def get(name: str, **hyper: float) -> Method:
    """The method of this name or alias.

    Raises
    ------
    ValueError
        If there is none, or if the name means different things in different codes.

    """
    if name in ("SGD", "Adam_bias"):
        raise ValueError(f"{name!r} means different methods in different codes; choose among {', '.join(_METHODS)}")
    function = _METHODS.get(_ALIASES.get(name, name))
    if function is None:
        near = difflib.get_close_matches(name, [*_METHODS, *_ALIASES], 1)
        raise ValueError(f"no method {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
                         + f" Known: {', '.join(_METHODS)}")
    return function(**hyper)


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not 0.0 < value < math.inf:
            raise ValueError(f"`{name}` must be > 0 and finite, got {value!r}")


def _share(**values: float) -> None:
    for name, value in values.items():
        if not 0.0 <= value < 1.0:
            raise ValueError(f"`{name}` must be in [0, 1), got {value!r}")


def _rate(beta: float, lr: float, name: str) -> float:
    """The rate at which a moving average with `beta` relaxes, its step being lr."""
    _positive(lr=lr)
    if not 0.0 < beta < 1.0:
        raise ValueError(f"`{name}` must be in (0, 1), got {beta!r}")
    return -math.log(beta)/lr


def _averaged(lr: float, momentum: float) -> HeavyBall:
    """The heavy ball whose velocity averages gradients, as in `ema_momentum`."""
    _positive(lr=lr)
    _share(momentum=momentum)
    return HeavyBall((1.0 - momentum)/lr, (1.0 - momentum)/lr)


# -- constant steps

@_method("GD")
def gd(lr: float = 0.1) -> Method:
    """Gradient descent: x -= lr g."""
    _positive(lr=lr)
    return Method(GradientFlow(), ExplicitEuler(), Constant(), lr, "gd")


@_method()
def momentum(lr: float = 0.01, momentum: float = 0.9) -> Method:
    """PyTorch's SGD with momentum (dampening 0): v = momentum v + g, x -= lr v."""
    _positive(lr=lr)
    _share(momentum=momentum)
    return Method(HeavyBall((1.0 - momentum)/lr, 1.0/lr), SemiImplicitEuler(), Constant(), lr, "momentum")


@_method("Nesterov")
def nesterov(lr: float = 0.01, momentum: float = 0.9) -> Method:
    """PyTorch's SGD with nesterov=True: v = momentum v + g, x -= lr (g + momentum v)."""
    _positive(lr=lr)
    _share(momentum=momentum)
    return Method(HeavyBall((1.0 - momentum)/lr, 1.0/lr), LookAhead(), Constant(), lr, "nesterov")


@_method("Nesterov2")
def nesterov_avd(lr: float = 0.1, alpha: float = 3.0) -> Method:
    """Nesterov's method with vanishing damping, the flow's step being sqrt(lr).

    x_n+1 = y_n - lr g(y_n), y_n = x_n + (n - 1)/(n + alpha - 1) (x_n - x_n-1). The authors' code monitors f + |x_n -
    x_n-1|^2/2, which is not the energy of the flow: that is f + |x_n - x_n-1|^2/(2 lr).
    """
    _positive(lr=lr, alpha=alpha)
    return Method(NesterovAVD(alpha), Accelerated(), Constant(), math.sqrt(lr), "nesterov_avd")


@_method("Momentum")
def ema_momentum(lr: float = 0.1, momentum: float = 0.9) -> Method:
    """The Momentum of Bensaid, Poette and Turpault: v = momentum v + (1 - momentum) g, x -= lr v."""
    return Method(_averaged(lr, momentum), SemiImplicitEuler(), Constant(), lr, "ema_momentum")


@_method("Momentum_Euler")
def euler_momentum(lr: float = 0.1, momentum: float = 0.9) -> Method:
    """`ema_momentum` with the old v in the step of x: explicit Euler, stable for lr L < 1 only."""
    return Method(_averaged(lr, momentum), ExplicitEuler(), Constant(), lr, "euler_momentum")


@_method("RK2Momentum")
def heun_momentum(lr: float = 0.1, momentum: float = 0.9) -> Method:
    """The flow of `ema_momentum` by Heun's scheme."""
    return Method(_averaged(lr, momentum), Heun(), Constant(), lr, "heun_momentum")


@_method("Verlet", "Momentum_Verlet")
def verlet_momentum(lr: float = 0.1, momentum: float = 0.9) -> Method:
    """The flow of `ema_momentum` by velocity Verlet with implicit friction."""
    return Method(_averaged(lr, momentum), Verlet(), Constant(), lr, "verlet_momentum")


@_method("Momentum_bias")
def corrected_momentum(lr: float = 0.1, momentum: float = 0.9) -> Method:
    """`ema_momentum` with Adam's correction: x -= lr v/(1 - momentum^n)."""
    return Method(CorrectedMomentum(_rate(momentum, lr, "momentum")), Lie(), Constant(), lr, "corrected_momentum")


@_method("AdaGrad")
def adagrad(lr: float = 0.01, eps: float = 1e-10) -> Method:
    """PyTorch's Adagrad: s += g^2, x -= lr g/(sqrt(s) + eps)."""
    _positive(lr=lr)
    return Method(AdaGrad(1.0/lr, eps), Lie(inner=ExplicitEuler()), Constant(), lr, "adagrad")


@_method()
def rmsprop(lr: float = 0.01, alpha: float = 0.99, eps: float = 1e-8) -> Method:
    """PyTorch's RMSprop: s = alpha s + (1 - alpha) g^2, x -= lr g/(sqrt(s) + eps)."""
    return Method(RMSProp(_rate(alpha, lr, "alpha"), eps), Lie(inner=ExplicitEuler()), Constant(), lr, "rmsprop")


@_method("AWB")
def awb(lr: float = 0.1, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-10) -> Method:
    """Adam without bias correction, eps inside the root."""
    flow = AWB(_rate(betas[0], lr, "betas[0]"), _rate(betas[1], lr, "betas[1]"), eps)
    return Method(flow, Lie(), Constant(), lr, "awb")


@_method("Adam")
def adam(lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> Method:
    """PyTorch's Adam: the Lie word of exact moment relaxations, bias correction by the clock."""
    flow = Adam(_rate(betas[0], lr, "betas[0]"), _rate(betas[1], lr, "betas[1]"), eps)
    return Method(flow, Lie(), Constant(), lr, "adam")


@_method("AMSGrad")
def amsgrad(lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> Method:
    """PyTorch's Adam with amsgrad=True: the largest of the uncorrected averages of squares, corrected afterwards."""
    flow = AMSGrad(_rate(betas[0], lr, "betas[0]"), _rate(betas[1], lr, "betas[1]"), eps)
    return Method(flow, Lie(), Constant(), lr, "amsgrad")


# -- adaptive steps of 2023: decrease of the energy, or embedded error

@_method("EGD")
def egd(h0: float = 0.1, shrink: float = 1.5) -> Method:
    """Gradient descent whose step, from h0 each time, is divided by `shrink` until f does not rise."""
    return Method(GradientFlow(), ExplicitEuler(), ResetBacktracking(h0=h0, shrink=shrink), h0, "egd")


@_method("EM")
def em(h0: float = 0.1, momentum: float = 0.9, shrink: float = 1.5) -> Method:
    """ema_momentum whose step is reduced until |v|^2/2 + rate f does not rise; rate = (1 - momentum)/h0 stays."""
    _positive(h0=h0)
    _share(momentum=momentum)
    rate = (1.0 - momentum)/h0
    return Method(HeavyBall(rate, rate), SemiImplicitEuler(), ResetBacktracking(h0=h0, shrink=shrink), h0, "em")


@_method("ER")
def er(h0: float = 0.1, tol: float = 0.01) -> Method:
    """The extragradient map with a full-step probe under an embedded error; stops on the probe and returns it."""
    _positive(tol=tol)
    return Method(GradientFlow(), EulerRichardson(), EmbeddedError(tol=tol), h0, "er")


# -- decrease made exact

@_method("PGD")
def projected_gd(h0: float = 0.1, tol: float = 1e-9, h_max: float | None = None) -> Method:
    """Gradient descent, projected along the new gradient onto f = f_n - h |g_n|^2 by a simplified Newton iteration.

    The step grows by 1.5 where less than 5 updates were needed, and is halved where none of 1000 was enough: a failed
    trial. The authors count it as an iteration, so that their counts are `trials`; each update is a value more in
    `nfev`. They take tol = gtol^2/10, and in one of their codes h_max = 10.
    """
    _positive(tol=tol)
    control = Solved(grow=1.5, shrink=2.0, quick=5.0, h_max=h_max)
    return Method(GradientFlow(), ProjectedEuler(tol), control, h0, "projected_gd")


@_method("PM")
def projected_momentum(h0: float = 0.1, momentum: float = 0.9, tol: float = 1e-10) -> Method:
    """`euler_momentum`, projected along the gradient of V onto V = V_n - h D_n; converged only where |v| <= gtol too.

    The step moves as in `projected_gd`, with rate = (1 - momentum)/h0 kept. The authors take tol = gtol^2/100.
    """
    _positive(h0=h0, tol=tol)
    _share(momentum=momentum)
    rate = (1.0 - momentum)/h0
    control = Solved(grow=1.5, shrink=2.0, quick=5.0)
    return Method(RestingHeavyBall(rate, rate), ProjectedEuler(tol), control, h0, "projected_momentum")


@_method("LC_EM")
def lc_em(h0: float = 0.1, momentum: float = 0.9, shrink: float = 2.0, grow: float = 1e4) -> Method:
    """`ema_momentum`'s flow with the decrease rate h |(v + v1)/2|^2 of V made exact by a quadratic equation.

    The step is limited by solvability only, a poor practice with a large `grow`. The authors' code goes on from its
    restarts with the old value and gradient; here they are renewed.
    """
    _positive(h0=h0)
    _share(momentum=momentum)
    rate = (1.0 - momentum)/h0
    return Method(HeavyBall(rate, rate), MeanVelocity(h0), Solved(grow=grow, shrink=shrink), h0, "lc_em")


# -- Lyapunov control

@_method("LC", "LC_EGD")
def lc_gd(h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0, grow: float = 1e4) -> Method:
    """Lyapunov backtracking with memory on the gradient flow."""
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow)
    return Method(GradientFlow(), ExplicitEuler(), control, h0, "lc_gd")


@_method("LCD", "LC_EGD2")
def lcd_gd(h0: float = 0.1, slope: float = 0.5, shrink: float = 30.0, grow: float = 1e4, bisections: int = 3) -> Method:
    """The same with bisection of log h between what passed and what failed."""
    control = Bisection(slope=slope, shrink=shrink, grow=grow, bisections=bisections)
    return Method(GradientFlow(), ExplicitEuler(), control, h0, "lcd_gd")


@_method("LC_EGD3")
def lcp_gd(h0: float = 0.1, slope: float = 0.5, safety: float = 0.9, floor: float = 0.01) -> Method:
    """The same with a predicted step."""
    return Method(GradientFlow(), ExplicitEuler(), Prediction(slope=slope, safety=safety, floor=floor), h0, "lcp_gd")


@_method("LC_EGD with Adam")
def lc_gd_then_adam(h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0, grow: float = 1e4,
                    lr: float = 1e-3) -> Method:
    """`lc_gd`; where its step underflows before convergence, `adam` goes on from there, as in the authors' code.

    Their LC_EGD2 passes beta1 and beta2 where 1 - beta1 and 1 - beta2 belong; here it is Adam with its usual betas.
    """
    first = lc_gd(h0, slope, shrink, grow)
    return replace(first, name="lc_gd_then_adam", then=(Status.STEP_UNDERFLOW, adam(lr)))


@_method("LCI_EGD")
def lci_gd(h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0, grow: float = 1e4) -> Method:
    """`lc_gd` with the test on the whole run: f_n+1 - f_0 <= -slope (sum of all h |g|^2). Not monotone."""
    control = SumBacktracking(slope=slope, shrink=shrink, grow=grow)
    return Method(GradientFlow(), ExplicitEuler(), control, h0, "lci_gd")


@_method("LC_M", "LCM")
def lc_momentum(h0: float = 0.1, friction: float = 2.0, slope: float = 0.125, shrink: float = 2.0,
                grow: float = 1e4) -> Method:
    """The heavy ball under Lyapunov backtracking, h <= 1/friction; the authors take slope = 1/(4 friction)."""
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow, h_max="flow")
    return Method(HeavyBall(friction), SemiImplicitEuler(), control, h0, "lc_momentum")


@_method("LC_RMSProp", "LCR")
def lc_rmsprop(h0: float = 0.1, rate: float = 10.0, eps: float = 0.1, slope: float = 0.5, shrink: float = 2.0,
               grow: float = 1e4) -> Method:
    """RMSProp under Lyapunov backtracking, h <= 1/rate; the average of squares moves first."""
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow, h_max="flow")
    return Method(RMSProp(rate, eps), SemiImplicitEuler(("s", "x")), control, h0, "lc_rmsprop")


@_method("LC_clipping")
def lc_clipping(threshold: float = 1e-3, h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0,
                grow: float = 1e4) -> Method:
    """Clipped gradient descent under Lyapunov backtracking; the authors take threshold = 10 gtol."""
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow)
    return Method(ClippedGradient(threshold), ExplicitEuler(), control, h0, "lc_clipping")


@_method()
def lc_normalized(h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0, grow: float = 1e4) -> Method:
    """Normalized gradient descent under Lyapunov backtracking."""
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow)
    return Method(NormalizedGradient(), ExplicitEuler(), control, h0, "lc_normalized")


@_method("LC_signGD")
def lc_sign(h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0, grow: float = 1e4) -> Method:
    """Sign gradient descent under Lyapunov backtracking."""
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow)
    return Method(SignGradient(), ExplicitEuler(), control, h0, "lc_sign")


@_method("LC_pGD")
def lc_pgd(p: float = 3.0, h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0, grow: float = 1e4) -> Method:
    """p-gradient descent under Lyapunov backtracking."""
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow)
    return Method(PGradient(p), ExplicitEuler(), control, h0, "lc_pgd")


@_method("LC_RK")
def lc_rkc(h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0, grow: float = 2.0) -> Method:
    """The two-stage Runge-Kutta-Chebyshev step under Lyapunov backtracking, with the dissipation at the start.

    The authors' code takes the second stage for the first after a rejection; here the gradient is restored.
    """
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow, at="start")
    return Method(GradientFlow(), RungeKuttaChebyshev(), control, h0, "lc_rkc")


@_method("LC_Mechanic")
def lc_mechanic(h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0, grow: float = 1e4) -> Method:
    """Friction sqrt(E/E0) under Lyapunov backtracking, h <= 1/friction; slow, since friction fades with the energy.

    The authors' code takes the friction of the trial in the test and in further trials; here it is that of the last
    state.
    """
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow, h_max="flow")
    return Method(Mechanic(), FrozenFriction(), control, h0, "lc_mechanic")


# -- sums of squares: Levenberg and Marquardt, with mu = 1/h, so that a rule for mu is a controller of h. The next mu is
#    1/solution.h, the papers' iterations are `trials`, matrices are counted by `nhev`

@_method("LM_base")
def lm_constant(mu: float = 10.0) -> Method:
    """Constant mu, every step accepted: explicit Euler with h = 1 on the flow `LevenbergMarquardt`, as well."""
    _positive(mu=mu)
    return Method(ScaledGradient(), GaussNewtonEuler(), Constant(), 1.0/mu, "lm_constant")


@_method("LM")
def lm(mu: float = 10.0, factor: float = 10.0, slope: float = 1e-300) -> Method:
    """Marquardt's rule (1963): mu/factor where f falls, mu*factor where it does not.

    That is Lyapunov backtracking with memory of the step h = 1/mu, which demands the share `slope` of the decrease that
    the quadratic model predicts: none to speak of here.
    """
    _positive(mu=mu)
    control = LyapunovBacktracking(slope=slope, shrink=factor, grow=factor)
    return Method(ScaledGradient(), GaussNewtonEuler(), control, 1.0/mu, "lm")


@_method("LMF")
def lm_fletcher(mu: float = 10.0, low: float = 0.25, high: float = 0.75) -> Method:
    """Fletcher's rule (1971), D the diagonal of Q at the start."""
    _positive(mu=mu)
    return Method(ScaledGradient("diagonal"), GaussNewtonEuler(), FletcherGain(low, high), 1.0/mu, "lm_fletcher")


@_method("LMNielson", "LMNielsen")
def lm_nielsen(tau: float = 1.0, beta: float = 2.0, gamma: float = 3.0) -> Method:
    """Nielsen's rule (1999): mu starts at tau times the largest diagonal entry of Q, D being that entry here."""
    _positive(tau=tau)
    return Method(ScaledGradient("largest"), GaussNewtonEuler(), NielsenGain(beta, gamma), 1.0/tau, "lm_nielsen")


@_method("LMUphill")
def lm_uphill(mu: float = 10.0, low: float = 0.25, high: float = 0.75, b: int = 1) -> Method:
    """Fletcher's rule with steps uphill along a kept direction (Transtrum and Sethna 2012)."""
    _positive(mu=mu)
    return Method(ScaledGradient("diagonal"), GaussNewtonEuler(), Uphill(low, high, b), 1.0/mu, "lm_uphill")


@_method("LM_ER")
def lm_er(mu: float = 10.0, tol: float = 0.01) -> Method:
    """ER on the flow with constant mu, the first step being 1/mu; stops on the gradient of its probe."""
    _positive(mu=mu)
    return Method(LevenbergMarquardt(mu), EulerRichardson(), EmbeddedError(tol), 1.0/mu, "lm_er")


@_method("LC_LM")
def lc_lm(mu: float = 10.0, h0: float = 0.1, slope: float = 0.5, shrink: float = 2.0, grow: float = 1e4) -> Method:
    """The flow with constant mu under Lyapunov backtracking: f(x - h d) - f(x) <= -slope h g.d, (Q + mu I) d = g."""
    _positive(mu=mu)
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow)
    return Method(LevenbergMarquardt(mu), ExplicitEuler(), control, h0, "lc_lm")


@_method()
def lc_newton(h0: float = 1.0, slope: float = 0.25, shrink: float = 2.0, grow: float = 2.0) -> Method:
    """The damped Newton method: backtracking on V = |g|^2/2 with h <= 1. It converges to any critical point."""
    control = LyapunovBacktracking(slope=slope, shrink=shrink, grow=grow, h_max=1.0)
    return Method(Newton(), ExplicitEuler(), control, h0, "lc_newton")
