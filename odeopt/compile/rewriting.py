"""Recorded graphs made anew: as they are once a condition is known, and with products fused into sums."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from odeopt.compile.tracer import Graph, Number

_AS_THEY_ARE = ("input", "loop", "result", "carried")       # a loop's inside is left alone


def uniform(graph: Graph) -> Callable[[Any], bool]:
    """A function that tells whether a number is the same in all lanes: it depends on parameters alone."""
    varying: set[int] = set()
    for node in graph.nodes:
        parameter = node.op == "input" and node.arguments[0][0] == "p"
        if (node.op in _AS_THEY_ARE and not parameter) or any(a.index in varying for a in node.needs()):
            varying.add(node.index)
    return lambda a: not isinstance(a, Number) or a.index not in varying


def clocks(graph: Graph, time: Number, later: Any, roots: Sequence) -> tuple[list, list[tuple[Any, Number, Any]]]:
    """The roots with numbers that are carried from trial to trial in place of exp(u t), where the step is uniform.

    Every lane has a time of its own, and so the bias corrections of Adam are two exponentials a trial, half its time
    (measured). With t' = t + h and uniform u and h, exp(u t') is the product of exp(u t) and exp(u h), and the last is
    the same in all lanes. After n steps it is off by n rounding errors at most, as is t, the sum of n steps.

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
    fixed, carried = uniform(graph), dict[Any, tuple]()
    steps = [a for a in later.arguments if a is not time] if getattr(later, "op", "") == "add" else []
    if len(steps) != 1 or not fixed(steps[0]):
        return list(roots), []

    def rule(node: Number, new: Callable) -> Any:
        product = node.arguments[0]
        if node.op == "exp" and getattr(product, "op", "") == "mul":
            for u, t in itertools.permutations(product.arguments):
                if fixed(u) and (t is time or t is later):
                    key = u.index if isinstance(u, Number) else repr(u)
                    if key not in carried:
                        before = graph.input(f"clock{len(carried)}")
                        carried[key] = (u, before, before*np.exp(u*steps[0]))
                    return carried[key][1 if t is time else 2]
        return graph.operation(node.op, *map(new, node.arguments))
    return _rewritten(graph, rule, roots), list(carried.values())


def specialised(graph: Graph, condition: Any, truth: bool, roots: Sequence) -> list:
    """The roots as they are once it is known whether the condition holds."""
    known: set[int] = set()
    conditions = [condition] if isinstance(condition, Number) else []
    while conditions:
        node = conditions.pop()
        known.add(node.index)
        if truth and node.op == "and":                      # then both hold
            conditions += [a for a in node.arguments if isinstance(a, Number)]

    def rule(node: Number, new: Callable) -> Any:
        return truth if node.index in known else graph.operation(node.op, *map(new, node.arguments))
    return _rewritten(graph, rule, roots)


def inverted(graph: Graph, roots: Sequence) -> list:
    """The roots with products by 1/a in place of divisions by an `a` that is uniform or divides several numbers."""
    live, fixed = graph.live(roots), uniform(graph)
    divisors = Counter(node.arguments[1].index for node in graph.nodes if node.index in live and node.op == "div"
                       and isinstance(node.arguments[1], Number))

    def rule(node: Number, new: Callable) -> Any:
        a = [new(argument) for argument in node.arguments]
        if node.op == "div":
            b = node.arguments[1]
            if not fixed(node.arguments[0]) if fixed(b) else divisors[b.index] > 1:
                return graph.operation("mul", a[0], graph.operation("div", 1.0, a[1]))
        return graph.operation(node.op, *a)
    return _rewritten(graph, rule, roots)


def fused(graph: Graph, roots: Sequence) -> list:
    """The roots with a fused multiply-add wherever a product is used once, in a sum or a difference.

    A compiler that may fuse as it likes does so otherwise in a vector loop, in its remainder, or where a value has
    another use: here the rounding is the graph's.
    """
    live = graph.live(roots)
    uses = Counter(a.index for node in graph.nodes if node.index in live for a in node.needs())
    uses.update(root.index for root in roots if isinstance(root, Number))

    def rule(node: Number, new: Callable) -> Any:
        for k in (1, 0) if node.op in ("add", "sub") else ():
            product, other = node.arguments[k], new(node.arguments[1 - k])
            if isinstance(product, Number) and product.op == "mul" and uses[product.index] == 1:
                a, b = map(new, product.arguments)
                if node.op == "sub":
                    a, other = (graph.operation("neg", a), other) if k else (a, graph.operation("neg", other))
                return graph.operation("fma", a, b, other)
        return graph.operation(node.op, *map(new, node.arguments))
    return _rewritten(graph, rule, roots)


def copied(a: Any, graph: Graph) -> Any:
    """The same number, recorded in another graph."""
    if not isinstance(a, Number):
        return a
    if a.op == "input":
        return graph.input(*a.arguments)
    return graph.operation(a.op, *(copied(b, graph) for b in a.arguments))


def substituted(graph: Graph, values: Mapping[int, Any], roots: Sequence) -> list:
    """The roots with these values in place of the inputs of these indices."""
    return _rewritten(graph, lambda node, new: graph.operation(node.op, *map(new, node.arguments)), roots, values)


def _rewritten(graph: Graph, rule: Callable[[Number, Callable], Any], roots: Sequence,
               values: Mapping[int, Any] = MappingProxyType({})) -> list:
    """The roots where every node that they need is `rule(node, new)`; `new` gives what became of an argument."""
    live, known = graph.live(roots), dict(values)

    def new(a: Any) -> Any:
        return known.get(a.index, a) if isinstance(a, Number) else a
    for node in list(graph.nodes):
        if node.index in live and node.op not in _AS_THEY_ARE:
            known[node.index] = rule(node, new)
    return [new(root) for root in roots]
