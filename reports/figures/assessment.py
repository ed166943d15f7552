"""Whether intervals hold what they say: calibration curve, ranks of simulated truths, and truths found again."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from scipy.stats import binom

from ...fitting.identifiability.profile import THRESHOLD, Curve, Profile
from ...fitting.identifiability.verdict import Verdict, word_for
from ...fitting.validation.leave_out import Coverage
from ...fitting.validation.recovery import LEVELS, Recovery
from ...fitting.validation.simulation_based import Calibrated
from ...parameters.errors import InputError
from .checks import check_some
from .intervals import KEY_ROW, place_key, set_axes
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
    text_height,
    text_width,
    wrapped,
)

# Profile likelihoods as small multiples: one panel for each free number, with its threshold, bounds and prior.


# Colour, dashes and width of each kind of profile, and its words in the key.
_KINDS = {
    "likelihood": (VERMILLION, "-", 1.6, "Likelihood: no priors, the others within their bounds"),
    "evidence": (BLUE, (0, (6, 1.5)), 1.4, "Evidence: the others keep their priors"),
    "posterior": (GREEN, (0, (1.5, 1)), 1.4, "Posterior: all keep their priors"),
}
_PROFILE_PANEL, _PROFILE_DOWN, _PROFILE_GAP, _PROFILE_ROW_GAP, _PROFILE_LEFT, _TOP = (
    1.62,
    1.05,
    0.22,
    0.78,
    0.62,
    0.5,
)  # inches
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
        below = _TOP + 0.35 + rows * (_PROFILE_DOWN + _PROFILE_ROW_GAP)
        figure = new_figure(
            max(_PROFILE_LEFT + across * (_PROFILE_PANEL + _PROFILE_GAP) + 0.1, 6.6), below + KEY_ROW * 6 + 0.1
        )
        draw_title(figure, title)
        for index, profile in enumerate(profiles):
            row, column = divmod(index, across)
            left, top = (
                _PROFILE_LEFT + column * (_PROFILE_PANEL + _PROFILE_GAP),
                _TOP + 0.35 + row * (_PROFILE_DOWN + _PROFILE_ROW_GAP),
            )
            axes = axes_at(figure, left, top, _PROFILE_PANEL, _PROFILE_DOWN)
            _draw(axes, profile)
            label = wrapped(profile.id.replace("_", " "), _PROFILE_PANEL, SMALL_SIZE, bold=True)
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
    summary = "; ".join(
        f"{profile.id}: {words[profile.id]}, {_interval(profile.likelihood)}" for profile in profiles[:30]
    )
    alt = (
        f"{title}. {len(profiles)} panels, log likelihood below its best against the number in prior SDs, with the "
        f"95 % threshold at {-THRESHOLD:.2f}. {', '.join(f'{count} {word}' for word, count in counts.items())}. "
        f"{summary}."
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


_RED = text_colour(VERMILLION)


def coverage_picture(
    curve: Sequence[Coverage],
    *,
    name: str = "calibration_curve",
    title: str = "Calibration curve: nominal against observed coverage",
    note: str = "",
) -> Picture:
    """Share of reports inside central intervals of every nominal level, with the band that calibrated ones stay in.

    The band holds 95 % of binomial counts at each level, for independent reports.
    """
    check_some(curve, "levels", f"picture {name}")
    check_some(range(curve[0].total), "reports", f"picture {name}")
    nominal = np.array([coverage.level for coverage in curve])
    share = np.array([coverage.share for coverage in curve])
    low, high = _band(nominal, curve[0].total)
    out = (share < low - 1e-12) | (share > high + 1e-12)
    with house_style():
        notes = wrapped(note, 5.4, SMALL_SIZE) if note else ""
        figure = new_figure(5.8, 4.75 + (text_height(notes, SMALL_SIZE) if notes else 0.0))
        draw_title(figure, title)
        axes = axes_at(figure, 0.75, 0.5, 3.5, 3.5)
        axes.fill_between(100 * nominal, 100 * low, 100 * high, color=LIGHT_GREY, linewidth=0)
        axes.plot([0, 100], [0, 100], color=GREY, linewidth=0.9)
        axes.plot(100 * nominal, 100 * share, color=BLUE, marker="o", markersize=3.5, linewidth=1.4)
        axes.plot(100 * nominal[out], 100 * share[out], linestyle="none", marker="D", markersize=5, color=_RED)
        axes.set(xlim=(0, 100), ylim=(0, 100), xlabel="nominal level of the interval, %")
        axes.set_ylabel("reports inside, %")
        for top, text in ((0.7, "above the line:\nintervals too wide"), (3.0, "below the line:\nintervals too narrow")):
            text_at(figure, 4.4, top, text)
        text_at(figure, 4.4, 1.6, f"grey: 95 % of\ncalibrated counts\nof {curve[0].total} reports")
        if notes:
            text_at(figure, 0.12, 4.6, notes, linespacing=1.2)
    summary = "; ".join(coverage.text for coverage in curve if round(coverage.level, 2) in (0.5, 0.8, 0.95))
    where = ", ".join(f"{100 * level:.0f} %" for level in nominal[out])
    alt = f"{title}. {summary}. " + (f"Outside the binomial band at {where}." if out.any() else "Inside the band.")
    table = {
        "nominal": nominal.tolist(), "inside": [coverage.inside for coverage in curve],
        "reports": [coverage.total for coverage in curve],
        "observed": share.tolist(), "band_low": low.tolist(), "band_high": high.tolist(),
    }  # fmt: skip
    return Picture(name=name, title=title, alt=alt, figure=figure, table=table)


def _band(level: np.ndarray, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares between which 95 % of binomial counts lie."""
    return binom.ppf(0.025, total, level) / total, binom.ppf(0.975, total, level) / total


_VALIDATION_PANEL, _VALIDATION_DOWN, _VALIDATION_GAP, _VALIDATION_ROW_GAP, _VALIDATION_LEFT = (
    1.15,
    0.72,
    0.16,
    0.5,
    0.62,
)  # inches


def ranks_picture(
    calibrated: Calibrated,
    *,
    shown: int = 30,
    columns: int = 6,
    name: str = "ranks",
    title: str = "Simulation-based calibration: ranks of true values among posterior draws",
) -> Picture:
    """ECDF of the ranks minus that of uniform ranks, with its simultaneous 95 % band (Säilynoja 2022): one panel each.

    The log likelihood and the numbers that are furthest from uniform, by the chi-square test of their rank histograms.
    """
    p_values = calibrated.p_values(_bins(calibrated.draws + 1))
    order = sorted(calibrated.names[:-1], key=lambda quantity: p_values[quantity])
    panels = [calibrated.names[-1], *order][:shown]
    low, high = calibrated.band()
    out = calibrated.outside()
    rows = math.ceil(len(panels) / columns)
    with house_style():
        notes = f"{len(calibrated.names) - len(panels)} other numbers are nearer to uniform." if rows else ""
        figure = new_figure(
            _VALIDATION_LEFT + columns * (_VALIDATION_PANEL + _VALIDATION_GAP) + 0.1,
            0.75 + rows * (_VALIDATION_DOWN + _VALIDATION_ROW_GAP) + 0.45,
        )
        draw_title(figure, title)
        for index, panel in enumerate(panels):
            row, column = divmod(index, columns)
            left, top = (
                _VALIDATION_LEFT + column * (_VALIDATION_PANEL + _VALIDATION_GAP),
                0.85 + row * (_VALIDATION_DOWN + _VALIDATION_ROW_GAP),
            )
            axes = axes_at(figure, left, top, _VALIDATION_PANEL, _VALIDATION_DOWN)
            _draw_ranks(axes, calibrated, panel, (low, high), panel in out)
            label = wrapped(panel, _VALIDATION_PANEL + 0.1, SMALL_SIZE - 1)
            colour = _RED if panel in out else BLACK
            text_at(figure, left, top - 0.03, label, va="bottom", fontsize=SMALL_SIZE - 1, color=colour)
            if column:
                axes.set_yticklabels([])
            if index + columns >= len(panels):
                axes.set_xlabel("rank", fontsize=SMALL_SIZE)
            else:
                axes.set_xticklabels([])
        text_at(
            figure,
            0.12,
            0.75 + rows * (_VALIDATION_DOWN + _VALIDATION_ROW_GAP) + 0.22,
            f"ECDF minus uniform; grey: 95 % band. {notes}",
        )
    named = ", ".join(out) or "none"
    alt = (
        f"{title}. {len(calibrated.ranks)} repeats, {calibrated.draws} draws each. {len(out)} of "
        f"{len(calibrated.names)} quantities leave the simultaneous 95 % band: {named}."
    )
    cells = [(quantity, rank) for quantity in panels for rank in range(calibrated.draws)]
    ecdf = {quantity: calibrated.ecdf(quantity) for quantity in panels}
    table = {
        "quantity": [quantity for quantity, _ in cells], "rank": [rank for _, rank in cells],
        "ecdf": [float(ecdf[quantity][0][rank]) for quantity, rank in cells],
        "uniform": [float(ecdf[quantity][1][rank]) for quantity, rank in cells],
        "band_low": [float(low[rank]) for _, rank in cells], "band_high": [float(high[rank]) for _, rank in cells],
    }  # fmt: skip
    return Picture(name=name, title=title, alt=alt, figure=figure, table=table)


def _bins(ranks: int) -> int:
    """Bins of the histogram: the divisor of the possible ranks that is nearest to ten."""
    return min((k for k in range(2, ranks + 1) if ranks % k == 0), key=lambda k: abs(k - 10))


def _draw_ranks(
    axes: Axes, calibrated: Calibrated, name: str, band: tuple[np.ndarray, np.ndarray], out: bool
) -> None:  # fmt: skip
    ecdf, uniform = calibrated.ecdf(name)
    ranks = np.arange(calibrated.draws)
    axes.fill_between(ranks, band[0] - uniform, band[1] - uniform, color=LIGHT_GREY, linewidth=0)
    axes.axhline(0.0, color=GREY, linewidth=0.7)
    axes.plot(ranks, ecdf - uniform, color=_RED if out else BLUE, linewidth=1.3)
    most = max(0.3, 1.1 * float(np.abs(ecdf - uniform).max()))
    axes.set(xlim=(0, calibrated.draws), ylim=(-most, most))
    axes.set_yticks([-0.2, 0.0, 0.2], ["\u22120.2", "0", "0.2"])
    axes.tick_params(labelsize=SMALL_SIZE - 1)


_LINE, _ACROSS = 0.17, 1.75  # inches


def recovery_picture(
    recovery: Recovery,
    *,
    shown: int = 45,
    name: str = "recovery",
    title: str = "Simulate and recover: repeats whose interval held the truth",
) -> Picture:
    """Share of repeats in which the intervals of each number held its true value, beside the band of right intervals.

    Those numbers whose coverage is furthest from nominal, lowest first; all of them are in the table of the picture.
    """
    check_some(recovery.numbers, "numbers", f"picture {name}")
    level = LEVELS[-1]
    away = sorted(recovery.numbers, key=lambda number: -abs(number.inside[-1] / recovery.repeats - level))[:shown]
    rows = sorted(away, key=lambda number: (number.inside[-1], number.inside[0]))
    with house_style():
        left = 0.3 + max(text_width(number.name, SMALL_SIZE) for number in rows)
        down = _LINE * len(rows)
        figure = new_figure(max(left + 2 * (_ACROSS + 0.35) + 0.2, text_width(title, 11, bold=True) + 0.3), down + 1.65)
        draw_title(figure, title)
        for k, nominal in enumerate(LEVELS):
            axes = axes_at(figure, left + k * (_ACROSS + 0.35), 0.75, _ACROSS, down)
            set_axes(axes, (0.0, 100.0), False, down)
            low, high = _band(np.array([nominal]), recovery.repeats)
            axes.axvspan(100 * low[0], 100 * high[0], color=LIGHT_GREY, linewidth=0)
            axes.axvline(100 * nominal, color=DARK_GREY, linewidth=0.9)
            for row, number in enumerate(rows):
                share = number.inside[k] / recovery.repeats
                out = not low[0] - 1e-12 <= share <= high[0] + 1e-12
                axes.plot([100 * share], [_LINE * (row + 0.5)], linestyle="none", marker="D" if out else "o",
                          markersize=4, color=_RED if out else BLUE, clip_on=False)  # fmt: skip
            axes.set_title(f"{100 * nominal:.0f} % intervals")
            axes.set_xlabel("repeats inside, %", fontsize=SMALL_SIZE)
        for row, number in enumerate(rows):
            text_at(figure, left - 0.1, 0.75 + _LINE * (row + 0.5), number.name, va="center", ha="right", color=BLACK)
        rest = len(recovery.numbers) - len(rows)
        words = f"{recovery.repeats} repeats. Grey: 95 % of counts if intervals are right."
        words += f" {rest} other numbers are nearer to nominal." if rest else ""
        text_at(figure, 0.12, down + 1.4, words)
    total = "; ".join(coverage.text for coverage in recovery.total())
    alt = f"{title}. Over all {len(recovery.numbers)} numbers: {total}. Lowest: {recovery.worst.name}, "
    alt += f"{recovery.worst.inside}."
    table: dict[str, list[object]] = {"number": [number.name for number in recovery.numbers]}
    for k, nominal in enumerate(LEVELS):
        table[f"inside_{100 * nominal:.0f}"] = [number.inside[k] for number in recovery.numbers]
    table["repeats"] = [recovery.repeats] * len(recovery.numbers)
    for field in ("bias", "spread", "shrinkage"):
        table[field] = [getattr(number, field) for number in recovery.numbers]
    return Picture(name=name, title=title, alt=alt, figure=figure, table=table)
