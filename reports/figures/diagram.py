"""A diagram of the model: states as boxes by group, flows as arrows with their names, and what changes their rates."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, PathPatch
from matplotlib.path import Path

from ...parameters.errors import InputError, unknown
from .checks import check_some
from .diagram_layout import MARGIN, NODE_SIZE, NODE_WIDTH, WORD_SIZE, Box, Layout, Point, Route, Word, lay_out
from .picture import Picture
from .style import (
    BLACK,
    BLUE,
    DARK_GREY,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY_BLUE,
    SMALL_SIZE,
    TITLE_SIZE,
    VERMILLION,
    draw_title,
    house_style,
    new_figure,
    text_at,
    text_colour,
    text_height,
    text_width,
    wrapped,
)

# The drawing of a model diagram that has been laid out.


_GROUP_COLOURS = {"tumour": VERMILLION, "CAR-T": BLUE, "host": GREEN, "biomarker": PURPLE}
_OTHER_COLOURS = (ORANGE, SKY_BLUE, GREY)
_CORNER = 0.09  # inches: radius of the corners of arrows


def draw_diagram(
    states: Sequence[tuple[str, str, str]],
    flows: Sequence[tuple[str, str | None, str | None]],
    influences: Sequence[tuple[str, str]],
    title: str,
    columns: int,
    influences_as_lines: bool,
) -> Figure:
    """The whole figure; its size follows from the layout."""
    texts = {label: label for label, _, _ in flows}
    if not influences_as_lines:
        names = {name: label for name, label, _ in states}
        for label in texts:
            own = [names[state] for state, influenced in influences if influenced == label]
            texts[label] += f"\n({', '.join(own)})" if own else ""
    layout = lay_out(states, [(texts[label], (source, target)) for label, source, target in flows], columns)
    width = max(layout.width, text_width(title, TITLE_SIZE, bold=True) + 0.3)
    key = wrapped(_key(bool(influences), influences_as_lines), width - 2 * MARGIN, SMALL_SIZE)
    height = layout.height + text_height(key, SMALL_SIZE) + 0.08
    figure = new_figure(width, height)
    draw_title(figure, title)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    colours = _group_colours([frame.group for frame in layout.frames])
    _draw_frames(axes, layout, colours)
    if influences_as_lines:
        for state, label in influences:
            for (own, _, _), word in zip(flows, layout.words, strict=True):
                if own == label:
                    _draw_influence(axes, layout.boxes[state], word, text_colour(colours[layout.boxes[state].group]))
    for route in layout.routes:
        _draw_route(axes, route)
    for box in layout.boxes.values():
        _draw_box(axes, box, text_colour(colours[box.group]))
    for word, (_, source, target) in zip(layout.words, flows, strict=True):
        group = layout.boxes[source or target or ""].group
        _write(axes, word, _tint(colours[group]))
    text_at(figure, MARGIN, layout.height, key, linespacing=1.2)
    return figure


def _key(influences: bool, as_lines: bool) -> str:
    words = "Arrow with an open circle: from outside. Arrow to its name alone: lost."
    if influences:
        words += " Dotted, with a dot" if as_lines else " In brackets"
        words += ": the rate also depends on this state." if as_lines else ": what else the rate depends on."
    return words


def _group_colours(groups: Sequence[str]) -> dict[str, str]:
    others = [group for group in groups if group not in _GROUP_COLOURS]
    more = {group: _OTHER_COLOURS[index % len(_OTHER_COLOURS)] for index, group in enumerate(others)}
    return _GROUP_COLOURS | more


def _tint(colour: str) -> tuple[float, float, float]:
    red, green, blue = (1 - 0.07 * (1 - part) for part in to_rgb(colour))
    return red, green, blue


def _draw_frames(axes: Axes, layout: Layout, colours: dict[str, str]) -> None:
    for frame in layout.frames:
        axes.add_patch(
            FancyBboxPatch(
                (frame.x, frame.y),
                frame.width,
                frame.height,
                boxstyle="round,pad=0,rounding_size=0.1",
                facecolor=_tint(colours[frame.group]),
                edgecolor="none",
                zorder=0,
            )
        )
        colour = text_colour(colours[frame.group])
        axes.text(
            frame.x + 0.12, frame.y + 0.16, frame.group, fontsize=9.5, fontweight="bold", va="center", color=colour
        )


def _draw_box(axes: Axes, box: Box, colour: str) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (box.x, box.y),
            NODE_WIDTH,
            box.height,
            boxstyle="round,pad=0,rounding_size=0.07",
            facecolor="white",
            edgecolor=colour,
            linewidth=1.4,
            zorder=4,
        )
    )
    axes.text(
        box.x + NODE_WIDTH / 2,
        box.y + box.height / 2,
        box.text,
        ha="center",
        va="center",
        fontsize=NODE_SIZE,
        fontweight="bold",
        color=BLACK,
        linespacing=1.1,
        zorder=5,
    )


def _draw_route(axes: Axes, route: Route) -> None:
    axes.add_patch(
        FancyArrowPatch(
            path=_rounded(route.points),
            arrowstyle="-|>,head_length=4.5,head_width=2.2",
            mutation_scale=1,
            shrinkA=0,
            shrinkB=0,
            color=DARK_GREY,
            linewidth=1.1,
            joinstyle="round",
            capstyle="butt",
            zorder=3,
        )
    )
    if route.from_outside:
        (x, y), *_ = route.points
        axes.plot([x], [y], marker="o", markersize=3.2, color=DARK_GREY, markerfacecolor="white", zorder=3.5)


def _rounded(points: Sequence[Point]) -> Path:
    """The line through the points with round corners."""
    vertices: list[Point] = [points[0]]
    codes = [Path.MOVETO]
    for (before, corner), (_, after) in pairwise(pairwise(points)):
        enter, leave = _toward(corner, before), _toward(corner, after)
        vertices += [enter, corner, leave]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    return Path([*vertices, points[-1]], [*codes, Path.LINETO])


def _toward(corner: Point, other: Point) -> Point:
    length = abs(other[0] - corner[0]) + abs(other[1] - corner[1])
    share = min(_CORNER, length / 2) / length if length else 0.0
    return corner[0] + (other[0] - corner[0]) * share, corner[1] + (other[1] - corner[1]) * share


def _write(axes: Axes, word: Word, background: tuple[float, float, float]) -> None:
    axes.text(
        word.x,
        word.y,
        word.text,
        ha=word.align,
        va="center",
        fontsize=WORD_SIZE,
        color=BLACK,
        linespacing=1.15,
        bbox={"facecolor": background, "edgecolor": "none", "pad": 0.6},
        zorder=6,
    )


def _draw_influence(axes: Axes, box: Box, word: Word, colour: str) -> None:
    """A dotted curve from a corner of the box to the free end of the word, where it ends in a dot."""
    outward = 1.0 if word.align == "left" else -1.0
    end = word.x + outward * (text_width(word.text, WORD_SIZE) + 0.05)
    side = 1.0 if end > box.x + NODE_WIDTH / 2 else -1.0
    start = box.x + (NODE_WIDTH if side > 0 else 0.0)
    # From a corner, because the rows of the box's own flows start in the middle of its sides.
    level = box.y + (0.05 if word.y < box.y + box.height / 2 else box.height - 0.05)
    reach = 0.25 + 0.2 * abs(end - start)
    path = Path(
        [(start, level), (start + side * reach, level), (end + outward * reach, word.y), (end, word.y)],
        [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4],
    )
    axes.add_patch(
        PathPatch(path, facecolor="none", edgecolor=colour, linewidth=0.9, linestyle=(0, (1, 1.8)), zorder=2)
    )
    axes.plot([end], [word.y], marker="o", markersize=2.6, color=colour, zorder=7)


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
