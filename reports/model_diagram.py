"""Diagram of the model, derived from its states and flows."""

import re

from ..fitting.calibration.calibration import Calibration
from ..model.myeloma import myeloma
from ..model.system.system import State, System
from ..model.therapy import GRADED
from ..parameters.source import read_sources
from .figures.diagram import diagram_picture
from .figures.picture import Picture
from .report import Table

POSITIVE = "tumour"
LABELS = {
    "tumour": "antigen-positive tumour\n(density classes)",
    "null_bcma": "BCMA-null",
    "null_gprc5d": "GPRC5D-null",
    "null_bcma_gprc5d": "double-null",
    "infused": "infused",
    "effector": "effector",
    "memory": "memory",
    "exhausted": "exhausted",
    "terminal": "terminally exhausted",
    "fitness": "fitness",
    "host": "host lymphocytes",
    "host_exhausted": "exhausted host T cells",
    "suppression": "suppression",
    "immunity": "anti-CAR immunity",
    "m_protein": "M-protein",
    "soluble_bcma": "soluble BCMA",
}


def model_diagram(system: System | None = None) -> Picture:
    """States as boxes and flows as arrows; the density classes stand in one box.

    By default without drugs: their effects are on the page about therapies, and all drugs at once would hide the
    model itself.
    """
    system = system or myeloma(())
    states = {_box(state) or "": state.group for state in system.states}
    flows: dict[tuple[str, str | None, str | None], None] = {}
    for flow in system.flows:
        source, target = _box(flow.out_of), _box(flow.into)
        if source == target and source is not None:
            continue  # drift between density classes stays inside their box
        flows.setdefault((_label(flow.name), source, target))
    boxes = [
        (name, LABELS.get(name, name.replace("_", " ")).replace("\n", " "), group) for name, group in states.items()
    ]
    return diagram_picture(boxes, list(flows), name="model", title="What the model follows")


def _box(state: State | None) -> str | None:
    """Box of a state: cell lines that have lost the same antigens share one."""
    if state is None or not re.fullmatch(r"tumour(_(\d+|null))+", state.name):
        return None if state is None else state.name
    places = state.name.split("_")[1:]
    lost = [antigen.lower() for antigen, place in zip(GRADED, places, strict=False) if place == "null"]
    return "_".join(["null", *lost]) if lost else POSITIVE


def _label(name: str) -> str:
    """Flow name without the state it acts on, so that all classes share one arrow."""
    for word in (
        " of tumour_",
        " of null_",
        " from tumour_",
        " from null_",
        " of effector",
        " of memory",
        " of exhausted",
        " of terminal",
    ):
        flow, separator, _ = name.partition(word)
        if separator:
            return flow
    return name.replace("_", " ")


def parameter_table(calibration: Calibration) -> Table:
    """Every number with its unit, what the posterior leaves open about it, its grade and its origin."""
    rows = []
    for name, parameter in calibration.parameters().items():
        source = read_sources().get(parameter.source)
        drawn = sorted(draw[name] for draw in calibration.draws) if name in calibration.estimate else []
        limits = [f"{drawn[round((len(drawn) - 1) * tail)]:.3g}" for tail in (0.025, 0.975)] if drawn else []
        rows.append(
            (
                name, f"{parameter.value:.4g}", parameter.unit, " to ".join(limits), parameter.grade,
                source.citation if source else "assumed", parameter.note,
            )
        )  # fmt: skip
    return Table("Every number", ("name", "value", "unit", "posterior 95 %", "grade", "source", "note"), rows)
