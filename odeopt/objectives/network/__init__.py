"""Small fully connected networks: read by NumPy, and by a compiled evaluator."""

from odeopt.objectives.network.network import Network

__all__ = ["Network"]
