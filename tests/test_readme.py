"""The pages tell the truth: their Python runs as written, their examples are read, their commands and links exist."""

import ast
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import perdure
from perdure import Sizes
from perdure.app.main import app
from perdure.fitting.studies import read_study
from perdure.model.engine import lanes
from perdure.model.engine.processor import Library, machine_code
from perdure.model.engine.translate import translate
from perdure.model.engine.words import Words
from perdure.model.regimens import rules
from perdure.model.regimens.regimen import Regimen
from perdure.model.simulate import simulate
from perdure.model.therapy import read_therapy
from perdure.parameters.parameter_set import read_set
from perdure.parameters.population import read_population
from perdure.reports.registry import all_experiments

ROOT = Path(__file__).resolve().parent.parent
README, RECIPES = ROOT / "README.md", ROOT / "docs" / "extending.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS, *DECISIONS]
COMMANDS = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
RUN = "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/perdure run"
TEST = 'python3 -m venv .venv && .venv/bin/pip install -e ".[test]" && .venv/bin/pytest'
READERS: dict[str, Callable[[str], object]] = {
    "parameters/sets": read_set,
    "parameters/populations": lambda file: read_population(Path(file)),
    "model/therapies": read_therapy,
    "fitting/evidence": read_study,
}


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL)


every_page = pytest.mark.parametrize("page", PAGES, ids=named)


@pytest.mark.parametrize("command", [RUN, TEST])
def test_each_command_of_the_readme_is_a_line_that_stands_alone(command: str) -> None:
    assert text_of(README).splitlines().count(command) == 1


def test_the_readme_says_what_perdure_is_not() -> None:
    assert "A research and design tool. Not medical advice." in text_of(README)


def test_the_python_of_the_readme_is_five_lines_and_prints_what_it_promises(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks(README, "python")
    assert len(code.splitlines()) == 5
    exec(compile(code, "README.md", "exec"), {})
    number = r"(?:\d+\.\d|inf)"  # a median or its bound may not be reached
    answer = rf"median PFS {number} months \({number}(?:,| to) {number}\), at risk \[\d+\.[ 0-9.]+\]\n"
    assert re.fullmatch(answer, capsys.readouterr().out)


@pytest.mark.parametrize("page", [page for page in DOCS if page != RECIPES and blocks(page, "python")], ids=named)
def test_the_python_of_a_page_runs_as_written(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks(page, "python"))  # a page is read from top to bottom
    exec(compile(code, named(page), "exec"), {})
    assert capsys.readouterr().out


def test_every_example_file_of_the_recipes_is_read_as_written(tmp_path: Path) -> None:
    seen = set()
    for example in blocks(RECIPES, "toml"):
        path = Path(example.splitlines()[0].removeprefix("# "))
        assert not (ROOT / path).exists(), "an example would overwrite what is there"
        file = tmp_path / path.name
        file.write_text(example, encoding="utf-8")
        READERS[path.parent.as_posix()](str(file))
        seen.add(path.parent.as_posix())
    assert seen == set(READERS)


def test_the_example_experiment_of_the_recipes_asks_a_question_and_runs_small() -> None:
    (code,) = (code for code in blocks(RECIPES, "python") if code.startswith("# experiments/"))
    question = ast.get_docstring(ast.parse(code)) or ""
    assert question.endswith("?")
    space: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "extending.md", "exec"), space)
    comparison = space["run"]((2.0,), sizes=Sizes(20, 2, 10), months=12.0)
    assert [arm.name for arm in comparison.arms] == ["as calibrated", "growth x 2"]
    assert comparison.gain("growth x 2", comparison.measures[-2]).value < 0.0
    assert {"report", "findings", "TIME"} <= space.keys()


def recipe(path: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """What the example of the recipes for a file defines, where these names are known."""
    (code,) = (code for code in blocks(RECIPES, "python") if code.startswith(f"# {path}"))
    space = dict(names)
    exec(compile(code, "extending.md", "exec"), space)
    return space


def test_the_example_condition_of_the_recipes_sees_what_it_should() -> None:
    condition = recipe("model/regimens/rules.py", vars(rules))["doubled"]("tumour", days=30.0)
    days, courses = np.array([0.0, 28.0, 56.0]), np.array([[1.0, 3.0, 6.5], [1.0, 3.0, 5.5], [1.0, 0.1, np.nan]])
    look = rules.Look(days, np.zeros(3, dtype=np.int64), {"tumour": courses}, {})
    assert condition.holds(look).tolist() == [True, False, False]


def test_the_example_problem_of_the_recipes_has_the_solution_that_it_says() -> None:
    package = {"__name__": "perdure.model.dimerisation", "__package__": "perdure.model"}
    problem = recipe("model/dimerisation", package)["dimerisation"]()
    solution = simulate(problem.parameters, Regimen(()), times=[problem.until], system=problem.system)
    for name, right in problem.reference.items():
        assert solution[name][0, -1] == pytest.approx(right, rel=1e-5)


def test_the_example_word_of_the_recipes_means_the_same_in_vector_code_as_in_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_python = recipe("model/engine/lanes.py", vars(lanes))["floor"]
    in_vectors = recipe("model/engine/words.py", vars(sys.modules[Words.__module__]))["_word_floor"]
    monkeypatch.setattr(Words, "_word_floor", in_vectors, raising=False)
    source = "def run(given: Floats, out: Floats):\n    for i in range(3):\n        out[i] = floor(given[i])\n"
    library = Library(machine_code(translate(source, 4, ["run"])), {"run": ["Floats", "Floats"]})
    given, out = np.array([-2.5, 0.0, 3.7]), np.empty(3)
    library.functions["run"](given.ctypes.data, out.ctypes.data)
    assert out.tolist() == [in_python(value) for value in given.tolist()]


def test_every_name_of_the_front_door_stands_on_the_page_about_python() -> None:
    text = text_of(ROOT / "docs" / "python.md")
    assert not [name for name in perdure._HOME if f"`{name}`" not in text]


@every_page
def test_every_link_to_a_heading_leads_there(page: Path) -> None:
    for file, heading in re.findall(r"(?<!!)\[[^\]]*\]\(([^)#:]*)#([^)]+)\)", text_of(page)):
        there = text_of(page.parent / file if file else page)
        titles = re.findall(r"^#+ (.*)$", there, re.MULTILINE)
        assert heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles], heading


@every_page
def test_python_that_is_shown_is_python(page: Path) -> None:
    for code in blocks(page, "python"):
        compile(code, named(page), "exec")


@every_page
def test_every_link_to_a_file_leads_there(page: Path) -> None:
    for target in re.findall(r"(?<!!)\[[^\]]*\]\(([^)#]+)(?:#[^)]*)?\)", text_of(page)):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@every_page
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    assert set(re.findall(r"(?:`|bin/)perdure ([a-z]+)", text_of(page))) <= COMMANDS


@every_page
def test_every_file_of_the_repository_that_a_page_names_exists(page: Path) -> None:
    folders = "parameters|model|fitting|experiments|app|tests|docs|benchmarks"
    for path in re.findall(rf"`((?:{folders})/[A-Za-z0-9_./]*)`", text_of(page)):
        assert (ROOT / path).exists(), path


def test_every_page_of_the_documentation_is_on_its_first_page() -> None:
    index = text_of(ROOT / "docs" / "index.md")
    for page in DOCS:
        assert page.name == "index.md" or f"]({page.name})" in index


def test_every_experiment_stands_on_the_page_of_experiments_with_its_question() -> None:
    text = text_of(ROOT / "docs" / "experiments.md")
    missing = [e.name for e in all_experiments() if f"| `{e.name}` | {e.question} ({e.time}) |" not in text]
    assert not missing


def test_every_option_that_the_page_on_the_command_line_names_exists() -> None:
    known = {
        "--" + name.replace("_", "-")
        for command in app.registered_commands
        if command.callback
        for name in inspect.signature(command.callback).parameters
    }
    named_there = set(re.findall(r"`(--[a-z-]+)`", text_of(ROOT / "docs" / "command_line.md")))
    assert named_there <= known | {"--help", "--version"}
    assert named_there
