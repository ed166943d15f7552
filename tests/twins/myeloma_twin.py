"""The myeloma equations written a second time, by hand, in the letters of the paper.

Nothing is read from the model's processes: own grid, own class weights, own relaxation rates, own drug effects.
Only the names of states, observables and parameters are shared, because they are the interface.

On purpose different from the specification the equations were first written down in:

- Host lymphocytes compete with a fitted exponent `n_cyt` instead of the square, which was far too steep.
- The division rate for antigen loss and demography is b = kg + turnover, not a constant: a patient whose tumour
  grows faster divides faster.
- Only a share `f_eng` of the infused cells engrafts; the others are lost, and nothing is scaled afterwards.
- One course of cells against BCMA: GPRC5D is followed only where somebody attacks it (`sequence_twin`).
- Fitness is used up by divisions of cells that are there, so that a product stays whole until its cells arrive.
- A product made of exhausted T cells expands less; host lymphocytes at their full number reject a donor's cells.
- Terminally exhausted cells Z count as CAR-T cells (space, immunity) and kill nothing.
- Recall of one memory cell gives `n_ma` effectors (2 in the specification).
- Soluble BCMA is made by cells that carry BCMA, in proportion to what is shed.
- Patients with light chains only make no M-protein; immunity arises in prone patients only (traits of 0 or 1).
- Lenalidomide acts on exhaustion, recovery, expansion and suppression with fixed weights of one common effect.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

DRUGS = ("crenigacestat", "lenalidomide")
"""Drugs whose effects are written below."""

Z_GRID = np.linspace(-4.5, 3.0, 7)
DZ = 1.25
W = np.exp(-(Z_GRID**2) / 2) / np.exp(-(Z_GRID**2) / 2).sum()
UP = np.sqrt(W[1:] / W[:-1]) / DZ**2
DOWN = np.sqrt(W[:-1] / W[1:]) / DZ**2

Terms = dict[str, list[Any]]
"""Right-hand side of each state, term by term as printed; the sum of the terms is the derivative, per day."""


def initial(p: Mapping[str, float]) -> dict[str, float]:
    """Values at day 0."""
    T0, nb = p["tumour_baseline"], p["fraction_null_bcma"]
    start = {f"tumour_{k + 1}": T0 * (1 - nb) * W[k] for k in range(7)}
    start["null_bcma"] = T0 * nb
    start |= dict.fromkeys(("infused", "effector", "memory", "exhausted", "terminal", "immunity"), 0.0)
    before, after = p["host_before"], p["host_after_lymphodepletion"]
    start["host"] = np.exp(np.log(before) + p["fraction_lymphodepletion"] * (np.log(after) - np.log(before)))
    start["fitness"], start["soluble_bcma"] = 1.0, 1.0
    start["host_exhausted"] = p["fraction_exhausted_host"]
    level = p["fraction_suppression_alone"] + p["max_suppression_burden"] * T0 / (T0 + p["half_suppression_burden"])
    start["suppression"] = p["suppression_baseline"] * level
    start["m_protein"] = p["m_protein_baseline"] * (1 - p["light_chain_only"])
    return start


def drug_factors(p: Mapping[str, float], level: Mapping[str, float]) -> dict[str, float]:
    """What the drugs multiply: growth kg, expansion rho, exhaustion kx, recovery kr, suppression S, shedding."""
    C_len, C50 = level["lenalidomide"], p["half_effect_lenalidomide"]
    A_gsi, A50 = level["crenigacestat"], p["half_effect_crenigacestat"]
    occupied, blocked = C_len / (C50 + C_len), A_gsi / (A50 + A_gsi)
    effect = p["effect_lenalidomide"] * occupied
    return {
        "kg": 1 - p["sensitive_lenalidomide"] * p["max_growth_inhibition_lenalidomide"] * occupied,
        "rho": np.exp(p["weight_expansion_lenalidomide"] * effect),
        "kx": np.exp(p["weight_exhaustion_lenalidomide"] * effect),
        "kr": np.exp(p["weight_recovery_lenalidomide"] * effect),
        "S": np.exp(p["weight_suppression_lenalidomide"] * effect),
        "shedding": 1 - p["max_inhibition_crenigacestat"] * blocked,
    }


def equations(
    p: Mapping[str, float], y: Mapping[str, float], level: Mapping[str, float]
) -> tuple[Terms, dict[str, float], np.ndarray]:
    """Terms of every equation, observables, and net growth per cell of the eight tumour states, at one moment.

    `level` holds the drug levels.
    """
    m = drug_factors(p, level)

    # antigen: density of each class over its half-effect level, and what it evokes
    n, EC50, a0 = p["hill_density"], p["half_density_kill"], p["density_bcma"]
    k_int, k_shed = p["k_internalisation_bcma"], p["k_shedding_bcma"]
    g = (k_int + k_shed) / (k_int + k_shed * m["shedding"])
    r = (a0 * np.exp(p["sd_density"] * Z_GRID) * g / EC50) ** n
    phi = r / (1 + r)

    # cells
    T_k = np.array([y[f"tumour_{k + 1}"] for k in range(7)])
    N_B = y["null_bcma"]
    T = T_k.sum() + N_B
    I, E, M, X, Z = (y[name] for name in ("infused", "effector", "memory", "exhausted", "terminal"))  # noqa: E741
    F, L, S, H, X_h = y["fitness"], y["host"], y["suppression"], y["immunity"], y["host_exhausted"]
    C = E + M + X + Z
    E_eff = E + p["fraction_kill_memory"] * M + p["fraction_kill_exhausted"] * X

    # antigen stimulus, killing, space, expansion
    seen = phi @ T_k
    A = seen / (p["half_antigen"] + seen)
    h = p["k_kill_max"] / (1 + S) * E_eff / (E_eff + p["half_kill"] + T / p["engagement_volume"])
    cyt = 1 / (1 + (L / p["half_competition_host"]) ** p["hill_competition_host"] + C / p["car_t_capacity"])
    origin = 1 - p["effect_host_exhaustion_product"] * X_h
    prol = p["k_expansion"] * m["rho"] * A * cyt * F * origin / (1 + S)

    # tumour
    nu, K = p["exponent_growth"], p["tumour_capacity"]
    gamma_0 = p["k_growth_tumour"] / (1 - (p["tumour_reference"] / K) ** nu)
    gamma = gamma_0 * m["kg"] * (1 - ((T + p["tumour_least"]) / K) ** nu)
    b = gamma_0 + p["k_turnover_tumour"]
    mu_B, omega = p["probability_loss_bcma"], p["k_relaxation_density"]
    d: Terms = {}
    for k in range(7):
        below = [omega * UP[k - 1] * T_k[k - 1], -omega * DOWN[k - 1] * T_k[k]] if k > 0 else []
        above = [-omega * UP[k] * T_k[k], omega * DOWN[k] * T_k[k + 1]] if k < 6 else []
        d[f"tumour_{k + 1}"] = [gamma * T_k[k], -h * phi[k] * T_k[k], -mu_B * b * T_k[k], *below, *above]
    d["null_bcma"] = [gamma * N_B, mu_B * b * T_k.sum()]

    # CAR-T cells
    kd, f_eng, f_mem = p["k_engraftment"], p["fraction_engrafted"], p["fraction_memory_product"]
    kx, kr, kz = p["k_exhaustion"] * m["kx"], p["k_recovery_exhausted"] * m["kr"], p["k_terminal_exhaustion"]
    kem, kma, n_ma = p["k_memory_formation"], p["k_memory_recall"], p["effectors_per_recall"]
    dE, dM, dX = p["k_death_effector"], p["k_death_memory"], p["k_death_exhausted"]
    clear = p["k_clearance_immunity"] * H + p["k_rejection_host"] * L / (L + p["host_capacity"])
    d["infused"] = [-kd * I]
    d["effector"] = [
        kd * f_eng * (1 - f_mem) * I, prol * E, -dE * E, -kx * A * (1 + S) * E, -kem * (1 - A) * E, -clear * E,
        n_ma * kma * A * M, kr * X,
    ]  # fmt: skip
    d["memory"] = [kd * f_eng * f_mem * I, kem * (1 - A) * E, -kma * A * M, -dM * M, -clear * M]
    d["exhausted"] = [kx * A * (1 + S) * E, -kr * X, -dX * X, -kz * A * X, -clear * X]
    d["terminal"] = [kz * A * X, -dX * Z, -clear * Z]
    d["fitness"] = [-p["fraction_fitness_lost"] * prol * F * (I + C) / (I + C + p["limit_division"])]

    # host, environment, immunity against the CAR
    d["host"] = [-p["k_recovery_host"] * L * np.log((L + C) / p["host_capacity"])]
    burden = p["max_suppression_burden"] * T / (T + p["half_suppression_burden"])
    target = m["S"] * p["suppression_baseline"] * (p["fraction_suppression_alone"] + burden)
    d["suppression"] = [p["k_suppression"] * target, -p["k_suppression"] * S]
    rise = p["immunogenic"] * p["k_rise_immunity"] * C / (C + p["half_immunity"])
    d["host_exhausted"] = [-p["k_recovery_host_exhausted"] * m["kr"] * X_h]
    d["immunity"] = [rise, -rise * H, -p["k_decay_immunity"] * H]

    # what the laboratory measures
    T0, kM, ksB = p["tumour_baseline"], p["k_clearance_m_protein"], p["k_clearance_sbcma"]
    M0 = p["m_protein_baseline"] * (1 - p["light_chain_only"])
    d["m_protein"] = [kM * M0 * T / T0, -kM * y["m_protein"]]
    d["soluble_bcma"] = [ksB * m["shedding"] * T_k.sum() / T0, -ksB * y["soluble_bcma"]]

    seen_as = {
        **{name: y[name] for name in ("m_protein", "soluble_bcma", "effector", "memory", "fitness")},
        "host": L, "host_exhausted": X_h,
        "tumour": T, "car_t": C, "engaged": E_eff, "suppression": S, "immunity": H, "antigen_stimulus": A,
        "kill_pressure": h, "susceptibility": seen / T, "exhausted_fraction": (X + Z) / (C + I),
        "light_chain": p["flc_background"] + p["flc_baseline"] * T / T0,
        "density_mean": a0 * np.exp(p["sd_density"] * (Z_GRID @ T_k) / T_k.sum()),
        "null_fraction": N_B / T,
    }  # fmt: skip
    net = gamma - h * np.array([*phi, 0.0])
    return d, seen_as, net
