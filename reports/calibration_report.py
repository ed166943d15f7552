"""The report on a fit: what the calibration rests on, in one HTML file that a reviewer can check."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..fitting.calibration.assessment import AssessmentSettings
from ..fitting.calibration.calibration import MISSED, is_file, read_calibration
from ..fitting.calibration.long_checks import LongChecks, checks_file, read_checks, same_fit
from ..fitting.calibration.points import FitPoints, points_file, read_points
from ..fitting.calibration.problem import Problem
from ..fitting.calibration.rounds import checksum
from ..fitting.calibration.search_space import joint_space
from ..fitting.identifiability.verdict import counted
from ..fitting.studies import read_studies
from ..fitting.validation.leave_out import LEVELS, Coverage, Prediction
from ..fitting.validation.recovery import Recovery
from ..fitting.validation.simulation_based import Calibrated
from ..model.catalogue import read_catalogue
from ..trials.prevalence_projection import HEADLINES, METHODS
from ..trials.treat import SEED
from . import populations_report
from .calibration_contents import FitContents, Progress, ReportSizes, contents, number_labels, renamed, result_label
from .calibration_sections import (
    ENOUGH,
    POOR,
    RIGHT,
    cannot_section,
    dedented,
    emulator_rows,
    evidence_section,
    fit_section,
    hierarchy_section,
    identifiability_section,
    listed,
    posterior_section,
    predicted_pictures,
    prior_section,
    search_section,
)
from .figures.predictive import PredictedRow
from .figures.validation import coverage_picture, ranks_picture, recovery_picture
from .report import Report, Section, Table, write_report
from .run_files import RunFolder, new_run

# Sections of the report on a fit: validation, and both ways to make virtual patients.


LIFETIME = 1200.0
"""Months; a predicted median beyond it counts as not reached."""
_COVERAGE = ("nominal, %", "inside", "reports", "observed, %", "95 % interval from, %", "to, %")
_PREDICTED = ("result", "reported", "predicted median", "95 % from", "to", "inside 50 %", "80 %", "95 %", "place")
_NOTE = """Place: share of the predictive distribution below the report; of a result that is yes or no, the probability
that it is found as reported."""


_CURVE_NOTE = """Leave one trial out: central intervals of every level, by randomised places (Czado 2009). The table
counts a percentage as inside that its trial would round to the bound, and so counts a few more."""


def left_out_section(found: FitContents) -> Section:
    """Every trial predicted from the others."""
    left = found.assessed.left_out
    anew = [trial.study for trial in left.trials if trial.resampled]
    rows = [_row(found.results[one.item], _unit(found, one), one) for one in left.predictions if one.numeric]
    yes_or_no = [one for one in left.predictions if not one.numeric]
    text = f"""Each trial was left out once, all of its results together, and predicted from all others: the posterior
    without it, the error of the emulator, and the sampling error of a trial of its size. For {len(anew)} of
    {len(left.trials)} trials the posterior was sampled anew, because weighted draws could not be trusted (Pareto k from
    0.7); the others by Pareto-smoothed weights.

    Coverage as it is: {"; ".join(one.text for one in left.coverage())}. The bracket holds the share and its 95 %
    interval
    (Clopper and Pearson), for independent reports, which those of one trial are not. A trial that is alone with its
    product is predicted from its class and its priors, so its interval is wide; coverage above nominal says so, and
    is no
    praise.

    Outside the 95 % interval: {
        listed(
            f"{found.results[one.item]} (reported {one.reported}, predicted {_between(one)})"
            for one in left.predictions
            if one.numeric and not one.inside[-1]
        )
    }.
    {
        f"Results that are yes or no, and the probability to find them as reported: "
        f"{listed(f'{found.results[one.item]} {100 * (one.chance or 0.0):.0f} %' for one in yes_or_no)}."
        if yes_or_no
        else ""
    }"""
    pictures = predicted_pictures(rows, "left_out", "Leave one trial out", LEVELS)
    if rows:
        pictures.append(coverage_picture(left.curve(), note=_CURVE_NOTE))
    by_trial = [
        (trial.study, left.by_trial()[trial.study].inside, left.by_trial()[trial.study].total, trial.k_hat,
         round(trial.effective), "sampled anew" if trial.resampled else "weighted draws")
        for trial in left.trials
    ]  # fmt: skip
    head = ("trial", "inside 95 %", "reports", "Pareto k", "effective draws", "posterior without it")
    return Section("Validation: every trial left out once", dedented(text), pictures, [
        _coverage_table(left.coverage()),
        Table("Every prediction", _PREDICTED, [_cells(found.results[p.item], p) for p in left.predictions], _NOTE),
        Table("Every trial", head, by_trial),
    ])  # fmt: skip


def held_out_section(found: FitContents) -> Section:
    """Results of role 'check', which no fit has seen."""
    held = found.held_out
    title = "Validation: results that no fit has seen"
    if held is None:
        return Section(title, "No result of role 'check' is computed by the model.")
    studies = {study.study: study for study in found.problem.studies}
    labels = [result_label(studies[row.fit.study], row.fit.item) for row in held.rows]
    labels = [
        f"{label} [{row.fit.item.text}]" if labels.count(label) > 1 else label
        for label, row in zip(labels, held.rows, strict=True)
    ]
    rows = [
        _row(label, row.fit.item.unit, row.prediction)
        for label, row in zip(labels, held.rows, strict=True) if row.prediction.numeric
    ]  # fmt: skip
    outside = [
        label for label, row in zip(labels, held.rows, strict=True)
        if row.prediction.numeric and not row.prediction.inside[-1]
    ]  # fmt: skip
    text = f"""{len(held.rows)} results were held out of the fit and simulated afterwards, by the model itself and not
    by
    its emulator, at the estimate and over posterior draws. Some are of patients who are also in fitted results, or
    later
    reports of a fitted trial; their notes say so in the table of the evidence. Few draws stand behind each interval.

    Coverage as it is: {"; ".join(one.text for one in held.coverage())}. Outside the 95 % interval:
    {listed(outside)}."""
    pictures = predicted_pictures(rows, "held_out", "Results that no fit has seen", LEVELS)
    table = [_cells(label, row.prediction) for label, row in zip(labels, held.rows, strict=True)]
    return Section(title, dedented(text), pictures, [
        _coverage_table(held.coverage()), Table("Every prediction", _PREDICTED, table, _NOTE),
    ])  # fmt: skip


def long_checks_section(found: FitContents) -> Section:
    """Simulation-based calibration, and truths found again."""
    title = "Validation: on synthetic evidence"
    if found.checks is None:
        return Section(title, found.unchecked)
    parts, pictures, tables = [], [], []
    if found.checks.ranks is not None:
        parts.append(_ranks_text(found.checks.ranks))
        pictures.append(ranks_picture(found.checks.ranks))
    if found.checks.recovery is not None:
        recovery = found.checks.recovery
        parts.append(_recovery_text(recovery))
        pictures.append(recovery_picture(recovery))
        tables = [_coverage_table(recovery.total()), _recovery_table(recovery)]
    parts.append("Both judge the fitting, not the model: the synthetic reports come from the emulator itself.")
    return Section(title, "\n\n".join(parts), pictures, tables)


def _ranks_text(ranks: Calibrated) -> str:
    name, p = ranks.smallest_p(next(k for k in (10, 5, 4, 2) if (ranks.draws + 1) % k == 0))
    out = ranks.outside()
    return dedented(f"""{len(ranks.ranks)} times a truth was drawn from the prior, reports from the truth, and the
    posterior
    of these reports sampled. The rank of the truth among the draws is then uniform: a curve that leaves the grey band
    upwards and then downwards or the other way shows a posterior that is biased, too narrow or too wide. {len(out)} of
    {len(ranks.names)} quantities leave their 95 % bands ({0.05 * len(ranks.names):.1f} expected by chance):
    {listed(out)}.
    Furthest from uniform: {name} (p = {p:.2g}, adjusted for all).""")


def _recovery_text(found: Recovery) -> str:
    worst = found.coverage(found.worst.name)[-1]
    held = (
        f" {len(found.held)} results cannot be reported otherwise, and stayed as they are."
        if found.held else ""
    )  # fmt: skip
    return dedented(f"""Simulate and recover, {found.repeats} repeats: reports were drawn from a posterior draw,
    fitted, and the
    truth looked for in the intervals. Over all numbers: {"; ".join(one.text for one in found.total())} (repeats share
    their truth, so the brackets are too narrow). Least often found: {found.worst.name}, {worst.text}. Truths are
    draws of the
    posterior and not of the prior, so coverage near nominal, and not exactly it, is expected.{held}""")


def _recovery_table(found: Recovery) -> Table:
    rows = [
        (one.name, one.inside[0], one.inside[1], one.bias, one.spread, round(100 * max(one.shrinkage, 0.0)))
        for one in sorted(found.numbers, key=lambda one: one.inside[-1])
    ]
    head = ("number", "inside 50 %", "inside 95 %", "bias, posterior SDs", "its SD (1 is right)", "decided, %")
    return Table(f"Truths found again, of {found.repeats}", head, rows)


def populations_section(found: FitContents) -> Section:
    """Both ways to make virtual patients."""
    both = found.populations
    text = f"""Each headline under two ways to make virtual patients: sampled from the fitted distributions, and
    plausible
    patients with prevalence weights, started twice. Where the marks of a row stand together, the number does not hang
    on
    the way. {populations_report.reading(both)}"""
    rows = [
        (one.name, headline, *(one.estimate(method, headline).text(".1f") for method in METHODS))
        for one in both for headline in HEADLINES
    ]  # fmt: skip
    unmet = [(number, words) for number, words in enumerate(populations_report.notices(both), start=1)]
    return Section("Two kinds of virtual population", dedented(text), [populations_report.picture(both)], [
        Table("Both ways", ("product", "number", *METHODS), rows,
              "Value (95 % interval). 'perdure run two_populations' gives it with more patients and all details."),
        Table("What the weights could not meet", ("", "notice"), unmet),
    ])  # fmt: skip


def _unit(found: FitContents, one: Prediction) -> str:
    return found.item(one.item).unit


def _row(label: str, unit: str, one: Prediction) -> PredictedRow:
    value, median = (float("nan") if x is None else x for x in (one.value, one.median))
    highs = tuple(_open(high, unit) for high in one.highs)
    return PredictedRow(
        label, unit, value, median, one.lows, highs, one.inside[-1], one.kind == "median_not_reached"
    )  # fmt: skip


def _open(high: float, unit: str) -> float:
    """Not reached, where it stands for a curve that ends above one half."""
    return float("inf") if unit == "months" and high > LIFETIME else high


def _between(one: Prediction) -> str:
    return f"{one.lows[-1]:.3g} to {one.highs[-1]:.3g}"


def _cells(label: str, one: Prediction) -> tuple[object, ...]:
    if not one.numeric:
        return (label, one.reported, one.median, None, None, None, None, None, one.chance)
    high = _open(one.highs[-1], "months" if "months" in one.reported else "")
    return (label, one.reported, one.median, one.lows[-1], high, *one.inside, one.place)


def _coverage_table(counted: tuple[Coverage, ...]) -> Table:
    rows = [
        (100 * one.level, one.inside, one.total, *(round(100 * x, 1) if np.isfinite(x) else None
                                                   for x in (one.share, *one.interval)))
        for one in counted
    ]  # fmt: skip
    return Table("Coverage, counted", _COVERAGE, rows)


_SECTIONS = (
    evidence_section, prior_section, search_section, posterior_section, fit_section, hierarchy_section,
    identifiability_section, left_out_section, held_out_section, long_checks_section, populations_section,
    cannot_section,
)  # fmt: skip


def write_fit_report(
    calibration: str = "reference", runs: Path = Path("runs"), *, settings: AssessmentSettings | None = None,
    sizes: ReportSizes | None = None, progress: Progress | None = None,
) -> Path:  # fmt: skip
    """Assess a fit from the points that lie beside its calibration, and write the report; returns its folder.

    Parameters
    ----------
    calibration
        Name of a shipped calibration, or a user's own file.
    settings, sizes
        How thorough; smaller ones for a quick look.

    Raises
    ------
    FileError
        If there is no such calibration, or no points lie beside it, or they belong to other evidence.
    """
    known = read_calibration(calibration)
    points = read_points(calibration)
    problem = Problem(joint_space(read_catalogue()), read_studies())
    command = f"perdure fit --report --calibration {calibration}"
    with new_run(runs, "fit_report", command, {"virtual patients": SEED, "samplers": 1}) as folder:
        _note_inputs(folder, calibration)
        found = contents(
            known, problem, points, _checks(calibration, points, problem), settings or THOROUGH,
            sizes or ReportSizes(), folder, progress,
        )  # fmt: skip
        with folder.timed("pictures"):
            sections = [section(found) for section in _SECTIONS]
            for section in sections:
                for picture in section.pictures:
                    folder.save(picture)
        _write_tables(folder, sections)
        report = Report(
            title="What the calibration rests on",
            subtitle=f"Calibration '{known.name}': {len(problem.items)} results, {len(problem.space.ids)} free numbers",
            intro=_INTRO,
            notices=notices(found),
            sections=sections,
            manifest={**folder.manifest(), "calibration": _about(found)},
        )
        write_report(folder.path / "report.html", report)
    return folder.path


THOROUGH = AssessmentSettings(points=4, iterations=3, sobol=2048, morris=40, particles=300)
"""Of a report, so that it takes minutes: the points of profiles are joined by cubics with the right slopes."""

_INTRO = """A mechanistic model was fitted to all collected results at once. This report shows the evidence, the search,
the posterior and its emulator, what the data can and cannot tell, and how well trials are predicted that were left out.
What is bad stands in it as it is. All virtual patients are simulated."""


def notices(found: FitContents) -> list[str]:
    """What a reader must know first: what is bad, and the coverage as it is."""
    said = []
    if found.calibration.about.get("evidence") != checksum(found.problem.studies):
        said.append("The evidence has changed since this fit, or the calibration does not say of which evidence it is.")
    bad = sorted(
        ((found.results[name], one["misfit"]) for name, one in found.calibration.misfits.items()
         if name in found.results and abs(one["misfit"]) > MISSED), key=lambda pair: -abs(pair[1]),
    )  # fmt: skip
    if bad:
        said.append(f"Misfits beyond {MISSED:g} standard errors: {listed(f'{n} ({m:+.1f})' for n, m in bad)}.")
    said += _sampling_notices(found)
    poor = [row for row in emulator_rows(found) if row[-1] > POOR]
    if poor:
        said.append(
            f"The emulator errs by more than {POOR:g} times what is expected for {len(poor)} of "
            f"{len(found.results)} results, most for {poor[0][0]} ({poor[0][-1]:.1f} times)."
        )
    counts = ", ".join(f"{n} {word}" for word, n in counted(found.assessed.verdicts).items() if n)
    said.append(f"Of {len(found.assessed.verdicts)} numbers, by the data alone: {counts}.")
    said.append(f"Trials left out: {'; '.join(one.text for one in found.assessed.left_out.coverage())}.")
    if found.held_out is not None:
        said.append(f"Results never fitted: {'; '.join(one.text for one in found.held_out.coverage())}.")
    if found.checks is None:
        said.append(found.unchecked)
    return said


def _sampling_notices(found: FitContents) -> list[str]:
    said = []
    for way, counts in found.about("search").items():
        if isinstance(counts, list | tuple) and len(counts) == 2 and 2 * counts[0] < counts[1]:
            said.append(f"Only {counts[0]} of {counts[1]} searches by {way} reached the best optimum.")
    sampling = found.about("sampling")
    for key, limit, low in (("largest_r_hat", RIGHT, False), ("smallest_ess_bulk", ENOUGH, True)):
        value = sampling.get(key)
        if isinstance(value, int | float) and (value < limit if low else value > limit):
            wanted = "at least" if low else "at most"
            said.append(f"Sampling: {key.replace('_', ' ')} is {value:.4g}; {wanted} {limit:g} is wanted.")
    return said


def _checks(calibration: str, points: FitPoints, problem: Problem) -> tuple[LongChecks | None, str]:
    """The long checks beside the calibration, with labels; or why there are none."""
    known = read_checks(checks_file(calibration))
    name = checks_file(calibration).name
    if known is None:
        return None, (
            f"Simulation-based calibration and simulate-and-recover are not shipped with this calibration ({name}); "
            "'python -m perdure.fitting.calibration.long_checks' makes them."
        )
    if not same_fit(known, points):
        return (
            None,
            f"The long checks beside this calibration ({name}) belong to another fit or sampler, and are not shown.",
        )
    return renamed(known, number_labels(problem.space)), ""


def _note_inputs(folder: RunFolder, calibration: str) -> None:
    if is_file(calibration):
        for path in (Path(calibration), points_file(Path(calibration)), checks_file(calibration)):
            if path.exists():
                folder.note_input(path)


def _write_tables(folder: RunFolder, sections: Sequence[Section]) -> None:
    """Every table as CSV too."""
    for number, section in enumerate(sections, start=1):
        for place, table in enumerate(section.tables, start=1):
            head = list(dict.fromkeys(table.columns))
            if table.rows and len(head) == len(table.columns):
                columns = {name: [row[k] for row in table.rows] for k, name in enumerate(table.columns)}
                folder.write_table(f"table_{number}_{place}", columns)


def _about(found: FitContents) -> dict[str, object]:
    return {key: value for key, value in found.calibration.about.items() if key not in ("emulator", "settings")}
