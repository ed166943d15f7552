"""What the arrays of a batch must be, and what belongs to the name of a part that is kept."""

from types import SimpleNamespace

import numpy as np
import pytest

from perdure.model import cohort as cohort_parts
from perdure.model.catalogue import read_catalogue
from perdure.model.cohort import Cohort, Setting
from perdure.model.engine.batch import Batch, Recording, Schedule, Watch
from perdure.model.engine.choice import make_engine
from perdure.model.myeloma import myeloma
from perdure.model.preparation import FEWEST_TERMS, numbers_of
from perdure.model.regimens.regimen import infuse
from perdure.model.simulate import Solver

SYSTEM = myeloma(())
TYPICAL = {name: np.full(2, value) for name, value in read_catalogue().typical("ide_cel", "late_line").items()}
SCHEDULE = Schedule.same([], 2)


def batch() -> Batch:
    engine = make_engine(SYSTEM, FEWEST_TERMS)
    numbers = numbers_of(SYSTEM, [], engine.parameters, TYPICAL)
    recording = Recording(np.array([0.0, 20.0]), np.zeros(0))
    return Batch(engine, numbers, recording, Solver().settings(20.0), np.zeros(1, dtype=np.int64))


def test_patients_that_share_steps_start_together_and_are_not_watched() -> None:
    resumed = batch()
    resumed.advance(SCHEDULE, 10.0, final=False)
    with pytest.raises(ValueError, match="share steps start together"):
        resumed.advance(SCHEDULE, 20.0, shared=True)
    watch = Watch(np.array([[0, 1]]), np.ones((2, 1)), np.zeros((2, 1), dtype=np.int64))
    with pytest.raises(ValueError, match="no watches"):
        batch().advance(SCHEDULE, 20.0, shared=True, watch=watch)


def test_memory_that_is_not_in_order_is_refused_and_not_misread() -> None:
    engine = make_engine(SYSTEM, FEWEST_TERMS)
    with pytest.raises(ValueError, match=r"shape \(3, 2\) does not lie in memory row by row"):
        engine.call("observe_rows", np.zeros((2, 3)).T)


def test_a_part_that_was_kept_belongs_to_its_equations(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(Cohort(read_catalogue(), 10, 1, "ide_cel", "late_line"), infuse("ide_cel"), {}, Solver())
    before = setting.description
    assert setting.description == before
    monkeypatch.setattr(cohort_parts, "engine_source", lambda *_: SimpleNamespace(text="other equations"))
    assert setting.description != before
