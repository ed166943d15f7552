"""Markers: states that follow others and that nothing depends on are solved exactly over long steps."""

import math

import numpy as np
import pytest
import sympy

from perdure.model.engine.codegen import find_markers
from perdure.model.myeloma import myeloma
from perdure.model.regimens.regimen import Regimen
from perdure.model.simulate import Solver, simulate
from perdure.model.system.system import Flow, Quantity, State, System, symbol
from perdure.model.therapy import read_therapy


def state(name: str, initial: float) -> State:
    return State(name, "", name, "pool", sympy.Float(initial), 1e-9, name)


CELLS, PROTEIN, FAST = state("cells", 1.0), state("protein", 2.0), state("fast", 0.0)
LOAD = Quantity("load", "", "twice the cells", 2 * CELLS.symbol, "L")


def pools(*more: Flow, observables: tuple[str, ...] = ("cells", "protein", "fast")) -> System:
    """Cells that decay; a protein that they make; a fast protein, made of the cells as well."""
    return System(
        name="pools",
        states=(CELLS, PROTEIN, FAST),
        quantities=(LOAD,),
        inputs=(),
        flows=(
            Flow("death", symbol("death") * CELLS.symbol, out_of=CELLS),
            Flow("production", symbol("made") * LOAD.symbol, into=PROTEIN),
            Flow("loss", symbol("loss") * PROTEIN.symbol, out_of=PROTEIN),
            Flow("fast production", symbol("loss_fast") * CELLS.symbol, into=FAST),
            Flow("fast loss", symbol("loss_fast") * FAST.symbol, out_of=FAST),
            *more,
        ),
        observables=observables,
    )


VALUES = {"death": 0.003, "made": 0.7, "loss": 0.4, "loss_fast": 12.0}
PATIENT = {name: np.array([value]) for name, value in VALUES.items()}


def exact(t: np.ndarray, start: float, made: float, loss: float) -> np.ndarray:
    """y' = made exp(-death t) - loss y."""
    part = made / (loss - VALUES["death"])
    return part * np.exp(-VALUES["death"] * t) + (start - part) * np.exp(-loss * t)


def test_proteins_are_markers_and_what_makes_them_is_not() -> None:
    found = find_markers(pools())
    assert [(marker.state.name, marker.place) for marker in found] == [("protein", 1), ("fast", 2)]
    assert sympy.simplify(found[0].production - 2 * symbol("made") * CELLS.symbol) == 0
    assert found[0].loss == symbol("loss")


@pytest.mark.parametrize(
    "flow",
    [
        Flow("feedback", symbol("made") * PROTEIN.symbol, into=CELLS),
        Flow("saturable", symbol("made") * CELLS.symbol / (1 + CELLS.symbol), into=PROTEIN),
        Flow("constant", symbol("made"), into=PROTEIN),
        Flow("own square", symbol("made") * PROTEIN.symbol**2, out_of=PROTEIN),
        Flow("loss by cells", symbol("made") * PROTEIN.symbol * CELLS.symbol, out_of=PROTEIN),
        Flow("into another", symbol("made") * PROTEIN.symbol, out_of=PROTEIN, into=FAST),
    ],
    ids=lambda flow: flow.name,
)
def test_what_acts_back_or_is_not_linear_is_no_marker(flow: Flow) -> None:
    assert "protein" not in {marker.state.name for marker in find_markers(pools(flow))}


def test_myelomas_markers_are_its_serum_proteins() -> None:
    assert [marker.state.name for marker in find_markers(myeloma(()))] == ["m_protein", "soluble_bcma"]
    blocked = myeloma((read_therapy("crenigacestat"),))  # shedding is then a matter of the drug's level
    assert [marker.state.name for marker in find_markers(blocked)] == ["m_protein"]


@pytest.mark.parametrize("rtol", [1e-4, 1e-7])
def test_markers_follow_their_closed_form(rtol: float) -> None:
    days = np.array([0.0, 0.1, 1.0, 3.0, 10.0, 47.3, 100.0, 500.0])
    found = simulate(
        PATIENT, Regimen(), times=days, system=pools(), solver=Solver(rtol=rtol, max_step=math.inf, workers=1)
    )  # fmt: skip
    np.testing.assert_allclose(found["protein"][0], exact(days, 2.0, 1.4, 0.4), rtol=30 * rtol)
    np.testing.assert_allclose(found["fast"][0], exact(days, 0.0, 12.0, 12.0), rtol=30 * rtol, atol=1e-12)


def test_a_fast_marker_does_not_decide_the_step() -> None:
    slow = {**PATIENT, "loss_fast": np.array([1.0])}
    fast = {**PATIENT, "loss_fast": np.array([200.0])}
    solver = Solver(max_step=math.inf, workers=1)
    few, more = (
        simulate(one, Regimen(), times=[500.0], system=pools(), solver=solver).steps[0] for one in (slow, fast)
    )
    assert more < 3 * few < 300  # stability alone would ask for thirty thousand


def test_outputs_and_the_end_of_the_last_step_agree() -> None:
    day = 321.0
    inside = simulate(PATIENT, Regimen(), times=[day], until=500.0, system=pools(), solver=Solver(rtol=1e-8))
    at_end = simulate(PATIENT, Regimen(), times=[day], system=pools(), solver=Solver(rtol=1e-8))
    for name in ("protein", "fast"):
        np.testing.assert_allclose(inside[name], at_end[name], rtol=1e-7)
