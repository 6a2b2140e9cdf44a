"""Training steps of PyTorch and JAX on networks: their layers, loss, differentiation and optimizers.

tests/data/networks.npz holds what torch 2.13.0 did; `python -m tests.test_network_peers` writes it anew. Where torch or
JAX is installed it is asked again. Every step starts from the reference's own parameters and buffers.
"""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks import networks
from experiments.benchmarks.trainings import AGREEMENT, trainings
from odeopt import State, methods
from odeopt.compile.vector import Room, VectorKernel
from odeopt.objectives import Network
from odeopt.trial import Limits, Machine

FILE = Path(__file__).parent/"data"/"networks.npz"
NETWORKS = {"2-20-1": ((2, 20, 1), "half_squares"), "13-50-1": ((13, 50, 1), "mean_squares")}
FACTORS = {"half_squares": 0.5, "mean_squares": 1.0}        # of torch's nn.MSELoss
# our method, torch's class and options, and its buffers by our blocks (of opposite sign for a velocity)
METHODS = {
    "SGD": (methods.gd(0.05), "SGD", dict(lr=0.05), {}),
    "momentum": (methods.momentum(0.02), "SGD", dict(lr=0.02, momentum=0.9), {"v": "momentum_buffer"}),
    "RMSprop": (methods.rmsprop(0.01), "RMSprop", dict(lr=0.01), {"s": "square_avg"}),
    "Adam": (methods.adam(0.02), "Adam", dict(lr=0.02), {"m": "exp_avg", "s": "exp_avg_sq"}),
}
STEPS = (0, 20)                                             # before which states are compared
CASES = [(network, method) for network in NETWORKS for method in METHODS]


def drawn(name):
    """Samples, targets and a start."""
    layers, _ = NETWORKS[name]
    rng = np.random.default_rng(7)
    inputs = rng.normal(size=(100, layers[0]))
    targets = np.sin(inputs.sum(axis=1, keepdims=True)) + 0.1*rng.normal(size=(100, 1))
    start = 0.5*rng.normal(size=Network(layers, inputs, targets).dimension)
    return {"inputs": inputs, "targets": targets, "start": start}


def by_torch(name, method, facts):
    """Parameters and buffers before and after the steps: an array (len(STEPS), 2, blocks, n)."""
    import torch
    layers, loss = NETWORKS[name]
    a, b, c = layers
    net = torch.nn.Sequential(torch.nn.Linear(a, b), torch.nn.Tanh(), torch.nn.Linear(b, c)).double()
    torch.nn.utils.vector_to_parameters(torch.tensor(facts["start"]), net.parameters())
    inputs, targets, mse = torch.from_numpy(facts["inputs"]), torch.from_numpy(facts["targets"]), torch.nn.MSELoss()
    _, optimizer, options, buffers = METHODS[method]
    optimizer = getattr(torch.optim, optimizer)(net.parameters(), **options)

    def state():
        kept = [[optimizer.state[p].get(buffer, torch.zeros_like(p)).flatten() for p in net.parameters()]
                for buffer in buffers.values()]
        parts = [[p.detach().flatten() for p in net.parameters()], *kept]
        return np.array([torch.cat(part).numpy() for part in parts])
    states = [state()]
    for _ in range(max(STEPS) + 1):
        optimizer.zero_grad()
        (FACTORS[loss]*mse(net(inputs), targets)).backward()
        optimizer.step()
        states.append(state())
    return np.array([states[k:k + 2] for k in STEPS])


def by_jax(name, method, facts):
    """The same with JAX's gradient and optax."""
    import jax
    import optax
    jax.config.update("jax_enable_x64", True)
    (a, b, c), loss = NETWORKS[name]
    inputs, targets = facts["inputs"], facts["targets"]

    def cost(x):
        W, u, V, v = jax.numpy.split(x, np.cumsum([a*b, b, b*c]))
        outputs = jax.numpy.tanh(inputs @ W.reshape(b, a).T + u) @ V.reshape(c, b).T + v
        return FACTORS[loss]*jax.numpy.mean((outputs - targets)**2)
    optimizer, buffers = {
        "SGD": (optax.sgd(0.05), ()), "momentum": (optax.sgd(0.02, momentum=0.9), ("trace",)),
        "RMSprop": (optax.rmsprop(0.01, decay=0.99, eps=1e-8, eps_in_sqrt=False), ("nu",)),
        "Adam": (optax.adam(0.02), ("mu", "nu"))}[method]
    x, gradient = facts["start"], jax.jit(jax.grad(cost))
    memory, states = optimizer.init(x), []
    for _ in range(max(STEPS) + 2):
        states.append([x, *(getattr(memory[0], buffer) for buffer in buffers)])
        updates, memory = optimizer.update(gradient(x), memory)
        x = optax.apply_updates(x, updates)
    return np.array([states[k:k + 2] for k in STEPS])


@pytest.fixture(scope="module")
def stored():
    with np.load(FILE) as file:
        return dict(file)


def facts_of(stored, name):
    return {key: stored[f"{name}/{key}"] for key in ("inputs", "targets", "start")}


def machine(name, method, facts):
    layers, loss = NETWORKS[name]
    objective, ours = Network(layers, facts["inputs"], facts["targets"], loss=loss), METHODS[method][0]
    return Machine(objective, ours.flow, ours.scheme, ours.controller, ours.h0, Limits(0.0))


def numpy_step(m, record):
    return m.trial(record)[0]["z"].blocks


def vector_step(m, record):
    run = Room(VectorKernel(m), m.objective.evaluator(), m.objective.dimension)
    run.begin(record)
    run.go(1)
    return {block: run.vector("z", block) for block in record["z"]}


BACKENDS = {"numpy": numpy_step, "vector": vector_step}


def assert_same_steps(name, method, facts, states, step):
    """To 1e-12, relative to the largest coordinate of each block and of what it was.

    A gradient is a sum of 100 samples' parts, of which rounding takes sqrt(100) eps = 2e-15, and some ten operations
    before it as much each; a coordinate of Adam's or RMSprop's step is lr g/|g| at first, so that a gradient that
    cancels to a thousandth moves it by lr 1000 times that: 1e-12 of the largest coordinate, which is about 1, is ten
    times more. Another formula, an order of the parameters or a factor changes the first digits.
    """
    m, buffers = machine(name, method, facts), METHODS[method][3]
    blocks = ("x", *buffers)
    signs = {"v": -1.0}
    for k, (before, after) in zip(STEPS, states, strict=True):
        z = {block: signs.get(block, 1.0)*row for block, row in zip(blocks, before, strict=True)}
        record = m.begin(z["x"])[0] | {"t": k*m.h0, "n": float(k), "z": State(z)}
        ours = step(m, record)
        for block, row in zip(blocks, after, strict=True):
            scale = max(np.abs(row).max(), np.abs(z[block]).max())
            wanted = signs.get(block, 1.0)*row
            assert ours[block] == pytest.approx(wanted, rel=0.0, abs=1e-12*scale), (block, k)
            assert np.abs(wanted - z[block]).max() > 1e-4*scale, "the step must be seen"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("name", "method"), CASES)
def test_a_step_is_pytorchs(stored, name, method, backend):
    assert_same_steps(name, method, facts_of(stored, name), stored[f"{name}/{method}"], BACKENDS[backend])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("name", "method"), CASES)
def test_a_step_is_that_of_the_torch_that_is_installed(stored, name, method, backend):
    pytest.importorskip("torch")
    facts = facts_of(stored, name)
    assert_same_steps(name, method, facts, by_torch(name, method, facts), BACKENDS[backend])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("name", "method"), CASES)
def test_a_step_is_that_of_jax_and_optax(stored, name, method, backend):
    pytest.importorskip("jax")
    pytest.importorskip("optax")
    facts = facts_of(stored, name)
    assert_same_steps(name, method, facts, by_jax(name, method, facts), BACKENDS[backend])


# -- the benchmarks

@pytest.mark.parametrize("name", ["2-20-1", "2-20-1_backtracking", "784-100-10_float32"])
@pytest.mark.parametrize("tool", ["torch_", "jax_"])
def test_the_tools_of_the_benchmarks_train_alike(tool, name):
    pytest.importorskip(tool.strip("_"))
    case = trainings(quick=True)[name]

    def trained(tool):
        ways = import_module(f"experiments.benchmarks.peers.networks.{tool}").ways(case)
        return [way() for way in ways.values()]
    end, trials = trained("vector")[0]
    assert trials >= case.steps
    for other, count in trained(tool):
        assert case.told(other) == pytest.approx(case.told(end), rel=AGREEMENT[case.network.dtype])
        assert count >= trials


def test_a_training_that_differs_is_refused():
    networks._check("2-20-1", "other", {"ends": 0.75}, {"ends": 0.75*(1.0 + 1e-14)}, 1)
    networks._check("784-100-10_float32", "other", {"ends": 0.75}, {"ends": 0.75*(1.0 + 1e-5)}, 1)
    for wrong in (0.75*(1.0 + 1e-8), np.nan):
        with pytest.raises(RuntimeError, match="other does not train 2-20-1"):
            networks._check("2-20-1", "other", {"ends": wrong}, {"ends": 0.75}, 1)


def test_the_loop_by_hand_is_the_emitted_one():
    """`loop` raises an error if the ends differ in a single bit."""
    taken = networks.loop(quick=True)
    assert set(taken) == {"1-2-1", "2-20-1", "13-50-1"}
    assert all(len(times["emitted"]) == len(times["hand"]) for times in taken.values())


if __name__ == "__main__":
    found = {}
    for name in NETWORKS:
        facts = drawn(name)
        found |= {f"{name}/{key}": value for key, value in facts.items()}
        found |= {f"{name}/{method}": by_torch(name, method, facts) for method in METHODS}
    np.savez_compressed(FILE, **found)
