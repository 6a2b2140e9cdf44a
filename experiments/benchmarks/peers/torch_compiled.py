"""Torch with the trial compiled by inductor."""

from experiments.benchmarks.peers.torch_ import compiled, versions

NAME = "torch, compiled"
ways = compiled

__all__ = ["NAME", "versions", "ways"]
