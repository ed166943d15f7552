"""Profile likelihoods as small multiples: one panel for each free number, with its threshold, bounds and prior."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ...fitting.identifiability.profile import THRESHOLD, Curve, Profile
from ...fitting.identifiability.verdict import Verdict, word_for
from ...parameters.errors import InputError
from .checks import check_some
from .forest_axes import KEY_ROW, place_key
from .labels import text_height, wrapped
from .picture import Picture
from .style import (
    BLACK,
    BLUE,
    DARK_GREY,
    GREEN,
    GREY,
    LIGHT_GREY,
    SMALL_SIZE,
    VERMILLION,
    axes_at,
    draw_title,
    house_style,
    new_figure,
    text_at,
    text_colour,
)

# Colour, dashes and width of each kind of profile, and its words in the key.
_KINDS = {
    "likelihood": (VERMILLION, "-", 1.6, "Likelihood: no priors, the others within their bounds"),
    "evidence": (BLUE, (0, (6, 1.5)), 1.4, "Evidence: the others keep their priors"),
    "posterior": (GREEN, (0, (1.5, 1)), 1.4, "Posterior: all keep their priors"),
}
_PANEL, _DOWN, _GAP, _ROW_GAP, _LEFT, _TOP = 1.62, 1.05, 0.22, 0.78, 0.62, 0.5  # inches
_DEEPEST = -5.0
_HELD = 0.1  # log likelihood that bounds cost more than at the peak, from which on a point is marked


def profile_picture(
    profiles: Sequence[Profile],
    verdicts: Sequence[Verdict] = (),
    *,
    name: str = "profiles",
    title: str = "What the data say about each free number: profile likelihoods",
    columns: int = 5,
) -> Picture:
    """One panel for each profile, in the order given; `verdicts`, if given, are those of the same numbers.

    Give some twenty or thirty at a time where the picture must fit a page.
    """
    check_some(profiles, "profiles", f"picture {name}")
    words = {verdict.id: verdict.word for verdict in verdicts} or {p.id: word_for(p.likelihood)[0] for p in profiles}
    if missing := [profile.id for profile in profiles if profile.id not in words]:
        raise InputError(f"picture {name}: there is no verdict on {missing[0]}; give one for each profile.")
    across = min(columns, len(profiles))
    rows = math.ceil(len(profiles) / across)
    with house_style():
        below = _TOP + 0.35 + rows * (_DOWN + _ROW_GAP)
        figure = new_figure(max(_LEFT + across * (_PANEL + _GAP) + 0.1, 6.6), below + KEY_ROW * 6 + 0.1)
        draw_title(figure, title)
        for index, profile in enumerate(profiles):
            row, column = divmod(index, across)
            left, top = _LEFT + column * (_PANEL + _GAP), _TOP + 0.35 + row * (_DOWN + _ROW_GAP)
            axes = axes_at(figure, left, top, _PANEL, _DOWN)
            _draw(axes, profile)
            label = wrapped(profile.id.replace("_", " "), _PANEL, SMALL_SIZE, bold=True)
            height = text_height(label, SMALL_SIZE)
            text_at(figure, left, top - height - 0.14, label, fontweight="bold", color=BLACK, linespacing=1.1)
            text_at(figure, left, top - 0.14, words[profile.id], fontsize=SMALL_SIZE - 0.5)
            if column:
                axes.set_yticklabels([])
            else:
                axes.set_ylabel("log likelihood", fontsize=SMALL_SIZE)
            if index + across >= len(profiles):
                axes.set_xlabel("prior SDs", fontsize=SMALL_SIZE)
        place_key(figure, _key(), below - 0.25)
    counts = {word: sum(words[p.id] == word for p in profiles) for word in dict.fromkeys(words.values())}
    told = "; ".join(f"{profile.id}: {words[profile.id]}, {_interval(profile.likelihood)}" for profile in profiles[:30])
    alt = (
        f"{title}. {len(profiles)} panels, log likelihood below its best against the number in prior SDs, with the "
        f"95 % threshold at {-THRESHOLD:.2f}. {', '.join(f'{count} {word}' for word, count in counts.items())}. {told}."
    )
    return Picture(name=name, title=title, alt=alt, figure=figure, table=_table(profiles))


def _draw(axes: Axes, profile: Profile) -> None:
    curves = {"likelihood": profile.likelihood, "evidence": profile.evidence, "posterior": profile.posterior}
    low, high = profile.likelihood.bounds
    axes.axhline(-THRESHOLD, color=GREY, linewidth=0.8, zorder=1)
    for bound in (low, high):
        axes.axvline(bound, color=BLACK, linewidth=1.2, zorder=1)
    places = np.linspace(low, high, 101)
    axes.plot(places, -0.5 * places**2, color=DARK_GREY, linewidth=0.8, linestyle=(0, (2, 2)), zorder=2)
    for kind, curve in curves.items():
        colour, dashes, width, _ = _KINDS[kind]
        axes.plot(*curve.drawn(), color=colour, linestyle=dashes, linewidth=width, zorder=3)
    release = profile.likelihood.release
    held = release - release[int(np.argmax(profile.likelihood.fall))] > _HELD
    axes.plot(
        profile.likelihood.grid[held], profile.likelihood.fall[held], linestyle="none", marker="^", markersize=4.5,
        markerfacecolor="white", markeredgecolor=text_colour(VERMILLION), markeredgewidth=0.9, zorder=4,
    )  # fmt: skip
    axes.set_xlim(low - 0.25, high + 0.25)
    axes.set_ylim(_DEEPEST, 0.4)
    axes.set_yticks([0.0, -THRESHOLD, -4.0])
    axes.set_yticklabels(["0", f"\u2212{THRESHOLD:.2f}", "\u22124"])
    axes.tick_params(labelsize=SMALL_SIZE - 0.5)
    axes.grid(axis="x", color=LIGHT_GREY)


def _key() -> list[Line2D]:
    lines = [
        Line2D([], [], color=colour, linestyle=dashes, linewidth=width, label=words)
        for colour, dashes, width, words in _KINDS.values()
    ]
    return [
        *lines,
        Line2D([], [], color=DARK_GREY, linewidth=0.8, linestyle=(0, (2, 2)), label="Its own prior"),
        Line2D([], [], color=GREY, linewidth=0.8, label="95 % threshold; black upright lines are its bounds"),
        Line2D(
            [], [], linestyle="none", marker="^", markersize=4.5, markerfacecolor="white",
            markeredgecolor=text_colour(VERMILLION), label="The bounds of other numbers hold the likelihood down there",
        ),
    ]  # fmt: skip


def _interval(curve: Curve) -> str:
    ends = (f"{end:.2f}".replace("-", "\u2212") if math.isfinite(end) else "open" for end in (curve.low, curve.high))
    return " to ".join(ends)


def _table(profiles: Sequence[Profile]) -> dict[str, list[object]]:
    rows = [
        (profile.id, curve.kind, float(x), float(fall), "; ".join(names), bool(converged))
        for profile in profiles
        for curve in (profile.likelihood, profile.evidence, profile.posterior)
        for x, fall, names, converged in zip(curve.grid, curve.fall, curve.blocked_by, curve.converged, strict=True)
    ]
    fields = ("number", "profile", "prior_sds", "log_below_best", "others_at_bound", "converged")
    return {field: [row[k] for row in rows] for k, field in enumerate(fields)}
