"""Every public name is described for the person who uses it, and its example runs as it is printed."""

import doctest
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import perdure
from perdure.model.statistics.survival import SurvivalCurve
from perdure.parameters import errors

NAMES = tuple(perdure._HOME)
PUBLIC: dict[str, Any] = {name: getattr(perdure, name) for name in NAMES}
MODULES = tuple(name for name, it in PUBLIC.items() if isinstance(it, ModuleType))
CLASSES = tuple(name for name, it in PUBLIC.items() if inspect.isclass(it))
FUNCTIONS = tuple(name for name in NAMES if name not in {*MODULES, *CLASSES})
VALUES = tuple(name for name in CLASSES if is_dataclass(PUBLIC[name]))

RAISES_NOTHING = {"write_plan"}
"""Functions that have no error of ours to tell of: a plan was checked when it was made."""
ORDER = ("Parameters", "Attributes", "Returns", "Raises", "Examples")
SAME_AS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
HEADING = re.compile(r"^(\w+)\n-{3,}\n", re.MULTILINE)


def sections(text: str) -> dict[str, str]:
    """Text of every section of a docstring, by its heading and in the order in which they stand."""
    _, *parts = HEADING.split(text)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def described(section: str) -> set[str]:
    """Names that a section describes: several may share an entry, and a shape may follow a colon."""
    entries = re.findall(r"^(\S[^:\n]*)", section, re.MULTILINE)
    return {name.strip() for entry in entries for name in entry.split(",")}


def of(name: str) -> dict[str, str]:
    return sections(inspect.getdoc(PUBLIC[name]) or "")


def methods() -> Iterator[tuple[str, Callable[..., Any]]]:
    """What a user calls on a public value, or on the curve that many of them give."""
    for kind in (*(PUBLIC[name] for name in VALUES), SurvivalCurve):
        held = {part.name for part in fields(kind)}
        for name, member in vars(kind).items():
            function = member.__func__ if isinstance(member, classmethod) else member
            called = not name.startswith("_") or name in {"__add__", "__getitem__"}
            if called and name not in held and inspect.isfunction(function):
                yield f"{kind.__name__}.{name}", function


METHODS = dict(methods())


@pytest.mark.parametrize("name", NAMES)
def test_sections_stand_in_one_order_and_the_last_is_an_example(name: str) -> None:
    headings = list(of(name))
    assert headings == [heading for heading in ORDER if heading in headings]
    assert headings[-1:] == ["Examples"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_says_what_it_gives_and_what_can_go_wrong(name: str) -> None:
    found = of(name)
    assert "Returns" in found
    assert ("Raises" in found) != (name in RAISES_NOTHING)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_describes_its_parameters_and_no_others(name: str) -> None:
    assert described(of(name).get("Parameters", "")) == set(inspect.signature(PUBLIC[name]).parameters)


@pytest.mark.parametrize("name", VALUES)
def test_a_value_describes_what_it_holds_and_what_its_check_refuses(name: str) -> None:
    found = of(name)
    assert described(found["Attributes"]) == {part.name for part in fields(PUBLIC[name]) if part.init}
    assert ("Raises" in found) == hasattr(PUBLIC[name], "__post_init__")


def test_the_errors_that_are_told_of_are_ours() -> None:
    for text in (*map(inspect.getdoc, PUBLIC.values()), *map(inspect.getdoc, METHODS.values())):
        for error in described(sections(text or "").get("Raises", "")):
            if re.fullmatch(r"\w+Error", error):
                assert issubclass(getattr(errors, error), errors.PerdureError)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_what_it_gives(name: str) -> None:
    assert "Returns" in sections(inspect.getdoc(METHODS[name]) or "")


@pytest.mark.parametrize("name", MODULES)
def test_a_public_module_says_what_is_in_it(name: str) -> None:
    module = PUBLIC[name]
    own = {key for key, it in vars(module).items() if getattr(it, "__module__", "") == module.__name__}
    text = inspect.getdoc(module) or ""
    shown = {key for key in own if key[0].islower() and f"`{key}`" not in text}
    assert not shown, f"its docstring does not name {', '.join(sorted(shown))}"


@pytest.mark.parametrize("name", NAMES)
def test_the_example_runs_as_it_is_printed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # an example may write the file that it reads
    (example,) = doctest.DocTestFinder(recurse=False).find(PUBLIC[name], name, globs={})  # it stands alone
    report: list[str] = []
    result = doctest.DocTestRunner(optionflags=SAME_AS).run(example, out=report.append)
    assert result.attempted > 0
    assert result.failed == 0, "".join(report)
