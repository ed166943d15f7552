"""The house rules of CONTRIBUTING.md, read from the source: who may import what, from where, and how long a file is."""

import ast
import fnmatch
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import perdure

ROOT = Path(__file__).resolve().parent.parent

# From the ground up: a floor may import itself and what stands before it.
FLOORS = ("parameters", "model", "fitting", "trials", "reports", "experiments", "app")
# The one import that runs up: the last lines of an experiment, by which a script does what the command does.
SCRIPT = ("experiments", "perdure.app.main.run_script")
# Below, files import each other by relative paths; on the roof and beside the house the way a user writes it.
RELATIVE = ("parameters", "model", "fitting", "trials", "reports")
BESIDE = ("tests", "benchmarks", "docs")

# Where a library may be imported, as the beginning of a path. The tests and benchmarks may use any as a referee.
ROOMS = {
    "pint": ("parameters/units.py",),
    "pydantic": ("parameters/", "model/", "fitting/", "trials/"),
    "sympy": ("model/",),
    "llvmlite": ("model/engine/",),
    "distributed": (),
    "dask": (),
    "scipy.integrate": ("model/engine/",),
    "scipy.optimize": ("fitting/",),
    "cma": ("fitting/",),
    "emcee": ("fitting/",),
    "threadpoolctl": ("fitting/calibration/emulator.py",),
    "matplotlib": ("reports/figures/",),
    "jinja2": ("reports/",),
    "typer": ("app/",),
    "rich": ("app/",),
    "lifelines": (),
    "hypothesis": (),
    "pytest": (),
}

# A file longer than this is two files, unless it stands here with the reason why it is one.
MOST_LINES = 600
LONG_FILES: dict[str, str] = {"tests/baselines/groups.py": "every door to a number stands in one list"}

# The first word of a parameter's name says what kind of number it is, or whose amount. A new word is added here.
FIRST_WORDS = {
    "k", "half", "max", "hill", "fraction", "probability", "hazard", "density", "sd", "error", "limit",
    "clearance", "volume", "effect", "weight", "slope", "molar",
    "tumour", "marrow", "car", "effectors", "engagement", "host", "suppression", "blood", "body", "m", "flc",
    "soluble", "immunogenic", "light", "sensitive", "exponent", "transgene",
}  # fmt: skip

MODULES = {"measures", "rules"}
"""Public names that are modules, since their words alone would say too little."""

# A variable bears the name of what it holds; these hold anything.
VAGUE = {"found", "one", "told", "thing", "things", "mine", "stuff"}
# What no reader of the field would write, in code or in prose.
STRANGE = ("freed of", "made anew", "told anew", "learnt anew")

HEAVY = {*ROOMS, "numpy", "scipy", "pandas"}


def python_files(*folders: str) -> list[Path]:
    """Every Python file of these top folders, without caches and hidden folders."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if not is_hidden(path)]


def is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "__pycache__")) for part in path.relative_to(ROOT).parts)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def package_of(path: Path) -> str:
    return ".".join(["perdure", *path.relative_to(ROOT).parent.parts])


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def imports(path: Path) -> tuple[tuple[int, int, str], ...]:
    """What a file imports, read once."""
    return tuple(every_import(path))


def every_import(path: Path) -> Iterator[tuple[int, int, str]]:
    """Line, level (0 is absolute) and full dotted name of each thing a file imports; `perdure.` leads our own names.

    Imports for type checking, `import_module("...")` and `scipy.integrate` written after `import scipy` count too.
    """
    package = ["perdure", *path.relative_to(ROOT).parts[:-1]]
    whole: dict[str, str] = {}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                whole[alias.asname or top] = alias.name if alias.asname else top
                yield node.lineno, 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            for alias in node.names:
                yield node.lineno, node.level, ".".join([*above, *filter(None, [node.module]), alias.name])
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func).rpartition(".")[2]
            if called in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
                yield node.lineno, 0, node.args[0].value
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in whole:
            yield node.lineno, 0, f"{whole[node.value.id]}.{node.attr}"


def inside(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


def floor_of(name: str) -> str | None:
    """Floor of one of our own names; a public name such as `perdure.simulate` stands where it is defined."""
    parts = name.split(".")
    if len(parts) > 1 and parts[1] in perdure._HOME:
        parts = ["perdure", *perdure._HOME[parts[1]].split(".")]
    return parts[1] if len(parts) > 1 and parts[1] in FLOORS else None


def test_an_import_only_ever_runs_down() -> None:
    wrong = [
        f"{named(path)}:{line} imports {name}"
        for height, floor in enumerate(FLOORS)
        for path in python_files(floor)
        for line, _, name in imports(path)
        if inside(name, "perdure") and (above := floor_of(name)) and FLOORS.index(above) > height
        if (floor, name) != SCRIPT
    ]
    assert not wrong


def test_library_folders_import_each_other_by_relative_paths() -> None:
    wrong = [
        f"{named(path)}:{line} imports {name}; write the relative path to where it is defined"
        for path in python_files(*RELATIVE)
        for line, level, name in imports(path)
        if inside(name, "perdure") and (level == 0 or name.split(".")[1] not in {*FLOORS, "__version__"})
    ]
    assert not wrong


def test_experiments_the_app_and_the_tests_import_as_a_user_does() -> None:
    wrong = [
        f"{named(path)}:{line} imports {name} by a relative path; write from perdure..."
        for path in python_files("experiments", "app", *BESIDE)
        for line, level, name in imports(path)
        if level > 0
    ]
    assert not wrong


def test_nothing_in_the_package_imports_what_stands_beside_it() -> None:
    wrong = [
        f"{named(path)}:{line} imports {name}"
        for path in python_files(*FLOORS)
        for line, _, name in imports(path)
        if name.removeprefix("perdure.").partition(".")[0] in BESIDE or name.partition(".")[0] in FLOORS
    ]
    assert not wrong


@pytest.mark.parametrize("library", ROOMS)
def test_a_heavy_library_stays_in_its_room(library: str) -> None:
    wrong = [
        f"{named(path)}:{line} imports {name}; it belongs to {' '.join(ROOMS[library]) or 'the tests'}"
        for path in [ROOT / "__init__.py", *python_files(*FLOORS)]
        for line, _, name in imports(path)
        if inside(name, library) and not named(path).startswith(ROOMS[library])
    ]
    assert not wrong


def test_no_import_hides_inside_a_function_of_the_library() -> None:
    wrong = {
        f"{named(path)}:{node.lineno} imports inside {function.name}"
        for path in python_files(*RELATIVE)
        for function in ast.walk(tree_of(path))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert not wrong


def test_assert_is_for_tests() -> None:
    wrong = [
        f"{named(path)}:{node.lineno}"
        for path in [ROOT / "__init__.py", *python_files(*FLOORS)]
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Assert)
    ]
    assert not wrong


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    ways_out = {"skip", "skipif", "skipIf", "skipUnless", "SkipTest", "xfail", "importorskip", "expectedFailure"}
    wrong = [
        f"{named(path)}:{line} {name}"
        for path in python_files("tests")
        for line, name in attributes_and_imports(path)
        if name in ways_out
    ]
    assert not wrong


def attributes_and_imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of everything taken out of a module or an object."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, alias.name) for alias in node.names)


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    length = {
        named(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in [ROOT / "__init__.py", *python_files(*FLOORS, *BESIDE)]
    }
    too_long = {name: lines for name, lines in length.items() if lines > MOST_LINES}
    assert set(too_long) == set(LONG_FILES), "split the file, or list it in LONG_FILES with the reason"
    assert all(reason.strip() for reason in LONG_FILES.values())


def test_tests_are_plain_files_with_names_of_their_own() -> None:
    files = [path for path in python_files("tests") if path.parent.name != "baselines"]
    assert not [named(path) for path in files if path.name == "__init__.py"]
    assert not (ROOT / "conftest.py").exists()
    names = [path.name for path in files if path.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))


def test_the_packages_that_are_installed_are_the_folders_of_the_house() -> None:
    with_code = {package_of(path) for path in python_files(*FLOORS)}
    with_init = {package_of(path) for path in python_files(*FLOORS) if path.name == "__init__.py"}
    assert with_init == with_code, "a folder with code needs an __init__.py"
    assert sorted(setuptools_table()["packages"]) == sorted({"perdure", *with_init})
    strangers = {path.parent.name for path in ROOT.glob("*/__init__.py")} - set(FLOORS)
    assert not strangers, "a new top folder of the package belongs to FLOORS"


def test_every_data_file_is_installed() -> None:
    patterns = setuptools_table()["package-data"]
    left_behind = [
        named(path)
        for floor in FLOORS
        for path in sorted((ROOT / floor).rglob("*"))
        if path.is_file() and path.suffix != ".py" and not is_hidden(path)
        if not any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns.get(package_of(path), []))
    ]
    assert not left_behind
    assert set(patterns) <= set(setuptools_table()["packages"])
    assert patterns["perdure"] == ["py.typed"], "the other files of the root are not part of the package"
    assert (ROOT / "py.typed").exists(), "type checkers read the annotations of an installed package only with it"


def test_the_name_of_a_parameter_begins_with_its_kind() -> None:
    shared = {named(path): read_toml(path) for path in sorted((ROOT / "parameters" / "sets").glob("*.toml"))}
    owned = {
        named(path): read_toml(path).get("parameter", {})
        for folder in ("parameters/populations", "model/therapies")
        for path in sorted((ROOT / folder).glob("*.toml"))
    }
    names = [(file, name) for file, table in {**shared, **owned}.items() for name in table]
    assert names
    strange = [f"{file}: {name}" for file, name in names if name.partition("_")[0] not in FIRST_WORDS]
    assert not strange, "begin with one of FIRST_WORDS, or add the word there if the field really needs it"


def names_bound(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of every variable and argument that a file binds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


def test_a_variable_bears_the_name_of_what_it_holds() -> None:
    vague = [
        f"{named(path)}:{line} {name}"
        for path in [ROOT / "__init__.py", *python_files(*FLOORS, "benchmarks")]
        for line, name in names_bound(tree_of(path))
        if name in VAGUE
    ]
    assert not vague


def test_code_and_pages_are_written_in_the_words_of_the_field() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    wrong = [
        f"{named(path)}: {words}"
        for path in [*python_files(*FLOORS), *pages]
        for words in STRANGE
        if words in " ".join(path.read_text(encoding="utf-8").split())
    ]
    assert not wrong


def test_there_is_one_loop_over_posterior_draws() -> None:
    drawing = {
        named(path)
        for path in python_files(*FLOORS)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr == "draw" and "calibration" in ast.unparse(node.value)
    }
    assert drawing == {"fitting/posterior.py"}, "over_posterior and posterior_parameters are there for it"


def test_import_perdure_loads_no_heavy_library(tmp_path: Path) -> None:
    code = "import sys; before = set(sys.modules); import perdure; dir(perdure); print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.split()
    assert "perdure" in loaded
    assert not {name.partition(".")[0] for name in loaded} & HEAVY
    assert not [name for name in loaded if name.startswith("perdure.")]


@pytest.mark.parametrize("name", perdure._HOME)
def test_a_public_name_is_there_when_asked_for(name: str) -> None:
    home = perdure._HOME[name]
    module = import_module(f"perdure.{home}")
    assert getattr(perdure, name) is (
        module if home.endswith(f".{name}") and name in MODULES else getattr(module, name)
    )


def test_the_front_door_lists_exactly_its_public_names() -> None:
    assert list(perdure.__all__) == ["__version__", *sorted(perdure._HOME)]
    assert sum(map(len, perdure.GROUPS.values())) == len(perdure._HOME), "a name stands in one group"
    assert set(perdure.__all__) <= set(dir(perdure))
    with pytest.raises(AttributeError, match=r"has no attribute 'simulat'.*simulate"):
        perdure.simulat  # noqa: B018


def test_a_type_checker_sees_what_the_lazy_loader_loads() -> None:
    [block] = [node for node in tree_of(ROOT / "__init__.py").body if isinstance(node, ast.If)]
    seen = {
        alias.asname: (f"{node.module}.{alias.name}" if alias.asname in MODULES else node.module)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    assert len(seen) == len(block.body), "write X as X, or a checker takes the name for private"
    assert seen == perdure._HOME


@pytest.mark.parametrize("name", perdure._DEPRECATED)
def test_an_old_public_name_says_what_to_write(name: str) -> None:
    home = f"perdure.{perdure._DEPRECATED[name]}"
    with pytest.warns(DeprecationWarning, match=rf"from {home} import {name}$"):
        old = getattr(perdure, name)
    assert old is getattr(import_module(home), name)
    assert name not in perdure.__all__


@pytest.mark.parametrize("name", perdure._RENAMED)
def test_a_renamed_public_name_says_its_new_one(name: str) -> None:
    new = perdure._RENAMED[name]
    with pytest.warns(DeprecationWarning, match=rf"from perdure import {new}$"):
        assert getattr(perdure, name) is getattr(perdure, new)


def setuptools_table() -> dict[str, Any]:
    return read_toml(ROOT / "pyproject.toml")["tool"]["setuptools"]


def read_toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
