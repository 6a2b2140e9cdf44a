"""Recorded graphs made anew: with values put in, with clocks that are carried, with roundings as kernels have them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
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


def clocks(graph: Graph, time: Number, later: Any, roots: Sequence) -> tuple[list, list[tuple[Any, Number, Any]]]:
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

    Returns
    -------
    roots : list
    carried : list of tuple
        (u, exp(u t) before a trial, and after it).
    """
    carried: dict[Any, tuple] = {}
    steps = [a for a in later.arguments if a is not time] if _is(later, "add") else []
    if len(steps) != 1 or not uniform(steps[0]) or all(node.op != "exp" for node in graph.nodes):
        return list(roots), []

    def rule(node: Number, new: Callable) -> Any:
        product = node.arguments[0]
        if node.op == "exp" and _is(product, "mul"):
            for u, t in itertools.permutations(product.arguments):
                if (t is time or t is later) and uniform(u):
                    key = u.index if isinstance(u, Number) else repr(u)
                    if key not in carried:
                        before = graph.input(f"clock{len(carried)}")
                        product = before*np.exp(u*steps[0])
                        carried[key] = (u, before, np.where(product < SMALLEST, 0.0, product))
                    return carried[key][1 if t is time else 2]
        return None
    return _rewritten(graph, rule, roots), list(carried.values())


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


def arranged(graph: Graph, roots: Sequence) -> list:
    """The roots with their roundings arranged as kernels have them.

    Products by 1/a take the place of divisions by an `a` that is uniform or divides several numbers, and a fused
    multiply-add that of a sum or a difference with a product that is used once. A compiler that may do so as it likes
    does it otherwise in a vector loop, in its remainder, or where a value has another use. For subnormal a, 1/a is inf.
    """
    live = graph.live(roots)
    nodes = [node for node in graph.nodes if node.index in live]
    uses = Counter(a.index for node in nodes for a in node.needs())
    uses.update(root.index for root in roots if isinstance(root, Number))
    divisors = Counter(node.arguments[1].index for node in nodes if node.op == "div"
                       and isinstance(node.arguments[1], Number))

    def rule(node: Number, new: Callable) -> Any:
        if node.op == "div":
            a, b = node.arguments
            if (uniform(b) and not uniform(a)) or (not uniform(b) and divisors[b.index] > 1):
                return graph.operation("mul", new(a), graph.operation("div", 1.0, new(b)))
        for k in (1, 0) if node.op in ("add", "sub") else ():
            term, product, other = node.arguments[k], new(node.arguments[k]), new(node.arguments[1 - k])
            if _is(product, "mul") and uses[term.index] == 1:
                a, b = product.arguments
                if node.op == "sub":
                    a, other = (graph.operation("neg", a), other) if k else (a, graph.operation("neg", other))
                return graph.operation("fma", a, b, other)
        return None
    return _rewritten(graph, rule, roots)


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
    return _rewritten(graph, lambda node, new: None, roots, values)


def _rewritten(graph: Graph, rule: Callable[[Number, Callable], Any], roots: Sequence,
               values: Mapping[int, Any] = MappingProxyType({})) -> list:
    """The roots where every node that they need is `rule(node, new)`; `new` gives what became of an argument.

    Where the rule gives None a node remains what it is, of what became of its arguments. `values` are those of nodes
    that are known, by their indices.
    """
    live, known = graph.live(roots), dict(values)

    def new(a: Any) -> Any:
        return known.get(a.index, a) if isinstance(a, Number) else a
    for node in list(graph.nodes):
        if node.index in live and node.index not in known and node.op not in AS_THEY_ARE:
            made = rule(node, new)
            if made is None and any(a.index in known for a in node.operands):
                made = graph.operation(node.op, *map(new, node.arguments))
            if made is not None:
                known[node.index] = made
    return [new(root) for root in roots]
