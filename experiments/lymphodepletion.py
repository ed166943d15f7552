"""How deep must lymphodepletion be, and what does incomplete lymphodepletion cost?

Depth runs from none (full host T cells at infusion) to complete, on the geometric path between the two counts. The
CAR-T cells compete with what is left for the signals that make them divide.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.studies import read_studies
from perdure.reports.comparison_report import given_of, line_along, notices_of, numbers_of, table_of
from perdure.reports.experiment_report import Answer, Finding, tell
from perdure.reports.figures.along import AlongPanel, along_picture
from perdure.reports.report import Section
from perdure.reports.settings import Settings
from perdure.trials.compare import Arm, Change, Comparison, compare
from perdure.trials.measures import MEDIAN_PFS, PEAK, RESPONSE, RESTRICTED_PFS
from perdure.trials.projection import Progress
from perdure.trials.provenance import fitted_regimens
from perdure.trials.treat import SEED

TIME = "about twenty seconds"
DEPTHS = (1.0, 0.75, 0.5, 0.25, 0.0)
PRODUCTS = {"ide-cel": ("ide_cel", "late_line"), "cilta-cel": ("cilta_cel", "mixed_line")}
"""Products, each as it was given where its efficacy was fitted; the two are not to be compared."""
MEASURES = (RESPONSE, MEDIAN_PFS, RESTRICTED_PFS, PEAK)


def _depth(share: float) -> Change:
    return lambda one: {"fraction_lymphodepletion": np.full_like(one["fraction_lymphodepletion"], share)}


def name_of(product: str, depth: float) -> str:
    """How an arm is called."""
    return f"{product}, depth {depth:g}"


def run(
    depths: Sequence[float] = DEPTHS,
    *,
    products: Sequence[str] = tuple(PRODUCTS),
    calibration: Calibration | None = None,
    patients: int = 1000,
    draws: int = 40,
    patients_per_draw: int = 120,
    months: float = 48.0,
    seed: int = SEED,
    progress: Progress | None = None,
) -> dict[str, Comparison]:
    """Every depth on the same virtual patients, product by product; complete lymphodepletion is the reference."""
    calibration = calibration or read_calibration()
    found = {}
    for product in products:
        key, population = PRODUCTS[product]
        given = fitted_regimens(key, population, read_studies())[0]
        arms = [
            Arm(name_of(product, depth), given, population, None if depth == 1.0 else _depth(depth))
            for depth in sorted({1.0, *depths}, reverse=True)
        ]
        found[product] = compare(
            arms, calibration, measures=MEASURES, patients=patients, draws=draws,
            patients_per_draw=patients_per_draw, months=months, seed=seed, progress=progress,
        )  # fmt: skip
    return found


def answer(settings: Settings, calibration: Calibration) -> Answer:
    """Compute, and put the answer into words, pictures and tables."""
    found = run(calibration=calibration, **settings.sizes)
    depths = sorted(DEPTHS)
    panels = [
        AlongPanel(
            measure.name[0].upper() + measure.name[1:], "depth of lymphodepletion (1: complete)",
            f"{measure.name} ({measure.unit})",
            [
                line_along(one, product, depths, [name_of(product, depth) for depth in depths], measure)
                for product, one in found.items()
            ],
        )
        for measure in (PEAK, RESPONSE, MEDIAN_PFS, RESTRICTED_PFS)
    ]  # fmt: skip
    return Answer(
        title="How deep must lymphodepletion be?",
        subtitle="Ide-cel in virtual late-line patients, cilta-cel in a mixed-line population",
        sentences=sentences(found),
        sections=(
            Section(
                "Along the depth",
                _TEXT,
                [along_picture(panels, name="lymphodepletion", title="Less lymphodepletion, fewer cells (simulated)")],
                [table_of(one, f"Depth, {product}") for product, one in found.items()],
            ),
        ),
        numbers=[row for one in found.values() for row in numbers_of(one)],
        notices=[line for one in found.values() for line in notices_of(one)],
        given=given_of(*found.values()),
        findings=findings(found),
    )


def sentences(found: dict[str, Comparison]) -> tuple[str, ...]:
    """The answer in words."""
    said = []
    for product, one in found.items():
        half, none, whole = (name_of(product, depth) for depth in (0.5, 0.0, 1.0))
        said.append(
            f"{product}: without lymphodepletion {one.estimate(none, RESPONSE).text('.0f')} % respond instead of "
            f"{one.estimate(whole, RESPONSE).text('.0f')} %, and restricted mean PFS changes by "
            f"{one.gain(none, RESTRICTED_PFS).text('+.1f')} months; at half the depth by "
            f"{one.gain(half, RESTRICTED_PFS).text('+.1f')} months."
        )
    return tuple(said)


def findings(found: dict[str, Comparison]) -> tuple[Finding, ...]:
    """What was reported of incomplete lymphodepletion."""
    made = []
    for product, one in found.items():
        half, none, whole = (name_of(product, depth) for depth in (0.5, 0.0, 1.0))
        peak = one.gain(half, PEAK, whole)
        made.append(
            Finding(
                f"{product}: incomplete lymphodepletion lowers expansion",
                "retained CD8+ T cells went with less expansion and with failure (Fischer 2024)",
                "fischer_2024_lymphodepletion_expansion",
                f"median peak {peak.text('+.0f')} cells/uL at half the depth",
                peak.high < 0.0,
            )
        )
        response = one.estimate(none, RESPONSE)
        made.append(
            Finding(
                f"{product}: cells without lymphodepletion still lead to some responses",
                "4 of 9 patients responded (44 %), another product against BCMA",
                "Cohen 2019, J Clin Invest 129:2210",
                f"{response.text('.0f')} %",
                response.high > 14.0,  # the lower end of the exact interval of 4 of 9
            )
        )
    return tuple(made)


_TEXT = """Host T cells that are left compete with the CAR-T cells, and the window of expansion closes earlier. How
strongly is a number that no comparison has decided (half_competition_host); the range of depths is a thought experiment
in the same virtual patients."""


def main(settings: Settings) -> Path:
    """Answer the question, and write the report; returns its folder."""
    return tell(settings, "lymphodepletion", answer)
