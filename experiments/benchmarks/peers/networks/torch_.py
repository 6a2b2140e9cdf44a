"""Torch, operation by operation, with its own differentiation."""

from __future__ import annotations

import numpy as np

from experiments.benchmarks.peers import Way
from experiments.benchmarks.peers.torch_ import versions
from experiments.benchmarks.trainings import LR, Training

NAME = "torch, eager"

__all__ = ["NAME", "versions", "ways"]


def ways(training: Training) -> dict[str, Way]:
    """Fixed steps from one start; all parameters are updated in one call."""
    if training.backtracking:
        return {}
    import torch
    torch.set_num_threads(1)
    network = training.network
    inputs, targets = torch.tensor(network.inputs), torch.tensor(network.encoded)
    scale = 0.5*network.layers[-1]                          # half the squares, where nn.MSELoss has their mean
    parts = [part for pair in network.unpack(training.starts[0].astype(network.dtype)) for part in pair]

    def train() -> tuple[np.ndarray, float]:
        W, b, V, c = parameters = [torch.tensor(part, requires_grad=True) for part in parts]
        for _ in range(training.steps):
            hidden = torch.tanh(torch.nn.functional.linear(inputs, W, b))
            loss = scale*torch.nn.functional.mse_loss(torch.nn.functional.linear(hidden, V, c), targets)
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                torch._foreach_add_(parameters, gradients, alpha=-LR)
        return np.concatenate([part.detach().numpy().ravel() for part in parameters]), float(training.steps)
    return {"": train}
