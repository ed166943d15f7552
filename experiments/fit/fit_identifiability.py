"""Sections of the report on a fit: hierarchy, identifiability, and what the data cannot say."""

from collections import defaultdict

import numpy as np

from perdure.experiments.fit.fit_contents import FitContents
from perdure.experiments.fit.fit_labels import number_label
from perdure.experiments.fit.fit_sections import dedented, listed
from perdure.experiments.pictures.forest import EffectRowToDraw, effect_picture
from perdure.experiments.pictures.heat_map import pull_picture
from perdure.experiments.pictures.identifiability import profile_picture
from perdure.experiments.pictures.index_bars import morris_picture, sobol_picture
from perdure.experiments.pictures.picture import Picture
from perdure.experiments.report.report import Section, Table
from perdure.fitting.identifiability.profile import Profile
from perdure.fitting.identifiability.verdict import Verdict, counted
from perdure.fitting.joint.hierarchy import SHARE, Family

HEADLINES = ("crb_401_pfs_median", "crb_401_orr", "legend_2_pfs_60", "legend_2_cr")
"""Results whose sensitivities are drawn, of those that were fitted."""
PROFILES = 24
"""Profiles that are drawn: the others are in the table of verdicts."""
PRIOR_SPEAKS = 0.1
"""A shrinkage below it: the prior speaks."""
DISAGREE = 0.05


def hierarchy_section(found: FitContents) -> Section:
    """Class means, deviations of products, and what products without results borrow."""
    space, draws = found.problem.space, found.points.draws
    pictures, table = [], []
    for k, family in enumerate(space.families):
        place = len(space.ids) + k
        mean = np.sqrt(SHARE) * draws[:, place]
        rows = [_row("class mean", mean)]
        table.append((family.name, "class mean", *_three(mean), _taken(draws[:, place]), ""))
        for name in family.members:
            free = name in space.ids
            drawn = draws @ space.mix[space.ids.index(name)] if free else _borrowed(draws[:, place])
            label = number_label(name).partition(":")[0]
            rows.append(_row(label + ("" if free else " (borrowed)"), drawn, borrowed=not free))
            own = _taken(draws[:, space.ids.index(name)]) if free else float("nan")
            told = "own results" if free else "no result of its own: the class, and its prior around it"
            table.append((family.name, label, *_three(drawn), own, told))
        pictures.append(_family_picture(family, rows, k))
    borrowed = [number_label(name) for name, _ in space.borrowers]
    text = f"""Numbers of one kind differ from product to product around the mean of their class: in prior SDs a
    number is
    the square root of {SHARE:g} times the class plus the square root of {1 - SHARE:g} times its own part. So each
    result of one product also moves the others. Intervals are the central 95 % of the posterior; zero is the prior
    median
    of each product, and a prior alone would reach from -1.96 to 1.96.

    Without any result of their own, these take what the class says, with its own part at the prior: {listed(borrowed)}.
    Their intervals are wide, as they should be."""
    head = ("class", "product", "mean, prior SDs", "2.5 %", "97.5 %", "own part decided, %", "rests on")
    if not space.families:
        return Section("The hierarchy", "No number of this fit belongs to a class of products.")
    return Section("The hierarchy", dedented(text), pictures, [Table("Classes and their products", head, table)])


def _borrowed(place: np.ndarray) -> np.ndarray:
    own = np.random.default_rng(1).standard_normal(len(place))
    return np.sqrt(SHARE) * place + np.sqrt(1.0 - SHARE) * own


def _three(drawn: np.ndarray) -> tuple[float, float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(drawn.mean()), float(low), float(high)


def _taken(drawn: np.ndarray) -> float:
    return round(100.0 * max(0.0, 1.0 - float(drawn.var())))


def _row(label: str, drawn: np.ndarray, *, borrowed: bool = False) -> EffectRowToDraw:
    return EffectRowToDraw(label, *_three(drawn), extrapolated=borrowed)


def _family_picture(family: Family, rows: list[EffectRowToDraw], k: int) -> Picture:
    return effect_picture(
        rows, name=f"class_{k + 1}", title=f"{family.name[0].upper()}{family.name[1:]}: {family.meaning}",
        x_label="prior SDs from the prior median of the product", sides=("smaller", "larger"),
        note="Extrapolated: borrowed from the class, without a result of its own.",
    )  # fmt: skip


def identifiability_section(found: FitContents) -> Section:
    """Verdicts, profiles, sensitivities, pulls and conflicts."""
    told, known = found.assessed.verdicts, found.assessed
    counts = ", ".join(f"{n} {word}" for word, n in counted(told).items() if n)
    excess = max(known.profiles.excess)
    opposed = [one for one in known.conflicts if one.p_adjusted < DISAGREE]
    unlikely = [
        (known.pulls.labels[k], float(known.pulls.p_values[k])) for k in np.argsort(known.pulls.p_values)
        if known.pulls.p_values[k] < DISAGREE
    ]  # fmt: skip
    text = f"""A profile is the best log-likelihood that all other numbers can reach while one is held at each value.
    Where
    the red curve falls by 1.92 on both sides, the data alone identify the number; on one side, they bound it; on
    neither,
    it is flat. If the fall needs another number to stand at its bound (triangles), it is limited by that bound. Blue
    and
    green curves add the priors of the others and its own. Of {len(told)} numbers: {counts}.
    {f"Some profile found a place better than the optimum by {excess:.2f} log units." if excess > 0.1 else ""}

    Sobol indices are shares of the variance of a result when every number varies independently within its posterior;
    Morris's effects are over the prior and show what could matter at all. Both are of the emulator, on the scale of
    each result (logit or log).

    The pull of a result on a number is how far the optimum moves, in posterior SDs, because the result is there.
    {" ".join(known.pulls.sentences(8))}
    {
        f"Weighted draws agree with these pulls (correlation {known.pulls.agreement:.2f})."
        if np.isfinite(known.pulls.agreement)
        else ""
    }

    Results that disagree about a number (adjusted for all pairs that were tried): {len(opposed)} pairs at p below
    {DISAGREE:g}. {
        " ".join(one.sentence for one in opposed)
        or "The strongest that is not beyond chance: " + (known.conflicts[0].sentence if known.conflicts else "none.")
    }
    Results that do not belong to the rest (p below {DISAGREE:g}, not adjusted, of {len(known.pulls.labels)}):
    {listed(f"{label} ({p:.2g})" for label, p in unlikely)}."""
    return Section("Identifiability in words", dedented(text), _identifiability_pictures(found), [
        Table("Verdict on every number", ("verdict", "decided, %", "in words"), [
            (one.word, round(100.0 * max(one.shrinkage, 0.0)), one.sentence) for one in told
        ]),
        Table("Opposed results", ("number", "one", "its pull", "other", "its pull", "p", "adjusted p"), [
            (one.id, one.first, one.first_pull, one.second, one.second_pull, one.p_value, one.p_adjusted)
            for one in known.conflicts[:12]
        ]),
    ])  # fmt: skip


def _identifiability_pictures(found: FitContents) -> list[Picture]:
    known = found.assessed
    profiles = interesting(known.profiles.profiles, known.verdicts)
    headlines = [found.results[name] for name in HEADLINES if name in found.results]
    headlines = headlines or list(known.sobol.outputs[:4])
    words = {one.id: one for one in known.verdicts}
    return [
        profile_picture(
            profiles, [words[one.id] for one in profiles],
            title=f"Profile likelihoods of {len(profiles)} numbers of {len(known.profiles.profiles)}",
        ),
        sobol_picture(known.sobol, headlines, title="Sobol indices over the posterior: headline results"),
        morris_picture(known.morris, headlines, title="Elementary effects over the prior: headline results"),
        pull_picture(known.pulls, items=28, numbers=22),
    ]  # fmt: skip


def interesting(profiles: tuple[Profile, ...], told: tuple[Verdict, ...], most: int = PROFILES) -> list[Profile]:
    """Those that the data decide most, and as many as there are of every other verdict, in turn."""
    order: dict[str, list[str]] = defaultdict(list)
    for one in sorted(told, key=lambda verdict: -verdict.shrinkage):
        order[one.word].append(one.id)
    chosen: list[str] = []
    while len(chosen) < min(most, len(told)):
        chosen += [names.pop(0) for names in order.values() if names]
    kept = set(chosen[:most])
    return [profile for profile in profiles if profile.id in kept]


def cannot_section(found: FitContents) -> Section:
    """What the data cannot say, in plain words, from the verdicts."""
    told = found.assessed.verdicts
    by_word: dict[str, list[Verdict]] = defaultdict(list)
    for one in told:
        by_word[one.word].append(one)
    silent = [one.id for one in told if one.shrinkage < PRIOR_SPEAKS]
    settle: dict[str, list[str]] = defaultdict(list)
    for one in told:
        if one.word != "identified" and one.settling is not None:
            settle[f"{one.settling.evidence} ({one.settling.basis})"].append(one.id)
    text = f"""The data alone rule out no value of {len(by_word["flat"])} numbers:
    {listed(one.id for one in by_word["flat"])}. What is said of them rests on the priors.

    They bound {len(by_word["one-sided"])} numbers on one side only: {listed(map(_bound, by_word["one-sided"]))}.

    {len(by_word["limited by another bound"])} numbers are held only because another one may not leave its range:
    {listed(f"{one.id} (by {' and '.join(one.limited_by)})" for one in by_word["limited by another bound"])}.

    Of {len(silent)} numbers the evidence takes less than {100 * PRIOR_SPEAKS:.0f} % of the prior variance, so that
    another
    prior would give another answer: {listed(silent)}.

    Some numbers are known together only. {" ".join(tie.text for tie in found.assessed.ties) or "No two are tied."}

    {_borrowers(found)}"""
    rows = [(", ".join(names), evidence) for evidence, names in settle.items()]
    return Section("What the data cannot say", dedented(text), tables=[
        Table("What would settle it", ("numbers", "evidence that would decide"), rows,
              "Computed: by the model of the fit. Domain knowledge: what the field would measure.")
    ])  # fmt: skip


def _bound(one: Verdict) -> str:
    return f"{one.id} (from {'below' if np.isfinite(one.interval[0]) else 'above'})"


def _borrowers(found: FitContents) -> str:
    names = [number_label(name) for name, _ in found.problem.space.borrowers]
    if not names:
        return "No product borrows all it has from its class."
    return f"On {len(names)} numbers of products there is no result; they borrow from their class: {listed(names)}."
