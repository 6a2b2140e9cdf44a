"""The order of straight-line kernels: possible, whole, and with few values alive."""

from itertools import pairwise

import numpy as np
import pytest

import odeopt as oo
from odeopt.compile.lanes import LaneKernel
from odeopt.compile.rewriting import arranged
from odeopt.compile.scheduling import scheduled
from odeopt.compile.tracer import Graph
from odeopt.language import iterate
from odeopt.solver import prepare


def chain(n):
    """Neighbours' differences of a moved point and their sum of squares, all coordinates step by step."""
    graph = Graph()
    x, v = ([graph.input(f"{name}{i}") for i in range(n)] for name in "xv")
    velocities = [0.9 * b - 0.1 * a for a, b in zip(x, v, strict=True)]
    moved = [a + b for a, b in zip(x, velocities, strict=True)]
    slopes = [b - a * a for a, b in pairwise(moved)]
    total = 0.0
    for slope in slopes:
        total = total + slope * slope
    roots = arranged(graph, [*velocities, *moved, *slopes, total], {})
    nodes = [node for node in graph.needed(roots) if node.op != "input"]
    return nodes, [a.index for a in (*x, *v)]


def alive(order, loaded):
    """The largest number of values that are alive at once: inputs from their first use on, all until their last."""
    last = {a.index: k for k, node in enumerate(order) for a in node.needs()}
    now, most = set(), 0
    for k, node in enumerate(order):
        now |= {a.index for a in node.needs()} | {node.index}
        most = max(most, len(now))
        now = {index for index in now if last.get(index, -1) > k}
    return most


@pytest.mark.parametrize("n", [2, 3, 10, 40])
def test_the_order_is_possible_and_whole(n):
    nodes, loaded = chain(n)
    order = scheduled(nodes, loaded)
    assert sorted(node.index for node in order) == sorted(node.index for node in nodes)
    known = {a.index for node in nodes for a in node.needs()} - {node.index for node in nodes}
    for node in order:
        assert {a.index for a in node.needs()} <= known
        known.add(node.index)


def test_the_values_alive_do_not_grow_with_the_dimension():
    most = {n: alive(scheduled(*chain(n)), chain(n)[1]) for n in (5, 10, 40)}
    assert most[5] == most[10] == most[40] <= 6
    assert alive(*chain(40)) >= 40


def test_what_is_finished_leaves_before_the_rest_is_read():
    n = 30
    method = oo.methods.momentum(1e-4, 0.9)
    run = prepare(oo.objectives.Rosenbrock(n), method, np.zeros((1, n)), gtol=1e-4, max_steps=9, backend="lanes")
    lines = LaneKernel(run.machine, n).source.splitlines()
    reads = [k for k, line in enumerate(lines) if " = A[" in line]
    stores = [k for k, line in enumerate(lines) if line.lstrip().startswith("B[")]
    assert len(reads) >= 3*n
    assert len(stores) >= 3*n
    assert np.mean(np.array(stores) < reads[-1]) > 0.8


def test_loops_stand_where_they_can():
    graph = Graph()
    a, b = graph.input("a"), graph.input("b")
    root, _ = iterate(lambda y: (0.5 * (y + a / y), abs(y * y - a) < 1e-9), (b,), 9)
    nodes = [node for node in graph.needed([root + a * b]) if node.op != "input"]
    order = scheduled(nodes, [a.index, b.index])
    assert sorted(node.index for node in order) == sorted(node.index for node in nodes)
    assert [node.op for node in order].index("loop") < [node.op for node in order].index("result")
