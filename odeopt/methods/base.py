"""What a method is, and how it is found by name."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass

from odeopt.controllers import Controller
from odeopt.flows import Flow
from odeopt.parameters import between, instance, is_number, positive, share
from odeopt.schemes import Scheme
from odeopt.status import Status


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

    Raises
    ------
    TypeError, ValueError
        If a part is of another kind, or h0 is no finite number > 0.
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
            instance(kind, **{part: value})
            if "__init__" in vars(type(value)) and "__dataclass_fields__" not in vars(type(value)):
                raise TypeError(f"`{part}` must keep its parameters in fields, got {value!r} with an __init__ of "
                                "its own: decorate the class with @dataclass(frozen=True) and declare them, as in "
                                "friction: float = 1.0")
        if not (is_number(self.h0) and 0.0 < self.h0 < math.inf):
            raise ValueError(f"`h0` must be a finite step > 0, got {self.h0!r}")
        if self.then is not None and not (isinstance(self.then, tuple) and len(self.then) == 2
                                          and isinstance(self.then[0], Status) and isinstance(self.then[1], Method)):
            raise TypeError(f"`then` must be (Status, Method), got {self.then!r}")
        if not self.name:
            parts = (self.flow, self.scheme, self.controller)
            object.__setattr__(self, "name", " + ".join(type(part).__name__ for part in parts))


_METHODS: dict[str, Callable[..., Method]] = {}
_ALIASES: dict[str, str] = {}


def published(*aliases: str) -> Callable:
    """Register a function as a method of this name, found by its aliases too."""
    def register(function: Callable[..., Method]) -> Callable[..., Method]:
        _METHODS[function.__name__] = function
        _ALIASES.update(dict.fromkeys(aliases, function.__name__))
        return function
    return register


def names() -> dict[str, tuple[str, ...]]:
    """Every method's name, with its aliases."""
    return {name: tuple(a for a, n in _ALIASES.items() if n == name) for name in sorted(_METHODS)}


def get(name: str, **hyper: float) -> Method:
    """The method of this name or alias, with these hyper-parameters.

    Raises
    ------
    ValueError
        If there is none, or if the name means different things in different codes.
    """
    if name in ("SGD", "Adam_bias"):
        raise ValueError(f"{name!r} means different methods in different codes; choose among {', '.join(names())}")
    function = _METHODS.get(_ALIASES.get(name, name))
    if function is None:
        near = difflib.get_close_matches(name, [*_METHODS, *_ALIASES], 1)
        raise ValueError(f"no method {name!r}" + (f"; did you mean {near[0]!r}?" if near else ".")
                         + f" Known: {', '.join(names())}")
    return function(**hyper)


def friction(momentum: float, h: float, name: str = "lr") -> float:
    """The heavy ball's friction (1 - momentum)/h, with which a step of h multiplies the velocity by `momentum`.

    With a gain of the same size the velocity averages gradients. `name` is what the method calls h.
    """
    positive(**{name: h})
    share(momentum=momentum)
    return (1.0 - momentum)/h


def relaxation_rate(beta: float, lr: float, name: str) -> float:
    """The rate at which a moving average with `beta` relaxes, its step being lr."""
    positive(lr=lr)
    between(0.0, 1.0, **{name: beta})
    return -math.log(beta)/lr


def relaxation_rates(betas: tuple[float, float], lr: float) -> tuple[float, float]:
    """Those of the averages of gradients and of their squares."""
    if not (isinstance(betas, (tuple, list)) and len(betas) == 2):
        raise ValueError(f"`betas` must be two numbers in (0, 1), got {betas!r}")
    return relaxation_rate(betas[0], lr, "betas[0]"), relaxation_rate(betas[1], lr, "betas[1]")
