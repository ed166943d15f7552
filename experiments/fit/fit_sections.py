"""Sections of the report on a fit: evidence, prior-predictive check, search, posterior, and fit."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from perdure.experiments.fit.fit_contents import FitContents
from perdure.experiments.fit.fit_labels import result_label
from perdure.experiments.pictures.forest import fit_picture
from perdure.experiments.pictures.heat_map import correlation_picture
from perdure.experiments.pictures.picture import Picture
from perdure.experiments.pictures.predictive import PredictedRow, predicted_picture
from perdure.experiments.pictures.rows import FitRowToDraw
from perdure.experiments.report.report import Section, Table
from perdure.fitting.calibration import MISSED
from perdure.fitting.conflicts import in_conflict
from perdure.fitting.items import Item, Study
from perdure.fitting.predictions import can_predict
from perdure.fitting.samplers.agreement import correlations

RIGHT, ENOUGH = 1.05, 400.0
"""R-hat above the first and effective draws below the second are said aloud (Vehtari 2021 ask for 1.01 and 400)."""
POOR = 2.0
"""An emulator whose error is so many times what was expected is said aloud."""


def evidence_section(found: FitContents) -> Section:
    """Every fitted result, conflicts, and what is not in the likelihood."""
    fitted = [
        (found.results[item.id], item.text, _count(item), item.weight, item.kind.replace("_", " "), item.origin)
        for _, item in found.problem.fitted
    ]
    every = [(study, item) for study in found.problem.studies for item in study.items]
    used = {item.id for item in found.problem.items}
    left = [
        (study.study, f"{item.endpoint.replace('_', ' ')}{', ' + item.group if item.group else ''}", item.text,
         item.role, _why(item, bool(item.scenario or study.product)), ", ".join(item.rows))
        for study, item in every if item.id not in used
    ]  # fmt: skip
    roles = Counter(item.role for _, item in every)
    conflicts = [
        (name.replace("_", " "), found.results.get(item.id, item.id), item.text, _count(item), item.weight,
         1.0 / math.sqrt(item.weight) if item.weight else float("inf"), item.note)
        for name, items in in_conflict(found.problem.studies).items() for item in items
    ]  # fmt: skip
    lighter = sum(item.weight < 1.0 for item in found.problem.items)
    text = f"""{len(found.problem.items)} results of {len({study.name for study, _ in found.problem.fitted})} studies
    are
    in the likelihood, all at once. A weight below one ({lighter} results) multiplies the log-likelihood: the result
    shares
    patients with another one, or leaves much unsaid. Where the number of patients was not reported, a percentage counts
    as of ten patients.

    Of {sum(roles.values())} collected results {roles["fit"]} have the role 'fit', {roles["check"]} the role 'check'
    (computed and compared, never fitted), {roles["outcome"]} the role 'outcome' (they decide the models of death and
    toxicity, after this fit) and {roles["context"]} the role 'context' (not computed). The last table
    says why each of these is not in the likelihood, as far as its note says it.

    Reports that contradict each other are all kept. Their errors are multiplied by the Birge ratio of the group, or
    more if they are of the same patients, so that none of them was chosen."""
    head = ("conflict", "result", "reported", "patients", "weight", "errors wider by", "note")
    tables = [
        Table("In the likelihood", ("result", "reported", "patients", "weight", "kind", "origin"), fitted),
        Table("Conflicts, and how far they were widened", head, conflicts, "" if conflicts else "None."),
        Table("Not in the likelihood", ("study", "result", "reported", "role", "why, or what is noted", "rows"), left),
    ]
    return Section("The evidence", dedented(text), tables=tables)


def _count(item: Item) -> str:
    return "not reported" if item.n is None else str(item.n)


def _why(item: Item, treated: bool) -> str:
    if item.role == "fit":
        return "the model does not compute it"
    if item.role == "outcome":
        return item.note or "decides a model of death or toxicity, after this fit"
    computed = item.role == "check" or (can_predict(item) and treated)
    return item.note or ("held out" if computed else "the model does not compute it")


def prior_section(found: FitContents) -> Section:
    """What the model says before any evidence."""
    checks = found.assessed.prior
    out = [one for one in checks if not one.inside]
    rows = [
        PredictedRow(
            found.results[one.item.id], one.item.unit, _reported(one.item), one.median, (one.low,), (one.high,),
            one.inside, one.item.kind == "median_not_reached",
        )
        for one in checks
    ]  # fmt: skip
    text = f"""The model was simulated at {found.points.prior} draws of the prior, before any result was used. Blue is
    the central 95 % of what it said of each result, without the sampling error of the trial; a report outside it is one
    that the prior found surprising. A wide interval is not a fault: the prior should let the evidence speak.

    {len(checks) - len(out)} of {len(checks)} reports lie inside. Surprising:
    {listed(found.results[o.item.id] for o in out)}."""
    table = Table(
        "Surprising before the fit", ("result", "reported", "prior median", "2.5 %", "97.5 %", "share of draws below"),
        [(found.results[o.item.id], o.item.text, o.median, o.low, o.high, o.place) for o in out],
    )  # fmt: skip
    pictures = predicted_pictures(rows, "prior_check", "Before any evidence: prior-predictive intervals", (0.95,))
    return Section("Prior-predictive check", dedented(text), pictures, [table] if out else [])


def search_section(found: FitContents) -> Section:
    """How many searches ended at the same place."""
    about, ways = found.calibration.about, found.about("search")
    rows = [(way, *counts) for way, counts in ways.items() if isinstance(counts, list | tuple) and len(counts) == 2]
    settings = [
        (key.replace("_", " "), str(value)) for key, value in found.about("settings").items()
    ]  # fmt: skip
    text = f"""Searches started at {found.problem.space.size}-dimensional points spread over the prior and climbed the
    emulated posterior, some by its gradient and some by CMA-ES, which knows no gradient. One that ends elsewhere than
    the
    best has stuck at a lower hill; if few agree, the optimum may not be the highest there is.

    {about.get("starts", "The calibration does not say how its searches ended.")} The model itself was evaluated at
    {about.get("evaluations", len(found.points.design))} points, each among other virtual patients; in rounds the points
    moved from the prior to the posterior."""
    head = ("way", "reached the best optimum", "searches")
    return Section("The search", dedented(text), tables=[
        *([Table("Starts that agree", head, rows)] if rows else []),
        Table("Settings of the fit", ("setting", "value"), settings),
    ])  # fmt: skip


def posterior_section(found: FitContents) -> Section:
    """Two samplers, their agreement, correlations, and how good the emulator is."""
    sampling = found.about("sampling")
    words = str(sampling.get("agreement", "The calibration does not say how two samplers agree."))
    words = _in_words(words, found.numbers)
    rows = [(key.replace("_", " "), value) for key, value in sampling.items() if key != "agreement"]
    emulated = emulator_rows(found)
    poor = [row for row in emulated if row[-1] > POOR]
    text = f"""The posterior was sampled twice on the emulator, by ensembles of walkers (emcee) and by sequential Monte
    Carlo from the prior, which know nothing of each other. R-hat compares chains with each other (1 is perfect); the
    effective number of draws says how many independent ones they are worth. {words}

    Colours show which numbers the evidence has tied together: where two trade off, their combination is known better
    than either. {" ".join(tie.text for tie in found.assessed.ties[:6])}

    Everything here rests on an emulator. At posterior draws that it has not seen, emulated results were compared with
    simulated ones, on the scale of each (logit for percentages, log otherwise): bias and root mean square error beside
    what sampling of virtual patients and the emulator's own stated spread make expected. {len(poor)} of {len(emulated)}
    errors are beyond {POOR:g} times what was expected; the worst: {listed(_row_words(row) for row in emulated[:5])}."""
    pictures = [correlation_picture(correlations(found.points.draws), found.labels)] if len(found.labels) > 1 else []
    head = ("result", "bias", "error", "expected error", "SD of simulated values", "error / expected")
    return Section("The posterior", dedented(text), pictures, [
        Table("How well it was sampled", ("diagnostic", "value"), rows),
        Table("Emulator against model, the worst first", head, emulated),
        Table("Free numbers", _NUMBERS, _numbers(found), _NUMBERS_NOTE),
    ])  # fmt: skip


def _in_words(text: str, words: Mapping[str, str]) -> str:
    """A sentence with labels instead of names, the longest names first."""
    for name in sorted(words, key=len, reverse=True):
        text = text.replace(name, words[name])
    return text


def _within(study: Study, item: Item) -> str:
    """Label of a result where its study stands beside it: 'ide-cel: ORR'."""
    return result_label(study, item).removeprefix(study.study).lstrip(": (").replace("): ", ": ", 1)


def emulator_rows(found: FitContents) -> list[tuple[str, float, float, float, float, float]]:
    """Label, bias, error, expected error, SD and error over expected of every emulated result, the worst first."""
    rows = []
    for name, one in found.about("emulator").items():
        if isinstance(one, dict) and name in found.results:
            ratio = one["error"] / one["expected"] if one["expected"] else float("inf")
            rows.append((found.results[name], one["bias"], one["error"], one["expected"], one["sd"], ratio))
    return sorted(rows, key=lambda row: -row[-1])


def _row_words(row: tuple[str, float, float, float, float, float]) -> str:
    return f"{row[0]} ({row[-1]:.1f} times)"


_NUMBERS = ("number", "meaning", "unit", "prior median", "estimate", "2.5 %", "97.5 %", "decided by evidence, %")
_NUMBERS_NOTE = """The interval is that of the shipped draws. Decided by evidence: 1 minus posterior over prior
    variance;
near 0 the prior speaks alone."""


def _numbers(found: FitContents) -> list[tuple[object, ...]]:
    rows = []
    space = found.problem.space
    for name in space.ids:
        parameter, drawn = space.parameters[name], [draw[name] for draw in found.calibration.draws]
        low, high = np.quantile(drawn, [0.025, 0.975])
        label = found.numbers[name].removesuffix(", own part")
        rows.append((
            label, parameter.meaning, parameter.unit, parameter.prior.value(0.0) if parameter.prior else float("nan"),
            found.calibration.estimate[name], float(low), float(high),
            round(100.0 * found.calibration.shrinkage[name]),
        ))  # fmt: skip
    return rows


def fit_section(found: FitContents) -> Section:
    """Reported against model at the estimate."""
    drawn = found.emulator.models(found.points.draws)
    rows, table = [], []
    for k, (study, item) in enumerate(found.problem.fitted):
        told = found.calibration.misfits.get(item.id)
        if told is None:
            continue
        low, high = (float(x) for x in np.quantile(drawn[:, k], [0.025, 0.975]))
        table.append((found.results[item.id], item.text, told["model"], low, high, told["misfit"], item.weight))
        if math.isfinite(_reported(item)):
            label = _within(study, item)
            rows.append(FitRowToDraw(
                study.study, label, item.unit, _reported(item), _known(item.low), _known(item.high), told["model"],
                min(low, told["model"]), max(high, told["model"]), told["misfit"],
            ))  # fmt: skip
    table.sort(key=lambda row: -abs(row[5]))
    bad = [row for row in table if abs(row[5]) > MISSED]
    text = f"""Grey is what was reported, blue the model at the estimate, simulated among other virtual patients than
    those of the fit, with the central 95 % of the emulated posterior. The misfit is a deviance residual in standard
    errors of the report: positive where the model is above it, and beyond 2 notable.

    {len(table) - len(bad)} of {len(table)} results lie within two standard errors. Beyond: {
        listed(f"{row[0]} ({row[5]:+.1f})" for row in bad)
    }. With about as many free numbers as results, a good fit is no proof of
    the model; the sections on validation say more."""
    pictures = []
    for name, words, chosen in (
        ("fit_percentages", "percentages", [row for row in rows if row.unit == "%"]),
        ("fit_times", "times and others", [row for row in rows if row.unit != "%"]),
    ):
        if chosen:
            pictures.append(fit_picture(chosen, name=name, title=f"What studies report, and the model: {words}"))
    head = ("result", "reported", "model", "2.5 %", "97.5 %", "misfit", "weight")
    return Section("The fit", dedented(text), pictures, [Table("Every fitted result, the worst first", head, table)])


def predicted_pictures(
    rows: Sequence[PredictedRow], name: str, title: str, levels: Sequence[float], note: str = ""
) -> list[Picture]:
    """Two pictures, so that each fits a page: percentages, and everything else."""
    shares, others = [row for row in rows if row.unit == "%"], [row for row in rows if row.unit != "%"]
    return [
        predicted_picture(chosen, name=f"{name}_{kind}", title=f"{title}: {words}", levels=levels, note=note)
        for kind, words, chosen in (("shares", "percentages", shares), ("others", "times and others", others)) if chosen
    ]  # fmt: skip


def _reported(item: Item) -> float:
    return _known(item.value if item.value is not None else item.low if item.low is not None else item.high)


def _known(number: float | None) -> float:
    return float("nan") if number is None else number


def listed(words: Iterable[str]) -> str:
    """Words for a sentence, 'none' if there are none."""
    return "; ".join(words) or "none"


def dedented(text: str) -> str:
    """A text of this file without the spaces before its lines, so that empty lines part its paragraphs."""
    return "\n".join(line.strip() for line in text.splitlines())
