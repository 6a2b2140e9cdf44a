"""Verifications find what is wrong, say so with numbers, and pass what is right."""

from dataclasses import dataclass

import numpy as np
import pytest

import odeopt as oo
from odeopt import flows, methods, schemes, verify
from odeopt.language import FormulaError
from odeopt.verify.dissipation import REACH, TOLERANCE, _along

# AMSGrad, a differential inclusion, has a field on its states s <= top only, which random states are not
FLOWS = [cls() for cls in (getattr(flows, name) for name in flows.__all__) if cls.parts and not cls.bound]


@dataclass(frozen=True)
class WrongEnergy(flows.HeavyBall):
    """V without the half."""

    def V(self, f, v):
        return self.gain*f + v @ v


@dataclass(frozen=True)
class WrongKick(flows.HeavyBall):
    """A part of twice the rate."""

    def kick(self, h, v, g):
        return {"v": v - 2.0*h*self.gain*g}


@dataclass(frozen=True)
class NoFlow(flows.HeavyBall):
    """Explicit friction is no flow: damping twice is not damping once for both times."""

    def damp(self, h, v):
        return {"v": v - h*self.friction*v}


@dataclass(frozen=True)
class WrongHeun(schemes.Scheme):
    """Stated order 2, but the second stage sees the start."""

    convergence_order = 2

    def step(self, ode, t, z, h):
        k = ode.field(t, z)
        return oo.Step(z + 0.5*h*(k + ode.field(t + h, z + 0.5*h*k)))


# -- differences along the field

SMOOTH = {                                                  # V of two numbers, and its derivatives
    "square": (lambda x, y: 0.5*x*x + y, lambda x, y: (x, 1.0 + 0.0*y)),
    "relativistic": (lambda x, y: np.sqrt(x*x + y*y + 4.0), lambda x, y: (x, y)/np.sqrt(x*x + y*y + 4.0)),
    "power": (lambda x, y: np.exp(-np.abs(x))*y**5,
              lambda x, y: (-np.sign(x)*np.exp(-np.abs(x))*y**5, 5.0*np.exp(-np.abs(x))*y**4)),
    "cancelling": (lambda x, y: 1e6*(x + y) - 1e6*x, lambda x, y: (0.0*x, 1e6 + 0.0*y)),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_differences_keep_their_bound_and_it_is_small(name):
    V, gradient = SMOOTH[name]
    rng = np.random.default_rng(0)
    w, r = rng.normal(0.0, 2.0, (2, 4000)), rng.normal(0.0, 1.0, (2, 4000))*rng.lognormal(0.0, 3.0, 4000)
    slope, error, size = _along(lambda w: V(*w), w, r)
    exact = np.sum(gradient(*w)*r, axis=0)
    assert np.all(np.abs(slope - exact) <= error + TOLERANCE*size)
    assert np.median(error/size) < 1e-7
    assert np.median(np.abs(slope - exact)/size) < 1e-9


def test_differences_over_a_kink_know_that_they_are_none():
    """The slope falls from 2 to 1 wherever in the step, on either side of w = 1."""
    place = np.concatenate([np.linspace(1e-3, 1.1, 2000), -np.linspace(1e-3, 1.1, 2000)])
    kink = 1.0 + place*REACH
    ones = np.ones((1, 4000))
    slope, error, _ = _along(lambda w: np.minimum(2.0*(w[0] - kink), w[0] - kink), ones, ones)
    exact = np.where(place > 0.0, 2.0, 1.0)
    assert np.all(np.abs(slope - exact) <= error + 1e-9)
    assert np.mean(np.abs(slope - exact) > 0.01) > 0.4


def test_a_claim_about_an_energy_with_kinks_is_no_more_refuted_than_without():
    @dataclass(frozen=True)
    class Kinked(flows.GradientFlow):
        def V(self, f, x):
            return np.maximum(f, 2.0*f - 0.3)

        def dissipation(self, f, g):
            return np.where(f >= 2.0*f - 0.3, 1.0, 2.0)*(g @ g)

    @dataclass(frozen=True)
    class Wrong(Kinked):
        def dissipation(self, f, g):
            return np.where(f >= 2.0*f - 0.3, 1.0, 2.0 + 1e-6)*(g @ g)
    assert verify.dissipation(Kinked())
    assert verify.dissipation(Wrong()).status == "refuted"


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: type(flow).__name__)
def test_parts_of_the_catalogue(flow):
    assert verify.parts(flow).status == "measured"


def test_a_wrong_part_is_refuted_with_both_sides():
    verdict = verify.parts(WrongKick())
    assert not verdict and "sum to the field" in verdict.detail
    assert verdict.counterexample["difference"] > 1e-3
    verdict = verify.parts(NoFlow())
    assert not verdict and verdict.detail.startswith("damp is no flow")


def test_parts_need_parts():
    with pytest.raises(FormulaError, match="declares no parts"):
        verify.parts(flows.GradientFlow())


@pytest.mark.parametrize("scheme", [schemes.ExplicitEuler(), schemes.Midpoint(), schemes.RungeKutta4(), schemes.Lie(),
                                    schemes.Strang()], ids=lambda scheme: type(scheme).__name__)
def test_order_of_the_catalogue(scheme):
    verdict = verify.order(flows.HeavyBall(1.5), scheme)
    assert verdict.status == "measured", verdict


def test_order_where_the_clock_runs():
    """Adam's field is 0/0 at t = 0; its order is measured where the clock has started."""
    assert verify.order(flows.Adam(), schemes.Strang()).status == "measured"


def test_a_wrong_order_is_refuted_with_the_measured_one():
    verdict = verify.order(flows.GradientFlow(), WrongHeun())
    assert not verdict and "stated order 2, measured 1.0" in verdict.detail
    verdict = verify.order(flows.GradientFlow(), schemes.RungeKutta4(), stated=5)
    assert verdict.status == "refuted"


def test_order_is_refused_where_the_field_bends():
    verdict = verify.order(flows.SignGradient(), schemes.ExplicitEuler())
    assert verdict.status == "refused" and "np.sign" in verdict.detail
    verdict = verify.order(flows.GradientFlow(), schemes.ExplicitEuler(), oo.objectives.VValley())
    assert verdict.status == "refused" and not verdict


def test_fixed_points():
    for method in (methods.gd(), methods.adam(), methods.lc_momentum(), methods.er()):
        assert verify.fixed_points(method).status == "measured"
    verdict = verify.fixed_points(methods.lc_normalized())
    assert not verdict and "undefined" in verdict.detail      # g/|g| at g = 0


def test_fixed_points_find_a_method_that_drifts():
    @dataclass(frozen=True)
    class Drift(flows.GradientFlow):
        def field(self, g):
            return -g + 0.01
    verdict = verify.fixed_points(oo.Method(Drift(), schemes.ExplicitEuler(), oo.controllers.Constant()))
    assert not verdict and "moves by 1.0e-03" in verdict.detail


def test_report_of_what_is_right():
    report = verify.report(flows.HeavyBall())
    assert report and set(report.verdicts) == {"dissipation", "parts", "order of Lie()", "order of Strang()"}
    assert "proved" in repr(report) and "measured 2.0" in repr(report)
    report = verify.report(methods.lc_gd())
    assert report and set(report.verdicts) == {"dissipation", "order", "fixed points"}


@pytest.mark.parametrize("subject, name, words", [
    (WrongEnergy(), "dissipation", "dissipation = -dV/dt"),
    (WrongKick(), "parts", "do not sum to the field"),
    (oo.Method(flows.GradientFlow(), WrongHeun(), oo.controllers.Constant(), 0.01), "order", "stated order 2"),
], ids=["flow", "part", "order"])
def test_report_says_what_is_wrong(subject, name, words):
    report = verify.report(subject)
    assert not report
    assert report.verdicts[name].status == "refuted"
    assert words in repr(report) and any(c.isdigit() for c in report.verdicts[name].detail + str(
        report.verdicts[name].counterexample))


def test_report_says_that_an_energy_is_missing():
    report = verify.report(type("Mine", (flows.Flow,), {"field": lambda self, g: -g})())
    assert report.verdicts["dissipation"].status == "refused"
    assert "it has no V" in repr(report)


def test_report_takes_flows_schemes_and_methods():
    assert verify.report(schemes.Midpoint())
    with pytest.raises(TypeError, match="a Flow, a Scheme or a Method"):
        verify.report(np.sin)


@pytest.mark.parametrize(("call", "error", "said"), [
    (lambda: verify.dissipation(flows.HeavyBall), TypeError, r"`flow` must be a Flow, got .*: write HeavyBall\(\)"),
    (lambda: verify.parts(schemes.Heun()), TypeError, r"`flow` must be a Flow, got Heun\(\)"),
    (lambda: verify.order(schemes.Heun(), flows.HeavyBall()), TypeError, r"`flow` must be a Flow, got Heun\(\)"),
    (lambda: verify.order(flows.HeavyBall(), schemes.Heun), TypeError, r"`scheme` must be .* write Heun\(\)"),
    (lambda: verify.order(flows.HeavyBall(), schemes.Heun(), x0=[1.0]), ValueError, r"`x0` .* got the shape \(1,\)"),
    (lambda: verify.fixed_points(flows.HeavyBall()), TypeError, r"`method` must be a Method, got HeavyBall"),
    (lambda: verify.gradient(np.sin), TypeError, r"`objective` must be an Objective, got <ufunc"),
    (lambda: verify.gradient(oo.objectives.PolyThree(), [1.0]), ValueError, r"`points` .* got the shape \(1, 1\)"),
    (lambda: verify.gradient(oo.objectives.PolyThree(), "ab"), TypeError, r"`points` must be an array of numbers"),
])
def test_what_cannot_be_verified_is_refused_by_name(call, error, said):
    with pytest.raises(error, match=said):
        call()
