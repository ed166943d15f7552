"""How deep must lymphodepletion be, and what does incomplete lymphodepletion cost?

Depth runs from none (full host T cells at infusion) to complete, on the geometric path between the two counts. The
CAR-T cells compete with what is left for the signals that make them divide.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from perdure.fitting.calibration.calibration import Calibration
from perdure.fitting.posterior import Sizes
from perdure.fitting.studies import read_studies
from perdure.reports.comparison_report import along_panel, report_of, table_of
from perdure.reports.experiment_report import ExperimentReport, Finding
from perdure.reports.figures.courses import along_picture
from perdure.reports.report import Section
from perdure.reports.settings import Settings
from perdure.trials.arm import Arm, Change
from perdure.trials.compare import Comparison, compare
from perdure.trials.measures import MEDIAN_PFS, PEAK, RESPONSE, RESTRICTED_PFS
from perdure.trials.provenance import fitted_regimens

TIME = "about twenty seconds"
SIZES = Sizes()
COMPLETE, HALF, NONE = 1.0, 0.5, 0.0
DEPTHS = (COMPLETE, 0.75, HALF, 0.25, NONE)
PRODUCTS = {"ide-cel": ("ide_cel", "late_line"), "cilta-cel": ("cilta_cel", "mixed_line")}
"""Products, each as it was given where its efficacy was fitted; the two are not to be compared."""
MEASURES = (RESPONSE, MEDIAN_PFS, RESTRICTED_PFS, PEAK)


def _to(depth: float) -> Change:
    return lambda values: {"fraction_lymphodepletion": np.full_like(values["fraction_lymphodepletion"], depth)}


def name_of(product: str, depth: float) -> str:
    """Name of the arm of a product after lymphodepletion of some depth."""
    return f"{product}, depth {depth:g}"


def arms_of(product: str, depths: Sequence[float] = DEPTHS) -> list[Arm]:
    """A product as it was fitted, after every depth of lymphodepletion; the complete one comes first."""
    key, population = PRODUCTS[product]
    given = fitted_regimens(key, population, read_studies())[0]
    return [
        Arm(name_of(product, depth), given, population, None if depth == COMPLETE else _to(depth))
        for depth in sorted({COMPLETE, *depths}, reverse=True)
    ]


def run(
    calibration: Calibration | None = None, sizes: Sizes = SIZES, *, depths: Sequence[float] = DEPTHS,
    products: Sequence[str] = tuple(PRODUCTS), months: float = 48.0,
) -> dict[str, Comparison]:  # fmt: skip
    """Every depth on the same virtual patients, product by product; complete lymphodepletion is the reference."""
    return {
        product: compare(arms_of(product, depths), calibration, measures=MEASURES, sizes=sizes, months=months)
        for product in products
    }


def findings(comparisons: Mapping[str, Comparison]) -> tuple[Finding, ...]:
    """What was reported of incomplete lymphodepletion."""
    rows = []
    for product, comparison in comparisons.items():
        peak = comparison.gain(name_of(product, HALF), PEAK, name_of(product, COMPLETE))
        response = comparison.estimate(name_of(product, NONE), RESPONSE)
        rows += [
            Finding(
                f"{product}: incomplete lymphodepletion lowers expansion",
                "retained CD8+ T cells went with less expansion and with failure (Fischer 2024)",
                "fischer_2024_lymphodepletion_expansion",
                f"median peak {peak.text('+.0f')} cells/uL at half the depth",
                peak.high < 0.0,
            ),
            Finding(
                f"{product}: cells without lymphodepletion still lead to some responses",
                "4 of 9 patients responded (44 %), another product against BCMA",
                "Cohen 2019, J Clin Invest 129:2210",
                f"{response.text('.0f')} %",
                response.high > 14.0,  # the lower end of the exact interval of 4 of 9
            ),
        ]
    return tuple(rows)


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """Expansion, response and survival along the depth of lymphodepletion, of both products."""
    comparisons = run(calibration, settings.sizes)
    depths = sorted(DEPTHS)
    lines = {
        product: (comparison, [name_of(product, depth) for depth in depths])
        for product, comparison in comparisons.items()
    }
    panels = [
        along_panel(lines, depths, "depth of lymphodepletion (1: complete)", measure)
        for measure in (PEAK, RESPONSE, MEDIAN_PFS, RESTRICTED_PFS)
    ]
    picture = along_picture(panels, name="lymphodepletion", title="Less lymphodepletion, fewer cells (simulated)")
    tables = [table_of(comparison, f"Depth, {product}") for product, comparison in comparisons.items()]
    return report_of(
        *comparisons.values(),
        title="How deep must lymphodepletion be?",
        subtitle="Ide-cel in virtual late-line patients, cilta-cel in a mixed-line population",
        sentences=sentences(comparisons),
        sections=[Section("Along the depth", _TEXT, [picture], tables)],
        findings=findings(comparisons),
    )


def sentences(comparisons: Mapping[str, Comparison]) -> tuple[str, ...]:
    """The answer in words."""
    sentences = []
    for product, comparison in comparisons.items():
        half, none, complete = (name_of(product, depth) for depth in (HALF, NONE, COMPLETE))
        response = [comparison.estimate(name, RESPONSE).text(".0f") for name in (none, complete)]
        gain = [comparison.gain(name, RESTRICTED_PFS).text("+.1f") for name in (none, half)]
        sentences.append(
            f"{product}: without lymphodepletion {response[0]} % respond instead of {response[1]} %, and restricted "
            f"mean PFS changes by {gain[0]} months; at half the depth by {gain[1]} months."
        )
    return tuple(sentences)


_TEXT = """Host T cells that are left compete with the CAR-T cells, and the window of expansion closes earlier. How
strongly is a number that no comparison has decided (half_competition_host); the range of depths is a thought experiment
in the same virtual patients."""


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
