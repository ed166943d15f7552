"""Antigen density: classes of log-density that the CAR-T cells select on and that relax back."""

import math

import sympy

from ..flow import Flow
from ..rates import hill, parameter, total
from ..states import Quantity, State

CLASSES = 7
LOWEST, HIGHEST = -4.5, 3.0
STEP = (HIGHEST - LOWEST) / (CLASSES - 1)
GRID = tuple(LOWEST + STEP * k for k in range(CLASSES))
"""Class centres in within-tumour SDs of log-density. Fixed in all analyses: where the low tail is cut moves the
time of relapse by months, so the grid is a setting of the model and not a free choice."""

_BELL = [math.exp(-0.5 * z * z) for z in GRID]
WEIGHTS = tuple(value / sum(_BELL) for value in _BELL)
"""Stationary share of each class: a normal distribution of log-density seen on the grid."""


def classes() -> tuple[State, ...]:
    """Tumour cells that carry both antigens, by density of the antigen under attack."""
    carried = (1 - parameter("fraction_null_bcma")) * (1 - parameter("fraction_null_gprc5d"))
    return tuple(
        State(
            f"tumour_{k + 1}", "cell", f"tumour cells, density class {k + 1} of {CLASSES} ({z:+.2f} SD)", "tumour",
            parameter("tumour_baseline") * carried * WEIGHTS[k], 0.01, f"T_{{{k + 1}}}",
        )
        for k, z in enumerate(GRID)
    )  # fmt: skip


def susceptibility() -> tuple[Quantity, ...]:
    """Density of each class and the share of the maximal CAR-T effect it evokes."""
    bcma, gprc5d = parameter("targets_bcma"), parameter("targets_gprc5d")
    inner, shed = parameter("k_internalisation_bcma"), parameter("k_shedding_bcma")
    target = bcma * parameter("density_bcma") + gprc5d * parameter("density_gprc5d")
    quantities = [
        Quantity("density_target", "molecule/cell", "median density of the antigen under attack", target, "a_0"),
        Quantity(
            "density_gain", "", "rise of membrane BCMA while its shedding is blocked (quasi-steady state)",
            1 + bcma * ((inner + shed) / (inner + shed * parameter("modifier_shedding")) - 1), "g",
        ),
        Quantity(
            "engagement_gain", "", "the same rise, on the scale of the density effect",
            parameter("density_gain") ** parameter("hill_density"), "G",
        ),
    ]  # fmt: skip
    density, half = parameter("density_target"), parameter("half_density_kill")
    for k, z in enumerate((*GRID, 0.0)):
        name, index = (f"{k + 1}", f"{k + 1}") if k < CLASSES else ("median", "\\mathrm{median}")
        ratio = density * sympy.exp(parameter("sd_density") * z) / half
        quantities.append(
            Quantity(
                f"engagement_{name}", "", f"density over its half-effect level, to the Hill power, class {name}",
                ratio ** parameter("hill_density"), f"r_{{{index}}}",
            )
        )  # fmt: skip
        engaged = parameter(f"engagement_{name}") * parameter("engagement_gain")
        quantities.append(
            Quantity(
                f"susceptibility_{name}", "", f"share of the maximal effect evoked by class {name}",
                hill(engaged, sympy.Integer(1)), f"\\varphi_{{{index}}}",
            )
        )  # fmt: skip
    return tuple(quantities)


def mean_log_density(tumour: tuple[State, ...]) -> Quantity:
    """Geometric mean density of the antigen-positive cells, as flow cytometry would report it without drug."""
    weighted = total([z * state.symbol for z, state in zip(GRID, tumour, strict=True)])
    mean = weighted / total([state.symbol for state in tumour])
    expression = parameter("density_target") * sympy.exp(parameter("sd_density") * mean)
    return Quantity(
        "density_mean",
        "molecule/cell",
        "geometric mean antigen density of antigen-positive cells",
        expression,
        "\\bar a",
    )


def relaxation(tumour: tuple[State, ...]) -> tuple[Flow, ...]:
    """Phenotypic drift back to the stationary distribution: a birth-death chain (Ornstein-Uhlenbeck)."""
    flows = []
    for k in range(CLASSES - 1):
        here, there = tumour[k], tumour[k + 1]
        up = math.sqrt(WEIGHTS[k + 1] / WEIGHTS[k]) / STEP**2
        down = math.sqrt(WEIGHTS[k] / WEIGHTS[k + 1]) / STEP**2
        rate = parameter("k_relaxation_density")
        flows.append(Flow(f"density rises from class {k + 1}", rate * up * here.symbol, out_of=here, into=there))
        flows.append(Flow(f"density falls from class {k + 2}", rate * down * there.symbol, out_of=there, into=here))
    return tuple(flows)
