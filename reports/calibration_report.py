"""The report on a fit: evidence, posterior, identifiability and validation, in one HTML file for a reviewer."""

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
from ..fitting.posterior import SEED, Sizes
from ..fitting.studies import read_studies
from ..fitting.validation.leave_out import LEVELS, Coverage, Prediction
from ..fitting.validation.recovery import Recovery
from ..fitting.validation.simulation_based import Calibrated
from ..model.catalogue import read_catalogue
from ..trials.prevalence_projection import HEADLINES, METHODS
from . import populations_report
from .assessed_fit import REPEATS, SIZES, AssessedFit, assess_fit, number_labels, renamed, result_label
from .calibration_sections import (
    LARGEST_R_HAT,
    POOR,
    SMALLEST_ESS,
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
from .figures.assessment import coverage_picture, ranks_picture, recovery_picture
from .figures.paired_intervals import PredictedRow
from .figures.picture import Columns
from .report import Report, Section, Table, columns
from .run_files import RunFolder, new_run, write_run

# Validation, and the two virtual-population methods


LIFETIME = 1200.0
"""Months; a predicted median beyond it counts as not reached."""
_COVERAGE = ("nominal, %", "inside", "reports", "observed, %", "95 % interval from, %", "to, %")
_PREDICTED = ("result", "reported", "predicted median", "95 % from", "to", "inside 50 %", "80 %", "95 %", "quantile")
_NOTE = """Quantile: share of the predictive distribution below the report; of a result that is yes or no, the
probability of the result as reported."""


_CURVE_NOTE = """Leave one trial out: central intervals of every level, by randomised quantiles (Czado 2009). The table
counts a percentage as inside that its trial would round to the limit, and so counts a few more."""


def left_out_section(fit: AssessedFit) -> Section:
    """Every trial predicted from the others."""
    left_out = fit.assessment.left_out
    resampled = [trial.study for trial in left_out.trials if trial.resampled]
    rows = [
        _row(fit.results[prediction.item], fit.item(prediction.item).unit, prediction)
        for prediction in left_out.predictions if prediction.numeric
    ]  # fmt: skip
    outside = [
        f"{fit.results[prediction.item]} (reported {prediction.reported}, predicted {_between(prediction)})"
        for prediction in left_out.predictions if prediction.numeric and not prediction.inside[-1]
    ]  # fmt: skip
    yes_or_no = [
        f"{fit.results[prediction.item]} {100 * (prediction.chance or 0.0):.0f} %"
        for prediction in left_out.predictions if not prediction.numeric
    ]  # fmt: skip
    text = f"""Each trial was left out once, with all of its results, and predicted from all others: with the posterior
    without it, the error of the emulator, and the sampling error of a trial of its size. For {len(resampled)} of
    {len(left_out.trials)} trials the posterior was sampled again, because importance weights were unreliable (Pareto k
    of 0.7 or more); for the others the draws have Pareto-smoothed importance weights.

    Coverage: {"; ".join(coverage.text for coverage in left_out.coverage())}. In brackets the share and its 95 %
    interval (Clopper and Pearson), for independent reports, which those of one trial are not. The only trial of a
    product is predicted from the class of the product and from priors, so its interval is wide: coverage above nominal
    reflects that, and is not an achievement.

    Outside the 95 % interval: {listed(outside)}.
    {f"Results that are yes or no, with the probability as reported: {listed(yes_or_no)}." if yes_or_no else ""}"""
    pictures = predicted_pictures(rows, "left_out", "Leave one trial out", LEVELS)
    if rows:
        pictures.append(coverage_picture(left_out.curve(), note=_CURVE_NOTE))
    by_trial = left_out.by_trial()
    trials = [
        (trial.study, by_trial[trial.study].inside, by_trial[trial.study].total, trial.k_hat, round(trial.effective),
         "sampled again" if trial.resampled else "weighted draws")
        for trial in left_out.trials
    ]  # fmt: skip
    predictions = [_cells(fit.results[prediction.item], prediction) for prediction in left_out.predictions]
    head = ("trial", "inside 95 %", "reports", "Pareto k", "effective draws", "posterior without it")
    return Section("Validation: leave one trial out", dedented(text), pictures, [
        _coverage_table(left_out.coverage()),
        Table("Every prediction", _PREDICTED, predictions, _NOTE),
        Table("Every trial", head, trials),
    ])  # fmt: skip


def held_out_section(fit: AssessedFit) -> Section:
    """Results of role 'check', which were held out of the fit."""
    held_out = fit.held_out
    title = "Validation: results held out of the fit"
    if held_out is None:
        return Section(title, "No result of role 'check' is computed by the model.")
    studies = {study.study: study for study in fit.problem.studies}
    labels = [result_label(studies[row.fit.study], row.fit.item) for row in held_out.rows]
    labels = [
        f"{label} [{row.fit.item.text}]" if labels.count(label) > 1 else label
        for label, row in zip(labels, held_out.rows, strict=True)
    ]
    rows = [
        _row(label, row.fit.item.unit, row.prediction)
        for label, row in zip(labels, held_out.rows, strict=True) if row.prediction.numeric
    ]  # fmt: skip
    outside = [
        label for label, row in zip(labels, held_out.rows, strict=True)
        if row.prediction.numeric and not row.prediction.inside[-1]
    ]  # fmt: skip
    text = f"""{len(held_out.rows)} results were held out of the fit and simulated afterwards, with the model itself and
    not with its emulator, at the estimate and over posterior draws. Some are of patients who are also in fitted
    results, or later reports of a fitted trial; their notes say so in the table of the evidence. Each interval rests on
    few draws.

    Coverage: {"; ".join(coverage.text for coverage in held_out.coverage())}. Outside the 95 % interval:
    {listed(outside)}."""
    pictures = predicted_pictures(rows, "held_out", "Results held out of the fit", LEVELS)
    predictions = [_cells(label, row.prediction) for label, row in zip(labels, held_out.rows, strict=True)]
    return Section(title, dedented(text), pictures, [
        _coverage_table(held_out.coverage()), Table("Every prediction", _PREDICTED, predictions, _NOTE),
    ])  # fmt: skip


def long_checks_section(fit: AssessedFit) -> Section:
    """Simulation-based calibration, and parameter recovery."""
    title = "Validation: on synthetic evidence"
    if fit.checks is None:
        return Section(title, fit.unchecked)
    parts, pictures, tables = [], [], []
    if fit.checks.ranks is not None:
        parts.append(_ranks_text(fit.checks.ranks))
        pictures.append(ranks_picture(fit.checks.ranks))
    if fit.checks.recovery is not None:
        recovery = fit.checks.recovery
        parts.append(_recovery_text(recovery))
        pictures.append(recovery_picture(recovery))
        tables = [_coverage_table(recovery.total()), _recovery_table(recovery)]
    parts.append("Both test the fitting, not the model: the synthetic reports come from the emulator itself.")
    return Section(title, "\n\n".join(parts), pictures, tables)


def _ranks_text(ranks: Calibrated) -> str:
    name, p = ranks.smallest_p(next(k for k in (10, 5, 4, 2) if (ranks.draws + 1) % k == 0))
    outside = ranks.outside()
    return dedented(f"""Simulation-based calibration, {len(ranks.ranks)} repeats: a true parameter vector was drawn from
    the prior, reports were simulated from it, and the posterior of these reports was sampled. The rank of the truth
    among the draws is then uniform: a curve outside the grey band shows a posterior that is biased, too narrow or too
    wide. {len(outside)} of {len(ranks.names)} quantities leave their 95 % bands ({0.05 * len(ranks.names):.1f} expected
    by chance): {listed(outside)}.
    Furthest from uniform: {name} (p = {p:.2g}, adjusted for all).""")


def _recovery_text(recovery: Recovery) -> str:
    worst = recovery.coverage(recovery.worst.name)[-1]
    held = (
        f" {len(recovery.held)} results cannot be reported otherwise, and stayed as they are."
        if recovery.held else ""
    )  # fmt: skip
    total = "; ".join(coverage.text for coverage in recovery.total())
    return dedented(f"""Parameter recovery, {recovery.repeats} repeats: reports were simulated from a posterior draw and
    fitted, and the intervals checked for the truth. Over all parameters: {total} (repeats share their truth, so the
    brackets are too narrow). Lowest coverage: {recovery.worst.name}, {worst.text}. Truths are draws of the posterior,
    not of the prior, so coverage near nominal, and not exactly nominal, is expected.{held}""")


def _recovery_table(recovery: Recovery) -> Table:
    rows = [
        (
            recovered.name, recovered.inside[0], recovered.inside[1], recovered.bias, recovered.spread,
            round(100 * max(recovered.shrinkage, 0.0)),
        )
        for recovered in sorted(recovery.numbers, key=lambda recovered: recovered.inside[-1])
    ]  # fmt: skip
    head = ("parameter", "inside 50 %", "inside 95 %", "bias, posterior SDs", "its SD (nominal: 1)", "shrinkage, %")
    return Table(f"Parameter recovery, of {recovery.repeats}", head, rows)


def populations_section(fit: AssessedFit) -> Section:
    """Both virtual-population methods."""
    text = f"""Each headline result by two virtual-population methods: patients sampled from the fitted distributions,
    and plausible patients with prevalence weights, from two starting points. Where the marks of a row coincide, the
    result does not depend on the method. {populations_report.reading(fit.populations)}"""
    rows = [
        (product.name, headline, *(product.estimate(method, headline).text(".1f") for method in METHODS))
        for product in fit.populations for headline in HEADLINES
    ]  # fmt: skip
    unmet = [(number, words) for number, words in enumerate(populations_report.notices(fit.populations), start=1)]
    return Section(
        "Two virtual-population methods", dedented(text), [populations_report.picture(fit.populations)], [
            Table("Both methods", ("product", "result", *METHODS), rows,
                  "Value (95 % interval). 'perdure run two_populations' gives it with more patients and all details."),
            Table("Targets that the weights could not meet", ("", "notice"), unmet),
        ],
    )  # fmt: skip


def _row(label: str, unit: str, prediction: Prediction) -> PredictedRow:
    value, median = (float("nan") if x is None else x for x in (prediction.value, prediction.median))
    highs = tuple(_open(high, unit) for high in prediction.highs)
    return PredictedRow(
        label, unit, value, median, prediction.lows, highs, prediction.inside[-1],
        prediction.kind == "median_not_reached",
    )  # fmt: skip


def _open(high: float, unit: str) -> float:
    """An upper limit in months that stands for a curve which ends above one half: not reached."""
    return float("inf") if unit == "months" and high > LIFETIME else high


def _between(prediction: Prediction) -> str:
    return f"{prediction.lows[-1]:.3g} to {prediction.highs[-1]:.3g}"


def _cells(label: str, prediction: Prediction) -> tuple[object, ...]:
    if not prediction.numeric:
        return (label, prediction.reported, prediction.median, None, None, None, None, None, prediction.chance)
    high = _open(prediction.highs[-1], "months" if "months" in prediction.reported else "")
    return (
        label, prediction.reported, prediction.median, prediction.lows[-1], high, *prediction.inside, prediction.place,
    )  # fmt: skip


def _coverage_table(coverages: tuple[Coverage, ...]) -> Table:
    rows = [
        (100 * coverage.level, coverage.inside, coverage.total,
         *(round(100 * x, 1) if np.isfinite(x) else None for x in (coverage.share, *coverage.interval)))
        for coverage in coverages
    ]  # fmt: skip
    return Table("Coverage, counted", _COVERAGE, rows)


# The report


_SECTIONS = (
    evidence_section, prior_section, search_section, posterior_section, fit_section, hierarchy_section,
    identifiability_section, left_out_section, held_out_section, long_checks_section, populations_section,
    cannot_section,
)  # fmt: skip


THOROUGH = AssessmentSettings(points=4, iterations=3, sobol=2048, morris=40, particles=300)
"""Of a report, so that it takes minutes: the points of profiles are joined by cubics with the right slopes."""

_INTRO = """A mechanistic model was fitted to all collected results jointly. This report shows the evidence, the
optimisation, the posterior and its emulator, what the data identify, and how well trials are predicted that were left
out. Its weaknesses are reported as they are. All virtual patients are simulated."""


def write_fit_report(
    calibration: str = "reference", runs: Path = Path("runs"), *, settings: AssessmentSettings = THOROUGH,
    sizes: Sizes = SIZES, repeats: int = REPEATS,
) -> Path:  # fmt: skip
    """Assess a fit from the points that lie beside its calibration, and write the report.

    Parameters
    ----------
    calibration
        Name of a shipped calibration, or a user's own file.
    runs
        Folder that gets one folder per run.
    settings, sizes, repeats
        How thorough; smaller ones for a quick look. Progress is that of `sizes`.

    Returns
    -------
    Path
        The folder of the run.

    Raises
    ------
    FileError
        If there is no such calibration, or no points lie beside it, or they belong to other evidence.
    """
    points = read_points(calibration)
    problem = Problem(joint_space(read_catalogue()), read_studies())
    command = f"perdure fit --report --calibration {calibration}"
    with new_run(runs, "fit_report", command, {"virtual patients": SEED, "samplers": 1}) as folder:
        _note_inputs(folder, calibration)
        fit = assess_fit(
            read_calibration(calibration), problem, points, _checks(calibration, points, problem), settings, sizes,
            repeats, folder,
        )  # fmt: skip
        with folder.timed("pictures"):
            report = fit_report(fit)
        write_run(folder, report, tables=_numbered_tables(report.sections))
    return folder.path


def fit_report(fit: AssessedFit) -> Report:
    """The report on an assessed fit."""
    calibration, problem = fit.calibration, fit.problem
    return Report(
        title="What the calibration rests on",
        subtitle=f"Calibration '{calibration.name}': {len(problem.items)} results, {len(problem.space.ids)} estimated "
        "parameters",
        intro=_INTRO,
        notices=notices(fit),
        sections=[section(fit) for section in _SECTIONS],
        manifest={
            "calibration": {
                key: value for key, value in calibration.about.items() if key not in ("emulator", "settings")
            }
        },
    )


def notices(fit: AssessedFit) -> list[str]:
    """Weaknesses of the fit, and the coverage of its predictions."""
    sentences = []
    if fit.calibration.about.get("evidence") != checksum(fit.problem.studies):
        sentences.append("The evidence has changed since this fit, or the calibration has no checksum of its evidence.")
    missed = sorted(
        ((fit.results[name], misfit["misfit"]) for name, misfit in fit.calibration.misfits.items()
         if name in fit.results and abs(misfit["misfit"]) > MISSED), key=lambda pair: -abs(pair[1]),
    )  # fmt: skip
    if missed:
        sentences.append(f"Misfits beyond {MISSED:g} standard errors: {listed(f'{n} ({m:+.1f})' for n, m in missed)}.")
    sentences += _sampling_notices(fit)
    poor = [row for row in emulator_rows(fit) if row[-1] > POOR]
    if poor:
        sentences.append(
            f"The error of the emulator is more than {POOR:g} times its expectation for {len(poor)} of "
            f"{len(fit.results)} results, the largest for {poor[0][0]} ({poor[0][-1]:.1f} times)."
        )
    assessment = fit.assessment
    counts = ", ".join(f"{n} {word}" for word, n in counted(assessment.verdicts).items() if n)
    sentences.append(f"Of {len(assessment.verdicts)} parameters and class means, by the data alone: {counts}.")
    sentences.append(f"Trials left out: {'; '.join(coverage.text for coverage in assessment.left_out.coverage())}.")
    if fit.held_out is not None:
        sentences.append(f"Results held out: {'; '.join(coverage.text for coverage in fit.held_out.coverage())}.")
    if fit.checks is None:
        sentences.append(fit.unchecked)
    return sentences


def _sampling_notices(fit: AssessedFit) -> list[str]:
    sentences = []
    for method, counts in fit.about("search").items():
        if isinstance(counts, list | tuple) and len(counts) == 2 and 2 * counts[0] < counts[1]:
            sentences.append(f"Only {counts[0]} of {counts[1]} searches by {method} reached the best optimum.")
    sampling = fit.about("sampling")
    for key, limit, is_floor in (("largest_r_hat", LARGEST_R_HAT, False), ("smallest_ess_bulk", SMALLEST_ESS, True)):
        value = sampling.get(key)
        if isinstance(value, int | float) and (value < limit if is_floor else value > limit):
            bound = "at least" if is_floor else "at most"
            sentences.append(f"Sampling: {key.replace('_', ' ')} is {value:.4g}; {bound} {limit:g} is wanted.")
    return sentences


def _checks(calibration: str, points: FitPoints, problem: Problem) -> tuple[LongChecks | None, str]:
    """The long checks beside the calibration, with labels; or why there are none."""
    checks = read_checks(checks_file(calibration))
    name = checks_file(calibration).name
    if checks is None:
        return None, (
            f"Simulation-based calibration and simulate-and-recover are not shipped with this calibration ({name}); "
            "'python -m perdure.fitting.calibration.long_checks' makes them."
        )
    if not same_fit(checks, points):
        return (
            None,
            f"The long checks beside this calibration ({name}) belong to another fit or sampler, and are not shown.",
        )
    return renamed(checks, number_labels(problem.space)), ""


def _note_inputs(folder: RunFolder, calibration: str) -> None:
    if is_file(calibration):
        for path in (Path(calibration), points_file(Path(calibration)), checks_file(calibration)):
            if path.exists():
                folder.note_input(path)


def _numbered_tables(sections: Sequence[Section]) -> list[tuple[str, Columns]]:
    """Tables by section and place, because several sections have tables of the same title."""
    return [
        (f"table_{number}_{place}", columns(table.columns, table.rows))
        for number, section in enumerate(sections, start=1)
        for place, table in enumerate(section.tables, start=1)
        if table.rows and len(set(table.columns)) == len(table.columns)
    ]
