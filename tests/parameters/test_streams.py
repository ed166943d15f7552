"""Random numbers by seed, patient and name: those of numpy's generator set to their place, whatever the company."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import kstest

from perdure.model.catalogue import read_catalogue
from perdure.parameters.errors import RangeError
from perdure.parameters.parameter import Parameter
from perdure.parameters.parameter_set import ParameterSet
from perdure.parameters.patients import ASSAY_DRAWS, Draws, draw, make_patients
from perdure.parameters.streams import MOST_PATIENTS, philox, stream_keys, uniforms, word_of

CATALOGUE = read_catalogue()
VARYING = tuple(CATALOGUE.spreads("late_line"))
MANY = 20_000
CROWD = draw(CATALOGUE, MANY, seed=7)


def same(one: Draws, other: Draws) -> None:
    np.testing.assert_array_equal(one.keys, other.keys)
    np.testing.assert_array_equal(one.assay, other.assay)
    np.testing.assert_array_equal(one.death, other.death)
    for name in (*VARYING, "a name of no parameter"):
        np.testing.assert_array_equal(one.normal_of(name), other.normal_of(name))
        np.testing.assert_array_equal(one.uniform_of(name), other.uniform_of(name))


def numpys(seed: int, patient: int, name: str, blocks: int = 1) -> np.ndarray:
    """Words of a name by numpy's own generator, four to a block."""
    key = np.random.SeedSequence((seed, patient)).generate_state(2, np.uint64)
    return np.random.Philox(key=key, counter=np.array([0, word_of(name), 0, 0], np.uint64)).random_raw(4 * blocks)


def inside(words: np.ndarray) -> np.ndarray:
    """Uniforms with the upper 52 bits of the words."""
    return ((words >> np.uint64(12)).astype(float) + 0.5) / 2**52


@given(seed=st.integers(0, 2**200), patients=st.lists(st.integers(0, MOST_PATIENTS - 1), min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_the_key_of_a_patient_is_that_of_numpys_seed_sequence(seed: int, patients: list[int]) -> None:
    one_by_one = [np.random.SeedSequence((seed, patient)).generate_state(2, np.uint64) for patient in patients]
    np.testing.assert_array_equal(stream_keys(seed, np.array(patients)), np.array(one_by_one))


@pytest.mark.parametrize("seed", [0, 1, 20261, 2**32 - 1, 2**32, 2**63, 2**64, 2**96, 2**128 + 1, 2**160])
def test_seeds_of_any_length_in_words_keep_their_streams(seed: int) -> None:
    ids = np.array([0, 1, 77, 2**31, MOST_PATIENTS - 1])
    one_by_one = [np.random.SeedSequence((seed, int(i))).generate_state(2, np.uint64) for i in ids]
    np.testing.assert_array_equal(stream_keys(seed, ids), np.array(one_by_one))


WORDS = st.integers(0, 2**64 - 1)


@given(key=st.tuples(WORDS, WORDS), name=WORDS, block=st.integers(0, 2**64 - 2))
@settings(max_examples=200, deadline=None)
def test_the_words_of_a_block_are_those_of_numpys_generator(key: tuple[int, int], name: int, block: int) -> None:
    ours = philox(np.array([key], np.uint64), np.array([name], np.uint64), np.array([block], np.uint64))
    generator = np.random.Philox(key=np.array(key, np.uint64), counter=np.array([block, name, 0, 0], np.uint64))
    np.testing.assert_array_equal(np.array(ours).ravel(), generator.random_raw(4))


def test_many_keys_names_and_blocks_at_once_are_each_of_them_alone() -> None:
    rng = np.random.default_rng(1)
    keys, names = rng.integers(0, 2**64, (3, 2), np.uint64), rng.integers(0, 2**64, 5, np.uint64)
    blocks = np.array([0, 1, 2, 1000, 2**40], np.uint64)
    words = np.stack(philox(keys, names, blocks), axis=2)
    for i, key in enumerate(keys):
        for j, (name, block) in enumerate(zip(names, blocks, strict=True)):
            generator = np.random.Philox(key=key, counter=np.array([block, name, 0, 0], np.uint64))
            np.testing.assert_array_equal(words[i, j], generator.random_raw(4))


@pytest.mark.parametrize("seed", [0, 11, 2**40 + 3])
def test_a_patient_has_the_numbers_of_a_generator_made_for_him_alone(seed: int) -> None:
    drawn = draw(CATALOGUE, 40, seed)
    for patient in range(40):
        assert drawn.death[patient] == inside(numpys(seed, patient, "death"))[1]
        errors = ndtri(inside(numpys(seed, patient, "assay", ASSAY_DRAWS // 2)))
        np.testing.assert_array_equal(drawn.assay[patient].ravel(), errors)
        for name in ("k_growth_tumour", "k_expansion_2"):
            words = inside(numpys(seed, patient, name))
            assert drawn.normal_of(name)[patient] == ndtri(words[0])
            assert drawn.uniform_of(name)[patient] == words[1]


def test_a_name_has_the_same_word_on_every_machine() -> None:
    assert word_of("k_growth_tumour") == 0x749D2037CC535D39
    words = {word_of(name) for name in CATALOGUE}
    assert len(words) == len(CATALOGUE)


def test_a_uniform_is_never_zero_nor_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = np.array([[0]], np.uint64), np.array([[2**64 - 1]], np.uint64), np.array([[2**63]], np.uint64)
    monkeypatch.setattr("perdure.parameters.streams.philox", lambda *_: ends)
    found = uniforms(np.zeros((1, 2), np.uint64), [("any", 0)], words=3).ravel()
    np.testing.assert_array_equal(found, [2.0**-53, 1.0 - 2.0**-53, 0.5 + 2.0**-53])
    assert np.all(np.isfinite(ndtri(found)))


# What they are like; limits are four standard errors


@pytest.mark.parametrize("name", [*VARYING, "k_expansion_2", "death_2"])
def test_normals_are_normal_and_uniforms_uniform(name: str) -> None:
    normal, uniform = CROWD.normal_of(name), CROWD.uniform_of(name)
    assert abs(normal.mean()) < 4 / math.sqrt(MANY)
    assert abs(normal.std() - 1.0) < 4 / math.sqrt(2 * MANY)
    assert abs(uniform.mean() - 0.5) < 4 / math.sqrt(12 * MANY)
    assert kstest(normal, "norm").pvalue > 1e-4
    assert kstest(uniform, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(normal, uniform)[0, 1]) < 4 / math.sqrt(MANY)


def test_different_names_are_independent() -> None:
    rows = [CROWD.normal_of(name) for name in (*VARYING, "death", "k_expansion_2", "k_expansion_3")]
    rows += [CROWD.uniform_of("death"), CROWD.uniform_of("death_2"), *CROWD.assay[:, :3].reshape(MANY, 6).T]
    matrix = np.corrcoef(rows)
    assert np.abs(matrix[~np.eye(len(matrix), dtype=bool)]).max() < 4 / math.sqrt(MANY)


def test_the_errors_of_a_patients_visits_are_independent_and_normal() -> None:
    errors = CROWD.assay[:2000].reshape(2000, -1)
    assert abs(errors.mean()) < 4 / math.sqrt(errors.size)
    assert abs(errors.std() - 1.0) < 4 / math.sqrt(2 * errors.size)
    for lag in (1, 2, 3, 4, 8):
        assert abs(np.mean(errors[:, :-lag] * errors[:, lag:])) < 4 / math.sqrt(errors[:, lag:].size)


@pytest.mark.parametrize("visits", [1, 2, 7, ASSAY_DRAWS])
def test_the_errors_of_few_visits_are_the_first_of_many(visits: int) -> None:
    alone = draw(CATALOGUE, 5, seed=31, first=2)
    np.testing.assert_array_equal(alone.assay_of(visits), draw(CATALOGUE, 7, seed=31).assay[2:, :visits])
    np.testing.assert_array_equal(alone.assay, draw(CATALOGUE, 7, seed=31).assay[2:])


def test_given_errors_take_the_place_of_the_drawn_ones_and_change_nothing_else() -> None:
    drawn = draw(CATALOGUE, 6, seed=5)
    exact = replace(drawn, errors=np.zeros((6, 9, 2)))
    assert not exact.assay.any()
    assert exact.part(2, 4).assay_of(3).shape == (2, 3, 2)
    np.testing.assert_array_equal(exact.death, drawn.death)


# Numbers belong to names, not to the catalogue


def of_the_test(name: str, value: float, trait: str = "") -> Parameter:
    return Parameter(name, value, "", 0.0, 100.0, "of this test", "x", "assumed", "", "assumed", drawn_with=trait)


def test_a_parameter_more_moves_no_other_number_of_anybody() -> None:
    more = CATALOGUE.with_parameters([
        of_the_test("k_aardvark", 1.0), of_the_test("k_aardvark.spread", 0.5), of_the_test("k_zebra", 1.0),
        of_the_test("sensitive_extra", 1.0, "fraction_extra"), of_the_test("fraction_extra", 0.3),
    ])  # fmt: skip
    before, after = draw(CATALOGUE, 500, seed=12), draw(more, 500, seed=12)
    same(before, after)
    one = make_patients(CATALOGUE, before, product="cilta_cel", population="late_line")
    other = make_patients(more, after, product="cilta_cel", population="late_line")
    assert np.std(np.log(other["k_aardvark"])) > 0.4
    assert 0.2 < np.mean(other["sensitive_extra"]) < 0.4
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name])


def test_draws_made_for_fewer_parameters_do_for_more() -> None:
    few = draw(ParameterSet([of_the_test("k_kill", 1.0)], {}), 50, seed=13)
    one = make_patients(CATALOGUE, few, product="cilta_cel", population="late_line")
    other = make_patients(CATALOGUE, draw(CATALOGUE, 50, seed=13), product="cilta_cel", population="late_line")
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name])


# The whole and its parts


@given(first=st.integers(0, 39), n=st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_some_of_the_patients_are_those_of_the_whole_population(first: int, n: int) -> None:
    n = min(n, 40 - first)
    whole = draw(CATALOGUE, 40, 11)
    same(draw(CATALOGUE, n, 11, first=first), whole.part(first, first + n))
    unasked = Draws(11, stream_keys(11, np.arange(40))).part(first, first + n)  # a part of what was not drawn yet
    same(unasked, whole.part(first, first + n))


def test_the_first_patients_of_a_seed_are_drawn_once() -> None:
    assert draw(CATALOGUE, 40, 11) is draw(CATALOGUE.with_values(k_growth_tumour=0.02), 40, 11)


def test_the_last_patient_that_can_be_has_numbers_too() -> None:
    last = draw(CATALOGUE, 1, 3, first=MOST_PATIENTS - 1)
    assert last.death[0] == inside(numpys(3, MOST_PATIENTS - 1, "death"))[1]


@pytest.mark.parametrize(("n", "first"), [(1, -1), (1, 0.5), (2, MOST_PATIENTS - 1), (1, MOST_PATIENTS)])
def test_a_patient_before_the_first_or_after_the_last_is_refused(n: int, first: float) -> None:
    with pytest.raises(RangeError, match=r"first patient = .*expected whole numbers from 0 to 4294967295"):
        draw(CATALOGUE, n, 3, first=first)  # pyright: ignore[reportArgumentType]
