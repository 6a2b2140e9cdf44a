"""Graphs made anew compute what they did, with the roundings that are named."""

import math
from fractions import Fraction

import numpy as np
import pytest

import odeopt as oo
from odeopt.compile.lanes import LaneKernel
from odeopt.compile.rewriting import arranged, clocks, specialised
from odeopt.compile.tracer import Graph
from odeopt.trial import Limits, Machine

EPS = np.finfo(float).eps


def evaluated(graph, roots, **values):
    """The roots, by Python's numbers: fused products are not rounded."""
    known = {}

    def of(a):
        return known.get(getattr(a, "index", None), a)
    rules = {"add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a*b, "div": lambda a, b: a/b,
             "neg": lambda a: -a, "exp": math.exp, "lt": lambda a, b: a < b, "and": lambda a, b: a and b,
             "select": lambda c, a, b: a if c else b,
             "fma": lambda a, b, c: float(Fraction(a)*Fraction(b) + Fraction(c))}
    for node in graph.nodes:
        name = node.arguments[0]
        known[node.index] = values[name] if node.op == "input" else rules[node.op](*map(of, node.arguments))
    return [of(root) for root in roots]


def operations(graph, roots):
    live = graph.live(roots)
    return sorted(node.op for node in graph.nodes if node.index in live and node.op != "input")


def test_a_product_is_fused_where_it_is_used_once_and_only_there():
    graph = Graph()
    a, b, c = map(graph.input, ("s0", "s1", "s2"))
    twice = a*b
    roots = [a*c + b, b - a*a, c*c - b, b*b + c*b, twice + c, twice - a]
    new = arranged(graph, roots, {})
    assert operations(graph, new[:1]) == ["fma"]
    assert operations(graph, new[1:2]) == operations(graph, new[2:3]) == ["fma", "neg"]
    assert operations(graph, new[3:4]) == ["fma", "mul"]    # of two products one is rounded
    assert operations(graph, new[4:]) == ["add", "mul", "sub"]
    values = {"s0": 1.0 + 2.0**-30, "s1": 1.0, "s2": -3.7}
    one, two = evaluated(graph, roots, **values), evaluated(graph, new, **values)
    assert (one.pop(1), two.pop(1)) == (-2.0**-29, -2.0**-29 - 2.0**-60)
    assert two == pytest.approx(one, rel=4*EPS)


def test_divisions_by_what_all_lanes_share_or_several_numbers_are_products():
    graph = Graph()
    p, a, b, c = map(graph.input, ("p0", "s0", "s1", "s2"))
    roots = [a/(1.0 + p), a/3.0, a/c, b/c, a/b, p/(1.0 + p)]
    new = arranged(graph, roots, {})
    assert operations(graph, new[:1]) == ["add", "div", "mul"]
    assert operations(graph, new[1:2]) == ["mul"]
    assert operations(graph, new[2:4]) == ["div", "mul", "mul"]
    assert operations(graph, new[4:5]) == ["div"] and operations(graph, new[5:]) == ["add", "div"]
    values = {"p0": 0.7, "s0": 1.3, "s1": -2.9, "s2": 0.3}
    assert evaluated(graph, new, **values) == pytest.approx(evaluated(graph, roots, **values), rel=2*EPS)


def test_what_is_known_of_a_condition_is_known_of_all_that_it_holds():
    graph = Graph()
    a, b = map(graph.input, ("s0", "s1"))
    one, two = a < 0.0, b < 0.0
    both = one & two
    roots = [np.where(both, a, b), np.where(one, 2.0*a, b), np.where(~two, a, b) + 1.0]
    assert specialised(graph, both, True, roots)[:2] == [roots[0].arguments[1], roots[1].arguments[1]]
    assert operations(graph, specialised(graph, both, True, roots)[2:]) == ["add"]
    assert specialised(graph, both, False, roots)[0] is b
    assert specialised(graph, both, False, roots)[1] is roots[1]            # one of them may hold


def test_a_clock_is_carried_only_where_its_step_is_the_same_in_all_lanes():
    graph = Graph()
    t, h, rate, x = map(graph.input, ("s0", "p0", "p1", "s1"))
    roots = [1.0 - np.exp(-rate*(t + h)), np.exp(-rate*t)*x, np.exp(0.5*(t + h)), np.exp(x*t)]
    new, carried = clocks(graph, t, t + h, roots, {})
    assert [operations(graph, [u]) for u, _, _ in carried] == [["neg"], []]
    assert operations(graph, new[:2]).count("exp") == 1     # of the step
    assert operations(graph, new[3:]) == ["exp", "mul"]     # its rate differs from lane to lane
    (_, _, first), (_, _, second) = carried
    values = {"s0": 1.0, "p0": 0.5, "s1": 0.0, "clock0": 1e-307}
    assert evaluated(graph, [first], p1=math.nan, clock1=1.0, **values)[0] != 0.0      # not a number comes through
    assert evaluated(graph, [first, second], p1=10.0, clock1=1.0, **values) == [0.0, math.exp(0.25)]
    for later in (t + x, t*h, 1.0, t):
        assert clocks(graph, t, later, roots, {}) == (roots, [])


@pytest.mark.parametrize("steps", [1, 10, 1000, 20_000])
def test_carried_clocks_stay_within_their_rounding_errors(steps):
    """A factor that is off by an ulp is off by n of them after n steps, and every product by half of one more."""
    flow, scheme, controller, h = (getattr(oo.methods.adam(1e-6), name)
                                   for name in ("flow", "scheme", "controller", "h0"))
    machine = Machine(oo.objectives.PolyThree(), flow, scheme, controller, h,
                      Limits(gtol=0.0, max_steps=float(steps), max_trials=1e9))
    kernel = LaneKernel(machine, 2)
    assert [path for path in kernel.paths if path[0] == "clock"] == [("clock", 0), ("clock", 1)]
    records, lanes = kernel.records(np.array([[0.3, 0.2]])), kernel.lanes()
    lanes.run(records, 0, 1, True, 10**6)
    first, second = kernel.columns(records)["clock",][0]
    assert records[0, 0] == 3.0                             # MAX_STEPS
    for rate, clock in ((flow.first_rate, first), (flow.second_rate, second)):
        assert clock == pytest.approx(math.exp(-rate*h*steps), rel=2.0*(steps + 1)*EPS, abs=1e-300)
