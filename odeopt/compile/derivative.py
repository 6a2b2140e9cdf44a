"""Gradients and Hessians of a formula of n numbers, derived once and kept by content.

SymPy derives them, since it simplifies: kernels of small landscapes are its text. Of formulas that it cannot read, or
that are large, the derivatives are recorded by `adjoint` instead, which costs a few times the formula whatever it is.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from odeopt.compile import cache
from odeopt.compile.adjoint import gradient, ordered, tangents
from odeopt.compile.emit import NUMPY, Writer
from odeopt.compile.tracer import Graph, Number
from odeopt.language import FormulaError, read, sigmoid

FOLDER = os.path.dirname(__file__)
SHIPPED = os.path.join(FOLDER, "derived.json")
SOURCES = ("adjoint", "derivative", "emit", "symbolic", "tracer")       # in it: what derived texts depend on
# Above either SymPy takes seconds for what the trace does in milliseconds. Lanes are for up to 16 coordinates, and of
# the package's landscapes of 16 the longest has 285 operations: no kernel depends on these numbers.
MOST_COORDINATES = 16
MOST_OPERATIONS = 500           # of the formula written out without common subexpressions, as SymPy differentiates it
_TEXTS = {**NUMPY, "not": "np.logical_not({})"}             # of Python's own booleans too, which parameters may give
_deriving = threading.Lock()


class Derivatives:
    """Functions of (x_1, ..., x_n, parameters), on floats, arrays and recorded numbers alike.

    Parameters
    ----------
    bound : callable
        Gives the formula with its parameters replaced by recorded numbers: `bound(numbers) -> value`, a formula of n
        numbers, which is called once with recorded ones.
    dimension, parameters : int
        How many coordinates and how many parameters.
    way : {"sympy", "trace"}
        Who differentiates; "sympy" leaves what it cannot read, and formulas of more than 16 coordinates or 500
        operations, to the trace.

    Attributes
    ----------
    way : str
        Who does.
    """

    def __init__(self, bound: Callable[[Sequence], Callable], dimension: int, parameters: int,
                 way: str = "sympy") -> None:
        if way not in ("sympy", "trace"):
            raise ValueError(f'`derivatives` must be "sympy" or "trace", got {way!r}')
        self._graph = graph = Graph()
        self._names = [f"x{i}" for i in range(dimension)] + [f"p{k}" for k in range(parameters)]
        inputs = [graph.input(name) for name in self._names]
        formula = bound(inputs[dimension:])
        self._value = read(formula, *inputs[:dimension])
        if not isinstance(self._value, (Number, float, int)):
            raise FormulaError(f"{formula.__qualname__} must return one number, got {self._value!r}: "
                               "value(self, *x) is a formula of coordinates")
        self._dimension, self._x = dimension, inputs[:dimension]
        writer = Writer({i.index: name for i, name in zip(inputs, self._names, strict=True)})
        writer.write(graph.nodes, graph.live([self._value]), "")
        self._text = "\n".join([", ".join(self._names), *writer.lines, writer.text(self._value)])
        large = dimension > MOST_COORDINATES or _written_out(self._value) > MOST_OPERATIONS
        self.way = "trace" if large else way

    @functools.cached_property
    def value_and_gradient(self) -> Callable:
        """(f, (df/dx_1, ..., df/dx_n))."""
        return self._function("value_and_gradient", self.way)

    @functools.cached_property
    def value(self) -> Callable:
        """The value, rounded as in `value_and_gradient`."""
        return self._function("value", self.way)

    @functools.cached_property
    def hessian(self) -> Callable:
        """Rows of second derivatives."""
        return self._function("hessian", self.way)

    @functools.cached_property
    def hessp(self) -> Callable:
        """The Hessian times (v_1, ..., v_n), of (x_1, ..., x_n, parameters, v_1, ..., v_n), without the Hessian."""
        return self._function("hessp", "trace")

    def _function(self, name: str, way: str) -> Callable:
        text = shipped().get(self.key(name, way))
        if text is None:
            file = f"derived/{self.key(name, deriver() + way)}.txt"
            with _deriving:                                 # derivatives are recorded in the one graph
                text = cache.recall(file)
                if text is None:
                    text = self.derived(name, way)
                    cache.remember(file, text)
        namespace: dict[str, Any] = {"np": np, "math": math, "inf": math.inf, "nan": math.nan, "sigmoid": sigmoid}
        exec(compile(text, f"<derived {name}>", "exec"), namespace)
        return namespace[name]

    def key(self, name: str, way: str) -> str:
        """What a derived text is known by."""
        return f"{name}-{cache.digest(way + self._text)[:32]}"

    def derived(self, name: str, way: str) -> str:
        """The text of a derivative, derived here and now."""
        if way == "sympy":
            with contextlib.suppress(Exception):            # what SymPy fails at, in whatever way, the trace may read
                return self._by_sympy(name)
        return self._by_trace(name)

    @functools.cached_property
    def _expressions(self) -> tuple[Any, list, list]:
        import sympy as sp

        from odeopt.compile.symbolic import Reader
        symbols = [sp.Symbol(name, real=True) for name in self._names]
        f = sp.sympify(Reader(dict(zip(self._names, symbols, strict=True))).expression(self._value))
        x = symbols[:self._dimension]
        return f, [sp.diff(f, a) for a in x], x

    def _by_sympy(self, name: str) -> str:
        import sympy as sp

        from odeopt.compile.symbolic import program
        f, g, x = self._expressions
        if name == "hessian":
            return program(name, self._names, [sp.diff(a, b) for a in g for b in x], self._shape(name))
        text = program(name, self._names, [f, *g], self._shape(name))
        return _only_needed(text) if name == "value" else text

    def _by_trace(self, name: str) -> str:
        arguments, f = self._names, self._value
        g = [] if name == "value" else gradient(f, self._x)
        if name == "hessp":
            v = [self._graph.input(f"v{i}") for i in range(self._dimension)]
            arguments = [*arguments, *(a.arguments[0] for a in v)]
            results = tangents(g, self._x, v)
        elif name == "hessian":
            results = [a for x in self._x for a in tangents(g, [x], [1.0])]
        else:
            results = [f, *g]
        return _program(name, arguments, results, self._shape(name))

    def _shape(self, name: str) -> str:
        row = "{}, "*self._dimension
        return {"value": "{}", "value_and_gradient": f"{{}}, ({row})", "hessp": f"({row})",
                "hessian": "(" + f"({row}), "*self._dimension + ")"}[name]


@functools.cache
def shipped() -> dict[str, str]:
    """Derived texts that come with the package, of its own landscapes.

    With SymPy's import and its derivation a first result takes 1.4 times as long.
    `python -m odeopt.objectives.shipped` writes them.
    """
    with open(SHIPPED, encoding="utf-8") as file:
        return json.load(file)


@functools.cache
def deriver(folder: str = FOLDER) -> str:
    """Digest of the sources that derive: what others than these have derived is not theirs to find."""
    texts = []
    for name in SOURCES:
        with open(os.path.join(folder, f"{name}.py"), encoding="utf-8") as file:
            texts.append(file.read())
    return cache.digest("".join(texts))


def _written_out(output: Any) -> int:
    """Operations and operands of a formula without common subexpressions."""
    sizes: dict[int, int] = {}
    for node in ordered([output]):
        sizes[node.index] = 1 + sum(sizes[a.index] for a in node.operands)
    return max(sizes.values(), default=0)


def _program(name: str, arguments: Sequence[str], results: Sequence, shape: str) -> str:
    """Text of a function of `arguments`, names of inputs, that returns `shape.format(*results)`."""
    nodes = ordered(results)
    writer = Writer({node.index: node.arguments[0] for node in nodes if node.op == "input"}, _TEXTS)
    if any(node.op in ("loop", "result") for node in nodes):
        raise FormulaError("a loop (iterate of more than 4 rounds) has no derivative: write it out")
    writer.write(nodes, {node.index for node in nodes}, "    ")
    return "\n".join([f"def {name}({', '.join(arguments)}):", *writer.lines,
                      f"    return {shape.format(*map(writer.text, results))}"]) + "\n"


def _only_needed(text: str) -> str:
    """A straight-line function's text without the lines that its result does not need."""
    head, *lines, result = text.rstrip().split("\n    ")
    words = set(result.replace(",", " ").replace("(", " ").replace(")", " ").split())
    kept = []
    for line in reversed(lines):
        name, _, expression = line.partition(" = ")
        if name in words:
            words |= set(expression.replace(",", " ").replace("(", " ").replace(")", " ").replace("-", " ").split())
            kept.append(line)
    return "\n    ".join([head, *reversed(kept), result]) + "\n"
