"""Which free numbers can bear on which fitted result: those of a therapy that is not given, or of a population that is
not treated, cannot.
"""

from collections.abc import Sequence

import numpy as np

from ...model.language.sentence import read_plan
from ...model.therapy import read_therapies
from ...parameters.population import read_populations
from ..arms import arms_of
from ..items import Item, Study
from ..scenario import Scenario


def relevant(ids: Sequence[str], study: Study, item: Item) -> np.ndarray:
    """Places in `ids` (k,) of the numbers that can bear on a result."""
    given, population = _given(study, item)
    return np.array([i for i, name in enumerate(ids) if _bears(name, given, population)], dtype=int)


def _bears(name: str, given: set[str], population: set[str]) -> bool:
    owner = name.split(".", maxsplit=1)[0]
    if owner in _populations():
        return owner in population
    therapy = _owners().get(name)
    return therapy is None or therapy in given


def _owners() -> dict[str, str]:
    return {parameter.id: therapy.key for therapy in read_therapies() for parameter in therapy.parameters}


def _populations() -> set[str]:
    return set(read_populations()[0])


def _given(study: Study, item: Item) -> tuple[set[str], set[str]]:
    """Therapies that patients of a result were given, and their populations; also those that it is compared with."""
    if not item.scenario:
        arm = arms_of([study], (item.role,))[study.name]
        doses = [dose.therapy for _, regimen in arm.regimens for dose in regimen.doses]
        return {study.product, *doses}, {study.population}
    scenario = study.scenario(item.scenario)
    both: list[Scenario] = [scenario, *([study.scenario(scenario.against)] if scenario.against else [])]
    lines = [line for one in both for line in read_plan(one.plan).lines]
    return {dose.therapy for line in lines for dose in line.regimen.doses}, {one.population for one in both}
