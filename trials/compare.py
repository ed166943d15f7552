"""Several arms on the same virtual patients, at the estimate and at posterior draws: numbers, gains, chances.

Gains are paired: an arm less another one in the same patients, draw by draw (common random numbers). Of plans of
several lines any line is reported; gains of a later one are differences between the patients who come to it in each
arm: the same people where the lines before are the same.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..fitting.calibration.calibration import Calibration, read_calibration
from ..fitting.posterior import Estimate, Numbers, Posterior, Sizes, over_posterior
from ..fitting.studies import read_studies
from ..model.regimens.plan import Plan
from ..model.simulate import Solver
from ..parameters.errors import InputError, unknown
from ..parameters.parameter_set import ParameterSet
from .arm import Arm
from .measures import EFFICACY, Measure
from .provenance import Provenance, provenance_of_plan
from .treat import FIRST_LINE_MONTHS, ArmResult, treat

EVERYBODY = "everybody"
Group = Callable[[ArmResult], np.ndarray]
"""Who belongs to a group, from the patients treated in the first arm: array (n,) or, by branch, (2, n)."""
BAND_MONTHS = np.arange(0.0, FIRST_LINE_MONTHS + 0.5, 1.0)
"""Months at which the curves of posterior draws are kept."""
SHARE = Measure("share of patients", "%", lambda result: 100.0 * result.counted / result.outcomes.n, 0.0, 100.0)
"""How many belong to a group."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What is kept of all arms at one set of parameters.

    Attributes
    ----------
    table : array (groups, arms, measures)
        NaN where nobody belongs to the group.
    curves : array (arms, months)
        Progression-free survival.
    failed
        Largest share of patients, of the arms, who could not be integrated.
    """

    table: np.ndarray
    curves: np.ndarray
    failed: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Arms against each other, on the same virtual patients.

    Attributes
    ----------
    arms
        The arms; gains are counted from the first unless another is named.
    measures
        What was measured of each, and last the share of the patients (%).
    groups
        Names of the groups of patients; 'everybody' is the first.
    posterior
        The arms at the estimate, and what was measured there and at posterior draws: a table (groups, arms, measures)
        each, in the unit of each measure, and curves (arms, months).
    months : array (months,)
        Months at which the curves of the draws are kept.
    provenance
        What each arm rests on: calibrated, or extrapolated and why.

    Examples
    --------
    >>> from perdure import Arm, Sizes, compare, measures
    >>> arms = [Arm("alone", "ide-cel"), Arm("with", "ide-cel; lenalidomide 10 mg daily from day 30 for 5 months")]
    >>> comparison = compare(arms, sizes=Sizes(patients=20, draws=2, patients_per_draw=10), months=6.0)
    >>> response = comparison.estimate("with", measures.RESPONSE)
    >>> response.low <= response.high
    True
    >>> 0.0 <= comparison.chance("with", measures.RESTRICTED_PFS) <= 1.0
    True
    """

    arms: tuple[Arm, ...]
    measures: tuple[Measure, ...]
    groups: tuple[str, ...]
    posterior: Posterior[tuple[ArmResult, ...], Measured]
    months: np.ndarray
    provenance: tuple[Provenance, ...]

    @property
    def results(self) -> tuple[ArmResult, ...]:
        """Virtual patients of every arm at the estimate."""
        return self.posterior.simulated

    @property
    def failed_share(self) -> float:
        """Largest share of patients of an arm, at the estimate or at a draw, who could not be integrated."""
        return max(measured.failed for measured in (self.posterior.value, *self.posterior.draws))

    def result(self, arm: str) -> ArmResult:
        """Virtual patients of an arm at the estimate.

        Returns
        -------
        ArmResult
            With `sizes.patients` patients.

        Raises
        ------
        UnknownNameError
            If there is no such arm.
        """
        return self.results[self._arm(arm)]

    def _arm(self, name: str) -> int:
        names = [arm.name for arm in self.arms]
        if name not in names:
            raise unknown("arm", name, names)
        return names.index(name)

    def numbers(self, arm: str, measure: Measure, against: str = "", group: str = EVERYBODY) -> Numbers:
        """A measure at the estimate and at every draw; the difference from another arm, in the same patients, if given.

        Returns
        -------
        Numbers
            A number, and an array (draws,), in the unit of the measure.

        Raises
        ------
        UnknownNameError
            If there is no such arm, measure or group.
        """
        a, names = self._arm(arm), [known.name for known in self.measures]
        for kind, name, known in (("group", group, self.groups), ("measure", measure.name, names)):
            if name not in known:
                raise unknown(kind, name, known)
        at = self.groups.index(group), a, names.index(measure.name)
        numbers = self.posterior.numbers(lambda measured: measured.table[at], measure.low, measure.high)
        return numbers.minus(self.numbers(against, measure, "", group)) if against else numbers

    def draws_of(self, arm: str, measure: Measure, against: str = "", group: str = EVERYBODY) -> np.ndarray:
        """A measure at every draw without the Monte Carlo error of few patients; the difference from another arm.

        Returns
        -------
        array (draws,)
            In the unit of the measure.
        """
        return self.numbers(arm, measure, against, group).centred

    def estimate(self, arm: str, measure: Measure, group: str = EVERYBODY) -> Estimate:
        """A measure with its 95 % interval over posterior draws.

        Returns
        -------
        Estimate
            In the unit of the measure; NaN where nobody belongs to the group.
        """
        return self.numbers(arm, measure, "", group).estimate

    def gain(self, arm: str, measure: Measure, against: str = "", group: str = EVERYBODY) -> Estimate:
        """The difference from another arm (the first by default) in the same patients, with its 95 % interval.

        Returns
        -------
        Estimate
            In the unit of the measure; of percentages in percentage points.
        """
        return self.numbers(arm, measure, against or self.arms[0].name, group).estimate

    def chance(self, arm: str, measure: Measure, against: str = "", group: str = EVERYBODY) -> float:
        """Share of posterior draws in which an arm has more of a measure than another one; ties count half.

        Returns
        -------
        float
            From 0 to 1; NaN if it is known in no draw.
        """
        gains = self.draws_of(arm, measure, against or self.arms[0].name, group)
        known = gains[~np.isnan(gains)]
        return float(np.mean((known > 0) + 0.5 * (known == 0))) if known.size else float("nan")

    def share(self, group: str) -> Estimate:
        """Share of the virtual patients who belong to a group.

        Returns
        -------
        Estimate
            In percent.
        """
        return self.estimate(self.arms[0].name, SHARE, group)

    def band(self, arm: str) -> np.ndarray:
        """Progression-free survival of every draw without the Monte Carlo error of few patients.

        Returns
        -------
        array (draws, months)
            Fractions from 0 to 1 at `self.months`.
        """
        a = self._arm(arm)
        return self.posterior.numbers(lambda measured: measured.curves[a], 0.0, 1.0).centred


def compare(
    arms: Sequence[Arm],
    calibration: Calibration | None = None,
    *,
    measures: Sequence[Measure] = EFFICACY,
    groups: Mapping[str, Group] | None = None,
    line: int = 1,
    sizes: Sizes | None = None,
    months: float = FIRST_LINE_MONTHS,
    every: float = 28.0,
    band_months: np.ndarray = BAND_MONTHS,
    threads: int = 1,
    label: str = "posterior draws",
    **how: Any,
) -> Comparison:
    """Treat the same virtual patients in every arm, at the estimate and at posterior draws.

    Parameters
    ----------
    arms
        Each with a name of its own; the first is the reference of gains.
    calibration
        The shipped one by default.
    measures
        What is measured of every arm (`measures`).
    groups
        Who belongs to it, by name, as seen in the first arm (`Group`); everybody is always there. The same people
        count in every arm.
    line
        The line that is reported, 1 for the first; 0 is the last one of plans that have several.
    sizes
        Virtual patients and posterior draws.
    months, every
        Follow-up of the line in months, days between assessments.
    band_months
        Months at which the curves of the draws are kept.
    threads
        Arms treated side by side; the result is the same for any number.
    label
        What the progress is called.
    how
        More for `treat`: a solver, `keep_courses`, `with_first_line`.

    Returns
    -------
    Comparison
        Every measure with its interval, gains, and curves with their bands.

    Raises
    ------
    InputError
        If there is no arm, two have the same name, or a plan has one line only where a later one is asked for.
    NoPatientsError
        If no virtual patient comes to the line.
    SimulationError
        If no patient of an arm could be integrated.

    Examples
    --------
    >>> from perdure import Arm, Sizes, compare, measures
    >>> arms = [Arm("alone", "ide-cel"), Arm("with", "ide-cel; lenalidomide 10 mg daily from day 30 for 5 months")]
    >>> comparison = compare(arms, sizes=Sizes(patients=20, draws=2, patients_per_draw=10), months=6.0)
    >>> gain = comparison.gain("with", measures.RESTRICTED_PFS)  # months
    >>> gain.low <= gain.high
    True
    """
    arms, measures = tuple(arms), tuple(measures)
    names = [arm.name for arm in arms]
    if not arms or len(set(names)) != len(names):
        raise InputError(f"arms {names}: give at least one, each with a name of its own.")
    for arm in arms:
        if line != 1 and len(arm.plan.lines) < 2:
            raise InputError(f"arm '{arm.name}': its plan has one line; write 'at progression' and what is given then.")
    calibration, sizes = calibration or read_calibration(), sizes or Sizes()
    members: dict[str, Group] = {EVERYBODY: lambda result: np.ones(result.outcomes.n), **(groups or {})}
    grid = band_months[months >= band_months]
    how = {"solver": Solver(rtol=1e-5 if line == 1 else 1e-4), "keep_courses": False, **how}

    def simulate(parameters: ParameterSet, patients: int) -> tuple[ArmResult, ...]:
        def treated(arm: Arm) -> ArmResult:
            return treat(
                arm, line=line, patients=patients, seed=sizes.seed, months=months, every=every, parameters=parameters,
                **how,
            )  # fmt: skip

        if threads == 1:
            return tuple(map(treated, arms))
        with ThreadPoolExecutor(threads) as pool:
            return tuple(pool.map(treated, arms))

    def measure(results: tuple[ArmResult, ...]) -> Measured:
        curves = [np.asarray(result.pfs().at(grid)) for result in results]
        failed = max(result.failed_share for result in results)
        return Measured(table_of(results, members, measures), np.array(curves), failed)

    posterior = over_posterior(simulate, measure, calibration, sizes, label=label)
    studies = read_studies()
    provenance = tuple(_provenance(arm, line or len(arm.plan.lines), studies, calibration) for arm in arms)
    return Comparison(arms, (*measures, SHARE), tuple(members), posterior, grid, provenance)


def _provenance(arm: Arm, line: int, studies: Sequence[Any], calibration: Calibration) -> Provenance:
    provenance = provenance_of_plan(Plan(arm.plan.lines[:line]), arm.population, studies, calibration.missed)
    if arm.change is None:
        return provenance
    why = "" if provenance.calibrated else f"; {provenance.reason}"
    return Provenance(False, f"a thought experiment: the virtual patients themselves were changed{why}")


def table_of(results: Sequence[ArmResult], groups: Mapping[str, Group], measures: Sequence[Measure]) -> np.ndarray:
    """Every measure, and the share of patients, of every group in every arm.

    Returns
    -------
    array (groups, arms, measures + 1)
        NaN where nobody belongs to the group; who cannot be placed (NaN) belongs to none.
    """
    table = np.full((len(groups), len(results), len(measures) + 1), np.nan)
    for g, belongs in enumerate(groups.values()):
        keep = np.nan_to_num(np.asarray(belongs(results[0]), dtype=float))
        for a, result in enumerate(results):
            some = result.among(keep)
            if some.counted > 0:
                table[g, a] = [*(measure.read(some) for measure in measures), SHARE.read(some)]
    return table
