"""How well does the model explain the reported trials, and what would lenalidomide or a gamma-secretase inhibitor add?

The report that `perdure run` writes: fit table, projections with their uncertainty, causes of relapse, the virtual
patients behind them, and every number with its origin.
"""

from collections.abc import Sequence
from pathlib import Path

from perdure.fitting.calibration.calibration import MISSED, Calibration
from perdure.fitting.fit_table import SEED as FIT_SEED
from perdure.fitting.fit_table import FitRow, fit_table
from perdure.model.therapy import read_therapy
from perdure.parameters.source import read_sources
from perdure.reports.model_diagram import model_diagram
from perdure.reports.projection_report import (
    TRIAL_SIZE,
    cause_picture,
    course_pictures,
    fit_pictures,
    gain_picture,
    survival_pictures,
    waterfall_pictures,
)
from perdure.reports.report import Report, Section, Table, aligned, columns, write_report
from perdure.reports.run_files import estimate_rows, write_numbers
from perdure.reports.run_folder import RunFolder, new_run
from perdure.reports.settings import Settings
from perdure.trials.projection import RESTRICTED_MONTHS, Projection
from perdure.trials.projection import run as project

TIME = "about a minute"


def run(settings: Settings) -> tuple[tuple[FitRow, ...], tuple[Projection, ...]]:
    """Fit table and projections, as numbers."""
    calibration = settings.read_calibration()
    rows = fit_table(
        calibration, patients=settings.patients, draws=settings.draws, patients_per_draw=settings.patients_per_draw,
        progress=settings.progress,
    )  # fmt: skip
    projections = project(
        patients=settings.patients, draws=settings.draws, patients_per_draw=settings.patients_per_draw,
        seed=settings.seed, calibration=calibration, progress=settings.progress,
    )  # fmt: skip
    return rows, projections


def main(settings: Settings) -> Path:
    """Compute, print both tables, and write the report; returns its folder."""
    calibration = settings.read_calibration()
    seeds = {"projection": settings.seed, "fit table": FIT_SEED, "calibration": calibration.about.get("seed")}
    with new_run(settings.folder, "overview", settings.command, seeds) as folder:
        if settings.calibration.endswith(".json"):
            folder.note_input(settings.calibration)
        with folder.timed("simulation"):
            rows, projections = run(settings)
        settings.say(_fit_text(rows))
        settings.say(_projection_text(projections))
        with folder.timed("pictures and report"):
            _write(folder, settings, calibration, rows, projections)
    return folder.path


def _write(
    folder: RunFolder,
    settings: Settings,
    calibration: Calibration,
    rows: Sequence[FitRow],
    projections: Sequence[Projection],
) -> None:
    folder.write_table("fit_table", columns(_FIT_HEAD, [_fit_cells(row) for row in rows]))
    folder.write_table("projections", columns(_head(projections), [_projection_cells(p) for p in projections]))
    named = {(read_therapy(p.scenario.product).short, p.scenario.name): p.numbers for p in projections}
    arms = {name if name.startswith(product) else f"{product} {name}": n for (product, name), n in named.items()}
    write_numbers(folder, [row for arm, numbers in arms.items() for row in estimate_rows(arm, numbers)])
    folder.write_json(
        "calibration", {"name": calibration.name, "about": calibration.about, "estimate": calibration.estimate}
    )
    failures = [failure for p in projections for failure in p.trial.solution.failures]
    folder.note_failures(failures)
    survival, gain, causes = survival_pictures(projections), gain_picture(projections), cause_picture(projections)
    fits, courses, falls, diagram = (
        fit_pictures(rows),
        course_pictures(projections),
        waterfall_pictures(projections),
        model_diagram(),
    )
    for picture in (*survival, gain, causes, *fits, *courses, *falls, diagram):
        folder.save(picture)
    report = Report(
        title="How long a CAR-T response in multiple myeloma lasts",
        subtitle="Fit to reported trials, and projected combinations",
        intro=_intro(settings, rows, projections),
        notices=_notices(rows, projections),
        sections=[
            Section(
                "What combinations would add", _PROJECTION_TEXT, [*survival, gain], [_projection_table(projections)]
            ),
            Section("Why virtual patients relapse", _CAUSE_TEXT, [causes]),
            Section("How well the model explains what was reported", _FIT_TEXT, fits, [_fit_table(rows)]),
            Section("Inside the virtual patients", _INSIDE_TEXT, [*courses, *falls]),
            Section("The model and its numbers", _MODEL_TEXT, [diagram], [_parameter_table(calibration)]),
        ],
        manifest=folder.manifest(),
    )
    write_report(folder.path / "report.html", report)


_FIT_HEAD = ("study", "endpoint", "role", "reported", "model (95 % of draws)", "misfit")


def _fit_cells(row: FitRow) -> tuple[str, ...]:
    return row.study, row.label, row.item.role, row.item.text, row.model_text, f"{row.misfit:+.1f}"


def _fit_table(rows: Sequence[FitRow]) -> Table:
    note = (
        "Misfit: signed square root of twice the fall in log-likelihood, positive where the model is above the report; "
        "beyond 2 is notable. Role 'check': computed and compared, never fitted."
    )
    return Table("Reported and modelled", _FIT_HEAD, [_fit_cells(row) for row in rows], note)


def _fit_text(rows: Sequence[FitRow]) -> str:
    return aligned(_FIT_HEAD, [_fit_cells(row) for row in rows])


def _head(projections: Sequence[Projection]) -> tuple[str, ...]:
    return "product", "regimen", *projections[0].numbers, "standing"


def _projection_cells(p: Projection) -> tuple[str, ...]:
    numbers = [estimate.text(".1f") for estimate in p.numbers.values()]
    return read_therapy(p.scenario.product).short, p.scenario.name, *numbers, p.footing.flag


def _projection_table(projections: Sequence[Projection]) -> Table:
    note = "Value at the estimate (central 95 % of posterior draws). " + " ".join(
        f"[{p.scenario.product}, {p.scenario.name}] {p.footing.flag}: {p.footing.reason}. "
        f"Given: {p.scenario.regimen.text}."
        for p in projections
    )
    return Table("Projections", _head(projections), [_projection_cells(p) for p in projections], note)


def _projection_text(projections: Sequence[Projection]) -> str:
    head = ("regimen", "ORR %", "CR %", "median PFS", "PFS24 %", "gain in RMST36, months", "standing")
    names = (
        "overall response, %",
        "complete response, %",
        "median PFS, months",
        "PFS at 24 months, %",
        "gain in restricted mean PFS, months",
    )
    cells = [
        (p.scenario.name, *(p.numbers[name].text(".1f") for name in names), p.footing.flag) for p in projections
    ]  # fmt: skip
    return "\n" + aligned(head, cells)


def _parameter_table(calibration: Calibration) -> Table:
    now = calibration.parameters()
    rows = []
    for name, parameter in now.items():
        source = read_sources().get(parameter.source)
        drawn = sorted(draw[name] for draw in calibration.draws) if name in calibration.estimate else []
        interval = (
            f"{drawn[round((len(drawn) - 1) * 0.025)]:.3g} to {drawn[round((len(drawn) - 1) * 0.975)]:.3g}"
            if drawn
            else ""
        )
        rows.append(
            (
                name,
                f"{parameter.value:.4g}",
                parameter.unit,
                interval,
                parameter.grade,
                source.citation if source else "assumed",
                parameter.note,
            )
        )
    return Table("Every number", ("name", "value", "unit", "posterior 95 %", "grade", "source", "note"), rows)


def _intro(settings: Settings, rows: Sequence[FitRow], projections: Sequence[Projection]) -> str:
    fitted = [row for row in rows if row.item.role == "fit"]
    inside = sum(abs(row.misfit) <= MISSED for row in fitted)
    gains = [
        f"{read_therapy(p.scenario.product).short} {p.scenario.name}: "
        f"{p.numbers['gain in restricted mean PFS, months'].text('.1f')} months"
        for p in projections
        if p.scenario.name.startswith("+")
    ]
    return (
        f"{inside} of {len(fitted)} fitted results lie within two standard errors. "
        f"Gain in restricted mean progression-free survival over {RESTRICTED_MONTHS:g} months, "
        f"against the product alone: {'; '.join(gains)}.\n\n"
        f"{settings.patients} virtual patients at the estimate, {settings.draws} posterior draws of "
        f"{settings.patients_per_draw} patients each. All patients here are simulated."
    )


def _notices(rows: Sequence[FitRow], projections: Sequence[Projection]) -> list[str]:
    notices = [
        f"{read_therapy(p.scenario.product).short} {p.scenario.name}: extrapolated. {p.footing.reason.capitalize()}."
        for p in projections
        if not p.footing.calibrated
    ]
    bad = [row for row in rows if row.item.role == "fit" and abs(row.misfit) > MISSED]
    if bad:
        listed = "; ".join(f"{row.study} {row.label} ({row.misfit:+.1f})" for row in bad)
        notices.append(f"The model misses these fitted results by more than two standard errors: {listed}.")
    worst = max(p.failed_share for p in projections)
    notices.append(f"Virtual patients that could not be integrated: at most {100 * worst:.2g} % of an arm.")
    return notices


_PROJECTION_TEXT = f"""Each product is projected in the population in which its efficacy was fitted; the two products
are therefore not to be compared with each other. All regimens of a product are given to the same virtual patients.

The line is the virtual population (between patients). The band is what the evidence leaves open about the parameters:
the central 95 % of posterior draws. The dashed lines are the sampling error of a trial of {TRIAL_SIZE} patients."""
_CAUSE_TEXT = """At progression the rate of killing is compared with that of growth under counterfactuals: the antigen
of day 0, all CAR-T cells working, or the patient's own peak number of cells. What alone would have held the tumour is a
cause; several causes share a relapse equally. This is bookkeeping on the model and not a measurement."""
_FIT_TEXT = """The virtual patients here are not those of the fit. Where the model cannot reach a reported number, the
misfit says so; the data are not bent."""
_INSIDE_TEXT = "Median and 5th to 95th percentile between patients; a waterfall shows single virtual patients."
_MODEL_TEXT = "Every number with its unit, origin and standing. Fitted numbers are graded 'calibrated'."
