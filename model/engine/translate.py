"""From restricted Python to LLVM: the functions of the integrator and the generated equations as vector code.

Source of functions goes in, an LLVM module comes out (`lanes` tells what the source may say). Every operation is one
IEEE operation per lane, in the order of the source, so that the bits do not depend on the number of lanes. A product
that is added to something at once is fused with the sum (one rounding), in the same way everywhere.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from llvmlite import ir

from .words import ARRAYS, INT, TranslationError, Value, Words

# Expressions of the integrators' language, while one function is translated.


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
        value = self.words.call(self.build, name, values)
        if value is None:
            self._fail(node, f"the word '{name}' is not known")
        return value

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


def translate(source: str, lanes: int, outside: Sequence[str]) -> ir.Module:
    """LLVM module of all functions of the source; those named in `outside` can be called from Python.

    Raises
    ------
    TranslationError
        If the source uses a word or a form that `lanes` does not describe.
    """
    words = Words(lanes)
    constants: dict[str, Any] = {"LANES": lanes}
    functions: dict[str, _Function] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign):
            exec(compile(ast.Module([node], []), "constants", "exec"), {}, constants)
        elif isinstance(node, ast.FunctionDef):
            functions[node.name] = _Function(node, words, constants, functions, node.name in outside)
        elif not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr):
            raise TranslationError(f"line {node.lineno}: {type(node).__name__} does not belong at the top of a source.")
    return words.module


class _Function(Expressions):
    """A function and its statements."""

    def __init__(
        self,
        node: ast.FunctionDef,
        words: Words,
        constants: Mapping[str, Any],
        known: Mapping[str, Expressions],
        outside: bool,
    ) -> None:
        super().__init__(node, words, constants, known, outside)
        self.loops: list[tuple[ir.Block, ir.Block]] = []
        self._block(node.body)
        if not self._left:
            if self.returns != "Nothing":
                self._fail(node, f"'{node.name}' may end without returning a {self.returns}")
            self.build.ret_void()
        self.start.branch(self.code.blocks[1])

    @property
    def _left(self) -> bool:
        """Whether the code being written has already jumped elsewhere."""
        block: Any = self.build.block
        return block.is_terminated

    # statements

    def _block(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            if self._left:
                return
            handler: Callable[[Any], None] | None = getattr(self, f"_do_{type(statement).__name__.lower()}", None)
            if handler is None:
                self._fail(statement, f"the statement {type(statement).__name__} is not known")
            handler(statement)

    def _do_expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self._value(node.value)

    def _do_pass(self, _node: ast.Pass) -> None:
        return

    def _do_assign(self, node: ast.Assign) -> None:
        target, value = node.targets[0], self._value(node.value)
        if isinstance(target, ast.Name):
            self._assign(target.id, value)
        elif isinstance(target, ast.Subscript):
            array, place, lane = self._place(target)
            self.words.store(self.build, array, place, lane, value)
        else:
            self._fail(node, "give one value to one name")

    def _do_augassign(self, node: ast.AugAssign) -> None:
        changed = ast.BinOp(node.target, node.op, node.value)
        self._do_assign(ast.Assign([node.target], ast.copy_location(changed, node)))

    def _do_return(self, node: ast.Return) -> None:
        if node.value is None:
            self.build.ret_void()
        else:
            self.build.ret(self.words.cast(self.build, self._value(node.value), self.returns).code)

    def _do_if(self, node: ast.If) -> None:
        yes, no, after = (self.code.append_basic_block(name) for name in ("then", "otherwise", "after"))
        self._branch(node.test, yes, no)
        for block, body in ((yes, node.body), (no, node.orelse)):
            self.build.position_at_end(block)
            self._block(body)
            if not self._left:
                self.build.branch(after)
        self.build.position_at_end(after)

    def _do_while(self, node: ast.While) -> None:
        test, body, after = (self.code.append_basic_block(name) for name in ("test", "loop", "after"))
        self.build.branch(test)
        self.build.position_at_end(test)
        self._branch(node.test, body, after)
        self._loop(node.body, body, test, after)

    def _do_for(self, node: ast.For) -> None:
        count = node.iter
        if not (isinstance(count, ast.Call) and isinstance(count.func, ast.Name) and count.func.id == "range"):
            self._fail(node, "loops run over range(...)")
        if not isinstance(node.target, ast.Name):
            self._fail(node, "a loop has one variable")
        bounds = [self._value(bound) for bound in count.args]
        first, last = bounds if len(bounds) == 2 else (Value("Int", ir.Constant(INT, 0)), bounds[0])
        self._assign(node.target.id, first)
        test, body, step, after = (self.code.append_basic_block(name) for name in ("test", "loop", "next", "after"))
        self.build.branch(test)
        self.build.position_at_end(test)
        here = self._name(node.target.id, node)
        self.build.cbranch(self.build.icmp_signed("<", here.code, last.code), body, after)
        self._loop(node.body, body, step, after)
        self.build.position_at_end(step)
        here = self._name(node.target.id, node)
        self._assign(node.target.id, Value("Int", self.build.add(here.code, ir.Constant(INT, 1))))
        self.build.branch(test)
        self.build.position_at_end(after)

    def _loop(self, statements: Sequence[ast.stmt], body: ir.Block, again: ir.Block, after: ir.Block) -> None:
        self.loops.append((again, after))
        self.build.position_at_end(body)
        self._block(statements)
        if not self._left:
            self.build.branch(again)
        self.loops.pop()
        self.build.position_at_end(after)

    def _do_continue(self, _node: ast.Continue) -> None:
        self.build.branch(self.loops[-1][0])

    def _do_break(self, _node: ast.Break) -> None:
        self.build.branch(self.loops[-1][1])

    def _branch(self, node: ast.expr, yes: ir.Block, no: ir.Block) -> None:
        """Jump by a condition; the right side of `and` and `or` is looked at only if it matters."""
        if isinstance(node, ast.BoolOp):
            for part in node.values[:-1]:
                more = self.code.append_basic_block("and_or")
                self._branch(part, *((more, no) if isinstance(node.op, ast.And) else (yes, more)))
                self.build.position_at_end(more)
            self._branch(node.values[-1], yes, no)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            self._branch(node.operand, no, yes)
        else:
            test = self._value(node)
            if test.kind != "Bool":
                self._fail(node, f"a branch needs one yes or no for all lanes, not a {test.kind}")
            self.build.cbranch(test.code, yes, no)
