"""Classification of a parameter: identified, one-sided, non-identifiable (flat), or limited by another bound."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...parameters.errors import RangeError
from ...parameters.files import complain, read_toml
from .influence import Curvature
from .profile import Curve, Profile, Profiles

# Measurements that would identify a parameter, from a table beside this file.


FILE = Path(__file__).with_name("settling_evidence.toml")


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    evidence: str = Field(min_length=1)
    basis: Literal["computed", "domain knowledge"]


@dataclass(frozen=True)
class InformativeExperiment:
    """A measurement that would decide a number, the entry of the table that says so, and what stands behind it."""

    key: str
    evidence: str
    basis: Literal["computed", "domain knowledge"]


@cache
def informative_experiment_table(path: Path = FILE) -> dict[str, InformativeExperiment]:
    """All entries by key; raises FileError if one is incomplete."""
    entries = {}
    for key, entry in read_toml(path).items():
        try:
            read = _Entry.model_validate(entry)
        except ValidationError as problem:
            raise complain(problem, f"{path.name}, [{key}]", _Entry.model_fields) from None
        entries[key] = InformativeExperiment(key, read.evidence, read.basis)
    return entries


def settling_evidence(name: str) -> InformativeExperiment | None:
    """The entry of a number: its own, that of its name without product or population, or the longest pattern that fits.

    None if the table does not know it.
    """
    table = informative_experiment_table()
    parts = name.split(".")
    for first in range(len(parts)):
        if (shorter := ".".join(parts[first:])) in table:
            return table[shorter]
    shorter = [".".join(parts[first:]) for first in range(len(parts))]
    fitting = [key for key in table if any(fnmatchcase(text, key) for text in shorter)]
    return table[max(fitting, key=len)] if fitting else None


Word = Literal["identified", "one-sided", "flat", "limited by another bound"]

MORE = 4.0
"""So many times the patients are asked about: half of the standard error."""

_WORTH = 0.005  # a smaller shrinkage is not named
_TOLD = 3  # results that are named


@dataclass(frozen=True)
class Promise:
    """By how much the posterior variance of a number would shrink if a result had `MORE` times its patients."""

    label: str
    shrinkage: float


@dataclass(frozen=True)
class Verdict:
    """What is known about one number; numbers are in prior SDs.

    Attributes
    ----------
    word
        From the likelihood alone, the other numbers being anywhere within their bounds.
    word_with_priors
        With the priors of the other numbers, without its own.
    limited_by
        The other numbers on whose bounds the interval of the likelihood rests.
    interval, interval_with_priors, interval_posterior
        95 % intervals of the three profiles; infinite where a curve does not fall enough within the range.
    shrinkage
        1 - (posterior SD)^2: 1 if the evidence decides, 0 if only the prior speaks.
    partner, correlation
        The number with which it trades off most, by posterior correlation.
    promises
        Results that would tell most about it with `MORE` times their patients, computed by Gaussian approximation.
    settling
        What measurement would decide it, from the table of `settling_evidence.toml`; None if it has no entry.
    """

    id: str
    word: Word
    word_with_priors: Word
    limited_by: tuple[str, ...]
    interval: tuple[float, float]
    interval_with_priors: tuple[float, float]
    interval_posterior: tuple[float, float]
    peak_at_bound: bool
    shrinkage: float
    partner: str
    correlation: float
    promises: tuple[Promise, ...]
    settling: InformativeExperiment | None
    sentence: str


def word_for(curve: Curve) -> tuple[Word, tuple[str, ...]]:
    """The verdict on one curve, and the other numbers whose bounds limit it."""
    limited = tuple(dict.fromkeys(name for name in curve.limits() if name))
    if limited:
        return "limited by another bound", limited
    closed = int(np.isfinite(curve.low)) + int(np.isfinite(curve.high))
    return ("flat", "one-sided", "identified")[closed], ()  # pyright: ignore[reportReturnType]


def expected_shrinkage(at: Curvature, more: float = MORE) -> np.ndarray:
    """Share (items, d) by which each number's posterior variance would fall if one item had `more` times its patients.

    Gaussian approximation: the information of an item grows with its number of patients, so that the precision grows
    by (more - 1) times what the item adds now (expected information in Bayesian design, Chaloner & Verdinelli 1995).
    """
    if more < 1:
        raise RangeError(f"more is {more}; an item can only have more patients, so it must be at least 1.")
    now, precision = np.diag(at.covariance), at.precision
    then = [np.diag(np.linalg.inv(precision + (more - 1.0) * item)) for item in at.information]
    return 1.0 - np.array(then).reshape(len(at.labels), len(now)) / now


def verdicts(
    profiles: Profiles,
    at: Curvature,
    *,
    covariance: np.ndarray | None = None,
    natural: Callable[[str, float], str] | None = None,
    settling: Callable[[str], InformativeExperiment | None] = settling_evidence,
) -> tuple[Verdict, ...]:
    """A verdict for every number that was profiled.

    Parameters
    ----------
    at
        Curvature at the highest posterior, with the labels of the items.
    covariance
        That of posterior draws, (d, d) in prior SDs; otherwise the Gaussian approximation's.
    natural
        Writes a coordinate of a number in its own unit, for the sentences; otherwise they are in prior SDs.
    """
    if at.ids != profiles.ids:
        raise RangeError("the curvature and the profiles are of different numbers; compute both for the same ids.")
    spread = at.covariance if covariance is None else np.asarray(covariance, dtype=float)
    sd = np.sqrt(np.diag(spread))
    correlation = spread / np.outer(sd, sd)
    promised = expected_shrinkage(at)
    return tuple(_verdict(profile, at, correlation, sd, promised, natural, settling) for profile in profiles.profiles)


def _verdict(
    profile: Profile,
    at: Curvature,
    correlation: np.ndarray,
    sd: np.ndarray,
    promised: np.ndarray,
    natural: Callable[[str, float], str] | None,
    settling: Callable[[str], InformativeExperiment | None],
) -> Verdict:
    k = at.ids.index(profile.id)
    word, limited = word_for(profile.likelihood)
    with_priors, _ = word_for(profile.evidence)
    others = np.abs(correlation[k]) * (np.arange(len(sd)) != k)
    partner = int(np.argmax(others))
    best = [int(i) for i in np.argsort(-promised[:, k])[:_TOLD] if promised[i, k] > _WORTH]
    intervals = [(curve.low, curve.high) for curve in (profile.likelihood, profile.evidence, profile.posterior)]
    alone = len(sd) == 1
    verdict = Verdict(
        id=profile.id, word=word, word_with_priors=with_priors, limited_by=limited, interval=intervals[0],
        interval_with_priors=intervals[1], interval_posterior=intervals[2],
        peak_at_bound=profile.likelihood.peak_at_bound, shrinkage=float(1.0 - sd[k] ** 2),
        partner="" if alone else at.ids[partner], correlation=0.0 if alone else float(correlation[k, partner]),
        promises=tuple(Promise(at.labels[i], float(promised[i, k])) for i in best), settling=settling(profile.id),
        sentence="",
    )  # fmt: skip
    write = natural or (lambda _, coordinate: f"{coordinate:+.2f}")
    return Verdict(**{**vars(verdict), "sentence": _sentence(verdict, lambda x: write(verdict.id, x), natural is None)})


def _sentence(verdict: Verdict, write: Callable[[float], str], coordinates: bool) -> str:
    unit = " prior SDs from its prior median" if coordinates else ""
    parts = [f"{verdict.id}: {_from_data(verdict, write, unit)}."]
    if verdict.word_with_priors != verdict.word:
        parts.append(
            f"If the priors of the other numbers hold: {verdict.word_with_priors} "
            f"({_interval(verdict.interval_with_priors, write, unit)})."
        )
    parts.append(f"The evidence takes {100.0 * max(verdict.shrinkage, 0.0):.0f} % of the prior variance.")
    if abs(verdict.correlation) >= 0.3:
        way = "rises when" if verdict.correlation > 0 else "falls when"
        parts.append(f"It {way} {verdict.partner} rises (correlation {verdict.correlation:+.2f}).")
    if verdict.promises:
        named = ", ".join(f"{p.label} ({100.0 * p.shrinkage:.0f} % less variance)" for p in verdict.promises)
        parts.append(f"With {MORE:g} times the patients most would be learnt from {named} (computed).")
    if verdict.word != "identified" and verdict.settling is not None:
        parts.append(f"What would settle it ({verdict.settling.basis}): {verdict.settling.evidence}")
    return " ".join(parts)


def _from_data(verdict: Verdict, write: Callable[[float], str], unit: str) -> str:
    if verdict.word == "flat":
        return "flat: no value within its range is ruled out by the data alone"
    text = f"{verdict.word} ({_interval(verdict.interval, write, unit)})"
    if verdict.limited_by:
        bounds = " and of ".join(verdict.limited_by)
        text = f"limited by the bound of {bounds} ({_interval(verdict.interval, write, unit)})"
    return text + (", and best at the end of its own range" if verdict.peak_at_bound else "")


def _interval(interval: tuple[float, float], write: Callable[[float], str], unit: str) -> str:
    low, high = interval
    if not np.isfinite(low) and not np.isfinite(high):
        return "no value ruled out"
    if not np.isfinite(low):
        return f"at most {write(high)}{unit}"
    return f"at least {write(low)}{unit}" if not np.isfinite(high) else f"{write(low)} to {write(high)}{unit}"


def counted(classified: Sequence[Verdict]) -> Mapping[Word, int]:
    """How many numbers have each verdict."""
    words: tuple[Word, ...] = ("identified", "one-sided", "flat", "limited by another bound")
    return {word: sum(verdict.word == word for verdict in classified) for word in words}
