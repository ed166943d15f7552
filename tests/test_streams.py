"""Random streams of many patients at once: the same numbers as one generator made for each of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.model.catalogue import read_catalogue
from perdure.parameters.errors import RangeError
from perdure.parameters.patients import ASSAY_DRAWS, Draws, draw
from perdure.parameters.streams import MOST_PATIENTS, stream_keys

CATALOGUE = read_catalogue()
WIDTH = len(CATALOGUE.names)
KEPT = ("normal", "uniform", "assay", "death")


def same(one: Draws, other: Draws) -> None:
    for name in KEPT:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


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


@pytest.mark.parametrize("seed", [0, 11, 2**40 + 3])
def test_a_patient_has_the_numbers_of_a_generator_made_for_him_alone(seed: int) -> None:
    drawn = draw(CATALOGUE, 40, seed)
    for patient in range(40):
        stream = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, patient))))
        assert drawn.death[patient] == stream.random()
        np.testing.assert_array_equal(drawn.assay[patient], stream.standard_normal((ASSAY_DRAWS, 2)))
        np.testing.assert_array_equal(drawn.uniform[patient], stream.random(WIDTH))
        np.testing.assert_array_equal(drawn.normal[patient], stream.standard_normal(WIDTH))


@given(first=st.integers(0, 39), n=st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_some_of_the_patients_are_those_of_the_whole_population(first: int, n: int) -> None:
    n = min(n, 40 - first)
    same(draw(CATALOGUE, n, 11, first=first), draw(CATALOGUE, 40, 11).part(first, first + n))


def test_the_last_patient_that_can_be_has_a_stream_too() -> None:
    last = draw(CATALOGUE, 1, 3, first=MOST_PATIENTS - 1)
    stream = np.random.Generator(np.random.Philox(np.random.SeedSequence((3, MOST_PATIENTS - 1))))
    assert last.death[0] == stream.random()


@pytest.mark.parametrize(("n", "first"), [(1, -1), (1, 0.5), (2, MOST_PATIENTS - 1), (1, MOST_PATIENTS)])
def test_a_patient_before_the_first_or_after_the_last_is_refused(n: int, first: float) -> None:
    with pytest.raises(RangeError, match=r"first patient = .*expected whole numbers from 0 to 4294967295"):
        draw(CATALOGUE, n, 3, first=first)  # pyright: ignore[reportArgumentType]
