"""Verifications find what is wrong, say so with numbers, and pass what is right."""

from dataclasses import dataclass

import numpy as np
import pytest

import odeopt as oo
from odeopt import flows, methods, schemes, verify
from odeopt.language import FormulaError

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


def test_report_takes_flows_schemes_and_methods():
    assert verify.report(schemes.Midpoint())
    with pytest.raises(TypeError, match="a Flow, a Scheme or a Method"):
        verify.report(np.sin)
