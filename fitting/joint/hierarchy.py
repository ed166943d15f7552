"""Families of therapies: numbers of one kind that differ from product to product around a mean of their class.

In prior SDs, a number of a family is sqrt(SHARE) c + sqrt(1 - SHARE) u: c is the coordinate of the class, u that of the
product, both standard normal. So every number keeps the prior of its own file, any two of a family correlate by SHARE,
and what the evidence says of some products moves the others (partial pooling; Gelman & Hill 2007, chapter 12).
"""

from dataclasses import dataclass

from ...model.therapy import Therapy, read_therapies

SHARE = 0.5
"""Share of the prior variance that a class has in common: assumed, half, since neither none nor all is credible."""


@dataclass(frozen=True)
class Family:
    """A class of therapies and the ids of their numbers of one kind."""

    name: str
    meaning: str
    members: tuple[str, ...]


def _of_cells(number: str, therapies: tuple[Therapy, ...], target: str = "") -> tuple[str, ...]:
    chosen = [one for one in therapies if one.kind == "car_t" and (not target or target in one.targets)]
    return tuple(f"{one.key}.{number}" for one in chosen)


def _of_bispecifics(number: str, therapies: tuple[Therapy, ...]) -> tuple[str, ...]:
    return tuple(f"{number}_{one.key}" for one in therapies if one.group == "bispecific antibody")


def families(therapies: tuple[Therapy, ...] | None = None) -> tuple[Family, ...]:
    """All families, with those members that have a prior."""
    shelf = therapies or read_therapies()
    known = {number.id for one in shelf for number in one.parameters if number.prior is not None}
    every = (
        Family("engraftment of CAR-T products", "share of the infused cells that engraft",
               _of_cells("fraction_engrafted", shelf)),
        Family("reach of BCMA CAR-T products", "antigen density at which half of the effect is reached",
               _of_cells("half_density_kill", shelf, "BCMA")),
        Family("memory formation of CAR-T products", "rate at which effector cells become memory cells",
               _of_cells("k_memory_formation", shelf)),
        Family("memory loss of CAR-T products", "loss rate of memory cells", _of_cells("k_death_memory", shelf)),
        Family("killing by bispecific antibodies", "maximal rate of killing", _of_bispecifics("k_kill_max", shelf)),
        Family("resistance to bispecific antibodies", "share of the tumour that is resistant before treatment",
               _of_bispecifics("fraction_resistant", shelf)),
    )  # fmt: skip
    return tuple(
        Family(one.name, one.meaning, tuple(name for name in one.members if name in known)) for one in every
    )
