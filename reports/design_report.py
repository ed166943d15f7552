"""How many patients does this trial need, and how likely is it to succeed, given what is not known of the effect?

`perdure design FILE` runs this. It is no experiment of the shelf, because it needs a file.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..trials.adam import adrs, adsl, adtte
from ..trials.analysis import Analysis, ArmSummary, Effect, Interval
from ..trials.design_run import DesignResult, arm_of, read_design, run_design
from .figures.picture import Picture
from .figures.power import AssuranceSpec, PowerSpec, effect_picture_of_draws, power_picture
from .figures.survival import CurveSpec, survival_picture
from .report import Report, Section, Table, aligned, columns, write_report
from .run_files import NumberRow, RunFolder, new_run, write_numbers
from .settings import Settings

ENDPOINTS = {
    "pfs": "Progression-free survival", "os": "Overall survival", "dor": "Duration of response",
    "ttnt": "Time to next therapy", "orr": "Overall response", "cr": "Complete response",
    "mrd_1e-5": "Residual disease below 1e-5", "mrd_1e-6": "Residual disease below 1e-6",
}  # fmt: skip
TESTS = {
    "logrank": "log-rank test", "max_combo": "MaxCombo test", "restricted_mean": "test of the restricted mean",
    "rate": "test of two rates",
}  # fmt: skip
TICKS = (1.0, 2.0, 3.0, 6.0, 12.0)
RATIO = "hazard ratio"
NONE = "\u2013"


def power_picture_of(result: DesignResult) -> Picture:
    """Power at the estimate, and assurance, against patients."""
    curve, design = result.curve, result.design
    line = np.linspace(float(curve.sizes[0]), float(curve.sizes[-1]), 100)
    spread = np.array([np.percentile(assurance.power, [2.5, 97.5]) for assurance in result.assurances])
    note = (
        f"Success: p below {design.alpha:g} in favour of {result.name}. {curve.trials} trials of a size (power), "
        f"{result.planned.trials} in each of {len(result.planned.power)} draws (assurance)."
    )
    if not result.size.within:
        note += f" {100 * design.power:g} % power lies outside of these sizes."
    return power_picture(
        PowerSpec(curve.sizes.astype(float), curve.power, curve.low, curve.high, line, curve.smooth.at(line)),
        AssuranceSpec(
            [float(assurance.patients) for assurance in result.assurances],
            [assurance.value for assurance in result.assurances], [assurance.low for assurance in result.assurances],
            [assurance.high for assurance in result.assurances],
            spread[:, 0], spread[:, 1],
        ),
        target=design.power, planned=int(design.patients),
        size=(result.size.patients, result.size.low, result.size.high), note=note,
    )  # fmt: skip


def effect_pictures(result: DesignResult) -> list[Picture]:
    """The true effect over posterior draws, in the first two ways to measure it, where that is finite in all draws."""
    pictures = []
    for effect in result.truth.effects[:2]:
        scale = 100.0 if "rate" in effect.name else 1.0
        values, estimate = scale * result.planned.effect(effect.name), scale * effect.value
        if not (np.isfinite(values).all() and np.isfinite(estimate)):
            continue
        words = ENDPOINTS[result.design.endpoint]
        unit = " (percentage points)" if scale > 1.0 else ""
        name = "true_" + "_".join("".join(c if c.isalnum() else " " for c in effect.name).split())
        pictures.append(
            effect_picture_of_draws(
                values, estimate=estimate, none=effect.none, more_is_better=effect.more_is_better,
                x_label=f"{words}: {effect.name}{unit}", name=name,
                title=f"True {effect.name.split(',')[0]}, {result.name} against {result.design.arms[0].name}",
                note="True: as a very large trial of this design would find it.",
            )
        )  # fmt: skip
    return pictures


def example_picture(result: DesignResult) -> Picture | None:
    """Kaplan-Meier curves of the example trial; of progression-free survival if the endpoint is a rate."""
    design = result.design
    endpoint = design.endpoint if design.test != "rate" else "pfs"
    analysis = result.analyses[endpoint]
    curves = [_curve(arm) for arm in analysis.arms if arm.curve is not None]
    if not curves:
        return None
    horizon = float(max(1.0, *(curve.end() for curve in curves)))
    every = next((tick for tick in TICKS if horizon / tick <= 10), 24.0)
    return survival_picture(
        curves, name="example_trial", title=f"One simulated trial of {int(design.patients)} patients",
        horizon_months=horizon, risk_every_months=every, outcome=ENDPOINTS[endpoint],
        origin="first response" if endpoint == "dor" else design.time_zero,
        note="One trial of many that could happen, and its Kaplan-Meier estimates.",
    )  # fmt: skip


def _curve(arm: ArmSummary) -> CurveSpec:
    curve = arm.curve
    if curve is None:
        raise ValueError(arm.name)
    grid = np.linspace(0.0, curve.followed_until, 120)
    low, high = curve.interval_at(grid)
    return CurveSpec(
        label=arm.name, times=curve.times, survival=curve.survival, at_risk=curve.at_risk,
        censor_times=curve.censor_times, band_times=grid, sample_low=low, sample_high=high, trial_size=arm.evaluable,
        median=arm.median.value, last_patient=curve.followed_until,
    )  # fmt: skip


def percent(share: float) -> str:
    """A share as whole per cent; small and large ones with a decimal."""
    if math.isnan(share):
        return NONE
    return f"{100 * share:.0f} %" if 0.095 <= share <= 0.905 or share in (0.0, 1.0) else f"{100 * share:.1f} %"


def as_text(number: float, form: str = ",.0f") -> str:
    """A number, infinite as 'not reached', missing as a dash."""
    if math.isnan(number):
        return NONE
    return "not reached" if math.isinf(number) else f"{number:{form}}".replace(",", "\u202f")


def p_text(p: float) -> str:
    """A p with three decimals, a dash where there was no test."""
    return "<0.001" if p < 0.001 else as_text(p, ".3f")


def spanned(number: Interval | Effect, form: str = ".1f", scale: float = 1.0) -> str:
    """Value and interval, as in `8.1 (6.9 to 9.4)`; NR where an end is not reached."""
    if math.isnan(number.value):
        return NONE
    ends = ("NR" if math.isinf(x) else NONE if math.isnan(x) else f"{scale * x:{form}}" for x in
            (number.value, number.low, number.high))  # fmt: skip
    value, low, high = ends
    return f"{value} ({low} to {high})"


def design_table(result: DesignResult) -> Table:
    """Every choice of the design in words, then the arms."""
    design = result.design
    zero = design.time_zero
    if design.randomised_on_day is not None:
        zero += f" on day {design.randomised_on_day:g} after infusion, of who is alive and without progression then"
    rows: list[tuple[str, str]] = [
        ("patients", f"{int(design.patients)}, all arms together"),
        ("endpoint", f"{ENDPOINTS[design.endpoint]} from {zero}"),
        ("test", f"{TESTS[design.test]}, two-sided at {design.alpha:g}" + (", stratified" if design.strata else "")),
        ("power wanted", percent(design.power)),
        ("accrual and follow-up", f"{design.accrual_months:g} months, then {design.follow_up_months:g} after the last"),
        ("lost in a year", percent(design.dropout_per_year)),
        ("visits", f"every {design.visit_days:g} days"),
        ("eligible", "; ".join(part.text for part in design.eligible) or "everybody of the population"),
        ("strata", "; ".join(" or ".join(part.labels) for part in design.strata) or "none"),
        ("population", design.population),
    ]
    for k, arm in enumerate(design.arms):
        rows.append((f"arm '{arm.name}'" + ("" if k else ", the reference"), f"share {arm.share:g}: {arm.plan.text}"))
    return Table("Design", ("what", "choice"), rows)


def power_table(result: DesignResult) -> Table:
    """Power by size, simulated and smoothed."""
    curve = result.curve
    smooth = curve.smooth.at(curve.sizes)
    rows = [
        (str(n), f"{percent(p)} ({percent(low)} to {percent(high)})", percent(float(s)), f"{events:.0f}")
        for n, p, low, high, s, events in zip(
            curve.sizes, curve.power, curve.low, curve.high, smooth, curve.events, strict=True
        )
    ]
    note = f"In brackets the 95 % Monte-Carlo interval of {curve.trials} simulated trials (Wilson 1927). Events: mean."
    return Table("Power by size", ("patients", "power", "smoothed", "events"), rows, note)


def size_table(result: DesignResult) -> Table:
    """The size with the power wanted, beside the closed form, and why they differ."""
    size, truth = result.size, result.truth
    simulated = f"{as_text(size.patients)} ({as_text(size.low)} to {as_text(size.high)})" + (
        "" if size.within else ", extrapolated"
    )
    rows = [(f"patients for {percent(size.power)} power, simulated (Monte-Carlo interval)", simulated)]
    name = "Schoenfeld 1983" if result.design.test != "rate" else "Fleiss, Tytun & Ury 1980"
    rows.append((f"the same by formula ({name})", as_text(size.closed_form)))
    if result.design.test == "rate":
        note = "The formula takes the true rates at the estimate, and knows no strata."
        return Table("Sample size", ("what", "number"), rows, note)
    rows.append(("events that the formula asks for", as_text(size.events)))
    ratio = truth.value(RATIO)
    rows += [
        ("true hazard ratio at the estimate", as_text(ratio, ".3f")),
        (f"in the first half of the events, until month {truth.split:.1f}", as_text(truth.early, ".3f")),
        ("in the second half", as_text(truth.late, ".3f")),
    ]
    note = (
        "The formula supposes one hazard ratio at all times, a log-rank test and no strata; the simulation has visits, "
        "patients who differ, and a hazard ratio that changes as the two halves say."
    )
    if math.isfinite(result.error) and ratio > 0 and ratio != 1.0 and truth.effects[0].name == RATIO:
        share = min(2.0 * result.error / abs(math.log(ratio)), 10.0)
        note += (
            f" The pool has {result.pool.n} virtual patients: the logarithm of its hazard ratio has a standard error "
            f"of {result.error:.3f} from that, which alone moves the size by about {percent(share)} either way."
        )
    return Table("Sample size", ("what", "number"), rows, note)


def assurance_table(result: DesignResult) -> Table:
    """Assurance by size with both parts of its error."""
    rows = []
    for assurance in result.assurances:
        low, high = np.percentile(assurance.power, [2.5, 97.5])
        rows.append(
            (
                str(assurance.patients),
                f"{percent(assurance.value)} ({percent(assurance.low)} to {percent(assurance.high)})",
                f"{percent(float(low))} to {percent(float(high))}", percent(assurance.power_if_better),
                percent(assurance.between), percent(assurance.within),
            )
        )  # fmt: skip
    head = ("patients", "assurance", "power over draws", "power if better", "SD between draws", "SD of simulation")
    note = (
        f"{len(result.planned.power)} posterior draws, {result.planned.trials} trials of each. Assurance with its 95 % "
        "Monte-Carlo interval; power over draws: central 95 %. SD between draws: of the true power; SD of simulation: "
        f"of its estimate from so few trials. Every draw has a pool of {result.per_draw} virtual patients, the first "
        f"of the {result.pool.n} at the estimate; a larger one (--pool-per-draw) makes both pools more alike."
    )
    return Table("Assurance", head, rows, note)


def effect_table(result: DesignResult) -> Table:
    """The true effect at the estimate and over draws."""
    rows = []
    for effect in result.truth.effects:
        values = result.planned.effect(effect.name)
        known = values[np.isfinite(values)]
        low, middle, high = np.percentile(known, [2.5, 50.0, 97.5]) if known.size else (math.nan,) * 3
        better = known > effect.none if effect.more_is_better else known < effect.none
        rows.append(
            (
                effect.name, as_text(effect.value, ".3f"),
                f"{as_text(middle, '.3f')} ({as_text(low, '.3f')} to {as_text(high, '.3f')})",
                percent(float(better.mean()) if known.size else math.nan),
            )
        )  # fmt: skip
    note = "Differences in fractions and rates are fractions of 1. In brackets the central 95 % of the draws."
    return Table("True effect", ("effect", "at the estimate", "over posterior draws", "draws with a gain"), rows, note)


def arms_table(result: DesignResult) -> Table:
    """What the example trial reports of each arm, by its primary endpoint."""
    analysis = result.analyses[result.design.endpoint]
    at, until = analysis.landmark_months, analysis.restricted_months
    if result.design.test == "rate":
        head = ("arm", "patients", "with it", "rate, %")
        return Table("Arms of the example trial", head, [(*_counts(arm), _fraction(arm)) for arm in analysis.arms])
    head = ("arm", "patients", "events", "median, months", f"without event at {at:g} months, %",
            f"restricted mean to {until:.1f} months")  # fmt: skip
    rows = [(*_counts(arm), spanned(arm.median), _fraction(arm), spanned(arm.mean)) for arm in analysis.arms]
    note = f"{ENDPOINTS[result.design.endpoint]}. In brackets 95 % from the sample size; NR: not reached. "
    return Table("Arms of the example trial", head, rows, note + _proportional(analysis))


def endpoints_table(result: DesignResult) -> Table:
    """Every endpoint of the example trial."""
    rows = []
    for name, analysis in result.analyses.items():
        rate = analysis.arms[0].curve is None and analysis.arms[1].curve is None
        cells = [_fraction(arm) if rate else spanned(arm.median) for arm in analysis.arms]
        effect = analysis.effects[0] if analysis.effects else None
        size = f"{effect.name} {spanned(effect, '.2f')}" if effect else NONE
        primary = " (primary)" if name == result.design.endpoint else ""
        rows.append((ENDPOINTS[name] + primary, *cells, size, p_text(analysis.p)))
    head = ("endpoint", result.design.arms[0].name, result.name, "effect", "p")
    return Table("Endpoints of the example trial", head, rows, "Medians in months, rates in per cent (95 %).")


def number_rows(result: DesignResult) -> list[NumberRow]:
    """The numbers that another run can be compared with; Monte-Carlo error is no interval of theirs."""
    name, assurance = result.name, result.planned
    rows = [
        NumberRow(name, "power with the patients planned", 100 * result.power[0], unit="%"),
        NumberRow(name, "assurance with the patients planned", 100 * assurance.value, unit="%"),
        NumberRow(name, "draws in which it is truly better", 100 * assurance.exists[0], unit="%"),
        NumberRow(name, f"patients for {100 * result.size.power:g} % power", result.size.patients),
    ]
    for effect in result.truth.effects:
        values = assurance.effect(effect.name)
        if np.isfinite(values).all() and math.isfinite(effect.value):
            low, middle, high = map(float, np.percentile(values, [2.5, 50.0, 97.5]))
            rows.append(NumberRow(name, f"true {effect.name}, at the estimate", effect.value))
            rows.append(NumberRow(name, f"true {effect.name}, over draws", middle, low, high, "", 0.95, "parameters"))
    return rows


def _counts(arm: ArmSummary) -> tuple[str, str, str]:
    patients = str(arm.patients) if arm.evaluable == arm.patients else f"{arm.patients} ({arm.evaluable} evaluable)"
    return arm.name, patients, str(arm.events)


def _fraction(arm: ArmSummary) -> str:
    return spanned(arm.fraction, ".0f", 100.0)


def _proportional(analysis: Analysis) -> str:
    test = analysis.proportional
    if math.isnan(test.p):
        return "Whether hazards are proportional cannot be told."
    way = "rises" if test.z > 0 else "falls"
    return f"Proportional hazards (Grambsch & Therneau 1994): p = {test.p:.2f}; the hazard ratio {way} with time."


def design_report(
    file: str | Path, settings: Settings, *, trial_sizes: Sequence[int] = (), trials: int = 200, arm: str = ""
) -> Path:
    """Read a scenario, simulate its trial, print, and write the run; returns its folder.

    `settings.patients` is the size of the pool at the estimate, `patients_per_draw` that of every draw's; `trial_sizes`
    are patients of the trials that are simulated, `trials` how many of every size; `arm` names the arm that is compared
    with the reference, by default the second.

    Raises
    ------
    InputError
        If the file, the sizes or the arm are not right; before anything is computed.
    """
    design = read_design(file)
    which = arm_of(design, arm)
    calibration = settings.read_calibration()
    seeds = {"virtual patients and trials": settings.seed, "calibration": calibration.about.get("seed")}
    with new_run(settings.folder, "design", settings.command, seeds) as folder:
        folder.note_input(file)
        with folder.timed("simulation"):
            result = run_design(
                design, calibration, arm=which, trial_sizes=trial_sizes, trials=trials, sizes=settings.sizes
            )  # fmt: skip
        with folder.timed("pictures"):
            sections = sections_of(result)
        for sentence in sentences(result):
            settings.say(sentence)
        _write(folder, result, sections, settings)
        report = Report(
            title=design.title, subtitle="Power, sample size and assurance of a simulated trial",
            intro="\n\n".join(sentences(result)), notices=notices(result), sections=sections,
            manifest=folder.manifest(),
        )  # fmt: skip
        write_report(folder.path / "report.html", report)
    return folder.path


def _write(folder: RunFolder, result: DesignResult, sections: Sequence[Section], settings: Settings) -> None:
    for section in sections:
        for picture in section.pictures:
            folder.save(picture)
        for table in section.tables:
            cells = [tuple(map(str, row)) for row in table.rows]
            settings.say(f"\n{table.title}\n{aligned(table.columns, cells)}")
            folder.write_table(table.title.lower().replace(" ", "_").replace(",", ""), columns(table.columns, cells))
    for name, make in (("adsl", adsl), ("adtte", adtte), ("adrs", adrs)):
        domain = make(result.design, result.pool, result.example)
        folder.write_table(name, {column: values.tolist() for column, values in domain.items()})
    write_numbers(folder, number_rows(result))


def sentences(result: DesignResult) -> list[str]:
    """The answer in plain words, the most important first."""
    design, assurance, size = result.design, result.planned, result.size
    power, low, high = result.power
    share, least, most = assurance.exists
    lines = [
        f"With {int(design.patients)} patients the trial succeeds with a probability of {percent(assurance.value)} "
        f"(assurance; Monte-Carlo {percent(assurance.low)} to {percent(assurance.high)}): this counts what is not "
        f"known of the effect. If the estimate were the truth it would be {percent(power)} (power; Monte-Carlo "
        f"{percent(low)} to {percent(high)}).",
        f"Success is a two-sided p below {design.alpha:g} in the {TESTS[design.test]} of "
        f"{ENDPOINTS[design.endpoint].lower()}, in favour of {result.name} over {design.arms[0].name}.",
        f"{result.name} is truly better in {percent(share)} of the {len(assurance.power)} posterior draws ("
        f"{percent(least)} to {percent(most)} by their number)"
        + (f"; in those its power is {percent(assurance.power_if_better)}." if assurance.better.any() else "."),
    ]
    if not math.isfinite(size.patients):
        return [*lines, f"No number of patients has {percent(size.power)} power: the estimate gives no gain to find."]
    where = "" if size.within else ", outside of the sizes that were simulated and so only a rough guess"
    return [
        *lines,
        f"{percent(size.power)} power at the estimate needs about {as_text(size.patients)} patients (Monte-Carlo "
        f"{as_text(size.low)} to {as_text(size.high)}){where}.",
    ]


def notices(result: DesignResult) -> list[str]:
    """What a reader must know before the numbers."""
    design = result.design
    lines = [
        f"{arm.name}: {standing.flag}. {standing.reason[0].upper()}{standing.reason[1:]}."
        for arm, standing in zip(design.arms, result.provenance, strict=True)
    ]
    lines.append("All patients and trials are simulated. A research and design tool, not medical advice.")
    if len(design.arms) > 2:
        lines.append(f"Of {len(design.arms)} arms two are compared, without correction for comparing others as well.")
    if design.endpoint == "dor":
        lines.append("Duration of response compares responders, who are no randomised groups.")
    if result.pool.eligible_share < 1.0:
        lines.append(f"{percent(result.pool.eligible_share)} of the virtual patients could enter the trial.")
    return lines


def sections_of(result: DesignResult) -> list[Section]:
    """Everything that is shown, from the answer to the design."""
    example = example_picture(result)
    return [
        Section(
            "How many patients", _POWER_TEXT, [power_picture_of(result)], [power_table(result), size_table(result)]
        ),
        Section(
            "What is not known of the effect", _ASSURANCE_TEXT, effect_pictures(result),
            [assurance_table(result), effect_table(result)],
        ),
        Section(
            "One such trial", _EXAMPLE_TEXT, [example] if example else [], [arms_table(result), endpoints_table(result)]
        ),
        Section("The design in words", "\n\n".join(result.design.assumptions), tables=[design_table(result)]),
    ]  # fmt: skip


_POWER_TEXT = """Trials of every size are simulated from one pool of virtual patients, and the successful ones counted.
Three things are kept apart. That a trial misses an effect that is there is the luck of its sample: this is what power
is about. That only so many trials were simulated is the Monte-Carlo error: the whiskers, and every interval that is
called so. That the size of the effect is not known is what assurance adds; its band is the only thing here that more
evidence would narrow.

The curve is smoothed (the probit of power is a straight line in the square root of the number of patients, whose level
has a normal prior around the quantile of half of alpha), and the size with the power wanted is read off it; its
interval is that of the simulated trials, not of the effect. Outside of the sizes that were simulated it leans on that
prior, and is a rough guess."""
_ASSURANCE_TEXT = """The trial is repeated with every posterior draw, in which effects that no evidence decides keep the
whole width of their prior. The mean power over the draws is the assurance. Its Monte-Carlo error has two parts: so many
draws, and so many trials of each."""
_EXAMPLE_TEXT = """What a report of one such trial could look like. All intervals here are from the sample size. Only
the primary endpoint is a test; other p are descriptive. The same patients stand in adsl.csv, adtte.csv and adrs.csv in
the folder of the run."""
