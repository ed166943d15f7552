"""Registry of the experiments: every module of `experiments/` that asks a question in its first line."""

import ast
import importlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..parameters.errors import unknown

if TYPE_CHECKING:  # the list of questions needs neither model nor figures
    from .experiment_report import Reporter

_FOLDER = Path(__file__).parent.parent / "experiments"


@dataclass(frozen=True)
class Entry:
    """An experiment by name, with its question and about how long it takes on two cores."""

    name: str
    question: str
    time: str


@cache
def all_experiments() -> tuple[Entry, ...]:
    """Every experiment: a module with a `TIME` whose docstring opens with a question. Nothing is imported."""
    entries = []
    for path in sorted(_FOLDER.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        times = [
            node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            and any(isinstance(target, ast.Name) and target.id == "TIME" for target in node.targets)
        ]  # fmt: skip
        first = (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")
        if times and first.endswith("?"):
            entries.append(Entry(path.stem, first, str(times[0])))
    return tuple(entries)


def find_report(name: str) -> "Reporter":
    """The function of an experiment that simulates and returns its report.

    Raises
    ------
    UnknownNameError
        If there is no such experiment.
    """
    names = [entry.name for entry in all_experiments()]
    if name not in names:
        problem = unknown("experiment", name, names)
        raise type(problem)(f"{problem} 'perdure experiments' lists them.")
    return importlib.import_module(f"perdure.experiments.{name}").report


def checked_experiments() -> tuple[str, ...]:
    """Names of the experiments with published findings (`findings`). Nothing is imported."""
    names = []
    for entry in all_experiments():
        tree = ast.parse((_FOLDER / f"{entry.name}.py").read_text(encoding="utf-8"))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        names += [entry.name] if {"report", "findings"} <= functions else []
    return tuple(names)


def find_checked(name: str) -> "Reporter":
    """The same for an experiment with published findings to check.

    Raises
    ------
    UnknownNameError
        If there is no such experiment, or it has no published findings to check.
    """
    report = find_report(name)
    if name not in checked_experiments():
        raise unknown("experiment with known findings", name, checked_experiments())
    return report
