"""Who takes part: the courses of CAR-T cells that a regimen and its rules may give, and the drugs, in one system."""

from dataclasses import dataclass

from .cells import FIRST, Cells
from .myeloma import myeloma
from .regimen import Bolus, Regimen
from .system import System
from .therapy import read_therapies, read_therapy


@dataclass(frozen=True)
class Member:
    """One course: the regimen that gives it (0: that of day 0, then those that rules start), its product and cells."""

    part: int
    product: str
    first: float
    cells: Cells


@dataclass(frozen=True)
class Cast:
    """All courses, the first of them with the plain names of states and numbers, and all drugs."""

    members: tuple[Member, ...]
    drugs: tuple[str, ...]

    @property
    def products(self) -> tuple[str, ...]:
        """Product of every course, in the order in which `make_patients` wants them."""
        return tuple(member.product for member in self.members)

    @property
    def system(self) -> System:
        """Myeloma with who takes part and nobody else: what is absent costs nothing and changes nothing."""
        shelf = tuple(therapy for therapy in read_therapies() if therapy.pk is not None and therapy.key in self.drugs)
        return myeloma(shelf, tuple(member.cells for member in self.members) or (FIRST,))

    def suffix(self, part: int, dose: Bolus) -> str:
        """Ending of the states into which a dose of cells goes."""
        mine = [m for m in self.members if (m.part, m.product) == (part, dose.therapy) and m.first <= dose.day]
        return mine[-1].cells.suffix


def cast_of(*parts: Regimen) -> Cast:
    """Who takes part in a regimen and in those that rules may start after it."""
    members: list[Member] = []
    families: dict[str, str] = {}  # of binders, to the immunity that clears them
    for number, part in enumerate(parts):
        for product, first in part.courses:
            therapy = read_therapy(product)
            suffix = f"_{len(members) + 1}" if members else ""
            immunity = families.setdefault(therapy.binder, suffix)
            members.append(Member(number, product, first, Cells(therapy.targets, suffix, immunity)))
    drugs = sorted({drug for part in parts for drug in part.drugs})
    return Cast(tuple(members), tuple(drugs))
