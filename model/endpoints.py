"""Trial endpoints from time courses: response, progression-free survival, cellular kinetics, persistence.

Every virtual patient has two branches: the tumour comes back if it was not eradicated (weight 1 - P), or it never
does (weight P), P being the probability of eradication. Nothing is drawn for it, so that results are smooth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..parameters.errors import InputError, RangeError, SimulationError, unknown
from ..parameters.patients import ASSAY_DRAWS, Draws
from ..parameters.units import DAYS_PER_MONTH
from .imwg import CR, PR, Response, assess_response, measure
from .relapse import causes
from .solution import Solution
from .statistics.survival import SurvivalCurve, kaplan_meier

# Cellular kinetics of a time course: peak, area under the curve, last day above a limit.


def peak(times: np.ndarray, course: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Highest value and its day, by a parabola through the largest recorded value and its neighbours."""
    filled = np.nan_to_num(course, nan=-np.inf)
    top = np.clip(filled.argmax(axis=1), 1, len(times) - 2)
    rows = np.arange(len(course))
    t = np.stack([times[top - 1], times[top], times[top + 1]], axis=1)
    v = np.stack([course[rows, top - 1], course[rows, top], course[rows, top + 1]], axis=1)
    left, right = t[:, 1] - t[:, 0], t[:, 2] - t[:, 1]
    rise, fall = (v[:, 1] - v[:, 0]) / left, (v[:, 2] - v[:, 1]) / right
    bend = (fall - rise) / (left + right)
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = -(rise + bend * left) / (2.0 * bend)
    inside = np.isfinite(shift) & (bend < 0) & (shift > -left) & (shift < right)
    shift = np.where(inside, shift, 0.0)
    value = v[:, 1] + shift * (rise + bend * left) + bend * shift**2
    best = course[rows, np.clip(filled.argmax(axis=1), 0, len(times) - 1)]
    day = np.where(inside, t[:, 1] + shift, times[filled.argmax(axis=1)])
    return np.where(inside, value, best), np.where(np.isfinite(best), day, np.nan)


def area(times: np.ndarray, course: np.ndarray, until: float) -> np.ndarray:
    """Area under a course from its first recorded day to `until`, at most to its last (trapezoidal rule)."""
    to = np.clip(until, times[:-1], times[1:])
    end = course[:, :-1] + np.diff(course, axis=1) * (to - times[:-1]) / np.diff(times)
    return np.sum(0.5 * (course[:, :-1] + end) * (to - times[:-1]), axis=1)


def last_above(times: np.ndarray, course: np.ndarray, limit: np.ndarray, until: np.ndarray) -> np.ndarray:
    """Last day on which a course stands above an assay limit, within follow-up until a day; 0 if it never does.

    Log-linear between recorded days. A course still above the limit at the end of follow-up gives that day:
    it is a time of last detection and not a half-life.
    """
    above = (course > limit[:, None]) & (times[None, :] <= until[:, None])
    any_above = above.any(axis=1)
    last = len(times) - 1 - above[:, ::-1].argmax(axis=1)
    following = np.minimum(last + 1, len(times) - 1)
    rows = np.arange(len(course))
    still = course[rows, following] > limit
    with np.errstate(divide="ignore", invalid="ignore"):
        drop = np.log(course[rows, last]) - np.log(np.maximum(course[rows, following], 1e-300))
        share = (np.log(course[rows, last]) - np.log(limit)) / drop
    share = np.where(still, 1.0, np.where(np.isfinite(share), np.clip(share, 0.0, 1.0), 0.0))
    day = times[last] + share * (times[following] - times[last])
    return np.where(any_above, np.minimum(day, until), 0.0)


MRD_LIMITS = {"1e-5": 1e-5, "1e-6": 1e-6}
DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class Visits:
    """When a trial looks: response assessments every so many days, for so many months.

    Attributes
    ----------
    every
        Days between assessments; the baseline is on day 0.
    months
        Follow-up in months of 30.4375 days.

    Raises
    ------
    RangeError
        If a number is not positive, follow-up holds fewer than three visits, or there are more than 160.

    Examples
    --------
    >>> from perdure import Visits
    >>> visits = Visits(every=28.0, months=6.0)
    >>> len(visits.days), visits.until
    (7, 182.625)
    """

    every: float = 28.0
    months: float = 60.0

    def __post_init__(self) -> None:
        """Check that there are visits, and not more than the assay draws kept per patient."""
        if not 0 < self.every < np.inf or not 0 < self.months < np.inf:
            raise RangeError(
                f"visits every {self.every:g} d for {self.months:g} months; both must be positive numbers."
            )
        if self.until < 3 * self.every:
            raise RangeError(
                f"follow-up of {self.months:g} months holds fewer than three visits, one every {self.every:g} d."
            )
        if len(self.days) > ASSAY_DRAWS:
            raise RangeError(f"{len(self.days)} visits; at most {ASSAY_DRAWS} are possible, so make them rarer.")

    @property
    def until(self) -> float:
        """Last day of follow-up."""
        return self.months * DAYS_PER_MONTH

    @property
    def days(self) -> np.ndarray:
        """Days of the assessments, the baseline on day 0 included."""
        return np.arange(0.0, self.until + 1e-9, self.every)

    @property
    def grid(self) -> np.ndarray:
        """Days on which a simulation is recorded: daily around the peak, then every two weeks and at each visit."""
        fine = np.arange(0.0, min(40.0, self.until))
        late = np.arange(42.0, self.until, 14.0)
        return np.unique(np.round(np.concatenate([fine, late, self.days, [self.until]]), 6))


BY_BRANCH = ("weight", "persistence", "least_tumour", "tumour_at_progression")
"""Outcomes that are arrays (2, n); the others have a row per patient."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What a trial would report of its virtual patients; arrays (2, n) have the branches relapse and eradicated.

    Days count from the start of the line, which is the first infusion where nothing else is said. Arrays (n,) are those
    of the patient in both branches. Response and progression are by Kumar 2016 (IMWG, serum criteria).

    Attributes
    ----------
    visits
        When was looked.
    weight : array (2, n)
        Probability of each branch.
    responses
        Response and progression in each branch (`imwg.Response`), days.
    death : array (n,)
        Day of death without progression.
    c_max, t_max, auc_28 : array (n,)
        Peak of CAR-T cells (cells/uL), its day, and the area under the curve to day 28 (cells/uL x days).
    persistence : array (2, n)
        Last day on which CAR-T cells are above the limit of the assay.
    least_tumour : array (2, n)
        Lowest tumour at a visit, cells.
    density_before, density_at_progression : array (n,)
        Mean antigen density on day 0 and at the visit that shows progression (molecules/cell), NaN without it.
    tumour_at_progression : array (2, n)
        Cells at the visit that shows progression, NaN without it.
    cause_shares : array (n, causes)
        Share of each cause (`relapse.CAUSES`) in the relapse; zero without progression.
    soluble_bcma : array (n, visits)
        Soluble BCMA at the visits, relative to the baseline.
    marrow_cells : array (n,)
        Cells of the marrow, of which residual disease is a share.
    usable : array (n,)
        1, or 0 for patients that could not be integrated.

    Examples
    --------
    >>> from perdure import treat
    >>> outcomes = treat("ide-cel", patients=20, months=6.0).outcomes
    >>> outcomes.weight.shape, outcomes.n
    ((2, 20), 20)
    >>> outcomes.overall_response_rate > 0.5
    True
    """

    visits: Visits
    weight: np.ndarray
    responses: tuple[Response, Response]
    death: np.ndarray
    c_max: np.ndarray
    t_max: np.ndarray
    auc_28: np.ndarray
    persistence: np.ndarray
    least_tumour: np.ndarray
    density_before: np.ndarray
    density_at_progression: np.ndarray
    tumour_at_progression: np.ndarray
    cause_shares: np.ndarray
    soluble_bcma: np.ndarray
    marrow_cells: np.ndarray
    usable: np.ndarray

    @property
    def n(self) -> int:
        """Number of virtual patients, those without a result included."""
        return self.weight.shape[1]

    def among(self, keep: np.ndarray) -> "Outcomes":
        """The same with only some patients counted: `keep` (n,) or, by branch, (2, n); others get no weight.

        Returns
        -------
        Outcomes
            With as many patients as before; `weight` is multiplied by `keep`.
        """
        return replace(self, weight=self.weight * keep)

    @classmethod
    def concatenate(cls, parts: "Sequence[Outcomes]") -> "Outcomes":
        """Outcomes of several groups of patients, seen at the same visits, as those of one arm.

        Returns
        -------
        Outcomes
            Of n_1 + n_2 + ... patients, in the order of the parts.
        """
        values: dict[str, Any] = {"visits": parts[0].visits}
        for field in fields(cls):
            columns = [getattr(part, field.name) for part in parts]
            if field.name == "responses":
                values[field.name] = tuple(
                    Response(
                        **{
                            each.name: np.concatenate([getattr(column[branch], each.name) for column in columns])
                            for each in fields(Response)
                        }
                    )
                    for branch in (0, 1)
                )
            elif field.name != "visits":
                values[field.name] = np.concatenate(columns, axis=1 if field.name in BY_BRANCH else 0)
        return cls(**values)

    @cached_property
    def flat_weight(self) -> np.ndarray:
        """Weights of all branches in one row; zero for patients that could not be integrated."""
        return (self.weight * self.usable).ravel()

    def rate(self, holds: np.ndarray) -> float:
        """Weighted share of virtual patients for whom `holds` (2, n) is true.

        Returns
        -------
        float
            From 0 to 1.
        """
        return float(np.sum(self.flat_weight * holds.ravel()) / np.sum(self.flat_weight))

    @cached_property
    def best(self) -> np.ndarray:
        """Best response (2, n), an index into `imwg.CATEGORIES`."""
        return np.stack([response.best for response in self.responses])

    @property
    def overall_response_rate(self) -> float:
        """Share with a confirmed partial response or better."""
        return self.rate(self.best >= PR)

    @property
    def complete_response_rate(self) -> float:
        """Share with a confirmed complete response."""
        return self.rate(self.best >= CR)

    def mrd_negative(self, limit: str = "1e-5") -> np.ndarray:
        """Whether the tumour ever falls below the limit ('1e-5', '1e-6'), as a share of marrow cells.

        Returns
        -------
        array (2, n)
            Yes or no, by branch; `rate` makes a share of it.

        Raises
        ------
        UnknownNameError
            If there is no such limit.
        """
        if limit not in MRD_LIMITS:
            raise unknown("limit of residual disease", limit, MRD_LIMITS)
        return self.least_tumour < MRD_LIMITS[limit] * self.marrow_cells

    def progression(self, dated: str = "visit") -> np.ndarray:
        """Day of progression.

        `visit` is the visit that shows it. `expected` is the crossing plus half the gap between visits: the mean of
        the visit dates over the phase of the visits, continuous in the parameters and so made for fitting.

        Returns
        -------
        array (2, n)
            Days, by branch; infinite where none is seen.

        Raises
        ------
        UnknownNameError
            If `dated` is neither 'visit' nor 'expected'.
        """
        if dated == "visit":
            return np.stack([response.shown for response in self.responses])
        if dated == "expected":
            return np.stack([response.progression for response in self.responses]) + 0.5 * self.visits.every
        raise unknown("way to date progression", dated, ("visit", "expected"))

    def progression_free(self, dated: str = "visit", *, patients: float | None = None) -> SurvivalCurve:
        """Progression-free survival: progression, or death without it.

        Returns
        -------
        SurvivalCurve
            Months from the start of the line. Its band is that of as many patients as were simulated, or of `patients`.
        """
        day = np.minimum(self.progression(dated), self.death)
        return self._curve(day, self.flat_weight > 0, 0.0, patients)

    def duration_of_response(self, dated: str = "visit", *, patients: float | None = None) -> SurvivalCurve:
        """Time from the first confirmed response to progression or death, among responders.

        Returns
        -------
        SurvivalCurve
            Months from the response. Its band is that of as many responders as were simulated, or of `patients`.

        Raises
        ------
        InputError
            If nobody responds.
        """
        day = np.minimum(self.progression(dated), self.death)
        first = np.stack([response.first_response for response in self.responses])
        responders = ((self.best >= PR) & np.isfinite(first) & (first < day)).ravel() & (self.flat_weight > 0)
        return self._curve(day, responders, np.where(np.isfinite(first), first, 0.0), patients)

    def _curve(
        self, day: np.ndarray, keep: np.ndarray, start: np.ndarray | float, patients: float | None
    ) -> SurvivalCurve:
        event = (day <= self.visits.until).ravel()
        time = ((np.minimum(day, self.visits.until) - start) / DAYS_PER_MONTH).ravel()
        people = float(self.flat_weight[keep].sum()) if patients is None else patients  # two branches are one patient
        return kaplan_meier(time[keep], event[keep], self.flat_weight[keep], patients=people)

    def cause_share(self) -> np.ndarray:
        """Share of each cause (`relapse.CAUSES`) among all relapses of the population.

        Returns
        -------
        array (causes,)
            They add up to 1; NaN if nobody relapses.
        """
        weight = (self.weight[0] * self.usable)[:, None]
        total = float(np.sum(weight * self.cause_shares))
        return (
            np.sum(weight * self.cause_shares, axis=0) / total
            if total > 0
            else np.full(self.cause_shares.shape[1], np.nan)
        )


def outcomes(solution: Solution, patients: Mapping[str, np.ndarray], draws: Draws, visits: Visits) -> Outcomes:
    """Endpoints of a simulation that was recorded on `visits.grid`: response, progression, kinetics, persistence.

    Response and progression by Kumar 2016 (IMWG, serum criteria). Patients that could not be integrated get weight
    zero; their share is `solution.failed_share`.

    Parameters
    ----------
    solution
        The simulation.
    patients
        Parameters of its patients by name, arrays (n,).
    draws
        Their randomness: errors of the assay, and death without progression.
    visits
        When is looked.

    Returns
    -------
    Outcomes
        Arrays (2, n) by branch and (n,), in days, cells, cells/uL and molecules/cell as each says.

    Raises
    ------
    InputError
        If a visit was not recorded.
    SimulationError
        If no patient could be integrated.

    Examples
    --------
    >>> from perdure import Visits, draw, infuse, make_patients, outcomes, read_calibration, simulate
    >>> numbers, visits = read_calibration().parameters(), Visits(months=6.0)
    >>> people = draw(numbers, 20, seed=1)
    >>> patients = make_patients(numbers, people, product="ide_cel", population="late_line")
    >>> solution = simulate(patients, infuse("ide_cel"), times=visits.grid)
    >>> outcomes(solution, patients, people, visits).progression().shape
    (2, 20)
    """
    usable = np.isfinite(solution.eradication)
    if not usable.any():
        reasons = ", ".join(sorted({failure.reason for failure in solution.failures}))
        raise SimulationError(f"none of {solution.n} patients could be integrated ({reasons}); see solution.failures.")
    return outcomes_of_part(solution, patients, draws, visits)


def outcomes_of_part(solution: Solution, patients: Mapping[str, np.ndarray], draws: Draws, visits: Visits) -> Outcomes:
    """`outcomes` of some patients of a cohort, of whom all may have failed."""
    days, times = visits.days, solution.times
    usable = np.isfinite(solution.eradication)
    gone = np.where(usable, solution.eradication, 0.0)
    # Observables of a patient stand side by side in memory; a copy of the few that are read again and again is quicker.
    tumour, m_protein, car_t = (np.ascontiguousarray(solution[name]) for name in ("tumour", "m_protein", "car_t"))
    here = _recorded(times, days)
    branches, back = _branches(times, here, tumour, m_protein, gone, patients["k_clearance_m_protein"])
    death = death_without_progression(patients, draws.death[: solution.n])
    alive = days[None, :] <= death[:, None]
    responses = []
    for branch_tumour, branch_protein in branches:
        if not usable.all():
            branch_tumour, branch_protein = np.nan_to_num(branch_tumour), np.nan_to_num(branch_protein)
        responses.append(assess_response(measure(days, branch_protein, branch_tumour, patients, draws), death))
    shown = np.stack([response.shown for response in responses])
    c_max, t_max = peak(times, car_t)
    rows = np.arange(solution.n)
    at = _recorded(times, np.where(np.isfinite(shown[0]), shown[0], 0.0))
    density = np.where(np.isfinite(shown[0]), solution["density_mean"][rows, at], np.nan)
    seen_until = np.minimum(shown, np.minimum(death, visits.until))
    persistence = np.stack([last_above(times, car_t, patients["limit_car_t"], day) for day in seen_until])
    return Outcomes(
        visits=visits,
        weight=np.stack([1.0 - gone, gone]),
        responses=(responses[0], responses[1]),
        death=death,
        c_max=c_max,
        t_max=t_max,
        auc_28=area(times, car_t, 28.0),
        persistence=np.where(usable, persistence, np.nan),
        least_tumour=np.stack([np.where(alive, branch[0], np.inf).min(axis=1) for branch in branches]),
        density_before=solution["density_mean"][:, 0],
        density_at_progression=density,
        tumour_at_progression=np.stack([_at_visit(days, branches[k][0], shown[k]) for k in (0, 1)]),
        cause_shares=causes(solution, patients, responses[0].progression, {"tumour": back}),
        soluble_bcma=solution["soluble_bcma"][:, here],
        marrow_cells=patients["marrow_cells"],
        usable=usable.astype(float),
    )


def _recorded(times: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Where the days of visits stand among the recorded times, which are rounded to a millionth of a day."""
    here = np.clip(np.searchsorted(times, days - 2e-6), 0, len(times) - 1)
    off = np.flatnonzero(np.abs(times[here] - days) > 2e-6)
    if off.size:
        raise InputError(f"the visit on day {days[off[0]]:g} was not recorded; simulate with times=visits.grid.")
    return here


def _at_visit(days: np.ndarray, tumour: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Tumour (n,) at the visit on the day `shown`, NaN without one; `tumour` (n, visits) is that of one branch."""
    at = np.minimum(np.searchsorted(days, shown), len(days) - 1)
    return np.where(np.isfinite(shown), tumour[np.arange(len(tumour)), at], np.nan)


_Branch = tuple[np.ndarray, np.ndarray]


def _branches(
    times: np.ndarray, here: np.ndarray, tumour: np.ndarray, m_protein: np.ndarray, gone: np.ndarray,
    clearance: np.ndarray,
) -> tuple[tuple[_Branch, _Branch], np.ndarray]:  # fmt: skip
    """Tumour and M-protein at visits given that the tumour comes back, and given that it was eradicated; and the whole
    course of the tumour that comes back.

    The expected tumour is the mean over both; the tumour that survives is larger by 1 / (1 - P) after its lowest
    point. M-protein is linear in the tumour: what was there at the lowest point decays in both branches, what is made
    afterwards comes from survivors.
    """
    lowest = np.argmin(np.where(np.isfinite(tumour), tumour, np.inf), axis=1)
    turn = times[lowest][:, None]
    alive = np.maximum(1.0 - gone, 1e-9)[:, None]
    course = np.where(times[None, :] > turn, tumour / alive, tumour)
    days, tumour_then, protein = times[here][None, :], tumour[:, here], m_protein[:, here]
    after = days > turn
    left = m_protein[np.arange(len(tumour)), lowest][:, None] * np.exp(
        -clearance[:, None] * np.maximum(days - turn, 0.0)
    )
    back = course[:, here], np.where(after, left + (protein - left) / alive, protein)
    never = np.where(after, 0.0, tumour_then), np.where(after, left, protein)
    return (back, never), course


def death_without_progression(patients: Mapping[str, np.ndarray], uniform: np.ndarray) -> np.ndarray:
    """Day of death without progression: one constant hazard in the first year, another afterwards."""
    early, late = patients["hazard_death_first_year"], patients["hazard_death_later"]
    due = -np.log1p(-uniform)  # cumulative hazard at death
    first_year = early * DAYS_PER_YEAR
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(due <= first_year, due / early, DAYS_PER_YEAR + (due - first_year) / late)
