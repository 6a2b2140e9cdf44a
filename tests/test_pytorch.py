"""PyTorch's optimizers, step by step and over 1000 steps, in double precision.

tests/data/pytorch.npz holds what torch 2.13.0 did; `python tests/test_pytorch.py` writes it anew. Where torch is
installed it is asked again. The gradients are those of the objectives here, so only the optimizers differ.
"""

from pathlib import Path

import numpy as np
import pytest

import odeopt as oo
from odeopt import methods, objectives
from odeopt.language import State
from odeopt.trial import Ode

FILE = Path(__file__).parent/"data"/"pytorch.npz"
OBJECTIVES = {"Himmelblau": (objectives.Himmelblau(), (-1.0, 0.5)),
              "StyblinskiTang": (objectives.StyblinskiTang(), (0.6, -0.3)),
              "Quadratic": (objectives.Quadratic((1.0, 25.0)), (1.3, -0.7))}
# our method, torch's class and options, and torch's buffers by our blocks (of opposite sign for a velocity)
METHODS = {
    "SGD": (methods.gd(0.01), "SGD", dict(lr=0.01), {}),
    "momentum": (methods.momentum(0.01), "SGD", dict(lr=0.01, momentum=0.9), {"v": "momentum_buffer"}),
    "Nesterov": (methods.nesterov(0.01), "SGD", dict(lr=0.01, momentum=0.9, nesterov=True), {"v": "momentum_buffer"}),
    "RMSprop": (methods.rmsprop(0.01), "RMSprop", dict(lr=0.01), {"s": "square_avg"}),
    "Adagrad": (methods.adagrad(0.1), "Adagrad", dict(lr=0.1), {"s": "sum"}),
    "Adam": (methods.adam(0.02), "Adam", dict(lr=0.02), {"m": "exp_avg", "s": "exp_avg_sq"}),
    "AMSGrad": (methods.amsgrad(0.02), "Adam", dict(lr=0.02, amsgrad=True),
                {"m": "exp_avg", "s": "exp_avg_sq", "top": "max_exp_avg_sq"}),
}
STEPS = 1000
BEFORE = (0, 1, 2, 3, 5, 10, 30, 100, 300, 999)             # steps that are repeated one by one
EVERY = 20                                                  # points of a path that are stored
CASES = [(name, objective) for name in METHODS for objective in OBJECTIVES]


def reference(name, objective):
    """What torch does: {"path": x after every 20th step, "states": (10, 2, blocks, 2) around single steps, "ulp"}.

    "ulp" is the largest distance so far, for each point of the path, from the paths of starts one ulp away, and of
    gradients that are taken one ulp away: a path that contracts forgets its start, and may yet amplify later rounding.
    """
    _, optimizer, options, buffers = METHODS[name]
    function, x0 = OBJECTIVES[objective]
    whole = _run(function, np.array(x0), optimizer, options, buffers)
    others = [_run(function, np.nextafter(x0, away), optimizer, options, buffers)[:, 0]
              for away in ((9.0, x0[1]), (x0[0], 9.0), (-9.0, -9.0))]
    others += [_run(function, np.array(x0), optimizer, options, buffers, np.random.default_rng(seed))[:, 0]
               for seed in range(3)]
    moved = np.maximum.accumulate(np.max(np.abs(np.array(others) - whole[:, 0]), axis=(0, 2)))
    return {"path": whole[::EVERY, 0], "states": np.array([whole[[k, k + 1]] for k in BEFORE]), "ulp": moved[::EVERY]}


def _run(function, x0, optimizer, options, buffers, rng=None):
    """x and the buffers after 0, 1, ... steps: an array (STEPS + 1, blocks, 2); `rng` shakes the gradients."""
    import torch
    x = torch.tensor(np.array(x0), dtype=torch.float64)
    torch_optimizer = getattr(torch.optim, optimizer)([x], **options)
    rows = [np.array([x.numpy(), *(np.zeros(2) for _ in buffers)])]
    for _ in range(STEPS):
        at = x.numpy().copy() if rng is None else np.nextafter(x.numpy(), rng.choice([-9.0, 9.0], 2))
        x.grad = torch.from_numpy(function.gradient(at))
        torch_optimizer.step()
        state = torch_optimizer.state[x]
        rows.append(np.array([x.numpy(), *(state[buffer].numpy() for buffer in buffers.values())]))
    return np.array(rows)


@pytest.fixture(scope="module")
def stored():
    with np.load(FILE) as file:
        return dict(file)


def facts(stored, name, objective):
    return {key: stored[f"{name}/{objective}/{key}"] for key in ("path", "states", "ulp")}


@pytest.mark.parametrize(("name", "objective"), CASES)
def test_a_single_step_is_pytorchs(stored, name, objective):
    """From torch's own state to 1e-14, relative to the largest coordinate of each block and of what it was."""
    method, _, _, buffers = METHODS[name]
    function, _ = OBJECTIVES[objective]
    blocks = ("x", *buffers)
    for k, (before, after) in zip(BEFORE, facts(stored, name, objective)["states"], strict=True):
        signs = [-1.0 if block == "v" else 1.0 for block in blocks]
        z = State({b: sign*row for b, sign, row in zip(blocks, signs, before, strict=True)})
        step = method.scheme.step(Ode(method.flow, function), k*method.h0, z, method.h0)
        for block, sign, row in zip(blocks, signs, after, strict=True):
            scale = max(np.abs(row).max(), np.abs(z[block]).max())
            assert step.z[block] == pytest.approx(sign*row, rel=0.0, abs=1e-14*scale), (k, block)


@pytest.mark.parametrize("backend", ["lanes", "numpy"])
@pytest.mark.parametrize(("name", "objective"), CASES)
def test_a_path_is_pytorchs(stored, name, objective, backend):
    """To 1e-11; or to ten times what one ulp does to torch's path, where that is more."""
    method, (function, x0), known = METHODS[name][0], OBJECTIVES[objective], facts(stored, name, objective)
    run = oo.solve(function, method, x0, gtol=0.0, max_steps=STEPS, trace=True, backend=backend)
    path = run.trace.x[::EVERY]                             # where the minimum is hit exactly a run ends
    path = np.concatenate([path, np.tile(run.x, (len(known["path"]) - len(path), 1))])
    assert np.all(np.abs(path - known["path"]).max(axis=1) <= np.maximum(1e-11, 10.0*known["ulp"]))


def test_only_rmsprop_at_a_minimum_is_chaotic(stored):
    """There its metric shrinks with the gradients until the step is unstable, and rounding is thrown back and forth."""
    loose = {case for case in CASES if facts(stored, *case)["ulp"][-1] > 1e-12}
    assert loose == {("RMSprop", "Himmelblau"), ("RMSprop", "StyblinskiTang")}
    for name, objective in loose:
        known, minima = facts(stored, name, objective), OBJECTIVES[objective][0].minima
        first = int(np.argmax(known["ulp"] > 1e-12))
        assert first*EVERY >= 600 and np.abs(known["path"][first - 1] - minima).max(axis=1).min() < 1e-9


@pytest.mark.parametrize(("name", "objective"), CASES)
def test_the_stored_facts_are_those_of_the_torch_that_is_installed(stored, name, objective):
    pytest.importorskip("torch")
    known, now = facts(stored, name, objective), reference(name, objective)
    bound = np.maximum(1e-11, 10.0*known["ulp"])
    assert np.all(np.abs(now["path"] - known["path"]).max(axis=1) <= bound)
    assert now["states"] == pytest.approx(known["states"], rel=bound[-1], abs=bound[-1])


if __name__ == "__main__":
    np.savez_compressed(FILE, **{f"{name}/{objective}/{key}": value for name, objective in CASES
                                 for key, value in reference(name, objective).items()})
