"""The myeloma model as structural model: predicted CAR-T cells and markers of one patient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np

from ...model.regimens.regimen import SPLIT_DAYS, Bolus, Regimen, infuse
from ...model.simulate import Solver, simulate
from ...model.solution import Solution
from ...model.therapy import read_therapy
from ...parameters.errors import InputError, RegimenError, unknown
from ...parameters.parameter_set import ParameterSet
from ...parameters.patients import Draws, make_patients
from ..calibration.calibration import read_calibration
from .data import Longitudinal, Subject
from .residual import Residual
from .structure import PopulationModel

TRANSGENE_SCALE = "transgene_per_cell"
"""The number of a patient that turns cells per uL into transgene copies per ug of DNA."""

ALWAYS = (
    "k_expansion", "car_t_capacity", "k_memory_formation", "k_death_memory", "k_kill_max", "suppression_baseline",
    "k_growth_tumour", "tumour_baseline", "m_protein_baseline",
)  # fmt: skip
"""Parameters of one patient that cells and markers can inform. What else differs between patients (antigen, exhaustion,
host cells, traits) stays typical in a fit, and is drawn from the population in a prediction (`progression`)."""

IMMUNITY = "immunogenic"
"""The one yes-or-no trait that is decided for every patient: immunity against the CAR clears the cells within weeks, so
that counts tell it, and nearly half of the patients have it. The other traits are rare, and drawn."""

OBSERVED = MappingProxyType(
    {"car_t": "car_t", "transgene": "car_t", "m_protein": "m_protein", "flc": "light_chain"}
)  # fmt: skip
"""The observable of the model behind each kind of measurement; a cell per mm3 is one per uL."""
SOLVER = Solver(rtol=1e-5, few=0.0)
"""How a fit integrates: the error of 1e-5 is small beside that of a finite difference, and a fit asks for the expected
tumour only, not for the probability that it dies out."""
NOTHING = Regimen()
"""No dose beside the CAR-T cells."""
MOST = 1e20
"""Larger values of a parameter are not simulated: a search has left every range there."""
LEAST = MappingProxyType({"car_t": 1e-6, "transgene": 1e-6, "m_protein": 1e-6, "flc": 1e-3})
"""Predictions are not smaller than this, in the unit of the kind, so that they have a logarithm on day 0 too."""

RESIDUALS: Mapping[str, Residual] = MappingProxyType(
    {
        "car_t": Residual("log", additive=0.4),
        "transgene": Residual("log", additive=0.4),
        "m_protein": Residual("combined", additive=0.5, proportional=0.1),
        "flc": Residual("combined", additive=5.0, proportional=0.2),
    }
)
"""Errors before a population fit has estimated them: assumed. Somewhat more than the error of each assay (that of the
M-protein is 0.2 g/L and 7 % in the catalogue), because the model is not exactly right either."""


@dataclass(frozen=True, eq=False)
class Mechanistic:
    """The composed myeloma model with one product, in one population, under the calibration.

    Attributes
    ----------
    ids
        Individual parameters: names of the catalogue, and `transgene_per_cell`.
    parameters
        The numbers that everything else comes from.
    others
        What is given beside the CAR-T cells.
    immune
        Whether the patients are prone to immunity against the CAR.
    """

    product: str
    population: str
    ids: tuple[str, ...]
    parameters: ParameterSet
    others: Regimen = NOTHING
    solver: Solver = SOLVER
    immune: bool = False

    def __post_init__(self) -> None:
        """Check the product, the ids and what else is given."""
        if read_therapy(self.product).kind != "car_t":
            raise RegimenError(f"product '{self.product}' is a drug; name a CAR-T product, such as ide_cel.")
        if self.others.products:
            raise RegimenError(f"'{self.others.text}': CAR-T cells come from the data, or are the usual dose.")
        for name in self.ids:
            if name not in self.typical:
                raise unknown("parameter", name, self.typical, "individual parameters")

    @cached_property
    def typical(self) -> dict[str, float]:
        """Typical value of every parameter of the product in the population; no trait but immunity if `immune`."""
        values = self.parameters.typical(self.product, self.population)
        present = {IMMUNITY: values[IMMUNITY] if self.immune else 0.0}
        return values | {name: 0.0 for name in values if self.parameters[name].drawn_with} | present

    @property
    def share_immune(self) -> float:
        """Share of the population that is prone to immunity against the CAR."""
        return self.typical[self.parameters[IMMUNITY].drawn_with]

    def predict(self, values: np.ndarray, subjects: Sequence[Subject]) -> list[np.ndarray]:
        """What each subject's measurements should be; one engine run for all rows with the same doses.

        Parameters
        ----------
        values : array (rows, ids)
            Individual parameters, natural and positive.
        subjects
            One for each row; the same subject may stand in many rows.

        Returns
        -------
        list of arrays (obs,)
            In the unit of each measurement; NaN where a row could not be integrated, or its values are no numbers. A
            measurement before day 0 is compared with day 0.
        """
        values = np.asarray(values, dtype=float)
        if values.shape != (len(subjects), len(self.ids)):
            raise InputError(f"values have shape {values.shape}; expected {(len(subjects), len(self.ids))}.")
        groups: dict[tuple[tuple[float, float], ...], list[int]] = {}
        predictions = [np.full(len(subject.time), np.nan) for subject in subjects]
        for row in np.flatnonzero(np.all((values > 0.0) & (values < MOST), axis=1)).tolist():
            groups.setdefault(tuple(subjects[row].doses), []).append(row)
        for doses, rows in groups.items():
            some = [subjects[row] for row in rows]
            columns = self.columns(values[rows], some)
            days = np.unique(np.concatenate([[0.0, 1.0], *(on_days(subject) for subject in some)]))
            solution = simulate(columns, self.regimen(doses), times=days, solver=self.solver)
            same: dict[int, list[int]] = {}
            for k, row in enumerate(rows):
                same.setdefault(id(subjects[row]), []).append(k)
            for places in same.values():
                predicted = self.observe(solution, columns, places, some[places[0]])
                for k, prediction in zip(places, predicted, strict=True):
                    predictions[rows[k]] = prediction
        return predictions

    def columns(
        self, values: np.ndarray, subjects: Sequence[Subject], draws: Draws | None = None
    ) -> dict[str, np.ndarray]:
        """Parameters of virtual patients, one for each row: fitted ones from `values`, the others typical, or with
        `draws` those of as many patients of the population.

        Whether the myeloma makes light chains only follows from what was measured in a subject, if any marker was.
        """
        rows = len(values)
        if draws is None:
            columns = {name: np.full(rows, value) for name, value in self.typical.items()}
        else:
            columns = dict(make_patients(self.parameters, draws, product=self.product, population=self.population))
        columns[IMMUNITY] = np.full(rows, self.typical[IMMUNITY])
        columns |= {name: np.array(values[:, k]) for k, name in enumerate(self.ids)}
        kinds = [set(subject.kind) for subject in subjects]
        light = np.array([0.0 if "m_protein" in kind else 1.0 if "flc" in kind else np.nan for kind in kinds])
        columns["light_chain_only"] = np.where(np.isfinite(light), light, columns["light_chain_only"])
        return columns

    def regimen(self, doses: Sequence[tuple[float, float]] = ()) -> Regimen:
        """What a subject was given: the doses in the data, else the usual dose of the product, and the others.

        Raises
        ------
        RegimenError
            If the first infusion is not on day 0, or a later one belongs to another course of cells.
        """
        if not doses:
            return infuse(self.product) + self.others
        days = [day for day, _ in doses]
        if min(days) != 0.0 or max(np.diff(sorted(days)), default=0.0) > SPLIT_DAYS:
            raise RegimenError(
                f"{self.product}: infusions on days {', '.join(f'{day:g}' for day in days)}; day 0 is the first, and "
                f"infusions more than {SPLIT_DAYS:g} days apart are another course of cells, which is not fitted."
            )
        cells = tuple(Bolus(self.product, float(amount), float(day)) for day, amount in doses)
        return Regimen(cells, read_therapy(self.product).title) + self.others

    def observe(
        self, solution: Solution, columns: Mapping[str, np.ndarray], rows: Sequence[int] | np.ndarray, subject: Subject
    ) -> np.ndarray:
        """What would be measured of some rows of a simulation at the subject's times, without error: (rows, obs)."""
        at, who = np.searchsorted(solution.times, on_days(subject)), np.asarray(rows)
        expected = np.empty((len(who), len(at)))
        for kind in set(subject.kind):
            if kind not in OBSERVED:
                raise unknown("kind of measurement", kind, OBSERVED, f"subject {subject.id}")
            here = subject.kind == kind
            scale = columns[TRANSGENE_SCALE][who, None] if kind == "transgene" else 1.0
            course = solution[OBSERVED[kind]][np.ix_(who, at[here])]
            expected[:, here] = np.maximum(scale * course, LEAST[kind])
        return expected


def mechanistic(model: PopulationModel) -> Mechanistic:
    """The structure of the model, if it is the mechanistic one; else InputError."""
    if not isinstance(model.structure, Mechanistic):
        raise InputError("this needs the mechanistic structure: other structures know of no tumour.")
    return model.structure


def with_immunity(model: PopulationModel, immune: bool) -> PopulationModel:
    """The model of patients who are, or are not, prone to immunity against the CAR."""
    return replace(model, structure=replace(mechanistic(model), immune=immune))


def on_days(subject: Subject) -> np.ndarray:
    """Days of the measurements as the model knows them: nothing happens before day 0."""
    return np.maximum(np.asarray(subject.time, dtype=float), 0.0)


def mechanistic_model(
    product: str = "cilta_cel",
    population: str = "late_line",
    *,
    data: Longitudinal | None = None,
    parameters: ParameterSet | None = None,
    others: Regimen | None = None,
    solver: Solver | None = None,
) -> PopulationModel:
    """The mechanistic population model before it has seen the user's patients: typical values, spreads and correlations
    of the calibrated population, and the errors of `RESIDUALS`.

    Parameters
    ----------
    product
        Key of the CAR-T product that the patients were given.
    population
        Key of the population that they come from.
    data
        Patients to fit: light chain and the scale of transgene copies become individual parameters if measured.
    parameters
        Other values than the calibrated ones.
    others
        What is given beside the CAR-T cells; days count from the first infusion.
    solver
        How to integrate; by default at a relative tolerance of 1e-5, without eradication.

    Returns
    -------
    PopulationModel
        Typical values (ids,) in the unit of each parameter, covariance of their logarithms between patients (ids, ids),
        and the residual error of each kind of measurement.

    Raises
    ------
    UnknownNameError
        If there is no such product or population.
    RegimenError
        If the product is a drug, or `others` gives CAR-T cells.

    Examples
    --------
    >>> from perdure import mechanistic_model
    >>> model = mechanistic_model("ide_cel", "late_line")
    >>> "k_growth_tumour" in model.structure.ids, model.omega.shape == 2 * model.typical.shape
    (True, True)
    """
    numbers = parameters or read_calibration().parameters()
    kinds = {str(kind) for subject in data.subjects for kind in subject.kind} if data is not None else set()
    extra = (("flc", "flc_baseline"), ("transgene", TRANSGENE_SCALE))
    ids = (*ALWAYS, *(name for kind, name in extra if kind in kinds))
    structure = Mechanistic(product, population, ids, numbers, others or NOTHING, solver or SOLVER)
    typical = structure.typical
    residuals = {kind: error for kind, error in RESIDUALS.items() if not kinds or kind in kinds}
    return PopulationModel(
        structure=structure,
        typical=np.array([typical[name] for name in ids]),
        omega=covariance(numbers, ids, product, population),
        residual=residuals,
    )


def covariance(parameters: ParameterSet, ids: Sequence[str], product: str, population: str) -> np.ndarray:
    """Between-patient covariance of the logarithms, array (ids, ids): the spreads and correlations of a population."""
    spreads = parameters.spreads(population, product)
    for name in ids:
        if name not in spreads:
            raise InputError(f"'{name}' does not differ between patients in '{population}', so it is not individual.")
    sd = np.array([spreads[name] for name in ids])
    correlation = np.eye(len(ids))
    for link in parameters.populations[population].correlations:
        if link.first in ids and link.second in ids:
            i, j = ids.index(link.first), ids.index(link.second)
            correlation[i, j] = correlation[j, i] = link.value
    return correlation * np.outer(sd, sd)
