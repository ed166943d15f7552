"""Risk of cytokine release syndrome and neurotoxicity as a function of peak CAR-T expansion: fit, table and values.

After the joint fit, at the peaks that its estimate gives every study. `python -m
perdure.fitting.calibration.toxicity_fit` prints what is reported beside the model, and the values that stand in
`parameters/sets/toxicity.toml`. What the table decides is the level of each risk, and how far studies differ; the slope
it hardly decides: see the shrinkage.
"""

import argparse
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy.special import expit, logit

from ...model.catalogue import read_catalogue
from ...model.endpoints import Outcomes, Visits
from ...model.simulate import Solver
from ...parameters.errors import EvidenceError, FitError
from ...parameters.files import complain, read_toml
from ...parameters.parameter_set import ParameterSet
from ..observations import Observation, Scenario, Study
from ..studies import items, read_studies
from .calibration import read_calibration
from .likelihood import UNKNOWN_N
from .predictions import arms_of, follow, run_arm
from .smc import SmcSettings, sample_smc

# Evidence: reported cytokine release and neurotoxicity, with the CAR-T peaks of the model.


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
    peaks = []
    for name, entry in read_toml(path).items():
        try:
            peaks.append(Peaks.model_validate(entry))
        except ValidationError as error:
            raise complain(error, f"{path.name}, [{name}]", Peaks.model_fields) from None
    return tuple(peaks)


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
    grouped: dict[tuple[str, str, str], dict[bool, Observation]] = {}
    known = {study.name: study for study in studies}
    for study, item in items(known.values(), "outcome"):
        if item.endpoint in _ENDPOINTS:
            toxicity, severe = _ENDPOINTS[item.endpoint]
            grouped.setdefault((study.name, item.scenario, toxicity), {})[severe] = item
    reports = [
        _report(known[name], scenario, toxicity, by_grade, source)
        for (name, scenario, toxicity), by_grade in grouped.items()
    ]
    contrasts = [
        Contrast(pair.study, pair.toxicity, pair.log_ratio, pair.error, source.of_plan(pair.plan, pair.population))
        for pair in (read_peaks() if peaks is None else peaks)
    ]
    return {
        name: ToxicityEvidence(
            name,
            tuple(report for report in reports if report.toxicity == name),
            tuple(contrast for contrast in contrasts if contrast.toxicity == name),
        )
        for name in TOXICITIES
    }


def _report(
    study: Study, scenario: str, toxicity: str, by_grade: Mapping[bool, Observation], source: "_PeakSource"
) -> Report:
    if False not in by_grade:
        raise EvidenceError(f"{study.name}.toml: reports severe {toxicity} and not that of any grade; both are needed.")
    title = scenario or study.study
    n, events = counted(by_grade[False], study)
    severe = min(counted(by_grade[True], study)[1], events) if True in by_grade else None
    return Report(title, toxicity, n, events, severe, source.of_study(study, scenario))


def counted(item: Observation, study: Study) -> tuple[float, float]:
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
        first = [candidate for candidate in study.scenarios if candidate.line == 1 and scenario in ("", candidate.name)]
        if not first:
            raise EvidenceError(f"{study.name}.toml: no product and no scenario of a first line; name what was given.")
        return self.of_scenario(first[0])

    def of_plan(self, plan: str, population: str) -> np.ndarray:
        return self.of_scenario(Scenario(name="peaks", plan=plan, population=population))

    def of_scenario(self, scenario: Scenario) -> np.ndarray:
        key = (scenario.plan, scenario.population, *sorted(scenario.traits.items()))
        if key not in self._done:
            short = scenario.model_copy(update={"months": MONTHS})
            followed = follow(short, self.parameters, n=self.n, seed=self.seed, solver=self.solver)
            self._done[key] = self._quantiles(followed.line.outcomes)
        return self._done[key]

    def _quantiles(self, outcome: Outcomes) -> np.ndarray:
        peak = outcome.c_max[(outcome.usable > 0) & (outcome.c_max > 0)]
        return np.quantile(np.log(peak / self.reference), (np.arange(QUANTILES) + 0.5) / QUANTILES)


# Hierarchical model of the studies: binomial events, a common slope, random study effects on the logit.


SHARED = ("logit_any", "logit_share", "log_slope", "log_spread")


@dataclass(frozen=True)
class ToxicityPrior:
    """Weakly informative priors, all assumed.

    Attributes
    ----------
    logit_sd
        Of the logit of the probability at the reference peak, and of the share of severe cases: nearly flat in both.
    slope
        Median of the slope, by which the log odds rise when the log peak rises by one: a doubled peak is 1.4-fold odds.
        It is positive, so no fit can find a falling risk: higher lymphocyte peaks, a surrogate, went with CRS after
        ide-cel and cilta-cel (Blood Advances 2024, 8:3859, n = 156), higher CAR-T peaks with ICANS after cilta-cel
        (`peaks_by_toxicity.toml`), though there not with CRS (P = 0.13).
    slope_sd
        Of the log of the slope: 95 % between 0.1 and 2.4.
    spread, spread_sd
        Median of the SD between studies on the logit scale, and the SD of its log: 95 % between 0.25 and 2.6.
    """

    logit_sd: float = 1.5
    slope: float = 0.5
    slope_sd: float = 0.8
    spread: float = 0.8
    spread_sd: float = 0.6


@dataclass(frozen=True, eq=False)
class Values:
    """Points of the hierarchy on their natural scales; arrays (m,) and, for what studies differ by, (m, reports)."""

    logit_any: np.ndarray
    logit_share: np.ndarray
    slope: np.ndarray
    spread: np.ndarray
    any_effect: np.ndarray
    share_effect: np.ndarray


@dataclass(frozen=True, eq=False)
class ToxicityHierarchy:
    """Evidence and priors as a likelihood of points in prior SDs: `SHARED`, then one number for each study effect.

    logit P(any) = logit_any + u + slope x with x = ln(peak / reference), averaged over the virtual patients of the
    study; P(severe) the same with P(any) at the reference multiplied by expit(logit_share + v). u and v are normal with
    the same SD; v only where severe cases were reported. Contrasts are taken as of the average study.
    """

    evidence: ToxicityEvidence
    prior: ToxicityPrior = ToxicityPrior()

    def __post_init__(self) -> None:
        """There must be something to fit."""
        if not self.evidence.reports:
            raise FitError(f"no report of {self.evidence.toxicity} has the role 'outcome'; there is nothing to fit.")

    @cached_property
    def with_severe(self) -> np.ndarray:
        """Which reports say how many cases were severe, of any: indices."""
        reports = self.evidence.reports
        return np.array([k for k, report in enumerate(reports) if report.severe is not None and report.events > 0])

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(SHARED) + len(self.evidence.reports) + len(self.with_severe)

    def values(self, points: np.ndarray) -> Values:
        """Natural values of points (m, size)."""
        points, prior, count = np.atleast_2d(points), self.prior, len(self.evidence.reports)
        spread = prior.spread * np.exp(prior.spread_sd * points[:, 3])
        effects = spread[:, None] * points[:, len(SHARED) :]
        share = np.zeros((len(points), count))
        if len(self.with_severe):
            share[:, self.with_severe] = effects[:, count:]
        return Values(
            logit_any=prior.logit_sd * points[:, 0],
            logit_share=prior.logit_sd * points[:, 1],
            slope=prior.slope * np.exp(prior.slope_sd * points[:, 2]),
            spread=spread,
            any_effect=effects[:, :count],
            share_effect=share,
        )

    def log_likelihood(self, points: np.ndarray) -> np.ndarray:
        """Log likelihood (m,) of points (m, size), up to a constant."""
        at = self.values(points)
        total = np.zeros(len(at.slope))
        for k, report in enumerate(self.evidence.reports):
            some, severe = rates(
                at.logit_any + at.any_effect[:, k], at.logit_share + at.share_effect[:, k], at.slope, report.log_peaks
            )
            total += _binomial(report.events, report.n, some)
            if report.severe is not None and report.events > 0:
                total += _binomial(report.severe, report.events, severe / some)
        for contrast in self.evidence.contrasts:
            distance = log_ratio_of_medians(at.logit_any, at.slope, contrast) - contrast.log_ratio
            total -= 0.5 * (distance / contrast.error) ** 2
        return total


def rates(
    logit_any: np.ndarray, logit_share: np.ndarray, slope: np.ndarray, log_peaks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Expected shares (m,) of patients with the toxicity of any grade and of grade 3 or more; the peaks are (q,)."""
    rise = slope[:, None] * log_peaks[None, :]
    logit_severe = logit(np.clip(expit(logit_any) * expit(logit_share), 1e-12, 1.0 - 1e-12))
    return expit(logit_any[:, None] + rise).mean(axis=1), expit(logit_severe[:, None] + rise).mean(axis=1)


def log_ratio_of_medians(logit_any: np.ndarray, slope: np.ndarray, contrast: Contrast) -> np.ndarray:
    """Log ratio (m,) of the median peak of patients with the toxicity to that of the others."""
    chance = expit(logit_any[:, None] + slope[:, None] * contrast.log_peaks[None, :])
    return _weighted_median(contrast.log_peaks, chance) - _weighted_median(contrast.log_peaks, 1.0 - chance)


def _weighted_median(rising: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Median (m,) of rising values (q,) with weights (m, q), linear between the middles of their weights."""
    middle = np.cumsum(weights, axis=1) - 0.5 * weights
    middle /= weights.sum(axis=1, keepdims=True)
    above = np.clip((middle >= 0.5).argmax(axis=1), 1, len(rising) - 1)
    rows = np.arange(len(weights))
    low, high = middle[rows, above - 1], middle[rows, above]
    part = np.clip((0.5 - low) / np.maximum(high - low, 1e-12), 0.0, 1.0)
    return rising[above - 1] + part * (rising[above] - rising[above - 1])


def _binomial(events: float, n: float, share: np.ndarray) -> np.ndarray:
    share = np.clip(share, 1e-12, 1.0 - 1e-12)
    return events * np.log(share) + (n - events) * np.log1p(-share)


PATIENTS = 1000
"""Virtual patients of each study."""


@dataclass(frozen=True)
class Shipped:
    """A value for the parameter file, and its prior: `sd` on the scale of `kind`."""

    name: str
    value: float
    kind: str
    sd: float


@dataclass(frozen=True)
class Row:
    """A reported rate beside the model: median and 95 % of what a new study of that size would report, in percent.

    The misfit is the normal score of the report among those, positive where the model is above the report.
    """

    study: str
    endpoint: str
    n: float
    reported: float
    model: float
    low: float
    high: float
    misfit: float


@dataclass(frozen=True, eq=False)
class ToxicityFit:
    """Posterior of one toxicity; `draws` are equally likely."""

    hierarchy: ToxicityHierarchy
    points: np.ndarray

    @property
    def evidence(self) -> ToxicityEvidence:
        """What was fitted."""
        return self.hierarchy.evidence

    @property
    def draws(self) -> Values:
        """Posterior draws on their natural scales."""
        return self.hierarchy.values(self.points)

    @property
    def shrinkage(self) -> dict[str, float]:
        """Share of the prior variance that the evidence takes away, of each shared number."""
        return {name: float(1.0 - self.points[:, k].var()) for k, name in enumerate(SHARED)}

    @property
    def correlations(self) -> np.ndarray:
        """Correlations (4, 4) of the shared numbers, which independent priors lose."""
        return np.corrcoef(self.points[:, : len(SHARED)].T)

    def shipped(self, seed: int = 1) -> tuple[Shipped, ...]:
        """Values of the average study, with priors of one study or product that was not among the fitted ones.

        The widths of the two probabilities hold the between-study variability, drawn for a new study; the slope is
        common to all.
        """
        at, name, rng = self.draws, self.evidence.toxicity, np.random.default_rng(seed)
        own = at.spread[:, None] * rng.standard_normal((len(at.spread), 2))
        log_slope = np.log(at.slope)
        return (
            Shipped(f"probability_{name}", float(expit(np.median(at.logit_any))), "logitnormal",
                    float(np.std(at.logit_any + own[:, 0]))),
            Shipped(f"fraction_severe_{name}", float(expit(np.median(at.logit_share))), "logitnormal",
                    float(np.std(at.logit_share + own[:, 1]))),
            Shipped(f"slope_{name}", math.exp(float(np.median(log_slope))), "lognormal", float(np.std(log_slope))),
        )  # fmt: skip

    def rows(self, seed: int = 1) -> tuple[Row, ...]:
        """Every reported rate, and the ratios of median peaks, beside the model."""
        at, rng, rows = self.draws, np.random.default_rng(seed), []
        for report in self.evidence.reports:
            effects = at.spread[:, None] * rng.standard_normal((len(at.spread), 2))
            some, severe = rates(
                at.logit_any + effects[:, 0], at.logit_share + effects[:, 1], at.slope, report.log_peaks
            )
            n = max(round(report.n), 1)
            events = rng.binomial(n, some)
            name = self.evidence.toxicity
            rows.append(_row(report.study, f"{name}_rate", report.n, report.events, events, n))
            if report.severe is not None:
                worst = rng.binomial(events, np.clip(severe / some, 0.0, 1.0))
                rows.append(_row(report.study, f"severe_{name}_rate", report.n, report.severe, worst, n))
        return tuple(rows)

    def contrast_rows(self, seed: int = 1) -> tuple[Row, ...]:
        """Ratios of median peaks with and without the toxicity, not in percent."""
        at, rng, rows = self.draws, np.random.default_rng(seed), []
        for contrast in self.evidence.contrasts:
            ratio = log_ratio_of_medians(at.logit_any, at.slope, contrast)
            seen = np.exp(ratio + contrast.error * rng.standard_normal(len(ratio)))
            low, model, high = np.quantile(seen, (0.025, 0.5, 0.975))
            reported = math.exp(contrast.log_ratio)
            misfit = -_score(reported, seen)
            rows.append(Row(contrast.study, "ratio of median peaks", math.nan, reported, model, low, high, misfit))
        return tuple(rows)


def _row(study: str, endpoint: str, n: float, events: float, simulated: np.ndarray, size: int) -> Row:
    low, model, high = np.quantile(100.0 * simulated / size, (0.025, 0.5, 0.975))
    misfit = -_score(events * size / n, simulated)
    return Row(study, endpoint, n, 100.0 * events / n, float(model), float(low), float(high), misfit)


def _score(reported: float, simulated: np.ndarray) -> float:
    """Normal score of a report among simulated ones, ties counted half."""
    below = np.mean(simulated < reported) + 0.5 * np.mean(np.isclose(simulated, reported))
    edge = 0.5 / len(simulated)
    return NormalDist().inv_cdf(float(np.clip(below, edge, 1.0 - edge)))


def fit_evidence(
    evidence: ToxicityEvidence, *, settings: SmcSettings | None = None, prior: ToxicityPrior | None = None
) -> ToxicityFit:
    """Posterior of one toxicity by tempered sequential Monte Carlo; FitError without reports."""
    hierarchy = ToxicityHierarchy(evidence, prior or ToxicityPrior())
    run = sample_smc(hierarchy.log_likelihood, hierarchy.size, settings or SmcSettings(particles=2000))
    return ToxicityFit(hierarchy, run.points)


def fit_toxicity(
    *,
    calibration: str = "reference",
    studies: Iterable[Study] | None = None,
    patients: int = PATIENTS,
    seed: int = 1,
    settings: SmcSettings | None = None,
    solver: Solver | None = None,
) -> dict[str, ToxicityFit]:
    """Fit both toxicities to the evidence of role 'outcome', with the peaks of a calibration's estimate."""
    parameters: ParameterSet = read_calibration(calibration).parameters(read_catalogue())
    known = read_studies() if studies is None else tuple(studies)
    evidences = toxicity_evidence(parameters, known, n=patients, seed=seed, solver=solver)
    return {name: fit_evidence(evidence, settings=settings) for name, evidence in evidences.items()}


def of_rates_alone(fit: ToxicityFit, settings: SmcSettings | None = None) -> ToxicityFit:
    """The same fit without the contrasts within studies: what rates across studies say by themselves."""
    return fit_evidence(replace(fit.evidence, contrasts=()), settings=settings, prior=fit.hierarchy.prior)


def report(fits: Mapping[str, ToxicityFit]) -> str:
    """Tables and values as text."""
    lines = []
    for name, fit in fits.items():
        lines.append(f"\n{name.upper()}: reported | model: a new study of that size, 95 % | misfit")
        for row in (*fit.rows(), *fit.contrast_rows()):
            of = "" if math.isnan(row.n) else f"of {row.n:.0f}"
            lines.append(
                f"  {row.study:26s} {row.endpoint:22s} {row.reported:6.1f} {of:7s}| "
                f"{row.model:5.1f} ({row.low:5.1f} to {row.high:5.1f}) | {row.misfit:+.1f}"
            )
        spread = np.quantile(fit.draws.spread, (0.025, 0.5, 0.975))
        slope = np.quantile(fit.draws.slope, (0.025, 0.5, 0.975))
        lines.append(f"  spread between studies (logit SD) {spread[1]:.2f} ({spread[0]:.2f} to {spread[2]:.2f})")
        lines.append(f"  slope {slope[1]:.2f} ({slope[0]:.2f} to {slope[2]:.2f})")
        lines.append("  taken from the prior variance: " + ", ".join(f"{k} {v:.2f}" for k, v in fit.shrinkage.items()))
        lines.append("  correlations lost by independent priors:")
        lines += ["    " + " ".join(f"{x:+.2f}" for x in row) for row in fit.correlations]
        for number in fit.shipped():
            lines.append(f"  [{number.name}] value = {number.value:.3g}, prior = {number.kind}, sd = {number.sd:.2g}")
    return "\n".join(lines)


def main() -> None:
    """Fit the shipped evidence and print everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calibration", default="reference")
    parser.add_argument("--patients", type=int, default=PATIENTS)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    settings = SmcSettings(particles=2000, seed=chosen.seed)
    fits = fit_toxicity(calibration=chosen.calibration, patients=chosen.patients, seed=chosen.seed, settings=settings)
    print(report(fits))
    for name, fit in fits.items():
        if fit.evidence.contrasts:
            alone = of_rates_alone(fit, settings)
            low, middle, high = np.quantile(alone.draws.slope, (0.025, 0.5, 0.975))
            print(
                f"\n{name.upper()} without the medians within studies: slope {middle:.2f} ({low:.2f} to {high:.2f}), "
                f"{alone.shrinkage['log_slope']:.2f} taken from its prior variance"
            )


if __name__ == "__main__":
    main()
