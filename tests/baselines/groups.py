"""What the digest holds: groups of numbers by name, each from one small function.

Only the function of a group knows by which door its numbers are reached. Where a door moves, its function follows, and
the names of the numbers and their hashes stay as they are.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from small_experiments import DRAWS, PATIENTS, PER_DRAW, SIZES, experiment, small, small_run

from perdure.experiments.salvage import SALVAGES
from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.calibration.design import evaluate, prior_points
from perdure.fitting.calibration.emulator import train_emulator
from perdure.fitting.calibration.likelihood import match
from perdure.fitting.calibration.overall_survival_fit import FREE, gather
from perdure.fitting.calibration.points import read_points
from perdure.fitting.calibration.predictions import arms_of, can_predict, predict, run_arm
from perdure.fitting.calibration.problem import Problem
from perdure.fitting.calibration.problem import Sizes as LikelihoodSizes
from perdure.fitting.calibration.search import search_from
from perdure.fitting.calibration.search_space import SearchSpace, joint_space
from perdure.fitting.calibration.toxicity_fit import ToxicityHierarchy, ToxicityPrior, toxicity_evidence
from perdure.fitting.fit_table import SEED as FIT_SEED
from perdure.fitting.fit_table import THERAPY_SEED, FitRow, fit_table, therapy_table
from perdure.fitting.km_reconstruction import reconstruct_km
from perdure.fitting.patients.cellular_kinetics import tisagenlecleucel
from perdure.fitting.patients.data import Subject, read_measurements
from perdure.fitting.patients.map_fit import individual_fit
from perdure.fitting.patients.mechanistic import mechanistic_model
from perdure.fitting.patients.population import fit_population
from perdure.fitting.patients.progression import predict_progression
from perdure.fitting.posterior import SEED as PROJECTION_SEED
from perdure.fitting.posterior import Sizes
from perdure.fitting.studies import Study, read_studies
from perdure.fitting.validation.user_evidence import SEED as USER_SEED
from perdure.fitting.validation.user_evidence import validate_user_evidence
from perdure.model.cohort import Cohort, Endpoints, simulate_cohort
from perdure.model.endpoints import Outcomes, Visits
from perdure.model.imwg import PR
from perdure.model.reduction import Courses, Moments, Quantiles
from perdure.model.regimens.event_table import read_events, write_events
from perdure.model.regimens.plan import Plan
from perdure.model.regimens.regimen import Infusion, Regimen, give, infuse
from perdure.model.regimens.rules import Rule, every, progression, remission, start, stop
from perdure.model.regimens.sentence import read_plan
from perdure.model.sensitivity import sensitivities
from perdure.model.simulate import Solver, simulate
from perdure.model.solution import Solution
from perdure.parameters.patients import draw, make_patients
from perdure.reports.line_report import RESTRICTED_YEAR, compare_plans
from perdure.reports.registry import all_experiments
from perdure.reports.settings import Settings
from perdure.trials.analysis import analyse, z_and_p
from perdure.trials.arm import Arm
from perdure.trials.attribution import decompose
from perdure.trials.causes import cause_table
from perdure.trials.compare import Comparison, compare
from perdure.trials.conduct import conduct
from perdure.trials.design import Design
from perdure.trials.eligibility import Criterion, Factor
from perdure.trials.measures import (
    COMING,
    COMPLETE,
    EFFICACY,
    MEDIAN_PFS,
    PFS_24,
    RESPONSE,
    RESTRICTED_PFS,
    days_of_treatment,
    restricted_mean,
)
from perdure.trials.pool import make_pool
from perdure.trials.power import power_curve, sample_size, true_effect
from perdure.trials.search import Axis, Limit, search
from perdure.trials.standard_regimens import default_arms
from perdure.trials.treat import treat

Numbers = Mapping[str, Any]
"""Arrays, numbers and texts by name."""

SEED = 7
SEEDED = replace(SIZES, seed=SEED)
LENALIDOMIDE = "ide-cel; lenalidomide 10 mg on days 1-21 of 28 from day 30 for 6 months"
AGAIN = "ide-cel; at progression: lymphodepletion days 23-25; ide-cel again on day 28"
DRUG = "ide-cel; at progression: teclistamab"
STUDIES = ("crb_401", "karmma", "cartitude_1", "universal_trial")
DATA = Path(__file__).resolve().parent.parent / "data" / "simulated_patients.csv"
MARKERS = ("tumour", "car_t", "m_protein", "soluble_bcma")


@cache
def calibration() -> Calibration:
    """The shipped one."""
    return read_calibration()


@cache
def studies(*names: str) -> tuple[Study, ...]:
    """The shipped evidence, or some of it in the order of the names."""
    by_name = {study.name: study for study in read_studies()}
    return tuple(by_name[name] for name in names) if names else tuple(by_name.values())


# What several groups read of a result


def of_outcomes(outcomes: Outcomes) -> dict[str, Any]:
    """What a trial reports: every array by patient, and the curves at months."""
    names = (
        "weight", "death", "c_max", "t_max", "auc_28", "persistence", "least_tumour", "density_before",
        "density_at_progression", "tumour_at_progression", "cause_shares", "soluble_bcma", "usable", "best",
    )  # fmt: skip
    numbers: dict[str, Any] = {name: getattr(outcomes, name) for name in names}
    for dated in ("visit", "expected"):
        numbers[f"progression, {dated}"] = outcomes.progression(dated)
        numbers[f"PFS, {dated}"] = outcomes.progression_free(dated).at(np.arange(0.0, 12.5, 0.5))
    numbers["duration of response"] = outcomes.duration_of_response().at(np.arange(0.0, 6.5, 0.5))
    numbers["response rates"] = [outcomes.overall_response_rate, outcomes.complete_response_rate]
    numbers["causes of relapse"] = outcomes.cause_share()
    return numbers


def of_solution(solution: Solution, names: Sequence[str] = MARKERS) -> dict[str, Any]:
    """Time courses by name, eradication, steps, what was delivered, and when rules fired."""
    numbers: dict[str, Any] = {name: solution[name] for name in names}
    numbers |= {"eradication": solution.eradication, "steps": solution.steps}
    numbers |= {f"delivered {therapy}": amount for therapy, amount in solution.delivered.items()}
    return numbers | {f"day of {name}": event.first for name, event in solution.events.items()}


def of_estimates(estimates: Mapping[str, Any]) -> dict[str, Any]:
    """Value, low and high of estimates by name."""
    return {name: [number.value, number.low, number.high] for name, number in estimates.items()}


def of_fit_rows(rows: Sequence[FitRow]) -> dict[str, Any]:
    """Columns of a fit table."""
    columns = {name: [getattr(row, name) for row in rows] for name in ("model", "low", "high", "misfit")}
    return {**columns, "items": "\n".join(row.item.id for row in rows)}


def of_tables(comparison: Comparison) -> dict[str, Any]:
    """The tables of a comparison at the estimate and at posterior draws, and its curves with few patients."""
    few, draws = comparison.posterior.few, comparison.posterior.draws
    return {
        "best": comparison.posterior.value.table, "few": few.table, "drawn": [measured.table for measured in draws],
        "curves": [measured.curves for measured in (few, *draws)],
    }  # fmt: skip


def of_comparison(comparison: Comparison) -> dict[str, Any]:
    """The tables of a comparison, its curves and bands, and gains of every arm over the first."""
    first, *others = (arm.name for arm in comparison.arms)
    numbers = of_tables(comparison)
    numbers[f"band {first}"] = comparison.band(first)
    for arm in others:
        for measure in comparison.measures:
            gain, chance = comparison.gain(arm, measure), comparison.chance(arm, measure)
            numbers[f"gain {arm}, {measure.name}"] = [gain.value, gain.low, gain.high, chance]
    return numbers


def of_anything(found: Any) -> list[float]:
    """Every number in a nest of dataclasses, sequences and mappings, in its order."""
    if isinstance(found, str) or found is None or callable(found):
        return []
    if is_dataclass(found):
        return [x for field in fields(found) for x in of_anything(getattr(found, field.name))]
    if isinstance(found, Mapping):
        return [x for value in found.values() for x in of_anything(value)]
    if isinstance(found, tuple | list):
        return [x for value in found for x in of_anything(value)]
    return np.asarray(found, dtype=float).ravel().tolist()


# Experiments


def settings() -> Settings:
    """The smallest sizes that are allowed."""
    return Settings(PATIENTS, DRAWS, PER_DRAW, say=lambda *_: None)


def is_number(cell: Any) -> bool:
    """Whether a cell of a table is a number, perhaps written as text; an empty one is none."""
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def answered(name: str) -> Numbers:
    """The numbers of an experiment's answer, and those in the tables of its pictures."""
    with small(name):
        answer = experiment(name).report(settings(), calibration())
    numbers: dict[str, Any] = {
        key: [getattr(row, key) for row in answer.numbers] for key in ("value", "low", "high", "level")
    }
    numbers["rows"] = "\n".join(f"{row.arm}, {row.measure}, {row.unit}" for row in answer.numbers)
    for picture in answer.pictures:
        cells = [cell for column in picture.table.values() for cell in column]
        numbers[f"picture {picture.name}"] = [float(cell) for cell in cells if is_number(cell)]
    return numbers


def overview() -> Numbers:
    """The fit table of everything, and every default scenario."""
    rows, projections = small_run("overview")(calibration(), SIZES)
    return {**of_fit_rows(rows), **of_projections(projections.values())}


def salvage() -> Numbers:
    """The last line of every third salvage; the catalogue holds every therapy."""
    comparison = experiment("salvage").run(calibration(), SIZES, salvages=dict(list(SALVAGES.items())[::3]))
    return of_lines((comparison,))


def catalogue() -> Numbers:
    """Every result about a therapy."""
    rows = experiment("catalogue").run(calibration(), sizes=Sizes(8, 0, 6, PROJECTION_SEED))
    return of_fit_rows([row.row for row in rows])


def typical_patient() -> Numbers:
    """Courses and dates of both typical patients."""
    numbers: dict[str, Any] = {}
    for course in small_run("typical_patient")(calibration(), draws=DRAWS):
        own = {**of_solution(course.solution), **of_estimates(course.dates), "response": course.response}
        numbers |= {f"{course.product}, {name}": value for name, value in own.items()}
    return numbers


def two_populations() -> Numbers:
    """Headlines and prevalence weights."""
    numbers: dict[str, Any] = {}
    for row in experiment("two_populations").run(calibration(), sizes=replace(SIZES, patients=40), repeats=4):
        numbers |= {f"{row.name}, {name}": value for name, value in of_estimates(row.sampled).items()}
        for way, weighing in row.weighed.items():
            numbers[f"{row.name}, {way}, weights"] = weighing.prevalence.weights
            own = of_estimates(weighing.numbers)
            numbers |= {f"{row.name}, {way}, {name}": value for name, value in own.items()}
    return numbers


BY_THEIR_OWN_DOOR = {f.__name__: f for f in (overview, salvage, catalogue, typical_patient, two_populations)}
"""Experiments without `answer`."""


# Trial arms, comparisons, projections


def treatment() -> Numbers:
    """A plan in words, and a regimen."""
    regimen = infuse("cilta_cel") + give("lenalidomide", start=21.0, months=3.0)
    sizes: dict[str, Any] = {"patients": 16, "seed": SEED, "months": 24.0}
    words = treat(LENALIDOMIDE, "late_line", **sizes)
    doses = treat(regimen, "mixed_line", **sizes)
    numbers = {f"sentence, {name}": value for name, value in of_outcomes(words.outcomes).items()}
    numbers |= {f"regimen, {name}": value for name, value in of_outcomes(doses.outcomes).items()}
    return numbers | {f"regimen, {name}": value for name, value in of_solution(doses.course).items()}


def following() -> Numbers:
    """The first and the last line of a plan."""
    numbers: dict[str, Any] = {}
    for line in (1, 2):
        result = treat(AGAIN, line=line, patients=16, seed=SEED, months=12.0, half_weekly=True)
        own = {**of_outcomes(result.outcomes), "since": result.since, "share": result.share}
        numbers |= {f"line {line}, {name}": value for name, value in own.items()}
    return numbers


def comparison() -> Numbers:
    """Three arms, one of them a thought experiment, with two groups."""
    faster = Arm(
        "fast growth", "ide-cel", change=lambda patients: {"k_growth_tumour": 1.5 * patients["k_growth_tumour"]}
    )
    bridged = Arm("bridged", "proteasome inhibitor for 3 weeks; lymphodepletion days 25-27; ide-cel on day 30")
    groups = {"responders": lambda arm: arm.outcomes.best >= PR, "nobody": lambda arm: np.zeros(arm.outcomes.n)}
    arms = (Arm("alone", "ide-cel"), Arm("maintenance", LENALIDOMIDE), faster, bridged)
    return of_comparison(compare(arms, calibration(), measures=EFFICACY, groups=groups, sizes=SEEDED, months=24.0))


def line_comparison() -> Numbers:
    """Two plans of two lines."""
    half = {"first half": lambda arm: np.arange(arm.outcomes.n) < arm.outcomes.n / 2}
    comparison = compare(
        (Arm("again", AGAIN), Arm("drug", DRUG)), calibration(), measures=(RESPONSE, restricted_mean(12.0)),
        groups=half, line=0, with_first_line=True, sizes=SEEDED, months=12.0,
    )  # fmt: skip
    return of_tables(comparison)


def searching() -> Numbers:
    """A grid of two numbers under a limit, and one that is refined between its points."""
    alone, sizes = Arm("alone", "ide-cel"), {"sizes": SEEDED, "months": 18.0}

    def bent(factor: float) -> Arm:
        """Growth is slowest at a factor of 0.6."""
        rise = 0.5 + abs(factor - 0.6)
        return Arm("", "ide-cel", change=lambda patients: {"k_growth_tumour": rise * patients["k_growth_tumour"]})

    grid = search(
        alone,
        lambda months, day: Arm("", f"ide-cel; lenalidomide 25 mg daily from day {day:g} for {months:g} months"),
        (Axis("months", "", (3.0, 6.0)), Axis("start", "days", (14.0, 60.0))), RESTRICTED_PFS, calibration(),
        limit=Limit(days_of_treatment("lenalidomide"), 150.0), **sizes,
    )  # fmt: skip
    line = search(
        alone, bent, (Axis("factor", "x", (0.0, 0.5, 1.0)),), RESTRICTED_PFS, calibration(), refine=3, **sizes
    )
    where, gain = line.refined or ((), np.nan)
    return {
        "grid": [of_point(point) for point in grid.points], "line": [of_point(point) for point in line.points],
        "refined": [*where, gain], "evaluated": [grid.evaluated, line.evaluated],
    }  # fmt: skip


def of_point(point: Any) -> list[float]:
    """The numbers of a point of a search."""
    gain = point.gain
    return [gain.value, gain.low, gain.high, point.chance, point.chance_best, float(point.allowed)]


def decomposition() -> Numbers:
    """A difference by mechanism."""
    inhibitor = Arm("inhibitor", "ide-cel; crenigacestat thrice a week from day 0 for 3 weeks")
    found = decompose(Arm("ide-cel", "ide-cel"), inhibitor, calibration(), sizes=SEEDED, months=18.0)
    parts = of_estimates({name: found.contribution(name) for name in found.mechanisms})
    return {"worth": list(found.worth.values()), "few": found.numbers.few, "drawn": found.numbers.draws, **parts}


def causes() -> Numbers:
    """Cause of failure times therapy."""
    plans = {name: read_plan(SALVAGES[name]) for name in ("ide-cel again", "teclistamab (BCMA)")}
    found = cause_table(
        plans, "ide-cel again", calibration(), sizes=Sizes(40, DRAWS, 30, SEED), most=6, most_per_draw=4,
    )  # fmt: skip
    shown = found.posterior
    return {"best": of_anything(shown.value), "few": of_anything(shown.few), "drawn": of_anything(shown.draws)}


def of_projections(comparisons: Iterable[Comparison]) -> dict[str, Any]:
    """Numbers, bands and causes of arms, each against the first of its comparison."""
    numbers: dict[str, Any] = {}
    named = {
        "overall response, %": RESPONSE, "complete response, %": COMPLETE, "median PFS, months": MEDIAN_PFS,
        "PFS at 24 months, %": PFS_24, "restricted mean PFS, months": RESTRICTED_PFS,
    }  # fmt: skip
    for comparison in comparisons:
        for arm in comparison.arms:
            own = of_estimates({name: comparison.estimate(arm.name, measure) for name, measure in named.items()})
            own |= of_estimates({"gain in restricted mean PFS, months": comparison.gain(arm.name, RESTRICTED_PFS)})
            own |= {"band": comparison.band(arm.name)}
            own |= {"causes": comparison.result(arm.name).outcomes.cause_share()}
            name = f"{arm.plan.products[0]}, {arm.population}, {arm.name}"
            numbers |= {f"{name}, {key}": value for key, value in own.items()}
    return numbers


def projections() -> Numbers:
    """The default arms of both products."""
    return of_projections(compare(arms, calibration(), sizes=SEEDED, months=36.0) for arms in default_arms().values())


def of_lines(comparisons: Sequence[Comparison], *, gains: bool = True) -> dict[str, Any]:
    """Numbers and bands of a line of plans, each against the first of its comparison."""
    numbers: dict[str, Any] = {}
    named = {
        "come to this line, %": COMING, "overall response, %": RESPONSE, "complete response, %": COMPLETE,
        "median PFS, months": MEDIAN_PFS, "restricted mean PFS, months": RESTRICTED_YEAR,
    }  # fmt: skip
    for comparison in comparisons:
        for arm, provenance in zip(comparison.arms, comparison.provenance, strict=True):
            own = of_estimates({name: comparison.estimate(arm.name, measure) for name, measure in named.items()})
            if gains:
                own |= of_estimates({"gain in restricted mean PFS, months": comparison.gain(arm.name, RESTRICTED_YEAR)})
            own |= {"band": comparison.band(arm.name), "footing": provenance.flag}
            numbers |= {f"{arm.name}, {key}": value for key, value in own.items()}
    return numbers


def line_projections() -> Numbers:
    """The last line of two plans, and every line of one."""
    plans = {"again": read_plan(AGAIN), "drug": read_plan(DRUG)}

    def followed(chosen: Mapping[str, Plan], line: int = 0) -> Comparison:
        return compare_plans(chosen, "late_line", calibration(), line=line, months=12.0, sizes=SEEDED)

    every = [followed({f"line {line}": plans["drug"]}, line) for line in (1, 2)]
    return {**of_lines((followed(plans),)), **of_lines(every, gains=False)}


# Virtual trials


def trials() -> Numbers:
    """A pool of a randomised design, trials from it, their analysis and their power."""
    arms = tuple(
        Arm(name, words, "late_line")
        for name, words in (("none", "ide-cel"), ("lenalidomide", LENALIDOMIDE.replace("day 30", "day 90")))
    )
    design = Design(
        "Small", arms, "randomisation", 60, 6.0, 12.0, "pfs", randomised_on_day=90.0, dropout_per_year=0.2,
        eligible=(Criterion("response", at_least="PR"),), strata=(Factor("response", "CR"),),
    )  # fmt: skip
    pool = make_pool(design, calibration().parameters(), patients=24, seed=SEED)
    found = conduct(design, pool, trials=6, patients=60, seed=SEED)
    curve = power_curve(design, pool, sizes=(40, 80), trials=10, seed=SEED)
    truth = true_effect(design, pool, seed=SEED)
    pooled = ("weight", "eradicated", "stratum", "infused", "wait")
    numbers: dict[str, Any] = {f"pool, {name}": getattr(pool, name) for name in pooled}
    numbers |= {f"pool, {name}": getattr(pool.course, name) for name in ("progression", "death", "next_therapy")}
    numbers |= {f"trials, {name}": getattr(found, name) for name in ("arm", "row", "entry", "followed", "lost")}
    numbers |= {f"time, {name}": time for name, time in found.time.items()}
    numbers |= {f"event, {name}": event for name, event in found.event.items()}
    numbers |= {"z and p": np.array(z_and_p(design, found)), "power": curve.power, "events": curve.events}
    effects = analyse(design, found).effects
    numbers |= {f"effect, {one.name}": [one.value, one.low, one.high, one.p] for one in effects}
    numbers |= {f"truth, {one.name}": [one.value, one.low, one.high] for one in truth.effects}
    return {**numbers, "sample size": of_anything(sample_size(design, curve, truth))}


# Fits


def evidence() -> Numbers:
    """Fit table, predictions and likelihood of four studies, therapies of one, and evidence of a user."""
    own = studies("crb_401")[0]
    item = own.items[0].model_copy(update={"id": "own", "role": "context"})
    mine = own.model_copy(update={"name": "own", "study": "Own trial", "items": (item,), "curves": ()})
    table = fit_table(calibration(), studies=studies(*STUDIES), sizes=replace(SIZES, seed=FIT_SEED))
    of_therapies = studies("monumental_1", "salvage_after_bcma_car_t")
    therapies = therapy_table(calibration(), studies=of_therapies, sizes=replace(SIZES, seed=THERAPY_SEED))
    user = validate_user_evidence([mine], calibration(), sizes=replace(SIZES, draws=3, seed=USER_SEED))
    numbers = {f"fit, {name}": value for name, value in of_fit_rows(table).items()}
    numbers |= {f"therapies, {name}": value for name, value in of_fit_rows([row.row for row in therapies]).items()}
    numbers["user"] = [x for row in user.rows for x in (*of_fit_row(row.fit), *of_anything(row.prediction))]
    return numbers


def of_fit_row(row: FitRow) -> list[float]:
    """The numbers of one row."""
    return [row.model, row.low, row.high, row.misfit]


def predictions() -> Numbers:
    """What the model says of every result of four arms, and how likely that is."""
    parameters = calibration().parameters()
    numbers: dict[str, Any] = {}
    for study in studies(*STUDIES[:3]):
        arm = arms_of([study], ("fit", "check"))[study.name]
        outcomes = run_arm(parameters, arm, n=PATIENTS, seed=SEED, solver=Solver(rtol=1e-4, workers=1))
        for item in study.items:
            if not item.scenario and item.role in ("fit", "check") and can_predict(item):
                model = predict(item, outcomes, parameters, arm)
                found = match(item, model)
                numbers[item.id] = [model, found.log_likelihood, found.misfit]
    return numbers


def joint_fit() -> Numbers:
    """An emulator of two numbers, learnt from few points, what it says of others, and a short search on it."""
    space = SearchSpace(("k_growth_tumour", "ide_cel.half_density_kill"), calibration().parameters())
    problem = Problem(space, studies("crb_401", "karmma"), LikelihoodSizes(20, 20, 20))
    design = evaluate(problem, prior_points(16, space.size, SEED), first_seed=SEED, later=np.zeros(16, dtype=bool))
    emulator = train_emulator(problem, design, centre=np.zeros(space.size))
    some = 0.5 * prior_points(5, space.size, SEED + 1)
    found = search_from(
        list(some[:2]), emulator.log_posterior, emulator.with_gradient, emulator.precision, by_cma=1, evaluations=60
    )
    return {
        "simulated": design.models, "models": emulator.models(some), "log likelihoods": emulator.log_likelihoods(some),
        "log posterior": emulator.log_posterior(some), "gradient": emulator.with_gradient(some[0])[1],
        "search": [x for one in found.searches for x in (*one.point, one.log_posterior)],
        "prior": joint_space(calibration().parameters()).mix, "shipped draws": read_points().draws[:20],
    }  # fmt: skip


def outcome_fits() -> Numbers:
    """Likelihoods of death after progression and of toxicity, and what the model says, at the estimate."""
    parameters = calibration().parameters()
    deaths = gather(parameters, studies(), n=PATIENTS, seed=SEED)
    values = {name: parameters[name].value for name in FREE}
    numbers: dict[str, Any] = {"deaths": list(deaths.models(values).values())}
    numbers["deaths, log likelihood"] = deaths.log_likelihood(values)
    for name, reports in toxicity_evidence(parameters, studies(), n=PATIENTS, seed=SEED).items():
        hierarchy = ToxicityHierarchy(reports, ToxicityPrior())
        some = 0.3 * np.random.default_rng(SEED).standard_normal((4, hierarchy.size))
        numbers[f"{name}, log likelihood"] = hierarchy.log_likelihood(some)
    return numbers


def reconstruction() -> Numbers:
    """Patients from a digitised curve."""
    months = np.array([0.0, 1, 2, 3, 4, 6, 9, 12, 18, 24])
    percent = np.array([100.0, 97.5, 95, 90, 85, 75, 60, 50, 35, 30])
    found = reconstruct_km(months, percent / 100.0, [0.0, 3, 6, 9, 12, 18, 24], [40, 36, 30, 24, 19, 13, 8])
    return {"curve": of_anything(found)}


def own_patients() -> Numbers:
    """One individual fit with its forecast, and a few iterations of a population fit."""
    model, data = mechanistic_model("ide_cel", "late_line"), read_measurements(DATA)
    fit = individual_fit(model, data.subject("SIM05"), starts=2, rounds=12)
    ahead = predict_progression(model, data.subject("SIM05"), draws=24, rounds=2, months=36.0)
    kinetics, times = tisagenlecleucel(), np.array([1.0, 4, 7, 11, 14, 21, 28, 60, 180])
    rng = np.random.default_rng(SEED)
    individual = kinetics.values(rng.multivariate_normal(np.zeros(len(kinetics.typical)), kinetics.omega, size=6))
    empty = [Subject(str(k), times, np.full(9, "transgene"), np.ones(9), np.zeros(9, dtype=bool)) for k in range(6)]
    curves = np.array(kinetics.structure.predict(individual, empty))
    subjects = [
        replace(one, value=value)
        for one, value in zip(empty, kinetics.residual["transgene"].simulate(curves, rng), strict=True)
    ]
    population = fit_population(kinetics, subjects, explore=6, smooth=4, sweeps=20, draws=40, seed=SEED)
    numbers = {name: getattr(fit, name) for name in ("eta", "covariance", "ofv", "log_likelihood", "prediction")}
    numbers |= {f"forecast, {name}": getattr(ahead, name) for name in ("days", "weight", "immune", "effective")}
    return numbers | {
        "population, trace": population.estimate.trace, "population, eta": population.eta_mean,
        "population, covariance": population.covariance, "population, log likelihood": population.log_likelihood,
    }  # fmt: skip


# The engine


@cache
def people(n: int = PATIENTS) -> SimpleNamespace:
    """Virtual patients of the shipped catalogue, and their randomness."""
    parameters = calibration().parameters()
    draws = draw(parameters, n, SEED)
    patients = make_patients(parameters, draws, product="ide_cel", population="late_line")
    return SimpleNamespace(draws=draws, patients=patients)


TREATED = infuse("ide_cel") + give("lenalidomide", start=14.0, months=3.0, cycle=28, days_on=21)
DAYS = np.arange(0.0, 366.0, 7.0)


def virtual_patients() -> Numbers:
    """Parameters of every virtual patient, and their assay and death."""
    return {**people().patients, "assay": people().draws.assay, "uniform of death": people().draws.death}


def simulation(method: Any, engine: Any, n: int, days: float) -> Numbers:
    """Time courses by one method and one engine."""
    patients = {name: values[:n] for name, values in people().patients.items()}
    solver = Solver(method=method, engine=engine, workers=1)
    return of_solution(simulate(patients, TREATED, times=DAYS[days >= DAYS], solver=solver))


def adaptive() -> Numbers:
    """Treatment by rules: maintenance until remission, and another drug at progression."""
    maintenance = give("lenalidomide", start=14.0, months=18.0)
    rules = [
        Rule("enough", when=remission("CR"), then=stop("lenalidomide"), visits=every(28)),
        Rule("salvage", when=progression(), then=start(give("nivolumab", start=0.0, months=6.0)), visits=every(28)),
        Rule("second", when=progression(), visits=every(28), after="salvage"),
    ]
    grid = np.arange(0.0, 28.0 * 20 + 1.0, 28.0)
    return of_solution(simulate(people().patients, infuse("ide_cel") + maintenance, times=grid, rules=rules))


def event_tables() -> Numbers:
    """Doses before and after a table of events."""
    regimen = TREATED + Regimen((Infusion("crenigacestat", 12.0, 2.0, 60.0),))
    doses = {"before": regimen.doses, "after": read_events(write_events(regimen)).doses}
    numbers: dict[str, Any] = {name: of_anything(value) for name, value in doses.items()}
    return numbers | {"therapies": "\n".join(dose.therapy for dose in doses["after"])}


def sensitivity() -> Numbers:
    """Derivatives of one patient's courses."""
    patients = {name: values[:1] for name, values in people().patients.items()}
    names = ("k_growth_tumour", "tumour_baseline")
    found = sensitivities(patients, infuse("ide_cel"), times=DAYS[:26], parameters=names)
    return {**{name: found.elasticity[name] for name in MARKERS}, "eradication": found.eradication}


def cohort() -> Numbers:
    """A cohort, reduced part by part."""
    months = tuple(30.4375 * month for month in range(6))
    keep = {
        "endpoints": Endpoints(Visits(months=12.0)), "means": Moments(("car_t",), months),
        "tumour": Quantiles("tumour", months, 1.0, 1e13), "courses": Courses(("soluble_bcma",), months),
    }  # fmt: skip
    members = Cohort(calibration().parameters(), 40, SEED, "cilta_cel", "late_line")
    found = simulate_cohort(members, {"alone": infuse("cilta_cel")}, reduce=keep)["alone"]
    outcomes = found["endpoints"]
    return {
        "progression": outcomes.progression(), "best": outcomes.best, "c_max": outcomes.c_max,
        "mean": found["means"].mean["car_t"], "variance": found["means"].variance["car_t"],
        "counts": found["tumour"].counts, "soluble_bcma": found["courses"]["soluble_bcma"],
    }  # fmt: skip


GROUPS: dict[str, Callable[[], Numbers]] = {
    "virtual patients": virtual_patients,
    "simulation, explicit": partial(simulation, "explicit", "compiled", PATIENTS, 365.0),
    "simulation, stiff": partial(simulation, "stiff", "compiled", PATIENTS, 365.0),
    "simulation, plain Python": partial(simulation, "explicit", "scipy", 1, 28.0),
    "rules": adaptive,
    "event table": event_tables,
    "sensitivities": sensitivity,
    "cohort": cohort,
    "treat": treatment,
    "follow": following,
    "compare": comparison,
    "compare lines": line_comparison,
    "search": searching,
    "decompose": decomposition,
    "cause table": causes,
    "project": projections,
    "project lines": line_projections,
    "trials": trials,
    "evidence": evidence,
    "predictions": predictions,
    "joint fit": joint_fit,
    "death and toxicity": outcome_fits,
    "reconstruction": reconstruction,
    "own patients": own_patients,
} | {
    f"experiment {entry.name}": BY_THEIR_OWN_DOOR.get(entry.name, partial(answered, entry.name))
    for entry in all_experiments()
}
"""Every group of the digest, by name."""
