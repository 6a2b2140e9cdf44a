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

LINE, PAGE = 64, 4096  # bytes
_SUMS = 8  # at work: a fused product takes 4 cycles, and each begins two

_integer = ir.IntType(64)
_fused = ("contract",)


class _Lines:
    """Writes instructions on lines, or `parts` of lines, of the numbers of type T."""

    def __init__(self, builder, T, parts=1):
        number = ir.FloatType() if T.bitwidth == 32 else ir.DoubleType()
        self.builder, self.lanes, self.alignment = builder, LINE * 8 // T.bitwidth // parts, T.bitwidth // 8
        self.type = ir.VectorType(number, self.lanes)

    def place(self, start, *steps):
        """``start + i*stride + ...`` for steps (i, stride)."""
        for step in steps:
            i, stride = (_integer(k) if isinstance(k, int) else k for k in step)
            start = self.builder.add(start, self.builder.mul(i, stride))
        return start

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
        """The sums of the numbers of 1, 2 or 4 lines, as a vector of so many."""
        kept, n = len(lines), self.lanes
        while len(lines) > 1:
            merged = kept // len(lines)
            lines = [self._halved(a, b, merged) for a, b in zip(lines[::2], lines[1::2], strict=True)]
        (sums,) = lines
        while n > kept:
            n //= 2
            sums = self.builder.fadd(self._shuffle(sums, range(n)), self._shuffle(sums, range(n, 2 * n)))
        return sums

    def _halved(self, a, b, n):
        """Half as many sums of a, and of b: n of each in turn.

        They are of the same 16 bytes where these hold as many: the machine has that shuffle.
        """
        block = max(self.lanes // 2, 2 * n)
        half = block // 2
        starts = [[k for i in range(h, self.lanes, block) for k in range(i, i + half, n)] for h in (0, half)]
        orders = [[k + o + i for k in few for o in (0, self.lanes) for i in range(n)] for few in starts]
        return self.builder.fadd(*(self._shuffle(a, order, b) for order in orders))

    def _shuffle(self, line, order, other=None):
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), list(order))
        other = ir.Constant(line.type, ir.Undefined) if other is None else other
        return self.builder.shuffle_vector(line, other, mask)

    def loop(self, n, carried, body, width=None):
        """Write ``carried = body(i, carried)`` for ``i`` in ``range(n)``; return the last values.

        `width` asks LLVM for vectors of so many rounds.
        """
        return self._loop(_integer(0), 1, n, carried, body, width)[1]

    def groups(self, n, sizes, carried, body):
        """Write ``carried = body(first, size, carried)`` for groups of ``range(n)``; return the last values.

        Groups are of the first size as long as they fit, then of the next; the last size is 1.
        """
        done = _integer(0)
        for size in sizes:
            done, carried = self._loop(done, size, n, carried, lambda i, c, size=size: body(i, size, c))
        return carried

    def _loop(self, start, size, n, carried, body, width=None):
        builder, before = self.builder, self.builder.basic_block
        head, inside, after = (builder.append_basic_block(name) for name in ("head", "inside", "after"))
        end = builder.sub(n, _integer(size - 1))
        builder.branch(head)
        builder.position_at_end(head)
        i, values = builder.phi(_integer), [builder.phi(value.type) for value in carried]
        builder.cbranch(builder.icmp_signed("<", i, end), inside, after)
        builder.position_at_end(inside)
        new = [builder.add(i, _integer(size)), *body(i, values)]
        for phi, first, following in zip([i, *values], [start, *carried], new, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(following, builder.basic_block)
        back = builder.branch(head)
        if width is not None:
            hint = builder.module.add_metadata(["llvm.loop.vectorize.width", ir.IntType(32)(width)])
            name = builder.module.add_metadata([hint, hint])
            name.operands = (name, hint)  # a loop's name begins with itself
            back.set_metadata("llvm.loop", name)
        builder.position_at_end(after)
        return i, values


def _enough(count):
    """The least power of two that, times `count` sums, hides the latency of a fused product."""
    return 1 << ((_SUMS - 1) // count).bit_length()


def _product(known, sizes):
    """A function that multiplies a matrix by n lines, for every strip.

    ``Y[y + t*sy + r*line] = Y[s + t*st + r*ss] + sum_k W[w + r*row + k*step] B[b + t*sb + k*line]``, `line` being a
    line's length. Rows are taken in groups of these `sizes`. If n is `known`, which 0 is not, the weights stay in
    registers.
    """

    @intrinsic
    def product(context, W, w, row, step, rows, n, s, st, ss, B, b, sb, Y, y, sy, strips):
        def generate(context, builder, signature, arguments):
            W, w, row, step, rows, n, s, st, ss, B, b, sb, Y, y, sy, strips = arguments
            lines = _Lines(builder, signature.args[0].dtype)
            place = lines.place

            def some_rows(first, count, nothing):
                indices = [place(first, (r, 1)) for r in range(count)]

                def factors(k):
                    pointers = [builder.gep(W, [place(w, (r, row), (k, step))]) for r in indices]
                    return [lines.spread(builder.load(pointer)) for pointer in pointers]

                def some_strips(t, side, nothing):
                    strips = [place(t, (u, 1)) for u in range(side)]

                    def add(k, sums, factors):
                        right = [lines.load(B, place(b, (u, sb), (k, lines.lanes))) for u in strips]
                        pairs = [(f, v) for v in right for f in factors]
                        return [lines.multiply_add(f, v, total) for (f, v), total in zip(pairs, sums, strict=True)]

                    sums = [lines.load(Y, place(s, (u, st), (r, ss))) for u in strips for r in indices]
                    for k, numbers in enumerate(weights):
                        sums = add(k, sums, numbers)
                    if not known:
                        sums = lines.loop(n, sums, lambda k, sums: add(k, sums, factors(k)))
                    ends = [place(y, (u, sy), (r, lines.lanes)) for u in strips for r in indices]
                    for total, end in zip(sums, ends, strict=True):
                        lines.store(total, Y, end)
                    return []

                weights = [factors(k) for k in range(known)]
                side = 1 if known else _enough(2 * count)
                return lines.groups(strips, sorted({side, 1}, reverse=True), [], some_strips)

            lines.groups(rows, sizes, [], some_rows)
            return context.get_dummy_value()

        i = types.int64
        return types.void(W, i, i, i, i, i, i, i, i, B, i, i, Y, i, i, i), generate

    return product


@intrinsic
def inner(context, D, d, sd, rows, B, b, sb, columns, strips, G, g):
    """Add the inner products of lines, summed over the strips, to a matrix of float64.

    ``G[g + r*columns + c] += sum_t D[d + t*sd + r*line] . B[b + t*sb + c*line]``, `line` being a line's length. The 12
    sums of 3 rows and 4 columns, 3 lines of D and one of B fill AVX2's registers, if lines are taken by halves.
    """

    def generate(context, builder, signature, arguments):
        D, d, sd, rows, B, b, sb, columns, strips, G, g = arguments
        halves = _Lines(builder, signature.args[0].dtype, parts=2)
        place, line = halves.place, 2 * halves.lanes

        def block(top, height, left, width):
            size = height * width
            chains = _enough(size)

            def add(t, side, sums):
                sums = list(sums)
                for half in range(2 * side):
                    u, part = place(t, (half // 2, 1)), (half % 2, halves.lanes)
                    factors = [halves.load(D, place(d, (u, sd), (top, line), (r, line), part)) for r in range(height)]
                    for c in range(width):
                        right = halves.load(B, place(b, (u, sb), (left, line), (c, line), part))
                        for r, factor in enumerate(factors):
                            k = half % chains * size + r * width + c
                            sums[k] = halves.multiply_add(factor, right, sums[k])
                return sums

            side = max(1, chains // 2)
            sums = [halves.constant(0.0)] * (chains * size)
            sums = halves.groups(strips, sorted({side, 1}, reverse=True), sums, add)
            while len(sums) > size:
                half = len(sums) // 2
                sums = [builder.fadd(u, v) for u, v in zip(sums[:half], sums[half:], strict=True)]
            together = ir.VectorType(ir.DoubleType(), width)
            for r in range(height):
                totals = halves.totals(sums[r * width : (r + 1) * width])
                totals = totals if totals.type == together else builder.fpext(totals, together)
                pointer = builder.gep(G, [place(g, (top, columns), (r, columns), (left, 1))])
                pointer = builder.bitcast(pointer, together.as_pointer())
                builder.store(builder.fadd(builder.load(pointer, align=8), totals), pointer, align=8)
            return []

        def some_columns(left, width, nothing):
            return halves.groups(rows, (3, 1), [], lambda top, height, nothing: block(top, height, left, width))

        halves.groups(columns, (4, 2, 1), [], some_columns)
        return context.get_dummy_value()

    i = types.int64
    return types.void(D, i, i, i, B, i, i, i, i, G, i), generate


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
    """The pointer, moved up to a multiple of a page."""

    def generate(context, builder, signature, arguments):
        address = builder.ptrtoint(arguments[0], _integer)
        address = builder.and_(builder.add(address, _integer(PAGE - 1)), _integer(-PAGE))
        return builder.inttoptr(address, arguments[0].type)

    return A(A), generate


@intrinsic
def doubles(context, A, a):
    """The pointer to A[a], where numbers of double precision begin."""

    def generate(context, builder, signature, arguments):
        A, a = arguments
        return builder.bitcast(builder.gep(A, [a]), ir.DoubleType().as_pointer())

    return types.CPointer(types.float64)(A, types.int64), generate


def _greater(builder, a, b):
    return builder.select(builder.fcmp_unordered(">=", a, b), a, b)


product, product_of_1, product_of_2 = _product(0, (6, 4, 2, 1)), _product(1, (4, 1)), _product(2, (4, 1))
fold_max, fold_sum = _folded(_greater), _folded(lambda builder, a, b: builder.fadd(a, b))
spread_sub = _spread_over(lambda builder, a, b: builder.fsub(a, b))
spread_mul = _spread_over(lambda builder, a, b: builder.fmul(a, b))
