"""From restricted Python to LLVM: the functions of the integrator and the generated equations as vector code.

Source of functions goes in, an LLVM module comes out (`lanes` tells what the source may say). Every operation is one
IEEE operation per lane, in the order of the source, so that the bits do not depend on the number of lanes. A product
that is added to something at once is fused with the sum (one rounding), in the same way everywhere.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llvmlite import ir

from .expressions import Expressions
from .words import INT, TranslationError, Value, Words


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
