"""How many virtual patients a second does one core follow for five years, and how exactly?

The compiled engine against LSODA of scipy on the same equations as plain Python, and against numbalsoda (LSODA on the
same equations compiled) where that is installed. Errors are against the implicit referee at a tight tolerance, so that
methods are compared at the error that they reach and not at the tolerance that they were asked for.

    python benchmarks/engine.py --patients 6
"""

import argparse
import importlib
import importlib.util
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from perdure.model.catalogue import read_catalogue
from perdure.model.engine.codegen import generate
from perdure.model.engine.drug_levels import drug_inputs
from perdure.model.engine.referee import Equations
from perdure.model.myeloma import myeloma
from perdure.model.pharmacokinetics import unit_responses
from perdure.model.regimen import Regimen, give, infuse
from perdure.model.simulate import Solver, simulate
from perdure.model.therapy import read_therapy
from perdure.parameters.patients import draw, make_patients

GRID = np.append(np.arange(0.0, 1800.0, 30.4375), 1826.0)
REGIMENS = {
    "ide-cel alone, five years": infuse("ide_cel"),
    "with two years of lenalidomide, 10 mg on 21 of 28 days": infuse("ide_cel")
    + give("lenalidomide", 10, start=30, months=24, cycle=28, days_on=21),
}
REFERENCE_RTOL = 1e-10
COPIES = 50

Patients = Mapping[str, np.ndarray]
Run = Callable[[], np.ndarray]
"""Follows all patients once; returns ln(tumour cells): array (patients, times)."""


@dataclass(frozen=True)
class Row:
    method: str
    rtol: float
    per_second: float
    error: float
    worst: float


def measure(method: str, rtol: float, run: Run, right: np.ndarray, at_least: float) -> Row:
    """Repeat a run for some seconds; `error` and `worst` are the median and the largest |error of ln tumour|."""
    found = run()
    start, rounds = time.process_time(), 0  # time of this process only: others may be at work
    while time.process_time() - start < at_least or rounds == 0:
        run()
        rounds += 1
    speed = rounds * len(found) / (time.process_time() - start)
    errors = np.abs(found[: len(right)] - right).max(axis=1)
    return Row(method, rtol, speed, float(np.median(errors)), float(errors.max()))


def burden(states: np.ndarray) -> np.ndarray:
    tumour = [state.group == "tumour" for state in myeloma().states]
    return np.log(states[..., tumour].sum(axis=-1))


def engine(patients: Patients, regimen: Regimen, rtol: float) -> Run:
    """Many copies of the patients, because a call has a cost of its own that a population shares."""
    solver = Solver(rtol=rtol, workers=1, few=0.0)
    many = {name: np.tile(values, COPIES) for name, values in patients.items()}
    return lambda: np.log(simulate(many, regimen, times=GRID, solver=solver)["tumour"])


def scipy_lsoda(people: Sequence[Equations], regimen: Regimen, rtol: float) -> Run:
    return lambda: np.stack([burden(one.integrate(regimen, GRID, "LSODA", rtol, slack=1.0)) for one in people])


class CompiledLsoda:
    """LSODA of numbalsoda on the compiled equations, restarted at every dose."""

    def __init__(self, patients: Patients, regimen: Regimen) -> None:
        self.library: Any = importlib.import_module("numbalsoda")
        system = myeloma()
        self.equations = [Equations(system, patients, i) for i in range(len(patients["tumour_baseline"]))]
        self.scale = np.array([state.tolerance for state in system.states])
        drugs = [read_therapy(put.drug) for put in system.inputs]
        self.weight, self.rate = unit_responses(drugs, patients, len(self.equations))
        self.slope = self._compile()
        names = [put.drug for put in system.inputs]
        given = [dose for dose in regimen.doses if dose.therapy in names]
        self.doses = [(dose.day, names.index(dose.therapy), dose.amount) for dose in given]
        self.start = [one.initial() + one.cells(regimen, 0.0) for one in self.equations]
        self.edges = sorted({0.0, float(GRID[-1]), *(day for day, _, _ in self.doses if day < GRID[-1])})

    def _compile(self) -> Any:
        """Right-hand side with the signature of numbalsoda; states are scaled by what is negligible in each."""
        space: dict[str, Any] = {"math": math}
        exec(generate(myeloma()).source, space)
        functions: list[Any] = [numba.njit(f) for f in (space["rhs"], space["forcing"], drug_inputs)]
        rhs, forcing, levels = functions
        view: Any = numba.carray  # pyright: ignore[reportPrivateImportUsage]
        n, n_c, n_f = space["SIZES"][:3]
        n_p, n_x = len(myeloma().parameters), self.weight.shape[1]
        ends = np.cumsum([n_p, n_c, n, 2 * n_x, 2 * n_x, 2 * n_x, n_x, n_f, n_x, n, 1])
        self.size = int(ends[-1])
        e_p, e_c, e_s, e_w, e_r, e_k, e_i, e_f, e_x, e_y, e_t = (int(end) for end in ends)

        def slope(t, u, du, data):  # noqa: ANN001, ANN202
            d, scaled, out = view(data, (e_t,)), view(u, (n,)), view(du, (n,))
            p, c, scale, f, x, y = d[:e_p], d[e_p:e_c], d[e_c:e_s], d[e_i:e_f], d[e_f:e_x], d[e_x:e_y]
            weight, rate = d[e_s:e_w].reshape(n_x, 2), d[e_w:e_r].reshape(n_x, 2)
            levels(t - d[e_y], weight, rate, d[e_r:e_k].reshape(n_x, 2), d[e_k:e_i], x)
            forcing(p, c, x, f)
            for i in range(n):
                y[i] = scaled[i] * scale[i]
            rhs(p, c, f, y, out)
            for i in range(n):
                out[i] /= scale[i]

        return numba.cfunc(self.library.lsoda_sig)(slope)

    def at(self, rtol: float) -> Run:
        return lambda: np.stack([self._one(i, rtol) for i in range(len(self.equations))])

    def _one(self, patient: int, rtol: float) -> np.ndarray:
        one, weight, rate = self.equations[patient], self.weight[patient], self.rate[patient]
        y = self.start[patient] / self.scale
        states = np.empty((len(GRID), len(y)))
        states[0] = y
        coefficient, waiting = np.zeros_like(weight), 0
        for start, end in zip(self.edges[:-1], self.edges[1:], strict=True):
            while waiting < len(self.doses) and self.doses[waiting][0] <= start:
                _, drug, amount = self.doses[waiting]
                coefficient[drug] += amount * weight[drug]
                waiting += 1
            data = np.zeros(self.size)
            head = np.concatenate([one.p, one.c, self.scale, weight.ravel(), rate.ravel(), coefficient.ravel()])
            data[: len(head)], data[-1] = head, start
            inside = np.flatnonzero((start < GRID) & (end >= GRID))
            days = np.unique(np.concatenate([[start], GRID[inside], [end]]))
            found, fine = self.library.lsoda(self.slope.address, y, days, data, rtol, 1.0, 100_000)
            if not fine:
                raise RuntimeError(f"numbalsoda stopped between day {start:g} and day {end:g}.")
            states[inside] = found[1 : 1 + len(inside)]
            y = np.maximum(found[-1], 0.0)
            coefficient *= np.exp(-rate * (end - start))
        return burden(np.maximum(states, 0.0) * self.scale)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--patients", type=int, default=6, help="virtual patients (default 6)")
    options.add_argument("--seconds", type=float, default=1.0, help="time for each measurement (default 1)")
    chosen = options.parse_args()
    catalogue = read_catalogue()
    patients = make_patients(catalogue, draw(catalogue, chosen.patients, 1), product="ide_cel", population="late_line")
    people = [Equations(myeloma(), patients, i) for i in range(chosen.patients)]
    has_numbalsoda = importlib.util.find_spec("numbalsoda") is not None
    for name, regimen in REGIMENS.items():
        right = np.stack([burden(one.integrate(regimen, GRID, "Radau", REFERENCE_RTOL)) for one in people])
        rows = []
        for rtol in (1e-4, 1e-5, 1e-6, 1e-7, 1e-8):
            rows.append(measure("perdure", rtol, engine(patients, regimen, rtol), right, chosen.seconds))
        for rtol in (1e-4, 1e-6, 1e-8):
            rows.append(measure("scipy LSODA", rtol, scipy_lsoda(people, regimen, rtol), right, chosen.seconds))
        if has_numbalsoda:
            compiled = CompiledLsoda(patients, regimen)
            for rtol in (1e-4, 1e-6, 1e-8):
                rows.append(measure("numbalsoda", rtol, compiled.at(rtol), right, chosen.seconds))
        show(f"{name} ({chosen.patients} patients)", rows)


def show(title: str, rows: Sequence[Row]) -> None:
    """Print the rows; the last column compares with the fastest of our rows whose worst error is no larger."""
    ours = [row for row in rows if row.method == "perdure"]
    print(f"\n{title}")
    print(f"{'method':<14}{'rtol':>8}{'median error':>15}{'worst error':>14}{'patients/s':>13}{'ours / this':>13}")
    for row in rows:
        as_good = [own.per_second for own in ours if own.worst <= row.worst]
        ratio = f"{max(as_good) / row.per_second:.3g}" if as_good and row.method != "perdure" else ""
        print(f"{row.method:<14}{row.rtol:>8.0e}{row.error:>15.1e}{row.worst:>14.1e}{row.per_second:>13.4g}{ratio:>13}")


if __name__ == "__main__":
    main()
