"""Elementary functions that vectorise, in double precision; the hyperbolic tangent in single precision, too.

``exp``, ``log``, ``log1p``, ``tanh``, ``sigmoid``, ``softplus``, ``sin``, ``cos`` and the normal distribution function.

The numba wheels come without a vector math library: ``math.exp`` in a loop
over lanes is one scalar call per lane.  The functions below are plain
arithmetic, without branches, table look-ups or calls, so that LLVM turns a
loop over them into packed instructions.

The text of this module is pasted into the generated kernel files.  It may
import math, numba and llvmlite only, and must have no side effects.

Two rules keep it correct and fast:

* A choice is written ``a if c else b`` (a select instruction).  The
  comparisons are arranged so that NaN falls through to the arithmetic.
* The functions have their own fast-math flags, whatever those of the caller:
  LLVM keeps the flags per instruction.  ``contract`` allows fused
  multiply-add; ``reassoc`` would cancel the additions of ``_ROUND``, and
  ``nnan`` or ``ninf`` would drop the special cases.

The error bounds are the largest errors seen against an 80 bit reference and
mpmath, in units in the last place (ulp) of the exact result, with and without
fused multiply-add.  Signs of zero need not be kept.
"""

# min and max treat NaN otherwise.

import math

from llvmlite import ir
from numba import float32, njit, types
from numba.extending import intrinsic

_INF = float("inf")
_NAN = float("nan")

_LOG2_E = 1.4426950408889634  # 1 / ln 2
_LN2 = 0.6931471805599453

# ln 2 = _LN2_HI + _LN2_LO.  The high part has 32 significant bits, hence its
# product with an exponent (11 bits) is exact.
_LN2_HI = float.fromhex("0x1.62e42feep-1")
_LN2_LO = float.fromhex("0x1.a39ef35793c76p-33")

# 1.5 * 2**52: doubles of this size are spaced by 1.  Adding it rounds t to the
# nearest integer n, and the bits of the sum are _ROUND_BITS + n.
_ROUND = 6755399441055744.0
_ROUND_BITS = 0x4338000000000000

_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD  # the bits of sqrt(1/2)
_MIN_NORMAL = 2.0**-1022

# pi/2 in three parts; the products of the first two (33 significant bits) with integers below 2**20 are exact.
_TWO_OVER_PI = 0.6366197723675814
_HALF_PI_HI = float.fromhex("0x1.921fb544p+0")
_HALF_PI_MID = float.fromhex("0x1.0b4611a6p-34")
_HALF_PI_LO = float.fromhex("0x1.3198a2e037073p-69")

_SIGN = -(1 << 63)  # the bit of a double's sign
_HIGH_BITS = -(1 << 27)  # keeps 26 significant bits of a double: its square is exact
_SQRT_TWO = 1.4142135623730951


@intrinsic
def _to_bits(typingctx, x):
    """Reinterpret a float64 as an int64."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), codegen


@intrinsic
def _from_bits(typingctx, i):
    """Reinterpret an int64 as a float64."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), codegen


@intrinsic
def _muladd(typingctx, a, b, c):
    """``a*b + c``, fused where the machine can: by itself LLVM fuses no product that is used twice."""

    def codegen(context, builder, signature, args):
        number = args[0].type
        function = builder.module.declare_intrinsic("llvm.fmuladd", [number], ir.FunctionType(number, [number] * 3))
        return builder.call(function, args)

    return a(a, a, a), codegen


_inlined = njit(  # type: ignore[call-overload]  # numba's stub does not know no_cfunc_wrapper
    forceinline=True, no_cfunc_wrapper=True, error_model="numpy", fastmath={"contract", "nsz"}
)


@_inlined
def _pow2_pair(k):
    """Return two doubles with product ``2**k``, for ``|k| < 2046``.

    Multiplied in turn they reach the whole range of results, with one rounding
    where these are subnormal; ``2.0**k`` itself may lie outside.
    """
    # The mask tells LLVM that the sum is positive, hence a logical shift will do:
    # AVX2 has no arithmetic shift of 64 bit integers.
    exponents = (k + 2046) & 4095
    half = exponents >> 1
    return _from_bits(half << 52), _from_bits((exponents - half) << 52)


@_inlined
def vexp(x):
    """Exponential function.

    ``exp(x) = 2**k exp(r)`` with ``x = k ln(2) + r``, ``|r| <= ln(2)/2``.
    Taylor series to degree 13; the remainder is below ``5e-18``.  Even and odd
    powers apart: two short chains are faster than one.

    Parameters
    ----------
    x : float

    Returns
    -------
    float
        ``exp(x)``, to 1.1 ulp.
    """
    # Beyond these bounds the result is inf or 0.
    y = 710.0 if x > 710.0 else x
    y = -746.0 if y < -746.0 else y
    t = y * _LOG2_E + _ROUND
    n = t - _ROUND
    r = (y - n * _LN2_HI) - n * _LN2_LO
    z = r * r
    odd = 1 / 6227020800.0
    odd = odd * z + 1 / 39916800.0
    odd = odd * z + 1 / 362880.0
    odd = odd * z + 1 / 5040.0
    odd = odd * z + 1 / 120.0
    odd = odd * z + 1 / 6.0
    even = 1 / 479001600.0
    even = even * z + 1 / 3628800.0
    even = even * z + 1 / 40320.0
    even = even * z + 1 / 720.0
    even = even * z + 1 / 24.0
    even = even * z + 0.5
    s1, s2 = _pow2_pair(_to_bits(t) - _ROUND_BITS)
    return (1.0 + (r + z * (even + r * odd))) * s1 * s2


@_inlined
def vlog(x):
    """Natural logarithm.

    ``x = 2**k (1 + f)`` with ``1 + f`` in ``[sqrt(1/2), sqrt(2))``.  For
    ``s = f / (2 + f)``, ``log(1 + f) = 2 atanh(s) = 2 s + s R`` with
    ``R = 2 s**2 / 3 + 2 s**4 / 5 + ...``, cut where terms are below ``1e-18``.
    As ``2 s = f - s f`` and ``s f = f**2/2 - s f**2/2``, the sum is formed as
    ``f - (f**2/2 - s (f**2/2 + R))``: the leading term is exact, and the parts
    of ``k ln 2`` are added to terms of their own size.

    Parameters
    ----------
    x : float

    Returns
    -------
    float
        ``log(x)``, to 0.9 ulp; ``-inf`` at zero and NaN below.
    """
    subnormal = x < _MIN_NORMAL
    bits: int = _to_bits(x * 2.0**54 if subnormal else x)
    k = (bits - _SQRT_HALF_BITS) >> 52
    f = _from_bits(bits - (k << 52)) - 1.0
    # k as a double; an integer conversion is not vectorised by AVX2
    n = _from_bits(k + _ROUND_BITS) - _ROUND
    n = n - 54.0 if subnormal else n

    s = f / (2.0 + f)
    z = s * s
    q = 2 / 21.0
    q = q * z + 2 / 19.0
    q = q * z + 2 / 17.0
    q = q * z + 2 / 15.0
    q = q * z + 2 / 13.0
    q = q * z + 2 / 11.0
    q = q * z + 2 / 9.0
    q = q * z + 2 / 7.0
    q = q * z + 2 / 5.0
    q = q * z + 2 / 3.0
    half_f2 = 0.5 * f * f
    low = s * (half_f2 + z * q) + n * _LN2_LO
    y = n * _LN2_HI - ((half_f2 - low) - f)

    y = -_INF if x == 0.0 else y
    y = _NAN if x < 0.0 else y
    return y if x < _INF else x


@_inlined
def _tanh_quotient(r):
    """Return ``p`` and ``q`` with ``tanh(r) = p/q``, for ``|r| <= 0.2556``.

    ``r P(r**2)/Q(r**2)`` with the smallest relative error (Remez's exchange),
    ``3e-20``, and ``1.1e-18`` since coefficients are doubles: the callers
    divide anyhow, and this is shorter than a series.
    """
    z = r * r
    p = 0.0020188855100930179
    p = p * z + 0.12119829301739674
    q = 9.6068552367993802e-05
    q = q * z + 0.020196094293674971
    q = q * z + 0.45453162635073004
    q = q * z + 1.0
    return r + (z * p) * r, q


@_inlined
def vtanh(x):
    """Hyperbolic tangent.

    With ``|x| = k ln(2)/2 + r``, ``tanh(r) = p/q`` and ``s = 2**-k`` the
    addition theorem reads ``tanh(|x|) = ((1 - s) q + (1 + s) p)/((1 + s) q + (1 - s) p)``.
    Splitting off ``1 - s``, which is exact, leaves a correction
    ``s (p + c)/(q + c)``, ``c = (1 - s) (p - q)/2``, with small rounding
    errors.  For ``k = 0`` the sum is ``p/q``: no cancellation near zero.

    Parameters
    ----------
    x : float

    Returns
    -------
    float
        ``tanh(x)``, to 2.5 ulp.
    """
    y = abs(x)
    y = 20.0 if y > 20.0 else y  # tanh(20) rounds to 1
    # With this shift k = 0 up to tanh(x) = 1/4; the sum below is less precise
    # for k = 1 and smaller values.
    t = (_ROUND + 1023.0) - (y - 0.0822) * (2.0 * _LOG2_E)
    n = (_ROUND + 1023.0) - t
    s: float = _from_bits(_to_bits(t) << 52)  # 1023 - k is the exponent of s
    # ln(2)/2 in one part: where n is large, tanh is flat
    p, q = _tanh_quotient(y - n * (0.5 * _LN2))
    d, base = p - q, 1.0 - s
    t = base + s * (_muladd(0.5 * base, d, p) / _muladd(0.5 * base, d, q))
    # t has no sign yet, which copysign would first take off: 3 % of a value of 2-20-1
    return _from_bits(_to_bits(t) | (_to_bits(x) & _SIGN))


@intrinsic
def _pow2_32(typingctx, k):
    """Return ``2.0**k`` as a float32, for an int32 ``-126 <= k <= 127``."""

    def codegen(context, builder, signature, args):
        bits = builder.shl(builder.add(args[0], ir.IntType(32)(127)), ir.IntType(32)(23))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.int32), codegen


@intrinsic
def _nearest32(typingctx, t):
    """The integer in a float32 to which ``1.5 * 2**23`` was added, negated, as an int32."""

    def codegen(context, builder, signature, args):
        return builder.sub(ir.IntType(32)(0x4B400000), builder.bitcast(args[0], ir.IntType(32)))

    return types.int32(types.float32), codegen


@_inlined
def vtanh32(x):
    """Hyperbolic tangent in single precision: `vtanh` with a shorter quotient, whose relative error is ``7e-9``.

    Parameters
    ----------
    x : float32

    Returns
    -------
    float32
        ``tanh(x)``, to 2.5 ulp.
    """
    y = abs(x)
    y = float32(10.0) if y > float32(10.0) else y  # tanh(10) rounds to 1
    t = (y - float32(0.0822)) * float32(2.0 * _LOG2_E) + float32(12582912.0)
    n = t - float32(12582912.0)
    # the first part of ln(2)/2 has 11 significant bits, n at most 5
    r = (y - n * float32(0.3466796875)) - n * float32(-0.00010609722)
    z = r * r
    p = r + (z * float32(0.06649415)) * r
    q = z * float32(0.39982633) + float32(1.0)
    s: float = _pow2_32(_nearest32(t))
    base = float32(1.0) - s
    half, d = float32(0.5) * base, p - q
    value = base + s * (_muladd(half, d, p) / _muladd(half, d, q))
    return math.copysign(value, x)


@_inlined
def vsigmoid(x):
    """Logistic function ``1 / (1 + exp(-x))``.

    With ``|x|/2 = k ln(2)/2 + r``, ``tanh(r) = p/q`` and ``s = 2**-k``,
    ``exp(-|x|) = s (q - p) / (q + p)``.  Hence
    ``sigmoid(-|x|) = s (q - p) / d = s (1 - ((2 - s) p + s q) / d)`` with
    ``d = (1 + s) q + (1 - s) p``, of which the last form has smaller rounding
    errors; the value at ``|x|`` is one less that.  Nothing overflows, and the
    lower tail, down to the subnormal numbers, is as precise as the rest.

    Parameters
    ----------
    x : float

    Returns
    -------
    float
        ``sigmoid(x)``, to 2.3 ulp.
    """
    y = abs(x)
    y = 746.0 if y > 746.0 else y
    h = 0.5 * y
    t = h * (2.0 * _LOG2_E) + _ROUND
    n = t - _ROUND
    p, q = _tanh_quotient((h - n * (0.5 * _LN2_HI)) - n * (0.5 * _LN2_LO))
    s1, s2 = _pow2_pair(_ROUND_BITS - _to_bits(t))
    s = s1 * s2
    rest = ((2.0 - s) * p + s * q) / ((1.0 + s) * q + (1.0 - s) * p)
    t = (1.0 - rest) * s1 * s2
    return 1.0 - t if x >= 0.0 else t


@_inlined
def vlog1p(x):
    """Logarithm of ``1 + x``, for ``x > -1/2``.

    ``log(u)`` of the rounded ``u = 1 + x``, plus ``(x - (u - 1))/u`` for what was rounded off, which is exact for
    ``x < 1`` (Fast2Sum).

    Parameters
    ----------
    x : float

    Returns
    -------
    float
        ``log(1 + x)``, to 1.3 ulp.
    """
    u = 1.0 + x
    correction = (x - (u - 1.0)) / u
    return vlog(u) + (correction if u < _INF else 0.0)


@_inlined
def vsoftplus(x):
    """Softplus ``log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|))``.

    Parameters
    ----------
    x : float

    Returns
    -------
    float
        ``log(1 + exp(x))``, to 2 ulp.
    """
    rest = vlog1p(vexp(-abs(x)))
    return x + rest if x > 0.0 else rest


@_inlined
def _quadrant(x):
    """Return ``sin(r)``, ``cos(r)`` and ``k``, where ``x = k pi/2 + r`` and ``|r| <= pi/4``.

    Taylor series to degree 17 and 16; the remainders are below ``3e-18``.
    """
    t = x * _TWO_OVER_PI + _ROUND
    n = t - _ROUND
    r = ((x - n * _HALF_PI_HI) - n * _HALF_PI_MID) - n * _HALF_PI_LO
    z = r * r
    s = 1 / 355687428096000.0
    s = s * z - 1 / 1307674368000.0
    s = s * z + 1 / 6227020800.0
    s = s * z - 1 / 39916800.0
    s = s * z + 1 / 362880.0
    s = s * z - 1 / 5040.0
    s = s * z + 1 / 120.0
    s = s * z - 1 / 6.0
    c = 1 / 20922789888000.0
    c = c * z - 1 / 87178291200.0
    c = c * z + 1 / 479001600.0
    c = c * z - 1 / 3628800.0
    c = c * z + 1 / 40320.0
    c = c * z - 1 / 720.0
    c = c * z + 1 / 24.0
    return r + (r * z) * s, 1.0 - (0.5 * z - (z * z) * c), _to_bits(t) - _ROUND_BITS


@_inlined
def vsin(x):
    """Sine, for ``|x| <= 1e6``.

    ``x = k pi/2 + r`` (Cody and Waite), then the series of the sine or the cosine of ``r``.

    Parameters
    ----------
    x : float

    Returns
    -------
    float
        ``sin(x)``, to 2 ulp; up to ``|x| = 1e15`` the absolute error is below the spacing of doubles at ``x``, and
        beyond the result is NaN.
    """
    s, c, k = _quadrant(x)
    y = c if k & 1 else s
    y = -y if k & 2 else y
    return y if abs(x) <= 1e15 else _NAN


@_inlined
def vcos(x):
    """Cosine, for ``|x| <= 1e6``: see `vsin`.

    Parameters
    ----------
    x : float

    Returns
    -------
    float
        ``cos(x)``, to 2 ulp; larger arguments as for `vsin`.
    """
    s, c, k = _quadrant(x)
    y = s if k & 1 else c
    y = -y if (k + 1) & 2 else y
    return y if abs(x) <= 1e15 else _NAN


@_inlined
def vnormal_cdf(x):
    """Distribution function of the normal law, ``erfc(-x/sqrt(2))/2``.

    For ``y = |x|`` the function ``(1 + sqrt(2) y) exp(y**2/2) cdf(-y)`` lies between 1/2 and 0.65.  It is replaced by a
    polynomial of degree 22 in ``(y - 5)/(y + 5)``, its Chebyshev series cut where terms are below ``2e-17``, after
    M. M. Shepherd and J. G. Laframboise, "Chebyshev approximation of (1 + 2x) exp(x**2) erfc x in 0 <= x < infinity",
    Math. Comp. 36 (1981) 249-253.  The exponent is split, ``y**2 = h**2 + (y - h)(y + h)`` with an exact ``h**2``, so
    that the lower tail is as precise as the rest.

    Parameters
    ----------
    x : float

    Returns
    -------
    float
        The probability of values below ``x``, to 6 ulp.
    """
    y = abs(x)
    y = 40.0 if y > 40.0 else y  # the lower tail rounds to 0
    t = (y - 5.0) / (y + 5.0)
    q = 1.1423039878105297e-09
    q = q * t + 5.833517011143754e-09
    q = q * t - 1.9340816665769226e-10
    q = q * t - 4.7389194948751166e-08
    q = q * t - 2.644775420070981e-08
    q = q * t + 2.9715064282759665e-07
    q = q * t + 1.4425714041232566e-07
    q = q * t - 1.953102376191565e-06
    q = q * t + 1.8227584356274105e-07
    q = q * t + 1.3340415825926277e-05
    q = q * t - 1.674801542741471e-05
    q = q * t - 7.62113588236474e-05
    q = q * t + 0.00028288941052915725
    q = q * t - 4.460018178886774e-05
    q = q * t - 0.0024612651449550634
    q = q * t + 0.010208851378011665
    q = q * t - 0.025178554834947593
    q = q * t + 0.044398861329769446
    q = q * t - 0.05715904897199795
    q = q * t + 0.04764866133891587
    q = q * t - 0.004193708178282536
    q = q * t - 0.07005241362061766
    q = q * t + 0.6208209264948372
    bits: int = _to_bits(y)
    h: float = _from_bits(bits & _HIGH_BITS)
    d = 0.5 * (y - h) * (y + h)
    rest = 1.0 - d * (1.0 - d * (0.5 - d / 6.0))
    tail = q * rest / (1.0 + _SQRT_TWO * y) * vexp(-0.5 * (h * h))
    return 1.0 - tail if x > 0.0 else tail
