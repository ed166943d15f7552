"""A diagram of the model: states as boxes by group, flows as arrows with their names, and what changes their rates."""

from collections.abc import Mapping, Sequence
from typing import Literal

from ...parameters.errors import InputError, unknown
from .checks import check_some
from .diagram_drawing import draw_diagram
from .picture import Picture
from .style import house_style

_MOST_LINES = 12  # more dotted lines than this cannot be followed

States = Sequence[tuple[str, str, str]]
Flows = Sequence[tuple[str, str | None, str | None]]
Influences = Sequence[tuple[str, str]]


def diagram_picture(
    states: States,
    flows: Flows,
    influences: Influences = (),
    *,
    name: str,
    title: str,
    columns: int = 2,
    influences_as: Literal["auto", "lines", "words"] = "auto",
) -> Picture:
    """Boxes for states, arrows for flows.

    Parameters
    ----------
    states
        Name, label and group of each; "tumour", "CAR-T", "host" and "biomarker" stand first, other groups after them.
    flows
        Label, and the names of the states it comes from and goes to; None is outside.
    influences
        Name of a state, and label of a flow whose rate it changes. Of several flows with one label all are meant.
    columns
        Frames side by side; two fit a page.
    influences_as
        Dotted "lines", or "words" in brackets under the name of the flow; "auto" draws up to twelve as lines.
    """
    where = f"picture {name}"
    _check(states, flows, influences, where)
    if columns < 1:
        raise InputError(f"{where}: columns = {columns}; it must be 1 or more.")
    if influences_as not in ("auto", "lines", "words"):
        raise InputError(f"{where}: influences_as is {influences_as!r}; write 'auto', 'lines' or 'words'.")
    as_lines = influences_as == "lines" or (influences_as == "auto" and len(influences) <= _MOST_LINES)
    with house_style():
        figure = draw_diagram(states, flows, influences, title, columns, as_lines)
    labels = {key: label for key, label, _ in states}
    table = {
        "kind": ["flow"] * len(flows) + ["influence"] * len(influences),
        "label": [label for label, _, _ in flows] + [f"changes the rate of: {label}" for _, label in influences],
        "from": [labels.get(source or "", "outside") for _, source, _ in flows]
        + [labels[key] for key, _ in influences],
        "to": [labels.get(target or "", "outside") for _, _, target in flows] + [label for _, label in influences],
    }
    return Picture(name=name, title=title, alt=_alt(title, states, flows, labels), figure=figure, table=table)


def _check(states: States, flows: Flows, influences: Influences, where: str) -> None:
    check_some(states, "states", where)
    check_some(flows, "flows", where)
    names = [name for name, _, _ in states]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{where}: the state '{name}' is there {names.count(name)} times; names must differ.")
    for label, source, target in flows:
        for end in (source, target):
            if end is not None and end not in names:
                raise unknown("state", end, names, f"{where}, flow '{label}'")
        if source == target:
            place = "nowhere to nowhere" if source is None else f"'{source}' to itself"
            raise InputError(f"{where}: the flow '{label}' goes from {place}; give it two different ends.")
    known = list(dict.fromkeys(label for label, _, _ in flows))
    for state, label in influences:
        if state not in names:
            raise unknown("state", state, names, f"{where}, influence on '{label}'")
        if label not in known:
            raise unknown("flow", label, known, f"{where}, influence of '{state}'")


def _alt(title: str, states: States, flows: Flows, labels: Mapping[str, str]) -> str:
    groups = dict.fromkeys(group for _, _, group in states)
    listed = "; ".join(f"{group}: {', '.join(label for _, label, own in states if own == group)}" for group in groups)
    arrows = "; ".join(
        f"{label} ({labels.get(source or '', 'outside')} to {labels.get(target or '', 'outside')})"
        for label, source, target in flows
    )
    return (
        f"{title}. Diagram of {len(states)} states and {len(flows)} flows. States by group: {listed}. Flows: {arrows}."
    )
