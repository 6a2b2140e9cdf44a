"""Numbers that write LLVM's instructions.

Python runs the text of a trial once, on these numbers, where numba compiles the call of it. Numba would read the text
operation by operation, to the same instructions: four fifths of the time to compile a kernel (measured).

The text of this module is pasted into the generated kernel files. It may import numba and llvmlite only.
"""

import contextlib

from llvmlite import ir
from numba import float64, types
from numba.core import cgutils

_BIT, _INTEGER, _NUMBER = ir.IntType(1), ir.IntType(64), ir.DoubleType()


class Value:
    """A number, an integer or a condition that an instruction gives.

    Attributes
    ----------
    flags : tuple of str
        Fast-math flags of arithmetic.
    """

    flags: tuple[str, ...] = ()

    def __init__(self, builder, value):
        self.builder, self._value = builder, value

    @property
    def value(self):
        """As the instructions know it."""
        return self._value

    def arithmetic(self, operation, a, b, more=()):
        """What an operation on two integers or two numbers gives; `more` are flags of its own."""
        if _value(a).type == _value(b).type == _INTEGER:
            return Value(self.builder, getattr(self.builder, operation)(_value(a), _value(b)))
        a, b = (_cast(self.builder, x, _NUMBER) for x in (a, b))
        return Value(self.builder, getattr(self.builder, "f" + operation)(a, b, flags=(*self.flags, *more)))

    def logical(self, operation, *conditions):
        """What an operation on conditions gives."""
        bits = [_cast(self.builder, condition, _BIT) for condition in conditions]
        return Value(self.builder, getattr(self.builder, operation)(*bits))

    def compared(self, sign, other):
        """A condition that does not hold of what is no number, unless it is that they differ."""
        a, b = (_cast(self.builder, x, _NUMBER) for x in (self, other))
        return Value(self.builder, _compared(self.builder, sign, a, b))

    def called(self, name, *arguments):
        """What one of LLVM's functions gives."""
        kind = ir.FunctionType(_NUMBER, [_NUMBER] * len(arguments))
        function = self.builder.module.declare_intrinsic(f"llvm.{name}", [_NUMBER], kind)
        return Value(self.builder, self.builder.call(function, [_cast(self.builder, a, _NUMBER) for a in arguments]))

    def __add__(self, other): return self.arithmetic("add", self, other)
    def __radd__(self, other): return self.arithmetic("add", other, self)
    def __sub__(self, other): return self.arithmetic("sub", self, other)
    def __rsub__(self, other): return self.arithmetic("sub", other, self)
    def __mul__(self, other): return self.arithmetic("mul", self, other)
    def __rmul__(self, other): return self.arithmetic("mul", other, self)
    def __truediv__(self, other): return self.arithmetic("div", self, other)
    def __rtruediv__(self, other): return self.arithmetic("div", other, self)
    def __neg__(self): return Value(self.builder, self.builder.fneg(_cast(self.builder, self, _NUMBER)))
    def __abs__(self): return self.called("fabs", self)
    def __lt__(self, other): return self.compared("<", other)
    def __le__(self, other): return self.compared("<=", other)
    def __gt__(self, other): return self.compared(">", other)
    def __ge__(self, other): return self.compared(">=", other)
    def __eq__(self, other): return self.compared("==", other)
    def __ne__(self, other): return self.compared("!=", other)
    def __and__(self, other): return self.logical("and_", self, other)
    def __or__(self, other): return self.logical("or_", self, other)
    __rand__, __ror__ = __and__, __or__
    __hash__ = None  # type: ignore[assignment]


class Variable(Value):
    """What is assigned more than once."""

    def __init__(self, builder, initial):
        self.builder = builder
        self.place = cgutils.alloca_once(builder, _value(initial).type)
        assign([self], [initial])

    @property
    def value(self):
        """As it is now."""
        return self.builder.load(self.place)


class Array:
    """Numbers or integers in memory."""

    def __init__(self, builder, pointer):
        self.builder, self.pointer = builder, pointer

    def __getitem__(self, k):
        return Value(self.builder, self.builder.load(self.place(k)))

    def __setitem__(self, k, a):
        place = self.place(k)
        self.builder.store(_cast(self.builder, a, place.type.pointee), place)

    def place(self, k):
        """The address of the number k."""
        return self.builder.gep(self.pointer, [_value(k)])


def _value(a):
    """As the instructions know it; a constant by its type."""
    if isinstance(a, Value):
        return a.value
    return ir.Constant(_BIT if isinstance(a, bool) else _INTEGER if isinstance(a, int) else _NUMBER, a)


def _cast(builder, a, kind):
    """As one of another kind: a condition is 1 or 0, and holds of a number other than 0."""
    value = _value(a)
    if value.type == kind:
        return value
    if kind == _BIT:
        return _compared(builder, "!=", _cast(builder, a, _NUMBER), _value(0.0))
    return (builder.uitofp if value.type == _BIT else builder.sitofp)(value, kind)


def _compared(builder, sign, a, b):
    return (builder.fcmp_unordered if sign == "!=" else builder.fcmp_ordered)(sign, a, b)


def number(builder, a):
    """A number, also of a constant or a condition."""
    return Value(builder, _cast(builder, a, _NUMBER))


def assign(variables, values):
    """Give the variables new values, all of which are read before."""
    builder = variables[0].builder
    values = [_cast(builder, a, variable.place.type.pointee) for variable, a in zip(variables, values, strict=True)]
    for variable, value in zip(variables, values, strict=True):
        builder.store(value, variable.place)


def arguments_of(builder, arguments):
    """The arguments of the call: arrays, tuples and numbers."""
    for a in arguments:
        if isinstance(a.type, ir.PointerType):
            yield Array(builder, a)
        elif isinstance(a.type, ir.ArrayType):
            yield [Value(builder, item) for item in cgutils.unpack_tuple(builder, a)]
        else:
            yield Value(builder, a)


@contextlib.contextmanager
def loop(builder, n):
    """A loop over i in range(n): i, and what leaves it."""
    with cgutils.for_range(builder, _value(n)) as (i, leave):
        yield Value(builder, i), leave


def add_in_any_order(a, b):
    """`a + b` in a sum whose terms may be added in any order."""
    return a.arithmetic("add", a, b, more=("reassoc",))


def select(condition, a, b):
    """`a if condition else b`, without a branch."""
    builder, kind = condition.builder, _BIT if _value(a).type == _value(b).type == _BIT else _NUMBER
    a, b = (_cast(builder, x, kind) for x in (a, b))
    return Value(builder, builder.select(_cast(builder, condition, _BIT), a, b))


def fma(a, b, c):
    """`a*b + c`, rounded once where the machine can."""
    return next(x for x in (a, b, c) if isinstance(x, Value)).called("fmuladd", a, b, c)


def negation(condition):
    """`not condition`."""
    return condition.logical("not_", condition)


def sqrt(x):
    """Square root."""
    return x.called("sqrt", x)


def sin(x):
    """Sine."""
    return x.called("sin", x)


def cos(x):
    """Cosine."""
    return x.called("cos", x)


def calling(context, typing, function):
    """A function of a number that calls a compiled one."""
    kind = types.Dispatcher(function)
    signature = kind.get_call_type(typing, (float64,), {})
    compiled = context.get_function(kind, signature)

    def call(x):
        context.add_linking_libs(compiled.libs)
        return Value(x.builder, compiled(x.builder, [_cast(x.builder, x, _NUMBER)]))
    return call


def evaluate(objective, what, Z, x, g, *memory):
    """The objective, a function at this address, at the row of Z at offset x, its gradient into the one at g."""
    builder, pointer = objective.builder, _NUMBER.as_pointer()
    values = [_value(what), Z.place(x), Z.place(g), *(builder.inttoptr(address.value, pointer) for address in memory)]
    kind = ir.FunctionType(_NUMBER, [value.type for value in values])
    return Value(builder, builder.call(builder.inttoptr(objective.value, kind.as_pointer()), values))
