"""The cache of compiled models: whole files or none, never an old one for new equations, and never in the way."""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from perdure.model import simulate as door
from perdure.model.engine import compiled, object_cache
from perdure.model.engine.compiled import Compiled, compile_system
from perdure.model.engine.object_cache import cache_folder, cached
from perdure.model.regimens.regimen import Regimen
from perdure.model.simulate import Solver, simulate
from perdure.model.system.system import Flow, State, System, symbol


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that is not there yet."""
    place = tmp_path / "cache"
    monkeypatch.setenv("PERDURE_CACHE", str(place))
    return place


def growth(factor: int = 1) -> System:
    """x' = factor k x."""
    x = State("x", "", "something", "test", symbol("start"), 1e-9, "x")
    return System("growth", (x,), (), (), (Flow("growth", factor * symbol("k") * x.symbol, into=x),), ("x",))


def build(system: System, lanes: int = 2) -> Compiled:
    """Compile, or load from the folder, as a process does that has not done so before."""
    return compile_system.__wrapped__(system, 2, "explicit", lanes)


def forbidden(*_: object) -> NoReturn:
    raise AssertionError("this was to come from the cache")


def grown(engine: Compiled, system: System) -> bytes:
    """Course of three patients, as bytes."""
    patients = {"start": np.array([1.0, 2.0, 3.0]), "k": np.array([0.1, 0.2, -0.3])}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door, "make_engine", lambda *_: engine)
        found = simulate(patients, Regimen(), times=[0.0, 3.3, 10.0], system=system, solver=Solver(rtol=1e-8))
    factor = 2.0 if system.equations["x"].coeff(symbol("k") * symbol("x")) == 2 else 1.0
    right = patients["start"][:, None] * np.exp(factor * patients["k"][:, None] * found.times)
    np.testing.assert_allclose(found["x"], right, rtol=1e-6)
    return found.courses.tobytes()


def test_what_is_in_the_cache_is_loaded_and_not_compiled_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = growth()
    first = grown(build(system), system)
    [file] = folder.iterdir()
    before = file.read_bytes()
    monkeypatch.setattr(compiled, "machine_code", forbidden)
    assert grown(build(system), system) == first
    assert grown(build(growth()), system) == first, "another object of the same equations"
    assert file.read_bytes() == before


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut in its checksum": lambda whole: whole[:20],
    "a checksum of nothing": lambda whole: whole[:32],
    "a true checksum of nothing": lambda _: hashlib.sha256(b"").digest(),
    "cut in the middle": lambda whole: whole[: len(whole) // 2],
    "cut by one byte": lambda whole: whole[:-1],
    "longer by one byte": lambda whole: whole + b"\0",
    "one bit of the code": lambda whole: whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:],
    "one bit of the checksum": lambda whole: bytes([whole[0] ^ 128]) + whole[1:],
    "another file": lambda _: b"this was no model\n" * 500,
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """The file of `growth()`, and what its code computes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERDURE_CACHE", str(tmp_path_factory.mktemp("built")))
        first = grown(build(growth()), growth())
        [file] = cache_folder().iterdir()
        return file.read_bytes(), first


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_made_anew(
    damage: str, built: tuple[bytes, bytes], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, first = built
    made = []

    def make(_: object) -> bytes:
        made.append(damage)
        return whole[32:]

    monkeypatch.setattr(compiled, "machine_code", make)
    build(growth())
    [file] = folder.iterdir()
    assert file.read_bytes() == whole
    file.write_bytes(DAMAGES[damage](whole))
    assert grown(build(growth()), growth()) == first
    assert len(made) == 2
    assert file.read_bytes() == whole
    assert list(folder.iterdir()) == [file]


def test_a_half_written_draft_of_somebody_who_was_killed_is_nobodys_model(folder: Path) -> None:
    system = growth()
    first = grown(build(system), system)
    [file] = folder.iterdir()
    draft = folder / "tmp1234.tmp"
    file.rename(draft)
    draft.write_bytes(draft.read_bytes()[:100])
    assert grown(build(system), system) == first
    assert sorted(folder.iterdir()) == sorted([file, draft])


def test_other_equations_have_a_file_of_their_own(folder: Path) -> None:
    once, twice = growth(), growth(2)
    first, second = grown(build(once), once), grown(build(twice), twice)
    assert first != second
    assert len(list(folder.iterdir())) == 2
    assert (grown(build(once), once), grown(build(twice), twice)) == (first, second)


@pytest.mark.parametrize("what", ["_translator", "identity"])
def test_what_another_compiler_or_processor_made_is_not_used(
    what: str, built: tuple[bytes, bytes], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def make(_: object) -> bytes:
        made.append(what)
        return built[0][32:]

    monkeypatch.setattr(compiled, "machine_code", make)
    build(growth())
    of_today = getattr(compiled, what)()
    monkeypatch.setattr(compiled, what, lambda: f"{of_today} of tomorrow")
    build(growth())
    assert len(made) == len(list(folder.iterdir())) == 2


def test_every_number_of_lanes_has_a_file_of_its_own(folder: Path) -> None:
    system = growth()
    assert len({grown(build(system, lanes), system) for lanes in (1, 4)}) == 1
    assert len(list(folder.iterdir())) == 2


def test_everything_that_turns_a_source_into_code_is_part_of_the_key() -> None:
    for name in ("translate", "words", "vector_math", "processor"):
        module = getattr(compiled, name)
        assert Path(module.__file__).read_text(encoding="utf-8").strip() in compiled._translator()


# Folders


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary folders are made, for a process that has none yet."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    object_cache._own_folder.cache_clear()
    yield place
    object_cache._own_folder.cache_clear()


def test_where_no_folder_can_be_made_a_temporary_one_serves(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PERDURE_CACHE", str(tmp_path / "file" / "cache"))
    system = growth()
    grown(build(system), system)
    assert (tmp_path / "file").read_text() == "in the way"
    [file] = temporary.glob("perdure-*/*.model")
    assert hashlib.sha256(file.read_bytes()[32:]).digest() == file.read_bytes()[:32]


def test_where_nothing_can_be_written_a_temporary_folder_serves(
    folder: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**_: object) -> NoReturn:
        raise PermissionError("read-only")

    monkeypatch.setattr(object_cache.tempfile, "TemporaryFile", refused)  # as root nothing else refuses
    system = growth()
    grown(build(system), system)
    assert not list(folder.iterdir())
    assert len(list(temporary.glob("perdure-*/*.model"))) == 1
    assert object_cache.cache_folder() == object_cache.cache_folder(), "one folder per process"


def test_a_full_disk_does_not_stop_a_simulation(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError("no space left on device")

    monkeypatch.setattr(object_cache.os, "replace", full)
    system = growth()
    grown(build(system), system)
    assert not list(folder.iterdir()), "nothing half written is left"


def test_a_user_without_a_home_has_a_cache_too(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> NoReturn:
        raise RuntimeError("Could not determine home directory.")

    for name in ("PERDURE_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(object_cache.Path, "home", homeless)
    assert object_cache.cache_folder().parent == temporary


def test_the_folder_is_the_users_unless_another_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERDURE_CACHE", raising=False)
    base = "LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME"
    monkeypatch.setenv(base, str(tmp_path / "base"))
    assert cache_folder() == tmp_path / "base" / "perdure"
    monkeypatch.delenv(base)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    assert cache_folder() == tmp_path / "home" / ".cache" / "perdure"
    monkeypatch.setenv("PERDURE_CACHE", str(tmp_path / "chosen"))
    assert cache_folder() == tmp_path / "chosen"


def test_what_could_not_be_made_is_not_stored(folder: Path) -> None:
    def fails() -> bytes:
        raise ValueError("no code")

    with pytest.raises(ValueError, match="no code"):
        cached("a key", fails)
    assert not list(folder.iterdir())
    assert cached("a key", lambda: b"code") == b"code"
    assert cached("a key", fails) == b"code"


# Processes


PROGRAM = """
import hashlib, sys
import numpy as np
from perdure import draw, give, infuse, make_patients, read_catalogue, simulate

catalogue = read_catalogue()
patients = make_patients(catalogue, draw(catalogue, 9, seed=3), product="ide_cel", population="late_line")
print("ready", flush=True)
sys.stdin.readline()
regimen = infuse("ide_cel") + give("lenalidomide", start=-2.0, months=1.0)
found = simulate(patients, regimen, times=np.arange(0.0, 400.0, 3.0))
for result in (found.courses, found.eradication, found.steps):
    print(hashlib.sha256(result.tobytes()).hexdigest())
"""


def process(folder: Path) -> subprocess.Popen[str]:
    surroundings = {**os.environ, "PERDURE_CACHE": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder.parent,
        env=surroundings,
    )


def test_two_processes_that_start_at_once_without_a_cache_give_the_same(folder: Path) -> None:
    with process(folder) as one, process(folder) as other:
        for child in (one, other):
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in (one, other):
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        said = [child.communicate()[0].splitlines() for child in (one, other)]
    assert one.returncode == other.returncode == 0
    assert said[0] == said[1]
    assert len(said[0]) == 3
    files = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    assert [path.suffix for path in files] == [".model"]
    for content in files.values():
        assert hashlib.sha256(content[32:]).digest() == content[:32]
    with process(folder) as later:
        assert later.communicate("go\n")[0].splitlines()[1:] == said[0]
    assert {path: path.read_bytes() for path in sorted(folder.iterdir())} == files
