"""JAX: jit of a scan over steps, of one start or of vmap over several."""

from __future__ import annotations

import numpy as np

from experiments.benchmarks.peers import Way
from experiments.benchmarks.peers.jax_ import versions
from experiments.benchmarks.trainings import GROW, LR, SHRINK, SLOPE, Training

NAME = "JAX"

__all__ = ["NAME", "versions", "ways"]


def ways(training: Training) -> dict[str, Way]:
    """One start alone, and small networks in batches; under backtracking a large one waits for its slowest start."""
    import jax
    import jax.numpy as jnp
    jax.config.update("jax_enable_x64", True)
    network, program = training.network, _program(training, jax, jnp)
    data = jnp.asarray(network.inputs), jnp.asarray(network.encoded)
    starts = training.starts.astype(network.dtype)
    many = jax.jit(jax.vmap(program, in_axes=(0, None, None)))
    found = {"one start": (jax.jit(program), _parts(training, starts[0]))}
    for size in (64,) if training.backtracking else (64, 1024):
        if size <= len(starts):
            found[f"batches of {size}"] = many, _parts(training, starts[:size])

    def train(compiled, given) -> tuple[np.ndarray, float]:
        parameters, trials = jax.block_until_ready(compiled(given, *data))
        ends = [np.asarray(part) for part in parameters]
        if np.ndim(trials):
            ends = [part[0] for part in ends]
        return np.concatenate([part.ravel() for part in ends]), float(np.sum(trials))
    return {name: lambda way=way: train(*way) for name, way in found.items()}


def _parts(training: Training, starts: np.ndarray) -> tuple:
    """Weights and biases of one start or of several."""
    a, b, c = training.network.layers
    W, u, V, v = np.split(starts, np.cumsum([a*b, b, b*c]), axis=-1)
    before = starts.shape[:-1]
    return W.reshape(*before, b, a), u, V.reshape(*before, c, b), v


def _program(training: Training, jax, jnp):
    def loss(parameters, inputs, targets):
        W, u, V, v = parameters
        outputs = jnp.tanh(inputs @ W.T + u) @ V.T + v
        return 0.5*jnp.sum((outputs - targets)**2)/len(targets)
    gradient, add = jax.grad(loss), jax.tree_util.tree_map

    def fixed(start, *data):
        def step(parameters, _):
            return add(lambda x, g: x - LR*g, parameters, gradient(parameters, *data)), None
        return jax.lax.scan(step, start, length=training.steps)[0], float(training.steps)

    def backtracking(start, *data):
        def step(carried, _):
            x, f, h, trials = carried
            g = gradient(x, *data)
            squared = sum(jnp.sum(part*part) for part in g)

            def tried(h):
                x1 = add(lambda a, b: a - h*b, x, g)
                return x1, loss(x1, *data), h

            def fails(trial):
                _, f1, h, _ = trial
                return ~(f1 - f <= -SLOPE*h*squared)

            def again(trial):
                _, _, h, trials = trial
                return (*tried(h/SHRINK), trials + 1.0)
            x1, f1, h, trials = jax.lax.while_loop(fails, again, (*tried(h), trials + 1.0))
            return (x1, f1, GROW*h, trials), None
        first = start, loss(start, *data), jnp.asarray(0.1, start[0].dtype), 0.0
        end, _ = jax.lax.scan(step, first, length=training.steps)
        return end[0], end[-1]
    return backtracking if training.backtracking else fixed
