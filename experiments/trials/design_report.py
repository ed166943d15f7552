"""How many patients does this trial need, and how likely is it to succeed, given what is not known of the effect?

`perdure design FILE` runs this. It is no experiment of the shelf, because it needs a file.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from perdure.experiments.report.report import Report, Section, write_report
from perdure.experiments.report.run_files import write_numbers
from perdure.experiments.report.run_folder import RunFolder, new_run
from perdure.experiments.report.text import aligned, columns
from perdure.experiments.settings import Settings
from perdure.experiments.trials.design_pictures import (
    ENDPOINTS,
    TESTS,
    effect_pictures,
    example_picture,
    power_picture_of,
)
from perdure.experiments.trials.design_result import DesignResult, arm_of, read_design, run
from perdure.experiments.trials.design_tables import (
    arms_table,
    assurance_table,
    design_table,
    effect_table,
    endpoints_table,
    number_rows,
    one,
    percent,
    power_table,
    size_table,
)
from perdure.experiments.trials.tables import adrs, adsl, adtte


def design_report(
    file: str | Path, settings: Settings, *, sizes: Sequence[int] = (), trials: int = 200, arm: str = ""
) -> Path:
    """Read a scenario, simulate its trial, print, and write the run; returns its folder.

    `settings.patients` is the size of the pool at the estimate, `patients_per_draw` that of every draw's; `arm` names
    the arm that is compared with the reference, by default the second.

    Raises
    ------
    InputError
        If the file, the sizes or the arm are not right; before anything is computed.
    """
    design = read_design(file)
    which = arm_of(design, arm)
    calibration = settings.read_calibration()
    seeds = {"virtual patients and trials": settings.seed, "calibration": calibration.about.get("seed")}
    with new_run(settings.folder, "design", settings.command, seeds) as folder:
        folder.note_input(file)
        with folder.timed("simulation"):
            found = run(
                design, calibration, arm=which, sizes=sizes, trials=trials, patients=settings.patients,
                draws=settings.draws, patients_per_draw=settings.patients_per_draw, seed=settings.seed,
                progress=settings.progress,
            )  # fmt: skip
        with folder.timed("pictures"):
            sections = sections_of(found)
        for sentence in sentences(found):
            settings.say(sentence)
        _write(folder, found, sections, settings)
        report = Report(
            title=design.title, subtitle="Power, sample size and assurance of a simulated trial",
            intro="\n\n".join(sentences(found)), notices=notices(found), sections=sections,
            manifest=folder.manifest(),
        )  # fmt: skip
        write_report(folder.path / "report.html", report)
    return folder.path


def _write(folder: RunFolder, found: DesignResult, sections: Sequence[Section], settings: Settings) -> None:
    for section in sections:
        for picture in section.pictures:
            folder.save(picture)
        for table in section.tables:
            cells = [tuple(map(str, row)) for row in table.rows]
            settings.say(f"\n{table.title}\n{aligned(table.columns, cells)}")
            folder.write_table(table.title.lower().replace(" ", "_").replace(",", ""), columns(table.columns, cells))
    for name, make in (("adsl", adsl), ("adtte", adtte), ("adrs", adrs)):
        made = make(found.design, found.pool, found.example)
        folder.write_table(name, {column: values.tolist() for column, values in made.items()})
    write_numbers(folder, number_rows(found))


def sentences(found: DesignResult) -> list[str]:
    """The answer in plain words, the most important first."""
    design, assured, size = found.design, found.planned, found.size
    power, low, high = found.power
    there, least, most = assured.exists
    told = [
        f"With {int(design.patients)} patients the trial succeeds with a probability of {percent(assured.value)} "
        f"(assurance; Monte-Carlo {percent(assured.low)} to {percent(assured.high)}): this counts what is not known of "
        f"the effect. If the estimate were the truth it would be {percent(power)} (power; Monte-Carlo {percent(low)} "
        f"to {percent(high)}).",
        f"Success is a two-sided p below {design.alpha:g} in the {TESTS[design.test]} of "
        f"{ENDPOINTS[design.endpoint].lower()}, in favour of {found.name} over {design.arms[0].name}.",
        f"{found.name} is truly better in {percent(there)} of the {len(assured.power)} posterior draws ("
        f"{percent(least)} to {percent(most)} by their number)"
        + (f"; in those its power is {percent(assured.power_if_better)}." if assured.better.any() else "."),
    ]
    if not math.isfinite(size.patients):
        return [*told, f"No number of patients has {percent(size.power)} power: the estimate gives no gain to find."]
    where = "" if size.within else ", outside of the sizes that were simulated and so only a rough guess"
    return [
        *told,
        f"{percent(size.power)} power at the estimate needs about {one(size.patients)} patients (Monte-Carlo "
        f"{one(size.low)} to {one(size.high)}){where}.",
    ]


def notices(found: DesignResult) -> list[str]:
    """What a reader must know before the numbers."""
    design = found.design
    told = [
        f"{arm.name}: {standing.flag}. {standing.reason[0].upper()}{standing.reason[1:]}."
        for arm, standing in zip(design.arms, found.footings, strict=True)
    ]
    told.append("All patients and trials are simulated. A research and design tool, not medical advice.")
    if len(design.arms) > 2:
        told.append(f"Of {len(design.arms)} arms two are compared, without correction for comparing others as well.")
    if design.endpoint == "dor":
        told.append("Duration of response compares responders, who are no randomised groups.")
    if found.pool.eligible_share < 1.0:
        told.append(f"{percent(found.pool.eligible_share)} of the virtual patients could enter the trial.")
    return told


def sections_of(found: DesignResult) -> list[Section]:
    """Everything that is shown, from the answer to the design."""
    example = example_picture(found)
    return [
        Section(
            "How many patients", _POWER_TEXT, [power_picture_of(found)], [power_table(found), size_table(found)]
        ),
        Section(
            "What is not known of the effect", _ASSURANCE_TEXT, effect_pictures(found),
            [assurance_table(found), effect_table(found)],
        ),
        Section(
            "One such trial", _EXAMPLE_TEXT, [example] if example else [], [arms_table(found), endpoints_table(found)]
        ),
        Section("The design in words", "\n\n".join(found.design.assumptions), tables=[design_table(found)]),
    ]  # fmt: skip


_POWER_TEXT = """Trials of every size are simulated from one pool of virtual patients, and the successful ones counted.
Three things are kept apart. That a trial misses an effect that is there is the luck of its sample: this is what power
is about. That only so many trials were simulated is the Monte-Carlo error: the whiskers, and every interval that is
called so. That the size of the effect is not known is what assurance adds; its band is the only thing here that more
evidence would narrow.

The curve is smoothed (the probit of power is a straight line in the square root of the number of patients, whose level
has a normal prior around the quantile of half of alpha), and the size with the power wanted is read off it; its
interval is that of the simulated trials, not of the effect. Outside of the sizes that were simulated it leans on that
prior, and is a rough guess."""
_ASSURANCE_TEXT = """The trial is repeated with every posterior draw, in which effects that no evidence decides keep the
whole width of their prior. The mean power over the draws is the assurance. Its Monte-Carlo error has two parts: so many
draws, and so many trials of each."""
_EXAMPLE_TEXT = """What a report of one such trial could look like. All intervals here are from the sample size. Only
the primary endpoint is a test; other p are descriptive. The same patients stand in adsl.csv, adtte.csv and adrs.csv in
the folder of the run."""
