"""How a difference splits between mechanisms, as a table and as a picture."""

from ..fitting.posterior import Estimate
from ..trials.attribution import Decomposition
from ..trials.coalitions import MECHANISMS
from .figures.contributions import contribution_picture
from .figures.intervals import EffectRowSpec
from .figures.picture import Picture
from .report import Table

HEAD = ("mechanism", "contribution", "alone", "added last")


def why_table(decomposition: Decomposition, title: str) -> Table:
    """Contribution of every mechanism, and the whole difference, as a table."""
    return Table(title, HEAD, cells_of(decomposition))


def cells_of(decomposition: Decomposition, decimals: int = 2) -> list[tuple[str, ...]]:
    """Rows of a table: contribution (95 % of draws), what it adds alone and added last; the total below."""

    def signed(number: float) -> str:
        return f"{round(number, decimals) + 0.0:+.{decimals}f}"  # without the sign of a zero that is minus

    def text(estimate: Estimate) -> str:
        return f"{signed(estimate.value)} ({signed(estimate.low)} to {signed(estimate.high)})"

    rows = [
        (
            mechanism, text(decomposition.contribution(mechanism)), signed(decomposition.alone(mechanism)),
            signed(decomposition.last(mechanism)),
        )
        for mechanism in decomposition.mechanisms
    ]  # fmt: skip
    return [*rows, ("all together", text(decomposition.total), "", "")]


def why_picture(decomposition: Decomposition, *, name: str, title: str, note: str = "") -> Picture:
    """Contributions as a waterfall, each mechanism with what it is about."""
    rows = [
        _row(f"{mechanism}: {MECHANISMS[mechanism]}", decomposition.contribution(mechanism))
        for mechanism in decomposition.mechanisms
    ]
    difference = f"{decomposition.other.name} less {decomposition.reference.name}"
    measure = decomposition.measure
    return contribution_picture(
        rows, _row(f"All together: {difference}", decomposition.total), name=name, title=title,
        x_label=f"Difference in {measure.name} ({measure.unit})", sides=("less", "more"), note=note,
    )  # fmt: skip


def _row(label: str, estimate: Estimate) -> EffectRowSpec:
    return EffectRowSpec(label, estimate.value, estimate.low, estimate.high)
