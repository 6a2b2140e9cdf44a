"""Numbers that record what happens to them.

A formula called with recorded numbers leaves a `Graph`: a list of operations in which equal operations are one node
(value numbering), so that common subexpressions cost nothing. No source is inspected: lambdas, notebooks and closures
work. Emitters write a graph as kernel text; `symbolic` reads it as SymPy expressions.
"""

from __future__ import annotations

import contextlib
import functools
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from odeopt.language import BRANCH, UNROLLED, Unreadable, leaves, rebuilt, sigmoid, where

COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
REDUCTIONS = ("sum", "any", "largest", "smallest", "value")     # of a vector of any length: one number
LOGICAL = ("and", "or", "not")
CONDITIONS = (*COMPARISONS, *LOGICAL, "any")
_COMMUTATIVE = ("add", "mul", "eq", "ne", "and", "or")

# ufunc -> operation; the operations' texts are the emitters' business
_UFUNCS = {
    np.add: "add", np.subtract: "sub", np.multiply: "mul", np.divide: "div", np.negative: "neg",
    np.less: "lt", np.less_equal: "le", np.greater: "gt", np.greater_equal: "ge", np.equal: "eq", np.not_equal: "ne",
    np.logical_and: "and", np.logical_or: "or", np.logical_not: "not",
    np.bitwise_and: "and", np.bitwise_or: "or", np.invert: "not",
    np.sqrt: "sqrt", np.abs: "abs", np.sign: "sign", np.exp: "exp", np.log: "log", np.tanh: "tanh",
    np.sin: "sin", np.cos: "cos", np.minimum: "min", np.maximum: "max",
}
_FOLD: dict[str, Callable] = {op: ufunc for ufunc, op in reversed(_UFUNCS.items())}
_FOLD |= {"select": lambda c, a, b: a if c else b, "not": lambda a: not a,
          "sigmoid": lambda a: 1.0/(1.0 + math.exp(-a)) if a >= 0 else math.exp(a)/(1.0 + math.exp(a))}


class Graph:
    """The recorded operations of one function, in order."""

    def __init__(self) -> None:
        self.nodes: list[Number] = []
        self._numbered: dict[tuple, Number] = {}
        self._count = 0
        self._watched: list[tuple[dict, dict]] = []

    def input(self, name: str, varying: bool = False) -> Number:
        """A number given from outside; a varying one is the coordinate of a `Column`."""
        node = self._node("input", (name,))
        node.varying = varying
        return node

    def operation(self, op: str, *arguments: Any) -> Any:
        """The number that `op` gives; constants are folded, equal operations are one node."""
        arguments = tuple([a if isinstance(a, Number) else _constant(a) for a in arguments])
        if op in REDUCTIONS or op == "gradient":
            return self._node(op, arguments)
        if not any([isinstance(a, Number) for a in arguments]):
            with np.errstate(all="ignore"):
                return _constant(_FOLD[op](*arguments))
        if op in _COMMUTATIVE and not _in_order(*arguments):
            arguments = arguments[::-1]
        if op == "select" and _key(arguments[1]) == _key(arguments[2]):
            return arguments[1]
        if op == "select" and not isinstance(arguments[0], Number):
            return arguments[1 if arguments[0] else 2]
        if op in ("and", "or") and isinstance(arguments[0], bool):        # constants sort first
            return arguments[1] if arguments[0] == (op == "and") else arguments[0]
        return self._node(op, arguments)

    def _node(self, op: str, arguments: tuple) -> Number:
        key = (op, *[_key(a) for a in arguments])
        node = self._numbered.get(key)
        if node is None:
            node = self._numbered[key] = self._append(op, arguments)
        return node

    def _append(self, op: str, arguments: tuple) -> Number:
        node = Number(self, op, arguments, self._count)
        self._count += 1
        self.nodes.append(node)
        return node

    def iterate(self, body: Callable, start: tuple, most: int) -> tuple:
        """The recorded form of `language.iterate`: unrolled and masked up to 4 rounds, a loop above."""
        if most > UNROLLED:
            return Loop(self, body, start, most).results
        *values, done = body(*start)
        for _ in range(most - 1):
            counted = [dict(counts) for counts, _ in self._watched]
            with self._apart():
                *new, stop = body(*values)
            for (counts, _), old in zip(self._watched, counted, strict=False):
                counts.update(where(done, old, dict(counts)))
            values, done = where(done, tuple(values), tuple(new)), done | stop
        return (*values, done)

    def watch(self, counts: dict, known: dict) -> None:
        """Let rounds of `iterate` carry `counts` along, and keep what becomes `known` to the round in which it does."""
        if not any(counts is watched for watched, _ in self._watched):
            self._watched.append((counts, known))

    @contextlib.contextmanager
    def _apart(self) -> Iterator[None]:
        """A round that may not happen: afterwards nothing is known that was not known before."""
        before = [dict(known) for _, known in self._watched]
        yield
        for k, (_, known) in enumerate(self._watched):
            known.clear()
            known.update(before[k] if k < len(before) else {})

    def needed(self, roots: Sequence) -> list[Number]:
        """The nodes that `roots` need, in order."""
        live = self.live(roots)
        return [node for node in self.nodes if node.index in live]

    def live(self, roots: Sequence) -> set[int]:
        """Indices of the nodes that `roots` need."""
        needed: set[int] = set()
        stack = [r for r in roots if isinstance(r, Number)]
        while stack:
            node = stack.pop()
            if node.index not in needed:
                needed.add(node.index)
                stack += node.needs()
        return needed


class Loop:
    """An early-exit loop: `carried` numbers enter a round as such and leave it as `following`."""

    def __init__(self, graph: Graph, body: Callable, start: tuple, most: int) -> None:
        self.most = most
        watched = [counts for counts, _ in graph._watched]
        whole = (start, tuple(map(dict, watched)))
        self.initial = [_constant(a) for a in leaves(whole)]
        outer, numbered = graph.nodes, graph._numbered
        graph.nodes, graph._numbered = [], dict(numbered)
        try:
            self.carried = [graph._append("carried", ()) for _ in self.initial]
            values, counted = rebuilt(whole, self.carried)
            _update(watched, counted)
            with graph._apart():
                *new, self.done = body(*values)
            self.following = [_constant(a) for a in leaves((tuple(new), tuple(watched)))]
            self.nodes = graph.nodes
        finally:
            graph.nodes, graph._numbered = outer, numbered
        if len(self.following) != len(self.initial):
            raise Unreadable(f"iterate: the body took {len(leaves(start))} numbers and returned "
                             f"{len(leaves(tuple(new)))}")
        self.head = graph._append("loop", (self,))
        moves = zip(leaves(whole), self.carried, self.following, strict=True)
        ends = [initial if following is carried else graph._append("result", (self.head, k))
                for k, (initial, carried, following) in enumerate(moves)]
        values, counted = rebuilt(whole, ends)
        _update(watched, counted)
        self.results = (*values, graph._append("result", (self.head, len(ends))))


def _update(watched: Sequence[dict], counted: Sequence[dict]) -> None:
    for counts, new in zip(watched, counted, strict=True):
        counts.update(new)


class Number:
    """A recorded number (or truth value).

    Attributes
    ----------
    op, arguments, index
        The operation, its numbers and constants, and its place among the graph's.
    operands : list of Number
        The recorded ones among the arguments.
    varying : bool
        Whether it stands for every coordinate of a `Column`.
    """

    __array_priority__ = 100
    __slots__ = ("arguments", "graph", "index", "op", "operands", "varying")

    def __init__(self, graph: Graph, op: str, arguments: tuple, index: int) -> None:
        self.graph, self.op, self.arguments, self.index = graph, op, arguments, index
        self.operands = [a for a in arguments if isinstance(a, Number)]
        self.varying: bool = op not in REDUCTIONS and any([a.varying for a in self.operands])

    def needs(self) -> list[Number]:
        """What must be computed before this number."""
        if self.op != "loop":
            return self.operands
        loop = self.arguments[0]
        inner = {n.index for n in loop.nodes}
        used = [*(a for n in loop.nodes for a in n.needs()), *loop.following, loop.done]
        return [a for a in loop.initial if isinstance(a, Number)] + [
            a for a in used if isinstance(a, Number) and a.index not in inner]

    def _with(self, op: str, *arguments: Any) -> Any:
        if not all(map(_recordable, arguments)):
            return NotImplemented
        return self.graph.operation(op, *arguments)

    def __add__(self, other): return self._with("add", self, other)
    def __radd__(self, other): return self._with("add", other, self)
    def __sub__(self, other): return self._with("sub", self, other)
    def __rsub__(self, other): return self._with("sub", other, self)
    def __mul__(self, other): return self._with("mul", self, other)
    def __rmul__(self, other): return self._with("mul", other, self)
    def __truediv__(self, other): return self._with("div", self, other)
    def __rtruediv__(self, other): return self._with("div", other, self)
    def __neg__(self): return self._with("neg", self)
    def __pos__(self): return self
    def __abs__(self): return self._with("abs", self)
    def __lt__(self, other): return self._with("lt", self, other)
    def __le__(self, other): return self._with("le", self, other)
    def __gt__(self, other): return self._with("gt", self, other)
    def __ge__(self, other): return self._with("ge", self, other)
    def __eq__(self, other): return self._with("eq", self, other)
    def __ne__(self, other): return self._with("ne", self, other)
    def __and__(self, other): return self._with("and", self, other)
    __rand__ = __and__
    def __or__(self, other): return self._with("or", self, other)
    __ror__ = __or__
    def __invert__(self): return self._with("not", self)
    def __hash__(self): return self.index
    def __pow__(self, n): return NotImplemented if isinstance(n, Vector) else _power(self, n)
    def __rpow__(self, a): return _power(a, self)

    def sigmoid(self): return self._with("sigmoid", self)

    def __bool__(self):
        raise Unreadable(BRANCH)

    def __float__(self):
        raise Unreadable("a recorded number has no value yet: use NumPy's functions (np.exp, np.sqrt, ...) in place "
                         "of the math module's, float() or int()")

    __int__ = __index__ = __float__

    def __iter__(self):
        raise Unreadable("a number of the formula was used as a vector")

    def __repr__(self):
        return "<a recorded number>"

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        return _ufunc(ufunc, method, inputs, options)

    def __array_function__(self, function, types, arguments, options):
        return _array_function(function, arguments, options)


class Vector:
    """A vector of recorded numbers: its coordinates, unrolled."""

    __array_priority__ = 200
    __slots__ = ("coordinates",)
    coordinates: tuple

    def __init__(self, coordinates: Sequence) -> None:
        object.__setattr__(self, "coordinates", tuple(coordinates))

    def like(self, coordinates: Sequence) -> Vector:
        return Vector(coordinates)

    @property
    def graph(self) -> Graph | None:
        """What its numbers are recorded in; None for constants."""
        return next((c.graph for c in self.coordinates if isinstance(c, Number)), None)

    @property
    def shape(self) -> tuple[int]:
        return (len(self.coordinates),)

    @property
    def size(self) -> int:
        return len(self.coordinates)

    ndim = 1

    def __len__(self) -> int: return len(self.coordinates)
    def __iter__(self) -> Iterator: return iter(self.coordinates)

    def __getitem__(self, i):
        part = self.coordinates[i]
        return Vector(part) if isinstance(i, slice) else part

    def __setitem__(self, i, value):
        raise Unreadable("a formula may not change its arguments: use oo.put(x, i, a)")

    def __add__(self, other): return _each(np.add, self, other)
    def __radd__(self, other): return _each(np.add, other, self)
    def __sub__(self, other): return _each(np.subtract, self, other)
    def __rsub__(self, other): return _each(np.subtract, other, self)
    def __mul__(self, other): return _each(np.multiply, self, other)
    def __rmul__(self, other): return _each(np.multiply, other, self)
    def __truediv__(self, other): return _each(np.divide, self, other)
    def __rtruediv__(self, other): return _each(np.divide, other, self)
    def __neg__(self): return _each(np.negative, self)
    def __pos__(self): return self
    def __abs__(self): return _each(np.abs, self)
    def __lt__(self, other): return _each(np.less, self, other)
    def __le__(self, other): return _each(np.less_equal, self, other)
    def __gt__(self, other): return _each(np.greater, self, other)
    def __ge__(self, other): return _each(np.greater_equal, self, other)
    def __eq__(self, other): return _each(np.equal, self, other)
    def __ne__(self, other): return _each(np.not_equal, self, other)
    def __and__(self, other): return _each(np.logical_and, self, other)
    def __or__(self, other): return _each(np.logical_or, self, other)
    def __invert__(self): return _each(np.logical_not, self)
    def __pow__(self, n): return _each(np.power, self, n)
    def __rpow__(self, a): return _each(np.power, a, self)
    __hash__ = None                                         # type: ignore[assignment]

    def __matmul__(self, other):
        if isinstance(other, np.ndarray) and other.ndim == 2:
            return Vector([self @ column for column in other.T])
        _check_length("@", self, other)
        return _total([a*b for a, b in zip(self, other, strict=True)])

    def __rmatmul__(self, other):
        if isinstance(other, np.ndarray) and other.ndim == 2:
            return Vector([row @ self for row in other])
        return self @ other

    def put(self, i, a): return self.like([a if k == i else c for k, c in enumerate(self.coordinates)])
    def sum(self): return _total(self.coordinates)
    def max(self): return functools.reduce(np.maximum, self.coordinates)
    def min(self): return functools.reduce(np.minimum, self.coordinates)
    def copy(self): return self
    def sigmoid(self): return self.like([sigmoid(c) for c in self.coordinates])

    def __bool__(self):
        raise Unreadable(BRANCH)

    def __repr__(self):
        return "<a recorded vector>"

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        return _ufunc(ufunc, method, inputs, options)

    def __array_function__(self, function, types, arguments, options):
        return _array_function(function, arguments, options)


class Column(Vector):
    """A vector of any length, as one coordinate that stands for all; sums over the coordinates are operations."""

    def like(self, coordinates: Sequence) -> Column:
        return Column(coordinates)

    def reduced(self, op: str) -> Number:
        """What an operation on all coordinates gives."""
        coordinate, = self.coordinates
        if not isinstance(coordinate, Number):
            raise Unreadable(f"the {op} of a constant vector of unknown length")
        return coordinate.graph.operation(op, coordinate)

    def sum(self): return self.reduced("sum")
    def max(self): return self.reduced("largest")
    def min(self): return self.reduced("smallest")

    def __matmul__(self, other):
        return NotImplemented if isinstance(other, np.ndarray) and other.ndim == 2 else (self*other).sum()

    __rmatmul__ = __matmul__

    def _unknown(self, *_):
        raise Unreadable("a vector of any length has no single coordinates here: write the formula on whole vectors, "
                         'or set backend = "numpy" on the class')

    __len__ = __iter__ = __getitem__ = put = _unknown
    shape = size = property(_unknown)


def _constant(a: Any) -> Any:
    if isinstance(a, Number):
        return a
    if isinstance(a, (bool, np.bool_)):
        return bool(a)
    if isinstance(a, np.ndarray) and a.ndim == 0:
        return _constant(a[()])
    return float(a)


def _key(a: Any) -> Any:
    return a.index if isinstance(a, Number) else (type(a), repr(a))


def _recordable(a: Any) -> bool:
    return isinstance(a, (Number, bool, int, float, np.number, np.bool_)) or (isinstance(a, np.ndarray) and a.ndim == 0)


def _in_order(a: Any, b: Any) -> bool:
    """Whether operands stand as equal operations have them: constants first, then by age."""
    return not isinstance(a, Number) or (isinstance(b, Number) and a.index <= b.index)


def _power(a: Any, n: Any) -> Any:
    """Integer powers are products (squaring), so that every reader rounds alike; others are exp(n log a)."""
    if isinstance(n, (float, np.floating)) and float(n).is_integer():
        n = int(n)
    if isinstance(n, (int, np.integer)):
        if n < 0:
            return 1.0/_power(a, -n)
        result = None
        while n:
            if n & 1:
                result = a if result is None else result*a
            a, n = a*a if n > 1 else a, n >> 1
        return 1.0 if result is None else result
    if isinstance(n, float) and n == 0.5:
        return np.sqrt(a)
    return np.exp(n*np.log(a))


def _is_vector(a: Any) -> bool:
    return isinstance(a, Vector) or (isinstance(a, np.ndarray) and a.ndim > 0)


def _check_length(name: str, *arguments: Any) -> int:
    vectors = [a for a in arguments if _is_vector(a)]
    columns = [isinstance(a, Column) for a in vectors]
    if any(columns) and not all(columns):
        raise Unreadable(f"{name}: a vector of any length and an array of given numbers do not go together")
    lengths = {len(getattr(a, "coordinates", a)) for a in vectors}
    if len(lengths) > 1:
        raise Unreadable(f"{name}: vectors of lengths {sorted(lengths)} do not go together")
    return lengths.pop()


def _each(function: Callable, *arguments: Any) -> Any:
    if any(getattr(a, "__array_ufunc__", True) is None for a in arguments):
        return NotImplemented
    n = _check_length(function.__name__, *arguments)
    like = next(a for a in arguments if isinstance(a, Vector))
    each = [getattr(a, "coordinates", a) if _is_vector(a) else [a]*n for a in arguments]
    return like.like([function(*numbers) for numbers in zip(*each, strict=True)])


def _total(terms: Sequence) -> Any:
    return functools.reduce(operator.add, terms)


def _ufunc(ufunc: Callable, method: str, inputs: tuple, options: dict) -> Any:
    if any(getattr(a, "__array_ufunc__", True) is None for a in inputs):
        return NotImplemented
    if method != "__call__" or options:
        raise Unreadable(f"np.{ufunc.__name__} with {method if method != '__call__' else sorted(options)} "
                         "cannot be read; write the plain elementwise call")
    if ufunc is np.matmul:
        a, b = inputs
        return b.__rmatmul__(a) if isinstance(b, Vector) else a @ b
    if any(map(_is_vector, inputs)):
        return _each(ufunc, *inputs)
    if ufunc is np.square:
        return inputs[0]*inputs[0]
    if ufunc is np.power:
        return _power(*inputs)
    if ufunc not in _UFUNCS:
        known = ", ".join(sorted(u.__name__ for u in _UFUNCS))
        raise Unreadable(f"np.{ufunc.__name__} cannot be read. Known: {known}. "
                         'For other functions set backend = "numpy" on the class.')
    graph = next(a.graph for a in inputs if isinstance(a, Number))
    return graph.operation(_UFUNCS[ufunc], *inputs)


def _array_function(function: Callable, arguments: tuple, options: dict) -> Any:
    if options:
        raise Unreadable(f"{_name(function)} with {sorted(options)} cannot be read")
    if function is np.where and len(arguments) == 3:
        if any(map(_is_vector, arguments)):
            return _each(_where_numbers, *arguments)
        return _where_numbers(*arguments)
    vector = arguments[0] if arguments else None
    if isinstance(vector, Vector):
        if function is np.sum:
            return vector.sum()
        if function in (np.dot, np.vdot, np.inner):
            return vector @ arguments[1]
        if function is np.linalg.norm and len(arguments) == 1:
            return np.sqrt(vector @ vector)
        if function in (np.zeros_like, np.ones_like):
            return vector.like([float(function is np.ones_like)]*len(vector.coordinates))
        if function in (np.max, np.min):
            return vector.max() if function is np.max else vector.min()
        if function is np.ndim:
            return 1
        if function is np.shape:
            return vector.shape
    if function is np.any and isinstance(vector, Number):
        return vector.graph.operation("any", vector) if vector.varying else vector
    if function in (np.ndim, np.shape) and isinstance(vector, Number):
        return 0 if function is np.ndim else ()
    raise Unreadable(f"{_name(function)} cannot be read; known: np.where, np.sum, np.dot, np.linalg.norm, np.max, "
                     'np.min and elementwise functions. For others set backend = "numpy" on the class.')


def _name(function: Callable) -> str:
    return f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)


def _where_numbers(condition: Any, a: Any, b: Any) -> Any:
    if isinstance(condition, (bool, np.bool_)):
        return a if condition else b
    return condition.graph.operation("select", condition, a, b)
