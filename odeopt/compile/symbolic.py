"""Recorded graphs as SymPy expressions, and SymPy expressions as program text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp

from odeopt.compile.tracer import Number
from odeopt.language import FormulaError


class sigmoid(sp.Function):
    """1/(1 + exp(-x)), kept whole so that its text stays the stable one."""

    def fdiff(self, argindex: int = 1) -> Any:
        return self*(1 - self)

    def _eval_evalf(self, prec: int) -> Any:
        return (1/(1 + sp.exp(-self.args[0])))._eval_evalf(prec)

    def _eval_is_extended_real(self) -> Any:
        return self.args[0].is_extended_real


_OPERATIONS: dict[str, Any] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a*b, "div": lambda a, b: a/b,
    "neg": lambda a: -a, "sqrt": sp.sqrt, "abs": sp.Abs, "sign": sp.sign, "exp": sp.exp, "log": sp.log, "tanh": sp.tanh,
    "sin": sp.sin, "cos": sp.cos, "sigmoid": sigmoid,
    "lt": sp.Lt, "le": sp.Le, "gt": sp.Gt, "ge": sp.Ge, "eq": sp.Eq, "ne": sp.Ne,
    "and": sp.And, "or": sp.Or, "not": sp.Not,
    "select": lambda c, a, b: sp.Piecewise((a, c), (b, True)),
    "min": lambda a, b: sp.Piecewise((a, a <= b), (b, True)), "max": lambda a, b: sp.Piecewise((a, a >= b), (b, True)),
}


class Reader:
    """Reads recorded numbers as SymPy expressions.

    Parameters
    ----------
    symbols : dict
        Input name to the expression that stands for it; other inputs become real symbols of their name.
    exact : bool
        Read float constants as the rationals that they print as (for proofs), not as floats.
    """

    def __init__(self, symbols: dict[str, Any] | None = None, exact: bool = False) -> None:
        self.symbols, self.exact = dict(symbols or {}), exact
        self._known: dict[int, Any] = {}

    def expression(self, a: Any) -> Any:
        if not isinstance(a, Number):
            return self._constant(a)
        for node in a.graph.nodes:                          # in order, so that depth is no matter
            if node.index <= a.index and node.index not in self._known:
                self._known[node.index] = self._read(node)
        if self._known[a.index] is None:
            raise FormulaError("a loop (iterate of more than 4 rounds) has no derivative: write it out")
        return self._known[a.index]

    def _read(self, node: Number) -> Any:
        if node.op == "input":
            name = node.arguments[0]
            return self.symbols.setdefault(name, sp.Symbol(name, real=True))
        if node.op not in _OPERATIONS or any(self._known.get(b.index) is None for b in node.needs()):
            return None                                     # a loop: no expression unless somebody needs it
        return _OPERATIONS[node.op](*(self._known[b.index] if isinstance(b, Number) else self._constant(b)
                                      for b in node.arguments))

    def _constant(self, a: Any) -> Any:
        if isinstance(a, bool):
            return sp.true if a else sp.false
        if self.exact:
            return sp.Rational(repr(float(a)))
        return sp.Integer(int(a)) if float(a).is_integer() else sp.Float(a)


_CALLS = {sp.exp: "np.exp", sp.log: "np.log", sp.tanh: "np.tanh", sp.sin: "np.sin", sp.cos: "np.cos", sp.Abs: "np.abs",
          sp.sign: "np.sign", sigmoid: "sigmoid"}
_RELATIONS = {sp.StrictLessThan: "<", sp.LessThan: "<=", sp.StrictGreaterThan: ">", sp.GreaterThan: ">=",
              sp.Equality: "==", sp.Unequality: "!="}


def program(name: str, arguments: Sequence[str], results: Sequence, shape: Any) -> str:
    """Text of a function of `arguments` that returns `shape.format(*results)`, common subexpressions computed once.

    Integer powers are products, so that every reader rounds alike.
    """
    shared, reduced = sp.cse(list(results), symbols=sp.numbered_symbols("_shared"), optimizations="basic")
    writer = _Writer()
    for symbol, expression in shared:
        writer.names[symbol] = writer.text(expression)
    values = [writer.text(expression) for expression in reduced]
    head = f"def {name}({', '.join(arguments)}):"
    return "\n    ".join([head, *writer.lines, f"return {shape.format(*values)}"]) + "\n"


class _Writer:
    """Lines of assignments, one an operation."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[Any, str] = {}
        self._seen: dict[str, str] = {}

    def line(self, text: str) -> str:
        if text not in self._seen:
            self._seen[text] = f"r{len(self._seen)}"
            self.lines.append(f"{self._seen[text]} = {text}")
        return self._seen[text]

    def text(self, e: Any) -> str:
        if e in self.names:
            return self.names[e]
        if e.is_Symbol:
            return e.name
        if e in (sp.true, sp.false):
            return "True" if e is sp.true else "False"
        if e.is_number and e.is_extended_real and e.is_comparable:
            return repr(float(e))
        if e.is_Add or e.is_Mul:
            return self._chain(e)
        if e.is_Pow:
            return self._power(*e.args)
        if isinstance(e, sp.Piecewise):
            value = self.text(e.args[-1][0])
            for branch, condition in reversed(e.args[:-1] if e.args[-1][1] == sp.true else e.args):
                value = self.line(f"np.where({self.text(condition)}, {self.text(branch)}, {value})")
            return value
        if isinstance(e, sp.core.relational.Relational):
            return self.line(f"{self.text(e.lhs)} {_RELATIONS[type(e)]} {self.text(e.rhs)}")
        if isinstance(e, (sp.And, sp.Or)):
            return self.line((" & " if isinstance(e, sp.And) else " | ").join(self.text(a) for a in e.args))
        if isinstance(e, sp.Not):
            return self.line(f"~{self.text(e.args[0])}")
        if isinstance(e, sp.DiracDelta):
            return "0.0"                                    # second derivatives of |x|, almost everywhere
        if type(e) in _CALLS:
            return self.line(f"{_CALLS[type(e)]}({self.text(e.args[0])})")
        raise NotImplementedError(f"{type(e).__name__} has no program text")

    def _chain(self, e: Any) -> str:
        if e.is_Mul and e.args[0] == -1:
            return self.line(f"-{self.text(e.func(*e.args[1:]))}")
        operator = " + " if e.is_Add else " * "
        below = [a for a in e.args if e.is_Mul and a.is_Pow and a.exp.is_number and a.exp.is_negative]
        value = ""
        for a in (a for a in e.args if a not in below):
            value = self.line(f"{value}{operator}{self.text(a)}") if value else self.text(a)
        for a in below:
            value = self.line(f"{value or '1.0'} / {self._power(a.base, -a.exp)}")
        return value

    def _power(self, base: Any, exponent: Any) -> str:
        if exponent.is_number and exponent.is_negative:
            return self.line(f"1.0 / {self._power(base, -exponent)}")
        if base == sp.E:
            return self.line(f"np.exp({self.text(exponent)})")
        if exponent.is_Integer:
            n, square, value = int(exponent), self.text(base), ""
            while n:
                if n & 1:
                    value = self.line(f"{value} * {square}") if value else square
                n >>= 1
                if n:
                    square = self.line(f"{square} * {square}")
            return value
        if exponent.is_Rational and exponent.q == 2:
            root = self.line(f"np.sqrt({self.text(base)})")
            whole = self._power(base, sp.Integer(exponent.p//2)) if exponent.p > 1 else ""
            return self.line(f"{whole} * {root}") if whole else root
        return self.line(f"np.exp({self.text(exponent)} * {self.line(f'np.log({self.text(base)})')})")
