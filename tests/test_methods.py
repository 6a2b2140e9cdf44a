"""Published optimizers are PyTorch's formulas and the authors' loops, step by step and over whole runs."""

import math

import numpy as np
import pytest

import odeopt as oo
from odeopt import methods
from odeopt.language import State
from odeopt.trial import Ode

HIMMELBLAU, TWO = oo.objectives.Himmelblau(), oo.objectives.PolyTwo()
EPS = np.finfo(float).eps


# -- the references: generators of (x, state) after each step, in the order of operations of torch.optim

def torch_sgd(grad, x, lr):
    while True:
        x = x - lr*grad(x)
        yield x, {}


def torch_momentum(grad, x, lr, momentum):
    buffer = None
    while True:
        g = grad(x)
        buffer = g if buffer is None else momentum*buffer + g
        x = x - lr*buffer
        yield x, {"v": -buffer}


def torch_rmsprop(grad, x, lr, alpha, eps):
    average = 0.0*x
    while True:
        g = grad(x)
        average = alpha*average + (1 - alpha)*(g*g)
        x = x - lr*(g/(np.sqrt(average) + eps))
        yield x, {"s": average}


def torch_adam(grad, x, lr, betas, eps):
    beta1, beta2 = betas
    mean, square, step = 0.0*x, 0.0*x, 0
    while True:
        step += 1
        g = grad(x)
        mean = mean + (1 - beta1)*(g - mean)
        square = beta2*square + (1 - beta2)*(g*g)
        denominator = np.sqrt(square)/math.sqrt(1 - beta2**step) + eps
        x = x - (lr/(1 - beta1**step))*(mean/denominator)
        yield x, {"m": mean, "s": square}


def authors_momentum(grad, x, lr, momentum):
    """The authors' Momentum; their b1 is 1 - momentum."""
    b1, v = 1 - momentum, 0.0*x
    while True:
        v = (1 - b1)*v + b1*grad(x)
        x = x - lr*v
        yield x, {"v": -v}


def authors_awb(grad, x, lr, betas, eps):
    """The authors' Adam without bias correction."""
    b1, b2 = 1 - betas[0], 1 - betas[1]
    v, s = 0.0*x, 0.0*x
    while True:
        g = grad(x)
        v = (1 - b1)*v + b1*g
        s = (1 - b2)*s + b2*(g*g)
        x = x - lr*v/np.sqrt(s + eps)
        yield x, {"m": v, "s": s}


BETAS = (0.9, 0.999)
CASES = {
    "gd": (torch_sgd, dict(lr=0.01)),
    "momentum": (torch_momentum, dict(lr=0.001, momentum=0.9)),
    "ema_momentum": (authors_momentum, dict(lr=0.01, momentum=0.9)),
    "rmsprop": (torch_rmsprop, dict(lr=0.002, alpha=0.99, eps=1e-8)),     # at a minimum g/sqrt(s) is chaotic
    "awb": (authors_awb, dict(lr=0.01, betas=BETAS, eps=1e-10)),
    "adam": (torch_adam, dict(lr=0.01, betas=BETAS, eps=1e-8)),
}
# exp(-a h) is beta to an ulp, so 1 - exp(-a h) is 1 - beta to eps/(1 - beta), and the averages start with it
ULPS = {"rmsprop": 1/(1 - 0.99), "awb": 1/(1 - 0.999), "adam": 1/(1 - 0.999)}


@pytest.mark.parametrize("name", CASES)
def test_a_step_from_the_references_own_state_is_the_references_step(name):
    """To 1e-14, or to the eps/(1 - beta) by which 1 - exp(-a h) and 1 - beta differ."""
    reference, hyper = CASES[name]
    method, x = methods.get(name, **hyper), np.array([-1.0, 0.5])
    z = State({block: x if block == "x" else 0.0*x for block in method.flow.blocks})
    tolerance = max(1e-14, EPS*ULPS.get(name, 0.0))
    for k, (x1, state) in zip(range(300), reference(HIMMELBLAU.gradient, x, **hyper), strict=False):
        mine = method.scheme.step(Ode(method.flow, HIMMELBLAU), k*method.h0, z, method.h0).z
        assert mine.x - z.x == pytest.approx(x1 - z.x, rel=tolerance, abs=4*EPS)       # the sum rounds, too
        z = State({"x": x1, **state})
        for block in state:
            assert mine[block] == pytest.approx(z[block], rel=tolerance)


@pytest.mark.parametrize("backend", ["numpy", "lanes"])
@pytest.mark.parametrize("name", CASES)
def test_whole_paths_are_the_references(name, backend):
    """1000 steps on Himmelblau's function: rounding stays below 1e-11."""
    reference, hyper = CASES[name]
    x = np.array([-1.0, 0.5])
    steps = zip(range(1000), reference(HIMMELBLAU.gradient, x, **hyper), strict=False)
    path = np.array([x, *(x1 for _, (x1, _) in steps)])
    options = dict(gtol=0.0, max_steps=1000, trace=True, backend=backend)
    end = oo.solve(HIMMELBLAU, methods.get(name, **hyper), x, **options)
    assert end.trace.x == pytest.approx(path[:end.nit + 1], rel=1e-11, abs=1e-11)
    if end.nit < 1000:                                      # the step no longer changes the state
        assert end.success or end.status == oo.Status.STEP_UNDERFLOW
        assert path[-1] == pytest.approx(end.x, rel=1e-11)


def test_awb_at_the_authors_step():
    """lr = 0.1 on polyTwo, as in the maps of 2023."""
    hyper, x = dict(lr=0.1, betas=BETAS, eps=1e-10), np.array([1.3, -0.4])
    steps = zip(range(300), authors_awb(TWO.gradient, x, **hyper), strict=False)
    path = [x, *(x1 for _, (x1, _) in steps)]
    trace = oo.solve(TWO, methods.awb(**hyper), x, gtol=0.0, max_steps=300, trace=True, backend="numpy").trace
    assert trace.x == pytest.approx(np.array(path), rel=1e-10, abs=1e-10)


# -- names

@pytest.mark.parametrize("name", methods.names())
def test_every_method_is_found_by_its_names(name):
    method = methods.get(name)
    assert isinstance(method, oo.Method) and method.name == name and 0.0 < method.h0 < math.inf
    assert getattr(methods, name)() == method and name in methods.__all__
    for alias in methods.names()[name]:
        assert methods.get(alias) == method


def test_names_of_the_papers():
    aliases = {"GD": "gd", "Momentum": "ema_momentum", "AWB": "awb", "Adam": "adam", "EGD": "egd", "EM": "em",
               "ER": "er", "LC": "lc_gd", "LC_EGD": "lc_gd", "LCD": "lcd_gd", "LC_EGD2": "lcd_gd",
               "LC_EGD3": "lcp_gd", "LCM": "lc_momentum", "LC_RMSProp": "lc_rmsprop",
               "LC_clipping": "lc_clipping", "LC_signGD": "lc_sign"}
    for alias, name in aliases.items():
        assert methods.get(alias).name == name


def test_hyper_parameters_reach_the_parts():
    method = methods.get("LC_M", h0=0.3, friction=4.0, slope=0.25, shrink=3.0, grow=5.0)
    assert (method.h0, method.flow.friction, method.controller.slope) == (0.3, 4.0, 0.25)
    assert (method.controller.shrink, method.controller.grow, method.controller.h_max) == (3.0, 5.0, "flow")
    assert methods.momentum(lr=0.5, momentum=0.75).flow == oo.flows.HeavyBall(0.5, 2.0)
    assert methods.adam(lr=0.1).flow.first_rate == pytest.approx(-math.log(0.9)/0.1)


@pytest.mark.parametrize(("name", "message"), [
    ("SGD", "means different methods in different codes"), ("Adam_bias", "different codes"),
    ("adma", "did you mean 'adam'?"), ("lc_momentun", "did you mean 'lc_momentum'?"),
    ("LC_RMSprop", "did you mean 'LC_RMSProp'?"), ("xyz", "Known: adagrad, adam, ")])
def test_unknown_and_ambiguous_names_are_refused(name, message):
    with pytest.raises(ValueError) as error:
        methods.get(name)
    assert message in str(error.value)


@pytest.mark.parametrize(("name", "hyper", "message"), [
    ("gd", dict(lr=0.0), "`lr` must be > 0 and finite, got 0.0"),
    ("gd", dict(lr=math.nan), "got nan"), ("momentum", dict(lr=math.inf), "got inf"),
    ("momentum", dict(momentum=1.0), "`momentum` must be in [0, 1), got 1.0"),
    ("ema_momentum", dict(momentum=-0.1), "got -0.1"),
    ("rmsprop", dict(alpha=1.0), "`alpha` must be in (0, 1), got 1.0"),
    ("rmsprop", dict(lr=-1.0), "`lr` must be > 0 and finite, got -1.0"),
    ("awb", dict(betas=(0.9, 1.0)), "`betas[1]` must be in (0, 1), got 1.0"),
    ("adam", dict(betas=(0.0, 0.9)), "`betas[0]` must be in (0, 1), got 0.0"),
    ("egd", dict(h0=0.0), "`h0`"), ("em", dict(momentum=1.5), "`momentum`"), ("er", dict(tol=0.0), "`tol`"),
    ("lc_gd", dict(slope=1.0), "`slope` must be in (0, 1), got 1.0"), ("lc_gd", dict(grow=0.5), "`grow`"),
    ("lcd_gd", dict(shrink=1.0), "`shrink`"), ("lcd_gd", dict(bisections=0), "`bisections`"),
    ("lcp_gd", dict(safety=1.0), "`safety`"),
    ("lc_sign", dict(h0=-1.0), "`h0` must be a finite step > 0, got -1.0")])
def test_hyper_parameters_are_checked(name, hyper, message):
    with pytest.raises(ValueError) as error:
        methods.get(name, **hyper)
    assert message in str(error.value)


def test_a_method_is_a_flow_a_scheme_and_a_controller():
    flow, scheme, control = oo.flows.GradientFlow(), oo.schemes.Heun(), oo.controllers.Constant()
    assert oo.Method(flow, scheme, control).name == "GradientFlow + Heun + Constant"
    with pytest.raises(TypeError, match=r"`flow` must be a Flow, .*: write GradientFlow\(\)"):
        oo.Method(oo.flows.GradientFlow, scheme, control)
    with pytest.raises(TypeError, match="`scheme` must be a Scheme"):
        oo.Method(flow, control, control)
    for h0 in (0.0, -1.0, math.inf, math.nan, "0.1"):
        with pytest.raises(ValueError, match="`h0` must be a finite step > 0"):
            oo.Method(flow, scheme, control, h0)
