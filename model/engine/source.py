"""The engine's source for a system: its generated equations and, written against them, everything that integrates.

The whole is one text in the language of `lanes`. The compiler translates it; where there is none it runs as it is.
"""

import ast
import inspect
from dataclasses import dataclass
from functools import cache, lru_cache
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from ..system.system import System
from . import drug_levels, eradication, explicit, follow, markers, observation, rosenbrock, seats, watch
from .codegen import generate

ENTRIES = ("follow", "observe_rows", "eradicate")
"""Functions that are called from outside."""
METHODS = {"explicit": explicit, "stiff": rosenbrock}
"""Integrators by name."""
_SIZES = "N_STATES, N_CONSTANTS, N_FORCED, N_OBSERVED, N_BRANCHING, N_EXCHANGE, N_ENTRIES, N_FACTORS, N_MARKERS"


class Engine(Protocol):
    """What runs the source: compiled, or as plain Python."""

    @property
    def name(self) -> str:
        """Its name in `Solver`."""
        ...

    @property
    def parameters(self) -> tuple[str, ...]:
        """Order in which it wants the parameters."""
        ...

    @property
    def sizes(self) -> dict[str, int]:
        """Its whole-number constants by name."""
        ...

    def call(self, name: str, *arguments: float | np.ndarray) -> None:
        """Call one of the entries."""
        ...


@dataclass(frozen=True)
class Source:
    """Source, the order in which it wants the parameters, and the kinds of its entries' arguments by name."""

    text: str
    parameters: tuple[str, ...]
    arguments: dict[str, dict[str, str]]

    def sizes(self, lanes: int) -> dict[str, int]:
        """Its whole-number constants by name, for a number of lanes."""
        constants: dict[str, Any] = {"LANES": lanes}
        assignments: list[ast.stmt] = [node for node in _parsed(self.text) if isinstance(node, ast.Assign)]
        exec(compile(ast.Module(assignments, []), "sizes", "exec"), {}, constants)
        return {name: value for name, value in constants.items() if isinstance(value, int)}


@lru_cache(maxsize=128)
def engine_source(system: System, terms: int, method: str = "explicit") -> Source:
    """Write the source for a system; `terms` is the largest number of exponentials of a drug."""
    code = generate(system, stiff=method == "stiff")
    sizes = f"N_PARAMETERS, N_DRUGS, N_TERMS = {len(code.parameters)}, {len(system.inputs)}, {terms}\n{_SIZES} = SIZES"
    modules = (drug_levels, markers, METHODS[method], watch, seats, follow, observation, eradication)
    own = "\n\n\n".join(_definitions(module) for module in modules)
    text = f"{code.source}\n\n{sizes}\n\n\n{own}\n"
    arguments = {
        node.name: {a.arg: ast.unparse(a.annotation) if a.annotation else "LaneArray" for a in node.args.args}
        for node in _parsed(text)
        if isinstance(node, ast.FunctionDef) and node.name in ENTRIES
    }
    return Source(text, code.parameters, arguments)


@lru_cache(maxsize=1)
def _parsed(text: str) -> list[ast.stmt]:
    """Statements of a source, which is read twice in a row."""
    return ast.parse(text).body


@cache
def _definitions(module: ModuleType) -> str:
    """Source of a module without its docstring and imports: what it needs stands before it in the same source."""
    text = inspect.getsource(module)
    lines = text.splitlines()
    kept = [node for node in ast.parse(text).body if not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr)]
    return "\n\n\n".join("\n".join(lines[node.lineno - 1 : node.end_lineno]) for node in kept)
