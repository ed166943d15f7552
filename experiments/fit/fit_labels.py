"""Names that a reader can take in at a glance, for free numbers and for reported results, in a report on a fit."""

import dataclasses
from collections.abc import Mapping
from typing import TypeVar

from perdure.fitting.fit_table import FitRow
from perdure.fitting.items import Item, Study
from perdure.fitting.joint.problem import Problem
from perdure.fitting.joint.search_space import SearchSpace
from perdure.model.therapy import read_therapies, read_therapy

_WORDS = {
    "k_growth_tumour": "tumour growth rate", "exponent_growth": "slowing of growth",
    "k_kill_max": "maximal killing rate", "half_kill": "CAR-T cells at half killing", "density_bcma": "BCMA density",
    "sd_density": "spread of antigen density", "k_relaxation_density": "return of antigen density",
    "hill_density": "steepness in antigen", "k_expansion": "expansion rate", "car_t_capacity": "CAR-T capacity",
    "fraction_fitness_lost": "fitness lost per division", "suppression_baseline": "suppression",
    "k_exhaustion": "exhaustion rate", "hill_competition_host": "steepness of host competition",
    "fraction_engrafted": "share engrafted", "half_density_kill": "antigen at half effect",
    "half_density": "antigen at half effect", "k_death_memory": "memory loss rate",
    "k_memory_formation": "memory formation rate", "k_clearance_sbcma": "clearance of sBCMA",
    "fraction_sbcma_other_cells": "sBCMA from other cells", "fraction_null_bcma": "BCMA-null share",
    "fraction_carriers_bcma_loss": "carriers of BCMA loss", "k_exhaustion_host": "host T-cell exhaustion",
    "k_recovery_host_exhausted": "host T-cell recovery", "effect_host_exhaustion_product": "host exhaustion on product",
    "fraction_resistant": "resistant share", "fraction_sensitive": "sensitive patients",
    "k_rejection_host": "rejection by host", "effect": "effect",
}  # fmt: skip
_ENDPOINTS = {
    "scr": "sCR", "t max": "time of peak",
    "sbcma relative at": "sBCMA relative at",
    "density before": "BCMA density before", "density at progression": "BCMA density at progression",
    "function threshold": "BCMA threshold of function",
}  # fmt: skip

Value = TypeVar("Value")


def number_label(name: str) -> str:
    """A free number in words: 'ide-cel: share engrafted', 'late to mixed lines: suppression, relative'."""
    owner, base = "", name
    for therapy in read_therapies():
        if base.startswith(f"{therapy.key}."):
            owner, base = therapy.short, base.removeprefix(f"{therapy.key}.")
        elif base.endswith(f"_{therapy.key}"):
            owner, base = therapy.short, base.removesuffix(f"_{therapy.key}")
    kind = ""
    for suffix, words in ((".spread", ", spread"), (".factor", ", relative")):
        if base.endswith(suffix):
            base, kind = base.removesuffix(suffix), words
    population, _, rest = base.rpartition(".")
    words = _WORDS.get(rest, rest.replace("_", " ")) + kind
    owner = _tidy(owner or population)
    return f"{owner}: {words}" if owner else words


def _tidy(key: str) -> str:
    """A key as the field writes it: 'after ide-cel', 'BCMA-CD19 CAR-T', 'GC012F'."""
    words = key.replace("-", " ").replace("_", " ").split()
    text = " ".join(w.upper() if w == "bcma" or (any(c.isdigit() for c in w) and w[0].isalpha()) else w for w in words)
    return text.replace(" cel", "-cel").replace("car t", "CAR-T")


def number_labels(space: SearchSpace) -> dict[str, str]:
    """Label of every coordinate: those of numbers that share a family's mean say so."""
    shared = {name for family in space.families for name in family.members}
    own = {name: number_label(name) + (", own part" if name in shared else "") for name in space.ids}
    return own | {family.name: f"class: {family.name}" for family in space.families}


def result_label(study: Study, item: Item) -> str:
    """A reported result in words: 'CRB-401 (ide-cel): ORR'."""
    nothing = float("nan")
    words = FitRow(study.study, item, nothing, nothing, nothing, nothing).label
    for short, long in _ENDPOINTS.items():
        if words == short or words.startswith((f"{short},", f"{short} ")):
            words = long + words.removeprefix(short)
    words = words.replace(" at 1 months", " at 1 month")
    given = _tidy(item.scenario if item.scenario else read_therapy(study.product).short)
    known = bool(item.scenario and item.group) or given.casefold() in f"{study.study} {words}".casefold()
    return f"{study.study}: {words}" if known else f"{study.study} ({given}): {words}"


def result_labels(problem: Problem) -> dict[str, str]:
    """Label of every fitted result by id; results with the same words are told apart by what was reported."""
    plain = [result_label(study, item) for study, item in problem.fitted]
    found: dict[str, str] = {}
    for label, (_, item) in zip(plain, problem.fitted, strict=True):
        own = f"{label} [{item.text}]" if plain.count(label) > 1 else label
        found[item.id] = f"{own} [{item.id}]" if own in found.values() else own
    return found


def renamed(value: Value, words: Mapping[str, str]) -> Value:
    """The same dataclass, tuple or dictionary with every text that is a key of `words` replaced."""
    return _renamed(value, words)  # pyright: ignore[reportReturnType]


def _renamed(value: object, words: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return words.get(value, value)
    if isinstance(value, tuple | list):
        return type(value)(_renamed(entry, words) for entry in value)
    if isinstance(value, dict):
        return {_renamed(key, words): _renamed(entry, words) for key, entry in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _renamed(getattr(value, field.name), words) for field in dataclasses.fields(value)}
        return type(value)(**fields)
    return value
