"""Gradients and Hessians of a formula of n numbers, derived by SymPy once and kept by content."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from odeopt.compile import cache
from odeopt.compile.emit import Writer
from odeopt.compile.tracer import Graph, Number
from odeopt.language import FormulaError, read, sigmoid

VERSION = 1                     # of the derived texts: raise it when their form changes


class Derivatives:
    """Functions of (x_1, ..., x_n, parameters), on floats, arrays and recorded numbers alike.

    Parameters
    ----------
    value : callable
        The formula, of n numbers; called once with recorded ones.
    bound : callable
        Gives the formula with its parameters replaced by recorded numbers: `bound(numbers) -> value`.
    dimension, parameters : int
        How many coordinates and how many parameters.
    """

    def __init__(self, bound: Callable[[Sequence], Callable], dimension: int, parameters: int) -> None:
        graph = Graph()
        self._names = [f"x{i}" for i in range(dimension)] + [f"p{k}" for k in range(parameters)]
        inputs = [graph.input(name) for name in self._names]
        formula = bound(inputs[dimension:])
        self._value = read(formula, *inputs[:dimension])
        if not isinstance(self._value, (Number, float, int)):
            raise FormulaError(f"{formula.__qualname__} must return one number, got {self._value!r}: "
                               "value(self, *x) is a formula of coordinates")
        self._dimension = dimension
        writer = Writer({i.index: name for i, name in zip(inputs, self._names, strict=True)})
        writer.write(graph.nodes, graph.live([self._value]), "")
        self._text = "\n".join([", ".join(self._names), *writer.lines, writer.text(self._value)])

    @functools.cached_property
    def value_and_gradient(self) -> Callable:
        """(f, (df/dx_1, ..., df/dx_n))."""
        return self._function("value_and_gradient", self._derive_gradient)

    @functools.cached_property
    def value(self) -> Callable:
        """The value, rounded as in `value_and_gradient`."""
        return self._function("value", self._derive_value)

    @functools.cached_property
    def hessian(self) -> Callable:
        """Rows of second derivatives."""
        return self._function("hessian", self._derive_hessian)

    def _function(self, name: str, derive: Callable[[], str]) -> Callable:
        key = f"derived/{name}-{cache.digest(f'{VERSION}{self._text}')[:32]}.txt"
        text = cache.recall(key)
        if text is None:
            text = derive()
            cache.remember(key, text)
        namespace: dict[str, Any] = {"np": np, "sigmoid": sigmoid}
        exec(compile(text, f"<derived {name}>", "exec"), namespace)
        return namespace[name]

    @functools.cached_property
    def _expressions(self) -> tuple[Any, list, list]:
        import sympy as sp

        from odeopt.compile.symbolic import Reader
        symbols = [sp.Symbol(name, real=True) for name in self._names]
        f = sp.sympify(Reader(dict(zip(self._names, symbols, strict=True))).expression(self._value))
        x = symbols[:self._dimension]
        return f, [sp.diff(f, a) for a in x], x

    def _derive_value(self) -> str:
        from odeopt.compile.symbolic import program
        f, g, _ = self._expressions
        text = program("value_and_gradient", self._names, [f, *g], "{}")
        return _only_needed(text.replace("def value_and_gradient", "def value"))

    def _derive_gradient(self) -> str:
        from odeopt.compile.symbolic import program
        f, g, _ = self._expressions
        return program("value_and_gradient", self._names, [f, *g], "{}, (" + "{}, "*self._dimension + ")")

    def _derive_hessian(self) -> str:
        import sympy as sp

        from odeopt.compile.symbolic import program
        _, g, x = self._expressions
        n = self._dimension
        rows = [sp.diff(a, b) for a in g for b in x]
        return program("hessian", self._names, rows, "(" + ("(" + "{}, "*n + "), ")*n + ")")


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
