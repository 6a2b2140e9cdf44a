"""Published optimizers as sentences: flow, scheme, controller, first step.

Hyper-parameters have the field's names and PyTorch's meaning. `get(name, **hyper)` finds a method by its name or by an
unambiguous alias of the papers.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass

from odeopt.controllers import (
    Bisection,
    Constant,
    Controller,
    EmbeddedError,
    LyapunovBacktracking,
    Prediction,
    ResetBacktracking,
)
from odeopt.flows import (
    AWB,
    Adam,
    ClippedGradient,
    Flow,
    GradientFlow,
    HeavyBall,
    NormalizedGradient,
    RMSProp,
    SignGradient,
)
from odeopt.schemes import EulerRichardson, ExplicitEuler, Lie, Scheme, SemiImplicitEuler

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
    """

    flow: Flow
    scheme: Scheme
    controller: Controller
    h0: float = 0.1
    name: str = ""

    def __post_init__(self) -> None:
        for part, kind in (("flow", Flow), ("scheme", Scheme), ("controller", Controller)):
            value = getattr(self, part)
            if not isinstance(value, kind):
                hint = f": write {value.__name__}()" if isinstance(value, type) and issubclass(value, kind) else ""
                raise TypeError(f"Method: `{part}` must be a {kind.__name__}, got {value!r}{hint}")
        if not (isinstance(self.h0, (int, float)) and 0.0 < self.h0 < math.inf):
            raise ValueError(f"Method: `h0` must be a finite step > 0, got {self.h0!r}")
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


@_method("Momentum")
def ema_momentum(lr: float = 0.1, momentum: float = 0.9) -> Method:
    """The Momentum of Bensaid, Poette and Turpault: v = momentum v + (1 - momentum) g, x -= lr v."""
    _positive(lr=lr)
    _share(momentum=momentum)
    rate = (1.0 - momentum)/lr
    return Method(HeavyBall(rate, rate), SemiImplicitEuler(), Constant(), lr, "ema_momentum")


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
