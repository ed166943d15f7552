"""Ratios of benchmarks: what is written is read again, and a slower engine is told from a noisy machine."""

import json
import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

import perdure
from perdure.parameters.errors import InputError

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
SPEC = spec_from_file_location("benchmark_ratios", FOLDER / "ratios.py")
assert SPEC is not None
assert SPEC.loader is not None
ratios: Any = module_from_spec(SPEC)
SPEC.loader.exec_module(ratios)

SCRIPTS = sorted(file.stem for file in FOLDER.glob("*.py") if file.stem != "ratios")


def record(**changes: Any) -> Any:
    whole = {
        "benchmark": "example",
        "perdure": "0.1.0",
        "machine": {"processor": "a processor", "patients_per_vector": 8, "cores": 2},
        "versions": {"scipy": "1.17.1"},
        "sizes": {"patients": 4, "rtol": [1e-3, 1e-4]},
        "ratios": [speed(100.0)],
        "not_run": {"numbalsoda": "it is not installed"},
    }
    return ratios.Record.model_validate(whole | changes)


def speed(value: float, name: str = "perdure / scipy", meaning: str = "patients/s") -> dict[str, Any]:
    return {"name": name, "value": value, "meaning": meaning}


def cost(value: float) -> dict[str, Any]:
    return {"name": "large / small", "value": value, "meaning": "seconds", "higher_is_better": False}


def verdicts(now: Any, released: Any) -> dict[str, str]:
    return {comparison.name: str(comparison.verdict) for comparison in ratios.compare(now, released)}


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = record(ratios=[speed(123.4), cost(0.5)])
    ratios.write_record(written, tmp_path / "new" / "example.json")
    assert ratios.read_record(tmp_path / "new" / "example.json") == written


def test_a_ratio_is_kept_to_four_digits() -> None:
    assert record(ratios=[speed(123.456789)]).ratios[0].value == pytest.approx(123.5, rel=1e-12)


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [
        (1.0, "within the noise"),
        (1.0 / 1.45, "within the noise"),
        (1.45, "within the noise"),
        (1.0 / 1.55, "WORSE"),
        (1.55, "better"),
    ],
)
def test_a_ratio_is_worse_only_beyond_the_noise_and_in_its_own_direction(factor: float, verdict: str) -> None:
    assert verdicts(record(ratios=[speed(100.0 * factor)]), record()) == {"perdure / scipy": verdict}
    dearer, before = record(ratios=[cost(2.0 / factor)]), record(ratios=[cost(2.0)])
    assert verdicts(dearer, before) == {"large / small (lower is better)": verdict}


def test_a_ratio_of_one_of_the_records_alone_is_said() -> None:
    now, released = record(ratios=[speed(1.0, "perdure / new peer")]), record()
    assert verdicts(now, released) == {"perdure / new peer": "new", "perdure / scipy": "not measured now"}
    text = ratios.table(now, released)
    assert re.search(r"perdure / scipy +- +100 +- +not measured now", text)
    assert "No ratio of numbalsoda: it is not installed" in text


def test_a_ratio_that_means_something_else_is_not_compared() -> None:
    now = record(ratios=[speed(1.0, meaning="patients/s at another error")])
    assert verdicts(now, record()) == {"perdure / scipy": "means something else now"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sizes": {"patients": 16, "rtol": [1e-3, 1e-4]}}, "patients: 16 here, 4 at the release"),
        ({"sizes": {"patients": 4}}, "rtol: unknown here, [0.001, 0.0001] at the release"),
        ({"machine": {"processor": "a processor", "patients_per_vector": 4, "cores": 2}}, "vector: 4 here, 8 at"),
        ({"machine": {"processor": "a processor", "patients_per_vector": 8, "cores": 64}}, "cores: 64 here, 2 at"),
    ],
)
def test_other_sizes_or_vectors_are_said_and_nothing_is_compared(changes: dict[str, Any], said: str) -> None:
    now = record(ratios=[speed(1.0)], **changes)
    assert verdicts(now, record()) == {"perdure / scipy": "not compared"}
    assert said in ratios.table(now, record())


def test_another_processor_or_peer_is_said_and_compared_all_the_same() -> None:
    machine = {"processor": "another", "patients_per_vector": 8, "cores": 2}
    now = record(machine=machine, versions={"scipy": "2.0"}, ratios=[speed(10.0)])
    assert verdicts(now, record()) == {"perdure / scipy": "WORSE"}
    text = ratios.table(now, record())
    assert "processor: another here, a processor at the release" in text
    assert "scipy: 2.0 here, 1.17.1 at the release" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not the record of a benchmark"),
        ("[1, 2", "not the record of a benchmark"),
        ("[1, 2]", "not the record of a benchmark"),
        ("{}", "'benchmark' is missing"),
        (record().model_dump_json().replace("100.0", "-1.0"), r"ratios.0.value = -1.0 is wrong"),
        (record().model_dump_json().replace("100.0", '"fast"'), r"ratios.0.value = 'fast' is wrong"),
        (record().model_dump_json().replace('"sizes"', '"size"'), "'sizes' is missing"),
        (json.dumps(record().model_dump() | {"seconds": 12.0}), "There is no key 'seconds'"),
        (json.dumps(record().model_dump() | {"ratios": [speed(1.0), speed(2.0)]}), "scipy' stands there twice"),
    ],
)
def test_a_malformed_record_is_one_clear_error(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "example.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said) as error:
        ratios.read_record(file)
    assert str(error.value).startswith(f"{file}: ")


class Example:
    """A benchmark whose last release stands in a folder of its own, run with these words on its command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.release = folder / "results" / "example.json"

    def run(self, value: float, *words: str) -> int:
        benchmark = ratios.Benchmark("example", "An example.", {"patients": 4}, self.folder / "results")
        benchmark.options.add_argument("--patients", type=int, default=500)
        benchmark.parse(["--write", str(self.folder / "now.json"), *words])
        benchmark.record("perdure / scipy", value, "patients/s")
        return benchmark.finish(sizes=["patients"], libraries=["pydantic"])


@pytest.fixture
def example(tmp_path: Path) -> Example:
    return Example(tmp_path)


def test_only_a_strict_run_ends_with_an_error_and_only_if_it_is_worse(example: Example) -> None:
    assert example.run(100.0, "--quick", "--release") == 0
    assert example.run(50.0, "--quick") == 0
    assert example.run(50.0, "--quick", "--strict") == 1
    assert example.run(90.0, "--quick", "--strict") == 0
    assert example.run(500.0, "--quick", "--strict") == 0


def test_a_strict_run_that_can_compare_nothing_is_an_error(
    example: Example, capsys: pytest.CaptureFixture[str]
) -> None:
    assert example.run(100.0, "--strict") == 1
    assert "no record of a release to compare with" in capsys.readouterr().out
    assert example.run(100.0, "--quick", "--release") == 0
    assert example.run(100.0, "--strict") == 1
    assert "patients: 500 here, 4 at the release" in capsys.readouterr().out


def test_a_run_writes_what_its_ratios_depend_on_and_leaves_the_release_alone(example: Example) -> None:
    example.run(100.0, "--quick", "--release")
    released = example.release.read_bytes()
    example.run(60.0, "--quick", "--patients", "8")
    assert example.release.read_bytes() == released
    now = ratios.read_record(example.folder / "now.json")
    assert (now.sizes, now.ratios[0].value, now.perdure) == ({"patients": 8}, 60.0, perdure.__version__)
    assert {"python", "numpy", "scipy", "llvmlite", "pydantic"} == set(now.versions)
    assert now.machine.cores == os.cpu_count()


@pytest.mark.parametrize("text", ["{", '{"bench": "example"}'])
def test_a_malformed_release_ends_a_run_before_it_begins(
    example: Example, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    example.release.parent.mkdir()
    example.release.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        example.run(100.0)
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"{example.release}: ")
    assert not (example.folder / "now.json").exists()


def test_everybody_has_a_turn_in_every_round() -> None:
    calls: list[str] = []
    times = ratios.fastest([lambda: calls.append("ours"), lambda: calls.append("theirs")], rounds=2)
    assert calls == ["ours", "theirs", "ours", "theirs"]
    assert all(seconds > 0.0 for seconds, _ in times)


def test_the_fastest_run_counts() -> None:
    work = iter([2_000_000, 10, 2_000_000])
    ((quick, _),) = ratios.fastest([lambda: sum(range(next(work)))], rounds=3)
    ((slow, answer),) = ratios.fastest([lambda: sum(range(2_000_000))], rounds=1)
    assert quick < 0.5 * slow
    assert answer == sum(range(2_000_000))


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_benchmark_has_ratios_of_the_last_release(name: str) -> None:
    released = ratios.read_record(FOLDER / "results" / f"{name}.json")
    assert released.benchmark == name
    assert released.ratios
    assert re.fullmatch(r"\d+\.\d+\.\d+", released.perdure)
    assert tuple(map(int, released.perdure.split("."))) <= tuple(map(int, perdure.__version__.split(".")[:3]))


def test_a_benchmark_writes_its_ratios(tmp_path: Path) -> None:
    sizes = ["--problems", "hires", "--rtol", "1e-3", "1e-6", "--seconds", "0"]
    command = [sys.executable, str(FOLDER / "stiff.py"), *sizes, "--write", "now.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    now = ratios.read_record(tmp_path / "now.json")
    assert now.sizes == {"rtol": [1e-3, 1e-6]}
    measured = {ratio.name for ratio in now.ratios}
    assert {"hires: scipy BDF / engine", "hires: scipy BDF / engine, 64 at once"} <= measured
    assert "robertson: scipy BDF / engine" not in measured
    assert re.search(r"rtol: \[0.001, 1e-06\] here, \[0.001, .*\] at the release", done.stdout)
