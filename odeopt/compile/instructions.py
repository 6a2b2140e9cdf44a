"""Numbers that write LLVM instructions.

Python runs the text of a trial once, on these numbers, where numba compiles a call of it. Numba would read it operation
by operation, to the same instructions: four fifths of the time to compile a kernel (measured).

The text of this module is pasted into the generated kernel files. It may import numba and llvmlite only.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils

_DOUBLE, _BIT = ir.DoubleType(), ir.IntType(1)


class Value:
    """A number, or a condition, that an instruction gives."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    def made(self, instruction, *arguments):
        """What an instruction gives for these arguments, numbers or constants."""
        return Value(self.builder, instruction(*(_value(a) for a in arguments)))

    def called(self, name, *arguments):
        """What one of LLVM's functions gives."""
        kind = ir.FunctionType(_DOUBLE, [_DOUBLE] * len(arguments))
        function = self.builder.module.declare_intrinsic(f"llvm.{name}", [_DOUBLE], kind)
        return self.made(lambda *values: self.builder.call(function, values), *arguments)

    def compared(self, sign, other):
        """What holds only of numbers."""
        return self.made(lambda a, b: self.builder.fcmp_ordered(sign, a, b), self, other)

    def __add__(self, other): return self.made(self.builder.fadd, self, other)
    def __radd__(self, other): return self.made(self.builder.fadd, other, self)
    def __sub__(self, other): return self.made(self.builder.fsub, self, other)
    def __rsub__(self, other): return self.made(self.builder.fsub, other, self)
    def __mul__(self, other): return self.made(self.builder.fmul, self, other)
    def __rmul__(self, other): return self.made(self.builder.fmul, other, self)
    def __truediv__(self, other): return self.made(self.builder.fdiv, self, other)
    def __rtruediv__(self, other): return self.made(self.builder.fdiv, other, self)
    def __neg__(self): return self.made(self.builder.fneg, self)
    def __abs__(self): return self.called("fabs", self)
    def __lt__(self, other): return self.compared("<", other)
    def __le__(self, other): return self.compared("<=", other)
    def __gt__(self, other): return self.compared(">", other)
    def __ge__(self, other): return self.compared(">=", other)
    def __eq__(self, other): return self.compared("==", other)
    def __ne__(self, other): return self.made(lambda a, b: self.builder.fcmp_unordered("!=", a, b), self, other)
    def __and__(self, other): return self.made(self.builder.and_, self, other)
    def __or__(self, other): return self.made(self.builder.or_, self, other)
    __hash__ = None  # type: ignore[assignment]


def _value(a):
    """The instruction's value, or a constant."""
    return a.value if isinstance(a, Value) else ir.Constant(_BIT if isinstance(a, bool) else _DOUBLE, a)


class Rows:
    """A buffer whose rows are read and written at lane j: ``rows[k]`` is the number at k + j."""

    def __init__(self, builder, pointer, j):
        self.builder, self.pointer = builder, builder.gep(pointer, [j])

    def __getitem__(self, k):
        return Value(self.builder, self.builder.load(self._place(k)))

    def __setitem__(self, k, a):
        self.builder.store(_value(a), self._place(k))

    def _place(self, k):
        return self.builder.gep(self.pointer, [ir.IntType(64)(k)])


def select(condition, a, b):
    """`a if condition else b`."""
    return condition.made(condition.builder.select, condition, a, b)


def fma(a, b, c):
    """`a*b + c`, rounded once where the machine can."""
    return next(x for x in (a, b, c) if isinstance(x, Value)).called("fmuladd", a, b, c)


def negation(condition):
    """`not condition`."""
    return condition.made(condition.builder.not_, condition)


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
    signature = kind.get_call_type(typing, (types.float64,), {})
    compiled = context.get_function(kind, signature)

    def call(x):
        context.add_linking_libs(compiled.libs)
        return x.made(lambda value: compiled(x.builder, [value]), x)
    return call


def at_lane(builder, A, B, j, P):
    """The rows of A and B at lane j, and the parameters in the tuple P."""
    parameters = [Value(builder, value) for value in cgutils.unpack_tuple(builder, P)]
    return Rows(builder, A, j), Rows(builder, B, j), parameters
