"""What trials report of cytokine release and neurotoxicity, with the peaks of CAR-T cells that the model gives them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...model.endpoints import Outcomes, Visits
from ...model.simulate import Solver
from ...parameters.errors import EvidenceError
from ...parameters.files import complain, read_toml
from ...parameters.parameter_set import ParameterSet
from ..arms import arms_of, run_arm
from ..items import Item, Study
from ..likelihood import UNKNOWN_N
from ..reported import items
from ..scenario import Scenario
from ..sequences import follow

TOXICITIES = ("crs", "icans")
QUANTILES = 32
"""The peaks of a study are held as so many equally likely values."""
MONTHS = 4.0
"""Follow-up of a simulation of which only the peak is wanted: it comes within weeks."""

_ENDPOINTS = {f"{kind}{toxicity}_rate": (toxicity, bool(kind)) for toxicity in TOXICITIES for kind in ("", "severe_")}
_FILE = Path(__file__).parent / "peaks_by_toxicity.toml"


@dataclass(frozen=True, eq=False)
class Report:
    """One toxicity in one study: `events` of `n` patients, `severe` of them of grade 3 or more (None: not reported).

    `log_peaks` are ln(peak / reference) of its virtual patients: `QUANTILES` equally likely values, rising.
    """

    study: str
    toxicity: str
    n: float
    events: float
    severe: float | None
    log_peaks: np.ndarray


@dataclass(frozen=True, eq=False)
class Contrast:
    """Median peaks of one study in patients with and without a toxicity: ln of their ratio, its SE, and the peaks.

    The SE is the one that makes a Wald test of the ratio as significant as the reported test: assumed, since neither
    quartiles nor group sizes were seen.
    """

    study: str
    toxicity: str
    log_ratio: float
    error: float
    log_peaks: np.ndarray


@dataclass(frozen=True, eq=False)
class ToxicityEvidence:
    """All reports and contrasts of one toxicity."""

    toxicity: str
    reports: tuple[Report, ...]
    contrasts: tuple[Contrast, ...] = ()


class Peaks(BaseModel):
    """An entry of `peaks_by_toxicity.toml`: median peaks of the patients with a toxicity and of those without."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    study: str
    toxicity: Literal["crs", "icans"]
    plan: str
    population: str
    with_toxicity: Annotated[float, Field(gt=0, alias="with")]
    without: Annotated[float, Field(gt=0)]
    unit: Literal["cell/uL"]
    p: Annotated[float, Field(gt=0, lt=1)]
    n: Annotated[int, Field(ge=2)]
    citation: Annotated[str, Field(min_length=1)]
    origin: Annotated[str, Field(min_length=1)]
    quote: Annotated[str, Field(min_length=1)]
    note: str = ""

    @property
    def log_ratio(self) -> float:
        """Logarithm of the ratio of the medians."""
        return math.log(self.with_toxicity / self.without)

    @property
    def error(self) -> float:
        """SE of the log ratio whose Wald test has the reported two-sided P value."""
        return abs(self.log_ratio) / NormalDist().inv_cdf(1.0 - self.p / 2.0)


def read_peaks(path: Path = _FILE) -> tuple[Peaks, ...]:
    """Read median peaks by toxicity; FileError with the entry and what is wrong with it."""
    found = []
    for name, entry in read_toml(path).items():
        try:
            found.append(Peaks.model_validate(entry))
        except ValidationError as error:
            raise complain(error, f"{path.name}, [{name}]", Peaks.model_fields) from None
    return tuple(found)


def toxicity_evidence(
    parameters: ParameterSet,
    studies: Iterable[Study],
    *,
    n: int,
    seed: int,
    solver: Solver | None = None,
    peaks: Iterable[Peaks] | None = None,
) -> dict[str, ToxicityEvidence]:
    """Reports with role 'outcome' of both toxicities, and contrasts, with `n` virtual patients for each study.

    Raises
    ------
    EvidenceError
        If a study has no product and no scenario of a first line, or reports severe toxicity and not that of any grade.
    """
    source = _PeakSource(parameters, n, seed, solver)
    grouped: dict[tuple[str, str, str], dict[bool, Item]] = {}
    known = {study.name: study for study in studies}
    for study, item in items(known.values(), "outcome"):
        if item.endpoint in _ENDPOINTS:
            toxicity, severe = _ENDPOINTS[item.endpoint]
            grouped.setdefault((study.name, item.scenario, toxicity), {})[severe] = item
    reports = [
        _report(known[name], scenario, toxicity, found, source) for (name, scenario, toxicity), found in grouped.items()
    ]
    contrasts = [
        Contrast(one.study, one.toxicity, one.log_ratio, one.error, source.of_plan(one.plan, one.population))
        for one in (read_peaks() if peaks is None else peaks)
    ]
    return {
        name: ToxicityEvidence(
            name,
            tuple(report for report in reports if report.toxicity == name),
            tuple(contrast for contrast in contrasts if contrast.toxicity == name),
        )
        for name in TOXICITIES
    }


def _report(study: Study, scenario: str, toxicity: str, found: Mapping[bool, Item], source: "_PeakSource") -> Report:
    if False not in found:
        raise EvidenceError(f"{study.name}.toml: reports severe {toxicity} and not that of any grade; both are needed.")
    title = scenario or study.study
    n, events = counted(found[False], study)
    severe = min(counted(found[True], study)[1], events) if True in found else None
    return Report(title, toxicity, n, events, severe, source.of_study(study, scenario))


def counted(item: Item, study: Study) -> tuple[float, float]:
    """Patients and events of a percentage; without a number of its own, with that of the response rate of its study.

    Where none is known it counts as of `UNKNOWN_N` patients, which need not be a whole number of events then.
    """
    beside = next((other.n for other in study.items if other.endpoint == "orr" and other.n and not other.group), None)
    n = item.n or beside or study.n
    if item.events is not None and item.n is not None:
        return float(item.n), float(item.events)
    share = (item.value or 0.0) / 100.0
    return (float(n), float(round(share * n))) if n else (float(UNKNOWN_N), share * UNKNOWN_N)


class _PeakSource:
    """Simulated peaks, each regimen and population once."""

    def __init__(self, parameters: ParameterSet, n: int, seed: int, solver: Solver | None) -> None:
        self.parameters, self.n, self.seed = parameters, n, seed
        self.solver = solver or Solver(rtol=1e-5, workers=1)
        self.reference = parameters["car_t_peak_reference"].value
        self._done: dict[object, np.ndarray] = {}

    def of_study(self, study: Study, scenario: str) -> np.ndarray:
        if study.product and not scenario:
            arm = arms_of([study], ("outcome",))[study.name]
            arm = replace(arm, visits=Visits(arm.visits.every, MONTHS))
            if arm not in self._done:
                outcome = run_arm(self.parameters, arm, n=self.n, seed=self.seed, solver=self.solver)
                self._done[arm] = self._quantiles(outcome)
            return self._done[arm]
        first = [one for one in study.scenarios if one.line == 1 and scenario in ("", one.name)]
        if not first:
            raise EvidenceError(f"{study.name}.toml: no product and no scenario of a first line; name what was given.")
        return self.of_scenario(first[0])

    def of_plan(self, plan: str, population: str) -> np.ndarray:
        return self.of_scenario(Scenario(name="peaks", plan=plan, population=population))

    def of_scenario(self, scenario: Scenario) -> np.ndarray:
        key = (scenario.plan, scenario.population, *sorted(scenario.traits.items()))
        if key not in self._done:
            short = scenario.model_copy(update={"months": MONTHS})
            found = follow(short, self.parameters, n=self.n, seed=self.seed, solver=self.solver)
            self._done[key] = self._quantiles(found.line.outcomes)
        return self._done[key]

    def _quantiles(self, outcome: Outcomes) -> np.ndarray:
        peak = outcome.c_max[(outcome.usable > 0) & (outcome.c_max > 0)]
        return np.quantile(np.log(peak / self.reference), (np.arange(QUANTILES) + 0.5) / QUANTILES)
