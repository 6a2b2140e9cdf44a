"""Recorded graphs made anew: as they are once a condition is known, and with products fused into sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from odeopt.compile.tracer import Graph, Number

_AS_THEY_ARE = ("input", "loop", "result", "carried")       # a loop's inside is left alone


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


def inverted(graph: Graph, uniform: Iterable[Number], roots: Sequence) -> list:
    """The roots with products by 1/a in place of divisions by an `a` that depends on `uniform` numbers alone."""
    alike = {node.index for node in uniform}

    def rule(node: Number, new: Callable) -> Any:
        a = [new(argument) for argument in node.arguments]
        fixed = [not isinstance(number, Number) or number.index in alike for number in a]
        if node.op == "div" and fixed == [False, True]:
            return graph.operation("mul", a[0], graph.operation("div", 1.0, a[1]))
        made = graph.operation(node.op, *a)
        if all(fixed) and isinstance(made, Number):
            alike.add(made.index)
        return made
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


def _rewritten(graph: Graph, rule: Callable[[Number, Callable], Any], roots: Sequence) -> list:
    """The roots where every node that they need is `rule(node, new)`; `new` gives what became of an argument."""
    live, known = graph.live(roots), {}

    def new(a: Any) -> Any:
        return known.get(a.index, a) if isinstance(a, Number) else a
    for node in list(graph.nodes):
        if node.index in live and node.op not in _AS_THEY_ARE:
            known[node.index] = rule(node, new)
    return [new(root) for root in roots]
