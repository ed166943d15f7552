"""Tables of a trial design: the design in words, power and size, assurance, the true effect, one simulated trial."""

import math

import numpy as np

from perdure.experiments.report.report import Table
from perdure.experiments.report.run_files import NumberRow
from perdure.experiments.trials.analysis import Analysis, ArmSummary, Effect, Interval
from perdure.experiments.trials.design_pictures import ENDPOINTS, TESTS
from perdure.experiments.trials.design_result import DesignResult

RATIO = "hazard ratio"
NONE = "\u2013"


def percent(share: float) -> str:
    """A share as whole per cent; small and large ones with a decimal."""
    if math.isnan(share):
        return NONE
    return f"{100 * share:.0f} %" if 0.095 <= share <= 0.905 or share in (0.0, 1.0) else f"{100 * share:.1f} %"


def one(number: float, form: str = ",.0f") -> str:
    """A number, infinite as 'not reached', missing as a dash."""
    if math.isnan(number):
        return NONE
    return "not reached" if math.isinf(number) else f"{number:{form}}".replace(",", "\u202f")


def p_text(p: float) -> str:
    """A p with three decimals, a dash where there was no test."""
    return "<0.001" if p < 0.001 else one(p, ".3f")


def spanned(number: Interval | Effect, form: str = ".1f", scale: float = 1.0) -> str:
    """Value and interval, as in `8.1 (6.9 to 9.4)`; NR where an end is not reached."""
    if math.isnan(number.value):
        return NONE
    ends = ("NR" if math.isinf(x) else NONE if math.isnan(x) else f"{scale * x:{form}}" for x in
            (number.value, number.low, number.high))  # fmt: skip
    value, low, high = ends
    return f"{value} ({low} to {high})"


def design_table(found: DesignResult) -> Table:
    """Every choice of the design in words, then the arms."""
    design = found.design
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


def power_table(found: DesignResult) -> Table:
    """Power by size, simulated and smoothed."""
    curve = found.curve
    smooth = curve.smooth.at(curve.sizes)
    rows = [
        (str(n), f"{percent(p)} ({percent(low)} to {percent(high)})", percent(float(s)), f"{events:.0f}")
        for n, p, low, high, s, events in zip(
            curve.sizes, curve.power, curve.low, curve.high, smooth, curve.events, strict=True
        )
    ]
    note = f"In brackets the 95 % Monte-Carlo interval of {curve.trials} simulated trials (Wilson 1927). Events: mean."
    return Table("Power by size", ("patients", "power", "smoothed", "events"), rows, note)


def size_table(found: DesignResult) -> Table:
    """The size with the power wanted, beside the closed form, and why they differ."""
    size, truth = found.size, found.truth
    simulated = f"{one(size.patients)} ({one(size.low)} to {one(size.high)})" + (
        "" if size.within else ", extrapolated"
    )
    rows = [(f"patients for {percent(size.power)} power, simulated (Monte-Carlo interval)", simulated)]
    name = "Schoenfeld 1983" if found.design.test != "rate" else "Fleiss, Tytun & Ury 1980"
    rows.append((f"the same by formula ({name})", one(size.closed_form)))
    if found.design.test == "rate":
        note = "The formula takes the true rates at the estimate, and knows no strata."
        return Table("Sample size", ("what", "number"), rows, note)
    rows.append(("events that the formula asks for", one(size.events)))
    ratio = truth.value(RATIO)
    rows += [
        ("true hazard ratio at the estimate", one(ratio, ".3f")),
        (f"in the first half of the events, until month {truth.split:.1f}", one(truth.early, ".3f")),
        ("in the second half", one(truth.late, ".3f")),
    ]
    note = (
        "The formula supposes one hazard ratio at all times, a log-rank test and no strata; the simulation has visits, "
        "patients who differ, and a hazard ratio that changes as the two halves say."
    )
    if math.isfinite(found.error) and ratio > 0 and ratio != 1.0 and truth.effects[0].name == RATIO:
        share = min(2.0 * found.error / abs(math.log(ratio)), 10.0)
        note += (
            f" The pool has {found.pool.n} virtual patients: the logarithm of its hazard ratio has a standard error of "
            f"{found.error:.3f} from that, which alone moves the size by about {percent(share)} either way."
        )
    return Table("Sample size", ("what", "number"), rows, note)


def assurance_table(found: DesignResult) -> Table:
    """Assurance by size with both parts of its error."""
    rows = []
    for a in found.assurances:
        low, high = np.percentile(a.power, [2.5, 97.5])
        rows.append(
            (
                str(a.patients), f"{percent(a.value)} ({percent(a.low)} to {percent(a.high)})",
                f"{percent(float(low))} to {percent(float(high))}", percent(a.power_if_better), percent(a.between),
                percent(a.within),
            )
        )  # fmt: skip
    head = ("patients", "assurance", "power over draws", "power if better", "SD between draws", "SD of simulation")
    note = (
        f"{len(found.planned.power)} posterior draws, {found.planned.trials} trials of each. Assurance with its 95 % "
        "Monte-Carlo interval; power over draws: central 95 %. SD between draws: of the true power; SD of simulation: "
        f"of its estimate from so few trials. Every draw has a pool of {found.per_draw} virtual patients, the first of "
        f"the {found.pool.n} at the estimate; a larger one (--pool-per-draw) makes both pools more alike."
    )
    return Table("Assurance", head, rows, note)


def effect_table(found: DesignResult) -> Table:
    """The true effect at the estimate and over draws."""
    rows = []
    for effect in found.truth.effects:
        values = found.planned.effect(effect.name)
        known = values[np.isfinite(values)]
        low, middle, high = np.percentile(known, [2.5, 50.0, 97.5]) if known.size else (math.nan,) * 3
        better = known > effect.none if effect.more_is_better else known < effect.none
        rows.append(
            (
                effect.name, one(effect.value, ".3f"),
                f"{one(middle, '.3f')} ({one(low, '.3f')} to {one(high, '.3f')})",
                percent(float(better.mean()) if known.size else math.nan),
            )
        )  # fmt: skip
    note = "Differences in fractions and rates are fractions of 1. In brackets the central 95 % of the draws."
    return Table("True effect", ("effect", "at the estimate", "over posterior draws", "draws with a gain"), rows, note)


def arms_table(found: DesignResult) -> Table:
    """What the example trial reports of each arm, by its primary endpoint."""
    analysis = found.analyses[found.design.endpoint]
    at, until = analysis.landmark_months, analysis.restricted_months
    if found.design.test == "rate":
        head = ("arm", "patients", "with it", "rate, %")
        return Table("Arms of the example trial", head, [(*_counts(arm), _fraction(arm)) for arm in analysis.arms])
    head = ("arm", "patients", "events", "median, months", f"without event at {at:g} months, %",
            f"restricted mean to {until:.1f} months")  # fmt: skip
    rows = [(*_counts(arm), spanned(arm.median), _fraction(arm), spanned(arm.mean)) for arm in analysis.arms]
    note = f"{ENDPOINTS[found.design.endpoint]}. In brackets 95 % from the sample size; NR: not reached. "
    return Table("Arms of the example trial", head, rows, note + _proportional(analysis))


def endpoints_table(found: DesignResult) -> Table:
    """Every endpoint of the example trial."""
    rows = []
    for name, analysis in found.analyses.items():
        rate = analysis.arms[0].curve is None and analysis.arms[1].curve is None
        cells = [_fraction(arm) if rate else spanned(arm.median) for arm in analysis.arms]
        effect = analysis.effects[0] if analysis.effects else None
        told = f"{effect.name} {spanned(effect, '.2f')}" if effect else NONE
        primary = " (primary)" if name == found.design.endpoint else ""
        rows.append((ENDPOINTS[name] + primary, *cells, told, p_text(analysis.p)))
    head = ("endpoint", found.design.arms[0].name, found.name, "effect", "p")
    return Table("Endpoints of the example trial", head, rows, "Medians in months, rates in per cent (95 %).")


def number_rows(found: DesignResult) -> list[NumberRow]:
    """The numbers that another run can be compared with; Monte-Carlo error is no interval of theirs."""
    name, assured = found.name, found.planned
    rows = [
        NumberRow(name, "power with the patients planned", 100 * found.power[0], unit="%"),
        NumberRow(name, "assurance with the patients planned", 100 * assured.value, unit="%"),
        NumberRow(name, "draws in which it is truly better", 100 * assured.exists[0], unit="%"),
        NumberRow(name, f"patients for {100 * found.size.power:g} % power", found.size.patients),
    ]
    for effect in found.truth.effects:
        values = assured.effect(effect.name)
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
