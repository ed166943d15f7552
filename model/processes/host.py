"""Host: lymphocytes that return after lymphodepletion, and immunity against the CAR."""

import sympy

from ..flow import Flow
from ..rates import parameter, saturating
from ..states import State
from .car_t import ENGRAFTED

_LEFT = parameter("host_after_lymphodepletion")
_BEFORE = parameter("host_before")
_DEPLETED = parameter("fraction_lymphodepletion")

HOST = State(
    "host", "cell/uL", "host lymphocytes in blood", "host",
    _BEFORE * (_LEFT / _BEFORE) ** _DEPLETED, 1e-6, "L",
)  # fmt: skip
IMMUNITY = State("immunity", "", "immunity against the CAR", "host", sympy.Integer(0), 1e-8, "H")


def flows() -> tuple[Flow, ...]:
    """Gompertz recovery of host lymphocytes (Kimmel 2021) and clearance of CAR-T cells by anti-CAR immunity."""
    host, immunity, car_t = HOST.symbol, IMMUNITY.symbol, parameter("car_t")
    recovery = -parameter("k_recovery_host") * host * sympy.log((host + car_t) / parameter("host_capacity"))
    rise = parameter("immunogenic") * parameter("k_rise_immunity") * saturating(car_t, parameter("half_immunity"))
    clearance = parameter("k_clearance_immunity") * immunity
    return (
        Flow("recovery of host lymphocytes", recovery, into=HOST),
        Flow("rise of anti-CAR immunity", rise * (1 - immunity), into=IMMUNITY),
        Flow("decay of anti-CAR immunity", parameter("k_decay_immunity") * immunity, out_of=IMMUNITY),
        *(Flow(f"immune clearance of {cells.name}", clearance * cells.symbol, out_of=cells) for cells in ENGRAFTED),
    )
