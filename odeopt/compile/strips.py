"""Products of matrices with strips: 64 bytes of samples, side by side.

A network sees its samples in strips. The values of a unit for the 8 (or, in single precision, 16) samples of a strip
are a *line*; a strip's lines follow each other, unit by unit. A layer is then a matrix times lines, and the gradient of
its weights is a matrix of inner products of lines. Both are written here as LLVM vectors, with as many sums in
registers as AVX2 has room for: a loop that LLVM vectorises by itself would store them after every product. Sums have
a fixed order.

The text of this module is pasted into the generated kernel files. It may import numba and llvmlite only, and must have
no side effects. Pointers come with an offset, in numbers; nothing is checked.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LINE = 64  # bytes

_integer = ir.IntType(64)
_fused = ("contract",)


class _Lines:
    """Writes instructions on lines of the numbers of type T."""

    def __init__(self, builder, T):
        number = ir.FloatType() if T.bitwidth == 32 else ir.DoubleType()
        self.builder, self.lanes, self.alignment = builder, LINE * 8 // T.bitwidth, T.bitwidth // 8
        self.type = ir.VectorType(number, self.lanes)

    def load(self, base, offset):
        """The line at an offset."""
        pointer = self.builder.bitcast(self.builder.gep(base, [offset]), self.type.as_pointer())
        return self.builder.load(pointer, align=self.alignment)

    def store(self, line, base, offset):
        """Store a line at an offset."""
        pointer = self.builder.bitcast(self.builder.gep(base, [offset]), self.type.as_pointer())
        self.builder.store(line, pointer, align=self.alignment)

    def constant(self, value):
        """A line of equal constants."""
        return ir.Constant(self.type, [value] * self.lanes)

    def spread(self, number):
        """A line of equal numbers."""
        undefined = ir.Constant(self.type, ir.Undefined)
        first = self.builder.insert_element(undefined, number, ir.IntType(32)(0))
        return self._shuffle(first, [0] * self.lanes)

    def multiply_add(self, a, b, c):
        """``a*b + c``, fused where the machine can."""
        return self.builder.fadd(self.builder.fmul(a, b, flags=_fused), c, flags=_fused)

    def totals(self, lines):
        """The sums of the numbers of one line, or of two, as a vector of one or two."""
        builder, kept = self.builder, len(lines)
        n = self.lanes // 2
        halves = [builder.fadd(self._shuffle(line, range(n)), self._shuffle(line, range(n, 2 * n))) for line in lines]
        sums = halves[0]
        if kept == 2:  # side by side, half by half of every 16 bytes: the machine has that shuffle
            part = self.lanes // 8
            pairs = [[k for i in range(n) if i // part % 2 == half for k in (i, n + i)] for half in (0, 1)]
            sums = builder.fadd(*(self._shuffle(sums, order, halves[1]) for order in pairs))
        while n > kept:
            n //= 2
            sums = builder.fadd(self._shuffle(sums, range(n)), self._shuffle(sums, range(n, 2 * n)))
        return sums

    def _shuffle(self, line, order, other=None):
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), list(order))
        other = ir.Constant(line.type, ir.Undefined) if other is None else other
        return self.builder.shuffle_vector(line, other, mask)

    def loop(self, n, carried, body, width=None):
        """Write ``carried = body(i, carried)`` for ``i`` in ``range(n)``; return the last values.

        `width` asks LLVM for vectors of so many rounds.
        """
        builder, before = self.builder, self.builder.basic_block
        head, inside, after = (builder.append_basic_block(name) for name in ("head", "inside", "after"))
        builder.branch(head)
        builder.position_at_end(head)
        i, values = builder.phi(_integer), [builder.phi(value.type) for value in carried]
        builder.cbranch(builder.icmp_signed("<", i, n), inside, after)
        builder.position_at_end(inside)
        new = [builder.add(i, _integer(1)), *body(i, values)]
        for phi, start, following in zip([i, *values], [_integer(0), *carried], new, strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(following, builder.basic_block)
        back = builder.branch(head)
        if width is not None:
            hint = builder.module.add_metadata(["llvm.loop.vectorize.width", ir.IntType(32)(width)])
            name = builder.module.add_metadata([hint, hint])
            name.operands = (name, hint)  # a loop's name begins with itself
            back.set_metadata("llvm.loop", name)
        builder.position_at_end(after)
        return values


def _chained(lines, n, chains, sums, add):
    """Write ``sums = add(i, sums)`` for ``i`` in ``range(n)``; return the last sums.

    Rounds go to `chains` sums in turn, enough to hide the latency of a fused product; those beyond the first begin at
    zero.
    """
    builder, width = lines.builder, len(sums)
    if chains == 1:
        return lines.loop(n, sums, add)

    def several(i, sums):
        first = builder.mul(i, _integer(chains))
        parts = [add(builder.add(first, _integer(c)), sums[c * width : (c + 1) * width]) for c in range(chains)]
        return [s for part in parts for s in part]

    rounds = builder.sdiv(n, _integer(chains))
    zeros = [lines.constant(0.0)] * (width * (chains - 1))
    sums = lines.loop(rounds, sums + zeros, several)
    done = builder.mul(rounds, _integer(chains))
    first = lines.loop(builder.sub(n, done), sums[:width], lambda i, s: add(builder.add(done, i), s))
    for c in range(1, chains):
        first = [builder.fadd(s, t) for s, t in zip(first, sums[c * width :], strict=False)]
    return first


def _product(rows, chains):
    """A function that multiplies a matrix of a few rows by n lines, for every strip.

    ``Y[y + t*sy + r] = Y[s + t*st + r*ss] + sum_k W[w + r*row + k*step] B[b + t*sb + k]``; every row has `chains` sums.
    """

    @intrinsic
    def product(context, W, w, row, step, n, s, st, ss, B, b, sb, Y, y, sy, strips):
        def generate(context, builder, signature, arguments):
            W, w, row, step, n, s, st, ss, B, b, sb, Y, y, sy, strips = arguments
            lines = _Lines(builder, signature.args[0].dtype)
            weights = [builder.add(w, builder.mul(row, _integer(r))) for r in range(rows)]
            starts = [builder.add(s, builder.mul(ss, _integer(r))) for r in range(rows)]

            def strip(t, nothing):
                start, line, to = (builder.mul(t, stride) for stride in (st, sb, sy))
                line, to = builder.add(b, line), builder.add(y, to)

                def add(k, sums):
                    right = lines.load(B, builder.add(line, builder.mul(k, _integer(lines.lanes))))
                    shift = builder.mul(k, step)
                    factors = [builder.load(builder.gep(W, [builder.add(place, shift)])) for place in weights]
                    return [lines.multiply_add(lines.spread(f), right, s) for f, s in zip(factors, sums, strict=True)]

                sums = [lines.load(Y, builder.add(place, start)) for place in starts]
                for r, total in enumerate(_chained(lines, n, chains, sums, add)):
                    lines.store(total, Y, builder.add(to, _integer(r * lines.lanes)))
                return nothing

            lines.loop(strips, [], strip)
            return context.get_dummy_value()

        i = types.int64
        return types.void(W, i, i, i, i, i, i, i, B, i, i, Y, i, i, i), generate

    return product


def _inner(rows, columns, chains):
    """A function that adds the inner products of lines, summed over n strips, to a matrix of float64.

    ``G[g + r*row + c] += sum_t D[d + t*sd + r] . B[b + t*sb + c]``, lines in steps of their length.
    """

    @intrinsic
    def inner(context, D, d, sd, B, b, sb, n, G, g, row):
        def generate(context, builder, signature, arguments):
            D, d, sd, B, b, sb, n, G, g, row = arguments
            lines = _Lines(builder, signature.args[0].dtype)

            def load(base, start, stride, t, count):
                first = builder.add(start, builder.mul(t, stride))
                return [lines.load(base, builder.add(first, _integer(k * lines.lanes))) for k in range(count)]

            def add(t, sums):
                left, right = load(D, d, sd, t, rows), load(B, b, sb, t, columns)
                pairs = [(u, v) for u in left for v in right]
                return [lines.multiply_add(u, v, s) for (u, v), s in zip(pairs, sums, strict=True)]

            sums = _chained(lines, n, chains, [lines.constant(0.0)] * (rows * columns), add)
            together = ir.VectorType(ir.DoubleType(), columns)
            for r in range(rows):
                totals = lines.totals(sums[r * columns : (r + 1) * columns])
                totals = totals if totals.type == together else builder.fpext(totals, together)
                place = builder.gep(G, [builder.add(g, builder.mul(row, _integer(r)))])
                place = builder.bitcast(place, together.as_pointer())
                builder.store(builder.fadd(builder.load(place, align=8), totals), place, align=8)
            return context.get_dummy_value()

        i = types.int64
        return types.void(D, i, i, B, i, i, i, G, i, i), generate

    return inner


def _folded(operation):
    """A function that reduces n lines to one: ``R[r] = A[a] op A[a + 1] op ...``."""

    @intrinsic
    def fold(context, A, a, n, R, r):
        def generate(context, builder, signature, arguments):
            A, a, n, R, r = arguments
            lines = _Lines(builder, signature.args[0].dtype)

            def body(k, carried):
                following = builder.mul(builder.add(k, _integer(1)), _integer(lines.lanes))
                return [operation(builder, carried[0], lines.load(A, builder.add(a, following)))]

            (line,) = lines.loop(builder.sub(n, _integer(1)), [lines.load(A, a)], body)
            lines.store(line, R, r)
            return context.get_dummy_value()

        i = types.int64
        return types.void(A, i, i, R, i), generate

    return fold


def _spread_over(operation):
    """A function that combines each of n lines with one: ``A[a + k] = A[a + k] op R[r]``."""

    @intrinsic
    def spread(context, A, a, n, R, r):
        def generate(context, builder, signature, arguments):
            A, a, n, R, r = arguments
            lines = _Lines(builder, signature.args[0].dtype)
            line = lines.load(R, r)

            def body(k, carried):
                place = builder.add(a, builder.mul(k, _integer(lines.lanes)))
                lines.store(operation(builder, lines.load(A, place), line), A, place)
                return []

            lines.loop(n, [], body)
            return context.get_dummy_value()

        i = types.int64
        return types.void(A, i, i, R, i), generate

    return spread


@intrinsic
def fill(context, W, w, A, a):
    """Fill the line at ``A[a]`` with the number ``W[w]``."""

    def generate(context, builder, signature, arguments):
        W, w, A, a = arguments
        lines = _Lines(builder, signature.args[0].dtype)
        lines.store(lines.spread(builder.load(builder.gep(W, [w]))), A, a)
        return context.get_dummy_value()

    return types.void(W, types.int64, A, types.int64), generate


@intrinsic
def each(typing, function, n, A, places):
    """Call ``function(i, A, places)`` for ``i`` in ``range(n)``, a line at a time.

    By itself LLVM would take the machine's vectors one by one: the long chains of elementary functions leave half of
    its units idle then, where lines are of two vectors.
    """
    call = function.get_call_type(typing, (types.int64, A, places), {})

    def generate(context, builder, signature, arguments):
        _, n, A, places = arguments
        lines = _Lines(builder, signature.args[2].dtype)
        called = context.get_function(function, call)

        def body(i, carried):
            called(builder, [i, A, places])
            return carried

        lines.loop(n, [], body, width=lines.lanes)
        return context.get_dummy_value()

    return types.void(function, types.int64, A, places), generate


@intrinsic
def aligned(context, A):
    """The pointer, moved up to a multiple of a line."""

    def generate(context, builder, signature, arguments):
        address = builder.ptrtoint(arguments[0], _integer)
        address = builder.and_(builder.add(address, _integer(LINE - 1)), _integer(-LINE))
        return builder.inttoptr(address, arguments[0].type)

    return A(A), generate


def _greater(builder, a, b):
    return builder.select(builder.fcmp_unordered(">=", a, b), a, b)


product_6, product_4, product_2, product_1 = _product(6, 1), _product(4, 2), _product(2, 3), _product(1, 4)
inner_32, inner_31, inner_12, inner_11 = _inner(3, 2, 1), _inner(3, 1, 2), _inner(1, 2, 2), _inner(1, 1, 4)
fold_max, fold_sum = _folded(_greater), _folded(lambda builder, a, b: builder.fadd(a, b))
spread_sub = _spread_over(lambda builder, a, b: builder.fsub(a, b))
spread_mul = _spread_over(lambda builder, a, b: builder.fmul(a, b))
