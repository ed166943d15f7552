"""Projections of several products, each alone and with what is added to it: pictures, and arms named in full."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..model.imwg import CATEGORIES
from ..model.relapse import CAUSES
from ..model.therapy import read_therapy
from ..trials.compare import Comparison
from ..trials.measures import RESTRICTED_PFS
from ..trials.treat import ArmResult
from .comparison_report import TRIAL_SIZE, course_of, curve_of, table_of
from .figures.courses import Panel, course_picture
from .figures.intervals import EffectRowSpec, effect_picture
from .figures.picture import Picture
from .figures.shares import shares_picture, waterfall_picture
from .figures.survival import survival_picture
from .report import Table

Projections = Mapping[str, Comparison]
"""By key of the product: its arms, the first of which is the product alone; courses in time are kept."""
LOST = 50.0  # molecules/cell, function lost (Perica 2023)
THRESHOLD = 180.0  # cells/uL (Caillot 2024)


def named_in_full(projections: Projections) -> tuple[Comparison, ...]:
    """The same comparisons, their arms named so that no product has a name of another: "ide-cel + lenalidomide"."""
    return tuple(
        replace(comparison, arms=tuple(replace(arm, name=_full_name(product, arm.name)) for arm in comparison.arms))
        for product, comparison in projections.items()
    )


def _full_name(product: str, arm: str) -> str:
    short = read_therapy(product).short
    return arm if arm.startswith(short) else f"{short} {arm}"


def projection_table(projections: Projections) -> Table:
    """Every arm of every product with its measures, and what it gains over its product alone."""
    tables = [table_of(comparison, "") for comparison in named_in_full(projections)]
    note = "Value at the estimate (central 95 % of posterior draws). NR: not reached. Gains: against the product alone."
    return Table("Projections", tables[0].columns, [row for table in tables for row in table.rows], note)


def survival_pictures(projections: Projections) -> list[Picture]:
    """One picture per product: all its arms on the same virtual patients."""
    return [
        survival_picture(
            [curve_of(comparison, arm.name, sample=arm is comparison.arms[0]) for arm in comparison.arms],
            name=f"pfs_{product}", horizon_months=float(comparison.results[0].outcomes.visits.months),
            title=f"{read_therapy(product).short} in {comparison.arms[0].population.replace('_', ' ')} patients "
            "(simulated)",
            note="Same virtual patients in every arm. Dashed lines: first arm only. Combinations are extrapolated.",
        )
        for product, comparison in projections.items()
    ]  # fmt: skip


def gain_picture(projections: Projections) -> Picture:
    """Difference in restricted mean progression-free survival from the product alone, all products in one picture."""
    rows = []
    for comparison in named_in_full(projections):
        for arm, provenance in list(zip(comparison.arms, comparison.provenance, strict=True))[1:]:
            gain = comparison.gain(arm.name, RESTRICTED_PFS)
            rows.append(EffectRowSpec(arm.name, gain.value, gain.low, gain.high, not provenance.calibrated))
    return effect_picture(
        rows, name="gain", title="What each addition would gain",
        x_label="Difference in restricted mean PFS over 36 months (months)", sides=("worse", "better"),
        note="Paired on the same virtual patients; interval: central 95 % of posterior draws.",
    )  # fmt: skip


def cause_picture(projections: Projections) -> Picture:
    """Share of relapses by mechanism, of every arm of every product."""
    shares: dict[str, dict[str, float]] = {
        arm.name: dict(zip(map(str, CAUSES), map(float, result.outcomes.cause_share()), strict=True))
        for comparison in named_in_full(projections)
        for arm, result in zip(comparison.arms, comparison.results, strict=True)
    }
    return shares_picture(
        shares, name="causes", title="Why virtual patients relapse",
        note="What alone, restored at progression, would still have held the tumour; ties share equally.",
    )  # fmt: skip


def course_pictures(projections: Projections) -> list[Picture]:
    """Cellular kinetics, antigen density and exhaustion of each product alone."""
    kinetics, inside = [], []
    for name, result in _alone(projections):
        cells = course_of(result, "car_t", label=name, months=12.0, least=1e-6)
        density, exhausted = (
            course_of(result, quantity, label=name, months=24.0) for quantity in ("density_mean", "exhausted_fraction")
        )
        marks = [(THRESHOLD, "180 cells/uL"), (0.1, "assay limit")]
        kinetics.append(Panel(name, "CAR-T cells in blood (cells/uL)", [cells], log=True, lines=marks, low=0.01))
        inside += [
            Panel(
                f"{name}: antigen", "BCMA density (molecules/cell)", [density], log=True,
                lines=[(LOST, "function lost in vitro")],
            ),
            Panel(f"{name}: exhaustion", "Exhausted share of CAR-T cells", [exhausted], low=0.0),
        ]  # fmt: skip
    note = "Median and 5th to 95th percentile of virtual patients."
    title = "Antigen density and exhaustion (simulated)"
    return [
        course_picture(kinetics, name="kinetics", title="CAR-T cells in blood (simulated)", note=note),
        course_picture(inside, name="antigen_and_exhaustion", title=title, note=note),
    ]


def waterfall_pictures(projections: Projections) -> list[Picture]:
    """Best change of the measured marker in a hundred virtual patients of each product alone."""
    pictures = []
    for product, (name, result) in zip(projections, _alone(projections), strict=True):
        response = result.outcomes.responses[0]
        shown = min(TRIAL_SIZE, result.outcomes.n)
        pictures.append(
            waterfall_picture(
                100.0 * response.best_change[:shown], [CATEGORIES[index] for index in response.best[:shown]],
                name=f"waterfall_{product}",
                title=f"{name}: best change of M-protein or light chain in {shown} virtual patients",
            )
        )  # fmt: skip
    return pictures


def _alone(projections: Projections) -> Iterator[tuple[str, ArmResult]]:
    """Name and virtual patients of the first arm of every product."""
    for comparison in projections.values():
        yield comparison.arms[0].name, comparison.results[0]
