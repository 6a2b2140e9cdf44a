"""Recorded graphs made anew: with values put in, with clocks that are carried, with roundings as kernels have them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from odeopt.compile.tracer import CONDITIONS, Graph, Number

SMALLEST = float(np.finfo(float).tiny)
AS_THEY_ARE = ("input", "loop", "result", "carried")        # a loop's inside is left alone


def uniform(a: Any) -> bool:
    """Whether a number is the same in all lanes: it depends on parameters alone."""
    seen: set[int] = set()
    stack = [a] if isinstance(a, Number) else []
    while stack:
        node = stack.pop()
        if node.op in AS_THEY_ARE and not (node.op == "input" and node.arguments[0][0] == "p"):
            return False
        if node.index not in seen:
            seen.add(node.index)
            stack += node.needs()
    return True


def clocks(graph: Graph, time: Number, later: Any, roots: Sequence,
           values: Mapping[int, Any]) -> tuple[list, list[tuple[Any, Number, Any]]]:
    """The roots with numbers that are carried from trial to trial in place of exp(u*t), where the step is uniform.

    Every lane has a time of its own, and so the bias corrections of Adam are two exponentials a trial, half its time
    (measured). With t' = t + h and uniform u and h, exp(u t') is the product of exp(u t) and exp(u h), and the last is
    the same in all lanes. After n steps it is off by some 2 n rounding errors, as u t is by n, the sum of n steps.
    Subnormal products, which are slow and would never come to 0, are 0.

    Parameters
    ----------
    graph : Graph
    time, later : Number
        t before and after a trial.
    roots : sequence
    values : mapping
        Of nodes that are known, by their indices.

    Returns
    -------
    roots : list
    carried : list of tuple
        (u, exp(u t) before a trial, and after it).
    """
    carried: dict[Any, tuple] = {}
    steps = [a for a in later.arguments if a is not time] if _is(later, "add") else []
    steps = substituted(graph, values, steps)
    if len(steps) != 1 or not uniform(steps[0]) or all(node.op != "exp" for node in graph.nodes):
        return list(roots), []

    def rule(node: Number, new: Callable) -> Any:
        product = node.arguments[0]
        if node.op == "exp" and _is(product, "mul"):
            for u, t in itertools.permutations(product.arguments):
                u = new(u)
                if (t is time or t is later) and uniform(u):
                    key = u.index if isinstance(u, Number) else repr(u)
                    if key not in carried:
                        before = graph.input(f"clock{len(carried)}")
                        product = before*np.exp(u*steps[0])
                        carried[key] = (u, before, np.where(product < SMALLEST, 0.0, product))
                    return carried[key][1 if t is time else 2]
        return None
    return _rewritten(graph, graph.needed(roots), rule, roots, values), list(carried.values())


def specialised(graph: Graph, condition: Any, truth: bool, roots: Sequence) -> list:
    """The roots as they are once it is known whether the condition holds."""
    known: dict[int, bool] = {}
    conditions = [condition] if isinstance(condition, Number) else []
    while conditions:
        node = conditions.pop()
        if node.op in CONDITIONS:                           # what is no condition may hold as any number
            known[node.index] = truth
        if truth and node.op == "and":                      # then both hold
            conditions += node.operands
    return substituted(graph, known, roots)


def arranged(graph: Graph, roots: Sequence, values: Mapping[int, Any]) -> list:
    """The roots with their roundings arranged as kernels have them; `values` are those of nodes, by their indices.

    Products by 1/a take the place of divisions by an `a` that is uniform or divides several numbers, and a fused
    multiply-add that of a sum or a difference with a product that is used once. A compiler that may do so as it likes
    does it otherwise in a vector loop, in its remainder, or where a value has another use. For subnormal a, 1/a is inf.
    """
    nodes = graph.needed(roots)
    uses = Counter(a.index for node in nodes for a in node.needs())
    uses.update(root.index for root in roots if isinstance(root, Number))
    divisors = Counter(node.arguments[1].index for node in nodes if node.op == "div"
                       and isinstance(node.arguments[1], Number))

    def rule(node: Number, new: Callable) -> Any:
        if node.op == "div":
            a, b = map(new, node.arguments)
            if (uniform(b) and not uniform(a)) or (not uniform(b) and divisors[node.arguments[1].index] > 1):
                return graph.operation("mul", a, graph.operation("div", 1.0, b))
        for k in (1, 0) if node.op in ("add", "sub") else ():
            term, product, other = node.arguments[k], new(node.arguments[k]), new(node.arguments[1 - k])
            if _is(product, "mul") and uses[term.index] == 1:
                a, b = product.arguments
                if node.op == "sub":
                    a, other = (graph.operation("neg", a), other) if k else (a, graph.operation("neg", other))
                return graph.operation("fma", a, b, other)
        return None
    return _rewritten(graph, nodes, rule, roots, values)


def _is(a: Any, op: str) -> bool:
    return isinstance(a, Number) and a.op == op


def copied(a: Any, graph: Graph) -> Any:
    """The same number, recorded in another graph."""
    if not isinstance(a, Number):
        return a
    if a.op == "input":
        return graph.input(*a.arguments)
    return graph.operation(a.op, *(copied(b, graph) for b in a.arguments))


def substituted(graph: Graph, values: Mapping[int, Any], roots: Sequence) -> list:
    """The roots with these values in place of the nodes of these indices."""
    return _rewritten(graph, graph.needed(roots), lambda node, new: None, roots, values)


def _rewritten(graph: Graph, nodes: Sequence[Number], rule: Callable[[Number, Callable], Any], roots: Sequence,
               values: Mapping[int, Any]) -> list:
    """The roots where each of the nodes, all that they need, is `rule(node, new)`; `new` gives what became of another.

    Where the rule gives None a node remains what it is, of what became of its arguments. `values` are those of nodes
    that are known, by their indices.
    """
    known = dict(values)

    def new(a: Any) -> Any:
        return known.get(a.index, a) if isinstance(a, Number) else a
    for node in nodes:
        if node.index not in known and node.op not in AS_THEY_ARE:
            made = rule(node, new)
            if made is None and any([a.index in known for a in node.operands]):
                made = graph.operation(node.op, *map(new, node.arguments))
            if made is not None:
                known[node.index] = made
    return [new(root) for root in roots]
