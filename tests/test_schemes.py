"""Schemes have their order and their stability limit, and one step is the step that the literature writes."""

from fractions import Fraction as Q

import numpy as np
import pytest
from scipy.integrate import DOP853, RK45, solve_ivp
from test_flows import LateAdam, WarmAWB, WarmRMSProp

import odeopt as oo
from odeopt import flows, schemes
from odeopt.language import State
from odeopt.trial import Ode

TWO, HIMMELBLAU = oo.objectives.PolyTwo(), oo.objectives.Himmelblau()
START = {TWO: np.array([0.4, -0.6]), HIMMELBLAU: np.array([0.5, 0.3])}
T = 0.5
GRADIENT, HEAVY, RMS = flows.GradientFlow(), flows.HeavyBall(0.7, 1.3), WarmRMSProp(1.7, 0.3)
AWB, ADAM = WarmAWB(1.3, 0.4, 0.2), LateAdam(1.3, 0.4, 0.2)


def name(part):
    return type(part).__name__


def label(parameter):
    return name(parameter) if isinstance(parameter, (oo.Flow, oo.Scheme, oo.Landscape)) else ""


def at_start(flow, objective):
    x = START[objective]
    first = {"x": x, **oo.language.ask(flow.start, {"x": x, "g": objective.gradient(x)})}
    return State({block: first.get(block, 0.0*x) for block in flow.blocks})


def flat(z):
    return np.concatenate([z[block] for block in z])


def exact(flow, objective, z, duration):
    """The solution after a time, by SciPy's DOP853 at relative 1e-13."""
    ode = Ode(flow, objective)

    def field(t, y):
        blocks = zip(flow.blocks, y.reshape(len(flow.blocks), -1), strict=True)
        return flat(ode.field(t, State(dict(blocks))))
    span = (flow.t0, flow.t0 + duration)
    return solve_ivp(field, span, flat(z), method="DOP853", rtol=1e-13, atol=1e-14).y[:, -1]


def slope(sizes, errors):
    """Least squares of log error over log h."""
    return np.polyfit(np.log(sizes), np.log(errors), 1)[0]


# -- order

# the flow, the objective, the scheme, and k of the largest of the steps 2^-k, ... 2^-(k+3): small enough for
# the asymptotic range, large enough to stay off the plateau of rounding at some 1e-14
ORDERS = [
    (GRADIENT, TWO, schemes.ExplicitEuler(), 7), (HEAVY, HIMMELBLAU, schemes.ExplicitEuler(), 8),
    (RMS, TWO, schemes.ExplicitEuler(), 7), (ADAM, TWO, schemes.ExplicitEuler(), 7),
    (HEAVY, HIMMELBLAU, schemes.SemiImplicitEuler(), 8), (RMS, TWO, schemes.SemiImplicitEuler(("s", "x")), 7),
    (HEAVY, TWO, schemes.SemiImplicitEuler(("x", "v")), 7),
    (AWB, TWO, schemes.SemiImplicitEuler(("m", "s", "x")), 7),
    (GRADIENT, TWO, schemes.EulerRichardson(), 7), (HEAVY, HIMMELBLAU, schemes.EulerRichardson(), 9),
    (ADAM, TWO, schemes.EulerRichardson(), 7),
    (GRADIENT, TWO, schemes.Midpoint(), 6), (HEAVY, HIMMELBLAU, schemes.Midpoint(), 8),
    (ADAM, TWO, schemes.Midpoint(), 6),
    (GRADIENT, TWO, schemes.Heun(), 6), (HEAVY, HIMMELBLAU, schemes.Heun(), 8),
    (ADAM, TWO, schemes.Heun(), 6),
    (GRADIENT, TWO, schemes.RungeKutta4(), 5), (HEAVY, HIMMELBLAU, schemes.RungeKutta4(), 8),
    (RMS, TWO, schemes.RungeKutta4(), 5), (ADAM, TWO, schemes.RungeKutta4(), 4),
    (HEAVY, HIMMELBLAU, schemes.DormandPrince(), 7),
    (HEAVY, HIMMELBLAU, schemes.Lie(), 8), (RMS, TWO, schemes.Lie(), 7), (AWB, TWO, schemes.Lie(), 7),
    (ADAM, TWO, schemes.Lie(), 7), (HEAVY, TWO, schemes.Lie(order=("drift", "kick", "damp")), 7),
    (HEAVY, HIMMELBLAU, schemes.Strang(), 7), (RMS, TWO, schemes.Strang(), 6),
    (AWB, TWO, schemes.Strang(), 6),
    (ADAM, TWO, schemes.Strang(), 6), (HEAVY, TWO, schemes.Strang(order=("drift", "damp", "kick")), 6),
    (HEAVY, TWO, schemes.Splitting((("kick", 0.5), ("drift", 0.5), ("damp", 1.0), ("drift", 0.5),
                                    ("kick", 0.5))), 6),
]


@pytest.mark.parametrize(("flow", "objective", "scheme", "k"), ORDERS, ids=label)
def test_the_order_is_the_stated_one(flow, objective, scheme, k):
    """On nonlinear problems: linear ones converge faster than they should."""
    stated = 2 if type(scheme) is schemes.Splitting else scheme.convergence_order
    reference, sizes, errors = exact(flow, objective, at_start(flow, objective), T), [], []
    for h in 0.5**np.arange(k, k + 4):
        method = oo.Method(flow, scheme, oo.controllers.Constant(), float(h))
        options = dict(gtol=0.0, t_end=flow.t0 + T, backend="lanes" if objective is HIMMELBLAU else "numpy")
        end = oo.solve(objective, method, START[objective], **options)
        assert end.status == oo.Status.REACHED_T and end.nit == round(T/h)
        sizes.append(h)
        errors.append(np.abs(flat(end.z) - reference).max())
    assert errors[-1] > 2e-13
    assert slope(sizes, errors) == pytest.approx(stated, abs=0.1)


@pytest.mark.parametrize(("scheme", "order"), [
    (schemes.Midpoint(), 2), (schemes.Heun(), 2), (schemes.DormandPrince(), 5),
    (schemes.EulerRichardson(), 2)],
    ids=label)
def test_the_embedded_error_has_its_order(scheme, order):
    """The estimate falls as h^order, and leaves the embedded step, whose local error falls so too."""
    ode, z = Ode(HEAVY, HIMMELBLAU), at_start(HEAVY, HIMMELBLAU)
    sizes = 0.5**np.arange(7 if order == 5 else 9, 13)
    steps = [scheme.step(ode, 0.0, z, h) for h in sizes]
    assert slope(sizes, [np.sqrt(step.error @ step.error) for step in steps]) == pytest.approx(order, abs=0.1)
    if name(scheme) != "EulerRichardson":                   # half the difference of two Euler steps
        local = [np.abs(flat(step.z - step.error) - exact(HEAVY, HIMMELBLAU, z, h)).max()
                 for h, step in zip(sizes[:3], steps[:3], strict=True)]
        assert slope(sizes[:3], local) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize(("scheme", "objective"), [
    (schemes.Midpoint(), TWO), (schemes.Heun(), TWO), (schemes.RungeKutta4(), TWO),
    (schemes.DormandPrince(), HIMMELBLAU)], ids=label)
def test_the_predicted_decrease_is_the_quadrature_of_the_dissipation(scheme, objective):
    """Sum b_i D(Y_i) h; it is V0 - V1 up to h^(p+1), since V + integral of D is constant along the flow."""
    ode, z = Ode(HEAVY, objective), at_start(HEAVY, objective).replace(v=np.array([1.0, -0.5]))
    sizes, defects = 0.5**np.arange(4, 8), []
    for h in sizes:
        step = scheme.step(ode, 0.0, z, h)
        stages, points = [], []
        for row in [(), *scheme.A]:
            y = {b: z[b] + h*sum(float(a)*k[b] for a, k in zip(row, stages, strict=True)) for b in z}
            points.append(State(y))
            stages.append(ode.field(0.0, points[-1]))
        speeds = [float(b)*(y.v @ y.v) for b, y in zip(scheme.b, points, strict=True)]
        assert step.predicted() == pytest.approx(h*HEAVY.friction*sum(speeds), rel=1e-14)
        defects.append(abs(ode.V(0.0, z) - ode.V(0.0, step.z) - step.predicted()))
    # Dormand and Prince are not yet in the asymptotic range (6.3) when rounding sets in
    tolerance = 0.1 if objective is TWO else 0.4
    assert slope(sizes, defects) == pytest.approx(scheme.convergence_order + 1, abs=tolerance)


def test_semi_implicit_euler_promises_the_dissipation_where_the_last_block_moved():
    ode, z, h = Ode(HEAVY, HIMMELBLAU), at_start(HEAVY, HIMMELBLAU), 0.01
    step = schemes.SemiImplicitEuler().step(ode, 0.0, z, h)
    v = z.v + h*(-0.7*z.v - 1.3*HIMMELBLAU.gradient(z.x))
    assert np.array_equal(step.z.v, v) and np.array_equal(step.z.x, z.x + h*v)
    assert step.predicted() == h*(0.7*(v @ v))
    other = schemes.SemiImplicitEuler(("x", "v")).step(ode, 0.0, z.replace(v=v), h)
    assert np.array_equal(other.z.v, v + h*(-0.7*v - 1.3*HIMMELBLAU.gradient(z.x + h*v)))


# -- stability on x^2/2

LIMITS = [(schemes.ExplicitEuler(), 2.0, (1, -1)), (schemes.EulerRichardson(), 1.0, (1, -1, 1)),
          (schemes.Midpoint(), 2.0, (1, -1, 1/2)), (schemes.Heun(), 2.0, (1, -1, 1/2)),
          (schemes.RungeKutta4(), 2.785293563405282, (1, -1, 1/2, -1/6, 1/24)),
          (schemes.DormandPrince(), 3.3065678926, (1, -1, 1/2, -1/6, 1/24, -1/120, 1/600))]


@pytest.mark.parametrize(("scheme", "limit", "polynomial"), LIMITS, ids=label)
def test_stability_limits(scheme, limit, polynomial):
    """A step multiplies x by the polynomial of h; 200 steps shrink below the limit and grow above it."""
    objective = oo.objectives.Quadratic((1.0,))
    ode, z = Ode(GRADIENT, objective), State({"x": np.array([1.0])})
    for h in np.linspace(0.1, 4.0, 14):
        factor = np.polyval(polynomial[::-1], h)
        assert scheme.step(ode, 0.0, z, h).z.x[0] == pytest.approx(factor, rel=1e-13, abs=1e-13)
    for factor, stable in ((0.999, True), (1.001, False)):
        method = oo.Method(GRADIENT, scheme, oo.controllers.Constant(), factor*limit)
        end = oo.solve(objective, method, [1.0], gtol=0.0, max_steps=200, backend="numpy")
        assert (abs(end.x[0]) < 1.0) == stable


# -- single steps

def F(z):
    """The heavy ball's field on Himmelblau's function, on (x, v) in one array."""
    return np.concatenate([z[2:], -0.7*z[2:] - 1.3*HIMMELBLAU.gradient(z[:2])])


def midpoint(z, h):
    return z + h*F(z + 0.5*h*F(z))


def heun(z, h):
    k = F(z)
    return z + 0.5*h*(k + F(z + h*k))


def classical(z, h):
    k1 = F(z)
    k2 = F(z + h/2*k1)
    k3 = F(z + h/2*k2)
    k4 = F(z + h*k3)
    return z + h/6*(k1 + 2*k2 + 2*k3 + k4)


def extragradient(z, h):
    return z + h*F(z + h*F(z))


def scipy_rk45(z, h):
    K = np.empty((7, z.size))
    K[0] = F(z)
    for i, row in enumerate(RK45.A[1:], start=1):
        K[i] = F(z + h*(K[:i].T @ row[:i]))
    end = z + h*(K[:-1].T @ RK45.B)
    K[-1] = F(end)
    return end, h*(K.T @ RK45.E)


@pytest.mark.parametrize(("scheme", "formula"), [
    (schemes.Midpoint(), midpoint), (schemes.Heun(), heun), (schemes.RungeKutta4(), classical),
    (schemes.EulerRichardson(), extragradient), (schemes.ExplicitEuler(), lambda z, h: z + h*F(z)),
    (schemes.DormandPrince(), lambda z, h: scipy_rk45(z, h)[0])], ids=label)
def test_one_step_is_the_formula(scheme, formula):
    rng = np.random.default_rng(1)
    for _ in range(20):
        z, h = rng.normal(0.0, 1.0, 4), 0.02
        step = scheme.step(Ode(HEAVY, HIMMELBLAU), 0.0, State({"x": z[:2], "v": z[2:]}), h)
        assert flat(step.z) == pytest.approx(formula(z, h), rel=1e-13, abs=1e-13)


def test_dormand_and_prince_estimate_the_error_as_scipy_does():
    """Of opposite sign: SciPy's E is the embedded weights minus the step's."""
    z = np.array([0.5, 0.3, 1.0, -2.0])
    step = schemes.DormandPrince().step(Ode(HEAVY, HIMMELBLAU), 0.0, State({"x": z[:2], "v": z[2:]}), 0.05)
    assert flat(step.error) == pytest.approx(-scipy_rk45(z, 0.05)[1], rel=1e-10)
    rows = [(), *schemes.DormandPrince.A[:5]]
    A = np.array([[float(a) for a in row] + [0.0]*(5 - len(row)) for row in rows])
    assert np.array_equal(A, RK45.A)
    assert np.array_equal([float(b) for b in schemes.DormandPrince.b[:6]], RK45.B)
    assert pytest.approx(RK45.C) == A.sum(axis=1)


class EighthOrder(schemes.RungeKutta):
    """SciPy's DOP853 as a tableau of ours."""

    convergence_order = 8
    A = tuple(tuple(row[:i]) for i, row in enumerate(DOP853.A[1:12], start=1))
    b = tuple(DOP853.B)


def test_dop853_by_its_tableau():
    """All twelve stages of SciPy's own step, to round-off, and the order of the error over one step, 9."""
    z, errors = np.array([0.5, 0.3, 1.0, -2.0]), []
    exact = solve_ivp(lambda t, y: F(y), (0.0, 0.2), z, method="DOP853", rtol=1e-13, atol=1e-15, dense_output=True).sol
    for h in (0.2, 0.1):
        K = np.empty((12, z.size))
        K[0] = F(z)
        for i, row in enumerate(DOP853.A[1:12], start=1):
            K[i] = F(z + h*(K[:i].T @ row[:i]))
        step = EighthOrder().step(Ode(HEAVY, HIMMELBLAU), 0.0, State({"x": z[:2], "v": z[2:]}), h)
        assert flat(step.z) == pytest.approx(z + h*(K.T @ DOP853.B), rel=1e-14, abs=1e-14)
        errors.append(np.linalg.norm(flat(step.z) - exact(h)))
    assert errors[1] < errors[0]/2.0**8


def test_times_of_the_stages():
    """Stages are taken at t + c h: exact for a field of t alone up to the scheme's order."""
    class Clock(flows.GradientFlow):
        def field(self, t, g):
            return 0.0*g + t*t*t
    ode, z = Ode(Clock(), TWO), State({"x": np.zeros(2)})
    for scheme in (schemes.RungeKutta4(), schemes.DormandPrince()):
        assert scheme.step(ode, 1.0, z, 1.0).z.x == pytest.approx(np.full(2, (2.0**4 - 1.0)/4.0), rel=1e-14)
    assert schemes.Midpoint().step(ode, 1.0, z, 1.0).z.x == pytest.approx(1.5**3)
    assert schemes.Heun().step(ode, 1.0, z, 1.0).z.x == pytest.approx(0.5*(1.0 + 2.0**3))
    assert schemes.EulerRichardson().step(ode, 1.0, z, 1.0).z.x == pytest.approx(2.0**3)


# -- work

@pytest.mark.parametrize(("scheme", "gradients"), [
    (schemes.ExplicitEuler(), 1), (schemes.SemiImplicitEuler(), 1), (schemes.Midpoint(), 2),
    (schemes.Heun(), 2), (schemes.RungeKutta4(), 4), (schemes.DormandPrince(), 6), (schemes.Lie(), 1),
    (schemes.Strang(), 1)], ids=label)
@pytest.mark.parametrize("backend", ["numpy", "lanes"])
def test_gradients_are_counted_and_none_is_taken_twice(scheme, gradients, backend):
    """Every step starts with the gradient that the last one ended with.

    Dormand's and Prince's seventh stage is at the end of the step, as is Strang's second half kick, the drift
    standing in the middle; the second stages of Heun and of the midpoint rule are elsewhere.
    """
    method = oo.Method(HEAVY, scheme, oo.controllers.Constant(), 0.01)
    end = oo.solve(TWO, method, START[TWO], gtol=0.0, max_steps=10, backend=backend)
    assert (end.nit, end.njev, end.nfev) == (10, 1 + 10*gradients, 0)


# -- what is refused

def test_tableaux_are_checked():
    def tableau(**entries):
        return type("Wrong", (schemes.RungeKutta,), {"A": ((Q(1, 2),),), "b": (Q(0), Q(1)), **entries})
    assert tableau().b == (0, 1)
    for wrong in (dict(A=()), dict(A=((Q(1, 2), Q(1, 2)),)), dict(A=((Q(1, 2),), (Q(1),))), dict(b=(Q(1),))):
        with pytest.raises(ValueError, match="A must have"):
            tableau(**wrong)
    for wrong in (dict(b=(Q(1, 2), Q(1))), dict(b_hat=(Q(1),)), dict(b_hat=(Q(1), Q(1)))):
        with pytest.raises(ValueError, match="sum to 1"):
            tableau(**wrong)


def test_a_stage_may_stand_at_the_start():
    class Twice(schemes.RungeKutta):
        A = ((Q(0),),)
        b = (Q(1, 2), Q(1, 2))
    z = at_start(HEAVY, HIMMELBLAU)
    euler = schemes.ExplicitEuler().step(Ode(HEAVY, HIMMELBLAU), 0.0, z, 0.1).z
    twice = Twice().step(Ode(HEAVY, HIMMELBLAU), 0.0, z, 0.1).z
    assert flat(twice) == pytest.approx(flat(euler), rel=1e-15)


def test_words_that_do_not_go_with_the_flow_are_refused():
    with pytest.raises(ValueError, match="sum to 1"):
        schemes.Splitting((("kick", 0.5), ("drift", 1.0)))

    def solve(flow, scheme):
        oo.solve(TWO, oo.Method(flow, scheme, oo.controllers.Constant(), 0.1), START[TWO], max_steps=3)
    for flow, scheme, message in (
            (GRADIENT, schemes.Lie(), "no parts"),
            (HEAVY, schemes.Lie(order=("kick", "drfit", "damp")), "drfit"),
            (HEAVY, schemes.Strang(order=("kick", "drift")), "damp"),
            (HEAVY, schemes.Splitting((("kick", 1.0),)), "damp"),
            (GRADIENT, schemes.SemiImplicitEuler(), "'v'"),
            (RMS, schemes.SemiImplicitEuler(), "'s'"),
            (AWB, schemes.SemiImplicitEuler(("m", "x")), "'s'")):
        with pytest.raises(oo.FormulaError, match=message):
            solve(flow, scheme)
