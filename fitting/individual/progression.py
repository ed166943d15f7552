"""When will this patient progress? Individual prediction from a fit, with all that the fit leaves open."""

from dataclasses import dataclass

import numpy as np

from ...model.endpoints import Visits
from ...model.imwg import judge
from ...model.simulate import Solver, simulate
from ...parameters.errors import FitError, RangeError
from ...parameters.patients import draw
from ...parameters.units import DAYS_PER_MONTH
from .ahead import branches, marker_of, markers_ahead, seen_in_data
from .data import Subject
from .importance import WIDER, Proposal, adapted, effective_size, log_normal, log_weights, normalised, student_draws
from .map_fit import IndividualFit
from .mechanistic import mechanistic, on_days
from .structure import PopulationModel
from .ways import likely_ways, share_of, wider

MONTHS, EVERY = 60.0, 28.0
DRAWS, ROUNDS, MOVES = 400, 4, 8
ENOUGH = 100.0
"""Effective draws with which no further round is made, and no draw is moved."""
FEW = 30.0
"""Effective draws below which an interval is said to rest on few."""


@dataclass(frozen=True, eq=False)
class Progression:
    """Day of progression of one patient, by weighted draws; days count from the first infusion.

    Attributes
    ----------
    last
        Day of the last measurement; the prediction begins there.
    seen
        Day of the visit that confirms progression in the data; infinite if there is none.
    days, weight : arrays (2 * draws,)
        Day of the visit that shows progression (infinite if none does within follow-up), and its probability.
    until
        Last day of follow-up.
    immune
        Probability that the patient is prone to immunity against the CAR.
    effective
        Effective number of draws (Kish 1965), copies counting as one.
    """

    subject: str
    last: float
    seen: float
    days: np.ndarray
    weight: np.ndarray
    until: float
    immune: float
    effective: float

    def quantile(self, share: float) -> float:
        """Day by which this share of the probability has progressed; infinite if it has not within follow-up."""
        order = np.argsort(self.days)
        at = int(np.searchsorted(np.cumsum(self.weight[order]), share - 1e-12))
        return float(self.days[order][min(at, len(order) - 1)])

    @property
    def median(self) -> float:
        """Median day of progression."""
        return self.quantile(0.5)

    @property
    def interval(self) -> tuple[float, float]:
        """Central 95 % of the day of progression."""
        return self.quantile(0.025), self.quantile(0.975)

    def free_at(self, months: float) -> float:
        """Probability of no progression by so many months after the infusion; RangeError beyond follow-up."""
        day = months * DAYS_PER_MONTH
        if not 0 <= day <= self.until + 1e-9:
            raise RangeError(f"{months:g} months; follow-up ends at {self.until / DAYS_PER_MONTH:g} months.")
        return float(self.weight[self.days > day].sum())

    @property
    def text(self) -> str:
        """Median and interval in months, or what the data show."""
        if np.isfinite(self.seen):
            return f"progressed on day {self.seen:.0f}"
        low, high = (self._months(day) for day in self.interval)
        return f"{self._months(self.median)} ({low} to {high})"

    def _months(self, day: float) -> str:
        end = self.until / DAYS_PER_MONTH
        return f"{day / DAYS_PER_MONTH:.1f}" if np.isfinite(day) else f"not within {end:g}"


@dataclass(frozen=True, eq=False)
class _Draws:
    """Logarithms of the free parameters (n, free), log prior times likelihood (2, n), and day of progression (2, n)."""

    points: np.ndarray
    log_target: np.ndarray
    days: np.ndarray
    immune: bool

    def rows(self, chosen: np.ndarray) -> "_Draws":
        return _Draws(self.points[chosen], self.log_target[:, chosen], self.days[:, chosen], self.immune)

    def where(self, takes: np.ndarray, other: "_Draws") -> "_Draws":
        return _Draws(
            np.where(takes[:, None], other.points, self.points),
            np.where(takes, other.log_target, self.log_target),
            np.where(takes, other.days, self.days),
            self.immune,
        )

    def joined(self, other: "_Draws") -> "_Draws":
        return _Draws(
            np.concatenate([self.points, other.points]),
            np.concatenate([self.log_target, other.log_target], axis=1),
            np.concatenate([self.days, other.days], axis=1),
            self.immune,
        )


def predict_progression(
    model: PopulationModel,
    subject: Subject,
    *,
    draws: int = DRAWS,
    rounds: int = ROUNDS,
    months: float = MONTHS,
    every: float = EVERY,
    seed: int = 1,
    solver: Solver | None = None,
) -> Progression:
    """Time to progression of one patient, given the patient's measurements.

    Adaptive importance sampling (Cornuet, Marin, Mira and Robert 2012): the first round draws from a Student density
    around the most probable parameters, as wide as their Laplace covariance; later ones around what the rounds before
    have found. A draw is weighted by prior and likelihood over the mixture of all proposals. The parameters of the fit
    are joined by `wider`, and both ways of immunity against the CAR are followed (`likely_ways`). What else differs
    between patients, other traits included, differs between the draws as it does in the population. Each draw has two
    branches, of a tumour that comes back and of one that was eradicated.

    Progression is by the criteria of the International Myeloma Working Group (Kumar 2016) on the marker that was
    measured: the measurements so far, then simulated visits `every` so many days with the error of the assay. Where no
    marker was measured, it is on the marker as simulated from day 0. Deaths are left out: this is time to progression.

    Parameters
    ----------
    model
        The population that the patient comes from, with structure `Mechanistic`.
    draws, rounds
        Draws of each round; rounds at most, fewer if `ENOUGH` effective draws are there before.
    months, every
        Follow-up from the first infusion in months, days between visits.

    Raises
    ------
    InputError, RangeError
        If the structure is not the mechanistic one; if the last measurement is at the end of follow-up.
    FitError
        If no draw agrees with the data at all.
    """
    model = wider(model)
    last = float(max(on_days(subject), default=0.0))
    visits = Visits(every, months)
    if last > visits.until - 2 * every:
        raise RangeError(f"subject {subject.id}: last measurement on day {last:g}; follow up beyond {months:g} months.")
    rng, solver = np.random.default_rng(seed), solver or Solver(rtol=1e-5)
    parts, logs = [], []
    for way, fit, _ in likely_ways(model, [subject])[0]:
        found, log_weight = _sampled(way, fit, draws, rounds, visits, solver, rng)
        parts.append(found)
        logs.append(log_weight + np.log(share_of(way)) - np.log(len(log_weight)))
    if not np.isfinite(np.concatenate(logs)).any():
        raise FitError(f"subject {subject.id}: no draw agrees with the data; see the fit of this patient first.")
    weight = normalised(np.concatenate(logs))
    target = np.concatenate([part.log_target for part in parts], axis=1)
    both = np.logaddexp(*target)
    branch = np.exp(target - np.where(np.isfinite(both), both, 0.0))
    immune = np.concatenate([np.full(part.days.shape[1], part.immune) for part in parts])
    return Progression(
        subject=subject.id,
        last=last,
        seen=seen_in_data(subject),
        days=np.concatenate([part.days for part in parts], axis=1).ravel(),
        weight=(weight * branch).ravel(),
        until=visits.until,
        immune=float(weight[immune].sum()),
        effective=_effective(np.concatenate([part.points[:, 0] for part in parts]), weight),
    )


def _effective(mark: np.ndarray, weight: np.ndarray) -> float:
    """Effective number of draws, copies of one draw, which share their mark (n,), counting as one."""
    _, same = np.unique(mark, return_inverse=True)
    return effective_size(np.bincount(same, weights=weight))


def _sampled(
    model: PopulationModel, fit: IndividualFit, draws: int, rounds: int, visits: Visits, solver: Solver,
    rng: np.random.Generator,
) -> tuple[_Draws, np.ndarray]:  # fmt: skip
    """Rounds of draws around a fit, and the log weight (n,) of each.

    If few draws carry the weight, they are resampled and moved by random-walk Metropolis steps of the size that
    Roberts, Gelman and Gilks (1997) found best (resample-move, Gilks and Berzuini 2001).
    """
    free = model.free
    proposals: list[Proposal] = [(np.log(fit.values)[free], WIDER * fit.covariance[np.ix_(free, free)])]
    nothing = np.empty((2, 0))
    found = _Draws(np.empty((0, int(free.sum()))), nothing, nothing, mechanistic(model).immune)
    while True:
        points = student_draws(rng, proposals[-1], draws)
        found = found.joined(_round(model, fit.subject, points, visits, solver, rng))
        log_weight = log_weights(found.points, np.logaddexp(*found.log_target), proposals)
        if not np.isfinite(log_weight).any() or effective_size(normalised(log_weight)) >= ENOUGH:
            return found, log_weight
        proposals.append(adapted(found.points, log_weight))
        if len(proposals) > rounds:
            break
    evidence = np.logaddexp.reduce(log_weight) - np.log(len(log_weight))
    chosen = rng.choice(len(log_weight), size=draws, p=normalised(log_weight))
    moved = found.rows(chosen)
    root = np.linalg.cholesky(proposals[-1][1]) * 2.38 / np.sqrt(WIDER * moved.points.shape[1])
    for _ in range(MOVES):
        points = moved.points + rng.standard_normal(moved.points.shape) @ root.T
        tried = _round(model, fit.subject, points, visits, solver, rng)
        gain = np.logaddexp(*tried.log_target) - np.logaddexp(*moved.log_target)
        moved = moved.where(np.log(rng.uniform(size=draws)) < gain, tried)
    return moved, np.full(draws, evidence)


def _round(
    model: PopulationModel, subject: Subject, points: np.ndarray, visits: Visits, solver: Solver,
    rng: np.random.Generator,
) -> _Draws:  # fmt: skip
    """Simulate draws (n, free), and find how likely the data are and when each progresses, in both branches."""
    structure = mechanistic(model)
    n, measured = len(points), on_days(subject)
    people = draw(structure.parameters, n, int(rng.integers(2**31)))
    free, logs = model.free, np.tile(np.log(model.typical), (n, 1))
    logs[:, free] = points
    columns = structure.columns(np.exp(logs), [subject] * n, people)
    last = float(measured.max(initial=0.0))
    judged = marker_of(subject)
    future = np.arange(last + visits.every, visits.until + 1e-9, visits.every) if judged else visits.days
    days = np.unique(np.concatenate([visits.grid, measured, future]))
    found = simulate(columns, structure.regimen(subject.doses), times=days, solver=solver)
    prior = log_normal(points, np.log(model.typical)[free], model.omega[np.ix_(free, free)])
    target, progressed = np.full((2, n), -np.inf), np.full((2, n), np.inf)
    fine = np.isfinite(found.eradication)
    errors = rng.standard_normal((n, len(future), 2))
    with np.errstate(divide="ignore"):
        share = np.log(np.stack([1.0 - found.eradication, found.eradication]))
    rows = np.flatnonzero(fine)
    for branch, course in enumerate(branches(found, columns)):
        expected = structure.observe(course, columns, rows, subject)
        target[branch, rows] = prior[rows] + share[branch, rows] + _log_likelihood(model, subject, expected)
        progressed[branch, rows] = judge(markers_ahead(course, columns, subject, future, errors)).shown[rows]
    return _Draws(points, target, progressed, structure.immune)


def _log_likelihood(model: PopulationModel, subject: Subject, expected: np.ndarray) -> np.ndarray:
    """Log likelihood (rows,) of a subject's measurements, for what was expected of them (rows, obs)."""
    total = np.zeros(len(expected))
    for kind in np.unique(subject.kind):
        here = subject.kind == kind
        value, below = (np.broadcast_to(part[here], expected[:, here].shape) for part in (subject.value, subject.below))
        total += model.residual[str(kind)].log_likelihood(value, below, expected[:, here]).sum(axis=1)
    return total
