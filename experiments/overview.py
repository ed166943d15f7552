"""How well does the model explain the reported trials, and what would lenalidomide or a gamma-secretase inhibitor add?

The report that `perdure run` writes: fit table, projections with their uncertainty, causes of relapse, the virtual
patients behind them, and every number with its origin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from perdure.fitting.calibration.calibration import MISSED, Calibration, read_calibration
from perdure.fitting.fit_table import SEED as FIT_SEED
from perdure.fitting.fit_table import FitRow, fit_table
from perdure.fitting.posterior import Sizes
from perdure.model.therapy import read_therapy
from perdure.reports.comparison_report import TRIAL_SIZE, report_of
from perdure.reports.experiment_report import ExperimentReport
from perdure.reports.fit_table_report import fit_table_of, fit_table_picture, inside
from perdure.reports.model_diagram import model_diagram, parameter_table
from perdure.reports.projection_report import (
    cause_picture,
    course_pictures,
    gain_picture,
    named_in_full,
    projection_table,
    survival_pictures,
    waterfall_pictures,
)
from perdure.reports.report import Section
from perdure.reports.settings import Settings
from perdure.trials.arm import Arm
from perdure.trials.compare import Comparison, compare
from perdure.trials.measures import RESTRICTED_MONTHS, RESTRICTED_PFS
from perdure.trials.standard_regimens import default_arms

TIME = "about a minute"
SIZES = Sizes()


def run(
    calibration: Calibration | None = None, sizes: Sizes = SIZES, *, products: Mapping[str, Sequence[Arm]] | None = None
) -> tuple[tuple[FitRow, ...], dict[str, Comparison]]:
    """Fit table, and by product its arms against the first: by default each alone, with each drug, and with both.

    The virtual patients of the fit table have a seed of their own, and are those of no fit.
    """
    calibration = calibration or read_calibration()
    rows = fit_table(calibration, sizes=replace(sizes, seed=FIT_SEED))
    projections = {
        product: compare(arms, calibration, sizes=sizes, keep_courses=True, label=read_therapy(product).short)
        for product, arms in (products or default_arms()).items()
    }
    return rows, projections


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """What was reported beside the model, and what additions would gain."""
    rows, projections = run(calibration, settings.sizes)
    comparisons = named_in_full(projections)
    parameters = parameter_table(calibration)
    projected = report_of(
        *comparisons,
        title="How long a CAR-T response in multiple myeloma lasts",
        subtitle="Fit to reported trials, and projected combinations",
        sentences=sentences(rows, comparisons, settings.sizes),
        sections=[
            Section(
                "What combinations would add", _PROJECTION_TEXT,
                [*survival_pictures(projections), gain_picture(projections)], [projection_table(projections)],
            ),
            Section("Why virtual patients relapse", _CAUSE_TEXT, [cause_picture(projections)]),
            Section(
                "How well the model explains what was reported", _FIT_TEXT, [fit_table_picture(rows)],
                [fit_table_of(rows)],
            ),
            Section(
                "Inside the virtual patients", _INSIDE_TEXT,
                [*course_pictures(projections), *waterfall_pictures(projections)],
            ),
            Section("The model and its numbers", _MODEL_TEXT, [model_diagram()], [parameters]),
        ],
        notices=notices(rows, comparisons),
    )  # fmt: skip
    failures = [failure for comparison in comparisons for result in comparison.results for failure in result.failures]
    return replace(projected, seeds={"fit table": FIT_SEED}, failures=failures, for_reference=(parameters.title,))


def sentences(rows: Sequence[FitRow], comparisons: Sequence[Comparison], sizes: Sizes) -> tuple[str, ...]:
    """The answer in words."""
    gains = [
        f"{arm.name}: {comparison.gain(arm.name, RESTRICTED_PFS).text('.1f')} months"
        for comparison in comparisons
        for arm in comparison.arms[1:]
    ]
    return (
        f"{inside(rows, 'fit')} fitted results lie within two standard errors.",
        f"Gain in restricted mean progression-free survival over {RESTRICTED_MONTHS:g} months, against the product "
        f"alone: {'; '.join(gains)}.",
        f"{sizes.patients} virtual patients at the estimate, {sizes.draws} posterior draws of "
        f"{sizes.patients_per_draw} patients each. All patients here are simulated.",
    )


def notices(rows: Sequence[FitRow], comparisons: Sequence[Comparison]) -> list[str]:
    """What the model misses, and how many patients could not be integrated."""
    missed = [
        f"{row.study} {row.label} ({row.misfit:+.1f})"
        for row in rows
        if row.item.role == "fit" and abs(row.misfit) > MISSED
    ]
    listed = f"The model misses these fitted results by more than two standard errors: {'; '.join(missed)}."
    failed = 100 * max(comparison.failed_share for comparison in comparisons)
    share = f"Virtual patients that could not be integrated: at most {failed:.2g} % of an arm."
    return [listed, share] if missed else [share]


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


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
