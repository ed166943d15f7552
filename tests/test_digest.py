"""Today's numbers are those that were frozen, bit for bit: `tests/baselines/digest.py` says which are held."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

SCRIPT = Path(__file__).parent / "baselines" / "digest.py"
DIGEST = SimpleNamespace(**runpy.run_path(str(SCRIPT)))
KIND = DIGEST.kind_of_machine()
DIGESTS = DIGEST.read_digests()
QUICK = (
    "virtual patients", "simulation, explicit", "simulation, stiff", "simulation, plain Python", "rules", "event table",
    "cohort", "treat", "joint fit", "reconstruction",
)  # fmt: skip
"""Groups that take less than a second: another process computes them once more."""


@pytest.mark.parametrize("group", DIGEST.GROUPS)
def test_the_numbers_of_a_group_are_those_that_were_frozen(group: str) -> None:
    found = DIGEST.digest_of(group)
    if KIND in DIGESTS:
        assert DIGEST.differing(DIGESTS[KIND][group], found) == []
    else:  # bits of another processor or of other libraries: the same numbers at least are there, by name
        assert all(list(frozen[group]) == list(found) for frozen in DIGESTS.values())


def test_every_group_was_frozen_and_nothing_else() -> None:
    assert DIGESTS
    for frozen in DIGESTS.values():
        assert list(frozen) == list(DIGEST.GROUPS)


def test_another_process_on_one_thread_finds_the_same_bits() -> None:
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "1"}
    said = subprocess.run(
        [sys.executable, str(SCRIPT), "--show", *QUICK], env=alone, capture_output=True, text=True, check=True
    )
    assert json.loads(said.stdout) == {group: DIGEST.digest_of(group) for group in QUICK}


def test_a_hash_tells_numbers_apart_to_the_last_bit_and_not_their_shape_or_kind_of_nan() -> None:
    hashed = DIGEST.hashed
    assert hashed(1.0) == hashed([[1.0]]) == hashed(np.array(1)) != hashed(np.nextafter(1.0, 2.0))
    assert hashed(0.0) != hashed(-0.0)
    other_nan = np.array(0x7FF8000000000001, dtype=np.uint64).view(float)
    assert hashed([np.nan, 1.0]) == hashed([-other_nan, 1.0]) != hashed([1.0, np.nan])
    assert hashed("a") != hashed("b")
    assert DIGEST.differing({"a": "1", "b": "2"}, {"a": "3", "c": "4"}) == [
        "a: moved", "b: is no longer there", "c: is new"
    ]  # fmt: skip
