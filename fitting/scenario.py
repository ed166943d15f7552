"""How the patients of a result about a sequence of therapies were treated: a plan in words, and who they were."""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ..model.growth import burden_untreated
from ..parameters.errors import EvidenceError

_Positive = Annotated[float, Field(gt=0)]


class Selection(BaseModel):
    """Patients who were chosen by something: the highest or lowest `share` of them by a number of theirs.

    `by` is a parameter of the patients, or 'burden_at_infusion': the tumour after growing untreated for `wait_days`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    by: str
    side: Literal["high", "low"]
    share: Annotated[float, Field(gt=0, lt=1)]
    wait_days: Annotated[float, Field(ge=0)] = 0.0

    def chosen(self, patients: dict[str, np.ndarray], where: str) -> np.ndarray:
        """Which patients they are: array (n,) of yes or no."""
        if self.by == "burden_at_infusion":
            value = burden_untreated(patients, self.wait_days)
        elif self.by in patients:
            value = patients[self.by]
        else:
            raise EvidenceError(f"{where}: selects by '{self.by}', which no patient has; give the name of a parameter.")
        border = np.quantile(value, 1.0 - self.share if self.side == "high" else self.share)
        return value >= border if self.side == "high" else value <= border


class Scenario(BaseModel):
    """A plan, the line of it that the results are about, and the patients.

    Attributes
    ----------
    plan
        In the words of `model.language.sentence`.
    line
        The line that is reported, 1 being that of day 0.
    traits
        Numbers that all of its patients have, by name: `{ sensitive_braf_inhibitor = 1.0 }` where only carriers were
        treated, `{ fraction_lymphodepletion = 0.6 }` for incomplete lymphodepletion.
    against
        For a result that compares: the scenario of the same study that it is compared with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    plan: Annotated[str, Field(min_length=1)]
    line: Annotated[int, Field(ge=1)] = 1
    population: str
    visit_interval_days: _Positive = 28.0
    months: _Positive | None = None
    traits: dict[str, float] = {}
    select: Selection | None = None
    against: str = ""
    note: str = ""
