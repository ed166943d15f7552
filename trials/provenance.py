"""What a projection rests on: whether its therapies were fitted where they are given, or are extrapolated."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ..fitting.calibration.predictions import plan_of
from ..fitting.studies import Study
from ..model.regimens.plan import Line, Plan
from ..model.regimens.regimen import Regimen, infuse
from ..model.therapy import read_therapy

EFFICACY = ("orr", "cr_rate", "pfs_median", "pfs_rate", "pfs_interval", "dor_median", "dor_interval")


@dataclass(frozen=True)
class Provenance:
    """Whether a scenario is calibrated or extrapolated, and why."""

    calibrated: bool
    reason: str

    @property
    def flag(self) -> str:
        """One word for tables."""
        return "calibrated" if self.calibrated else "extrapolated"


def fitted_regimens(product: str, population: str, studies: Iterable[Study]) -> tuple[Regimen, ...]:
    """How the product alone was given where its efficacy in this population was fitted; its usual dose if nowhere."""
    given = []
    for study in studies:
        fits = any(item.role == "fit" and item.endpoint in EFFICACY for item in study.items)
        if fits and (study.product, study.population) == (product, population):
            alone = [treatment for treatment in study.treatment if not treatment.drug]
            given += [treatment.regimen(product) for treatment in alone] or [infuse(product)]
    return tuple(given) or (infuse(product),)


def _provenance_of_product(product: str, population: str, regimen: Regimen, studies: Iterable[Study]) -> Provenance:
    """Say whether reported efficacy of this product in this population was fitted, and what is borrowed."""
    studies = tuple(studies)
    here, elsewhere = [], []
    for study in studies:
        fitted = study.product == product and any(
            item.role == "fit" and item.endpoint in EFFICACY for item in study.items
        )
        if fitted:
            (here if study.population == population else elsewhere).append(study.study)
    drugs = regimen.drugs
    reasons = []
    cells = tuple(dose for dose in regimen.doses if dose.therapy == product)
    known = [regimen.doses for regimen in fitted_regimens(product, population, studies)]
    if here and cells not in known:
        reasons.append(f"{product}: another dose or schedule than in {', '.join(here)}")
    if not here:
        where = (
            f"its efficacy was fitted elsewhere ({', '.join(elsewhere)})"
            if elsewhere
            else "its efficacy was not fitted"
        )
        reasons.append(f"{product} in {population}: {where}")
    for drug in map(read_therapy, drugs):
        reasons.append(
            f"{drug.short} was never fitted together with this product; alone it is {drug.grade}: {drug.grade_note}"
        )
    if reasons:
        return Provenance(False, "; ".join(reason.removesuffix(".") for reason in reasons))
    return Provenance(True, f"product and population were fitted to {', '.join(here)}")


def provenance_of_plan(
    plan: Plan, population: str, studies: Iterable[Study], missed: Collection[str] = ()
) -> Provenance:  # fmt: skip
    """Say what a plan rests on: its first line, every later therapy, and putting them one after the other.

    `missed` are the ids of results that the calibration does not meet.
    """
    studies = tuple(studies)
    first = plan.lines[0].regimen
    reasons: list[str] = []
    own = Provenance(True, "")
    if first.products:
        own = _provenance_of_product(first.products[0], population, first, studies)
        reasons += [] if own.calibrated else [own.reason]
    later = [line.regimen for line in plan.lines[1:]] if first.products else [line.regimen for line in plan.lines]
    named = dict.fromkeys(dose.therapy for regimen in later for dose in regimen.doses)
    for therapy in map(read_therapy, named):
        if therapy.grade != "calibrated":
            reasons.append(f"{therapy.short} is {therapy.grade}: {therapy.grade_note.removesuffix('.')}")
    if len(plan.lines) == 1 and first.products and not reasons:
        return own
    if len(plan.lines) == 1:
        return Provenance(not reasons, "; ".join(reasons) or "every therapy was fitted to its own results")
    reported = fitted_sequences(studies).get((population, given(plan.lines)), {})
    if not reported:
        reasons.append("this sequence was not fitted: what a line leaves to the next follows from the mechanisms")
    elif misses := [study for item, study in reported.items() if item in missed]:
        reasons.append(f"the fit misses what was reported of this sequence ({', '.join(dict.fromkeys(misses))})")
    where = ", ".join(dict.fromkeys(reported.values()))
    return Provenance(not reasons, "; ".join(reasons) or f"this sequence was fitted to {where}")


Given = tuple[frozenset[str], ...]


def given(lines: Iterable[Line]) -> Given:
    """Therapies of every line, without the conditioning before cells."""
    return tuple(frozenset(dose.therapy for dose in line.regimen.doses) - {"lymphodepletion"} for line in lines)


def fitted_sequences(studies: Iterable[Study]) -> dict[tuple[str, Given], dict[str, str]]:
    """By population and sequence of therapies: fitted results of its last line, by id, each with its study."""
    sequences: dict[tuple[str, Given], dict[str, str]] = {}
    for study in studies:
        for item in study.items:
            scenario = study.scenario(item.scenario) if item.role == "fit" and item.scenario else None
            if scenario is not None and scenario.line > 1:
                key = scenario.population, given(plan_of(scenario).lines[: scenario.line])
                sequences.setdefault(key, {})[item.id] = study.study
    return sequences
