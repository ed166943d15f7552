"""Sections of the report on a fit: from the evidence to its goodness of fit, identifiability, and its limits."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..fitting.calibration.agreement import correlations
from ..fitting.calibration.calibration import MISSED
from ..fitting.calibration.predictions import can_predict
from ..fitting.calibration.search_space import SHARE, PooledParameters
from ..fitting.identifiability.profile import Profile
from ..fitting.identifiability.verdict import Verdict, counted
from ..fitting.observations import Observation, Study
from ..fitting.studies import in_conflict
from .assessed_fit import AssessedFit, number_label, result_label
from .figures.assessment import profile_picture
from .figures.contributions import morris_picture, sobol_picture
from .figures.intervals import EffectRowSpec, FitRowSpec, effect_picture, fit_picture
from .figures.paired_intervals import PredictedRow, predicted_picture
from .figures.picture import Picture
from .figures.tables import correlation_picture, pull_picture
from .report import Section, Table

# Evidence, prior, optimisation, posterior, goodness of fit


LARGEST_R_HAT, SMALLEST_ESS = 1.05, 400.0
"""R-hat above the first and effective sample sizes below the second get a notice (Vehtari 2021: 1.01 and 400)."""
POOR = 2.0
"""An emulator error beyond this multiple of its expectation gets a notice."""


def evidence_section(fit: AssessedFit) -> Section:
    """Fitted results, conflicting reports, and results outside the likelihood."""
    fitted = [
        (fit.results[item.id], item.text, _count(item), item.weight, item.kind.replace("_", " "), item.origin)
        for _, item in fit.problem.fitted
    ]
    every = [(study, item) for study in fit.problem.studies for item in study.items]
    used = {item.id for item in fit.problem.items}
    left = [
        (study.study, f"{item.endpoint.replace('_', ' ')}{', ' + item.group if item.group else ''}", item.text,
         item.role, _why(item, bool(item.scenario or study.product)), ", ".join(item.rows))
        for study, item in every if item.id not in used
    ]  # fmt: skip
    roles = Counter(item.role for _, item in every)
    conflicts = [
        (name.replace("_", " "), fit.results.get(item.id, item.id), item.text, _count(item), item.weight,
         1.0 / math.sqrt(item.weight) if item.weight else float("inf"), item.note)
        for name, items in in_conflict(fit.problem.studies).items() for item in items
    ]  # fmt: skip
    downweighted = sum(item.weight < 1.0 for item in fit.problem.items)
    text = f"""The likelihood holds {len(fit.problem.items)} results of
    {len({study.name for study, _ in fit.problem.fitted})} studies jointly. A weight below one ({downweighted} results)
    multiplies the log-likelihood of a result that shares patients with another result, or whose report is incomplete.
    Where the number of patients was not reported, a percentage counts as of ten patients.

    Of {sum(roles.values())} collected results {roles["fit"]} have the role 'fit', {roles["check"]} the role 'check'
    (predicted and compared, never fitted), {roles["outcome"]} the role 'outcome' (they inform the models of death and
    toxicity, after this fit) and {roles["context"]} the role 'context' (not computed). The last table
    says why each of these is not in the likelihood, as far as its note says it.

    Reports that contradict each other are all kept. Their standard errors are multiplied by the Birge ratio of the
    group, or by more if they are of the same patients."""
    head = ("conflict", "result", "reported", "patients", "weight", "standard error times", "note")
    tables = [
        Table("In the likelihood", ("result", "reported", "patients", "weight", "kind", "origin"), fitted),
        Table("Conflicting reports, with inflated errors", head, conflicts, "" if conflicts else "None."),
        Table("Not in the likelihood", ("study", "result", "reported", "role", "reason or note", "rows"), left),
    ]
    return Section("Evidence", dedented(text), tables=tables)


def _count(item: Observation) -> str:
    return "not reported" if item.n is None else str(item.n)


def _why(item: Observation, treated: bool) -> str:
    if item.role == "fit":
        return "the model does not compute it"
    if item.role == "outcome":
        return item.note or "informs a model of death or toxicity, after this fit"
    computed = item.role == "check" or (can_predict(item) and treated)
    return item.note or ("held out" if computed else "the model does not compute it")


def prior_section(fit: AssessedFit) -> Section:
    """Predictions of the model before any evidence."""
    checks = fit.assessment.prior
    outside = [check for check in checks if not check.inside]
    rows = [
        PredictedRow(
            fit.results[check.item.id], check.item.unit, _reported(check.item), check.median, (check.low,),
            (check.high,), check.inside, check.item.kind == "median_not_reached",
        )
        for check in checks
    ]  # fmt: skip
    text = f"""The model was simulated at {fit.points.prior} draws of the prior, before any result was used. Blue is
    the central 95 % prior predictive interval of each result, without the sampling error of the trial; the prior did
    not expect a report outside it. A wide interval is not a fault: the prior should let the evidence speak.

    {len(checks) - len(outside)} of {len(checks)} reports lie inside. Outside:
    {listed(fit.results[check.item.id] for check in outside)}."""
    table = Table(
        "Outside the prior predictive interval",
        ("result", "reported", "prior median", "2.5 %", "97.5 %", "share of draws below"),
        [
            (fit.results[check.item.id], check.item.text, check.median, check.low, check.high, check.place)
            for check in outside
        ],
    )
    pictures = predicted_pictures(rows, "prior_check", "Before any evidence: prior predictive intervals", (0.95,))
    return Section("Prior predictive check", dedented(text), pictures, [table] if outside else [])


def search_section(fit: AssessedFit) -> Section:
    """How many optimisations ended at the same optimum."""
    about, methods = fit.calibration.about, fit.about("search")
    rows = [
        (method, *counts) for method, counts in methods.items() if isinstance(counts, list | tuple) and len(counts) == 2
    ]
    settings = [(key.replace("_", " "), str(value)) for key, value in fit.about("settings").items()]
    text = f"""The emulated log posterior was maximised from {fit.problem.space.size}-dimensional starting points spread
    over the prior, by gradient ascent and by CMA-ES, which needs no gradient. A search that ends below the best one has
    found a local optimum; if few agree, the optimum may not be the global one.

    {about.get("starts", "The calibration does not say how its searches ended.")} The model itself was evaluated at
    {about.get("evaluations", len(fit.points.design))} points, each with other virtual patients; from round to round the
    points moved from the prior to the posterior."""
    head = ("method", "reached the best optimum", "searches")
    return Section("Optimisation", dedented(text), tables=[
        *([Table("Starting points that reach the best optimum", head, rows)] if rows else []),
        Table("Settings of the fit", ("setting", "value"), settings),
    ])  # fmt: skip


def posterior_section(fit: AssessedFit) -> Section:
    """Two samplers and their agreement, correlations, and the error of the emulator."""
    sampling = fit.about("sampling")
    words = str(sampling.get("agreement", "The calibration does not say how two samplers agree."))
    words = _in_words(words, fit.numbers)
    rows = [(key.replace("_", " "), value) for key, value in sampling.items() if key != "agreement"]
    emulated = emulator_rows(fit)
    poor = [row for row in emulated if row[-1] > POOR]
    text = f"""The posterior was sampled twice on the emulator, by an affine-invariant ensemble (emcee) and sequential
    Monte Carlo from the prior, independently of each other. R-hat compares chains with each other (1 at convergence);
    the effective sample size is the number of independent draws with the same information. {words}

    The correlation matrix shows which estimated parameters the evidence constrains only jointly.
    {" ".join(tie.text for tie in fit.assessment.ties[:6])}

    The posterior rests on an emulator. At posterior draws outside its training points, emulated results were compared
    with simulated ones, on the scale of each (logit for percentages, log otherwise): bias and root mean square error,
    beside the error expected from the sampling of virtual patients and the emulator's own predictive spread.
    {len(poor)} of {len(emulated)} errors are beyond {POOR:g} times the expectation; the largest:
    {listed(_row_words(row) for row in emulated[:5])}."""
    pictures = [correlation_picture(correlations(fit.points.draws), fit.labels)] if len(fit.labels) > 1 else []
    head = ("result", "bias", "error", "expected error", "SD of simulated values", "error / expected")
    return Section("Posterior", dedented(text), pictures, [
        Table("Convergence of the samplers", ("diagnostic", "value"), rows),
        Table("Emulator against model, largest error first", head, emulated),
        Table("Estimated parameters", _PARAMETERS, _parameter_rows(fit), _PARAMETERS_NOTE),
    ])  # fmt: skip


def _in_words(text: str, words: Mapping[str, str]) -> str:
    """A sentence with labels instead of names, the longest names first."""
    for name in sorted(words, key=len, reverse=True):
        text = text.replace(name, words[name])
    return text


def _within(study: Study, item: Observation) -> str:
    """Label of a result where its study stands beside it: 'ide-cel: ORR'."""
    return result_label(study, item).removeprefix(study.study).lstrip(": (").replace("): ", ": ", 1)


def emulator_rows(fit: AssessedFit) -> list[tuple[str, float, float, float, float, float]]:
    """Label, bias, error, expected error, SD, and error over expected of every emulated result, largest ratio first."""
    rows = []
    for name, errors in fit.about("emulator").items():
        if isinstance(errors, dict) and name in fit.results:
            ratio = errors["error"] / errors["expected"] if errors["expected"] else float("inf")
            rows.append((fit.results[name], errors["bias"], errors["error"], errors["expected"], errors["sd"], ratio))
    return sorted(rows, key=lambda row: -row[-1])


def _row_words(row: tuple[str, float, float, float, float, float]) -> str:
    return f"{row[0]} ({row[-1]:.1f} times)"


_PARAMETERS = ("parameter", "meaning", "unit", "prior median", "estimate", "2.5 %", "97.5 %", "shrinkage, %")
_PARAMETERS_NOTE = """The interval is that of the shipped draws. Shrinkage: 1 minus the ratio of posterior to prior
variance; near 0 the posterior is the prior."""


def _parameter_rows(fit: AssessedFit) -> list[tuple[object, ...]]:
    rows = []
    space = fit.problem.space
    for name in space.ids:
        parameter, drawn = space.parameters[name], [draw[name] for draw in fit.calibration.draws]
        low, high = np.quantile(drawn, [0.025, 0.975])
        label = fit.numbers[name].removesuffix(", own part")
        rows.append((
            label, parameter.meaning, parameter.unit, parameter.prior.value(0.0) if parameter.prior else float("nan"),
            fit.calibration.estimate[name], float(low), float(high),
            round(100.0 * fit.calibration.shrinkage[name]),
        ))  # fmt: skip
    return rows


def fit_section(fit: AssessedFit) -> Section:
    """Reported results against the model at the estimate."""
    drawn = fit.emulator.models(fit.points.draws)
    rows, table = [], []
    for k, (study, item) in enumerate(fit.problem.fitted):
        misfit = fit.calibration.misfits.get(item.id)
        if misfit is None:
            continue
        low, high = (float(x) for x in np.quantile(drawn[:, k], [0.025, 0.975]))
        table.append((fit.results[item.id], item.text, misfit["model"], low, high, misfit["misfit"], item.weight))
        if math.isfinite(_reported(item)):
            label = _within(study, item)
            rows.append(FitRowSpec(
                study.study, label, item.unit, _reported(item), _or_nan(item.low), _or_nan(item.high), misfit["model"],
                min(low, misfit["model"]), max(high, misfit["model"]), misfit["misfit"],
            ))  # fmt: skip
    table.sort(key=lambda row: -abs(row[5]))
    missed = [row for row in table if abs(row[5]) > MISSED]
    text = f"""Grey: the report. Blue: the model at the estimate, simulated with other virtual patients than those of
    the fit, with the central 95 % of the emulated posterior. The misfit is a deviance residual in standard errors of
    the report, positive where the model is above it, and notable beyond 2.

    {len(table) - len(missed)} of {len(table)} results lie within two standard errors. Beyond: {
        listed(f"{row[0]} ({row[5]:+.1f})" for row in missed)
    }. With about as many estimated parameters as results, a good fit is no proof of the model; the sections on
    validation test it."""
    pictures = []
    for name, words, chosen in (
        ("fit_percentages", "percentages", [row for row in rows if row.unit == "%"]),
        ("fit_times", "times and others", [row for row in rows if row.unit != "%"]),
    ):
        if chosen:
            pictures.append(fit_picture(chosen, name=name, title=f"Reported results and the model: {words}"))
    head = ("result", "reported", "model", "2.5 %", "97.5 %", "misfit", "weight")
    every = Table("Every fitted result, largest misfit first", head, table)
    return Section("Goodness of fit", dedented(text), pictures, [every])


def predicted_pictures(
    rows: Sequence[PredictedRow], name: str, title: str, levels: Sequence[float], note: str = ""
) -> list[Picture]:
    """Two pictures, so that each fits a page: percentages, and everything else."""
    shares, others = [row for row in rows if row.unit == "%"], [row for row in rows if row.unit != "%"]
    return [
        predicted_picture(chosen, name=f"{name}_{kind}", title=f"{title}: {words}", levels=levels, note=note)
        for kind, words, chosen in (("shares", "percentages", shares), ("others", "times and others", others)) if chosen
    ]  # fmt: skip


def _reported(item: Observation) -> float:
    return _or_nan(item.value if item.value is not None else item.low if item.low is not None else item.high)


def _or_nan(number: float | None) -> float:
    return float("nan") if number is None else number


def listed(words: Iterable[str]) -> str:
    """Entries of a list for a sentence, 'none' if it is empty."""
    return "; ".join(words) or "none"


def dedented(text: str) -> str:
    """The text without the indentation of its lines, so that empty lines separate its paragraphs."""
    return "\n".join(line.strip() for line in text.splitlines())


# Partial pooling, identifiability, limits


HEADLINES = ("crb_401_pfs_median", "crb_401_orr", "legend_2_pfs_60", "legend_2_cr")
"""Fitted results whose sensitivities are drawn."""
PROFILES = 24
"""Profiles that are drawn; the others are in the table of verdicts."""
UNINFORMED = 0.1
"""Shrinkage below which a parameter rests on its prior."""
SIGNIFICANCE = 0.05
"""Of conflicts between results."""


def hierarchy_section(fit: AssessedFit) -> Section:
    """Class means, deviations of products, and products without results that borrow from their class."""
    space, draws = fit.problem.space, fit.points.draws
    pictures, table = [], []
    for k, family in enumerate(space.families):
        place = len(space.ids) + k
        mean = np.sqrt(SHARE) * draws[:, place]
        rows = [_row("class mean", mean)]
        table.append((family.name, "class mean", *_mean_and_interval(mean), _shrinkage(draws[:, place]), ""))
        for name in family.members:
            estimated = name in space.ids
            drawn = draws @ space.mix[space.ids.index(name)] if estimated else _borrowed(draws[:, place])
            label = number_label(name).partition(":")[0]
            rows.append(_row(label + ("" if estimated else " (borrowed)"), drawn, borrowed=not estimated))
            own = _shrinkage(draws[:, space.ids.index(name)]) if estimated else float("nan")
            basis = "own results" if estimated else "no result of its own: the class, and its prior around it"
            table.append((family.name, label, *_mean_and_interval(drawn), own, basis))
        pictures.append(_family_picture(family, rows, k))
    borrowed = [number_label(name) for name, _ in space.borrowers]
    text = f"""Parameters of the same kind are hierarchical (partially pooled) across products: in prior SDs a parameter
    is the square root of {SHARE:g} times the mean of its class plus the square root of {1 - SHARE:g} times its own
    part, so that results of one product inform the others. Intervals are the central 95 % of the posterior; zero is the
    prior median of each product, and the prior alone would reach from -1.96 to 1.96.

    Products without a result of their own borrow from their class, with their own part at the prior, and have wide
    intervals: {listed(borrowed)}."""
    title = "Hierarchical (partially pooled) parameters"
    head = ("class", "product", "mean, prior SDs", "2.5 %", "97.5 %", "shrinkage of the own part, %", "rests on")
    if not space.families:
        return Section(title, "No parameter of this fit belongs to a class of products.")
    return Section(title, dedented(text), pictures, [Table("Classes and their products", head, table)])


def _borrowed(place: np.ndarray) -> np.ndarray:
    own = np.random.default_rng(1).standard_normal(len(place))
    return np.sqrt(SHARE) * place + np.sqrt(1.0 - SHARE) * own


def _mean_and_interval(drawn: np.ndarray) -> tuple[float, float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(drawn.mean()), float(low), float(high)


def _shrinkage(drawn: np.ndarray) -> float:
    return round(100.0 * max(0.0, 1.0 - float(drawn.var())))


def _row(label: str, drawn: np.ndarray, *, borrowed: bool = False) -> EffectRowSpec:
    return EffectRowSpec(label, *_mean_and_interval(drawn), extrapolated=borrowed)


def _family_picture(family: PooledParameters, rows: list[EffectRowSpec], k: int) -> Picture:
    return effect_picture(
        rows, name=f"class_{k + 1}", title=f"{family.name[0].upper()}{family.name[1:]}: {family.meaning}",
        x_label="prior SDs from the prior median of the product", sides=("smaller", "larger"),
        note="Extrapolated: borrowed from the class, without a result of its own.",
    )  # fmt: skip


def identifiability_section(fit: AssessedFit) -> Section:
    """Verdicts, profile likelihoods, sensitivities, influence of results, and conflicts between them."""
    assessment = fit.assessment
    verdicts, influence = assessment.verdicts, assessment.pulls
    counts = ", ".join(f"{n} {word}" for word, n in counted(verdicts).items() if n)
    excess = max(assessment.profiles.excess)
    opposed = [conflict for conflict in assessment.conflicts if conflict.p_adjusted < SIGNIFICANCE]
    outlying = [
        (influence.labels[k], float(influence.p_values[k])) for k in np.argsort(influence.p_values)
        if influence.p_values[k] < SIGNIFICANCE
    ]  # fmt: skip
    strongest = assessment.conflicts[0].sentence if assessment.conflicts else "none."
    text = f"""A profile likelihood maximises the log-likelihood over all other parameters while one is fixed at each
    value. Where the red curve falls by 1.92 on both sides, the data alone identify the parameter; on one side, they
    bound it; on neither, the profile is flat. If the fall needs another parameter at its bound (triangles), the
    parameter is limited by that bound. Blue and green curves add the priors of the others and its own. Of
    {len(verdicts)} parameters and class means: {counts}.
    {f"A profile found a point {excess:.2f} log units better than the optimum." if excess > 0.1 else ""}

    Sobol indices are shares of the variance of a result when every parameter varies independently within its posterior.
    Morris's elementary effects are over the prior and show which parameters could matter at all. Both are computed with
    the emulator, on the scale of each result (logit or log).

    The influence of a result on a parameter is the shift of the optimum, in posterior SDs, that the result causes.
    {" ".join(influence.sentences(8))}
    {
        f"Importance-weighted draws agree with this approximation (correlation {influence.agreement:.2f})."
        if np.isfinite(influence.agreement)
        else ""
    }

    Results in conflict over a parameter (adjusted for all pairs that were tested): {len(opposed)} pairs at p below
    {SIGNIFICANCE:g}. {
        " ".join(conflict.sentence for conflict in opposed) or f"The strongest, which is not significant: {strongest}"
    }
    Outlying results (p below {SIGNIFICANCE:g}, not adjusted, of {len(influence.labels)}):
    {listed(f"{label} ({p:.2g})" for label, p in outlying)}."""
    return Section("Identifiability", dedented(text), _identifiability_pictures(fit), [
        Table("Verdict on every parameter", ("verdict", "shrinkage, %", "in words"), [
            (verdict.word, round(100.0 * max(verdict.shrinkage, 0.0)), verdict.sentence) for verdict in verdicts
        ]),
        Table(
            "Conflicts between results",
            ("parameter", "result", "its influence", "other result", "its influence", "p", "adjusted p"),
            [
                (
                    conflict.id, conflict.first, conflict.first_pull, conflict.second, conflict.second_pull,
                    conflict.p_value, conflict.p_adjusted,
                )
                for conflict in assessment.conflicts[:12]
            ],
        ),
    ])  # fmt: skip


def _identifiability_pictures(fit: AssessedFit) -> list[Picture]:
    assessment = fit.assessment
    profiles = interesting(assessment.profiles.profiles, assessment.verdicts)
    headlines = [fit.results[name] for name in HEADLINES if name in fit.results]
    headlines = headlines or list(assessment.sobol.outputs[:4])
    verdicts = {verdict.id: verdict for verdict in assessment.verdicts}
    return [
        profile_picture(
            profiles, [verdicts[profile.id] for profile in profiles],
            title=f"Profile likelihoods of {len(profiles)} of {len(assessment.profiles.profiles)} parameters",
        ),
        sobol_picture(assessment.sobol, headlines, title="Sobol indices over the posterior: headline results"),
        morris_picture(assessment.morris, headlines, title="Elementary effects over the prior: headline results"),
        pull_picture(assessment.pulls, items=28, numbers=22),
    ]  # fmt: skip


def interesting(profiles: tuple[Profile, ...], verdicts: tuple[Verdict, ...], most: int = PROFILES) -> list[Profile]:
    """Profiles to draw: of every verdict in turn, the largest shrinkage first."""
    order: dict[str, list[str]] = defaultdict(list)
    for verdict in sorted(verdicts, key=lambda verdict: -verdict.shrinkage):
        order[verdict.word].append(verdict.id)
    chosen: list[str] = []
    while len(chosen) < min(most, len(verdicts)):
        chosen += [names.pop(0) for names in order.values() if names]
    kept = set(chosen[:most])
    return [profile for profile in profiles if profile.id in kept]


def cannot_section(fit: AssessedFit) -> Section:
    """Limits of the evidence in plain words, from the verdicts."""
    verdicts = fit.assessment.verdicts
    by_word: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        by_word[verdict.word].append(verdict)
    uninformed = [verdict.id for verdict in verdicts if verdict.shrinkage < UNINFORMED]
    settle: dict[str, list[str]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.word != "identified" and verdict.settling is not None:
            settle[f"{verdict.settling.evidence} ({verdict.settling.basis})"].append(verdict.id)
    limited = by_word["limited by another bound"]
    text = f"""The data alone rule out no value of {len(by_word["flat"])} parameters:
    {listed(verdict.id for verdict in by_word["flat"])}. Statements about them rest on the priors.

    The data bound {len(by_word["one-sided"])} parameters on one side only:
    {listed(map(_bound, by_word["one-sided"]))}.

    {len(limited)} parameters are identified only because another one is confined to its range:
    {listed(f"{verdict.id} (by {' and '.join(verdict.limited_by)})" for verdict in limited)}.

    The posterior variance of {len(uninformed)} parameters is more than {100 - 100 * UNINFORMED:.0f} % of the prior
    variance, so that another prior would give another estimate: {listed(uninformed)}.

    Some parameters are identified jointly only.
    {" ".join(tie.text for tie in fit.assessment.ties) or "No two are correlated that strongly."}

    {_borrowers(fit)}"""
    rows = [(", ".join(names), evidence) for evidence, names in settle.items()]
    return Section("What the data cannot say", dedented(text), tables=[
        Table("Measurements that would identify them", ("parameters", "evidence"), rows,
              "Computed: with the model of the fit. Domain knowledge: what the field would measure.")
    ])  # fmt: skip


def _bound(verdict: Verdict) -> str:
    return f"{verdict.id} (from {'below' if np.isfinite(verdict.interval[0]) else 'above'})"


def _borrowers(fit: AssessedFit) -> str:
    names = [number_label(name) for name, _ in fit.problem.space.borrowers]
    if not names:
        return "No product borrows all of its information from its class."
    return (
        f"{len(names)} parameters of products are informed by no result and borrow from their class: {listed(names)}."
    )
