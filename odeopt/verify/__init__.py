"""Verifications: what a flow, a scheme or a method says of itself, proved or measured."""

from odeopt.verify.base import Verdict
from odeopt.verify.dissipation import dissipation
from odeopt.verify.fixed_points import fixed_points
from odeopt.verify.gradient import gradient
from odeopt.verify.order import order
from odeopt.verify.parts import parts
from odeopt.verify.report import Report, report

__all__ = ["Report", "Verdict", "dissipation", "fixed_points", "gradient", "order", "parts", "report"]
