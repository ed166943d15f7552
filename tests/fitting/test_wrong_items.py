"""Evidence items that cannot be right, beyond those of the other tests of the reader: one clear error each."""

from pathlib import Path

import pytest

from perdure.fitting.studies import read_study
from perdure.parameters.errors import EvidenceError, FileError, InputError, UnknownNameError

HEADER = """
study = "TRIAL-1"
title = "A trial."
time_zero = "first infusion"
product = "ide_cel"
population = "late_line"
visit_interval_days = 28
n = 40
"""
MEDIAN = """
[[item]]
id       = "trial_1_median"
endpoint = "pfs_median"
kind     = "median"
value    = 12.0
unit     = "months"
n        = 40
role     = "fit"
citation = "Somebody 2024"
origin   = "public: the paper"
quote    = "twelve months"
"""


def evidence_file(folder: Path, *parts: str, header: str = HEADER) -> Path:
    path = folder / "trial_1.toml"
    path.write_text(header + "".join(parts), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("before", "after", "said", "kind"),
    [
        ('"pfs_median"', '"pfs_interval"', "no endpoint 'pfs_interval'", UnknownNameError),
        ("n  ", "from_months = 3.0\nn  ", "from_months = 3 belongs to the intervals of a [[curve]]", EvidenceError),
        (
            '"months"',
            '"weeks"',
            "unit = 'weeks' does not go with endpoint 'pfs_median'; expected 'months'",
            EvidenceError,
        ),
        ('"months"', '"%"', "unit = '%' does not go with", EvidenceError),
        ("n        = 40", "n        = 0", "n = 0 is wrong", FileError),
        ("n        = 40", "n        = 40.5", "n = 40.5 is wrong", FileError),
        ("n        = 40", "n        = -4", "n = -4 is wrong", FileError),
        ("n        = 40", "", "n, low and high are missing", EvidenceError),
        ("= 12.0", "= -12.0", "value = -12 months is impossible", EvidenceError),
        ("n  ", "time_months = -1.0\nn  ", "time_months = -1.0 is wrong", FileError),
        (
            "n  ",
            'low = 14.0\nhigh = 20.0\ninterval = "95% CI"\nn  ',
            "value = 12 lies outside its interval",
            EvidenceError,
        ),
        ("n  ", 'low = -1.0\nhigh = 20.0\ninterval = "95% CI"\nn  ', "low = -1 months is impossible", EvidenceError),
        ("n  ", "events = 20\nevents = 21\nn  ", "is not valid TOML", FileError),
    ],
)
def test_a_wrong_item_is_refused_with_its_file(
    tmp_path: Path, before: str, after: str, said: str, kind: type[InputError]
) -> None:
    with pytest.raises(InputError) as caught:
        read_study(evidence_file(tmp_path, MEDIAN.replace(before, after, 1)))
    assert caught.type is kind
    assert said in str(caught.value)
    assert "trial_1" in str(caught.value)


def test_bounds_of_a_percentage_are_percentages(tmp_path: Path) -> None:
    rate = MEDIAN.replace('"pfs_median"', '"pfs_rate"').replace('"median"', '"rate"').replace('"months"', '"%"')
    rate = rate.replace("n  ", 'time_months = 12.0\nlow = 8.0\nhigh = 104.0\ninterval = "95% CI"\nn  ', 1)
    with pytest.raises(EvidenceError, match="high = 104 % is impossible; expected 0 to 100"):
        read_study(evidence_file(tmp_path, rate))


def test_an_id_is_used_once_in_a_file(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="item 'trial_1_median': id 'trial_1_median' is used already"):
        read_study(evidence_file(tmp_path, MEDIAN, MEDIAN))
