"""Flows whose metric adapts to the gradients seen: AdaGrad, RMSProp, Adam, its variants AWB and AMSGrad.

Moments relax to the gradient: m' = a (g - m), s' = b (g^2 - s), component by component. Over a step with g fixed they
relax exactly by exp(-a h): with a = -log(beta1)/lr and h = lr that is the moving average with beta1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from odeopt.flows.base import Flow
from odeopt.parameters import not_negative, positive


def relaxed(rate: Any, h: Any, average: Any, towards: Any) -> Any:
    """The exact solution after a time h of y' = rate (towards - y)."""
    keep = np.exp(-rate*h)
    return keep*average + (1.0 - keep)*towards


@dataclass(frozen=True)
class _Scaled(Flow):
    """x' = -g/(sqrt(s) + eps): what AdaGrad and RMSProp share; they differ in how s remembers g^2."""

    rate: float
    eps: float

    blocks = ("x", "s")
    positive = ("s",)

    def __post_init__(self) -> None:
        positive(rate=self.rate)
        not_negative(eps=self.eps)

    def direction(self, s: Any, g: Any) -> Any:
        return g/(np.sqrt(s) + self.eps)

    def V(self, f: Any) -> Any:
        return f

    def dissipation(self, s: Any, g: Any) -> Any:
        return g @ self.direction(s, g)

    def move(self, x: Any, s: Any, g: Any) -> dict:
        return {"x": -self.direction(s, g)}


@dataclass(frozen=True)
class AdaGrad(_Scaled):
    """x' = -g/(sqrt(s) + eps), s' = rate g^2; V = f, -dV/dt = sum g^2/(sqrt(s) + eps) (Duchi, Hazan and Singer 2011).

    Parameters
    ----------
    rate : float
        1/time; with h rate = 1 a step adds g^2.
    eps : float
        Added outside the root.
    """

    rate: float = 1.0
    eps: float = 1e-10

    parts = ("accumulate", "move")

    def field(self, s: Any, g: Any) -> Any:
        return -self.direction(s, g), self.rate*g*g

    def accumulate(self, h: Any, s: Any, g: Any) -> dict:
        return {"s": s + h*self.rate*(g*g)}


@dataclass(frozen=True)
class RMSProp(_Scaled):
    """x' = -g/(sqrt(s) + eps), s' = rate (g^2 - s); V = f, -dV/dt = sum g^2/(sqrt(s) + eps) (Tieleman and Hinton 2012).

    Parameters
    ----------
    rate : float
        1/time of the average of squared gradients.
    eps : float
        Added outside the root.
    """

    rate: float = 10.0
    eps: float = 0.1

    parts = ("average", "move")

    def field(self, s: Any, g: Any) -> Any:
        return -self.direction(s, g), self.rate*(g*g - s)

    def cap(self) -> Any:
        """1/rate: up to there an explicit average of squares stays positive."""
        return 1.0/self.rate

    def average(self, h: Any, s: Any, g: Any) -> dict:
        return {"s": relaxed(self.rate, h, s, g*g)}


@dataclass(frozen=True)
class _Moments(Flow):
    """m' = a (g - m), s' = b (g^2 - s): what AWB and Adam share; they differ in how x moves by m and s."""

    first_rate: float
    second_rate: float
    eps: float

    blocks: ClassVar[tuple[str, ...]] = ("x", "m", "s")
    positive: ClassVar[tuple[str, ...]] = ("s",)
    parts = ("moments", "move")

    def __post_init__(self) -> None:
        positive(first_rate=self.first_rate, second_rate=self.second_rate)
        not_negative(eps=self.eps)

    def moments(self, h: Any, m: Any, s: Any, g: Any) -> dict:
        return {"m": relaxed(self.first_rate, h, m, g), "s": relaxed(self.second_rate, h, s, g*g)}


@dataclass(frozen=True)
class AWB(_Moments):
    """Adam without bias correction: x' = -m/sqrt(s + eps), m' = a (g - m), s' = b (g^2 - s).

    V = f + 1/(2a) sum m^2/sqrt(s + eps), which is the authors' function divided by their weight a, and
    -dV/dt = sum m^2/sqrt(s + eps) [1 - b/(4a) s/(s + eps)] + b/(4a) sum m^2 g^2/(s + eps)^(3/2), >= 0 if b <= 4a
    (Bensaid, Poette and Turpault; da Silva and Gazeau 2020).

    Parameters
    ----------
    first_rate, second_rate : float
        a and b, 1/time.
    eps : float
        Added inside the root.
    """

    first_rate: float = 1.0
    second_rate: float = 0.01
    eps: float = 1e-10

    def field(self, m: Any, s: Any, g: Any) -> Any:
        return -m/np.sqrt(s + self.eps), self.first_rate*(g - m), self.second_rate*(g*g - s)

    def V(self, f: Any, m: Any, s: Any) -> Any:
        return f + np.sum(m*m/np.sqrt(s + self.eps))/(2.0*self.first_rate)

    def dissipation(self, m: Any, s: Any, g: Any) -> Any:
        ratio, root = 0.25*self.second_rate/self.first_rate, np.sqrt(s + self.eps)
        return np.sum(m*m/root*(1.0 - ratio*(s - g*g)/(s + self.eps)))

    def move(self, h: Any, x: Any, m: Any, s: Any) -> dict:
        return {"x": x - h*m/np.sqrt(s + self.eps)}


@dataclass(frozen=True)
class Adam(_Moments):
    """Adam with bias correction (Kingma and Ba 2015; the flow of Barakat and Bianchi 2021).

    With c1 = 1 - exp(-a t), c2 = 1 - exp(-b t): x' = -(m/c1)/(sqrt(s/c2) + eps), m' = a (g - m), s' = b (g^2 - s).
    With S = sqrt(s/c2) and D = S + eps: V = f + sum m^2/(2 a c1 D), and -dV/dt = sum m^2/(c1 D) [1 + exp(-a t)/(2 c1)
    - b/(4a) S/(D c2)] + sum b m^2 g^2/(4 a c1 c2 S D^2), >= 0 for all t if b <= 4a. At t = 0 the field is 0/0 (schemes
    that evaluate it there diverge at once); V is f there, its limit along solutions.

    Parameters
    ----------
    first_rate, second_rate : float
        a and b, 1/time.
    eps : float
        Added outside the root.
    """

    first_rate: float = 1.0
    second_rate: float = 0.01
    eps: float = 1e-8

    def corrections(self, t: Any) -> tuple:
        return 1.0 - np.exp(-self.first_rate*t), 1.0 - np.exp(-self.second_rate*t)

    def direction(self, t: Any, m: Any, s: Any) -> Any:
        c1, c2 = self.corrections(t)
        return (m/c1)/(np.sqrt(s/c2) + self.eps)

    def field(self, t: Any, m: Any, s: Any, g: Any) -> Any:
        return -self.direction(t, m, s), self.first_rate*(g - m), self.second_rate*(g*g - s)

    def V(self, t: Any, f: Any, m: Any, s: Any) -> Any:
        return f + np.where(t > 0.0, (m @ self.direction(t, m, s))/(2.0*self.first_rate), 0.0)

    def dissipation(self, t: Any, m: Any, s: Any, g: Any) -> Any:
        a, b = self.first_rate, self.second_rate
        c1, c2 = self.corrections(t)
        S = np.sqrt(s/c2)
        D = self.eps + S
        return (np.sum(m*m/(c1*D)*(1.0 + np.exp(-a*t)/(2.0*c1) - b/(4.0*a)*S/(D*c2)))
                + np.sum(b*m*m*g*g/(4.0*a*c1*c2*S*D*D)))

    def move(self, h: Any, t: Any, x: Any, m: Any, s: Any) -> dict:
        return {"x": x - h*self.direction(t, m, s)}


@dataclass(frozen=True)
class AMSGrad(Adam):
    """Adam whose metric never shrinks: `top`, the largest s so far, takes the place of s (Reddi, Kale and Kumar 2018).

    V = f + sum m^2/(2 a c1 D) with D = eps + S, S = sqrt(top/c2). Where top stands still -dV/dt = sum m^2/(c1 D)
    [1 + exp(-a t)/(2 c1) - b/(4a) S/D exp(-b t)/c2]; where it grows V falls faster: a bound. It is >= 3/4 sum
    m^2/(c1 D) for all a and b, since exp(-b t)/c2 <= 1/(b t) and exp(-a t)/c1 >= 1/(a t) - 1/2; Adam needs b <= 4a.

    `top` is that of the uncorrected s, corrected afterwards, as in PyTorch.
    """

    blocks = ("x", "m", "s", "top")
    positive = ("s", "top")
    bound = True

    def field(self, t: Any, m: Any, s: Any, top: Any, g: Any) -> Any:
        rate = self.second_rate*(g*g - s)
        return (-self.direction(t, m, top), self.first_rate*(g - m), rate,
                np.where(s >= top, np.maximum(rate, 0.0), 0.0))

    def V(self, t: Any, f: Any, m: Any, top: Any) -> Any:
        return super().V(t, f, m, top)

    def dissipation(self, t: Any, m: Any, top: Any) -> Any:
        a, b = self.first_rate, self.second_rate
        c1, c2 = self.corrections(t)
        S = np.sqrt(top/c2)
        D = self.eps + S
        return np.sum(m*m/(c1*D)*(1.0 + np.exp(-a*t)/(2.0*c1) - b/(4.0*a)*S/D*np.exp(-b*t)/c2))

    def jump(self, s: Any, top: Any) -> dict:
        return {"top": np.maximum(top, s)}

    def moments(self, h: Any, m: Any, s: Any, top: Any, g: Any) -> dict:
        moved = super().moments(h, m, s, g)
        return {**moved, "top": np.maximum(top, moved["s"])}

    def move(self, h: Any, t: Any, x: Any, m: Any, top: Any) -> dict:
        return super().move(h, t, x, m, top)
