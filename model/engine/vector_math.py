"""Exponential, logarithm and power as LLVM code for a vector of lanes: no branch, no call, the same bits in every lane.

Only elementwise IEEE operations and fused multiply-adds are emitted, so that a result depends neither on the number of
lanes nor on the C library of the machine. On a processor without fused multiply-add (before x86-64-v3) `llvm.fma`
becomes a slow call to the C library, with the same result.

The arguments are reduced by powers of two, with log 2 in two parts (Cody and Waite 1980, Software Manual for the
Elementary Functions); the polynomials were fitted with the exchange algorithm of Remez (1934) in 60 digits; the
logarithm is the inverse hyperbolic tangent of (z - 1) / (z + 1). Errors are in units in the last place (ulp).
"""

import math
import struct
from collections.abc import Sequence
from typing import Any

from llvmlite import ir

LOG_2, LOG_2_REST = 0.6931471805599453, 2.3190468138462996e-17  # their sum is log 2 to 107 bits
# Added to a number below 2^51, this leaves its nearest integer in the last bits of the sum.
ROUNDER = 1.5 * 2.0**52
BIAS = 1023  # of the exponent of a double, which stands above the FRACTION bits of its fraction
FRACTION = 52
LARGEST = 1.7976931348623157e308
# Outside, exp is 0 or infinite; inside, its power of two is the product of two doubles.
LOWEST_EXPONENT, HIGHEST_EXPONENT = -746.0, 710.0

# (exp(r) - 1 - r) / r^2 on |r| <= log(2) / 2; the error of exp(r) is 8e-18.
EXP_TERMS = (
    0.500000000000001, 0.16666666666666416, 0.04166666666653296, 0.008333333333493663, 0.0013888888942979775,
    0.00019841269506804042, 2.480149371059193e-05, 2.7557587158322935e-06, 2.7630046813334915e-07,
    2.4999572886861937e-08,
)  # fmt: skip
# (2 atanh(s) - 2 s) / s^3 as a function of s^2 on |s| <= (sqrt(2) - 1) / (sqrt(2) + 1); relative error of log 2e-18.
LOG_TERMS = (
    0.6666666666666734, 0.3999999999941916, 0.2857142874153906, 0.2222219865022221, 0.1818356069718595,
    0.15314136112776514, 0.14795151237756327,
)  # fmt: skip


def define_exp(module: ir.Module, lanes: int) -> ir.Function:
    """Function `vector_exp`: within 1.03 ulp; 0 and infinity where the result leaves the doubles; NaN for NaN."""
    write = _Writer(module, "vector_exp", lanes, arguments=1)
    return write.returning(_exp(write, *write.function.args))


def define_log(module: ir.Module, lanes: int) -> ir.Function:
    """Function `vector_log`: within 0.9 ulp, also for subnormal numbers; -inf for 0, NaN for NaN and below 0."""
    write = _Writer(module, "vector_log", lanes, arguments=1)
    (x,) = write.function.args
    log, _ = _log(write, x)
    return write.returning(_at_the_ends(write, x, log, of_zero=-math.inf, of_infinity=math.inf))


def define_power(module: ir.Module, lanes: int) -> ir.Function:
    """Function `vector_power(base, exponent)` for finite exponents: exp(exponent * log(base)) with the logarithm in two
    parts.

    Largest relative error found: 2e-16 for results within 1e±2, 4e-15 within 1e±30, 4e-14 for all normal results. 0 to
    a positive power is 0, to a negative one infinite; a power of 1, and the power 0 of any base from 0 to infinity, are
    exactly 1; NaN for NaN and for a negative base, whatever the exponent.
    """
    write = _Writer(module, "vector_power", lanes, arguments=2)
    base, exponent = write.function.args
    log, rest = _log(write, base)
    # Finite, so that a power of 0 gives 0 * log(0) = 0; large enough for any other exponent to leave the doubles.
    log = _at_the_ends(write, base, log, of_zero=-LARGEST, of_infinity=LARGEST)
    product = write.times(exponent, log)
    product_rest = write.fma(exponent, rest, write.fma(exponent, log, write.minus(product)))
    # Where the result is 0, infinite or NaN, what is left of the product means nothing.
    within = write.where(product, "<", 800.0, write.where(product, ">", -800.0, product_rest, 0.0), 0.0)
    return write.returning(_exp(write, product, within))


class _Writer:
    """Writes one function, whose arguments and result all have this number of lanes; plain numbers fill all lanes."""

    def __init__(self, module: ir.Module, name: str, lanes: int, arguments: int) -> None:
        self.lanes = lanes
        self.type = self._wide(ir.DoubleType())
        kind = ir.FunctionType(self.type, [self.type] * arguments)
        self.function = ir.Function(module, kind, f"{name}.{lanes}")
        self.function.linkage = "internal"
        # LLVM adds `willreturn` itself; a call is then merged with an equal one, and dropped when nobody uses it.
        self.function.attributes.add("nounwind")
        self.function.attributes.add("readnone")
        self.build = ir.IRBuilder(self.function.append_basic_block("entry"))
        suffix = "f64" if lanes == 1 else f"v{lanes}f64"
        self.fused = module.declare_intrinsic(f"llvm.fma.{suffix}", fnty=ir.FunctionType(self.type, [self.type] * 3))

    def _wide(self, element: ir.Type) -> ir.Type:
        return element if self.lanes == 1 else ir.VectorType(element, self.lanes)

    def _filled(self, element: ir.Type, value: Any) -> Any:
        return ir.Constant(self._wide(element), value if self.lanes == 1 else [value] * self.lanes)

    def number(self, value: Any) -> Any:
        return self._filled(ir.DoubleType(), float(value)) if isinstance(value, int | float) else value

    def integer(self, value: int) -> Any:
        return self._filled(ir.IntType(64), value)

    def returning(self, result: Any) -> ir.Function:
        self.build.ret(result)
        return self.function

    def plus(self, a: Any, b: Any) -> Any:
        return self.build.fadd(self.number(a), self.number(b))

    def times(self, a: Any, b: Any) -> Any:
        return self.build.fmul(self.number(a), self.number(b))

    def over(self, a: Any, b: Any) -> Any:
        return self.build.fdiv(self.number(a), self.number(b))

    def minus(self, a: Any) -> Any:
        return self.build.fneg(a)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """Product of a and b, plus c, with one rounding."""
        return self.build.call(self.fused, [self.number(a), self.number(b), self.number(c)])

    def where(self, a: Any, relation: str, b: Any, yes: Any, no: Any) -> Any:
        """`yes` where the relation holds, `no` elsewhere and where a or b is NaN."""
        test = self.build.fcmp_ordered(relation, self.number(a), self.number(b))
        return self.build.select(test, self.number(yes), self.number(no))

    def bits(self, x: Any) -> Any:
        return self.build.bitcast(x, self._wide(ir.IntType(64)))

    def from_bits(self, bits: Any) -> Any:
        return self.build.bitcast(bits, self.type)

    def two_to(self, bits: Any) -> Any:
        """The power of two whose biased exponent stands in the last bits."""
        return self.from_bits(self.build.shl(bits, self.integer(FRACTION)))

    def polynomial(self, x: Any, terms: Sequence[Any]) -> Any:
        """Sum of terms[i] * x^i, in pairs, then pairs of pairs: shorter chains than one term after the other."""
        while len(terms) > 1:
            pairs = [self.fma(x, high, low) for low, high in zip(terms[::2], terms[1::2], strict=False)]
            terms = [*pairs, *terms[2 * len(pairs) :]]
            x = self.times(x, x)
        return terms[0]


def _exp(write: _Writer, x: Any, rest: Any = None) -> Any:
    """exp(x + rest) = 2^n exp(r), with a `rest` below the last place of x; n is halved so that both factors exist."""
    # Written so that NaN fails the test and stays.
    x = write.where(x, ">", HIGHEST_EXPONENT, HIGHEST_EXPONENT, x)
    x = write.where(x, "<", LOWEST_EXPONENT, LOWEST_EXPONENT, x)
    whole = write.fma(x, 1.0 / LOG_2, ROUNDER + 2 * BIAS)
    n = write.plus(whole, -ROUNDER - 2 * BIAS)
    half = write.fma(n, 0.5, ROUNDER + BIAS)
    first, second = write.two_to(write.bits(half)), write.two_to(write.build.sub(write.bits(whole), write.bits(half)))
    r = write.fma(n, -LOG_2, x)  # exact
    r = write.fma(n, -LOG_2_REST, r if rest is None else write.plus(r, rest))
    grown = write.fma(write.times(r, r), write.polynomial(r, EXP_TERMS), r)
    return write.times(write.fma(first, grown, first), second)


def _log(write: _Writer, x: Any) -> tuple[Any, Any]:
    """log(x) of a positive, finite x, and what is missing from it: k log 2 + log(1 + f) with x = 2^k (1 + f).

    With s = f / (2 + f), log(1 + f) = 2 atanh(s) = f - s (f - s^2 P(s^2)); what is subtracted from f is small, and so
    is its rounding.
    """
    smallest_normal, lift = 2.0**-1022, 54
    lifted = write.where(x, "<", smallest_normal, write.times(x, 2.0**lift), x)
    offset = write.where(x, "<", smallest_normal, -(2.0**FRACTION) - BIAS - lift, -(2.0**FRACTION) - BIAS)
    # 1 + f lies between sqrt(1/2) and sqrt(2): moved up to the next power of two, its exponent is k.
    lowest = _bits_of(math.sqrt(0.5))
    moved = write.build.add(write.bits(lifted), write.integer(_bits_of(1.0) - lowest))
    biased = write.build.lshr(moved, write.integer(FRACTION))
    k = write.plus(write.from_bits(write.build.or_(biased, write.integer(_bits_of(2.0**FRACTION)))), offset)
    fraction = write.build.and_(moved, write.integer((1 << FRACTION) - 1))
    f = write.plus(write.from_bits(write.build.add(fraction, write.integer(lowest))), -1.0)
    s = write.over(f, write.plus(f, 2.0))
    square = write.times(s, s)
    bent = write.fma(square, write.minus(write.polynomial(square, LOG_TERMS)), f)
    small = write.fma(write.minus(s), bent, write.times(k, LOG_2_REST))
    log = write.fma(k, LOG_2, write.plus(f, small))
    rest = write.plus(write.plus(write.fma(k, LOG_2, write.minus(log)), f), small)  # the first two sums are exact
    return log, rest


def _at_the_ends(write: _Writer, x: Any, log: Any, *, of_zero: float, of_infinity: float) -> Any:
    """The logarithm where x is positive and finite, these values at 0 and infinity, and NaN elsewhere."""
    log = write.where(x, "<", math.inf, log, of_infinity)
    return write.where(x, ">", 0.0, log, write.where(x, "==", 0.0, of_zero, math.nan))


def _bits_of(x: float) -> int:
    return struct.unpack("<q", struct.pack("<d", x))[0]
