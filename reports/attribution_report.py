"""How a difference splits between mechanisms, as a table and as a picture."""

from ..fitting.posterior import Estimate
from ..trials.attribution import Decomposition
from ..trials.coalitions import MECHANISMS
from .figures.contributions import contribution_picture
from .figures.picture import Picture
from .figures.rows import EffectRowToDraw

HEAD = ("mechanism", "contribution", "alone", "added last")


def cells_of(found: Decomposition, decimals: int = 2) -> list[tuple[str, ...]]:
    """Rows of a table: contribution (95 % of draws), what it adds alone and added last; the total below."""

    def signed(number: float) -> str:
        return f"{round(number, decimals) + 0.0:+.{decimals}f}"  # without the sign of a zero that is minus

    def text(one: Estimate) -> str:
        return f"{signed(one.value)} ({signed(one.low)} to {signed(one.high)})"

    rows = [
        (name, text(found.contribution(name)), signed(found.alone(name)), signed(found.last(name)))
        for name in found.mechanisms
    ]
    return [*rows, ("all together", text(found.total), "", "")]


def why_picture(found: Decomposition, *, name: str, title: str, note: str = "") -> Picture:
    """Contributions as a waterfall, each mechanism with what it is about."""
    rows = [_row(f"{one}: {MECHANISMS[one]}", found.contribution(one)) for one in found.mechanisms]
    total = _row(f"All together: {found.other.name} less {found.reference.name}", found.total)
    measure = found.measure
    label = f"Difference in {measure.name} ({measure.unit})"
    return contribution_picture(rows, total, name=name, title=title, x_label=label, sides=("less", "more"), note=note)


def _row(label: str, one: Estimate) -> EffectRowToDraw:
    return EffectRowToDraw(label, one.value, one.low, one.high)
