"""How does the risk of cytokine release and neurotoxicity depend on the peak of CAR-T cells? Fit, table and values.

After the joint fit, at the peaks that its estimate gives every study. `python -m perdure.fitting.outcomes.toxicity_fit`
prints what is reported beside the model, and the values that stand in `parameters/sets/toxicity.toml`. What the table
decides is the level of each risk, and how far studies differ; the slope it hardly decides: see the shrinkage.
"""

import argparse
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from scipy.special import expit

from ...model.catalogue import read_catalogue
from ...model.simulate import Solver
from ...parameters.parameter_set import ParameterSet
from ..calibration import read_calibration
from ..items import Study
from ..reported import read_studies
from ..samplers.smc import SmcSettings, sample_smc
from .toxicity_evidence import ToxicityEvidence, toxicity_evidence
from .toxicity_likelihood import SHARED, ToxicityHierarchy, ToxicityPrior, Values, log_ratio_of_medians, rates

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

        The widths of the two probabilities hold the spread between studies, drawn anew; the slope is common to all.
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
        at, rng, found = self.draws, np.random.default_rng(seed), []
        for report in self.evidence.reports:
            effects = at.spread[:, None] * rng.standard_normal((len(at.spread), 2))
            some, severe = rates(
                at.logit_any + effects[:, 0], at.logit_share + effects[:, 1], at.slope, report.log_peaks
            )
            n = max(round(report.n), 1)
            events = rng.binomial(n, some)
            name = self.evidence.toxicity
            found.append(_row(report.study, f"{name}_rate", report.n, report.events, events, n))
            if report.severe is not None:
                worst = rng.binomial(events, np.clip(severe / some, 0.0, 1.0))
                found.append(_row(report.study, f"severe_{name}_rate", report.n, report.severe, worst, n))
        return tuple(found)

    def contrast_rows(self, seed: int = 1) -> tuple[Row, ...]:
        """Ratios of median peaks with and without the toxicity, not in percent."""
        at, rng, found = self.draws, np.random.default_rng(seed), []
        for one in self.evidence.contrasts:
            ratio = log_ratio_of_medians(at.logit_any, at.slope, one)
            seen = np.exp(ratio + one.error * rng.standard_normal(len(ratio)))
            low, model, high = np.quantile(seen, (0.025, 0.5, 0.975))
            reported = math.exp(one.log_ratio)
            misfit = -_score(reported, seen)
            found.append(Row(one.study, "ratio of median peaks", math.nan, reported, model, low, high, misfit))
        return tuple(found)


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
    found = toxicity_evidence(parameters, known, n=patients, seed=seed, solver=solver)
    return {name: fit_evidence(one, settings=settings) for name, one in found.items()}


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
        for one in fit.shipped():
            lines.append(f"  [{one.name}] value = {one.value:.3g}, prior = {one.kind}, sd = {one.sd:.2g}")
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
