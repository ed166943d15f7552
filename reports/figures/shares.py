"""Shares of a whole, as stacked bars: why responses end, by regimen."""

import math
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from ...parameters.errors import InputError, RangeError
from .checks import check_some
from .labels import text_height, text_width, wrapped
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
    text_on,
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
_ACROSS, _BAR, _ROW, _TOP = 5.2, 0.42, 0.62, 0.55  # inches


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
        notes = wrapped(note, left + _ACROSS + right - 0.3, SMALL_SIZE) if note else ""
        below = _TOP + down + 0.6
        figure = new_figure(
            left + _ACROSS + right, below + key_down + 0.15 + (text_height(notes, SMALL_SIZE) + 0.05 if notes else 0.0)
        )
        draw_title(figure, title)
        axes = axes_at(figure, left, _TOP, _ACROSS, down)
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
            text_at(figure, left + _ACROSS + 0.12, _TOP + middle, sides[regimen], va="center", linespacing=1.15)
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
        told = [f"{mechanism} {100 * share:.0f} %" for mechanism, share in own.items() if share > 0]
        parts.append(f"{regimen}: {', '.join(told) or 'no relapse'}")
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
        room = share / 100 * _ACROSS - 0.08
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
