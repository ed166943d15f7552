"""Sections of the report on a fit: hierarchy, identifiability, and what the data cannot say."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..fitting.calibration.agreement import correlations
from ..fitting.calibration.calibration import MISSED
from ..fitting.calibration.predictions import can_predict
from ..fitting.calibration.search_space import SHARE, Family
from ..fitting.identifiability.profile import Profile
from ..fitting.identifiability.verdict import Verdict, counted
from ..fitting.observations import Item, Study
from ..fitting.studies import in_conflict
from .calibration_contents import FitContents, number_label, result_label
from .figures.forest import EffectRowToDraw, effect_picture, fit_picture
from .figures.heat_map import correlation_picture, pull_picture
from .figures.identifiability import profile_picture
from .figures.index_bars import morris_picture, sobol_picture
from .figures.picture import Picture
from .figures.predictive import PredictedRow, predicted_picture
from .figures.rows import FitRowToDraw
from .report import Section, Table

# Sections of the report on a fit: evidence, prior-predictive check, search, posterior, and fit.


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


HEADLINES = ("crb_401_pfs_median", "crb_401_orr", "legend_2_pfs_60", "legend_2_cr")
"""Results whose sensitivities are drawn, of those that were fitted."""
PROFILES = 24
"""Profiles that are drawn: the others are in the table of verdicts."""
PRIOR_SPEAKS = 0.1
"""A shrinkage below it: the prior speaks."""
DISAGREE = 0.05


def hierarchy_section(found: FitContents) -> Section:
    """Class means, deviations of products, and what products without results borrow."""
    space, draws = found.problem.space, found.points.draws
    pictures, table = [], []
    for k, family in enumerate(space.families):
        place = len(space.ids) + k
        mean = np.sqrt(SHARE) * draws[:, place]
        rows = [_row("class mean", mean)]
        table.append((family.name, "class mean", *_three(mean), _taken(draws[:, place]), ""))
        for name in family.members:
            free = name in space.ids
            drawn = draws @ space.mix[space.ids.index(name)] if free else _borrowed(draws[:, place])
            label = number_label(name).partition(":")[0]
            rows.append(_row(label + ("" if free else " (borrowed)"), drawn, borrowed=not free))
            own = _taken(draws[:, space.ids.index(name)]) if free else float("nan")
            told = "own results" if free else "no result of its own: the class, and its prior around it"
            table.append((family.name, label, *_three(drawn), own, told))
        pictures.append(_family_picture(family, rows, k))
    borrowed = [number_label(name) for name, _ in space.borrowers]
    text = f"""Numbers of one kind differ from product to product around the mean of their class: in prior SDs a
    number is
    the square root of {SHARE:g} times the class plus the square root of {1 - SHARE:g} times its own part. So each
    result of one product also moves the others. Intervals are the central 95 % of the posterior; zero is the prior
    median
    of each product, and a prior alone would reach from -1.96 to 1.96.

    Without any result of their own, these take what the class says, with its own part at the prior: {listed(borrowed)}.
    Their intervals are wide, as they should be."""
    head = ("class", "product", "mean, prior SDs", "2.5 %", "97.5 %", "own part decided, %", "rests on")
    if not space.families:
        return Section("The hierarchy", "No number of this fit belongs to a class of products.")
    return Section("The hierarchy", dedented(text), pictures, [Table("Classes and their products", head, table)])


def _borrowed(place: np.ndarray) -> np.ndarray:
    own = np.random.default_rng(1).standard_normal(len(place))
    return np.sqrt(SHARE) * place + np.sqrt(1.0 - SHARE) * own


def _three(drawn: np.ndarray) -> tuple[float, float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(drawn.mean()), float(low), float(high)


def _taken(drawn: np.ndarray) -> float:
    return round(100.0 * max(0.0, 1.0 - float(drawn.var())))


def _row(label: str, drawn: np.ndarray, *, borrowed: bool = False) -> EffectRowToDraw:
    return EffectRowToDraw(label, *_three(drawn), extrapolated=borrowed)


def _family_picture(family: Family, rows: list[EffectRowToDraw], k: int) -> Picture:
    return effect_picture(
        rows, name=f"class_{k + 1}", title=f"{family.name[0].upper()}{family.name[1:]}: {family.meaning}",
        x_label="prior SDs from the prior median of the product", sides=("smaller", "larger"),
        note="Extrapolated: borrowed from the class, without a result of its own.",
    )  # fmt: skip


def identifiability_section(found: FitContents) -> Section:
    """Verdicts, profiles, sensitivities, pulls and conflicts."""
    told, known = found.assessed.verdicts, found.assessed
    counts = ", ".join(f"{n} {word}" for word, n in counted(told).items() if n)
    excess = max(known.profiles.excess)
    opposed = [one for one in known.conflicts if one.p_adjusted < DISAGREE]
    unlikely = [
        (known.pulls.labels[k], float(known.pulls.p_values[k])) for k in np.argsort(known.pulls.p_values)
        if known.pulls.p_values[k] < DISAGREE
    ]  # fmt: skip
    text = f"""A profile is the best log-likelihood that all other numbers can reach while one is held at each value.
    Where
    the red curve falls by 1.92 on both sides, the data alone identify the number; on one side, they bound it; on
    neither,
    it is flat. If the fall needs another number to stand at its bound (triangles), it is limited by that bound. Blue
    and
    green curves add the priors of the others and its own. Of {len(told)} numbers: {counts}.
    {f"Some profile found a place better than the optimum by {excess:.2f} log units." if excess > 0.1 else ""}

    Sobol indices are shares of the variance of a result when every number varies independently within its posterior;
    Morris's effects are over the prior and show what could matter at all. Both are of the emulator, on the scale of
    each result (logit or log).

    The pull of a result on a number is how far the optimum moves, in posterior SDs, because the result is there.
    {" ".join(known.pulls.sentences(8))}
    {
        f"Weighted draws agree with these pulls (correlation {known.pulls.agreement:.2f})."
        if np.isfinite(known.pulls.agreement)
        else ""
    }

    Results that disagree about a number (adjusted for all pairs that were tried): {len(opposed)} pairs at p below
    {DISAGREE:g}. {
        " ".join(one.sentence for one in opposed)
        or "The strongest that is not beyond chance: " + (known.conflicts[0].sentence if known.conflicts else "none.")
    }
    Results that do not belong to the rest (p below {DISAGREE:g}, not adjusted, of {len(known.pulls.labels)}):
    {listed(f"{label} ({p:.2g})" for label, p in unlikely)}."""
    return Section("Identifiability in words", dedented(text), _identifiability_pictures(found), [
        Table("Verdict on every number", ("verdict", "decided, %", "in words"), [
            (one.word, round(100.0 * max(one.shrinkage, 0.0)), one.sentence) for one in told
        ]),
        Table("Opposed results", ("number", "one", "its pull", "other", "its pull", "p", "adjusted p"), [
            (one.id, one.first, one.first_pull, one.second, one.second_pull, one.p_value, one.p_adjusted)
            for one in known.conflicts[:12]
        ]),
    ])  # fmt: skip


def _identifiability_pictures(found: FitContents) -> list[Picture]:
    known = found.assessed
    profiles = interesting(known.profiles.profiles, known.verdicts)
    headlines = [found.results[name] for name in HEADLINES if name in found.results]
    headlines = headlines or list(known.sobol.outputs[:4])
    words = {one.id: one for one in known.verdicts}
    return [
        profile_picture(
            profiles, [words[one.id] for one in profiles],
            title=f"Profile likelihoods of {len(profiles)} numbers of {len(known.profiles.profiles)}",
        ),
        sobol_picture(known.sobol, headlines, title="Sobol indices over the posterior: headline results"),
        morris_picture(known.morris, headlines, title="Elementary effects over the prior: headline results"),
        pull_picture(known.pulls, items=28, numbers=22),
    ]  # fmt: skip


def interesting(profiles: tuple[Profile, ...], told: tuple[Verdict, ...], most: int = PROFILES) -> list[Profile]:
    """Those that the data decide most, and as many as there are of every other verdict, in turn."""
    order: dict[str, list[str]] = defaultdict(list)
    for one in sorted(told, key=lambda verdict: -verdict.shrinkage):
        order[one.word].append(one.id)
    chosen: list[str] = []
    while len(chosen) < min(most, len(told)):
        chosen += [names.pop(0) for names in order.values() if names]
    kept = set(chosen[:most])
    return [profile for profile in profiles if profile.id in kept]


def cannot_section(found: FitContents) -> Section:
    """What the data cannot say, in plain words, from the verdicts."""
    told = found.assessed.verdicts
    by_word: dict[str, list[Verdict]] = defaultdict(list)
    for one in told:
        by_word[one.word].append(one)
    silent = [one.id for one in told if one.shrinkage < PRIOR_SPEAKS]
    settle: dict[str, list[str]] = defaultdict(list)
    for one in told:
        if one.word != "identified" and one.settling is not None:
            settle[f"{one.settling.evidence} ({one.settling.basis})"].append(one.id)
    text = f"""The data alone rule out no value of {len(by_word["flat"])} numbers:
    {listed(one.id for one in by_word["flat"])}. What is said of them rests on the priors.

    They bound {len(by_word["one-sided"])} numbers on one side only: {listed(map(_bound, by_word["one-sided"]))}.

    {len(by_word["limited by another bound"])} numbers are held only because another one may not leave its range:
    {listed(f"{one.id} (by {' and '.join(one.limited_by)})" for one in by_word["limited by another bound"])}.

    Of {len(silent)} numbers the evidence takes less than {100 * PRIOR_SPEAKS:.0f} % of the prior variance, so that
    another
    prior would give another answer: {listed(silent)}.

    Some numbers are known together only. {" ".join(tie.text for tie in found.assessed.ties) or "No two are tied."}

    {_borrowers(found)}"""
    rows = [(", ".join(names), evidence) for evidence, names in settle.items()]
    return Section("What the data cannot say", dedented(text), tables=[
        Table("What would settle it", ("numbers", "evidence that would decide"), rows,
              "Computed: by the model of the fit. Domain knowledge: what the field would measure.")
    ])  # fmt: skip


def _bound(one: Verdict) -> str:
    return f"{one.id} (from {'below' if np.isfinite(one.interval[0]) else 'above'})"


def _borrowers(found: FitContents) -> str:
    names = [number_label(name) for name, _ in found.problem.space.borrowers]
    if not names:
        return "No product borrows all it has from its class."
    return f"On {len(names)} numbers of products there is no result; they borrow from their class: {listed(names)}."
