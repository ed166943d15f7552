"""How the patients of a study were treated, as far as it differs from the product given alone at its usual dose."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ..model.regimen import Regimen, give, infuse


class Treatment(BaseModel):
    """One way of treating within a study; `share` is its number of patients, so several are mixed in proportion."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    share: Annotated[float, Field(gt=0)] = 1.0
    cells: Annotated[float, Field(gt=0)] | None = None
    split: Annotated[tuple[float, ...], Field(strict=False)] = (1.0,)
    split_every_days: Annotated[float, Field(gt=0)] = 1.0
    drug: str = ""
    amount: str = ""
    start_day: float = 0.0
    months: Annotated[float, Field(gt=0)] | None = None
    cycle_days: Annotated[float, Field(gt=0)] | None = None
    days_on: Annotated[float, Field(gt=0)] | None = None
    note: str = ""

    def regimen(self, product: str) -> Regimen:
        """The doses, for a product."""
        cells = infuse(product, self.cells, split=self.split, every=self.split_every_days)
        if not self.drug:
            return cells
        return cells + give(
            self.drug, self.amount or None, start=self.start_day, months=self.months, cycle=self.cycle_days,
            days_on=self.days_on,
        )  # fmt: skip
