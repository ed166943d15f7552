"""Host: lymphocytes that compete with the CAR-T cells, tire, and can be redirected; immunity against the CAR."""

from collections.abc import Sequence

import sympy

from ..car_t_course import CarTCourse
from ..system.system import Flow, Quantity, State, parameter, saturating, total

_LEFT = parameter("host_after_lymphodepletion")
_BEFORE = parameter("host_before")
_DEPLETED = parameter("fraction_lymphodepletion")

HOST = State(
    "host", "cell/uL", "host lymphocytes in blood", "host",
    _BEFORE * (_LEFT / _BEFORE) ** _DEPLETED, 1e-6, "L",
)  # fmt: skip
TIRED = State(
    "host_exhausted", "", "exhausted share of the host T cells", "host", parameter("fraction_exhausted_host"), 1e-8,
    "X_\\mathrm{h}",
)  # fmt: skip


def immunities(courses: Sequence[CarTCourse]) -> tuple[State, ...]:
    """Immunity against each family of binders."""
    endings = dict.fromkeys(cells.immunity for cells in courses)
    return tuple(
        State(f"immunity{ending}", "", "immunity against the CAR", "host", sympy.Integer(0), 1e-8, "H")
        for ending in endings
    )


def working() -> Quantity:
    """Host T cells that an antibody can redirect."""
    able = parameter("host_redirected") * HOST.symbol * (1 - TIRED.symbol)
    return Quantity("host_working", "cell/uL", "host T cells that an antibody can redirect", able, "L_\\mathrm{w}")


def flows(courses: Sequence[CarTCourse], redirected: sympy.Expr, depleted: sympy.Expr) -> tuple[Flow, ...]:
    """Gompertz recovery of host lymphocytes (Kimmel 2021), their exhaustion under antibodies that redirect them, drugs
    that deplete them, rejection of a donor's cells, and clearance of CAR-T cells by immunity against their binder.
    """
    host, tired, car_t = HOST.symbol, TIRED.symbol, parameter("car_t")
    recovery = -parameter("k_recovery_host") * host * sympy.log((host + car_t) / parameter("host_capacity"))
    rest = parameter("k_recovery_host_exhausted") * parameter("modifier_recovery") * tired
    host_flows = [
        Flow("recovery of host lymphocytes", recovery, into=HOST),
        Flow("rest of exhausted host T cells", rest, out_of=TIRED),
    ]
    if redirected != 0:
        drive = parameter("k_exhaustion_host") * parameter("modifier_exhaustion") * redirected
        host_flows.append(Flow("exhaustion of host T cells", drive * (1 - tired), into=TIRED))
    for state in immunities(courses):
        ending = state.name.removeprefix("immunity")
        family = [cells for cells in courses if cells.immunity == ending]
        prone = parameter(f"immunogenic{ending}") * parameter("k_rise_immunity")
        rise = prone * saturating(total([cells.parameter("cells") for cells in family]), parameter("half_immunity"))
        host_flows.append(Flow(f"rise of anti-CAR {state.name}", rise * (1 - state.symbol), into=state))
        fade = parameter("k_decay_immunity") * state.symbol
        host_flows.append(Flow(f"decay of anti-CAR {state.name}", fade, out_of=state))
    for cells in courses:
        clearance = parameter("k_clearance_immunity") * parameter(f"immunity{cells.immunity}")
        rejection = cells.parameter("k_rejection_host") * saturating(host, parameter("host_capacity"))
        for pool in cells.engrafted:
            host_flows.append(
                Flow(f"clearance of {pool.name} by the host", (clearance + rejection) * pool.symbol, out_of=pool)
            )
            if depleted != 0:
                host_flows.append(Flow(f"depletion of {pool.name}", depleted * pool.symbol, out_of=pool))
    if depleted != 0:
        host_flows.append(Flow("depletion of host lymphocytes", depleted * host, out_of=HOST))
    return tuple(host_flows)
