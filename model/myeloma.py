"""The myeloma model: all mechanisms, with the CAR-T products and drugs of a regimen."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from .car_t_course import FIRST, CarTCourse
from .processes import antigen, biomarkers, car_t, drugs, exhaustion, host, microenvironment, tumour
from .processes import antigen_response as reach
from .processes import killing as attack
from .regimens.regimen import Bolus, Regimen
from .system.system import Branching, System
from .therapy import GRADED, Therapy, read_therapies, read_therapy

# CAR-T infusions and drugs of a regimen and its rules, assembled into one system.


@dataclass(frozen=True)
class CarTInfusion:
    """One course: the regimen that gives it (0: that of day 0, then those that rules start), its product and cells."""

    part: int
    product: str
    first: float
    cells: CarTCourse


@dataclass(frozen=True)
class Assembly:
    """All courses, the first of them with the plain names of states and numbers, and all drugs."""

    members: tuple[CarTInfusion, ...]
    drugs: tuple[str, ...]

    @property
    def products(self) -> tuple[str, ...]:
        """Product of every course, in the order in which `make_patients` wants them."""
        return tuple(member.product for member in self.members)

    @property
    def system(self) -> System:
        """Myeloma with these courses and drugs only: what is absent costs nothing and changes nothing."""
        shelf = tuple(therapy for therapy in read_therapies() if therapy.pk is not None and therapy.key in self.drugs)
        return myeloma(shelf, tuple(member.cells for member in self.members) or (FIRST,))

    def suffix(self, part: int, dose: Bolus) -> str:
        """Ending of the states into which a dose of cells goes."""
        infused = [m for m in self.members if (m.part, m.product) == (part, dose.therapy) and m.first <= dose.day]
        return infused[-1].cells.suffix


def assemble(*parts: Regimen) -> Assembly:
    """Who takes part in a regimen and in those that rules may start after it."""
    members: list[CarTInfusion] = []
    families: dict[str, str] = {}  # of binders, to the immunity that clears them
    for number, part in enumerate(parts):
        for product, first in part.courses:
            therapy = read_therapy(product)
            suffix = f"_{len(members) + 1}" if members else ""
            immunity = families.setdefault(therapy.binder, suffix)
            members.append(CarTInfusion(number, product, first, CarTCourse(therapy.targets, suffix, immunity)))
    drugs = sorted({drug for part in parts for drug in part.drugs})
    return Assembly(tuple(members), tuple(drugs))


OBSERVABLES = (
    "tumour", "m_protein", "light_chain", "soluble_bcma", "car_t", "effector", "memory", "exhausted_fraction",
    "engaged", "host", "host_exhausted", "suppression", "immunity", "density_mean", "susceptibility", "null_fraction",
    "antigen_stimulus", "kill_pressure", "fitness",
)  # fmt: skip
"""What a simulation records, by name. Of further courses of CAR-T cells it records `OF_COURSES`, with their suffix."""
OF_COURSES = (
    "cells", "engaged", "effector", "memory", "susceptibility", "antigen_stimulus", "kill_pressure", "fitness",
)  # fmt: skip


@cache
def myeloma(
    therapies: tuple[Therapy, ...] | None = None,
    courses: tuple[CarTCourse, ...] = (FIRST,),
    *,
    classes: tuple[tuple[str, int], ...] = tuple(antigen.CLASSES.items()),
) -> System:
    """The system of myeloma under CAR-T cells, with every shipped drug (or those given) able to act.

    Parameters
    ----------
    courses
        CAR-T products in the order of their infusion; by default one against BCMA.
    classes
        Density classes of each graded antigen. BCMA is always followed, another only if somebody attacks it.
    """
    candidates = read_therapies() if therapies is None else therapies
    available_drugs = tuple(drug for drug in candidates if drug.pk is not None)
    assaults = (*attack.from_car_t(courses), *attack.of_drugs(available_drugs))
    wanted = [name for assault in assaults if assault.attacker for name in assault.attacker.antigens]
    axes = antigen.axes([name for name in GRADED if name in wanted], dict(classes))
    lines = antigen.cell_lines(axes)
    load = {quantity.name: quantity for quantity in tumour.burden(axes, lines)}
    hazards = tumour.hazards(assaults, axes)
    quantities = (
        *drugs.modifiers(available_drugs),
        *reach.gains(),
        *(q for assault in assaults if assault.attacker for q in reach.classes(assault.attacker, axes)),
        *load.values(),
        *tumour.seen(courses, assaults, axes, lines),
        *car_t.pools(courses),
        *tumour.kill_pressure(courses),
        *car_t.room(courses),
        *car_t.proliferation(courses),
        exhaustion.share(courses),
        host.working(),
        *attack.levels(available_drugs),
        *attack.pressures(available_drugs),
        *hazards,
        biomarkers.light_chain(),
    )
    flows = (
        *tumour.flows(assaults, axes, lines, hazards),
        *antigen.flows(axes, lines),
        *attack.selection(available_drugs),
        *(flow for cells in courses for flow in car_t.flows(cells)),
        *(flow for cells in courses for flow in exhaustion.flows(cells)),
        *host.flows(courses, attack.redirection(available_drugs), attack.depletion(available_drugs)),
        *microenvironment.flows(),
        *biomarkers.flows(antigen.having(lines, 0, 0)),
    )
    states = (
        *(line.state for line in lines), *(state for cells in courses for state in cells.states),
        host.HOST, host.TIRED, microenvironment.SUPPRESSION, *host.immunities(courses), *attack.clones(available_drugs),
        biomarkers.M_PROTEIN, biomarkers.SOLUBLE_BCMA,
    )  # fmt: skip
    return System(
        name="myeloma under CAR-T cells",
        states=states,
        quantities=quantities,
        inputs=drugs.inputs(available_drugs),
        flows=flows,
        observables=(*OBSERVABLES, *_further(courses, axes)),
        branching=Branching(tuple(line.state for line in lines), load["k_division"]),
    )


def _further(courses: Sequence[CarTCourse], axes: Sequence[antigen.Axis]) -> list[str]:
    """What is recorded beside `OBSERVABLES`: the second antigen, and further courses."""
    names = [f"{what}_{axis.key}" for axis in axes[1:] for what in ("density_mean", "null_fraction")]
    if len(courses) > 1:
        names += ["cells", *(f"{what}{cells.suffix}" for cells in courses[1:] for what in OF_COURSES)]
    return names
