"""Shares of a whole, as stacked bars: why responses end, by regimen."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from ...parameters.errors import InputError, RangeError, unknown
from .checks import FloatArray, Numbers, check_some, check_within, numbers
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
    TEXT_SIZE,
    VERMILLION,
    YELLOW,
    axes_at,
    draw_title,
    house_style,
    new_figure,
    text_at,
    text_colour,
    text_height,
    text_on,
    text_width,
    wrapped,
)

_FILLS = (
    (BLUE, ""),
    (ORANGE, "////"),
    (GREEN, ""),
    (PURPLE, "...."),
    (SKY_BLUE, "\\\\\\\\"),
    (VERMILLION, ""),
    (YELLOW, "xxxx"),
    ("#BBBBBB", ""),
)
_SHARE_ACROSS, _BAR, _ROW, _TOP = 5.2, 0.42, 0.62, 0.55  # inches


def shares_picture(
    shares: Mapping[str, Mapping[str, float]],
    *,
    name: str,
    title: str,
    x_label: str = "Share of relapses (%)",
    beside: Mapping[str, str] | None = None,
    note: str = "",
) -> Picture:
    """One bar for each regimen, cut into its mechanisms.

    Parameters
    ----------
    shares
        Regimen, then mechanism: a fraction of 1. Each regimen's shares add up to 1; all zero draws "no relapse".
    beside
        Words to the right of a regimen's bar, such as "62 % relapsed by 5 years".
    """
    where = f"picture {name}"
    check_some(list(shares), "regimens", where)
    mechanisms = list(dict.fromkeys(mechanism for own in shares.values() for mechanism in own))
    check_some(mechanisms, "mechanisms", where)
    if len(mechanisms) > len(_FILLS):
        raise InputError(
            f"{where}: {len(mechanisms)} mechanisms, and a reader can tell {len(_FILLS)} apart; join the rarest."
        )
    for regimen, own in shares.items():
        for mechanism, share in own.items():
            if not 0 <= share <= 1 + 1e-9:
                raise RangeError(f"{where}: '{regimen}', '{mechanism}' is {share}; a share lies in [0, 1].")
        total = math.fsum(own.values())
        if total > 0 and abs(total - 1) > 0.005:
            raise RangeError(f"{where}: the shares of '{regimen}' add up to {total:.3f}; they should add up to 1.")
    with house_style():
        words = {regimen: wrapped(regimen, 2.2, TEXT_SIZE) for regimen in shares}
        sides = {regimen: wrapped((beside or {}).get(regimen, ""), 1.5, SMALL_SIZE) for regimen in shares}
        left = 0.4 + max(text_width(text, TEXT_SIZE) for text in words.values())
        right = 0.35 + max(text_width(text, SMALL_SIZE) for text in sides.values())
        down = _ROW * len(shares)
        per_row = 3
        key_down = 0.2 * math.ceil(len(mechanisms) / per_row)
        notes = wrapped(note, left + _SHARE_ACROSS + right - 0.3, SMALL_SIZE) if note else ""
        below = _TOP + down + 0.6
        figure = new_figure(
            left + _SHARE_ACROSS + right,
            below + key_down + 0.15 + (text_height(notes, SMALL_SIZE) + 0.05 if notes else 0.0),
        )
        draw_title(figure, title)
        axes = axes_at(figure, left, _TOP, _SHARE_ACROSS, down)
        axes.set_xlim(0, 100)
        axes.set_ylim(down, 0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(x_label)
        for index, (regimen, own) in enumerate(shares.items()):
            middle = (index + 0.5) * _ROW
            text_at(
                figure,
                left - 0.12,
                _TOP + middle,
                words[regimen],
                va="center",
                ha="right",
                fontsize=TEXT_SIZE,
                color=BLACK,
            )
            text_at(figure, left + _SHARE_ACROSS + 0.12, _TOP + middle, sides[regimen], va="center", linespacing=1.15)
            _draw_bar(axes, own, mechanisms, middle)
        key = [
            Patch(facecolor=colour, hatch=hatch, edgecolor=text_colour(colour), linewidth=0.4, label=mechanism)
            for mechanism, (colour, hatch) in zip(mechanisms, _FILLS, strict=False)
        ]
        figure.legend(
            handles=key,
            ncols=per_row,
            loc="upper left",
            bbox_to_anchor=(left / figure.get_figwidth(), 1 - below / figure.get_figheight()),
            borderaxespad=0,
            labelcolor=DARK_GREY,
            handlelength=1.6,
            columnspacing=1.4,
        )
        if notes:
            text_at(figure, 0.12, below + key_down + 0.08, notes, linespacing=1.2)
    table: dict[str, list[object]] = {
        "regimen": [regimen for regimen in shares for _ in mechanisms],
        "mechanism": [mechanism for _ in shares for mechanism in mechanisms],
        "share": [float(own.get(mechanism, 0.0)) for own in shares.values() for mechanism in mechanisms],
    }
    parts = []
    for regimen, own in shares.items():
        portions = [f"{mechanism} {100 * share:.0f} %" for mechanism, share in own.items() if share > 0]
        parts.append(f"{regimen}: {', '.join(portions) or 'no relapse'}")
    return Picture(name=name, title=title, alt=f"{title}. {x_label}. {'; '.join(parts)}.", figure=figure, table=table)


def _draw_bar(axes: Axes, own: Mapping[str, float], mechanisms: list[str], middle: float) -> None:
    """Segments with their name where it fits, with the number alone where only that fits."""
    if math.fsum(own.values()) <= 0:
        axes.text(1, middle, "no relapse", va="center", fontsize=SMALL_SIZE, color=GREY)
        return
    start = 0.0
    for mechanism, (colour, hatch) in zip(mechanisms, _FILLS, strict=False):
        share = 100 * own.get(mechanism, 0.0)
        axes.barh(
            middle, share, _BAR, left=start, facecolor=colour, hatch=hatch, edgecolor=text_colour(colour), linewidth=0
        )
        axes.barh(middle, share, _BAR, left=start, facecolor="none", edgecolor="white", linewidth=1.2)
        room = share / 100 * _SHARE_ACROSS - 0.08
        number = f"{share:.0f} %"
        named = f"{wrapped(mechanism, room, SMALL_SIZE)}\n{number}"
        fits = text_width(named, SMALL_SIZE) <= room and named.count("\n") <= 2
        text = named if fits else number if text_width(number, SMALL_SIZE) <= room else f"{share:.0f}"
        if text_width(text, SMALL_SIZE) <= room:
            box = {"facecolor": colour, "edgecolor": "none", "pad": 1.0} if hatch else None
            axes.text(
                start + share / 2,
                middle,
                text,
                ha="center",
                va="center",
                fontsize=SMALL_SIZE,
                color=text_on(colour),
                bbox=box,
                linespacing=1.1,
            )
        start += share


# Waterfall: each patient's best change of M-protein, from the worst to the best, by IMWG category.


# From the deepest response to progression: colour, and hatching for those who see no colour.
CATEGORIES: dict[str, tuple[str, str]] = {
    "sCR": (BLUE, ""),
    "CR": (SKY_BLUE, "////"),
    "VGPR": (GREEN, "...."),
    "PR": (YELLOW, ""),
    "MR": (ORANGE, "\\\\\\\\"),
    "SD": ("#BBBBBB", ""),
    "PD": (VERMILLION, "xxxx"),
}
CAP = 100.0
_LEFT, _WATERFALL_ACROSS, _DOWN, _RIGHT = 0.8, 5.6, 3.0, 1.1  # inches
_SINGLE_BARS = 120  # with more patients than this bars touch, and are drawn as one area per category


def waterfall_picture(
    best_change_percent: Numbers, category: Sequence[str], *, name: str, title: str, note: str = ""
) -> Picture:
    """Best change of M-protein of each patient, sorted, coloured by best IMWG category.

    Parameters
    ----------
    best_change_percent
        Per cent of baseline: -100 is gone, +25 is a quarter more. Above +100 the bar is cut and marked; the table keeps
        the number. NaN for a patient without one (failed, or never assessed): not drawn, but counted in words, whatever
        the category says.
    category
        sCR, CR, VGPR, PR, MR, SD or PD for each patient.
    """
    where = f"picture {name}"
    changes = numbers(best_change_percent, "best_change_percent", where)
    check_some(changes, "patients", where)
    check_within(changes, -100.0, np.inf, "best_change_percent", where)
    if len(category) != changes.size:
        raise InputError(f"{where}: category has {len(category)} entries and should have {changes.size}.")
    for kind, change in zip(category, changes, strict=True):
        if np.isfinite(change) and kind not in CATEGORIES:
            raise unknown("IMWG category", kind, CATEGORIES, where)
    depth = list(CATEGORIES)
    ranks = np.array([depth.index(kind) if kind in CATEGORIES else len(depth) for kind in category])
    # Patients with the same change stand together by category, so that the colours form areas.
    order = np.lexsort((-ranks, -changes))
    order = order[np.isfinite(changes[order])]
    missing = int(changes.size - order.size)
    if not order.size:
        raise InputError(f"{where}: no patient has a best change; all {missing} are missing.")
    changes, ranks = changes[order], ranks[order]
    words = [note] if note else []
    if missing:
        words.insert(0, f"Without an assessable change, and not drawn: {missing} of {missing + order.size} patients.")
    with house_style():
        notes = wrapped(" ".join(words), _LEFT + _WATERFALL_ACROSS + _RIGHT - 0.3, SMALL_SIZE) if words else ""
        figure = new_figure(
            _LEFT + _WATERFALL_ACROSS + _RIGHT,
            0.5 + _DOWN + 0.75 + (text_height(notes, SMALL_SIZE) + 0.1 if notes else 0.0),
        )
        draw_title(figure, title)
        axes = axes_at(figure, _LEFT, 0.5, _WATERFALL_ACROSS, _DOWN)
        _set_axes(axes, changes)
        _draw_bars(axes, changes, ranks)
        _label_categories(axes, changes, ranks)
        counts = Counter(int(rank) for rank in ranks)
        key = [
            Patch(
                facecolor=colour,
                hatch=hatch,
                edgecolor=text_colour(colour),
                linewidth=0.4,
                label=f"{kind}  {counts[index]} ({100 * counts[index] / ranks.size:.0f} %)",
            )
            for index, (kind, (colour, hatch)) in enumerate(CATEGORIES.items())
        ]
        figure.legend(
            handles=key,
            ncols=7,
            loc="upper left",
            bbox_to_anchor=(0.1 / figure.get_figwidth(), 1 - (0.5 + _DOWN + 0.45) / figure.get_figheight()),
            columnspacing=1.1,
            handlelength=1.4,
            handletextpad=0.5,
            borderaxespad=0,
            labelcolor=DARK_GREY,
        )
        if notes:
            text_at(figure, 0.12, 0.5 + _DOWN + 0.75, notes, linespacing=1.2)
    table = {
        "rank": list(range(1, changes.size + 1)),
        "patient": [int(index) + 1 for index in order],
        "best_change_percent": [float(change) for change in changes],
        "category": [depth[rank] for rank in ranks],
    }
    shares = ", ".join(f"{kind} {100 * counts[index] / ranks.size:.0f} %" for index, kind in enumerate(depth))
    alt = (
        f"{title}. Waterfall of the best change of M-protein of {changes.size} patients, from "
        f"{changes[0]:+.0f} % to {changes[-1]:+.0f} %; {100 * np.mean(changes <= -50):.0f} % fall by at least half and "
        f"{100 * np.mean(changes <= -90):.0f} % by at least 90 %. By best category: {shares}. {' '.join(words)}"
    )
    return Picture(name=name, title=title, alt=alt.strip(), figure=figure, table=table)


def _set_axes(axes: Axes, changes: FloatArray) -> None:
    axes.set_xlim(-0.5, changes.size - 0.5)
    axes.set_ylim(-108, 112)
    axes.set_yticks([-100, -50, 0, 50, 100], ["\u2212100", "\u221250", "0", "+50", "+100"])
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_ylabel("Best change of M-protein (%)")
    axes.set_xlabel(f"{changes.size} patients, from the worst to the best change")
    axes.axhline(0, color=BLACK, linewidth=0.8, zorder=3)
    for level, label in ((-50.0, "\u221250 %: PR"), (-90.0, "\u221290 %: VGPR")):
        axes.axhline(level, color=DARK_GREY, linewidth=0.9, linestyle=(0, (5, 3)), zorder=3)
        axes.annotate(
            label,
            xy=(1.015, level),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=SMALL_SIZE,
            color=DARK_GREY,
        )


def _draw_bars(axes: Axes, changes: FloatArray, ranks: np.ndarray) -> None:
    shown = np.minimum(changes, CAP)
    # A bar of no height would look like a patient who is not there.
    shown = np.where(np.abs(shown) < 0.6, np.where(shown < 0, -0.6, 0.6), shown)
    places = np.arange(changes.size)
    for rank, (colour, hatch) in enumerate(CATEGORIES.values()):
        own = ranks == rank
        if not own.any():
            continue
        style = {"facecolor": colour, "hatch": hatch, "edgecolor": text_colour(colour), "linewidth": 0.0}
        if changes.size <= _SINGLE_BARS:
            axes.bar(places[own], shown[own], width=0.82, **style)
        else:
            axes.stairs(np.where(own, shown, np.nan), np.arange(changes.size + 1) - 0.5, fill=True, baseline=0, **style)
    cut = places[changes > CAP]
    if cut.size:
        axes.plot(cut, np.full(cut.size, CAP + 5.0), linestyle="none", marker="^", markersize=4, color=BLACK)
        words = f"\u25b2 cut at +{CAP:.0f} %, up to +{changes.max():.0f} %"
        axes.annotate(
            words,
            xy=(cut[-1] + 1, CAP + 5),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL_SIZE,
        )


def _label_categories(axes: Axes, changes: FloatArray, ranks: np.ndarray) -> None:
    """Name each run of one category on the free side of the zero line, where there is room for its name."""
    edges = np.flatnonzero(np.diff(ranks)) + 1
    inches = _WATERFALL_ACROSS / changes.size
    for run in np.split(np.arange(changes.size), edges):
        kind = list(CATEGORIES)[ranks[run[0]]]
        if text_width(kind, SMALL_SIZE, bold=True) + 0.06 > run.size * inches:
            continue
        falls = changes[run].mean() <= 0
        axes.text(
            run.mean(),
            4 if falls else -4,
            kind,
            ha="center",
            va="bottom" if falls else "top",
            fontsize=SMALL_SIZE,
            fontweight="bold",
            color=text_colour(CATEGORIES[kind][0]),
        )
