"""The file of a patient that could not be integrated: small, and enough to see the very failure again."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perdure.app.main import main
from perdure.model.catalogue import read_catalogue
from perdure.model.myeloma import myeloma
from perdure.model.regimens.regimen import Infusion, Regimen, give, infuse
from perdure.model.regimens.rules import Rule, above, start
from perdure.model.reproduce import reproduce
from perdure.model.simulate import Solver, simulate
from perdure.model.solution import WHAT, Failure
from perdure.model.system.system import Flow, State, System, symbol
from perdure.parameters.errors import FileError, InputError
from perdure.parameters.patients import draw, make_patients
from perdure.reports.run_files import new_run

N, SICK = 4, 2
CATALOGUE = read_catalogue()
HEALTHY = make_patients(CATALOGUE, draw(CATALOGUE, N, seed=5), product="ide_cel", population="late_line")
GRID = np.arange(0.0, 365.0, 1.3)
CELLS = infuse("ide_cel")
TABLETS = give("lenalidomide", start=20, stop=23) + give("crenigacestat", start=-2, stop=9, days_of_week=(0, 2, 4))
EVERYTHING = CELLS + TABLETS + Regimen((Infusion("lenalidomide", 200.0, 1 / 3, 33.3),), "a drip")
SHORT = Solver(workers=1, most_steps=110, max_step=np.inf)


def failed(patient: int = SICK) -> Failure:
    """A failure in the middle of a course: on a day with many digits, under every kind of dose."""
    return simulate(HEALTHY, EVERYTHING, times=GRID, solver=SHORT).failures[patient]


@pytest.mark.parametrize("changes", [{"k_growth_tumour": 1e6}, {"tumour_baseline": 1e307, "engagement_volume": 1e-300}])
def test_a_file_shows_the_failure_again(changes: dict[str, float], tmp_path: Path) -> None:
    patients = {name: values.copy() for name, values in HEALTHY.items()}
    for name, value in changes.items():
        patients[name][SICK] = value
    failure = simulate(patients, CELLS, times=GRID, solver=Solver(workers=1, most_steps=5000)).failures[0]
    again = reproduce(failure.write(tmp_path)).failures[0]
    assert (again.reason, again.day) == (failure.reason, failure.day)
    assert (again.parameters, again.case) == (failure.parameters, failure.case)


def test_a_file_shows_the_failure_again_to_the_bit(tmp_path: Path) -> None:
    failure = failed()
    assert 20.0 < failure.day < GRID[-1]
    solution = reproduce(failure.write(tmp_path / "new" / "folder"))
    again = solution.failures[0]
    assert again == replace(failure, patient=0)
    assert solution.regimen == EVERYTHING
    np.testing.assert_array_equal(solution.times, GRID)
    # The engine's own limit made it fail: with the numbers of the file and more steps it is the patient that it was.
    drawn = {name: values[SICK : SICK + 1] for name, values in HEALTHY.items()}
    read = {name: np.array([value]) for name, value in again.parameters.items()}
    one, other = (simulate(patients, EVERYTHING, times=GRID)["tumour"] for patients in (drawn, read))
    np.testing.assert_array_equal(one, other)


def test_a_file_is_small_strict_and_the_same_if_it_is_written_twice(tmp_path: Path) -> None:
    path = failed().write(tmp_path)
    assert failed().write(tmp_path) == path
    assert failed(SICK + 1).write(tmp_path) != path
    assert path.stat().st_size < 20_000
    content = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert content["reason"] == "more steps than allowed"
    assert content["case"]["solver"]["max_step"] == "inf"
    assert content["case"]["solver"]["engine"] == "compiled"
    assert content["versions"]["numpy"] == np.__version__


def test_a_system_of_ones_own_is_asked_for(tmp_path: Path) -> None:
    state = State("stock", "", "something", "none", symbol("k_growth_tumour"), 1e-9, "x")
    flow = Flow("explosion", symbol("stock") ** 2, into=state)
    own = System("a stock", (state,), (), (), (flow,), ("stock",))
    patients = {"k_growth_tumour": np.array([2.0])}
    failure = simulate(patients, Regimen(), times=[0.0, 1.0], system=own).failures[0]
    assert failure.day == pytest.approx(0.5, rel=1e-6)  # y' = y^2 from 2
    path = failure.write(tmp_path)
    with pytest.raises(InputError, match=r"system 'a stock' failed, which is not shipped; give it"):
        reproduce(path)
    with pytest.raises(InputError, match="system 'a stock' failed; given is 'another'"):
        reproduce(path, system=replace(own, name="another"))
    assert reproduce(path, system=own).failures == (failure,)


def test_a_shipped_system_that_has_changed_since_is_asked_for(tmp_path: Path) -> None:
    changed = replace(myeloma(()), flows=myeloma(()).flows[:-1])
    failure = simulate(HEALTHY, CELLS, times=GRID, system=changed, solver=SHORT).failures[0]
    path = failure.write(tmp_path)
    with pytest.raises(InputError, match="the equations of the shipped 'myeloma under CAR-T cells' are not those that"):
        reproduce(path)
    assert reproduce(path, system=changed).failures == (failure,)


def test_the_rules_are_asked_for(tmp_path: Path) -> None:
    rules = [Rule("rescue", when=above("tumour", 1.0), then=start(give("lenalidomide", start=0, stop=90)))]
    solution = simulate(HEALTHY, CELLS, times=GRID, rules=rules, solver=SHORT)
    path = solution.failures[0].write(tmp_path)
    with pytest.raises(InputError, match=r"failed under the rules rescue; given are \(none\)"):
        reproduce(path)
    assert reproduce(path, rules=rules).failures == solution.failures[:1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no such file"),
        ("", "cannot be read as JSON"),
        ("[1, 2]", "is no file of a failed patient"),
        ('{"what": "something else"}', "is no file of a failed patient"),
        (f'{{"what": "{WHAT}"}}', "is damaged .KeyError.'parameters'"),
        (f'{{"what": "{WHAT}", "parameters": {{"a": "b"}}}}', "is damaged"),
    ],
)
def test_a_file_that_cannot_be_is_one_clear_error(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "patient.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(FileError, match=message):
        reproduce(path)


def test_the_failures_of_a_run_lie_in_its_folder(tmp_path: Path) -> None:
    with new_run(tmp_path, "overview", "a test", {}) as folder:
        folder.note_failures([failed()])
    noted = json.loads((folder.path / "manifest.json").read_text(encoding="utf-8"))
    [entry] = noted["failures"]
    assert (entry["patient"], entry["reason"]) == (SICK, "more steps than allowed")
    assert entry["file"] in {output["path"] for output in noted["outputs"]}
    assert reproduce(folder.path / entry["file"]).failures[0].day == entry["day"]


def test_a_file_is_run_again_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failure = failed()
    monkeypatch.setattr(sys, "argv", ["perdure", "reproduce", str(failure.write(tmp_path))])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    recorded, now = capsys.readouterr().out.splitlines()
    assert recorded.split(maxsplit=1)[1] == now.split(maxsplit=1)[1] == f"{failure.reason} on day {failure.day!r}"
