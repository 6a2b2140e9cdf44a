"""The words that formulas are written in, beside NumPy's own.

A formula is a pure Python function of numbers and vectors. Its argument names are its declaration: `ask` calls it with
what it names and computes nothing else. The same text is read by NumPy (arrays), by SymPy and by the tracer (recorded
numbers and vectors): whatever differs between readers is a method of the recorded types, so this module imports none.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import linecache
import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

__all__ = ["FormulaError", "Lazy", "State", "ask", "asks", "iterate", "linear_solve", "put", "sigmoid", "where"]


class FormulaError(TypeError):
    """A formula that a reader cannot read: names the formula, the line, what went wrong and the mend."""


class Unreadable(FormulaError):
    """What a recorded number, or an `Ode`, refuses; `read` adds the formula and the line."""


class Lazy:
    """A value that is computed when the first formula asks for it, and once."""

    def __init__(self, compute: Callable[[], Any]):
        self._compute: Callable[[], Any] | None = compute

    def __call__(self) -> Any:
        if self._compute is not None:
            self._value = self._compute()
            self._compute = None
        return self._value


@functools.cache
def _parameter_names(function: Callable) -> tuple[str, ...]:
    kinds = inspect.signature(function).parameters
    for name, parameter in kinds.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise FormulaError(f"{function.__qualname__} takes *{name}, but a formula's argument names are its "
                               "declaration: name each argument")
    return tuple(kinds)


def asks(formula: Callable) -> tuple[str, ...]:
    """Names that a formula (a function or a bound method) asks for."""
    declared = getattr(formula, "asks", None)
    if declared is not None:
        return declared
    function = getattr(formula, "__func__", None)
    return _parameter_names(formula) if function is None else _parameter_names(function)[1:]


def ask(formula: Callable, given: Mapping[str, Any]) -> Any:
    """Call `formula` with what it names among `given`.

    Raises
    ------
    FormulaError
        If it names something that is not given here, or cannot be read (a branch on a recorded value, say).
    """
    arguments = []
    for name in asks(formula):
        if name not in given:
            near = difflib.get_close_matches(name, given, 1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise FormulaError(f"{formula.__qualname__} asks for {name!r}, which is not known here{hint} "
                               f"Known: {', '.join(sorted(given))}.")
        value = given[name]
        arguments.append(value() if isinstance(value, Lazy) else value)
    return read(formula, *arguments)


def read(formula: Callable, *arguments: Any, **named: Any) -> Any:
    """Call `formula`; what it cannot do is a FormulaError that names the line.

    Arrays are given read-only, and plain numbers as NumPy's, for which 1/0 is inf and ~ means not.
    """
    try:
        return formula(*map(_given, arguments), **{name: _given(value) for name, value in named.items()})
    except FormulaError as error:
        if not isinstance(error, Unreadable):
            raise
        raise explained(error, formula) from error
    except _UNREADABLE as error:
        if getattr(error, "of_the_user", False):
            raise
        raise explained(error, formula) from error


def called(function: Callable, *arguments: Any) -> Any:
    """Call a user's own function, which is no formula: its errors pass every reader as they are."""
    try:
        return function(*arguments)
    except _UNREADABLE as error:
        vars(error)["of_the_user"] = True
        raise


def form(value: Any) -> tuple | None:
    """() of a number or a truth value, (n,) of a vector, the shape of another array; None of anything else."""
    if hasattr(value, "coordinates"):
        return ("any",) if hasattr(value, "reduced") else (len(value.coordinates),)
    if hasattr(value, "graph"):
        return ()
    real = isinstance(value, (int, float, np.generic, np.ndarray)) and np.asarray(value).dtype.kind in "biuf"
    return np.shape(value) if real else None


def _given(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value.flags.writeable = False
    elif isinstance(value, State):
        for block in value.blocks.values():
            _given(block)
    return _NUMPY[type(value)](value) if type(value) in _NUMPY else value


_NUMPY: dict[type, Callable] = {bool: np.bool_, int: np.float64, float: np.float64}


def collecting(function: Callable[[dict], Any], names: Iterable[str]) -> Callable:
    """A formula that asks for `names` and hands them to `function` in a dict: for formulas made of other formulas."""
    declared = tuple(dict.fromkeys(names))

    def formula(*values: Any) -> Any:
        return function(dict(zip(declared, values, strict=True)))
    formula.asks = declared                                 # type: ignore[attr-defined]
    formula.__qualname__ = function.__qualname__
    return formula


_UNREADABLE = (TypeError, ValueError, AttributeError, IndexError, NotImplementedError)
BRANCH = ("a formula may not branch on a value: write np.where(condition, a, b); np.maximum, np.minimum, &, | and ~ in "
          "place of max, min, `and`, `or` and `not`")
_MENDS = (
    ("truth value of an array", BRANCH),
    ("must be real number", "use NumPy's function (np.exp, np.sqrt, ...) in place of the math module's"),
    ("converted to Python scalars", "use NumPy's function (np.exp, np.sqrt, ...) in place of the math module's"),
    ("'Vector' object has no attribute", "formulas know +, -, *, /, **, @, np.where, np.sum and elementwise functions; "
     'for others set backend = "numpy" on the class'),
    ("item assignment", "a formula may not change its arguments: use oo.put(x, i, a)"),
    ("is read-only", "a formula may not change its arguments: use oo.put(x, i, a), and x = x + a in place of x += a"),
    ("'State'", "states are added to states and multiplied by numbers; z.replace(x=z.x + a) changes one block"),
    ("not 'list'", "a list is no vector: write np.array([...]) of given numbers"),
    ("'method'", "`value`, `gradient` and `prox` are functions, as in gradient(y); at x they are `f` and `g`"),
)


def explained(error: Exception, formula: Callable) -> FormulaError:
    """The same error, with the line of the formula (or of what it calls) at which it arose, and the mend."""
    code = getattr(getattr(formula, "__func__", formula), "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)
    first = next((k for k, f in enumerate(frames)
                  if code is not None and f.filename == code.co_filename and f.name == code.co_name), len(frames))
    here = [f for f in frames[first:] if f.filename != __file__ and not f.filename.startswith(_MACHINERY)]
    where_ = ": "
    if here:
        text = here[-1].line or linecache.getline(here[-1].filename, here[-1].lineno or 0).strip()
        where_ = f" at {here[-1].filename}:{here[-1].lineno}\n    {text}\n"
    message = str(error) if isinstance(error, Unreadable) else f"{type(error).__name__}: {error}"
    mend = next((m for key, m in _MENDS if key in str(error)), "")
    name = getattr(formula, "__qualname__", repr(formula))
    return FormulaError(f"{name} cannot be read{where_}{message}" + (f"\n{mend}" if mend else ""))


_HERE = os.path.dirname(__file__)
_MACHINERY = (os.path.join(_HERE, "compile"), os.path.join(_HERE, "trial.py"), os.path.dirname(np.__file__))


class State:
    """The blocks of a flow's state, with the algebra of vectors.

    `z + h*k`, `z @ z`, `z.v`, `z["v"]`, `z.replace(v=...)`. Blocks are vectors like x; scalars are single numbers.
    """

    __array_ufunc__ = None                      # np.float64*State must reach State.__rmul__
    __slots__ = ("blocks",)

    def __init__(self, blocks: Mapping[str, Any]):
        object.__setattr__(self, "blocks", dict(blocks))

    def __setattr__(self, name: str, value: Any) -> None:
        raise TypeError(f"a state is not changed in place: z.replace({name}=...)")

    def __getattr__(self, name: str) -> Any:
        if name == "blocks":
            raise AttributeError(name)
        try:
            return self.blocks[name]
        except KeyError:
            raise AttributeError(f"the state has no block {name!r}, only {', '.join(self.blocks)}") from None

    def __getitem__(self, name: str) -> Any:
        return self.blocks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.blocks)

    def replace(self, **blocks: Any) -> State:
        unknown = [name for name in blocks if name not in self.blocks]
        if unknown:
            raise AttributeError(f"the state has no block {unknown[0]!r}, only {', '.join(self.blocks)}")
        return State({**self.blocks, **blocks})

    def __add__(self, other: State) -> State:
        if not isinstance(other, State):
            return NotImplemented
        return State({k: a + other.blocks[k] for k, a in self.blocks.items()})

    def __sub__(self, other: State) -> State:
        if not isinstance(other, State):
            return NotImplemented
        return State({k: a - other.blocks[k] for k, a in self.blocks.items()})

    def __mul__(self, factor: Any) -> State:
        return State({k: a*factor for k, a in self.blocks.items()})

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> State:
        return State({k: a/divisor for k, a in self.blocks.items()})

    def __neg__(self) -> State:
        return State({k: -a for k, a in self.blocks.items()})

    def __matmul__(self, other: State) -> Any:
        if not isinstance(other, State):
            return NotImplemented
        terms = [a @ other.blocks[k] if _is_vector(a) else a*other.blocks[k] for k, a in self.blocks.items()]
        return functools.reduce(lambda a, b: a + b, terms)

    def __repr__(self) -> str:
        return "State(" + ", ".join(f"{k}={v!r}" for k, v in self.blocks.items()) + ")"


def _is_vector(value: Any) -> bool:
    return np.ndim(value) > 0 if isinstance(value, np.ndarray) else hasattr(value, "coordinates")


# -- nested records of numbers, vectors and states: what a machine carries from trial to trial

def leaves(value: Any) -> list:
    """The numbers (recorded reader) or arrays (NumPy) of a nested record, in order."""
    if isinstance(value, State):
        return leaves(value.blocks)
    if isinstance(value, Mapping):
        return [leaf for v in value.values() for leaf in leaves(v)]
    if isinstance(value, tuple):
        return [leaf for v in value for leaf in leaves(v)]
    return list(value.coordinates) if hasattr(value, "coordinates") else [value]


def rebuilt(like: Any, numbers: Iterable) -> Any:
    """A record shaped as `like` with its leaves taken from `numbers`."""
    it = iter(numbers)

    def build(value: Any) -> Any:
        if isinstance(value, State):
            return State(build(value.blocks))
        if isinstance(value, Mapping):
            return {k: build(v) for k, v in value.items()}
        if isinstance(value, tuple):
            return tuple(build(v) for v in value)
        if hasattr(value, "coordinates"):
            return value.like([next(it) for _ in value.coordinates])
        return next(it)
    return build(like)


def where(condition: Any, new: Any, old: Any) -> Any:
    """`new` if the condition holds, else `old`, for whole records; `new` may be a function, called only if needed."""
    if isinstance(condition, (bool, np.bool_)):
        return (new() if callable(new) else new) if condition else old
    new = new() if callable(new) else new
    return rebuilt(new, [a if a is b else np.where(condition, a, b)
                         for a, b in zip(leaves(new), leaves(old), strict=True)])


# -- what straight-line code cannot say

def put(x: Any, i: int, a: Any) -> Any:
    """`x` with coordinate `i` replaced by `a`; `x` itself is unchanged."""
    if hasattr(x, "coordinates"):
        return x.put(i, a)
    y = np.array(x)
    y[i] = a
    return y


def sigmoid(x: Any) -> Any:
    """1/(1 + exp(-x)), without overflow at either end."""
    if hasattr(x, "sigmoid"):
        return x.sigmoid()
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e)/(1.0 + e)


UNROLLED = 4                    # most rounds of `iterate` that the lanes unroll


def iterate(body: Callable, start: tuple, most: int) -> tuple:
    """Repeat `*values, done = body(*values)` until `done`, at most `most` times.

    Parameters
    ----------
    body : callable
        Takes the values, returns the new values and a condition.
    start : tuple of numbers, vectors or states
    most : int
        Largest number of rounds. Up to 4 the lanes unroll and mask; above, they loop with an early exit, one
        lane at a time, without SIMD.

    Returns
    -------
    tuple
        The last values and whether `done` was reached: `*values, done`.
    """
    if not (isinstance(most, int) and most >= 1):
        raise ValueError(f"iterate: `most` must be an integer >= 1, got {most!r}")
    start = tuple(start)
    graph = next((g for g in (getattr(leaf, "graph", None) for leaf in leaves(start)) if g is not None), None)
    if graph is not None:
        return graph.iterate(body, start, most)
    looped, values, done = most > UNROLLED, start, False
    for k in range(most):
        # as in the lanes, nothing is known of a point that a loop, or a mask, hands on
        *new, done = body(*(_copied(values) if looped or k > 1 else values))
        if hasattr(done, "graph"):                          # constants at the start, but the body records
            return done.graph.iterate(body, start, most)
        values = tuple(new)
        if done:
            break
    return (*(_copied(values) if most > 1 else values), done)


def _copied(values: tuple) -> tuple:
    return rebuilt(values, [np.array(a) if isinstance(a, np.ndarray) else a for a in leaves(values)])


def linear_solve(A: Any, b: Any) -> Any:
    """Solution x of A x = b: LAPACK for arrays, an unrolled elimination with partial pivoting in the lanes.

    Parameters
    ----------
    A : array (n, n), or n rows, each a vector
    b : vector (n,)
        With recorded numbers n <= 8.
    """
    if not hasattr(b, "coordinates") and any(hasattr(row, "coordinates") for row in A):
        b = A[0].like(list(b))
    if not hasattr(b, "coordinates"):
        try:
            return np.linalg.solve(np.asarray(A, dtype=float), np.asarray(b, dtype=float))
        except np.linalg.LinAlgError:                       # singular: not finite, as elimination in the lanes gives
            return np.full(np.shape(b), np.nan)
    n = len(b)
    if n > 8:
        raise ValueError(f"linear_solve: {n} unknowns, but unrolled elimination is for at most 8; "
                         'set backend = "numpy" on the formula')
    rows = [[A[i][j] for j in range(n)] + [b[i]] for i in range(n)]
    for k in range(n):
        for i in range(k + 1, n):                           # the largest pivot rises by compare and swap
            swap = np.abs(rows[i][k]) > np.abs(rows[k][k])
            rows[k], rows[i] = ([np.where(swap, q, p) for p, q in zip(rows[k], rows[i], strict=True)],
                                [np.where(swap, p, q) for p, q in zip(rows[k], rows[i], strict=True)])
        for i in range(k + 1, n):
            ratio = rows[i][k]/rows[k][k]
            rows[i] = [rows[i][j] - ratio*rows[k][j] if j > k else 0.0 for j in range(n + 1)]
    x: list = [None]*n
    for i in reversed(range(n)):
        rest = rows[i][n]
        for j in range(i + 1, n):
            rest = rest - rows[i][j]*x[j]
        x[i] = rest/rows[i][i]
    return b.like(x)
