"""What each word of the integrators' language becomes in LLVM: types, arithmetic, memory, choices between lanes."""

from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from .vector_math import define_exp, define_log, define_power

DOUBLE, INT, BOOL, POINTER = ir.DoubleType(), ir.IntType(64), ir.IntType(1), ir.PointerType()
ARRAYS = ("Floats", "Ints", "LaneArray")


class TranslationError(SyntaxError):
    """The source says something that the translator does not know; a defect of the engine, not of its input."""


@dataclass(frozen=True)
class Value:
    """A value while code is written: what kind it is, and its LLVM form."""

    kind: str
    code: Any


class Words:
    """The words for one number of lanes, in one module."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.module = ir.Module("perdure")
        self.vector = DOUBLE if lanes == 1 else ir.VectorType(DOUBLE, lanes)
        self.mask = BOOL if lanes == 1 else ir.VectorType(BOOL, lanes)
        self.functions: dict[str, dict[str, ir.Function]] = {}
        for kind, width in (("Float", 1), ("Lanes", lanes)):
            if kind == "Lanes" and lanes == 1:
                self.functions["Lanes"] = self.functions["Float"]
                continue
            make = {"exp": define_exp, "log": define_log, "pow": define_power}
            self.functions[kind] = {word: define(self.module, width) for word, define in make.items()}

    def type_of(self, kind: str) -> ir.Type:
        """LLVM type of a kind."""
        types = {
            "Float": DOUBLE, "Number": DOUBLE, "Int": INT, "Bool": BOOL, "Lanes": self.vector, "Mask": self.mask,
            "Nothing": ir.VoidType(), **dict.fromkeys(ARRAYS, POINTER),
        }  # fmt: skip
        if kind not in types:
            raise TranslationError(f"'{kind}' is no kind of value; known are {', '.join(types)}.")
        return types[kind]

    def constant(self, value: Any) -> Value:
        """A number, or yes or no, that stands in the source."""
        if isinstance(value, bool):
            return Value("Bool", ir.Constant(BOOL, int(value)))
        if isinstance(value, int):
            return Value("Int", ir.Constant(INT, value))
        return Value("Float", ir.Constant(DOUBLE, float(value)))

    # kinds

    def cast(self, build: ir.IRBuilder, value: Value, kind: str) -> Value:
        """The same value as another kind: a whole number becomes a number, a number the same in all lanes."""
        if value.kind == kind:
            return value
        if value.kind == "Int" and kind in ("Float", "Lanes"):
            code = value.code
            number = (
                ir.Constant(DOUBLE, float(code.constant))
                if isinstance(code, ir.Constant)
                else build.sitofp(code, DOUBLE)
            )
            return self.cast(build, Value("Float", number), kind)
        if value.kind == "Float" and kind == "Lanes":
            return Value("Lanes", self.splat(build, value.code))
        if value.kind == "Bool" and kind == "Mask":
            return Value("Mask", self.splat(build, value.code))
        raise TranslationError(f"a {value.kind} cannot stand where a {kind} is needed.")

    def splat(self, build: ir.IRBuilder, code: Any) -> Any:
        """One number in all lanes."""
        if self.lanes == 1:
            return code
        if isinstance(code, ir.Constant):
            return ir.Constant(ir.VectorType(code.type, self.lanes), [code.constant] * self.lanes)
        wide = ir.VectorType(code.type, self.lanes)
        first = build.insert_element(ir.Constant(wide, ir.Undefined), code, ir.Constant(ir.IntType(32), 0))
        return build.shuffle_vector(first, ir.Constant(wide, ir.Undefined), self._places([0] * self.lanes))

    def alike(self, build: ir.IRBuilder, *values: Value) -> tuple[str, list[Any]]:
        """The widest kind among the values, and all of them as that kind."""
        kinds = {value.kind for value in values}
        kind = next(k for k in ("Mask", "Bool", "Lanes", "Float", "Int") if k in kinds)
        return kind, [self.cast(build, value, kind).code for value in values]

    # arithmetic

    def operate(self, build: ir.IRBuilder, name: str, left: Value, right: Value) -> Value:
        """Sum, difference, product, quotient or power."""
        kind, (a, b) = self.alike(build, left, right)
        if name == "pow":
            kind, (a, b) = self.alike(build, left, right, Value("Float", ir.Constant(DOUBLE, 0.0)))[0], [a, b]
            return Value(kind, build.call(self.functions[kind]["pow"], [a, b]))
        if kind == "Int":
            if name == "div":
                kind, a, b = "Float", build.sitofp(a, DOUBLE), build.sitofp(b, DOUBLE)
            else:
                return Value("Int", getattr(build, name)(a, b))
        return Value(kind, getattr(build, f"f{name}")(a, b))

    def fused(self, build: ir.IRBuilder, a: Value, b: Value, c: Value) -> Value:
        """A * b + c with one rounding."""
        kind, codes = self.alike(build, a, b, c)
        return Value(kind, self._instruction(build, "fma", codes))

    def negative(self, build: ir.IRBuilder, value: Value) -> Value:
        """Minus the value."""
        return Value(value.kind, build.neg(value.code) if value.kind == "Int" else build.fneg(value.code))

    def power_of_number(self, build: ir.IRBuilder, value: Value, exponent: float) -> Value:
        """A power with a known exponent: products for 2, 3 and 4, roots and reciprocals where they will do."""
        if value.kind == "Int":
            value = self.cast(build, value, "Float")
        if exponent in (2, 3, 4):
            square = self.operate(build, "mul", value, value)
            return square if exponent == 2 else self.operate(build, "mul", square, value if exponent == 3 else square)
        if exponent == -1:
            return self.operate(build, "div", self.constant(1.0), value)
        if exponent == 0.5:
            return self._root(build, value)
        return self.operate(build, "pow", value, self.constant(float(exponent)))

    def compare(self, build: ir.IRBuilder, relation: str, left: Value, right: Value) -> Value:
        """A comparison; with NaN it is false, except that NaN differs from everything."""
        kind, (a, b) = self.alike(build, left, right)
        if kind == "Int":
            return Value("Bool", build.icmp_signed(relation, a, b))
        test = build.fcmp_unordered if relation == "!=" else build.fcmp_ordered
        return Value("Mask" if kind == "Lanes" else "Bool", test(relation, a, b))

    # memory

    def memory(self, start: ir.IRBuilder, kind: str, size: int, *, zero: bool) -> Value:
        """Working memory of a fixed size, zero at first or whatever was there."""
        element = self.vector if kind == "LaneArray" else INT
        array = ir.ArrayType(element, max(size, 1))
        code = start.alloca(array)
        if zero:
            start.store(ir.Constant(array, None), code)
        code.type = POINTER  # one without a type, so that vectors and single numbers can be read from it
        return Value(kind, code)

    def load(self, build: ir.IRBuilder, array: Value, place: Value, lane: Value | None) -> Value:
        """What stands at a place of an array."""
        kind, element = self._element(array, lane)
        return Value(kind, build.load(self._address(build, array, place, lane), typ=element))

    def store(self, build: ir.IRBuilder, array: Value, place: Value, lane: Value | None, value: Value) -> None:
        """Put a value at a place of an array."""
        kind, _ = self._element(array, lane)
        build.store(self.cast(build, value, kind).code, self._address(build, array, place, lane))

    def _element(self, array: Value, lane: Value | None) -> tuple[str, ir.Type]:
        if array.kind == "LaneArray":
            return ("Lanes", self.vector) if lane is None else ("Float", DOUBLE)
        return ("Float", DOUBLE) if array.kind == "Floats" else ("Int", INT)

    def _address(self, build: ir.IRBuilder, array: Value, place: Value, lane: Value | None) -> Any:
        if array.kind == "LaneArray" and lane is None:
            return build.gep(array.code, [place.code], source_etype=self.vector)
        at = place.code
        if lane is not None:
            at = build.add(build.mul(at, ir.Constant(INT, self.lanes)), lane.code)
        return build.gep(array.code, [at], source_etype=INT if array.kind == "Ints" else DOUBLE)

    # words

    def call(self, build: ir.IRBuilder, name: str, values: list[Value]) -> Value | None:
        """A word of the language applied to values; None if there is no such word."""
        word = getattr(self, f"_word_{name}", None)
        return None if word is None else word(build, *values)

    def _word_exp(self, build: ir.IRBuilder, value: Value) -> Value:
        kind, codes = self.alike(build, value)
        return Value(kind, build.call(self.functions[kind]["exp"], codes))

    def _word_log(self, build: ir.IRBuilder, value: Value) -> Value:
        kind, codes = self.alike(build, value)
        return Value(kind, build.call(self.functions[kind]["log"], codes))

    def _word_sqrt(self, build: ir.IRBuilder, value: Value) -> Value:
        return self._root(build, value)

    def _root(self, build: ir.IRBuilder, value: Value) -> Value:
        return Value(value.kind, self._instruction(build, "sqrt", [value.code]))

    def _word_abs(self, build: ir.IRBuilder, value: Value) -> Value:
        return Value(value.kind, self._instruction(build, "fabs", [value.code]))

    def _instruction(self, build: ir.IRBuilder, name: str, codes: list[Any]) -> Any:
        """An operation that the processor has, by LLVM's name for it."""
        type_ = codes[0].type
        width = f"v{self.lanes}f64" if isinstance(type_, ir.VectorType) else "f64"
        form = ir.FunctionType(type_, [type_] * len(codes))
        return build.call(self.module.declare_intrinsic(f"llvm.{name}.{width}", fnty=form), codes)

    def _word_max(self, build: ir.IRBuilder, a: Value, b: Value) -> Value:
        return self._word_where(build, self.compare(build, ">", b, a), b, a)  # Python's rule, also for NaN

    def _word_min(self, build: ir.IRBuilder, a: Value, b: Value) -> Value:
        return self._word_where(build, self.compare(build, "<", b, a), b, a)

    def _word_lanes(self, build: ir.IRBuilder, value: Value) -> Value:
        return self.cast(build, value, "Lanes")

    def _word_part(self, build: ir.IRBuilder, array: Value, start: Value) -> Value:
        element = {"LaneArray": self.vector, "Floats": DOUBLE, "Ints": INT}[array.kind]
        return Value(array.kind, build.gep(array.code, [start.code], source_etype=element))

    def _word_halted(self, build: ir.IRBuilder, flag: Value) -> Value:
        # atomic, or the compiler reads it once before the loop and never again
        halted = build.load_atomic(flag.code, "monotonic", 8, typ=INT)
        return Value("Bool", build.icmp_signed("!=", halted, ir.Constant(INT, 0)))

    def _word_float(self, build: ir.IRBuilder, value: Value) -> Value:
        return self.cast(build, value, "Float")

    def _word_int(self, build: ir.IRBuilder, value: Value) -> Value:
        return Value("Int", build.fptosi(value.code, INT))

    def _word_where(self, build: ir.IRBuilder, mask: Value, yes: Value, no: Value) -> Value:
        kind, (a, b) = self.alike(build, yes, no)
        if mask.kind == "Mask" and kind in ("Float", "Int"):
            kind, (a, b) = "Lanes", [self.cast(build, v, "Lanes").code for v in (yes, no)]
        return Value(kind, build.select(mask.code, a, b))

    def _word_any_lane(self, build: ir.IRBuilder, mask: Value) -> Value:
        if self.lanes == 1:
            return Value("Bool", mask.code)
        bits = ir.IntType(self.lanes)
        return Value("Bool", build.icmp_unsigned("!=", build.bitcast(mask.code, bits), ir.Constant(bits, 0)))

    def _word_in_lane(self, build: ir.IRBuilder, mask: Value, lane: Value) -> Value:
        return Value("Bool", mask.code if self.lanes == 1 else build.extract_element(mask.code, lane.code))

    def _word_first_lane(self, build: ir.IRBuilder, value: Value) -> Value:
        if self.lanes == 1:
            return value
        wide = value.code.type
        code = build.shuffle_vector(value.code, ir.Constant(wide, ir.Undefined), self._places([0] * self.lanes))
        return Value(value.kind, code)

    def _word_finite(self, build: ir.IRBuilder, value: Value) -> Value:
        return self.compare(build, "<", self._word_abs(build, value), self.constant(float("inf")))

    def _places(self, places: list[int]) -> ir.Constant:
        return ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places)
