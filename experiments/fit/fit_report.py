"""The report on a fit: what the calibration rests on, in one HTML file that a reviewer can check."""

from collections.abc import Sequence
from pathlib import Path

from perdure.experiments.fit.fit_contents import FitContents, Progress, ReportSizes, contents
from perdure.experiments.fit.fit_identifiability import cannot_section, hierarchy_section, identifiability_section
from perdure.experiments.fit.fit_labels import number_labels, renamed
from perdure.experiments.fit.fit_sections import (
    ENOUGH,
    POOR,
    RIGHT,
    emulator_rows,
    evidence_section,
    fit_section,
    listed,
    posterior_section,
    prior_section,
    search_section,
)
from perdure.experiments.fit.fit_validation import (
    held_out_section,
    left_out_section,
    long_checks_section,
    populations_section,
)
from perdure.experiments.report.report import Report, Section, write_report
from perdure.experiments.report.run_folder import RunFolder, new_run
from perdure.experiments.treat import SEED
from perdure.fitting.calibration import MISSED, is_file, read_calibration
from perdure.fitting.identifiability.verdict import counted
from perdure.fitting.joint.assessment import AssessmentSettings
from perdure.fitting.joint.long_checks import LongChecks, checks_file, read_checks, same_fit
from perdure.fitting.joint.points import FitPoints, points_file, read_points
from perdure.fitting.joint.problem import Problem
from perdure.fitting.joint.rounds import checksum
from perdure.fitting.joint.search_space import joint_space
from perdure.fitting.reported import read_studies
from perdure.model.catalogue import read_catalogue

_SECTIONS = (
    evidence_section, prior_section, search_section, posterior_section, fit_section, hierarchy_section,
    identifiability_section, left_out_section, held_out_section, long_checks_section, populations_section,
    cannot_section,
)  # fmt: skip


def write_fit_report(
    calibration: str = "reference", runs: Path = Path("runs"), *, settings: AssessmentSettings | None = None,
    sizes: ReportSizes | None = None, progress: Progress | None = None,
) -> Path:  # fmt: skip
    """Assess a fit from the points that lie beside its calibration, and write the report; returns its folder.

    Parameters
    ----------
    calibration
        Name of a shipped calibration, or a user's own file.
    settings, sizes
        How thorough; smaller ones for a quick look.

    Raises
    ------
    FileError
        If there is no such calibration, or no points lie beside it, or they belong to other evidence.
    """
    known = read_calibration(calibration)
    points = read_points(calibration)
    problem = Problem(joint_space(read_catalogue()), read_studies())
    command = f"perdure fit --report --calibration {calibration}"
    with new_run(runs, "fit_report", command, {"virtual patients": SEED, "samplers": 1}) as folder:
        _note_inputs(folder, calibration)
        found = contents(
            known, problem, points, _checks(calibration, points, problem), settings or THOROUGH,
            sizes or ReportSizes(), folder, progress,
        )  # fmt: skip
        with folder.timed("pictures"):
            sections = [section(found) for section in _SECTIONS]
            for section in sections:
                for picture in section.pictures:
                    folder.save(picture)
        _write_tables(folder, sections)
        report = Report(
            title="What the calibration rests on",
            subtitle=f"Calibration '{known.name}': {len(problem.items)} results, {len(problem.space.ids)} free numbers",
            intro=_INTRO,
            notices=notices(found),
            sections=sections,
            manifest={**folder.manifest(), "calibration": _about(found)},
        )
        write_report(folder.path / "report.html", report)
    return folder.path


THOROUGH = AssessmentSettings(points=4, iterations=3, sobol=2048, morris=40, particles=300)
"""Of a report, so that it takes minutes: the points of profiles are joined by cubics with the right slopes."""

_INTRO = """A mechanistic model was fitted to all collected results at once. This report shows the evidence, the search,
the posterior and its emulator, what the data can and cannot tell, and how well trials are predicted that were left out.
What is bad stands in it as it is. All virtual patients are simulated."""


def notices(found: FitContents) -> list[str]:
    """What a reader must know first: what is bad, and the coverage as it is."""
    said = []
    if found.calibration.about.get("evidence") != checksum(found.problem.studies):
        said.append("The evidence has changed since this fit, or the calibration does not say of which evidence it is.")
    bad = sorted(
        ((found.results[name], one["misfit"]) for name, one in found.calibration.misfits.items()
         if name in found.results and abs(one["misfit"]) > MISSED), key=lambda pair: -abs(pair[1]),
    )  # fmt: skip
    if bad:
        said.append(f"Misfits beyond {MISSED:g} standard errors: {listed(f'{n} ({m:+.1f})' for n, m in bad)}.")
    said += _sampling_notices(found)
    poor = [row for row in emulator_rows(found) if row[-1] > POOR]
    if poor:
        said.append(
            f"The emulator errs by more than {POOR:g} times what is expected for {len(poor)} of "
            f"{len(found.results)} results, most for {poor[0][0]} ({poor[0][-1]:.1f} times)."
        )
    counts = ", ".join(f"{n} {word}" for word, n in counted(found.assessed.verdicts).items() if n)
    said.append(f"Of {len(found.assessed.verdicts)} numbers, by the data alone: {counts}.")
    said.append(f"Trials left out: {'; '.join(one.text for one in found.assessed.left_out.coverage())}.")
    if found.held_out is not None:
        said.append(f"Results never fitted: {'; '.join(one.text for one in found.held_out.coverage())}.")
    if found.checks is None:
        said.append(found.unchecked)
    return said


def _sampling_notices(found: FitContents) -> list[str]:
    said = []
    for way, counts in found.about("search").items():
        if isinstance(counts, list | tuple) and len(counts) == 2 and 2 * counts[0] < counts[1]:
            said.append(f"Only {counts[0]} of {counts[1]} searches by {way} reached the best optimum.")
    sampling = found.about("sampling")
    for key, limit, low in (("largest_r_hat", RIGHT, False), ("smallest_ess_bulk", ENOUGH, True)):
        value = sampling.get(key)
        if isinstance(value, int | float) and (value < limit if low else value > limit):
            wanted = "at least" if low else "at most"
            said.append(f"Sampling: {key.replace('_', ' ')} is {value:.4g}; {wanted} {limit:g} is wanted.")
    return said


def _checks(calibration: str, points: FitPoints, problem: Problem) -> tuple[LongChecks | None, str]:
    """The long checks beside the calibration, with labels; or why there are none."""
    known = read_checks(checks_file(calibration))
    name = checks_file(calibration).name
    if known is None:
        return None, (
            f"Simulation-based calibration and simulate-and-recover are not shipped with this calibration ({name}); "
            "'python -m perdure.fitting.joint.long_checks' makes them."
        )
    if not same_fit(known, points):
        return (
            None,
            f"The long checks beside this calibration ({name}) belong to another fit or sampler, and are not shown.",
        )
    return renamed(known, number_labels(problem.space)), ""


def _note_inputs(folder: RunFolder, calibration: str) -> None:
    if is_file(calibration):
        for path in (Path(calibration), points_file(Path(calibration)), checks_file(calibration)):
            if path.exists():
                folder.note_input(path)


def _write_tables(folder: RunFolder, sections: Sequence[Section]) -> None:
    """Every table as CSV too."""
    for number, section in enumerate(sections, start=1):
        for place, table in enumerate(section.tables, start=1):
            head = list(dict.fromkeys(table.columns))
            if table.rows and len(head) == len(table.columns):
                columns = {name: [row[k] for row in table.rows] for k, name in enumerate(table.columns)}
                folder.write_table(f"table_{number}_{place}", columns)


def _about(found: FitContents) -> dict[str, object]:
    return {key: value for key, value in found.calibration.about.items() if key not in ("emulator", "settings")}
