"""A user's own evidence, never used in the fit, beside what a calibration predicts for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...model.simulate import Solver
from ...parameters.errors import EvidenceError, FileError, RangeError
from ...parameters.parameter_set import ParameterSet
from ..calibration.calibration import Calibration
from ..calibration.likelihood import ObservationMatch
from ..calibration.predictions import can_predict
from ..calibration.problem import compare
from ..fit_table import FitRow, fit_rows, model_numbers
from ..observations import Observation, Study
from ..posterior import Sizes, over_posterior
from ..studies import read_studies, read_study
from .leave_out import Coverage, Prediction, coverage_of, predicted

SEED = 20264
"""Virtual patients of the comparison; others than those of the fit."""
SIZES = Sizes(patients=600, patients_per_draw=150, seed=SEED)

REPLICATES = 4000
"""Simulated trials behind each predictive interval, shared among the posterior draws."""

_ROLE = "check"


@dataclass(frozen=True)
class UserRow:
    """One reported result of the user, the model's value with its parameter interval, and the predictive interval."""

    fit: FitRow
    prediction: Prediction

    @property
    def predictive_text(self) -> str:
        """Where 95 % of trials of this size would report; of a yes-or-no result how likely it is found."""
        prediction = self.prediction
        if not prediction.numeric:
            return "none" if prediction.chance is None else f"found in {100 * prediction.chance:.0f} %"
        form = ".1f" if self.fit.item.unit in {"%", "months"} else ".3g"
        return f"{prediction.lows[-1]:{form}}-{prediction.highs[-1]:{form}}"

    @property
    def inside_text(self) -> str:
        """Whether the report lies in the 95 % predictive interval."""
        return ("yes" if self.prediction.inside[-1] else "NO") if self.prediction.numeric else "-"


@dataclass(frozen=True)
class UserValidation:
    """Everything that `perdure validate` prints.

    Attributes
    ----------
    not_computed
        Ids of results that the model does not compute.
    warnings
        One line for each result that was used in the fit, so that it validates nothing.
    """

    rows: tuple[UserRow, ...]
    not_computed: tuple[str, ...]
    warnings: tuple[str, ...]

    def coverage(self) -> tuple[Coverage, ...]:
        """Reports inside their predictive intervals, at each of `LEVELS`."""
        return coverage_of([row.prediction for row in self.rows])


def read_user_evidence(path: Path | str) -> tuple[Study, ...]:
    """Read one evidence file, or every .toml file of a folder; FileError if there is none."""
    path = Path(path)
    if not path.exists():
        raise FileError(f"{path}: there is no such file or folder; expected evidence as in docs/extending.md.")
    return read_studies(path) if path.is_dir() else (read_study(path),)


def already_used(studies: Iterable[Study], calibration: Calibration, shipped: Iterable[Study]) -> tuple[str, ...]:
    """Name every result whose id, or quote and value, are those of one that the calibration was fitted to."""
    used = [item for study in shipped for item in study.items if item.role == "fit" or item.id in calibration.misfits]
    ids = {item.id for item in used} | set(calibration.misfits)
    quotes = {_words(item): item.id for item in used if item.quote}
    warnings = []
    for study in studies:
        for item in study.items:
            other = item.id if item.id in ids else quotes.get(_words(item), "") if item.quote else ""
            if other:
                same = "id" if item.id in ids else f"quote and value as '{other}'"
                warnings.append(f"{study.name}.toml, item '{item.id}': same {same} in the fit; it validates nothing.")
    return tuple(warnings)


def _words(item: Observation) -> tuple[str, float | None]:
    return " ".join(item.quote.lower().split()), item.value if item.value is not None else item.low


def validate_user_evidence(
    studies: Iterable[Study],
    calibration: Calibration,
    *,
    sizes: Sizes = SIZES,
    solver: Solver | None = None,
    shipped: Iterable[Study] | None = None,
) -> UserValidation:
    """Predict every result that the model computes, whatever its role, at the estimate and over posterior draws.

    Parameters
    ----------
    studies
        The user's evidence, as `read_studies(folder)` reads it.
    calibration
        What predicts; the evidence should not have been used in its fit.
    sizes
        Virtual patients and posterior draws, at least two.
    solver
        How to integrate; `Solver(rtol=1e-4, workers=1)` by default.
    shipped
        Evidence that the calibration may rest on, for the warnings; all that is shipped by default.

    Returns
    -------
    UserValidation
        For each result the model value and its 95 % intervals, of the parameters and of a trial of that size, in the
        unit of the report; which results the model does not compute; warnings of results that were in the fit.

    Raises
    ------
    EvidenceError
        If the model computes none of the results.
    RangeError
        If there are fewer than two draws.

    Examples
    --------
    >>> from perdure import Sizes, read_calibration, read_studies, validate_user_evidence
    >>> mine = [study for study in read_studies() if study.name == "karmma"]  # or read_studies("my_evidence")
    >>> sizes = Sizes(patients=20, draws=2, patients_per_draw=10)
    >>> validation = validate_user_evidence(mine, read_calibration(), sizes=sizes)
    >>> len(validation.rows), validation.warnings
    (5, ())
    """
    if sizes.draws < 2:
        raise RangeError(f"draws = {sizes.draws}; expected at least 2, or there is no parameter interval.")
    every = tuple(studies)
    chosen = tuple(_for_comparison(study) for study in every)
    computed = {item.id for study in chosen for item in study.items}
    not_computed = tuple(item.id for study in every for item in study.items if item.id not in computed)
    if not computed:
        raise EvidenceError(
            f"{', '.join(f'{study.name}.toml' for study in every)}: the model computes none of the {len(not_computed)} "
            "results; give the product, population and visit_interval_days of the arm, and endpoints such as orr."
        )
    solver = solver or Solver(rtol=1e-4, workers=1)

    def matches(parameters: ParameterSet, patients: int) -> tuple[ObservationMatch, ...]:
        return compare(
            parameters, chosen, n=patients, seed=sizes.seed, solver=solver, roles=(_ROLE,), sequences=True
        )  # fmt: skip

    posterior = over_posterior(matches, lambda rows: rows, calibration, sizes)
    rng = np.random.default_rng(sizes.seed)
    rows = tuple(
        UserRow(fit, predicted(fit.study, fit.item, np.resize(model_numbers(posterior, i).centred, REPLICATES), rng))
        for i, fit in enumerate(fit_rows(posterior))
    )
    used = already_used(every, calibration, read_studies() if shipped is None else shipped)
    return UserValidation(rows, not_computed, used)


def _for_comparison(study: Study) -> Study:
    """The results that the model computes, all in one role."""
    kept = tuple(
        item.model_copy(update={"role": _ROLE})
        for item in study.items
        if can_predict(item) and (item.scenario or study.product)
    )
    return study.model_copy(update={"items": kept})
