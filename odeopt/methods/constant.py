"""Methods with a constant step."""

from __future__ import annotations

import math

from odeopt.controllers import Constant
from odeopt.flows import AWB, AdaGrad, Adam, AMSGrad, CorrectedMomentum, GradientFlow, HeavyBall, NesterovAVD, RMSProp
from odeopt.methods.base import Method, friction, published, relaxation_rate, relaxation_rates
from odeopt.parameters import positive
from odeopt.schemes import Accelerated, ExplicitEuler, Heun, Lie, LookAhead, SemiImplicitEuler, Verlet


def averaged(lr: float, momentum: float) -> HeavyBall:
    """The heavy ball whose velocity averages gradients, as in `ema_momentum`."""
    rate = friction(momentum, lr)
    return HeavyBall(rate, rate)


@published("GD")
def gd(lr: float = 0.1) -> Method:
    """Gradient descent: x -= lr g."""
    positive(lr=lr)
    return Method(GradientFlow(), ExplicitEuler(), Constant(), lr, "gd")


@published()
def momentum(lr: float = 0.01, momentum: float = 0.9) -> Method:
    """PyTorch's SGD with momentum (dampening 0): v = momentum v + g, x -= lr v."""
    return Method(HeavyBall(friction(momentum, lr), 1.0/lr), SemiImplicitEuler(), Constant(), lr, "momentum")


@published("Nesterov")
def nesterov(lr: float = 0.01, momentum: float = 0.9) -> Method:
    """PyTorch's SGD with nesterov=True: v = momentum v + g, x -= lr (g + momentum v)."""
    return Method(HeavyBall(friction(momentum, lr), 1.0/lr), LookAhead(), Constant(), lr, "nesterov")


@published("Nesterov2")
def nesterov_avd(lr: float = 0.1, alpha: float = 3.0) -> Method:
    """Nesterov's method with vanishing damping, the flow's step being sqrt(lr).

    x_n+1 = y_n - lr g(y_n), y_n = x_n + (n - 1)/(n + alpha - 1) (x_n - x_n-1). The authors' code monitors f + |x_n -
    x_n-1|^2/2, which is not the energy of the flow: that is f + |x_n - x_n-1|^2/(2 lr).
    """
    positive(lr=lr, alpha=alpha)
    return Method(NesterovAVD(alpha), Accelerated(), Constant(), math.sqrt(lr), "nesterov_avd")


@published("Momentum")
def ema_momentum(lr: float = 0.1, momentum: float = 0.9) -> Method:
    """The Momentum of Bensaid, Poette and Turpault: v = momentum v + (1 - momentum) g, x -= lr v."""
    return Method(averaged(lr, momentum), SemiImplicitEuler(), Constant(), lr, "ema_momentum")


@published("Momentum_Euler")
def euler_momentum(lr: float = 0.1, momentum: float = 0.9) -> Method:
    """`ema_momentum` with the old v in the step of x: explicit Euler, stable for lr L < 1 only."""
    return Method(averaged(lr, momentum), ExplicitEuler(), Constant(), lr, "euler_momentum")


@published("RK2Momentum")
def heun_momentum(lr: float = 0.1, momentum: float = 0.9) -> Method:
    """The flow of `ema_momentum` by Heun's scheme."""
    return Method(averaged(lr, momentum), Heun(), Constant(), lr, "heun_momentum")


@published("Verlet", "Momentum_Verlet")
def verlet_momentum(lr: float = 0.1, momentum: float = 0.9) -> Method:
    """The flow of `ema_momentum` by velocity Verlet with implicit friction."""
    return Method(averaged(lr, momentum), Verlet(), Constant(), lr, "verlet_momentum")


@published("Momentum_bias")
def corrected_momentum(lr: float = 0.1, momentum: float = 0.9) -> Method:
    """`ema_momentum` with Adam's correction: x -= lr v/(1 - momentum^n)."""
    flow = CorrectedMomentum(relaxation_rate(momentum, lr, "momentum"))
    return Method(flow, Lie(), Constant(), lr, "corrected_momentum")


@published("AdaGrad")
def adagrad(lr: float = 0.01, eps: float = 1e-10) -> Method:
    """PyTorch's Adagrad: s += g^2, x -= lr g/(sqrt(s) + eps)."""
    positive(lr=lr)
    return Method(AdaGrad(1.0/lr, eps), Lie(inner=ExplicitEuler()), Constant(), lr, "adagrad")


@published()
def rmsprop(lr: float = 0.01, alpha: float = 0.99, eps: float = 1e-8) -> Method:
    """PyTorch's RMSprop: s = alpha s + (1 - alpha) g^2, x -= lr g/(sqrt(s) + eps)."""
    flow = RMSProp(relaxation_rate(alpha, lr, "alpha"), eps)
    return Method(flow, Lie(inner=ExplicitEuler()), Constant(), lr, "rmsprop")


@published("AWB")
def awb(lr: float = 0.1, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-10) -> Method:
    """Adam without bias correction, eps inside the root."""
    flow = AWB(*relaxation_rates(betas, lr), eps)
    return Method(flow, Lie(), Constant(), lr, "awb")


@published("Adam")
def adam(lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> Method:
    """PyTorch's Adam: the Lie word of exact moment relaxations, bias correction by the clock."""
    flow = Adam(*relaxation_rates(betas, lr), eps)
    return Method(flow, Lie(), Constant(), lr, "adam")


@published("AMSGrad")
def amsgrad(lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> Method:
    """PyTorch's Adam with amsgrad=True: the largest of the uncorrected averages of squares, corrected afterwards."""
    flow = AMSGrad(*relaxation_rates(betas, lr), eps)
    return Method(flow, Lie(), Constant(), lr, "amsgrad")
