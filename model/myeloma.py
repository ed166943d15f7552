"""The myeloma model: every mechanism put together, with the drugs that are on the shelf."""

from functools import cache

from .processes import antigen, biomarkers, car_t, drugs, exhaustion, host, microenvironment, tumour
from .system import Branching, System
from .therapy import Therapy, read_therapies

OBSERVABLES = (
    "tumour", "m_protein", "light_chain", "soluble_bcma", "car_t", "effector", "memory", "exhausted_fraction",
    "engaged", "host", "suppression", "immunity", "density_mean", "susceptibility", "null_fraction", "antigen_stimulus",
    "kill_pressure", "fitness",
)  # fmt: skip
"""What a simulation records, by name."""


@cache
def myeloma(therapies: tuple[Therapy, ...] | None = None) -> System:
    """The system of myeloma under CAR-T cells, with every shipped drug (or those given) able to act."""
    on_shelf = read_therapies() if therapies is None else therapies
    on_shelf = tuple(therapy for therapy in on_shelf if therapy.pk is not None)
    classes, nulls = antigen.classes(), tumour.null_clones()
    load = {quantity.name: quantity for quantity in tumour.burden(classes, nulls)}
    quantities = (
        *drugs.modifiers(on_shelf),
        *antigen.susceptibility(),
        *load.values(),
        antigen.mean_log_density(classes),
        *car_t.pools(),
        tumour.kill_pressure(),
        *car_t.proliferation(),
        exhaustion.share(),
        biomarkers.light_chain(),
    )
    flows = (
        *tumour.flows(classes, nulls),
        *antigen.relaxation(classes),
        *car_t.flows(),
        *exhaustion.flows(),
        *host.flows(),
        *microenvironment.flows(),
        *biomarkers.flows(),
    )
    states = (
        *classes, *nulls, car_t.INFUSED, car_t.EFFECTOR, car_t.MEMORY, car_t.EXHAUSTED, car_t.TERMINAL, car_t.FITNESS,
        host.HOST, microenvironment.SUPPRESSION, host.IMMUNITY, biomarkers.M_PROTEIN, biomarkers.SOLUBLE_BCMA,
    )  # fmt: skip
    return System(
        name="myeloma under CAR-T cells",
        states=states,
        quantities=quantities,
        inputs=drugs.inputs(on_shelf),
        flows=flows,
        observables=OBSERVABLES,
        branching=Branching((*classes, *nulls), load["k_division"]),
    )
