"""Predicted time to progression of one patient, with the uncertainty of the individual fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import gammaln

from ...model.endpoints import Visits
from ...model.imwg import Markers, assess_response
from ...model.simulate import Solver, simulate
from ...model.solution import Solution
from ...parameters.errors import FitError, RangeError
from ...parameters.patients import draw
from ...parameters.units import DAYS_PER_MONTH
from .data import Subject
from .map_fit import IndividualFit, fit_patients
from .mechanistic import covariance, mechanistic, on_days, with_immunity
from .structure import PopulationModel

# Simulated future visits of one patient: both branches of the tumour, and the marker that is assessed.


def branches(solution: Solution, columns: Mapping[str, np.ndarray]) -> tuple[Solution, Solution]:
    """The simulation given that the tumour comes back, and given that it was eradicated (as in `endpoints`).

    The expected tumour is the mean over both, so the one that survives is larger by 1 / (1 - P) after its lowest point.
    M-protein is linear in the tumour: what was there at the lowest point decays in both.
    """
    tumour, protein = solution["tumour"], solution["m_protein"]
    lowest = np.where(np.isfinite(tumour), tumour, np.inf).argmin(axis=1)[:, None]
    since = solution.times[None, :] - solution.times[lowest]
    alive = np.maximum(1.0 - np.nan_to_num(solution.eradication), 1e-9)[:, None]
    decay = np.exp(-columns["k_clearance_m_protein"][:, None] * np.maximum(since, 0.0))
    left = np.take_along_axis(protein, lowest, axis=1) * decay
    back = np.where(since > 0, tumour / alive, tumour), np.where(since > 0, left + (protein - left) / alive, protein)
    never = np.where(since > 0, 0.0, tumour), np.where(since > 0, left, protein)
    return _with(solution, columns, *back), _with(solution, columns, *never)


def _with(solution: Solution, columns: Mapping[str, np.ndarray], tumour: np.ndarray, protein: np.ndarray) -> Solution:
    """What can be measured in the same simulation with another tumour and what it secretes."""
    column = {name: columns[name][:, None] for name in ("flc_background", "flc_baseline", "tumour_baseline")}
    light = column["flc_background"] + column["flc_baseline"] * tumour / column["tumour_baseline"]
    courses = np.stack([tumour, protein, light, solution["car_t"]], axis=2)
    return replace(solution, names=("tumour", "m_protein", "light_chain", "car_t"), courses=courses)


def marker_of(subject: Subject) -> str:
    """The marker by which progression is judged: M-protein if it was measured, else light chain, else '' (none)."""
    return next((kind for kind in ("m_protein", "flc") if kind in set(subject.kind)), "")


def future_markers(
    course: Solution, columns: Mapping[str, np.ndarray], subject: Subject, future: np.ndarray, errors: np.ndarray
) -> Markers:
    """The measurements so far in every row, then simulated visits with the error of the assay (`imwg.measure`)."""
    light = columns["light_chain_only"] > 0.5
    above = course["light_chain"] - columns["flc_background"][:, None]  # involved minus uninvolved chain
    true = np.nan_to_num(np.where(light[:, None], above, course["m_protein"]))
    later = true[:, np.searchsorted(course.times, future)]
    floor = np.where(light, 0.0, columns["error_floor_m_protein"])[:, None]
    noise = columns["error_m_protein"][:, None] * errors[..., 0] * later + floor * errors[..., 1]
    days, value, below = measurements(subject)
    background = columns["flc_background"][:, None] if marker_of(subject) == "flc" else 0.0
    so_far = np.maximum(np.tile(value, (len(true), 1)) - background, 0.0)
    if len(days):
        there = true[:, np.searchsorted(course.times, days)]
        so_far = np.where(below, np.minimum(so_far, there), so_far)
    if len(days) and days[0] > 0:  # no baseline was measured, so it is the model's
        days, so_far = np.append(0.0, days), np.concatenate([true[:, :1], so_far], axis=1)
    measured = np.concatenate([so_far, np.maximum(later + noise, 0.0)], axis=1)
    return Markers(np.append(days, future), measured, measured, np.zeros(measured.shape, dtype=bool), light)


def measurements(subject: Subject) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Day, value and whether below the limit of the judged marker, as arrays (visits,); before day 0 only the last."""
    here = np.flatnonzero(subject.kind == marker_of(subject))
    days = on_days(subject)[here]
    keep = np.append(np.diff(days) > 0, True)[: len(days)]
    return days[keep], subject.value[here[keep]], subject.below[here[keep]]


def observed_progression(subject: Subject) -> float:
    """Day of progression that the measurements themselves show and confirm; infinite if they do not."""
    days, value, _ = measurements(subject)
    if len(days) < 3:
        return np.inf
    light = np.array([marker_of(subject) == "flc"])
    values = value[None, :]
    return float(assess_response(Markers(days, values, values, np.zeros(values.shape, dtype=bool), light)).shown[0])


# Model averaging over anti-CAR immunity, and further free parameters.


FURTHER_FREE = (
    "density_bcma", "k_relaxation_density", "k_exhaustion", "fraction_engrafted", "host_after_lymphodepletion",
    "k_recovery_host",
)  # fmt: skip
"""What joins the fitted parameters in a prediction: no data of one patient tell them apart from those, but they move
both the data and the day of progression."""
UNLIKELY = 9.0
"""Log odds at which immunity, or its absence, is left out."""

ImmunityHypothesis = tuple[PopulationModel, IndividualFit, float]
"""A model with or without immunity, the fit of a patient by it, and its probability."""


def wider(model: PopulationModel) -> PopulationModel:
    """The model with `FURTHER_FREE` among its individual parameters, as they are in the calibrated population."""
    structure = mechanistic(model)
    more = tuple(name for name in FURTHER_FREE if name not in structure.ids)
    if not more:
        return model
    n = len(structure.ids)
    omega = np.zeros((n + len(more), n + len(more)))
    omega[:n, :n] = model.omega
    omega[n:, n:] = covariance(structure.parameters, more, structure.product, structure.population)
    typical = np.append(model.typical, [structure.typical[name] for name in more])
    return replace(model, structure=replace(structure, ids=(*structure.ids, *more)), typical=typical, omega=omega)


def weigh_immunity(model: PopulationModel, subjects: Sequence[Subject]) -> list[list[ImmunityHypothesis]]:
    """For every patient the model without and with immunity against the CAR, the more probable first.

    The probability is the share of the population times the marginal likelihood by Laplace's method (Tierney and Kadane
    1986); a way with odds below e^-`UNLIKELY` is left out.
    """
    ways = [with_immunity(model, immune) for immune in (False, True)]
    ways = [way for way in ways if share_of(way) > 0.0]
    fits = [fit_patients(way, subjects) for way in ways]
    free = model.free
    weighted = []
    for k in range(len(subjects)):
        candidates = [some[k] for some in fits]
        volume = [np.linalg.slogdet(fit.covariance[np.ix_(free, free)])[1] for fit in candidates]
        prior = [np.log(share_of(way)) for way in ways]
        evidence = np.array([p + 0.5 * (v - fit.ofv) for p, v, fit in zip(prior, volume, candidates, strict=True)])
        share = np.exp(evidence - evidence.max())
        order = [int(j) for j in np.argsort(-evidence) if evidence[j] > evidence.max() - UNLIKELY]
        weighted.append([(ways[j], candidates[j], float(share[j] / share.sum())) for j in order])
    return weighted


def share_of(way: PopulationModel) -> float:
    """Share of the population that is as immune, or not immune, as the model says."""
    structure = mechanistic(way)
    return structure.share_immune if structure.immune else 1.0 - structure.share_immune


# Adaptive importance sampling: Student proposals, and weights over the mixture of all of them.


FREEDOM = 5.0
"""Degrees of freedom of a proposal: its tails are heavier than those of what it approximates."""
PROPOSAL_INFLATION = 1.3
"""Factor on the covariance of a proposal, for the same reason."""

Proposal = tuple[np.ndarray, np.ndarray]
"""Centre (dim,) and scale matrix (dim, dim) of a Student density."""


def student_draws(rng: np.random.Generator, proposal: Proposal, n: int) -> np.ndarray:
    """Draws of a multivariate Student density: array (n, dim)."""
    centre, scale = proposal
    normal = rng.standard_normal((n, len(centre))) @ np.linalg.cholesky(scale).T
    return centre + normal * np.sqrt(FREEDOM / rng.chisquare(FREEDOM, n))[:, None]


def log_student(points: np.ndarray, proposal: Proposal) -> np.ndarray:
    """Log density of a multivariate Student distribution (Kotz and Nadarajah 2004): array (n,)."""
    centre, scale = proposal
    distance, log_det = _mahalanobis(points, centre, scale)
    dim = len(centre)
    front = gammaln((FREEDOM + dim) / 2) - gammaln(FREEDOM / 2) - 0.5 * (dim * np.log(FREEDOM * np.pi) + log_det)
    return front - 0.5 * (FREEDOM + dim) * np.log1p(distance / FREEDOM)


def log_normal(points: np.ndarray, centre: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Log density of a multivariate normal distribution: array (n,)."""
    distance, log_det = _mahalanobis(points, centre, covariance)
    return -0.5 * (distance + log_det + len(centre) * np.log(2 * np.pi))


def _mahalanobis(points: np.ndarray, centre: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, float]:
    factor = np.linalg.cholesky(matrix)
    scaled = np.linalg.solve(factor, (points - centre).T)
    return np.sum(scaled**2, axis=0), 2.0 * float(np.sum(np.log(np.diag(factor))))


def log_weights(points: np.ndarray, log_target: np.ndarray, proposals: Sequence[Proposal]) -> np.ndarray:
    """Log weights of the draws of all rounds over the equal mixture of their proposals (deterministic mixture, Owen and
    Zhou 2000): array (n,), not normalised.
    """
    densities = np.stack([log_student(points, proposal) for proposal in proposals])
    return log_target - np.logaddexp.reduce(densities, axis=0) + np.log(len(proposals))


def normalised(log_weight: np.ndarray) -> np.ndarray:
    """Weights that add up to one; NaN if all are zero."""
    highest = log_weight.max()
    weight = np.exp(log_weight - highest) if np.isfinite(highest) else np.full(log_weight.shape, np.nan)
    return weight / weight.sum()


def effective_size(weight: np.ndarray) -> float:
    """Effective number of draws (Kish 1965) of weights that add up to one."""
    return float(1.0 / np.sum(weight**2))


def adapted(points: np.ndarray, log_weight: np.ndarray) -> Proposal:
    """A proposal with the weighted mean and covariance of the draws (Cornuet, Marin, Mira and Robert 2012).

    While few draws carry all the weight, the weights are flattened by a power, or the covariance would collapse.
    """
    dim = points.shape[1]
    finite = np.isfinite(log_weight)
    power, weight = 1.0, normalised(log_weight)
    while effective_size(weight) < min(5.0 * dim, 0.5 * finite.sum()):
        power *= 0.8
        weight = normalised(np.where(finite, power * np.where(finite, log_weight, 0.0), -np.inf))
    centre = weight @ points
    apart = points - centre
    covariance = (weight[:, None] * apart).T @ apart
    return centre, PROPOSAL_INFLATION * covariance + 1e-8 * np.eye(dim)


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
    around the most probable parameters, as wide as their Laplace covariance; later ones around the weighted draws of
    the rounds before. A draw is weighted by prior and likelihood over the mixture of all proposals. Further parameters
    join those of the fit (`wider`), and the model with and without anti-CAR immunity is averaged (`weigh_immunity`).
    All other between-patient variability, traits included, is drawn as in the population. Each draw has two branches,
    of a tumour that comes back and of one that was eradicated.

    Progression is by the criteria of the International Myeloma Working Group (Kumar 2016) on the marker that was
    measured: the measurements so far, then simulated visits `every` so many days with the error of the assay. Where no
    marker was measured, it is on the marker as simulated from day 0. Deaths are left out: this is time to progression.

    Parameters
    ----------
    model
        The population that the patient comes from, with structure `Mechanistic`.
    subject
        The measurements of the patient.
    draws, rounds
        Draws of each round; rounds at most, fewer if `ENOUGH` effective draws are there before.
    months, every
        Follow-up from the first infusion in months, days between visits.
    seed
        Same seed, same result.
    solver
        How to integrate; `Solver(rtol=1e-5)` by default.

    Returns
    -------
    Progression
        Day of progression by weighted draws, arrays (2 * draws,), days since the first infusion: its median, 95 %
        interval, and the probability of none by a month.

    Raises
    ------
    InputError, RangeError
        If the structure is not the mechanistic one; if the last measurement is at the end of follow-up.
    FitError
        If no draw agrees with the data at all.

    Examples
    --------
    >>> import numpy as np
    >>> from perdure import mechanistic_model, predict_progression
    >>> from perdure.fitting.patients.data import Subject
    >>> time, value = np.array([0.0, 7.0, 14.0, 28.0, 56.0]), np.array([50.0, 250.0, 400.0, 20.0, 8.0])
    >>> kind = np.array(["m_protein", "car_t", "car_t", "m_protein", "m_protein"])
    >>> subject = Subject("A", time, kind, value, below=np.zeros(5, dtype=bool))
    >>> model = mechanistic_model("ide_cel")
    >>> ahead = predict_progression(model, subject, draws=24, rounds=1, months=12.0)  # far too few draws
    >>> ahead.last, ahead.median > ahead.last
    (56.0, True)
    """
    model = wider(model)
    last = float(max(on_days(subject), default=0.0))
    visits = Visits(every, months)
    if last > visits.until - 2 * every:
        raise RangeError(f"subject {subject.id}: last measurement on day {last:g}; follow up beyond {months:g} months.")
    rng, solver = np.random.default_rng(seed), solver or Solver(rtol=1e-5)
    parts, logs = [], []
    for way, fit, _ in weigh_immunity(model, [subject])[0]:
        sample, log_weight = _sampled(way, fit, draws, rounds, visits, solver, rng)
        parts.append(sample)
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
        seen=observed_progression(subject),
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
    proposals: list[Proposal] = [(np.log(fit.values)[free], PROPOSAL_INFLATION * fit.covariance[np.ix_(free, free)])]
    nothing = np.empty((2, 0))
    sample = _Draws(np.empty((0, int(free.sum()))), nothing, nothing, mechanistic(model).immune)
    while True:
        points = student_draws(rng, proposals[-1], draws)
        sample = sample.joined(_round(model, fit.subject, points, visits, solver, rng))
        log_weight = log_weights(sample.points, np.logaddexp(*sample.log_target), proposals)
        if not np.isfinite(log_weight).any() or effective_size(normalised(log_weight)) >= ENOUGH:
            return sample, log_weight
        proposals.append(adapted(sample.points, log_weight))
        if len(proposals) > rounds:
            break
    evidence = np.logaddexp.reduce(log_weight) - np.log(len(log_weight))
    chosen = rng.choice(len(log_weight), size=draws, p=normalised(log_weight))
    moved = sample.rows(chosen)
    root = np.linalg.cholesky(proposals[-1][1]) * 2.38 / np.sqrt(PROPOSAL_INFLATION * moved.points.shape[1])
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
    solution = simulate(columns, structure.regimen(subject.doses), times=days, solver=solver)
    prior = log_normal(points, np.log(model.typical)[free], model.omega[np.ix_(free, free)])
    target, progressed = np.full((2, n), -np.inf), np.full((2, n), np.inf)
    fine = np.isfinite(solution.eradication)
    errors = rng.standard_normal((n, len(future), 2))
    with np.errstate(divide="ignore"):
        share = np.log(np.stack([1.0 - solution.eradication, solution.eradication]))
    rows = np.flatnonzero(fine)
    for branch, course in enumerate(branches(solution, columns)):
        expected = structure.observe(course, columns, rows, subject)
        target[branch, rows] = prior[rows] + share[branch, rows] + _log_likelihood(model, subject, expected)
        progressed[branch, rows] = assess_response(future_markers(course, columns, subject, future, errors)).shown[rows]
    return _Draws(points, target, progressed, structure.immune)


def _log_likelihood(model: PopulationModel, subject: Subject, expected: np.ndarray) -> np.ndarray:
    """Log likelihood (rows,) of a subject's measurements, for what was expected of them (rows, obs)."""
    total = np.zeros(len(expected))
    for kind in np.unique(subject.kind):
        here = subject.kind == kind
        value, below = (np.broadcast_to(part[here], expected[:, here].shape) for part in (subject.value, subject.below))
        total += model.residual[str(kind)].log_likelihood(value, below, expected[:, here]).sum(axis=1)
    return total
