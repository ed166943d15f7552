"""What every picture keeps to; all numbers here are synthetic."""

import csv
import math
import re
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb

from perdure.parameters.errors import InputError, RangeError, UnknownNameError
from perdure.reports.figures.courses import BandSpec, Panel, course_picture
from perdure.reports.figures.diagram import diagram_picture
from perdure.reports.figures.diagram_layout import NODE_WIDTH, WORD_SIZE, best_order, lay_out
from perdure.reports.figures.intervals import EffectRowSpec, FitRowSpec, effect_picture, fit_picture, log_ticks
from perdure.reports.figures.picture import Picture, picture_svg, save_picture
from perdure.reports.figures.shares import shares_picture, waterfall_picture
from perdure.reports.figures.style import (
    LOOKS,
    Look,
    new_figure,
    spread_apart,
    text_colour,
    text_height,
    text_width,
    wrapped,
)
from perdure.reports.figures.survival import CurveSpec, ReportedPoint, SurvivalPanel, survival_grid
from perdure.reports.figures.survival import survival_picture as survival

T = "Synthetic"
# Ten synthetic patients: four events, six censored; the last one leaves at month 27.
LEAVES = np.array([2.0, 4.0, 7.0, 9.0, 13.0, 15.0, 18.0, 20.0, 22.0, 27.0])
EVENTS = np.array([2.0, 4.0, 9.0, 15.0])
SURVIVAL = np.array([0.9, 0.8, 0.8 * 6 / 7, 0.8 * 6 / 7 * 4 / 5])
MONTHS = np.arange(0.0, 61.0)


def curve(label: str = "synthetic product", **changes: object) -> CurveSpec:
    censored = [t for t in LEAVES if t not in EVENTS]
    settings: dict[str, object] = {
        "label": label, "times": EVENTS, "survival": SURVIVAL, "censor_times": censored,
        "at_risk": np.arange(10.0, 0.0, -1.0), "at_risk_times": LEAVES, "band_times": MONTHS, "trial_size": 10,
        "parameter_low": 0.5 ** (MONTHS / 25), "parameter_high": 0.5 ** (MONTHS / 60),
        "sample_low": 0.5 ** (MONTHS / 20), "sample_high": 0.5 ** (MONTHS / 80),
        "median": math.inf, "median_interval": (15.0, math.nan),
        "reported": (ReportedPoint(12, 0.6, 0.4, 0.8, "synthetic trial"),),
    }  # fmt: skip
    return CurveSpec(**(settings | changes))  # pyright: ignore[reportArgumentType]


def band(label: str = "synthetic product", scale: float = 1.0) -> BandSpec:
    days = np.linspace(0, 365, 50)
    middle = scale * 100 * np.exp(-days / 60)
    return BandSpec(label, days, np.where(days > 300, 0.0, middle / 5), middle, middle * 5)


GROUPS = {
    "tumour": "positive tumour, BCMA-null, GPRC5D-null, double-null",
    "CAR-T": "infused, effector, memory, exhausted, terminally exhausted, proliferative fitness",
    "host": "lymphocytes, suppression, anti-CAR immunity",
    "biomarker": "M-protein, soluble BCMA",
}
STATES = [(name, name, group) for group, names in GROUPS.items() for name in names.split(", ")]
# Label, and the states between which it runs; nothing is outside.
LINES = """
growth of the positive tumour: > positive tumour; killing by CAR-T cells: positive tumour >
loss of BCMA: positive tumour > BCMA-null; loss of GPRC5D: positive tumour > GPRC5D-null
second loss, of GPRC5D: BCMA-null > double-null; second loss, of BCMA: GPRC5D-null > double-null
growth of the double-null clone: > double-null; made-up shedding: positive tumour > soluble BCMA
engraftment as effector: infused > effector; engraftment as memory: infused > memory; early death: infused >
proliferation on antigen: > effector; effector becomes memory: effector > memory; recall: memory > effector
exhaustion: effector > exhausted; rescue: exhausted > effector; terminal: exhausted > terminally exhausted
clearance of effector cells by anti-CAR immunity: effector >; death of effector cells: effector >
death of memory cells: memory >; divisions use up fitness: proliferative fitness >; recovery: > lymphocytes
made-up conversion: lymphocytes > memory; onset: > suppression; sensitisation: > anti-CAR immunity
secretion: > M-protein; clearance of soluble BCMA: soluble BCMA >
"""
FOUND = re.findall(r"([^:;\n]+): ([^>]*?) ?> ?([^;\n]*)", LINES)
FLOWS = [(label.strip(), source or None, target or None) for label, source, target in FOUND]
NAMES = ("survival", "grid", "course", "waterfall", "fit", "effects", "ratios", "shares", "diagram")


@cache
def pictures() -> dict[str, Picture]:
    rows = [
        FitRowSpec("synthetic A", "response", "%", 90, 80, 96, 88, 84, 92, -0.4),
        FitRowSpec("synthetic A", "median PFS", "months", 9, 6, math.inf, 15, 11, 20, 2.6),
        FitRowSpec("synthetic B", "persistence", "days", 100, math.nan, math.nan, 120, 90, 160, math.nan, "held out"),
        FitRowSpec("synthetic B", "trough", "ng/mL", 12, 8, 16, 11, 9, 13, -0.3),
    ]
    effects = [EffectRowSpec("drug A", 3.1, 1.0, 6.0), EffectRowSpec("drug B", -1.0, -4.0, math.inf, True)]
    ratios = [EffectRowSpec("drug A", 0.7, 0.5, 0.95), EffectRowSpec("drug B", 1.1, 0.8, 1.6)]
    panels = [
        Panel("Kinetics", "cells/uL", [band(), band("b", 0.2)], True, [(180, "180 cells/uL"), (0.1, "assay limit")]),
        Panel("M-protein", "g/L", [band()]),
    ]
    shares = {"A": {"lost antigen": 0.25, "CAR-T gone": 0.75}, "B": {"CAR-T gone": 1.0}, "C": {}}
    changes = [-100, -100, -92, -60, -30, 10, 250, math.nan]
    grid = [SurvivalPanel("one", [curve()]), SurvivalPanel("two", [curve(), curve("b")])]
    made = [
        survival([curve(), curve("other")], name="survival", title=T, horizon_months=48, note="Note."),
        survival_grid(grid, name="grid", title=T, horizon_months=36),
        course_picture(panels, name="course", title=T, note="Note."),
        waterfall_picture(changes, ["sCR", "CR", "VGPR", "PR", "MR", "SD", "PD", "?"], name="waterfall", title=T),
        fit_picture(rows, title=T, note="Note."),
        effect_picture(effects, name="effects", title=T, x_label="months", sides=("shorter", "longer")),
        effect_picture(ratios, name="ratios", title=T, x_label="hazard ratio", reference=1, log=True),
        shares_picture(shares, name="shares", title=T, beside={"A": "60 % relapsed"}),
        diagram_picture(STATES, FLOWS, [("effector", "killing by CAR-T cells")], name="diagram", title=T),
    ]
    return {picture.name: picture for picture in made}


def main_axes(picture: Picture) -> Axes:
    return next(axes for axes in picture.figure.axes if axes.get_label() != "numbers at risk")


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_saved_with_its_words_and_its_numbers(name: str, tmp_path: Path) -> None:
    picture = pictures()[name]
    paths = save_picture(picture, tmp_path)
    assert [path.name for path in paths] == [f"{name}.{suffix}" for suffix in ("svg", "png", "csv", "txt")]
    assert paths[0].read_bytes().startswith(b"<?xml")
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    assert len(paths[3].read_text(encoding="utf-8").split()) > 10
    with paths[2].open(encoding="utf-8", newline="") as file:
        head, *lines = csv.reader(file)
    assert head == list(picture.table)
    for column, cells in zip(picture.table.values(), zip(*lines, strict=True), strict=True):
        for value, cell in zip(column, cells, strict=True):
            if isinstance(value, float) and not math.isnan(value):
                assert float(cell) == pytest.approx(value, rel=1e-11)
            else:
                assert cell == {"None": "", "nan": "", "True": "yes", "False": "no"}.get(str(value), str(value))


def test_a_picture_drawn_again_is_the_same_to_the_byte() -> None:
    first = picture_svg(pictures()["survival"])
    assert picture_svg(pictures()["survival"]) == first
    # Nor does it matter what style its user has set for other figures.
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 5, "svg.fonttype": "none", "axes.grid": True}):
        again = survival([curve(), curve("other")], name="survival", title=T, horizon_months=48, note="Note.")
        assert picture_svg(again) == first
    assert b"<dc:date>" not in first


def test_nothing_is_drawn_past_the_last_patient() -> None:
    axes = main_axes(survival([curve()], name="s", title=T, horizon_months=60))
    # The dotted leader from the end of a curve to its label is no part of the curve.
    ends = [np.max(np.asarray(line.get_xdata())) for line in axes.lines if line.get_label() != "_leader"]
    bands = [drawn for drawn in axes.collections if isinstance(drawn, PolyCollection)]
    ends += [np.asarray(path.vertices)[:, 0].max() for drawn in bands for path in drawn.get_paths()]
    assert len(ends) >= 5
    assert max(ends) == pytest.approx(27)


def test_a_curve_starts_at_one_hundred_per_cent_and_ends_with_the_horizon_if_patients_stay_longer() -> None:
    times, fractions = curve().steps(12.0)
    np.testing.assert_allclose([times[0], fractions[0], times[-1], fractions[-1]], [0, 1, 12, SURVIVAL[2]])
    np.testing.assert_allclose(curve().survival_at(np.array([0.0, 1.99, 2.0, 14.99, 15.0])), [1, 1, 0.9, *SURVIVAL[2:]])


def test_numbers_at_risk_count_who_is_followed_just_before_and_stand_under_the_ticks() -> None:
    picture = survival([curve()], name="s", title=T, horizon_months=30)
    main = main_axes(picture)
    below = next(axes for axes in picture.figure.axes if axes.get_label() == "numbers at risk")
    counts = {round(text.get_position()[0]): text.get_text() for text in below.texts if text.get_text().isdigit()}
    assert counts == {0: "10", 6: "8", 12: "6", 18: "4", 24: "1", 30: "0"}
    np.testing.assert_allclose(main.get_position().intervalx, below.get_position().intervalx)
    np.testing.assert_allclose(main.get_xlim(), below.get_xlim())
    followed = curve().at_risk_at(np.array([2.0, 2.01, 27.0, 27.01]))
    assert followed is not None
    np.testing.assert_allclose(followed, [10, 9, 1, 0])


def test_the_words_tell_a_median_that_is_not_reached_and_one_uncertainty_from_the_other() -> None:
    assert curve().median_text() == "median NR\n(15.0 to NR)"
    assert curve(median=8.61, median_interval=(7.0, 11.0)).median_text() == "median 8.6 mo\n(7.0 to 11.0)"
    words = " ".join(text.get_text() for legend in pictures()["survival"].figure.legends for text in legend.get_texts())
    assert "uncertainty about parameters" in words
    assert "sampling error of a trial of 10 patients" in words


def test_a_waterfall_goes_from_worst_to_best_and_keeps_what_it_cuts() -> None:
    picture = pictures()["waterfall"]
    changes = [float(str(value)) for value in picture.table["best_change_percent"]]
    assert changes == sorted([-100, -100, -92, -60, -30, 10, 250], reverse=True)
    heights = [patch.get_height() for patch in main_axes(picture).patches]  # pyright: ignore[reportAttributeAccessIssue]
    assert max(heights) == pytest.approx(100)
    assert "1 of 8 patients" in picture.alt
    many = waterfall_picture(np.linspace(-100, 50, 400), ["PR"] * 300 + ["PD"] * 100, name="many", title=T)
    assert len(main_axes(many).patches) == 2  # one area for each category


def test_what_stands_out_in_a_forest_is_marked_by_more_than_colour() -> None:
    axes = pictures()["fit"].figure.axes[1]
    assert axes.get_xscale() == "log"
    assert any(line.get_marker() == "D" for line in axes.lines)
    words = [text.get_text() for name in ("fit", "effects") for text in pictures()[name].figure.texts]
    assert {"\u25b2 +2.6", "\u22120.4"} <= set(words)
    assert sum(text.endswith("extrapolates") for text in words) == 1


@pytest.mark.parametrize(("low", "high"), [(0.45, 1.9), (3.0, 50.0), (1e-3, 1e7), (280.0, 900.0), (11.0, 12.0)])
def test_a_log_axis_has_at_least_three_round_ticks(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert len([tick for tick in ticks if low <= tick <= high]) == len(set(ticks)) >= 3


def test_labels_do_not_overlap_and_wrapped_lines_fit() -> None:
    heights = np.array([0.4, 0.3, 0.2, 0.4])
    placed = spread_apart([1.0, 1.05, 3.0, 0.95], heights, 0.0, 4.0)
    order = np.argsort(placed)
    assert np.all(np.diff(placed[order]) >= (heights[order][1:] + heights[order][:-1]) / 2 - 1e-12)
    assert placed[2] == pytest.approx(3.0)  # nothing is near, so it stays
    lines = wrapped("clearance of effector cells by anti-CAR immunity", 1.3, 7.5)
    assert " ".join(lines.split()) == "clearance of effector cells by anti-CAR immunity"
    assert text_width(lines, 7.5) <= 1.3


@pytest.mark.parametrize("look", LOOKS)
def test_small_letters_in_any_colour_are_dark_enough(look: Look) -> None:
    parts = to_rgb(text_colour(look.colour))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    assert 1.05 / (np.dot([0.2126, 0.7152, 0.0722], linear) + 0.05) >= 4.5


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_no_two_names_and_no_box_of_a_diagram_overlap(columns: int) -> None:
    layout = lay_out(STATES, [(label, (source, target)) for label, source, target in FLOWS], columns)
    areas = [(box.x, box.y, box.x + NODE_WIDTH, box.y + box.height) for box in layout.boxes.values()]
    for word in layout.words:
        width, half = text_width(word.text, WORD_SIZE), text_height(word.text, WORD_SIZE) / 2
        left = word.x if word.align == "left" else word.x - width
        areas.append((left, word.y - half, left + width, word.y + half))
    assert len(areas) == len(FLOWS) + len(STATES)
    for (left, top, right, bottom), other in combinations(areas, 2):
        assert left >= other[2] or other[0] >= right or top >= other[3] or other[1] >= bottom
        assert 0 <= left < right <= layout.width
        assert 0 <= top < bottom <= layout.height


def test_every_flow_of_a_diagram_ends_at_the_edge_of_its_box() -> None:
    layout = lay_out(STATES, [(label, (source, target)) for label, source, target in FLOWS], 2)
    for (_, source, target), route in zip(FLOWS, layout.routes, strict=True):
        for name, (x, y) in ((source, route.points[0]), (target, route.points[-1])):
            if name is not None:
                box = layout.boxes[name]
                at_side = min(abs(x - box.x), abs(x - box.x - NODE_WIDTH)) < 1e-9 and box.y < y < box.y + box.height
                at_end = min(abs(y - box.y), abs(y - box.y - box.height)) < 1e-9 and box.x < x < box.x + NODE_WIDTH
                assert at_side or at_end


@pytest.mark.parametrize("size", [5, 9])
def test_states_in_a_chain_come_to_stand_in_its_order(size: int) -> None:
    names = [f"state {number}" for number in range(size)]
    shuffled = [names[index] for index in np.random.default_rng(1).permutation(size)]
    assert best_order(shuffled, list(pairwise(names))) in (names, names[::-1])


AT_ZERO = Panel("p", "y", [band()], True, [(0.0, "none")])
BELOW = EffectRowSpec("drug", -1, -2, 1)
WRONG = {
    "times that fall": lambda: curve(times=[4.0, 2.0, 9.0, 15.0]),
    "unequal lengths": lambda: curve(survival=[0.9]),
    "not numbers": lambda: curve(times=["a", "b", "c", "d"]),
    "sampling error of nobody": lambda: curve(trial_size=None),
    "no curve": lambda: survival([], name="s", title=T, horizon_months=12),
    "a name that is no file": lambda: survival([curve()], name="a/b", title=T, horizon_months=12),
    "percentiles that cross": lambda: BandSpec("b", [0.0, 1.0], [2.0, 2.0], [1.0, 1.0], [3.0, 3.0]),
    "a line at zero on a log axis": lambda: course_picture([AT_ZERO], name="c", title=T),
    "below nothing": lambda: waterfall_picture([-120.0], ["CR"], name="w", title=T),
    "an interval upside down": lambda: FitRowSpec("s", "l", "%", 50, 60, 40, 50, 40, 60, 0),
    "a failed effect": lambda: EffectRowSpec("drug", math.nan, 0, 1),
    "a ratio below zero": lambda: effect_picture([BELOW], name="e", title=T, x_label="", reference=1, log=True),
    "shares beyond the whole": lambda: shares_picture({"A": {"x": 0.7, "y": 0.7}}, name="s", title=T),
    "a flow from nowhere to nowhere": lambda: diagram_picture(STATES, [("f", None, None)], name="d", title=T),
    "no alt text": lambda: Picture("p", "t", " ", new_figure(1, 1), {"a": [1]}),
}


@pytest.mark.parametrize("what", WRONG)
def test_bad_input_is_refused_in_words(what: str) -> None:
    with pytest.raises(InputError, match=r".{20,}"):
        WRONG[what]()


def test_a_message_says_which_number_is_wrong_and_which_name_is_near() -> None:
    with pytest.raises(RangeError, match=r"synthetic product.*survival\[1\] = 0.95"):
        curve(survival=[0.9, 0.95, 0.5, 0.4])
    with pytest.raises(UnknownNameError, match="VGPR"):
        waterfall_picture([-95.0], ["VGPRR"], name="w", title=T)
    with pytest.raises(UnknownNameError, match="effector"):
        diagram_picture(STATES, [("f", "efector", None)], name="d", title=T)
    with pytest.raises(UnknownNameError, match="loss of BCMA"):
        diagram_picture(STATES, FLOWS, [("effector", "los of BCMA")], name="d", title=T)
