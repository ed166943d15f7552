"""How many virtual patients a second does one core follow for five years, and how exactly, and how many do others?

Our engine against numbalsoda (LSODA and DOP853), CVODE (scikit-sundae, libroadrunner) and scipy LSODA, on the same
patients and equations, in one run. Errors are against the implicit referee at a tight tolerance, so that engines are
compared at the error that they reach and not at the tolerance that they were asked for.

    python benchmarks/engine.py --patients 16
    python benchmarks/engine.py --peers numbalsoda,libroadrunner --reference runs/reference.npz
"""

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from peers import LIBRARIES, Library
from peers.problem import Peer, Problem
from peers.reference import reference

from perdure.model.catalogue import read_catalogue
from perdure.model.regimen import Regimen, give, infuse
from perdure.model.simulate import Solver, simulate
from perdure.parameters.patients import draw, make_patients

GRID = np.append(np.arange(0.0, 1800.0, 30.4375), 1826.0)
REGIMENS = {
    "ide-cel alone, five years": infuse("ide_cel"),
    "with two years of lenalidomide, 10 mg on 21 of 28 days": infuse("ide_cel")
    + give("lenalidomide", 10, start=30, months=24, cycle=28, days_on=21),
}
CROWD = 50
"""Our engine follows this many times as many patients of the same population, because it is made for populations."""
TARGET_ERROR = 1e-4

Patients = Mapping[str, np.ndarray]


class Perdure(Peer):
    """Our engine on one core: a population of which the first patients are those of the others."""

    name: ClassVar[str] = "perdure"

    def __init__(self, problem: Problem, crowd: Patients) -> None:
        super().__init__(problem)
        self.crowd = crowd
        self.run(1e-3)  # compiles

    def run(self, rtol: float) -> np.ndarray:
        """Follow the whole population."""
        solver = Solver(rtol=rtol, workers=1, few=0.0)
        return np.log(simulate(self.crowd, self.problem.regimen, times=self.problem.grid, solver=solver)["tumour"])


@dataclass(frozen=True)
class Row:
    """One engine at one tolerance; errors are the largest |error of ln(tumour cells)| of each patient."""

    method: str
    rtol: float
    median: float
    worst: float
    speed: float


def measure(peer: Peer, rtol: float, right: np.ndarray, seconds: float) -> Row:
    """Run again and again for some seconds; the fastest run counts, for all engines alike."""
    best, spent, found = np.inf, 0.0, np.empty(0)
    while spent < seconds:
        start = time.process_time()  # time of this process only: others may be at work
        found = peer.run(rtol)
        once = time.process_time() - start
        best, spent = min(best, once), spent + max(once, 1e-6)
    errors = np.abs(found[: len(right)] - right).max(axis=1)
    return Row(peer.name, rtol, float(np.median(errors)), float(errors.max()), len(found) / best)


def measure_all(peer: Peer, right: np.ndarray, seconds: float) -> list[Row]:
    """All tolerances of an engine; one at which it gives up is left out, and said."""
    rows = []
    for rtol in peer.rtols:
        try:
            rows.append(measure(peer, rtol, right, seconds))
        except RuntimeError as trouble:
            print(f"{peer.name}, rtol = {rtol:g}, is left out: {trouble}")
    return rows


def speed_at(rows: Sequence[Row], error: float, kind: str = "worst") -> float | None:
    """Patients/s of an engine at an error, on a straight line between its own rows in log-log.

    No engine is given an error that it has not reached: beyond its largest error its fastest row counts, and below
    its smallest one there is no answer.
    """
    front: list[Row] = []
    for row in sorted(rows, key=lambda row: (getattr(row, kind), -row.speed)):
        if not front or row.speed > front[-1].speed:
            front.append(row)
    if not front or error < getattr(front[0], kind):
        return None
    errors, speeds = [np.log(getattr(row, kind)) for row in front], [np.log(row.speed) for row in front]
    return float(np.exp(np.interp(np.log(error), errors, speeds)))


def show(title: str, rows: Sequence[Row]) -> None:
    """Print the rows; the last column is our speed at the row's worst error over the row's speed."""
    ours = [row for row in rows if row.method == Perdure.name]
    print(f"\n{title}")
    print(f"{'method':<33}{'rtol':>7}{'median error':>14}{'worst error':>13}{'patients/s':>12}{'ours / this':>13}")
    for row in rows:
        own = speed_at(ours, row.worst)
        ratio = "" if row.method == Perdure.name else "-" if own is None else f"{own / row.speed:.3g}"
        print(f"{row.method:<33}{row.rtol:>7.0e}{row.median:>14.1e}{row.worst:>13.1e}{row.speed:>12.4g}{ratio:>13}")


def conclude(name: str, rows: Sequence[Row]) -> None:
    """One line for the worst patient's error and one for the median patient's: the fastest peer and ourselves."""
    of = {method: [row for row in rows if row.method == method] for method in dict.fromkeys(r.method for r in rows)}
    for kind in ("worst", "median"):
        speeds = {method: speed_at(some, TARGET_ERROR, kind) for method, some in of.items()}
        own = speeds.pop(Perdure.name, None)
        peers = {method: speed for method, speed in speeds.items() if speed is not None}
        best = max(peers, key=lambda method: peers[method], default="")
        parts = [f"{best}, {peers[best]:.4g} patients/s" if best else "none reached it"]
        parts.append(f"perdure {own:.4g} patients/s" if own is not None else "perdure did not reach it")
        if best and own is not None:
            parts.append(f"ratio {own / peers[best]:.3g}")
        print(f"{name}: fastest peer at {kind} error <= {TARGET_ERROR:.0e}: {'; '.join(parts)}")


def chosen_libraries(names: str) -> list[Library]:
    """The libraries asked for that are installed; says which are missing and how to install them."""
    known = {library.name: library for library in LIBRARIES}
    wanted = list(known) if names == "all" else [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in known:
            raise SystemExit(f"--peers: there is no '{name}'; choose from {', '.join(known)}, or all.")
        if not known[name].available:
            print(f"{name} is not installed and is left out: {known[name].install}")
    return [known[name] for name in wanted if known[name].available]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--patients", type=int, default=16, help="virtual patients of the peers (default 16)")
    options.add_argument("--seconds", type=float, default=1.0, help="time for each measurement (default 1)")
    options.add_argument("--peers", default="all", help=f"all, or some of {','.join(x.name for x in LIBRARIES)}")
    kept = Path(tempfile.gettempdir()) / "perdure_benchmark_reference.npz"
    options.add_argument("--reference", type=Path, default=kept, help=f"file that keeps right answers (default {kept})")
    chosen = options.parse_args()
    libraries = chosen_libraries(chosen.peers)
    crowd = population(chosen.patients * CROWD)
    patients = {name: np.asarray(values)[: chosen.patients] for name, values in crowd.items()}
    lines: list[tuple[str, list[Row]]] = []
    for name, regimen in REGIMENS.items():
        rows = compare(crowd, patients, regimen, libraries, chosen)
        show(f"{name} ({chosen.patients} patients)", rows)
        lines.append((name, rows))
    print()
    for name, rows in lines:
        conclude(name, rows)


def population(n: int) -> Patients:
    """Virtual patients of the late line; patient i is the same whatever `n` is."""
    catalogue = read_catalogue()
    return make_patients(catalogue, draw(catalogue, n, 1), product="ide_cel", population="late_line")


def compare(
    crowd: Patients, patients: Patients, regimen: Regimen, libraries: Sequence[Library], chosen: argparse.Namespace
) -> list[Row]:
    """All rows of one regimen."""
    problem = Problem(patients, regimen, GRID)
    right = reference(problem, chosen.reference)
    rows = measure_all(Perdure(problem, crowd), right, chosen.seconds)
    for library in libraries:
        for peer in library.build(problem):
            rows += measure_all(peer, right, chosen.seconds)
    return rows


if __name__ == "__main__":
    main()
