"""Pictures, tables and numbers of a local treatment at progression, alone and together with a next line."""

from collections.abc import Sequence

from ..trials.local_treatment import HORIZON, WORTH, Irradiation
from .figures.courses import AlongPanel, LineSpec, along_picture
from .figures.intervals import EffectRowSpec, effect_picture
from .figures.picture import Picture
from .report import Table
from .run_files import NumberRow, estimate_row

_NOTE = f"Value at the estimate (central 95 % of posterior draws); means restricted to {HORIZON:g} months."


def gain_picture(irradiation: Irradiation, groups: Sequence[str]) -> Picture:
    """Months gained along the share in the field, for slow and fast disease."""
    shares, needed = [100 * share for share in irradiation.shares], irradiation.needed().value
    lines = []
    for group in groups:
        gains = [irradiation.gain(share, group) for share in irradiation.shares]
        lines.append(LineSpec(group, shares, [g.value for g in gains], [g.low for g in gains], [g.high for g in gains]))
    panel = AlongPanel(
        "Gain until the next progression", "share of the tumour in the field (%)",
        "gain in progression-free time (months)", lines, zero=True,
        marks=[(needed, f"{WORTH:g} month gained")] if needed < 100.0 else (),
    )  # fmt: skip
    return along_picture(
        [panel], name="oligoprogression", title="20 Gy at progression (simulated)",
        note="Halves by the growth rate of the tumour.",
    )  # fmt: skip


def order_picture(irradiation: Irradiation, orders: Sequence[str], drug: str) -> Picture:
    """Months until the drug of the next line has failed, against the first order."""
    gains = {order: irradiation.difference("failed", order, orders[0]) for order in orders[1:]}
    return effect_picture(
        [EffectRowSpec(order, gain.value, gain.low, gain.high, True) for order, gain in gains.items()],
        name="oligoprogression_order", title=f"Against {orders[0]}",
        x_label=f"Difference in months from the first progression until {drug} has failed, of {HORIZON:g}",
        sides=("shorter", "longer"), note="Same virtual patients; interval: central 95 % of posterior draws.",
    )  # fmt: skip


def share_table(
    irradiation: Irradiation, groups: Sequence[str], *, usual: str, doses: Sequence[str], dosed: float
) -> Table:
    """Months gained by share in the field and group at the usual dose, and by dose with one share in the field."""
    rows = [
        (f"{100 * share:g} %, {usual}", *(irradiation.gain(share, group).text(".1f") for group in groups))
        for share in irradiation.shares
    ]
    rows += [(f"{100 * dosed:g} %, {dose}", irradiation.estimate("gain", dose).text(".1f"), "", "") for dose in doses]
    untreated = [irradiation.estimate("free", group).text(".1f") for group in groups]
    rows.append(("months without any treatment", *untreated))
    return Table("Months gained until the next progression", ("in the field", *groups), rows, _NOTE)


def order_table(irradiation: Irradiation, orders: Sequence[str], title: str) -> Table:
    """What the next line does at once, later, and together with the local treatment."""
    columns = {
        "response in the last line, %": ("response", ".0f"), "months in the last line": ("last line", ".1f"),
        "months from the first progression": ("failed", ".1f"),
    }  # fmt: skip
    rows = [
        (order, *(irradiation.estimate(what, order).text(form) for what, form in columns.values())) for order in orders
    ]
    return Table(title, ("order", *columns), rows, _NOTE)


def number_rows(irradiation: Irradiation, groups: Sequence[str]) -> list[NumberRow]:
    """Every number for `numbers.csv`."""
    names = {
        "gain": ("gain until the next progression", "months"), "free": ("months until progression", "months"),
        "response": ("overall response", "%"), "last line": ("restricted mean PFS of the last line", "months"),
        "failed": ("months until the last line has failed", "months"),
    }  # fmt: skip
    rows = [
        estimate_row(where, names[what][0], irradiation.estimate(what, where), names[what][1])
        for what, where in irradiation.posterior.value
        if what in names
    ]
    needed = "share in the field that gains a month"
    return [*rows, *(estimate_row(group, needed, irradiation.needed(group), "%") for group in groups)]
