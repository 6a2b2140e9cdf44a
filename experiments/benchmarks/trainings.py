"""Networks that every tool trains: the same samples, starts and steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import odeopt as oo
from odeopt.compile.vector import Room, VectorKernel
from odeopt.objectives import Network
from odeopt.trial import Limits, Machine

LR, SLOPE, SHRINK, GROW = 0.01, 0.5, 2.0, 1e4
STARTS = 1024
AGREEMENT = {"float64": 1e-12, "float32": 1e-4}
"""Largest relative difference of the losses at the end.

A step rounds x and the gradient by some eps; over at most 200 steps of descent errors grow little: to less than a
thousandth of this, as measured. Another gradient, step or limit changes the first digits.
"""


@dataclass(frozen=True)
class Training:
    """Full-batch training by gradient descent, with fixed steps or under Lyapunov backtracking.

    Attributes
    ----------
    title : str
    network : Network
    steps : int
        Accepted steps from each start.
    starts : array (S, n)
        A tool may train any number of them at a time, from the first on.
    backtracking : bool
        f falls by at least half of h |g|^2 in every accepted step; h is halved until it does, and multiplied by 1e4
        then. Else h is constant.
    """

    title: str
    network: Network
    steps: int
    starts: np.ndarray
    backtracking: bool = False

    def machine(self) -> Machine:
        """What the vector kernels run; the steps are the only limit."""
        method = oo.methods.lc_gd(slope=SLOPE, shrink=SHRINK, grow=GROW) if self.backtracking else oo.methods.gd(LR)
        return Machine(self.network, method.flow, method.scheme, method.controller, float(method.h0),
                       Limits(0.0, float(self.steps), 1e9))

    def compiled(self) -> tuple[Room, list[dict]]:
        """Room to run in, and the records of the first ten starts."""
        machine = self.machine()
        run = Room(VectorKernel(machine), self.network.evaluator(), self.network.dimension)
        return run, [machine.begin(x)[0] for x in self.starts[:10]]

    def told(self, end: np.ndarray) -> float:
        """The loss at the first start's end, by NumPy."""
        return float(self.network.f(end))


def training(layers: tuple[int, ...], P: int, steps: int, **options: Any) -> Training:
    """Training on P samples of a noisy wave."""
    random = np.random.default_rng(0)
    dtype, backtracking = options.get("dtype", "float64"), options.get("backtracking", False)
    inputs = random.normal(size=(P, layers[0]))/np.sqrt(max(1.0, layers[0]/13.0))
    targets = np.sin(inputs[:, :1] + np.arange(layers[-1])) + 0.1*random.normal(size=(P, layers[-1]))
    network = Network(layers, inputs, targets, dtype=dtype)
    name = "-".join(map(str, layers)) + f", {P} samples" + (", float32" if dtype == "float32" else "")
    how = "backtracking" if backtracking else "gradient descent"
    starts = network.initial(STARTS if network.dimension < 1000 else 1)
    return Training(f"{name}, {how}, {steps} steps", network, steps, starts, backtracking)


def trainings(quick: bool = False) -> dict[str, Training]:
    """The compared trainings by name."""
    part = 10 if quick else 1
    found = {
        "1-2-1": training((1, 2, 1), 500, 200//part),
        "2-20-1": training((2, 20, 1), 500, 100//part),
        "13-50-1": training((13, 50, 1), 500, 50//part),
        "2-20-1_backtracking": training((2, 20, 1), 500, 20//part, backtracking=True),
        "13-50-1_backtracking": training((13, 50, 1), 500, 20//part, backtracking=True),
        "784-100-10": training((784, 100, 10), 1000//part, 10),
        "784-100-10_float32": training((784, 100, 10), 1000//part, 10, dtype="float32"),
    }
    return found if quick else found | {"784-100-10_10000": training((784, 100, 10), 10_000, 2)}
