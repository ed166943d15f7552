"""Several courses of CAR-T cells, with drugs, written a second time by hand, in the letters of the specification.

Nothing is read from the model's processes. Only the names of states, observables and parameters are shared, and what a
therapy's file says it acts on, because they are the interface. `courses` are `CarTCourse` objects, `drugs` `Therapy`.

The tumour is one array T[b, g] over the places of BCMA and of GPRC5D; the last place of an axis is that of cells that
have lost the antigen. Where nobody attacks GPRC5D its axis has one place, which is neither lost nor graded.

- Two antigens of one attacker are two chances: a cell escapes only if it escapes through both. Written as a sum,
  because one minus a product forgets the digits of a small reach.
- Courses share the space, the host, the suppression and the tumour; each has its own stimulus, fitness and numbers, and
  each family of binders its own immunity. They crowd each other at the tumour: one half-effect for all that kill.
- What takes lymphocytes away takes engrafted CAR-T cells and host T cells at one rate, but no cells still in the bag.
- Soluble BCMA and antibody bind one to one; only the free antibody is counted.
- A share of cells that a drug does not kill stays the same in every line of the tumour, whatever its antigens.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

GRIDS = {"BCMA": np.linspace(-4.5, 3.0, 7), "GPRC5D": np.linspace(-4.5, 3.0, 5)}
AXES = tuple(GRIDS)
POOLS = ("infused", "effector", "memory", "exhausted", "terminal", "fitness")

Terms = dict[str, list[Any]]
Seen = dict[str, float]
"""Right-hand side of each state, term by term; the sum of the terms is the derivative, per day."""


def weights(antigen: str) -> np.ndarray:
    w = np.exp(-(GRIDS[antigen] ** 2) / 2)
    return w / w.sum()


def followed(courses: Sequence[Any], drugs: Sequence[Any]) -> tuple[str, ...]:
    """Graded antigens with an axis: BCMA always, GPRC5D if somebody attacks it."""
    wanted = {antigen for one in courses for antigen in one.antigens}
    wanted |= {antigen for drug in drugs for attack in drug.attacks for antigen in attack.antigens}
    return AXES if "GPRC5D" in wanted else AXES[:1]


def line_names(axes: Sequence[str]) -> list[list[str]]:
    """Names of the tumour states, as T[b][g]."""
    b = [*map(str, range(1, 8)), "null"]
    if len(axes) == 1:
        return [["null_bcma" if place == "null" else f"tumour_{place}"] for place in b]
    return [[f"tumour_{place}_{other}" for other in (*map(str, range(1, 6)), "null")] for place in b]


def shares(p: Mapping[str, float], antigen: str) -> np.ndarray:
    null = p[f"fraction_null_{antigen.lower()}"]
    return np.append((1 - null) * weights(antigen), null)


def on_tumour(drug: Any) -> Any:
    """The attack of a drug on tumour cells, or None."""
    return next((attack for attack in drug.attacks if attack.means != "lymphocytes"), None)


def share_states(drugs: Sequence[Any]) -> dict[str, Any]:
    """States that are the share of the tumour which a drug kills, with the attack."""
    found = {}
    for drug in drugs:
        attack = on_tumour(drug)
        if attack and attack.number("in_field"):
            found[f"in_field_{drug.key}"] = attack
        elif attack and attack.number("resistant"):
            found[f"sensitive_share_{drug.key}"] = attack
    return found


def initial(p: Mapping[str, float], courses: Sequence[Any], drugs: Sequence[Any]) -> dict[str, float]:
    """Values at day 0."""
    axes, T0 = followed(courses, drugs), p["tumour_baseline"]
    T = T0 * np.outer(shares(p, "BCMA"), shares(p, "GPRC5D") if len(axes) == 2 else 1.0)
    start = dict(zip(np.ravel(line_names(axes)).tolist(), T.ravel().tolist(), strict=True))
    start |= {f"{pool}{one.suffix}": float(pool == "fitness") for one in courses for pool in POOLS}
    start |= {f"immunity{one.immunity}": 0.0 for one in courses}
    before, after = p["host_before"], p["host_after_lymphodepletion"]
    start["host"] = before * (after / before) ** p["fraction_lymphodepletion"]
    start["host_exhausted"] = p["fraction_exhausted_host"]
    burden = p["max_suppression_burden"] * T0 / (T0 + p["half_suppression_burden"])
    start["suppression"] = p["suppression_baseline"] * (p["fraction_suppression_alone"] + burden)
    for name, attack in share_states(drugs).items():
        inside = attack.number("in_field")
        start[name] = p[inside] if inside else 1 - p[attack.number("resistant")]
    start["m_protein"] = p["m_protein_baseline"] * (1 - p["light_chain_only"])
    start["soluble_bcma"] = 1.0
    return start


def drug_factors(p: Mapping[str, float], level: Mapping[str, float], drugs: Sequence[Any]) -> dict[str, float]:
    """What the drugs multiply, by process."""
    names = ("growth", "expansion", "exhaustion", "recovery", "terminal_exhaustion", "suppression", "shedding")
    m: dict[str, Any] = dict.fromkeys(names, 1.0)
    for drug in drugs:
        for effect in drug.effects:
            s, C = np.prod([p[name] for name in effect.strength]), level[drug.key]
            saturation = s * C / (p[effect.half] + C)
            m[effect.on] *= np.exp(saturation) if effect.form == "exponential" else 1 - saturation
    return m


def reach(
    p: Mapping[str, float], antigens: Sequence[str], half: str, hill: str, shedding: float, axes: Sequence[str]
) -> np.ndarray:
    """Share of the full effect that an attacker has on every line."""
    k_int, k_shed, n = p["k_internalisation_bcma"], p["k_shedding_bcma"], p[hill]
    on = np.zeros((8, 6 if len(axes) == 2 else 1))
    for antigen in antigens:
        if antigen not in GRIDS:
            on = on + (1 - on) * p[f"fraction_reached_{antigen.lower()}"]
            continue
        g = (k_int + k_shed) / (k_int + k_shed * shedding) if antigen == "BCMA" else 1.0
        density = p[f"density_{antigen.lower()}"] * np.exp(p["sd_density"] * GRIDS[antigen])
        r = (density / p[half]) ** n * g**n
        places = np.append(r / (1 + r), 0.0)
        on = on + (1 - on) * (places[:, None] if antigen == "BCMA" else places[None, :])
    return on


def free_share(antibody: float, soluble: float, kd: float) -> float:
    """Share of an antibody that soluble BCMA leaves free, all in nmol/L; the root in the form that does not cancel."""
    q = antibody - soluble - kd
    root = np.sqrt(q**2 + 4 * kd * antibody)
    return (q + root) / (2 * antibody) if q > 0 else 2 * kd / (root - q)


def occupancy(p: Mapping[str, float], attack: Any, level: float, soluble: float) -> float:
    C = level
    if attack.number("half_binding"):
        Cn = C / p[attack.number("molar_mass")]
        C = C * free_share(Cn, p["soluble_bcma_baseline"] * soluble, p[attack.number("half_binding")])
    return C / (p[attack.number("half")] + C)


def relaxation(lines: np.ndarray, axis: int, antigen: str, omega: float) -> list[np.ndarray]:
    """Gains and losses of every line from its neighbours on one axis."""
    w, dz = weights(antigen), GRIDS[antigen][1] - GRIDS[antigen][0]
    x = np.moveaxis(lines, axis, 0)[:-1]
    column = (slice(None), None)
    up = omega * (np.sqrt(w[1:] / w[:-1]) / dz**2)[column] * x[:-1]
    down = omega * (np.sqrt(w[:-1] / w[1:]) / dz**2)[column] * x[1:]
    none = np.zeros((1, x.shape[1]))
    parts = [(none, up, none), (-up, none, none), (none, -down, none), (down, none, none)]
    return [np.moveaxis(np.concatenate(part), 0, axis) for part in parts]


def loss(lines: np.ndarray, axis: int, rate: float) -> np.ndarray:
    """What leaves every place of an axis for the last, that of cells which have lost the antigen."""
    x = np.moveaxis(lines, axis, 0)
    moved = np.concatenate((-rate * x[:-1], rate * x[:-1].sum(axis=0, keepdims=True)))
    return np.moveaxis(moved, 0, axis)


def equations(
    p: Mapping[str, float],
    y: Mapping[str, float],
    level: Mapping[str, float],
    courses: Sequence[Any],
    drugs: Sequence[Any],
) -> tuple[Terms, Seen, np.ndarray, np.ndarray]:
    """Terms of every equation, observables, and per cell of each line its net growth and its killing, at one moment."""
    axes, m = followed(courses, drugs), drug_factors(p, level, drugs)
    names = line_names(axes)
    T_bg = np.array([[y[name] for name in row] for row in names])
    T, L, S, X_h, B_s = T_bg.sum(), y["host"], y["suppression"], y["host_exhausted"], y["soluble_bcma"]
    own = {one.suffix: {pool: y[f"{pool}{one.suffix}"] for pool in POOLS} for one in courses}
    cells = {s: q["effector"] + q["memory"] + q["exhausted"] + q["terminal"] for s, q in own.items()}
    C = sum(cells.values())
    k_memory, k_exhausted = p["fraction_kill_memory"], p["fraction_kill_exhausted"]
    engaged = {s: q["effector"] + k_memory * q["memory"] + k_exhausted * q["exhausted"] for s, q in own.items()}
    crowd = sum(engaged.values()) + p["half_kill"] + T / p["engagement_volume"]
    d: Terms = {}
    seen: Seen = {}

    # drugs: what they kill, what they take away, and how much they tire the host's T cells
    kill, D, R = np.zeros_like(T_bg), 0.0, 0.0
    host_working = p["host_redirected"] * L * (1 - X_h) if "host_redirected" in p else 0.0
    of_share = {id(attack): name for name, attack in share_states(drugs).items()}
    for drug in drugs:
        X, a = level[drug.key], on_tumour(drug)
        D += sum(p[one.number("slope")] * X for one in drug.attacks if one.means == "lymphocytes")
        if a is None:
            continue
        bound = 0.0
        if a.means == "linear_quadratic":
            alpha, beta = p[a.number("linear")], p[a.number("quadratic")]
            pressure = np.log(2) / p[a.number("half_life")] * (alpha * X + 2 * beta * X**2)
        else:
            bound = occupancy(p, a, X, B_s)
            pressure = p[a.number("k_kill")] * bound
        on = reach(p, a.antigens, a.number("half_density"), "hill_density_antibody", m["shedding"], axes)
        if a.means == "redirected":
            R += bound * (on * T_bg).sum() / (p["half_antigen"] + (on * T_bg).sum())
            need = p[a.number("half_host")] + T / p["engagement_volume_host"]
            pressure = pressure / (1 + S) * host_working / (host_working + need)
        sensitive = p[a.number("sensitive")] if a.number("sensitive") else 1.0
        share = y[of_share[id(a)]] if id(a) in of_share else 1.0
        kill = kill + pressure * sensitive * share * (on if a.antigens else 1.0)
        if id(a) in of_share:
            mixed = share * (1 - share)
            back = [p["k_regain_sensitivity"] * mixed] if a.number("resistant") else []
            met = (on * T_bg).sum() / T if a.antigens else 1.0  # who is not reached is not selected against
            d[of_share[id(a)]] = [-pressure * sensitive * met * mixed, *back]

    # CAR-T cells
    kr = p["k_recovery_exhausted"] * m["recovery"]
    kz, kma = p["k_terminal_exhaustion"] * m["terminal_exhaustion"], p["k_memory_recall"]
    origin = 1 - p["effect_host_exhaustion_product"] * X_h
    host_room = (L / p["half_competition_host"]) ** p["hill_competition_host"]
    for one in courses:
        s, (I, E, M, X, Z, F) = one.suffix, own[one.suffix].values()  # noqa: E741
        phi = reach(p, one.antigens, f"half_density_kill{s}", "hill_density", m["shedding"], axes)
        Phi = (phi * T_bg).sum()
        A = Phi / (p["half_antigen"] + Phi)
        pressure = p[f"k_kill_max{s}"] / (1 + S) * engaged[s] / crowd
        kill = kill + pressure * phi
        room = 1 / (1 + host_room + C / p[f"car_t_capacity{s}"])
        prol = p[f"k_expansion{s}"] * m["expansion"] * A * room * F * origin / (1 + S)
        f, fm, ke = p[f"fraction_engrafted{s}"], p[f"fraction_memory_product{s}"], p["k_engraftment"]
        kx, kem = p[f"k_exhaustion{s}"] * m["exhaustion"] * A * (1 + S), p[f"k_memory_formation{s}"] * (1 - A)
        dE, dM, dX = p["k_death_effector"], p[f"k_death_memory{s}"], p["k_death_exhausted"]
        rejected = p[f"k_rejection_host{s}"] * L / (L + p["host_capacity"])
        clear = p["k_clearance_immunity"] * y[f"immunity{one.immunity}"] + rejected + D
        d[f"infused{s}"] = [-ke * I]
        d[f"effector{s}"] = [
            ke * f * (1 - fm) * I, prol * E, -dE * E, -kx * E, -kem * E, -clear * E,
            p["effectors_per_recall"] * kma * A * M, kr * X,
        ]  # fmt: skip
        d[f"memory{s}"] = [ke * f * fm * I, kem * E, -kma * A * M, -dM * M, -clear * M]
        d[f"exhausted{s}"] = [kx * E, -kr * X, -dX * X, -kz * A * X, -clear * X]
        d[f"terminal{s}"] = [kz * A * X, -dX * Z, -clear * Z]
        there = I + cells[s]
        d[f"fitness{s}"] = [-p[f"fraction_fitness_lost{s}"] * prol * F * there / (there + p["limit_division"])]
        seen |= {
            f"engaged{s}": engaged[s], f"effector{s}": E, f"memory{s}": M, f"fitness{s}": F,
            f"susceptibility{s}": Phi / T, f"antigen_stimulus{s}": A, f"kill_pressure{s}": pressure,
        }  # fmt: skip
        seen |= {f"cells{s}": cells[s]} if len(courses) > 1 else {}

    # tumour
    nu, K = p["exponent_growth"], p["tumour_capacity"]
    gamma_0 = p["k_growth_tumour"] / (1 - (p["tumour_reference"] / K) ** nu)
    gamma = gamma_0 * m["growth"] * (1 - ((T + p["tumour_least"]) / K) ** nu)
    b_div = gamma_0 + p["k_turnover_tumour"]
    terms = [gamma * T_bg, -kill * T_bg]
    for axis, antigen in enumerate(axes):
        lost = loss(T_bg, axis, b_div * p[f"probability_loss_{antigen.lower()}"])
        terms += [*relaxation(T_bg, axis, antigen, p["k_relaxation_density"]), lost]
    for b, row in enumerate(names):
        d |= {name: [term[b, g] for term in terms] for g, name in enumerate(row)}

    # host, environment, immunity against the families of binders
    d["host"] = [-p["k_recovery_host"] * L * np.log((L + C) / p["host_capacity"]), -D * L]
    tired = p.get("k_exhaustion_host", 0.0) * m["exhaustion"] * R
    d["host_exhausted"] = [tired, -tired * X_h, -p["k_recovery_host_exhausted"] * m["recovery"] * X_h]
    burden = p["max_suppression_burden"] * T / (T + p["half_suppression_burden"])
    target = m["suppression"] * p["suppression_baseline"] * (p["fraction_suppression_alone"] + burden)
    d["suppression"] = [p["k_suppression"] * target, -p["k_suppression"] * S]
    for family in dict.fromkeys(one.immunity for one in courses):
        Cf, H = sum(cells[one.suffix] for one in courses if one.immunity == family), y[f"immunity{family}"]
        rise = p[f"immunogenic{family}"] * p["k_rise_immunity"] * Cf / (Cf + p["half_immunity"])
        d[f"immunity{family}"] = [rise, -rise * H, -p["k_decay_immunity"] * H]

    # what the laboratory measures
    T0, kM, ksB = p["tumour_baseline"], p["k_clearance_m_protein"], p["k_clearance_sbcma"]
    M0 = p["m_protein_baseline"] * (1 - p["light_chain_only"])
    d["m_protein"] = [kM * M0 * T / T0, -kM * y["m_protein"]]
    d["soluble_bcma"] = [ksB * m["shedding"] * T_bg[:-1].sum() / T0, -ksB * B_s]

    spent = sum(q["exhausted"] + q["terminal"] for q in own.values())
    seen |= {
        "m_protein": y["m_protein"], "soluble_bcma": B_s, "host": L, "host_exhausted": X_h, "suppression": S,
        "immunity": y["immunity"], "tumour": T, "car_t": C,
        "exhausted_fraction": spent / (C + sum(q["infused"] for q in own.values())),
        "light_chain": p["flc_background"] + p["flc_baseline"] * T / T0,
    }  # fmt: skip
    for axis, antigen in enumerate(axes):
        along, end = T_bg.sum(axis=1 - axis), f"_{antigen.lower()}" if axis else ""
        mean = GRIDS[antigen] @ along[:-1] / along[:-1].sum()
        seen[f"density_mean{end}"] = p[f"density_{antigen.lower()}"] * np.exp(p["sd_density"] * mean)
        seen[f"null_fraction{end}"] = along[-1] / T
    return d, seen, (gamma - kill).ravel(), kill.ravel()
