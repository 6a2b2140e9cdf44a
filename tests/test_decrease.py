"""V never rises on accepted steps, for every Lyapunov-controlled method on every landscape of two numbers."""

import numpy as np
import pytest

import odeopt as oo
from odeopt import methods, objectives
from odeopt.compile.tracer import Graph, Number, Vector
from odeopt.language import State
from odeopt.trial import Ode

METHODS = ["lc_gd", "lcd_gd", "lcp_gd", "lc_momentum", "lc_rmsprop", "lc_clipping", "lc_normalized", "lc_sign",
           "lc_pgd", "lc_rkc", "lc_mechanic", "lc_em"]
SQUARES = ["lc_lm", "lm"]                                   # for sums of squares
LANDSCAPES = [objectives.PolyTwo(), objectives.PolyThree(), objectives.PolyFour(), objectives.PolyFive(),
              objectives.PolyEight(), objectives.Cloche(), objectives.RatTwo(), objectives.VValley(),
              objectives.QuarticSaddle(), objectives.Quadratic(), objectives.Rosenbrock(),
              objectives.Himmelblau(), objectives.Beale(), objectives.StyblinskiTang(),
              objectives.LogSumExp()]
EPS = np.finfo(float).eps


def with_error(graph, output, values):
    """A recorded number at arrays of its inputs, and a first-order bound of its rounding error.

    Running error analysis: what the arguments carry is passed on through the derivative of each operation,
    and each operation adds half an ulp (a root 1; division, which kernels may write as a product with 1/b, 2;
    elementary functions 4). So it bounds the error of every evaluation of the same text: NumPy's, a kernel's,
    and one in which some products are fused with the sums that follow them. A fixed multiple of eps |V| would
    not do: near a minimum V may be 0, while terms of some 100 cancel in it.
    """
    known = {}

    def of(a):
        return known[a.index] if isinstance(a, Number) else (a, 0.0)
    live = graph.live([output])
    for node in graph.nodes:
        if node.index not in live:
            continue
        if node.op == "input":
            known[node.index] = values[node.arguments[0]], 0.0
            continue
        (a, ea), (b, eb) = (*map(of, node.arguments), (0.0, 0.0))[:2]
        known[node.index] = {
            "add": lambda a, ea, b, eb: (v := a + b, ea + eb + 0.5*EPS*np.abs(v)),
            "sub": lambda a, ea, b, eb: (v := a - b, ea + eb + 0.5*EPS*np.abs(v)),
            "mul": lambda a, ea, b, eb: (v := a*b, np.abs(a)*eb + np.abs(b)*ea + 0.5*EPS*np.abs(v)),
            "div": lambda a, ea, b, eb: (v := a/b, (ea + np.abs(v)*eb)/np.abs(b) + 2.0*EPS*np.abs(v)),
            "neg": lambda a, ea, b, eb: (-a, ea),
            "abs": lambda a, ea, b, eb: (np.abs(a), ea),
            "sqrt": lambda a, ea, b, eb: (v := np.sqrt(a), 0.5*ea/v + EPS*v),
            "exp": lambda a, ea, b, eb: (v := np.exp(a), v*(ea + 4.0*EPS)),
            "log": lambda a, ea, b, eb: (v := np.log(a), ea/np.abs(a) + 4.0*EPS*np.abs(v)),
            "tanh": lambda a, ea, b, eb: (v := np.tanh(a), ea*(1.0 - v*v) + 4.0*EPS*np.abs(v)),
        }[node.op](a, ea, b, eb)
    return of(output)


def energies(objective, flow, t, z):
    """V of states (..., n), recomputed by NumPy, with its rounding error."""
    graph, values = Graph(), {"t": t}
    blocks = {}
    for block in flow.blocks:
        blocks[block] = Vector([graph.input(f"{block}{i}") for i in range(2)])
        values |= {f"{block}{i}": z[block][..., i] for i in range(2)}
    for scalar in flow.scalars:
        blocks[scalar] = graph.input(scalar)
        values[scalar] = z[scalar]
    V = Ode(flow, objective).V(graph.input("t"), State(blocks))
    return with_error(graph, V, values)


def check(ensemble):
    """V at the rows of a trace, from the stored states: no accepted step raises it.

    A trial is accepted if the kernel finds V1 <= V0. With E the error of one evaluation the stored values may
    rise by E0 + E1, NumPy's by as much again, and by E1 once more, since the kernel may keep another rounding
    of V1 than the one it has compared. `lc_em` compares nothing, but solves a r^2 - 2 b r + c = 0, whose terms
    are at most |v0|^2 and |v1|^2 beside those of V: 16 roundings are allowed for its root. Its restarts, on which
    V rises, are left out.
    """
    trace, method = ensemble.trace, ensemble.method
    accepted = np.argwhere(trace.accepted)
    run, row = accepted.T
    if method.name == "lc_em":
        going = np.sum(trace.z["v"][run, row - 1]**2, axis=1) >= method.scheme.rest
        run, row = run[going], row[going]
    with np.errstate(all="ignore"):
        before = {k: b[run, row - 1] for k, b in trace.z.items()}
        after = {k: b[run, row] for k, b in trace.z.items()}
        V0, E0 = energies(ensemble.objective, method.flow, trace.t[run, row - 1], before)
        V1, E1 = energies(ensemble.objective, method.flow, trace.t[run, row], after)
        allowed = 2.0*E0 + 3.0*E1
        if method.name == "lc_em":
            allowed = allowed + 16.0*EPS*sum(np.sum(z["v"]*z["v"], axis=1) for z in (before, after))
        bad = ~(allowed >= V1 - V0)
    assert not bad.any(), (f"V rises on {bad.sum()} of {bad.size} accepted steps, first in run {run[bad][0]} "
                           f"from {V0[bad][0]!r} by {(V1 - V0)[bad][0]!r}")
    return V0, V1, allowed


# the first restart of lc_em on PolyEight leaps to V = 1e38: few of its 64 trials are steps
CASES = [(name, landscape) for name in METHODS + SQUARES for landscape in LANDSCAPES
         if (name in METHODS or landscape.residuals is not None)
         and (name, type(landscape)) != ("lc_em", objectives.PolyEight)]


@pytest.mark.parametrize(("name", "landscape"), CASES, ids=lambda p: p if isinstance(p, str) else type(p).__name__)
def test_v_never_rises(name, landscape):
    """The first 64 trials from 10 000 starts, and every 40th run down to rounding, in 2000 trials at most."""
    method, starts, steps = methods.get(name), oo.studies.grid(landscape.box, (100, 100)), 0
    for block in np.split(starts, 8):                       # small traces: memory is used again
        begun = oo.solve_many(landscape, method, block, gtol=1e-6, max_trials=64, trace=True)
        V0, V1, allowed = check(begun)
        steps += len(V0)
        assert np.median(allowed/(np.abs(V0) + np.abs(V1) + 1e-3)) < 1e-11      # rounding, nothing more
    assert begun.backend == "lanes" and steps > 5000
    ended = oo.solve_many(landscape, method, starts[::40], gtol=1e-12, max_trials=2000, trace=True)
    assert ended.trace.stride == 1
    check(ended)
