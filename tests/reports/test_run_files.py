"""The numbers of a run come back as they were. All numbers are made by hand."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from perdure.parameters.errors import InputError, RangeError
from perdure.reports.run_files import NumberRow, estimate_rows, new_run, read_run, write_numbers

INF, NAN = math.inf, math.nan
NONE = NumberRow("none", "median PFS", 8.8, 5.9, 11.9, "months", 0.95, "parameters")


def run_of(folder: Path, rows: Sequence[NumberRow]) -> Path:
    """A run with these numbers."""
    with new_run(folder, "demo", "perdure run demo", {"patients": 1}) as run:
        write_numbers(run, rows)
    return run.path


def same(one: NumberRow, two: NumberRow) -> bool:
    """Equal field by field, NaN being equal to NaN."""
    return repr(one) == repr(two)


def test_numbers_come_back_bit_for_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    drawn = np.sort(rng.lognormal(0.0, 40.0, (50, 3)), axis=1)
    rows = [NumberRow(f"arm {k}", "m", b, a, c, "days", 0.9, "patients") for k, (a, b, c) in enumerate(drawn)]
    rows += [
        NumberRow("not reached", "median", INF, 9.0, INF, "months", 0.95, "parameters"),
        NumberRow("ratio of logs", "m", -INF, -INF, -0.0, "", 0.95, "sample"),
        NumberRow("no interval", "m", 1 / 3),
        NumberRow("not known", "m", NAN, NAN, 5.0, "%", 0.95, "parameters"),
        NumberRow('comma, "quote" \u2013 \u00e4\nline', "m", 1e-320, unit="1/\u00b5L"),
    ]
    read = read_run(run_of(tmp_path, rows)).numbers
    assert read is not None
    assert len(read) == len(rows)
    assert all(same(replace(one, **{n: float(getattr(one, n)) for n in ("value", "low", "high")}), two)
               for one, two in zip(rows, read, strict=True))  # fmt: skip


def test_what_was_not_reached_is_written_nr_and_what_is_not_known_is_left_empty(tmp_path: Path) -> None:
    folder = run_of(tmp_path, [replace(NONE, value=INF, high=INF), NumberRow("none", "hazard ratio", 0.7)])
    assert (folder / "numbers.csv").read_text(encoding="utf-8") == (
        "arm,measure,value,low,high,unit,level,kind\n"
        "none,median PFS,NR,5.9,NR,months,0.95,parameters\n"
        "none,hazard ratio,0.7,,,,,\n"
    )


def test_a_run_without_numbers_writes_no_file(tmp_path: Path) -> None:
    folder = run_of(tmp_path, [])
    assert [path.name for path in folder.iterdir()] == ["manifest.json"]
    assert read_run(folder).numbers is None


def test_the_numbers_of_a_projection_become_rows_by_arm_measure_and_unit() -> None:
    @dataclass(frozen=True)
    class Estimate:
        value: float
        low: float
        high: float

    rows = estimate_rows("ide-cel", {"median PFS, months": Estimate(8.8, 5.9, INF), "ratio": Estimate(1.0, 0.5, 2.0)})
    assert rows[0] == NumberRow("ide-cel", "median PFS", 8.8, 5.9, INF, "months", 0.95, "parameters")
    assert (rows[1].measure, rows[1].unit) == ("ratio", "")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"arm": " "}, InputError, "need a name each"),
        ({"kind": "posterior"}, InputError, "known: 'parameters', 'sample', 'patients'"),
        ({"kind": ""}, InputError, "its interval needs a kind"),
        ({"low": 12.0}, RangeError, "goes from 12 to 11.9"),
        ({"level": 95.0}, RangeError, "level 95; expected 0.95"),
        ({"level": NAN}, RangeError, "level nan"),
    ],
)
def test_a_number_that_contradicts_itself_is_refused(
    changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        replace(NONE, **changes)  # pyright: ignore[reportArgumentType]


def test_one_number_stands_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'none: median PFS' \(months, about parameters\) stands there twice"):
        run_of(tmp_path, [NONE, replace(NONE, value=9.0)])
    read = read_run(run_of(tmp_path, [NONE, replace(NONE, kind="sample")])).numbers
    assert read is not None
    assert [row.kind for row in read] == ["parameters", "sample"]
