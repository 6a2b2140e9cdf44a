"""Derivatives of recorded numbers, recorded in the same graph like any other operation.

Reverse mode (`gradient`) and forward mode (`tangents`) read one table, which says for every argument of an operation
how a change passes through: from the argument to the result in forward mode, from the result to the argument in
reverse. Forward over reverse gives Hessian-vector products.

At a kink the derivative is that of the branch taken: of `where` the chosen value, of a minimum or maximum the first
argument if both are equal, of |a| the sign, 0 at 0. Signs and comparisons have derivative 0. What is not chosen does
not matter, infinite or not a number: in reverse mode a choice is made as late as possible, as a mask of the adjoint.

Reverse mode records at most four more operations for each one, sums of adjoints included: a value with its gradient
costs at most five times the value, in any dimension (W. Baur, V. Strassen, "The complexity of partial derivatives",
Theor. Comput. Sci. 22 (1983) 317-330); at most eight times with choices, whose masks are operations too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from odeopt.compile.tracer import COMPARISONS, LOGICAL, Number
from odeopt.language import FormulaError


def gradient(output: Any, inputs: Sequence[Number]) -> list:
    """Derivatives of one number with respect to each of `inputs`, by reverse mode.

    Parameters
    ----------
    output : Number or float
    inputs : sequence of Number
        Taken as independent of each other.

    Returns
    -------
    list of Number or float
        One for each input, recorded in their graph.

    Raises
    ------
    FormulaError
        If the output depends on them through a loop.
    """
    nodes = _between(inputs, ordered([output]))
    varying = {a.index for a in (*inputs, *nodes)}
    adjoints: dict[int, tuple] = {output.index: (1.0, True)} if isinstance(output, Number) else {}
    for node in reversed(nodes):
        s, mask = adjoints.get(node.index, (0.0, True))
        chosen, *arguments = _choice(node)
        masks = [mask]*len(arguments) if chosen is None else [mask & chosen, mask & ~chosen]
        for k, (a, under) in enumerate(zip(arguments, masks, strict=True)):
            if isinstance(a, Number) and a.index in varying and not _is(s, 0.0):
                term = s if chosen is not None else _RULES[node.op][k](s, node, *arguments)
                adjoints[a.index] = _sum(adjoints.get(a.index, (0.0, under)), (term, under))
    return [_masked(*adjoints.get(a.index, (0.0, True))) for a in inputs]


def tangents(outputs: Sequence, inputs: Sequence[Number], direction: Sequence) -> list:
    """Derivatives of all outputs along a direction in the space of inputs, by forward mode.

    Parameters
    ----------
    outputs : sequence of Number or float
    inputs : sequence of Number
        Taken as independent of each other.
    direction : sequence of Number or float
        A change for each input.

    Raises
    ------
    FormulaError
        If an output depends on them through a loop.
    """
    moves = {a.index: s for a, s in zip(inputs, direction, strict=True) if not _is(s, 0.0)}
    for node in _between([a for a in inputs if a.index in moves], ordered(outputs)):
        chosen, *arguments = _choice(node)
        changes = [moves.get(a.index, 0.0) if isinstance(a, Number) else 0.0 for a in arguments]
        if chosen is None:
            move: Any = 0.0
            for rule, s in zip(_RULES[node.op], changes, strict=True):
                move = move if _is(s, 0.0) else _plus(move, rule(s, node, *arguments))
        else:
            move = node.graph.operation("select", chosen, *changes)
        if not _is(move, 0.0):
            moves[node.index] = move
    return [moves.get(a.index, 0.0) if isinstance(a, Number) else 0.0 for a in outputs]


def ordered(outputs: Sequence) -> list[Number]:
    """These numbers and all that they need, in the order in which they were recorded."""
    found: dict[int, Number] = {}
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if isinstance(node, Number) and node.index not in found:
            found[node.index] = node
            stack += node.needs()
    return [found[index] for index in sorted(found)]


def _between(inputs: Sequence[Number], nodes: Sequence[Number]) -> list[Number]:
    """Those of `nodes` that vary with the inputs, without these."""
    given, between = {a.index for a in inputs}, []
    varying = set(given)
    for node in nodes:
        if node.index in given or not any(isinstance(a, Number) and a.index in varying for a in node.needs()):
            continue
        if node.op in ("loop", "result"):
            raise FormulaError("a loop (iterate of more than 4 rounds) has no derivative: write it out")
        if node.op not in _STEPS:
            varying.add(node.index)
            between.append(node)
    return between


def _choice(node: Number) -> tuple:
    """(condition, value if it holds, value if not), or (None, *arguments) of an operation that does not choose."""
    if node.op in ("min", "max"):
        a, b = node.arguments
        return node.graph.operation("le" if node.op == "min" else "ge", a, b), a, b
    return node.arguments if node.op == "select" else (None, *node.arguments)


def _sum(one: tuple, other: tuple) -> tuple:
    """The sum of two masked adjoints."""
    (s, mask), (t, under) = one, other
    return (_plus(s, t), mask) if mask is under else (_plus(_masked(s, mask), _masked(t, under)), True)


def _masked(s: Any, mask: Any) -> Any:
    return mask.graph.operation("select", mask, s, 0.0) if isinstance(mask, Number) else s


def _is(a: Any, value: float) -> bool:
    return isinstance(a, float) and a == value              # == of a recorded number would be recorded


def _plus(a: Any, b: Any) -> Any:
    for one, other in ((a, b), (b, a)):
        if _is(one, 0.0):
            return other
        if isinstance(one, Number) and one.op == "neg":
            return other - one.arguments[0]
    return a + b


def _minus(a: Any) -> Any:
    return a.arguments[0] if isinstance(a, Number) and a.op == "neg" else -a


def _times(s: Any, a: Any) -> Any:
    """s*a; where s = 1 this is a itself, unless it is a truth value, whose sums would be a logical or."""
    plain = isinstance(a, Number) and a.op not in (*COMPARISONS, *LOGICAL, "select")
    return a if plain and _is(s, 1.0) else s if _is(a, 1.0) else s*a


_STEPS = (*COMPARISONS, *LOGICAL, "sign")                   # derivative 0
# for each argument: what a change s becomes on its way through the operation, of result r; linear in s
_RULES: dict[str, tuple[Callable, ...]] = {
    "add": (lambda s, r, a, b: s, lambda s, r, a, b: s),
    "sub": (lambda s, r, a, b: s, lambda s, r, a, b: _minus(s)),
    "mul": (lambda s, r, a, b: _times(s, b), lambda s, r, a, b: _times(s, a)),
    "div": (lambda s, r, a, b: s/b, lambda s, r, a, b: -(s/b*r)),
    "neg": (lambda s, r, a: _minus(s),),
    "sqrt": (lambda s, r, a: 0.5*s/r,),
    "abs": (lambda s, r, a: _times(s, r.graph.operation("sign", a)),),
    "exp": (lambda s, r, a: _times(s, r),),
    "log": (lambda s, r, a: s/a,),
    "tanh": (lambda s, r, a: _times(s, 1.0 - r*r),),
    "sigmoid": (lambda s, r, a: _times(s, r*(1.0 - r)),),
    "sin": (lambda s, r, a: _times(s, r.graph.operation("cos", a)),),
    "cos": (lambda s, r, a: -_times(s, r.graph.operation("sin", a)),),
}
