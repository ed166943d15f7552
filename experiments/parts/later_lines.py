"""What was reported of a line after the first, beside the model: the measure of every projected sequence."""

from concurrent.futures import ThreadPoolExecutor

from perdure.experiments.report.report import Table
from perdure.fitting.calibration import Calibration
from perdure.fitting.items import Study
from perdure.fitting.likelihood import ItemMatch
from perdure.fitting.reported import read_studies
from perdure.fitting.sequences import compare_sequences, plan_of
from perdure.fitting.therapy_table import SEED
from perdure.model.simulate import Solver

_HEAD = ("study", "result", "patients", "given", "reported", "model", "misfit")
_NOTE = """Model at the estimate; misfit in standard errors, beyond 2 is notable. Role fit: part of the joint fit;
role check: no fit has seen it. A percentage without its number of patients is scored as of ten."""


def reported_table(calibration: Calibration, *, patients: int = 400, seed: int = SEED) -> Table:
    """Every reported result about a line after the first, with what was given and the misfit."""
    parameters, solver = calibration.parameters(), Solver(rtol=1e-4, workers=1)
    studies = [study for study in read_studies() if any(one.line > 1 for one in study.scenarios)]

    def later(study: Study) -> tuple[ItemMatch, ...]:
        lines = {one.name for one in study.scenarios if one.line > 1}
        ids = [item.id for item in study.items if item.scenario in lines]
        return compare_sequences(parameters, [study], n=patients, seed=seed, only=ids, solver=solver)

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(later, studies))
    cells = [_cells(study, match) for study, matches in zip(studies, found, strict=True) for match in matches]
    return Table("Reported of later lines", _HEAD, cells, _NOTE)


def _cells(study: Study, match: ItemMatch) -> tuple[str, ...]:
    item, scenario = match.item, study.scenario(match.item.scenario)
    count = "n not reported" if item.n is None else str(item.n)
    result = f"{item.endpoint.replace('_', ' ')}, role: {item.role}"
    model = f"{match.model:.1f} {item.unit}"
    return study.study, result, count, plan_of(scenario).text, item.text, model, f"{match.misfit:+.1f}"
