"""Pictures, tables and numbers of a comparison: from arms to what a report shows.

`report_of` makes the report of an experiment from its comparisons, `arms_section` its usual section, `along_panel` the
axes of a measure along what the arms differ in, and `course_of` a course in time with its spread between patients.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ..fitting.posterior import Estimate
from ..parameters.units import DAYS_PER_MONTH
from ..trials.compare import EVERYBODY, Comparison
from ..trials.measures import MEDIAN_PFS, RESTRICTED_PFS, Measure
from ..trials.treat import ArmResult
from .experiment_report import ExperimentReport, Finding
from .figures.courses import AlongPanel, BandSpec, LineSpec
from .figures.intervals import EffectRowSpec, effect_picture
from .figures.picture import Picture
from .figures.survival import CurveSpec, survival_picture
from .report import Section, Table
from .run_files import NumberRow, estimate_row

TRIAL_SIZE = 100
"""Patients per arm of the trial whose sampling error the dashed lines show."""
INTERVAL = "Value at the estimate (central 95 % of posterior draws). NR: not reached."
FEWEST_SHARE, FEWEST = 0.05, 2
"""A course is drawn for as long as at least this share of the patients, and so many of them, are followed."""


def report_of(
    *comparisons: Comparison, title: str, subtitle: str, sentences: Sequence[str], sections: Sequence[Section],
    findings: Sequence[Finding] = (), numbers: Sequence[NumberRow] = (), notices: Sequence[str] = (),
    gains: Sequence[Measure] = (RESTRICTED_PFS,),
) -> ExperimentReport:  # fmt: skip
    """The report of an experiment: its numbers, notices and arms are those of its comparisons, and what is added.

    Parameters
    ----------
    sentences
        The answer in plain words, the most important first.
    numbers, notices
        More than the comparisons bring.
    gains
        Measures whose gains over the first arm are among the numbers.

    Returns
    -------
    ExperimentReport
        What several comparisons have in common, an arm without treatment for example, is in it once.
    """
    rows = [row for comparison in comparisons for row in numbers_of(comparison, gains=gains)]
    standing = [notice for comparison in comparisons for notice in notices_of(comparison)]
    return ExperimentReport(
        title=title, subtitle=subtitle, sentences=sentences, sections=sections,
        numbers=list({repr(row): row for row in (*rows, *numbers)}.values()),  # by repr: NaN is not equal to itself
        notices=list(dict.fromkeys((*standing, *notices))), given=given_of(*comparisons), findings=findings,
    )  # fmt: skip


def arms_section(
    comparison: Comparison, title: str, *, name: str, table: str, pfs: str = "", gain: str = "", text: str = "",
    arms: Sequence[str] = (), months: float = 0.0, note: str = "", pictures: Sequence[Picture] = (),
    tables: Sequence[Table] = (),
) -> Section:  # fmt: skip
    """The usual section: progression-free survival, what every arm gains over the first, and every measure.

    Parameters
    ----------
    name
        Names of the two pictures begin with it.
    table, pfs, gain
        Titles of the table and of the pictures; a picture without a title is left out.
    arms, months
        Whose curves are drawn (by default all), and until when (by default as long as they are followed).
    note
        Under the picture of gains.
    pictures, tables
        More of them, behind the usual ones.
    """
    usual = [pfs_picture(comparison, name=f"{name}_pfs", title=pfs, arms=arms, months=months)] if pfs else []
    usual += [gain_picture(comparison, name=f"{name}_gain", title=gain, note=note)] if gain else []
    return Section(title, text, [*usual, *pictures], [table_of(comparison, table), *tables])


def pfs_picture(
    comparison: Comparison, *, name: str, title: str, arms: Sequence[str] = (), note: str = "", months: float = 0.0
) -> Picture:
    """Progression-free survival of some arms (all by default), with the band of the posterior draws.

    Five curves are about the most that stay legible.
    """
    wanted = [arm.name for arm in comparison.arms if not arms or arm.name in arms]
    first = comparison.results[0].outcomes.visits.months
    until = min(months, first) if months else first
    every = 12 if until > 30 else 6 if until > 12 else 3
    curves = [curve_of(comparison, arm, sample=arm == wanted[0]) for arm in wanted]
    words = note or "Simulated; the same virtual patients in every arm."
    return survival_picture(
        curves, name=name, title=title, horizon_months=float(until), risk_every_months=every,
        note=f"{words} Dashed lines: first arm only.",
    )  # fmt: skip


def curve_of(comparison: Comparison, arm: str, *, sample: bool = False) -> CurveSpec:
    """One arm's curve, with its band and, where it was measured, its median.

    `sample` adds the sampling error of a trial of `TRIAL_SIZE` patients; one pair of dashed lines is legible, not four.
    """
    outcomes = comparison.result(arm).outcomes
    curve = outcomes.progression_free(patients=float(outcomes.usable.sum()))
    band = comparison.band(arm)
    low, high = np.nanpercentile(band, [2.5, 97.5], axis=0) if len(band) else (None, None)
    months = comparison.months
    sampled = outcomes.progression_free(patients=TRIAL_SIZE).interval_at(months) if sample else (None, None)
    measured = MEDIAN_PFS.name in [measure.name for measure in comparison.measures]
    median = comparison.estimate(arm, MEDIAN_PFS) if measured else Estimate(curve.median(), np.nan, np.nan)
    return CurveSpec(
        label=arm, times=curve.times, survival=curve.survival, at_risk=curve.at_risk, censor_times=curve.censor_times,
        band_times=months, parameter_low=low, parameter_high=high, sample_low=sampled[0], sample_high=sampled[1],
        trial_size=TRIAL_SIZE if sample else None, median=median.value, median_interval=(median.low, median.high),
    )  # fmt: skip


def gain_picture(
    comparison: Comparison, *, name: str, title: str, measure: Measure = RESTRICTED_PFS, against: str = "",
    groups: Sequence[str] = (EVERYBODY,), sides: tuple[str, str] = ("worse", "better"), note: str = "",
) -> Picture:  # fmt: skip
    """What every arm gains over another one (the first by default), in everybody or group by group."""
    reference = against or comparison.arms[0].name
    rows = []
    for group in groups:
        for arm, provenance in zip(comparison.arms, comparison.provenance, strict=True):
            if arm.name == reference:
                continue
            gain = comparison.gain(arm.name, measure, reference, group)
            if np.isfinite(gain.value):
                label = arm.name if len(groups) == 1 else f"{arm.name}: {group}"
                rows.append(EffectRowSpec(label, gain.value, gain.low, gain.high, not provenance.calibrated))
    return effect_picture(
        rows, name=name, title=title, x_label=f"Difference in {measure.name} ({measure.unit})", sides=sides,
        note=note or f"Against {reference}, same virtual patients; interval: central 95 % of posterior draws.",
    )  # fmt: skip


def line_along(
    comparison: Comparison, label: str, x: Sequence[float], arms: Sequence[str], measure: Measure, *, against: str = "",
    group: str = EVERYBODY,
) -> LineSpec:  # fmt: skip
    """A measure of some arms (or what they gain over another) along what they differ in, for `along_picture`."""
    if against:
        values = [comparison.gain(arm, measure, against, group) for arm in arms]
    else:
        values = [comparison.estimate(arm, measure, group) for arm in arms]
    return LineSpec(label, x, [v.value for v in values], [v.low for v in values], [v.high for v in values])


def along_panel(
    lines: Mapping[str, tuple[Comparison, Sequence[str]]], x: Sequence[float], x_label: str, measure: Measure, *,
    against: str = "", title: str = "", log: bool = False, marks: Sequence[tuple[float, str]] = (),
) -> AlongPanel:  # fmt: skip
    """Axes of a measure, or of what is gained over another arm, along what the arms differ in, for `along_picture`.

    Parameters
    ----------
    lines
        By label: the comparison, and the names of its arms in the order of `x`.
    x, x_label
        What the arms differ in, rising, and its name with its unit.
    against
        The arm over which gains are drawn, by default none.
    title
        By default the name of the measure.
    """
    drawn = [
        line_along(comparison, label, x, arms, measure, against=against) for label, (comparison, arms) in lines.items()
    ]
    y_label = f"{'gain in ' if against else ''}{measure.name} ({measure.unit})"
    heading = title or measure.name[0].upper() + measure.name[1:]
    return AlongPanel(heading, x_label, y_label, drawn, log=log, marks=marks, zero=bool(against))


def course_of(
    result: ArmResult, quantity: str, *, label: str, progression_free: bool = False, least: float = -np.inf,
    months: float = np.inf,
) -> BandSpec:  # fmt: skip
    """Course in time of a state or a quantity, with its spread between patients, for `course_picture`.

    Parameters
    ----------
    progression_free
        Whether patients count only until they progress or die.
    least
        Lower values are drawn as this one, as on a logarithmic axis.
    months
        How much of the first line is drawn, by default all.
    """
    outcomes, times = result.outcomes, result.course.times
    followed = np.broadcast_to((outcomes.usable > 0)[:, None], (outcomes.n, len(times)))
    if progression_free:
        followed = followed & (times[None, :] <= np.minimum(outcomes.progression()[0], outcomes.death)[:, None])
    values = np.where(followed, np.maximum(result.course[quantity], least), np.nan)
    enough = np.isfinite(values).sum(axis=0) >= max(FEWEST_SHARE * outcomes.n, FEWEST)
    kept = enough & (times <= months * DAYS_PER_MONTH)
    return BandSpec(label, times[kept], *np.nanpercentile(values[:, kept], [5, 50, 95], axis=0))


def table_of(
    comparison: Comparison, title: str, *, gains: Sequence[Measure] = (RESTRICTED_PFS,), group: str = EVERYBODY,
    measures: Sequence[Measure] = (), form: str = ".1f",
) -> Table:  # fmt: skip
    """Every arm with its measures, and what it gains over the first."""
    shown = tuple(measures) or comparison.measures[:-1]
    first = comparison.arms[0].name
    head = ("arm", *(m.label for m in shown), *(f"gain in {m.label}" for m in gains), "standing")
    rows = []
    for arm, provenance in zip(comparison.arms, comparison.provenance, strict=True):
        values = [comparison.estimate(arm.name, m, group).text(form) for m in shown]
        more = ["" if arm.name == first else comparison.gain(arm.name, m, "", group).text(f"+{form}") for m in gains]
        rows.append((arm.name, *values, *more, provenance.flag))
    return Table(title, head, rows, f"{INTERVAL} Gains: against {first}, in the same virtual patients.")


def group_table(comparison: Comparison, title: str, arm: str, measure: Measure = RESTRICTED_PFS) -> Table:
    """For whom: what an arm gains over the first in every group, and in what share of the draws it gains at all."""
    first = comparison.arms[0].name
    rows = []
    for group in comparison.groups:
        reference, gain = comparison.estimate(first, measure, group), comparison.gain(arm, measure, "", group)
        chance = f"{100 * comparison.chance(arm, measure, '', group):.0f}"
        rows.append((group, comparison.share(group).text(".0f"), reference.text(".1f"), gain.text("+.1f"), chance))
    head = ("patients", "share, %", f"{first}: {measure.label}", f"gain with {arm}", "draws that gain, %")
    return Table(title, head, rows, INTERVAL)


def numbers_of(comparison: Comparison, *, gains: Sequence[Measure] = (RESTRICTED_PFS,)) -> list[NumberRow]:
    """Every number of a comparison, for `numbers.csv`."""
    rows = []
    for group in comparison.groups:
        where = "" if group == EVERYBODY else f" ({group})"
        for arm in comparison.arms:
            for measure in comparison.measures:
                value = comparison.estimate(arm.name, measure, group)
                rows.append(estimate_row(arm.name + where, measure.name, value, measure.unit))
            for measure in gains if arm is not comparison.arms[0] else ():
                gain = comparison.gain(arm.name, measure, "", group)
                rows.append(estimate_row(arm.name + where, f"gain in {measure.name}", gain, measure.unit))
    return rows


def notices_of(comparison: Comparison) -> list[str]:
    """Where every arm stands: calibrated or extrapolated, and why; arms of one standing share a line."""
    lines: dict[str, list[str]] = {}
    for arm, provenance in zip(comparison.arms, comparison.provenance, strict=True):
        lines.setdefault(f"{provenance.flag}. {provenance.reason[0].upper()}{provenance.reason[1:]}.", []).append(
            arm.name
        )
    return [f"{', '.join(names)}: {line}" for line, names in lines.items()]


def given_of(*comparisons: Comparison) -> list[tuple[str, str]]:
    """What the arms of comparisons are given, in plain words; arms that are given the same share a line."""
    lines: dict[str, list[str]] = {}
    for comparison in comparisons:
        for arm in comparison.arms:
            lines.setdefault(arm.plan.text, []).append(arm.name)
    return [(", ".join(dict.fromkeys(names)), text) for text, names in lines.items()]
