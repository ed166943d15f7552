"""What a newcomer installs: the project's own files say the same thing everywhere, and leave nothing out."""

import ast
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import mypy.api
import pytest

import perdure

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
METADATA = PROJECT["project"]
FLOORS = ("parameters", "model", "fitting", "experiments", "app")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_version_is_the_same_wherever_it_stands() -> None:
    version = METADATA["version"]
    cited = re.search(r"^version: (\S+)$", text_of("CITATION.cff"), re.MULTILINE)
    assert cited is not None
    assert cited[1] == version
    newest = re.search(r"^## .*$", text_of("CHANGELOG.md"), re.MULTILINE)
    assert newest is not None
    assert version in newest[0] or "Unreleased" in newest[0]
    assert perdure.__version__ == version, "reinstall perdure: the installed version is another one"


def test_the_licence_is_apache_2_in_full() -> None:
    licence = text_of("LICENSE")
    assert METADATA["license"] == "Apache-2.0"
    assert "license: Apache-2.0" in text_of("CITATION.cff").splitlines()
    for part in ("Apache License", "Version 2.0, January 2004", "9. Accepting Warranty", "END OF TERMS AND CONDITIONS"):
        assert part in licence


@pytest.mark.parametrize("requirement", METADATA["dependencies"])
def test_a_dependency_is_pinned_from_below_only(requirement: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]+>=[0-9.]+", requirement)


def test_every_library_that_the_package_imports_is_a_dependency() -> None:
    declared = {re.split(r"[^A-Za-z0-9_-]", requirement)[0] for requirement in METADATA["dependencies"]}
    imported = {
        name
        for path in [ROOT / "__init__.py", *(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in top_names(node)
    }
    assert imported - set(sys.stdlib_module_names) - {"perdure"} <= declared


def top_names(node: ast.AST) -> list[str]:
    """First part of what an absolute import asks for."""
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module.partition(".")[0]]
    return []


def test_the_command_is_a_function_of_the_app() -> None:
    module, _, function = METADATA["scripts"]["perdure"].partition(":")
    source = ROOT.joinpath(*module.split(".")[1:]).with_suffix(".py").read_text(encoding="utf-8")
    assert function in {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}


def test_the_checks_run_the_test_command_of_the_readme() -> None:
    assert 'python3 -m venv .venv && .venv/bin/pip install -e ".[test]" && .venv/bin/pytest' in text_of("README.md")
    checks = text_of(".ci/run")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    steps = ['-m venv "$work/venv"', 'pip" install -q -e ".[test]"', 'venv/bin/pytest"']
    assert [checks.count(step) for step in steps] == [1, 1, 1]
    assert sorted(steps, key=checks.index) == steps


def test_the_checker_finds_the_package_through_the_committed_link() -> None:
    link = ROOT / ".typing" / "perdure"
    assert PROJECT["tool"]["pyright"]["extraPaths"][0] == link.parent.name
    assert link.resolve() == ROOT


def test_a_checker_knows_the_type_of_everything_in_the_program_of_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [program] = re.findall(r"```python\n(.*?)```", text_of("README.md"), flags=re.DOTALL)
    names = {
        target.id
        for node in ast.walk(ast.parse(program))
        if isinstance(node, ast.Assign)
        for whole in node.targets
        for target in ast.walk(whole)
        if isinstance(target, ast.Name)
    }
    reveal = [*sorted(names), *(alias.name for node in ast.parse(program).body if isinstance(node, ast.ImportFrom)
                                for alias in node.names)]  # fmt: skip
    file = tmp_path / "program.py"
    file.write_text(program + "".join(f"reveal_type({name})\n" for name in reveal), encoding="utf-8")
    monkeypatch.setenv("MYPYPATH", str(ROOT / ".typing"))
    options = ["--strict", "--follow-imports=silent", f"--cache-dir={tmp_path / 'cache'}"]
    said, errors, code = mypy.api.run([*options, str(file)])
    assert code == 0, said + errors
    revealed = re.findall(r'Revealed type is "(.*)"', said)
    assert len(revealed) == len(reveal)
    assert not [text for text in revealed if re.search(r"\bAny\b", text)]


def test_a_long_test_runs_only_when_asked_for(pytestconfig: pytest.Config) -> None:
    options = PROJECT["tool"]["pytest"]["ini_options"]
    assert [marker.partition(":")[0] for marker in options["markers"]] == ["long"]
    assert options["addopts"][-2:] == ["-m", "not long"]
    assert "--strict-markers" in options["addopts"]
    assert pytestconfig.getoption("importmode") == "importlib"
