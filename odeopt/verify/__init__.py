"""Verifications: what a flow says of itself, proved or measured."""

from odeopt.verify.base import Verdict
from odeopt.verify.dissipation import dissipation

__all__ = ["Verdict", "dissipation"]
