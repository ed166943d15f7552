"""The report on a fit: it shows what a small fit rests on, its pictures' numbers, and the long checks as a file."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perdure.fitting import posterior
from perdure.fitting.calibration import reference_fit as whole_fit
from perdure.fitting.calibration.assessment import AssessmentSettings
from perdure.fitting.calibration.ensemble import EnsembleSettings
from perdure.fitting.calibration.long_checks import (
    LongChecks,
    checks_file,
    read_checks,
    run_long_checks,
    write_checks,
)
from perdure.fitting.calibration.points import read_points
from perdure.fitting.calibration.problem import Problem, Sizes
from perdure.fitting.calibration.reference_fit import reference_fit
from perdure.fitting.calibration.rounds import FitSettings
from perdure.fitting.calibration.search_space import SearchSpace, joint_space
from perdure.fitting.calibration.smc import SmcSettings
from perdure.fitting.studies import read_studies
from perdure.fitting.validation.leave_out import CURVE, Coverage
from perdure.fitting.validation.recovery import ParameterRecovery, Recovery
from perdure.fitting.validation.simulation_based import Calibrated
from perdure.model.catalogue import read_catalogue
from perdure.parameters.errors import FileError, RangeError
from perdure.reports import calibration_report as fit_report
from perdure.reports.assessed_fit import natural_text, number_label, number_labels, renamed, result_labels
from perdure.reports.figures.assessment import coverage_picture, ranks_picture, recovery_picture
from perdure.reports.figures.paired_intervals import PredictedRow, predicted_picture
from perdure.reports.figures.picture import picture_csv

CATALOGUE = read_catalogue()
WHOLE = joint_space(CATALOGUE)
FREE = ("k_growth_tumour", "ide_cel.half_density_kill", "cilta_cel.half_density_kill")
SPACE = SearchSpace(FREE, CATALOGUE, tuple(family for family in WHOLE.families if set(family.members) & set(FREE)))
STUDIES = tuple(study for study in read_studies() if study.name in ("crb_401", "legend_2"))
SMALL = FitSettings(
    prior=16, per_round=6, last=8, widths=(1.5, 1.0), repeats=2, starts=3, by_cma=1, cma_evaluations=200, draws=6,
    sizes=Sizes(25, 25, 25),
)  # fmt: skip
FEW = {"ensembles": EnsembleSettings(steps=40, burn_in=10, walkers=12), "particles": SmcSettings(particles=40)}
TINY = AssessmentSettings(points=2, iterations=2, sobol=8, morris=3, particles=60)


def table_of(picture: object) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(picture_csv(picture))))  # pyright: ignore[reportArgumentType]


# -------------------------------------------------------------------------------------------------- the whole report
def test_a_small_fit_gets_a_whole_report_and_long_checks_that_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (whole_fit, fit_report):
        monkeypatch.setattr(module, "joint_space", lambda _: SPACE)
        monkeypatch.setattr(module, "read_studies", lambda: STUDIES)
    file = str(tmp_path / "small.json.gz")
    reference_fit(Path(file), SMALL, **FEW)
    sizes = posterior.Sizes(patients=40, draws=2, patients_per_draw=20)
    folder = fit_report.write_fit_report(file, tmp_path / "runs", settings=TINY, sizes=sizes, repeats=3)
    html = (folder / "report.html").read_text(encoding="utf-8")
    for title in (
        "Evidence", "Prior predictive check", "Optimisation", "Posterior", "Goodness of fit",
        "Hierarchical (partially pooled) parameters", "Identifiability", "leave one trial out",
        "results held out of the fit", "on synthetic evidence", "Two virtual-population methods",
        "What the data cannot say",
    ):  # fmt: skip
        assert re.search(rf"<h2 [^>]*>\d+\. [^<]*{re.escape(title)}</h2>", html), title
    assert "not shipped with this calibration" in html
    assert "CRB-401 (ide-cel): ORR" in html
    assert "http://" not in html.replace("http://www.w3.org", "")
    for name in ("prior_check_shares", "correlations", "fit_percentages", "profiles", "sobol", "left_out_shares"):
        assert (folder / f"{name}.png").stat().st_size > 1000
    problem, points = Problem(SPACE, STUDIES), read_points(file)
    path = checks_file(file)
    first = run_long_checks(problem, points, path, repeats=1, particles=100)
    both = run_long_checks(problem, points, path, repeats=2, particles=100)
    assert (first.repeats, both.repeats) == ((1, 1), (2, 2))
    assert read_checks(path) == both
    assert both.ranks is not None
    assert first.ranks is not None
    assert both.ranks.ranks[0] == first.ranks.ranks[0]  # what was done is kept
    with pytest.raises(FileError, match="belongs to another fit"):
        run_long_checks(problem, points, path, repeats=3, particles=150)
    shown, why = fit_report._checks(file, points, problem)
    assert shown is not None
    assert shown.recovery is not None
    assert not why
    assert shown.recovery.numbers[0].name == "tumour growth rate"
    none, why = fit_report._checks(file, replace(points, centre=points.centre + 1.0), problem)
    assert none is None
    assert "belong to another fit or sampler" in why


def test_long_checks_need_room_for_ranks_and_a_file_that_holds_them(tmp_path: Path) -> None:
    path = tmp_path / "fit.checks.json.gz"
    assert read_checks(path) is None
    write_checks(LongChecks("mark"), path)
    once = path.read_bytes()
    write_checks(LongChecks("mark"), path)
    assert path.read_bytes() == once
    assert read_checks(path) == LongChecks("mark")
    path.write_bytes(b"nonsense")
    with pytest.raises(FileError, match="does not hold the long checks"):
        read_checks(path)
    with pytest.raises(RangeError, match="particles = 50"):
        run_long_checks(None, None, path, particles=50)  # pyright: ignore[reportArgumentType]
    assert checks_file("reference").name == "reference.checks.json.gz"
    assert checks_file(str(tmp_path / "own.json")) == tmp_path / "own.checks.json.gz"


# ------------------------------------------------------------------------------------------------------------- labels
def test_numbers_and_results_have_labels_of_their_own() -> None:
    problem = Problem(WHOLE, read_studies())
    for labels, ids in ((number_labels(WHOLE), WHOLE.names), (result_labels(problem), [i.id for i in problem.items])):
        assert list(labels) == list(ids)
        assert len(set(labels.values())) == len(labels)
        assert not [label for label in labels.values() if "_" in label]
    assert number_label("cilta_cel.fraction_engrafted") == "cilta-cel: share engrafted"
    assert number_label("k_kill_max_teclistamab") == "teclistamab: maximal killing rate"
    assert number_label("mixed_line.k_growth_tumour.factor") == "mixed line: tumour growth rate, relative"


def test_renaming_reaches_into_what_a_result_holds() -> None:
    found = Recovery((ParameterRecovery("a", (1, 2), 0.0, 1.0, 0.5),), 2, ("b",))
    assert renamed(found, {"a": "A", "b": "B"}) == Recovery((ParameterRecovery("A", (1, 2), 0.0, 1.0, 0.5),), 2, ("B",))


def test_a_coordinate_is_written_in_the_unit_of_its_number_unless_it_is_part_of_a_class() -> None:
    assert natural_text(SPACE, "k_growth_tumour", 0.0) == "0.012 1/day"
    two_up = float(natural_text(SPACE, "k_growth_tumour", 2.0).partition(" ")[0])
    assert two_up == pytest.approx(0.012 * np.exp(2.0 * 0.5), rel=0.01)  # log-normal, SD 0.5
    assert natural_text(SPACE, "ide_cel.half_density_kill", -1.0) == "\u22121.00 prior SDs"
    assert natural_text(SPACE, SPACE.names[-1], 1.0) == "+1.00 prior SDs"


# ----------------------------------------------------------------------------------------------------------- pictures
def test_the_calibration_curve_has_the_band_that_binomial_counts_stay_in() -> None:
    curve = [Coverage(level, round(40 * level), 40) for level in CURVE]
    picture = coverage_picture(curve)
    rows = table_of(picture)
    assert [float(row["nominal"]) for row in rows] == list(CURVE)
    assert "Inside the band" in picture.alt
    draws = np.random.default_rng(1).binomial(40, 0.5, size=200_000) / 40.0
    half = rows[CURVE.index(0.5)]
    inside = np.mean((draws >= float(half["band_low"])) & (draws <= float(half["band_high"])))
    assert 0.95 <= inside <= 0.975
    poor = coverage_picture([Coverage(level, round(20 * level), 40) for level in CURVE])
    assert "Outside the binomial band at" in poor.alt
    assert "95 %" in poor.alt.partition("Outside")[2]


def test_ranks_are_drawn_worst_first_and_those_outside_are_named() -> None:
    rng = np.random.default_rng(2)
    flat, low = rng.integers(100, size=(60, 2)), rng.integers(30, size=60)
    ranks = tuple((int(a), int(c), int(b)) for (a, b), c in zip(flat, low, strict=True))
    picture = ranks_picture(Calibrated(("fine", "too low", "log likelihood"), ranks, 99, 60))
    assert "1 of 3 quantities leave the simultaneous 95 % band: too low" in picture.alt
    rows = table_of(picture)
    assert list(dict.fromkeys(row["quantity"] for row in rows)) == ["log likelihood", "too low", "fine"]
    at = next(row for row in rows if row["quantity"] == "too low" and row["rank"] == "29")
    assert float(at["ecdf"]) == 1.0
    assert float(at["uniform"]) == pytest.approx(0.3)


def test_recovery_shows_the_numbers_furthest_from_nominal_and_tables_all() -> None:
    numbers = tuple(
        ParameterRecovery(f"number {k}", (25, inside), 0.1, 1.0, 0.5) for k, inside in enumerate((48, 30, 47))
    )
    picture = recovery_picture(Recovery(numbers, 50, ()), shown=2)
    rows = table_of(picture)
    assert [row["number"] for row in rows] == ["number 0", "number 1", "number 2"]
    assert [int(row["inside_95"]) for row in rows] == [48, 30, 47]
    assert "Lowest: number 1" in picture.alt
    assert "125 of 150" in picture.alt


def test_predictions_are_tabled_as_they_are_drawn_and_reports_outside_are_named() -> None:
    rows = [
        PredictedRow("A: ORR", "%", 80.0, 60.0, (55.0, 40.0), (65.0, 79.0), inside=False),
        PredictedRow("A: PFS", "months", 12.0, 9.0, (8.0, 5.0), (11.0, 20.0), inside=True, beyond=True),
    ]
    picture = predicted_picture(rows, name="left_out", title="Left out", levels=(0.5, 0.95))
    assert "1 lie inside the 95 % one. Outside: A: ORR: 80 in 40 to 79." in picture.alt
    table = table_of(picture)
    assert [(row["low_50"], row["high_95"]) for row in table] == [("55", "79"), ("8", "20")]
    with pytest.raises(RangeError, match="an interval for each of 1 levels"):
        predicted_picture(rows, name="left_out", title="Left out")
