"""The second stage: a therapy's own results decide its own numbers, and nothing else moves."""

from functools import cache

import numpy as np
import pytest

from perdure.fitting.calibration import Calibration, read_calibration
from perdure.fitting.items import Study
from perdure.fitting.reported import read_studies
from perdure.fitting.search_space import SearchSpace, drawn_from_priors
from perdure.fitting.sequences import compare_sequences
from perdure.fitting.therapy_fit import TherapyFit, TherapyFitSettings, fit_therapies, fit_therapy, fittable
from perdure.model.therapy import Therapy, read_therapies, read_therapy
from perdure.parameters.errors import FitError

SMALL = TherapyFitSettings(particles=32, patients=60, draws=12, seed=3)
FIRST = read_calibration(therapies="")


@cache
def studies(**changed: float) -> tuple[Study, ...]:
    return read_studies()


def with_response(percent: float, n: int) -> tuple[Study, ...]:
    """The evidence, with another response rate of belantamab mafodotin in DREAMM-2."""
    found = []
    for study in studies():
        other = {"value": percent, "events": round(percent * n / 100), "n": n, "low": None, "high": None}
        items = tuple(
            item.model_copy(update=other)
            if item.endpoint == "orr" and item.role == "therapy" and study.name == "dreamm_2" else item
            for item in study.items
        )  # fmt: skip
        found.append(study.model_copy(update={"items": items}))
    return tuple(found)


def fitted(percent: float, n: int = 400, therapy: str = "belantamab_mafodotin") -> TherapyFit:
    return fit_therapy(read_therapy(therapy), FIRST.parameters(), with_response(percent, n), SMALL)


def responses(fit: TherapyFit) -> list[float]:
    """Response rates (%) in DREAMM-2 that the draws of a fit give."""
    space = SearchSpace(fit.ids, FIRST.parameters())
    trial = [study for study in studies() if study.name == "dreamm_2"]
    rows = [compare_sequences(space.at(draw), trial, n=60, seed=3, roles=("therapy",)) for draw in fit.draws]
    return [row.model for found in rows for row in found if row.item.endpoint == "orr"]


def test_a_higher_reported_response_makes_a_drug_stronger() -> None:
    low, high = fitted(10.0), fitted(70.0)
    strength = low.ids.index("k_kill_max_belantamab_mafodotin")
    assert high.point[strength] > low.point[strength] + 0.3
    models = [one.matches[0].model for one in (low, high)]
    assert models[0] < models[1]


def test_evidence_of_many_patients_narrows_more_than_that_of_few() -> None:
    many, few = fitted(33.0, 2000), fitted(33.0, 6)
    assert many.effective < few.effective
    # Its numbers trade off against each other: what is known is the response.
    assert np.std(responses(many)) < 0.5 * np.std(responses(few))


def test_the_same_seed_gives_the_same_fit() -> None:
    one, other = fitted(33.0), fitted(33.0)
    np.testing.assert_array_equal(one.point, other.point)
    np.testing.assert_array_equal(one.draws, other.draws)


def test_a_fit_without_numbers_or_without_results_is_refused() -> None:
    with pytest.raises(FitError, match="nivolumab: 0 fitted numbers; particles cover 1 to 3"):
        fit_therapy(read_therapy("nivolumab"), FIRST.parameters(), studies(), SMALL)
    silent = tuple(study.model_copy(update={"items": ()}) for study in studies())
    with pytest.raises(FitError, match="belantamab_mafodotin: no result of role 'therapy' among its evidence"):
        fit_therapy(read_therapy("belantamab_mafodotin"), FIRST.parameters(), silent, SMALL)


def test_a_second_stage_holds_the_numbers_of_the_therapies_it_was_asked_for() -> None:
    chosen = (read_therapy("selinexor"),)
    second = fit_therapies(FIRST, studies(), SMALL, therapies=chosen)
    assert set(second.estimate) == set(chosen[0].fitted)
    assert len(second.draws) == SMALL.draws
    joined = FIRST.joined(second)
    for name, value in FIRST.estimate.items():
        assert joined.estimate[name] == value
    assert joined.parameters()["fraction_sensitive_selinexor"].value == second.estimate["fraction_sensitive_selinexor"]


# What is shipped


@pytest.mark.parametrize("therapy", fittable(), ids=lambda therapy: therapy.key)
def test_the_shipped_second_stage_has_every_number_that_a_therapy_names(therapy: Therapy) -> None:
    shipped = read_calibration()
    assert 1 <= len(therapy.fitted) <= 3
    for name in therapy.fitted:
        assert name in shipped.estimate
        assert shipped.parameters()[name].prior is not None
        assert 0.0 <= shipped.shrinkage[name] <= 1.0
        assert len({draw[name] for draw in shipped.draws}) > 5


@pytest.mark.parametrize("therapy", read_therapies(), ids=lambda therapy: therapy.key)
def test_the_standing_of_a_therapy_is_what_the_fits_make_of_it(therapy: Therapy) -> None:
    """Calibrated: its own results decided some number of its own, in the first stage or in the second."""
    own = {parameter.id for parameter in therapy.parameters}
    decided = own & set(read_calibration().estimate)
    assert (therapy.grade == "calibrated") <= bool(decided)
    if therapy.grade == "hypothetical":
        assert not decided
        assert not therapy.fitted


def test_what_no_fit_has_decided_is_drawn_from_its_prior_and_one_more_therapy_redraws_nobody() -> None:
    shipped = read_calibration()
    names = drawn_from_priors(shipped.parameters(), shipped.estimate)
    assert {"effect_lenalidomide", "effect_nivolumab", "k_exhaustion_host"} <= set(names)
    assert not set(names) & set(shipped.estimate)
    less = Calibration(
        "less", {k: v for k, v in shipped.estimate.items() if "selinexor" not in k},
        [{k: v for k, v in draw.items() if "selinexor" not in k} for draw in shipped.draws], {}, {}, {},
    )  # fmt: skip
    for name in names:
        assert less.draw(3)[name].value == shipped.draw(3)[name].value


def test_the_shipped_second_stage_meets_the_results_that_decided_it_on_other_patients() -> None:
    """Not each of them: what it cannot reach stands in the catalogue's page with its misfit."""
    parameters = read_calibration().parameters()
    chosen = [study for study in studies() if study.name in {"majestec_1", "sirius", "storm", "dreamm_2"}]
    rows = compare_sequences(parameters, chosen, n=200, seed=11, roles=("therapy",))
    rates = [row for row in rows if row.item.endpoint == "orr"]
    assert len(rates) >= 4
    assert np.mean([abs(row.misfit) < 2.5 for row in rates]) >= 0.75


def test_a_free_number_stays_in_its_range_at_every_draw() -> None:
    shipped = read_calibration()
    for therapy in fittable():
        space = SearchSpace(therapy.fitted, shipped.parameters())
        for draw in shipped.draws[:20]:
            for name in space.ids:
                parameter = shipped.parameters()[name]
                assert parameter.low <= draw[name] <= parameter.high
