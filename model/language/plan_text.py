"""A line of a plan in words, with the totals that let a reader see a mistake."""

from collections.abc import Sequence

from ..regimen import Dose, Infusion, Regimen
from ..therapy import read_therapy
from .amounts import show_amounts

MOST_DAYS = 5
"""More days than these are told by the first and the last."""


def line_text(regimen: Regimen, heading: str, until: Sequence[str], stopped: Sequence[str], note: str) -> str:
    """One sentence: what is given, from when to when, how much in all, and what else is stopped."""
    therapies = tuple(dict.fromkeys(dose.therapy for dose in regimen.doses))
    clauses = [
        _doses_text([dose for dose in regimen.doses if dose.therapy == therapy])
        + (", until progression" if therapy in until else "")
        for therapy in therapies
    ]
    if stopped:
        names = [read_therapy(key).title + (" as before" if key in therapies else "") for key in stopped]
        clauses.append(f"no more {_joined(names)}")
    told = "; ".join(clauses) or "no therapy"
    return f"{heading}: {told}." + (f" ({note})" if note else "")


def _doses_text(doses: Sequence[Dose]) -> str:
    therapy = read_therapy(doses[0].therapy)
    words = f"{therapy.title} {show_amounts(tuple(dose.amount for dose in doses), therapy)}"
    durations = {dose.duration for dose in doses if isinstance(dose, Infusion)}
    if durations:
        words += f" over {_joined([_duration(days) for days in sorted(durations)])}"
    days = [dose.day for dose in doses]
    if len(days) == 1:
        return f"{words} on day {days[0]:.6g}"
    if len(days) <= MOST_DAYS:
        when = f" on days {_joined([f'{day:.6g}' for day in days])}"
    else:
        when = f", {len(days)} doses from day {days[0]:.6g} to day {days[-1]:.6g}"
    return f"{words}{when}, {show_amounts((sum(dose.amount for dose in doses),), therapy)} in all"


def _duration(days: float) -> str:
    if days < 1 / 24:
        return f"{days * 1440:.4g} min"
    return f"{days * 24:.4g} hours" if days < 2 else f"{days:.4g} days"


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
