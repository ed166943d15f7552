"""What happens inside one typical patient after ide-cel and after cilta-cel?

Every parameter has its typical value and no yes-or-no trait is present: M-protein is secreted, the CAR meets no
immunity, no cell has lost an antigen. The assay measures without error and nobody dies of something else.
"""

from collections.abc import Sequence

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import posterior_parameters
from perdure.model.endpoints import Visits
from perdure.model.simulate import Solver
from perdure.reports.experiment_report import ExperimentReport
from perdure.reports.report import Section
from perdure.reports.run_files import estimate_rows
from perdure.reports.settings import Settings
from perdure.reports.typical_patient_report import cell_picture, dates_table, tumour_picture
from perdure.trials.typical_patient import TypicalCourse, treat_typical

TIME = "a few seconds"
MONTHS = 60.0
PATIENTS = (("ide_cel", "late_line"), ("cilta_cel", "mixed_line"))
"""Each product with the population in which its efficacy was calibrated: two patients, not one patient twice."""


def run(
    calibration: Calibration | None = None, *, draws: int = 40, patients: Sequence[tuple[str, str]] = PATIENTS,
    months: float = MONTHS, solver: Solver | None = None,
) -> tuple[TypicalCourse, ...]:  # fmt: skip
    """Treat the typical patient of each population with the product named before it."""
    calibration = calibration or read_calibration()
    parameters = (calibration.parameters(), *posterior_parameters(calibration, draws))
    visits = Visits(months=months)
    return tuple(treat_typical(product, population, parameters, visits, solver) for product, population in patients)


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """Courses of both patients, and their key dates."""
    courses = run(calibration, draws=settings.draws)
    return ExperimentReport(
        title="One typical patient after ide-cel, and one after cilta-cel",
        subtitle="Typical values of every parameter, none of the yes-or-no traits",
        sentences=(_INTRO,),
        sections=[
            Section("Key dates", tables=[dates_table(courses)]),
            Section("Tumour and antigen", _TUMOUR_TEXT, [tumour_picture(courses, note=_WHO)]),
            Section("CAR-T cells", _CELL_TEXT, [cell_picture(courses, note=_WHO)]),
        ],
        numbers=[row for course in courses for row in estimate_rows(course.name, course.dates)],
        notices=["The two patients belong to different populations, so the products are not to be compared."],
        failures=[failure for course in courses for failure in course.solution.failures],
    )


_INTRO = (
    "A typical patient is not the average patient: a median over a population is not what happens at median values. "
    "The courses show the mechanism; what a trial would see is in the report of 'perdure run'."
)
_TUMOUR_TEXT = """The tumour shrinks as long as killing is faster than growth, and is smallest where the two meet.
A small tumour grows several times faster than the one that was treated.
M-protein follows with its half-life of weeks. Cells with much antigen die first, so that the mean density falls, and
rises again when the attack is over. Every course ends at the visit that shows progression."""
_CELL_TEXT = """Effector cells expand while there is antigen and room, become exhausted by antigen, and leave memory
cells behind when the antigen is gone."""
_WHO = "One typical patient for each product, at the estimate; late-line patient for ide-cel, mixed-line for cilta-cel."


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
