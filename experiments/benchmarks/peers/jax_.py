"""JAX: jit of vmap over one run, a while_loop where runs may end early, a fori_loop where they may not."""

from __future__ import annotations

import numpy as np

from experiments.benchmarks.peers import Way, batches, sizes
from experiments.benchmarks.peers.formulas import FORMULAS
from experiments.benchmarks.problems import Problem

NAME = "JAX vmap"


def versions() -> dict[str, str]:
    import jax
    import jaxlib
    import optax
    return {"jax": jax.__version__, "jaxlib": jaxlib.__version__, "optax": optax.__version__}


def ways(problem: Problem) -> dict[str, Way]:
    """Batches of several sizes; Adam also as optax has it."""
    import jax
    import jax.numpy as jnp
    jax.config.update("jax_enable_x64", True)
    programs = {"": _program(problem, jax, jnp)}
    if problem.kind == "adam":
        programs["optax, "] = _optax(problem, jax, jnp)

    def run(program, size: int) -> tuple[np.ndarray, float]:
        done = [program(batch) for batch in given[size]]
        return np.concatenate([np.asarray(x).T for x, _ in done]), float(sum(trials.sum() for _, trials in done))
    given = {size: [jnp.asarray(problem.starts[rows].T) for rows in batches(len(problem.starts), size)]
             for size in sizes(len(problem.starts))}
    return {f"{name}batches of {size}": lambda program=program, size=size: run(program, size)
            for name, program in programs.items() for size in given}


def _program(problem: Problem, jax, jnp):
    formula = FORMULAS[problem.kind](jnp)

    def one(x):
        state = formula.begin(x)
        if problem.early:
            state = jax.lax.while_loop(lambda s: formula.live(s) & (s[-1] < problem.trials),
                                       lambda s: formula.trial(s, True, *formula.clock(s[-1])), state)
        else:
            state = jax.lax.fori_loop(0, problem.trials,
                                      lambda k, s: formula.trial(s, formula.live(s), *formula.clock(k)), state)
        return jnp.stack(state[0]), state[-1]
    return jax.jit(jax.vmap(one, in_axes=1, out_axes=(1, 0)))


def _optax(problem: Problem, jax, jnp):
    """Adam by optax on a whole batch, which is the same: it works coordinate by coordinate."""
    import optax

    from experiments.benchmarks.peers.formulas import GTOL2, polythree
    adam = optax.adam(0.1)

    def step(k, carried):
        x, state, g, trials = carried
        live = g[0]*g[0] + g[1]*g[1] > GTOL2
        updates, state = adam.update(g, state)              # what has ended is held by x and g
        x1 = jnp.where(live, optax.apply_updates(x, updates), x)
        return x1, state, jnp.where(live, jnp.stack(polythree(*x1)), g), trials + live

    def run(x):
        carried = x, adam.init(x), jnp.stack(polythree(*x)), 0.0*x[0]
        x, _, _, trials = jax.lax.fori_loop(0, problem.trials, step, carried)
        return x, trials
    return jax.jit(run)
