"""Text of a recorded graph: one assignment a node."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from odeopt.compile import cache
from odeopt.compile.tracer import Graph, Number
from odeopt.language import sigmoid

KERNEL = {
    "add": "{} + {}", "sub": "{} - {}", "mul": "{} * {}", "div": "{} / {}", "neg": "-{}", "fma": "fma({}, {}, {})",
    "lt": "{} < {}", "le": "{} <= {}", "gt": "{} > {}", "ge": "{} >= {}", "eq": "{} == {}", "ne": "{} != {}",
    "and": "{} & {}", "or": "{} | {}", "not": "negation({})", "select": "select({}, {}, {})",
    "sqrt": "sqrt({})", "abs": "abs({})", "sin": "sin({})", "cos": "cos({})",
    "exp": "exp({})", "log": "log({})", "tanh": "tanh({})", "sigmoid": "sigmoid({})",
    # not a number propagates, as in NumPy
    "min": "select(({0} <= {1}) | ({0} != {0}), {0}, {1})", "max": "select(({0} >= {1}) | ({0} != {0}), {0}, {1})",
    "sign": "select({0} > 0.0, 1.0, select({0} < 0.0, -1.0, 0.0 * {0}))",
}
NUMPY = {**KERNEL, "not": "~{}", "select": "np.where({}, {}, {})", "sqrt": "np.sqrt({})", "abs": "np.abs({})",
         "sin": "np.sin({})", "cos": "np.cos({})", "exp": "np.exp({})", "log": "np.log({})", "tanh": "np.tanh({})",
         "sigmoid": "sigmoid({})", "min": "np.minimum({}, {})", "max": "np.maximum({}, {})", "sign": "np.sign({})"}
VECTOR_MATH = ("exp", "log", "tanh", "sigmoid")

_HEAD = '''"""{title}"""
import math

from numba import cfunc
from numba.extending import intrinsic

{functions}
{instructions}

Value.flags = {flags}
'''


class Writer:
    """Writes the live nodes of a graph as lines; `names` gives the text of inputs and, as it goes, of every node."""

    def __init__(self, names: dict[int, str], texts: dict[str, str] = KERNEL) -> None:
        self.names, self.texts = names, texts
        self.lines: list[str] = []
        self.operations: set[str] = set()

    def text(self, a: Any) -> str:
        if isinstance(a, Number):
            return self.names[a.index]
        a = a.item() if isinstance(a, np.generic) else a
        if isinstance(a, float) and (a != a or a in (float("inf"), float("-inf"))):
            return {"inf": "math.inf", "-inf": "(-math.inf)", "nan": "math.nan"}[repr(a)]
        return f"({a!r})" if isinstance(a, float) and a < 0 else repr(a)

    def write(self, nodes: Sequence[Number], live: set[int], pad: str) -> None:
        for node in nodes:
            if node.index not in live or node.index in self.names:
                continue
            if node.op == "loop":
                self._loop(node.arguments[0], live, pad)
                self.names[node.index] = ""
                continue
            if node.op == "result":
                loop, k = node.arguments[0].arguments[0], node.arguments[1]
                result = loop.carried[k] if k < len(loop.carried) else None
                self.names[node.index] = f"done{loop.head.index}" if result is None else self.names[result.index]
                continue
            self.operations.add(node.op)
            self.names[node.index] = f"r{node.index}"
            self.lines.append(f"{pad}r{node.index} = {self.texts[node.op].format(*map(self.text, node.arguments))}")

    def _loop(self, loop: Any, live: set[int], pad: str) -> None:
        done, leave, inner = f"done{loop.head.index}", f"leave{loop.head.index}", pad + "    "
        moving = []
        for carried, initial, following in zip(loop.carried, loop.initial, loop.following, strict=True):
            if following is carried:
                self.names[carried.index] = self.text(initial)
                if not isinstance(initial, Number):
                    self.names[carried.index] = f"c{carried.index}"
                    self.lines.append(f"{pad}c{carried.index} = number(builder, {self.text(initial)})")
                continue
            moving.append((carried, following))
            self.names[carried.index] = f"c{carried.index}"
            self.lines.append(f"{pad}c{carried.index} = Variable(builder, number(builder, {self.text(initial)}))")
        self.lines += [f"{pad}{done} = Variable(builder, False)",
                       f"{pad}with loop(builder, {loop.most}) as (_, {leave}):"]
        graph = loop.head.graph
        self.write(loop.nodes, graph.live([a for a in [*loop.following, loop.done] if isinstance(a, Number)]), inner)
        variables = [done, *(f"c{c.index}" for c, _ in moving)]
        values = [self.text(loop.done), *(self.text(following) for _, following in moving)]
        self.lines += [f"{inner}assign([{', '.join(variables)}], [{', '.join(values)}])",
                       f"{inner}with builder.if_then({done}.value):", f"{inner}    {leave}()"]


def numpy_function(graph: Graph, inputs: Sequence[Number], outputs: Sequence) -> Callable:
    """A recorded graph without loops as a function of arrays, one for each input; returns a tuple."""
    writer = Writer({a.index: f"a{k}" for k, a in enumerate(inputs)}, NUMPY)
    writer.write(graph.nodes, graph.live(outputs), "    ")
    arguments = ", ".join(f"a{k}" for k in range(len(inputs)))
    text = "\n".join([f"def function({arguments}):", *writer.lines,
                      "    return (" + "".join(f"{writer.text(a)}, " for a in outputs) + ")"])
    namespace: dict[str, Any] = {"np": np, "math": math, "sigmoid": sigmoid}
    exec(compile(text, "<recorded formula>", "exec"), namespace)
    return namespace["function"]


def head(title: str, operations: set[str], flags: tuple[str, ...]) -> tuple[str, list[str]]:
    """How a kernel's text begins, and lines that say how its elementary functions are called."""
    names = sorted(operations & set(VECTOR_MATH))
    functions = cache.source("vector_math") if names else ""
    text = _HEAD.format(title=title, functions=functions, instructions=cache.source("instructions"), flags=flags)
    return text, [f"{name} = calling(context, typing, v{name})" for name in names]


def indented(lines: Sequence[str], pad: int) -> str:
    """The lines as text."""
    return "\n".join(" "*pad + line for line in lines)
