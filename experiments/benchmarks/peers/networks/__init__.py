"""The tools that train networks: modules as those of the maps, with `ways(training)`.

A way trains one or more starts, and returns the first one's end (n,) and the trials of all.
"""

from experiments.benchmarks.trainings import trainings as problems

__all__ = ["TOOLS", "problems"]

TOOLS = ("networks.vector", "networks.jax_", "networks.torch_")
