"""Who takes part in a plan: courses of cells and drugs, each with states, numbers and immunity of its own."""

import numpy as np
import pytest

from perdure.fitting.calibration.calibration import read_calibration
from perdure.model.car_t_course import CarTCourse
from perdure.model.myeloma import assemble
from perdure.model.regimens.regimen import SPLIT_DAYS, Bolus, Regimen, give, infuse
from perdure.model.regimens.rules import Rule, above, every, start, waited
from perdure.model.simulate import Solver, simulate
from perdure.parameters.errors import UnknownNameError
from perdure.parameters.patients import draw, make_patients

NUMBERS = read_calibration().parameters()
PEOPLE = draw(NUMBERS, 12, 3)
DAYS = np.arange(0.0, 400.0, 7.0)


def patients(*products: str) -> dict[str, np.ndarray]:
    return dict(make_patients(NUMBERS, PEOPLE, product=products, population="late_line"))


def test_one_product_has_the_plain_names() -> None:
    cast = assemble(infuse("ide_cel"))
    assert cast.products == ("ide_cel",)
    assert {"infused", "effector", "fitness", "immunity"} <= {state.name for state in cast.system.states}
    assert "infused_2" not in {state.name for state in cast.system.states}


def test_products_come_in_the_order_of_their_first_day_and_lines_after_one_another() -> None:
    first = infuse("cilta_cel", day=200) + infuse("ide_cel")
    cast = assemble(first, infuse("oricar_017"), infuse("ide_cel"))
    assert cast.products == ("ide_cel", "cilta_cel", "oricar_017", "ide_cel")
    assert [member.cells.suffix for member in cast.members] == ["", "_2", "_3", "_4"]


def test_binders_that_are_alike_share_an_immunity() -> None:
    cells = [member.cells for member in assemble(infuse("ide_cel"), infuse("equ_cel"), infuse("ide_cel")).members]
    assert cells == [CarTCourse(("BCMA",), "", ""), CarTCourse(("BCMA",), "_2", "_2"), CarTCourse(("BCMA",), "_3", "")]


def test_infusions_close_together_are_one_course_and_far_apart_are_two() -> None:
    split = infuse("ide_cel", split=(0.2, 0.3, 0.5), every=SPLIT_DAYS)
    assert split.products == ("ide_cel",)
    again = infuse("ide_cel") + infuse("ide_cel", day=SPLIT_DAYS + 1)
    assert again.products == ("ide_cel", "ide_cel")
    assert again.courses == (("ide_cel", 0.0), ("ide_cel", SPLIT_DAYS + 1))


def test_gprc5d_is_followed_where_somebody_attacks_it_and_nowhere_else() -> None:
    def tumour(regimen: Regimen) -> int:
        return sum(state.group == "tumour" for state in assemble(regimen).system.states)

    assert tumour(infuse("ide_cel")) == 8
    assert tumour(infuse("ide_cel") + give("teclistamab", start=30, months=1, every=7)) == 8
    assert tumour(infuse("ide_cel") + give("talquetamab", start=30, months=1, every=7)) == 48
    assert tumour(infuse("oricar_017")) == 48


def test_following_gprc5d_changes_nothing_for_who_attacks_bcma_alone() -> None:
    here = patients("ide_cel")
    exact = Solver(rtol=1e-9)  # the other system takes other steps, and leaves classes with too few cells elsewhere
    alone = simulate(here, infuse("ide_cel"), times=DAYS, solver=exact)
    late = infuse("ide_cel") + give("talquetamab", start=399.5, stop=399.9)
    both = simulate(here, late, times=DAYS, solver=exact)
    for name in ("tumour", "density_mean", "m_protein", "soluble_bcma"):
        np.testing.assert_allclose(both[name], alone[name], rtol=2e-3)


def test_a_second_product_that_is_never_given_changes_nothing() -> None:
    here = patients("ide_cel", "cilta_cel")
    exact = Solver(rtol=1e-9)  # another system takes other steps; what is left must be the error of the steps
    alone = simulate(here, infuse("ide_cel"), times=DAYS, solver=exact)
    with_other = simulate(here, infuse("ide_cel") + infuse("cilta_cel", day=399.5), times=DAYS, solver=exact)
    for name in ("tumour", "car_t", "fitness", "immunity", "effector"):
        there = alone[name] > 1e-4  # below that there are less than 500 cells in the blood
        np.testing.assert_allclose(with_other[name][there], alone[name][there], rtol=1e-4)


def test_a_product_keeps_its_fitness_until_its_cells_come() -> None:
    here = patients("ide_cel", "cilta_cel")
    seen = simulate(here, infuse("ide_cel") + infuse("cilta_cel", day=196.0), times=DAYS)
    before, after = DAYS < 196.0, DAYS > 230.0
    assert seen["fitness_2"][:, before].min() > 1.0 - 1e-6
    assert np.all(seen["fitness_2"][:, after][:, 0] < 1.0)
    assert seen["cells_2"][:, before].max() == 0.0


def test_all_doses_of_two_products_are_delivered_each_into_its_own_cells() -> None:
    seen = simulate(patients("ide_cel", "cilta_cel"), infuse("ide_cel") + infuse("cilta_cel", day=90), times=DAYS)
    np.testing.assert_allclose(seen.delivered["ide_cel"], 450e6)
    np.testing.assert_allclose(seen.delivered["cilta_cel"], infuse("cilta_cel").total("cilta_cel"))


def test_a_rule_gives_new_cells_of_the_same_product() -> None:
    here = patients("ide_cel", "ide_cel")
    rules = [Rule("again", when=waited(84), then=start(infuse("ide_cel")), visits=every(28))]
    seen = simulate(here, infuse("ide_cel"), times=DAYS, rules=rules)
    np.testing.assert_allclose(seen.delivered["ide_cel"], 2 * 450e6)
    assert np.all(seen["cells_2"][:, DAYS <= 84.0] == 0.0)
    assert np.all(seen["cells_2"][:, DAYS > 91.0][:, 0] > 0.0)


def test_the_same_rule_object_may_start_cells_at_a_crossing() -> None:
    here = patients("ide_cel", "equ_cel")
    rules = [Rule("regrowth", when=above("tumour", "tumour_baseline"), then=start(infuse("equ_cel")))]
    seen = simulate(here, infuse("ide_cel"), times=DAYS, rules=rules)
    fired = np.isfinite(seen.events["regrowth"].first)
    assert fired.sum() > 0
    np.testing.assert_allclose(seen.delivered["equ_cel"], np.where(fired, 75e6, 0.0))


def test_patients_without_the_numbers_of_a_second_product_are_one_clear_error() -> None:
    with pytest.raises(UnknownNameError, match=r"no parameter '\w+_2'"):
        simulate(patients("ide_cel"), infuse("ide_cel") + infuse("cilta_cel", day=90), times=DAYS)


def test_a_product_of_a_donor_is_rejected_where_host_cells_are_there() -> None:
    """Rejection takes the cells of the universal product; with none of it they last as long as others."""
    here = patients("universal_car_t")
    rejected = simulate(here, infuse("universal_car_t"), times=DAYS)["car_t"]
    kept = simulate({**here, "k_rejection_host": np.zeros(12)}, infuse("universal_car_t"), times=DAYS)["car_t"]
    assert np.all(rejected[:, 13] < kept[:, 13])


def test_a_dose_into_a_bolus_of_cells_is_not_an_infusion_over_time() -> None:
    assert Regimen((Bolus("ide_cel", 1e8),)).infusions == (0.0,)
