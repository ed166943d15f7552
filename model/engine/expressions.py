"""Expressions of the integrators' language, while one function is translated."""

import ast
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from llvmlite import ir

from .words import ARRAYS, TranslationError, Value, Words

_OPERATIONS = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow"}
_RELATIONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}


class Expressions:
    """One function: what a caller needs to know of it, its variables, and what its expressions become."""

    def __init__(
        self,
        node: ast.FunctionDef,
        words: Words,
        constants: Mapping[str, Any],
        known: "Mapping[str, Expressions]",
        outside: bool,
    ) -> None:
        self.words, self.constants, self.known, self.name = words, constants, known, node.name
        self.arguments = [(a.arg, _kind(a.annotation, "LaneArray")) for a in node.args.args]
        self.returns = _kind(node.returns, "Nothing")
        types = [words.type_of(kind) for _, kind in self.arguments]
        self.code = ir.Function(words.module, ir.FunctionType(words.type_of(self.returns), types), node.name)
        self.code.linkage = "external" if outside else "internal"
        self.values: dict[str, Value] = {}
        self.places: dict[str, Value] = {}
        self.start = ir.IRBuilder(self.code.append_basic_block("entry"))
        self.build = ir.IRBuilder(self.code.append_basic_block("body"))
        for (name, kind), argument in zip(self.arguments, self.code.args, strict=True):
            if kind in ARRAYS:
                argument.add_attribute("noalias")
                self.values[name] = Value(kind, argument)
            else:
                self._assign(name, Value(kind, argument))

    def _value(self, node: ast.expr) -> Value:
        handler: Callable[[Any], Value] | None = getattr(self, f"_of_{type(node).__name__.lower()}", None)
        if handler is None:
            self._fail(node, f"the expression {type(node).__name__} is not known")
        return handler(node)

    def _of_constant(self, node: ast.Constant) -> Value:
        return self.words.constant(node.value)

    def _of_name(self, node: ast.Name) -> Value:
        return self._name(node.id, node)

    def _of_subscript(self, node: ast.Subscript) -> Value:
        return self.words.load(self.build, *self._place(node))

    def _of_unaryop(self, node: ast.UnaryOp) -> Value:
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            return self.words.constant(-node.operand.value)  # type: ignore[operator]
        value = self._value(node.operand)
        if isinstance(node.op, ast.USub):
            return self.words.negative(self.build, value)
        if isinstance(node.op, ast.Invert | ast.Not):
            return Value(value.kind, self.build.not_(value.code))
        self._fail(node, "only -x, ~mask and not are known")

    def _of_binop(self, node: ast.BinOp) -> Value:
        if isinstance(node.op, ast.BitAnd | ast.BitOr):
            left, right = self._value(node.left), self._value(node.right)
            join = self.build.and_ if isinstance(node.op, ast.BitAnd) else self.build.or_
            return Value(left.kind, join(left.code, right.code))
        name = _OPERATIONS.get(type(node.op))
        if name is None:
            self._fail(node, f"the operation {type(node.op).__name__} is not known")
        if name == "pow" and isinstance(node.right, ast.Constant):
            return self.words.power_of_number(self.build, self._value(node.left), node.right.value)  # type: ignore[arg-type]
        if name in ("add", "sub"):
            fused = self._fused(node, name)
            if fused is not None:
                return fused
        return self.words.operate(self.build, name, self._value(node.left), self._value(node.right))

    def _fused(self, node: ast.BinOp, name: str) -> Value | None:
        """A * b + c, c + a * b, a * b - c or c - a * b with one rounding; None if there is no product of numbers."""
        for product, other, first in ((node.left, node.right, True), (node.right, node.left, False)):
            if isinstance(product, ast.BinOp) and isinstance(product.op, ast.Mult):
                a, b, c = self._value(product.left), self._value(product.right), self._value(other)
                if a.kind == b.kind == "Int":
                    return None
                if name == "sub":
                    a, c = (a, self.words.negative(self.build, c)) if first else (self.words.negative(self.build, a), c)
                return self.words.fused(self.build, a, b, c)
        return None

    def _of_compare(self, node: ast.Compare) -> Value:
        if len(node.ops) != 1:
            self._fail(node, "compare two values at a time")
        left, right = self._value(node.left), self._value(node.comparators[0])
        return self.words.compare(self.build, _RELATIONS[type(node.ops[0])], left, right)

    def _of_call(self, node: ast.Call) -> Value:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("lane_array", "lane_scratch", "int_array"):
            kind = "Ints" if name == "int_array" else "LaneArray"
            return self.words.memory(self.start, kind, self._fixed(node.args[0]), zero=name != "lane_scratch")
        values = [self._value(argument) for argument in node.args]
        if name in self.known:
            target = self.known[name]
            if len(values) != len(target.arguments):
                self._fail(node, f"'{name}' takes {len(target.arguments)} arguments, got {len(values)}")
            given = [self.words.cast(self.build, v, k) for v, (_, k) in zip(values, target.arguments, strict=True)]
            return Value(target.returns, self.build.call(target.code, [value.code for value in given]))
        found = self.words.call(self.build, name, values)
        if found is None:
            self._fail(node, f"the word '{name}' is not known")
        return found

    # names and places

    def _fixed(self, node: ast.expr) -> int:
        """A size that is known when the code is written."""
        return int(eval(compile(ast.Expression(node), "size", "eval"), {"max": max}, self.constants))

    def _name(self, name: str, node: ast.AST) -> Value:
        if name in self.values:
            return self.values[name]
        if name in self.places:
            place = self.places[name]
            return Value(place.kind, self.build.load(place.code, typ=self.words.type_of(place.kind)))
        if name in self.constants:
            return self.words.constant(self.constants[name])
        self._fail(node, f"'{name}' has no value here")

    def _assign(self, name: str, value: Value) -> None:
        if value.kind in ARRAYS:
            self.values[name] = value
            return
        if name not in self.places:
            kind = "Float" if value.kind == "Number" else value.kind
            self.places[name] = Value(kind, self.start.alloca(self.words.type_of(kind)))
        place = self.places[name]
        self.build.store(self.words.cast(self.build, value, place.kind).code, place.code)

    def _place(self, node: ast.Subscript) -> tuple[Value, Value, Value | None]:
        array = self._value(node.value)
        if array.kind not in ARRAYS:
            self._fail(node, f"a {array.kind} has no places")
        if isinstance(node.slice, ast.Tuple):
            place, lane = (self._value(part) for part in node.slice.elts)
            return array, place, lane
        return array, self._value(node.slice), None

    def _fail(self, node: ast.AST, why: str) -> NoReturn:
        raise TranslationError(f"function '{self.name}', line {getattr(node, 'lineno', 0)}: {why}.")


def _kind(annotation: ast.expr | None, otherwise: str) -> str:
    if annotation is None:
        return otherwise
    if isinstance(annotation, ast.Constant) and annotation.value is None:
        return "Nothing"
    return ast.unparse(annotation)
