"""The model as a picture, derived from its flows: nothing in it is drawn by hand."""

from perdure.experiments.pictures.diagram import diagram_picture
from perdure.experiments.pictures.picture import Picture
from perdure.model.myeloma import myeloma
from perdure.model.processes.antigen import CLASSES
from perdure.model.states import State
from perdure.model.system import System

POSITIVE = "tumour"
LABELS = {
    "tumour": "antigen-positive tumour\n(density classes)",
    "null_bcma": "BCMA-null",
    "null_gprc5d": "GPRC5D-null",
    "null_both": "double-null",
    "infused": "infused",
    "effector": "effector",
    "memory": "memory",
    "exhausted": "exhausted",
    "terminal": "terminally exhausted",
    "fitness": "fitness",
    "host": "host lymphocytes",
    "suppression": "suppression",
    "immunity": "anti-CAR immunity",
    "m_protein": "M-protein",
    "soluble_bcma": "soluble BCMA",
}


def model_diagram(system: System | None = None) -> Picture:
    """States as boxes and flows as arrows; the density classes stand in one box."""
    system = system or myeloma()
    classes = {f"tumour_{k + 1}" for k in range(CLASSES)}

    def short(state: State | None) -> str | None:
        return None if state is None else POSITIVE if state.name in classes else state.name

    states = {short(state) or "": state.group for state in system.states}
    flows: dict[tuple[str, str | None, str | None], None] = {}
    for flow in system.flows:
        source, target = short(flow.out_of), short(flow.into)
        if source == target and source is not None:
            continue  # drift between density classes stays inside their box
        flows.setdefault((_label(flow.name), source, target))
    boxes = [
        (name, LABELS.get(name, name.replace("_", " ")).replace("\n", " "), group) for name, group in states.items()
    ]
    return diagram_picture(boxes, list(flows), name="model", title="What the model follows")


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
        head, found, _ = name.partition(word)
        if found:
            return head
    return name
