"""Controllers follow the rules of the papers: by hand, and against plain loops over whole runs."""

import itertools
import math

import numpy as np
import pytest

import odeopt as oo
from odeopt import methods
from odeopt.controllers import (
    Bisection,
    Both,
    Constant,
    EmbeddedError,
    LyapunovBacktracking,
    Prediction,
    ResetBacktracking,
)
from odeopt.controllers.base import GIVEN

NAN, INF = math.nan, math.inf
THREE = oo.objectives.PolyThree()
STARTS = [np.array(x) for x in ((0.4, -0.7), (-1.3, 2.1), (2.2, -2.6), (-2.4, 0.3), (1.1, 1.7), (0.05, 0.02))]
SQUARE = oo.objectives.Quadratic((1.0,))        # x^2/2: a step h of descent changes it by -h(1 - h/2) x^2


def rule(controller, **given):
    """Accept, next h, memory: from numbers."""
    given = {name: np.float64(value) if isinstance(value, float) else value for name, value in given.items()}
    accept, h, memory = oo.language.ask(controller.control, given)
    return bool(accept), float(h), memory


def tried(controller, h0, accepted, x=1.0, flow=None, scheme=None):
    """Steps tried on x^2/2 until so many are accepted, and which ones are."""
    method = oo.Method(flow or oo.flows.GradientFlow(), scheme or oo.schemes.ExplicitEuler(), controller, h0)
    trace = oo.solve(SQUARE, method, [x], gtol=0.0, max_steps=accepted, trace=True, backend="numpy").trace
    return trace.h[1:].tolist(), trace.accepted[1:].tolist()


def test_what_controllers_may_ask_for_is_the_same_everywhere():
    class Lost(oo.Controller):
        def control(self, qqq):
            return True, 1.0, {}

    with pytest.raises(oo.FormulaError) as caught:
        oo.solve(SQUARE, oo.Method(oo.flows.GradientFlow(), oo.schemes.ExplicitEuler(), Lost()), [1.0], backend="numpy")
    known = str(caught.value).split("Known: ")[1].rstrip(".").split(", ")
    assert known == sorted(GIVEN)                           # what `Both` hands on
    assert all(f"`{name}`" in oo.Controller.__doc__ for name in GIVEN)


# -- by hand

def test_constant_accepts_everything():
    assert rule(Constant(), h=0.3) == (True, 0.3, {})


def test_backtracking_halves_and_grows():
    control = LyapunovBacktracking(slope=0.5, shrink=2.0, grow=1e4)
    assert rule(control, h=0.1, V0=1.0, V1=0.95, predicted=0.1) == (True, 1e3, {})       # equality passes
    assert rule(control, h=0.1, V0=1.0, V1=0.96, predicted=0.1) == (False, 0.05, {})
    for V1, predicted in ((NAN, 0.1), (INF, 0.1), (0.5, NAN)):
        assert rule(control, h=0.1, V0=1.0, V1=V1, predicted=predicted) == (False, 0.05, {})


def test_backtracking_on_a_parabola():
    """A step passes if h <= 2 (1 - slope), whatever x."""
    steps, accepted = tried(LyapunovBacktracking(slope=0.25, shrink=2.0, grow=10.0), 7.0, 3)
    assert steps == [7.0, 3.5, 1.75, 0.875, 8.75, 4.375, 2.1875, 1.09375, 10.9375, 5.46875, 2.734375,
                     1.3671875]
    assert accepted == [h <= 1.5 for h in steps]


def test_reset_backtracking():
    control = ResetBacktracking(h0=0.1, shrink=1.5)
    assert rule(control, h=0.04, V0=1.0, V1=1.0) == (True, 0.1, {})
    assert rule(control, h=0.3, V0=1.0, V1=1.1) == (False, pytest.approx(0.2), {})
    assert rule(control, h=0.3, V0=1.0, V1=NAN) == (False, pytest.approx(0.2), {})
    steps, accepted = tried(ResetBacktracking(h0=7.0, shrink=1.5), 7.0, 2)
    assert steps == pytest.approx([7.0/1.5**k for k in range(5)]*2)
    assert accepted == [False, False, False, False, True]*2


def test_bisection_on_a_parabola():
    """h <= 1 passes: 7 fails, 7/30 passes, then midpoints of log h; the last one may pass or fail."""
    low, high = 7.0/30.0, 7.0
    first = math.sqrt(low*high)                             # 1.28 fails
    second = math.sqrt(low*first)                           # 0.55 passes
    third = math.sqrt(second*first)                         # 0.84 passes, and is the step
    assert low < second < third < 1.0 < first
    steps, accepted = tried(Bisection(grow=2.0), 7.0, 1)
    assert steps == pytest.approx([high, low, first, second, third], rel=1e-14)
    assert accepted == [False]*4 + [True]
    steps, accepted = tried(Bisection(grow=2.0, bisections=1), 7.0, 1)
    assert steps == pytest.approx([high, low, first, low], rel=1e-14)      # applied again
    assert accepted == [False]*3 + [True]
    assert tried(Bisection(grow=2.0), 0.5, 2)[0] == [0.5, 1.0]             # nothing failed: no bisection
    assert tried(Bisection(grow=2.0), 0.5, 2)[1] == [True, True]


def test_bisection_counts_what_it_repeats():
    control = Bisection(grow=2.0, bisections=1)
    method = oo.Method(oo.flows.GradientFlow(), oo.schemes.ExplicitEuler(), control, 7.0)
    end = oo.solve(SQUARE, method, [1.0], gtol=0.0, max_steps=1, backend="numpy")
    assert end.memory["repeats"] == 1.0 and end.memory["phase"] == 0.0 and end.memory["failed"] == 0.0


def test_prediction_on_a_parabola():
    """V1 - V0 + h W = h^2 W/2: the next step is 0.9 of the largest that passes, after every trial."""
    assert tried(Prediction(), 7.0, 3)[0] == pytest.approx([7.0, 0.9, 0.9, 0.9], rel=1e-12)
    assert tried(Prediction(), 0.1, 3)[0] == pytest.approx([0.1, 0.9, 0.9], rel=1e-12)
    half = Prediction(slope=0.25, safety=0.5)
    assert tried(half, 7.0, 2)[0] == pytest.approx([7.0, 0.75, 0.75], rel=1e-12)
    # 0.9/0.01 at most
    assert tried(Prediction(), 1e-6, 3)[0] == pytest.approx([1e-6, 9e-5, 8.1e-3], rel=1e-6)


def test_prediction_halves_where_nothing_is_known():
    for V1, predicted in ((NAN, 0.1), (INF, 0.1), (0.5, NAN)):
        assert rule(Prediction(shrink=4.0), h=1.0, V0=1.0, V1=V1, predicted=predicted) == (False, 0.25, {})


def test_embedded_error():
    control = EmbeddedError(tol=0.01, safety=0.9, grow=5.0, shrink=10.0)
    for size, accept, factor in ((0.01, True, 0.9), (0.04, False, 0.45), (0.0025, True, 1.8),
                                 (1e-9, True, 5.0), (0.0, True, 5.0), (INF, False, 0.1), (NAN, False, 0.1)):
        error = np.array([0.6, 0.8])*size
        assert rule(control, h=2.0, error=error) == (accept, pytest.approx(2.0*factor, rel=1e-14), {})
    high = EmbeddedError(tol=0.01, safety=1.0, order=4)
    assert rule(high, h=1.0, error=np.array([0.32, 0.0])) == (False, pytest.approx(0.5, rel=1e-14), {})


def test_both_accepts_what_both_accept_and_takes_the_smaller_step():
    both = Both(LyapunovBacktracking(grow=3.0), EmbeddedError(tol=1.0, safety=1.0))
    memory = dict(first={}, second={})
    for V1, size, accept, h in ((0.0, 0.25, True, 2.0), (0.0, 0.01, True, 3.0), (0.0, 4.0, False, 0.5),
                                (2.0, 0.25, False, 0.5), (2.0, 16.0, False, 0.25), (NAN, 0.25, False, 0.5)):
        given = dict(h=1.0, V0=1.0, V1=V1, predicted=1.0, error=np.array([size]), **memory)
        assert rule(both, **given) == (accept, pytest.approx(h), memory)


def test_both_nests_memories_caps_and_places():
    both = Both(Bisection(h_max=0.5, h_min=1e-9), Both(Bisection(h_max=0.2, h_min=1e-7), Constant()))
    method = oo.Method(oo.flows.GradientFlow(), oo.schemes.ExplicitEuler(), both, 0.1)
    for backend in ("numpy", "lanes"):
        end = oo.solve(THREE, method, STARTS[0], max_steps=50, backend=backend)
        assert set(end.memory["first"]) == set(end.memory["second"]["first"]) >= {"phase", "repeats"}
        assert end.memory["second"].get("second", {}) == {}
    assert both.h_min == 1e-7 and both.cap(None) == 0.2
    assert Both(Constant(h_max=0.2), Constant(), h_max=0.1, h_min=1e-3).cap(None) == 0.1
    assert Both(Constant(h_max=0.2), Constant(), h_max="flow").cap(lambda: 0.05) == 0.05
    assert Both(Constant(), Constant()).cap(None) is None
    alone = oo.Method(oo.flows.GradientFlow(), oo.schemes.ExplicitEuler(), Bisection(h_max=0.2), 0.1)
    twice = oo.Method(alone.flow, alone.scheme, Both(Bisection(h_max=0.2), Bisection()), 0.1)
    one, two = (oo.solve(THREE, method, STARTS[0], backend="numpy", trace=True) for method in (alone, twice))
    assert np.array_equal(one.trace.h, two.trace.h, equal_nan=True) and np.array_equal(one.x, two.x)
    assert Both(Constant(at="end"), Constant(at="end")).at == "end"
    with pytest.raises(ValueError, match="same `at`"):
        Both(Constant(at="end"), Constant())


def test_where_the_dissipation_is_demanded():
    """On x^2/2 at x = 1 gradient descent promises h, or h (1 - h)^2 at the end of the step."""
    for at, passes in (("step", 1.0), ("start", 1.0)):
        for h in (0.99*passes, 1.01*passes):
            assert tried(LyapunovBacktracking(at=at), h, 1)[1][0] == (h <= passes)
    ends = [tried(LyapunovBacktracking(at="end", slope=0.9), h, 1)[1][0] for h in (0.2, 1.2, 1.7, 1.9)]
    assert ends == [-h*(1 - h/2) <= -0.9*h*(1 - h)**2 for h in (0.2, 1.2, 1.7, 1.9)]


def test_the_flow_caps_the_step_before_each_trial():
    flow, scheme = oo.flows.HeavyBall(2.0), oo.schemes.SemiImplicitEuler()
    steps, _ = tried(LyapunovBacktracking(h_max="flow", slope=0.125), 7.0, 5, flow=flow, scheme=scheme)
    assert steps[0] == 0.5 and max(steps) == 0.5
    assert max(tried(Constant(h_max=0.3), 7.0, 3)[0]) == 0.3


@pytest.mark.parametrize(("make", "message"), [
    (lambda: LyapunovBacktracking(slope=0.0), "`slope` must be in (0, 1), got 0.0"),
    (lambda: LyapunovBacktracking(slope=1.0), "`slope` must be in (0, 1), got 1.0"),
    (lambda: LyapunovBacktracking(slope=NAN), "`slope` must be in (0, 1), got nan"),
    (lambda: LyapunovBacktracking(shrink=1.0), "`shrink` must be in (1, inf), got 1.0"),
    (lambda: LyapunovBacktracking(grow=0.9), "`grow` must be >= 1 and finite, got 0.9"),
    (lambda: ResetBacktracking(shrink=0.5), "`shrink` must be in (1, inf), got 0.5"),
    (lambda: ResetBacktracking(h0=0.0), "`h0` must be > 0 and finite, got 0.0"),
    (lambda: Bisection(slope=1.5), "`slope` must be in (0, 1), got 1.5"),
    (lambda: Bisection(bisections=0), "`bisections` must be an integer >= 1, got 0"),
    (lambda: Prediction(safety=1.0), "`safety` must be in (0, 1), got 1.0"),
    (lambda: Prediction(floor=0.0), "`floor` must be > 0 and finite, got 0.0"),
    (lambda: EmbeddedError(tol=0.0), "`tol` must be > 0 and finite, got 0.0"),
    (lambda: EmbeddedError(shrink=1.0), "`shrink` must be in (1, inf), got 1.0"),
    (lambda: EmbeddedError(order=0), "`order` must be an integer >= 1, got 0"),
    (lambda: Constant(h_max=0.0), "`h_max` must be > 0 and finite, got 0.0"),
    (lambda: Constant(h_max="large"), "'large'"),
    (lambda: Constant(h_min=-1.0), "`h_min` must be >= 0 and finite, got -1.0"),
    (lambda: Constant(at="middle"), "'middle'")])
def test_what_makes_no_sense_is_refused_with_its_value(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert message in str(error.value)


# -- the authors' algorithms as plain loops; the arithmetic has the package's order, so that rounding agrees

f, grad, MOST = THREE.f, THREE.gradient, 120       # accepted steps


class Run:
    """Trials so far: the steps tried, and the points after accepted ones."""

    def __init__(self, x):
        self.x, self.g, self.h, self.points = x, grad(x), [], [x]

    @property
    def going(self):
        return not np.sqrt(self.g @ self.g) <= 1e-6 and len(self.points) <= MOST

    def accept(self, x):
        self.x, self.g = x, grad(x)
        self.points.append(x)


class Descent:
    """x' = -scale(g) g and V = f; a trial gives the new state, V and the dissipation."""

    def __init__(self, direction, dissipation):
        self.direction, self.dissipation = direction, dissipation

    def start(self, x):
        self.V = f(x)

    def cap(self):
        return INF

    def trial(self, run, h):
        x = run.x + h*-self.direction(run.g)
        return x, f(x), self.dissipation(run.g), None

    def accept(self, V, rest):
        self.V = V


class LCM:
    """The authors' LC_M, in v = -their v."""

    friction = 2.0

    def start(self, x):
        self.v, self.V = 0.0*x, f(x)

    def cap(self):
        return 1.0/self.friction

    def trial(self, run, h):
        v = self.v + h*(-self.friction*self.v - run.g)
        x = run.x + h*v
        return x, f(x) + 0.5*(v @ v), self.friction*(v @ v), v

    def accept(self, V, v):
        self.V, self.v = V, v


class LCR:
    """The authors' LC_RMSProp."""

    rate, eps = 10.0, 0.1

    def start(self, x):
        self.s, self.V = 0.0*x, f(x)

    def cap(self):
        return 1.0/self.rate

    def trial(self, run, h):
        s = self.s + h*(self.rate*(run.g*run.g - self.s))
        d = run.g/(np.sqrt(s) + self.eps)
        x = run.x + h*-d
        return x, f(x), run.g @ d, s

    def accept(self, V, s):
        self.V, self.s = V, s


def norm(g):
    return np.sqrt(g @ g)


def clip(g):
    return min(1.0, 1e-3/norm(g))


DESCENTS = {
    "lc_gd": Descent(lambda g: g, lambda g: g @ g),
    "lc_normalized": Descent(lambda g: g/norm(g), norm),
    "lc_sign": Descent(np.sign, lambda g: np.sum(np.abs(g))),
    "lc_clipping": Descent(lambda g: clip(g)*g, lambda g: clip(g)*(g @ g)),
    "lc_momentum": LCM(), "lc_rmsprop": LCR()}


def k2(flow, x, slope=0.5, shrink=2.0, grow=1e4, h=0.1):
    """LC backtracking with memory."""
    run = Run(x)
    flow.start(x)
    while run.going:
        h = min(h, flow.cap())
        run.h.append(h)
        x1, V1, D, rest = flow.trial(run, h)
        change = V1 - flow.V
        if change <= -slope*(h*D):
            flow.accept(V1, rest)
            run.accept(x1)
            h = h*grow
        else:
            h = h/shrink
    return run


def k3(x, slope=0.5, f1=30.0, f2=1e4, p=3, eta=0.1):
    """LCD_GD: backtracking, then bisection of log10 of the step."""
    run = Run(x)
    while run.going:
        R, g = f(run.x), run.g

        def passes(eta, R=R, g=g):
            run.h.append(eta)
            return f(run.x + eta*-g) - R <= -slope*(eta*(g @ g))
        rejected, applied = False, True
        while not passes(eta):
            eta, rejected = eta/f1, True
        if rejected:
            low, high = math.log10(eta), math.log10(f1*eta)
            for _ in range(p):
                middle = (low + high)/2
                applied = passes(10.0**middle)
                low, high = (middle, high) if applied else (low, middle)
            eta = 10.0**low
            if not applied:
                run.h.append(eta)
        run.accept(run.x + eta*-g)
        eta = f2*eta
    return run


def k4(x, slope=0.5, rho=0.9, e0=0.01, eta=0.1):
    """LC_EGD3: the step predicted from every trial."""
    run = Run(x)
    while run.going:
        R, g = f(run.x), run.g
        accepted = False
        while not accepted:
            run.h.append(eta)
            x1 = run.x + eta*-g
            W, dV = (eta*(g @ g))/eta, f(x1) - R
            accepted = dV <= -slope*(eta*(g @ g))
            eta = eta*(rho*((1.0 - slope)*W)/max(dV/eta + W, e0*((1.0 - slope)*W)))
        run.accept(x1)
    return run


def k1(x, momentum=False, h0=0.1, shrink=1.5):
    """EGD, or EM with b1/eta = 1: the energy must not rise; every step starts at h0."""
    run, v, rate = Run(x), 0.0*x, (1.0 - 0.9)/h0
    V = rate*f(x) + 0.5*(v @ v) if momentum else f(x)
    while run.going:
        h = h0
        while True:
            run.h.append(h)
            v1 = v + h*(-rate*v - rate*run.g)
            x1 = run.x + h*v1 if momentum else run.x + h*-run.g
            V1 = rate*f(x1) + 0.5*(v1 @ v1) if momentum else f(x1)
            if V1 - V <= 0.0:
                break
            h = h/shrink
        run.accept(x1)
        V, v = V1, v1
    return run


def k7(x, h=0.1, tol=0.01):
    """ER: the embedded error; it stops on the probe, and returns it."""
    run = Run(x)
    while len(run.points) <= MOST:
        run.h.append(h)
        probe = run.x + h*-run.g
        slope = -grad(probe)
        error = 0.5*h*(slope - -run.g)
        ratio = np.sqrt(error @ error)/tol
        accepted, x1 = ratio <= 1.0, run.x + h*slope
        if slope @ slope <= 1e-12:
            run.points.append(probe)
            break
        if accepted:
            run.accept(x1)
        h = h*(0.9/np.sqrt(ratio))
    return run


def compare(method, x, run, rel):
    """The same trials, the same points, one after another.

    A run of the package ends where the step no longer changes the state; the plain loops go on.
    """
    end = oo.solve(THREE, method, x, gtol=1e-6, max_steps=MOST, trace=True, backend="numpy")
    trace = end.trace
    if end.status == oo.Status.STEP_UNDERFLOW:
        run.h, run.points = run.h[:end.trials], run.points[:end.nit + 1]
    assert end.trials == len(run.h)
    assert trace.h[1:] == pytest.approx(run.h, rel=rel, abs=0.0)
    points = np.array(run.points)
    accepted = np.concatenate([[True], trace.accepted[1:]])
    if method.name == "er":
        assert end.x == pytest.approx(points[-1], rel=rel)
        accepted[-1], points = False, points[:-1]
    assert trace.x[accepted] == pytest.approx(points, rel=rel, abs=rel)


@pytest.mark.parametrize("x", STARTS, ids=str)
@pytest.mark.parametrize("name", DESCENTS)
def test_k2_backtracking_with_memory(name, x):
    slope = 0.125 if name == "lc_momentum" else 0.5
    compare(methods.get(name), x, k2(DESCENTS[name], x, slope), rel=1e-12)


@pytest.mark.parametrize("x", STARTS, ids=str)
@pytest.mark.parametrize("options", [{}, dict(grow=1e3, bisections=2), dict(slope=0.3, shrink=7.0)], ids=str)
def test_k3_bisection(options, x):
    """The authors halve log10 of the step and the package takes geometric means: the same to some ulps."""
    names = {"grow": "f2", "bisections": "p", "shrink": "f1", "slope": "slope"}
    run = k3(x, **{names[name]: value for name, value in options.items()})
    compare(methods.lcd_gd(**options), x, run, rel=1e-9)


@pytest.mark.parametrize("x", STARTS, ids=str)
def test_k4_prediction(x):
    compare(methods.lcp_gd(), x, k4(x), rel=1e-12)


@pytest.mark.parametrize("x", STARTS, ids=str)
@pytest.mark.parametrize("name", ["egd", "em"])
def test_k1_backtracking_from_the_first_step(name, x):
    compare(methods.get(name), x, k1(x, momentum=name == "em"), rel=1e-12)


@pytest.mark.parametrize("x", STARTS, ids=str)
def test_k7_embedded_error(x):
    compare(methods.er(), x, k7(x), rel=1e-12)


def test_bisection_keeps_the_largest_step_that_passed():
    """Every accepted step after a rejection passes, and a step a little larger was seen to fail."""
    end = oo.solve(THREE, methods.lcd_gd(), STARTS[0], trace=True, backend="numpy")
    trace, group = end.trace, []
    for h, accepted in itertools.islice(zip(trace.h, trace.accepted, strict=True), 1, None):
        group.append(h)
        if accepted:
            if len(group) > 1:
                above = [k for k in group if k > h*(1.0 + 1e-12)]
                assert min(above) < h*30.0**0.125*(1.0 + 1e-9)
            group = []
