"""Double precision ``exp``, ``log``, ``tanh`` and ``sigmoid`` that vectorise.

The numba wheels come without a vector math library: ``math.exp`` in a loop
over lanes is one scalar call per lane.  The functions below are plain
arithmetic, without branches, table look-ups or calls, so that LLVM turns a
loop over them into packed instructions.

The text of this module is pasted into the generated kernel files.  It may
import numba and llvmlite only, and must have no side effects.

Two rules keep it correct and fast:

* A choice is written ``a if c else b`` (a select instruction).  The
  comparisons are arranged so that NaN falls through to the arithmetic.
* The functions have their own fast-math flags, whatever those of the caller:
  LLVM keeps the flags per instruction.  ``contract`` allows fused
  multiply-add; ``reassoc`` would cancel the additions of ``_ROUND``, and
  ``nnan`` or ``ninf`` would drop the special cases.

The error bounds are the largest errors seen against an 80 bit reference and
mpmath, in units in the last place (ulp) of the exact result, with and without
fused multiply-add.  Signs of zero are not kept.
"""

# min and max treat NaN otherwise.

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_INF = float("inf")
_NAN = float("nan")

_LOG2_E = 1.4426950408889634  # 1 / ln 2

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


_inlined = njit(forceinline=True, error_model="numpy", fastmath={"contract", "nsz"})


@_inlined
def _pow2(k):
    """Return ``2.0**k`` for an integer ``-1022 <= k <= 1023``."""
    return _from_bits((k + 1023) << 52)


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
    Taylor series to degree 13; the remainder is below ``5e-18``.

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
    q = 1 / 6227020800.0
    q = q * r + 1 / 479001600.0
    q = q * r + 1 / 39916800.0
    q = q * r + 1 / 3628800.0
    q = q * r + 1 / 362880.0
    q = q * r + 1 / 40320.0
    q = q * r + 1 / 5040.0
    q = q * r + 1 / 720.0
    q = q * r + 1 / 120.0
    q = q * r + 1 / 24.0
    q = q * r + 1 / 6.0
    q = q * r + 0.5
    s1, s2 = _pow2_pair(_to_bits(t) - _ROUND_BITS)
    return (1.0 + (r + (r * r) * q)) * s1 * s2


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
def _reduced_tanh(x, shift):
    """Return ``u = tanh(r)`` and ``k``, where ``x = k ln(2)/2 + r``.

    ``|r - shift| <= ln(2)/4``, for ``|shift| <= 0.083``.  Taylor series to
    degree 21; the remainder is below ``5e-18`` relative.
    """
    t = (x - shift) * (2.0 * _LOG2_E) + _ROUND
    n = t - _ROUND
    k = _to_bits(t) - _ROUND_BITS
    r = (x - n * (0.5 * _LN2_HI)) - n * (0.5 * _LN2_LO)
    z = r * r
    q = 18888466084 / 194896477400625.0
    q = q * z - 443861162 / 1856156927625.0
    q = q * z + 6404582 / 10854718875.0
    q = q * z - 929569 / 638512875.0
    q = q * z + 21844 / 6081075.0
    q = q * z - 1382 / 155925.0
    q = q * z + 62 / 2835.0
    q = q * z - 17 / 315.0
    q = q * z + 2 / 15.0
    q = q * z - 1 / 3.0
    return r + (r * z) * q, k


@_inlined
def vtanh(x):
    """Hyperbolic tangent.

    With ``|x| = k ln(2)/2 + r``, ``u = tanh(r)`` and ``s = 2**-k`` the addition
    theorem reads ``tanh(|x|) = (1 - s + (1 + s) u) / d`` with
    ``d = 1 + s + (1 - s) u``.  Splitting off ``1 - s``, which is exact, leaves
    a correction ``s ((3 - s) u - (1 - s)) / d`` with small rounding errors.
    For ``k = 0`` the sum is ``u``: no cancellation near zero.

    Parameters
    ----------
    x : float

    Returns
    -------
    float
        ``tanh(x)``, to 1.5 ulp.
    """
    y = abs(x)
    y = 20.0 if y > 20.0 else y  # tanh(20) rounds to 1
    # With this shift k = 0 up to tanh(x) = 1/4; the sum below is less precise
    # for k = 1 and smaller values.
    u, k = _reduced_tanh(y, 0.0822)
    s = _pow2(-k)
    base = 1.0 - s
    t = base + s * ((3.0 - s) * u - base) / ((1.0 + s) + base * u)
    return t if x >= 0.0 else -t


@_inlined
def vsigmoid(x):
    """Logistic function ``1 / (1 + exp(-x))``.

    With ``|x|/2 = k ln(2)/2 + r``, ``u = tanh(r)`` and ``s = 2**-k``,
    ``exp(-|x|) = s (1 - u) / (1 + u)``.  Hence
    ``sigmoid(-|x|) = s (1 - u) / d = s (1 - ((2 - s) u + s) / d)`` with
    ``d = 1 + s + (1 - s) u``, of which the last form has smaller rounding
    errors; the value at ``|x|`` is one less that.  Nothing overflows, and the
    lower tail, down to the subnormal numbers, is as precise as the rest.

    Parameters
    ----------
    x : float

    Returns
    -------
    float
        ``sigmoid(x)``, to 1.6 ulp.
    """
    y = abs(x)
    y = 746.0 if y > 746.0 else y
    u, k = _reduced_tanh(0.5 * y, 0.0)
    s1, s2 = _pow2_pair(-k)
    s = s1 * s2
    q = ((2.0 - s) * u + s) / ((1.0 + s) + (1.0 - s) * u)
    t = (1.0 - q) * s1 * s2
    return 1.0 - t if x >= 0.0 else t
