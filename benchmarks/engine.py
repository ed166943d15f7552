"""How many virtual patients a second does one core follow for five years, and how exactly, and how many do others?

Our engine against numbalsoda (LSODA and DOP853), CVODE (scikit-sundae, libroadrunner) and scipy LSODA, on the same
patients and equations, in one run. Errors are against the implicit referee at a tight tolerance, so that engines are
compared at the error that they reach and not at the tolerance that they were asked for.

    python benchmarks/engine.py --quick
    python benchmarks/engine.py --patients 16
    python benchmarks/engine.py --peers numbalsoda,libroadrunner --reference runs/reference.npz
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from peers import LIBRARIES, Library
from peers.problem import Peer, Problem
from peers.reference import reference
from ratios import Benchmark, fastest

from perdure.model.catalogue import read_catalogue
from perdure.model.regimens.regimen import Regimen, give, infuse
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


def measure(peers: Sequence[Peer], right: np.ndarray, seconds: float) -> list[Row]:
    """Every engine at all of its tolerances; one at which it gives up is left out, and said."""
    able: list[tuple[Peer, float]] = []
    for peer in peers:
        for rtol in peer.rtols:
            try:
                peer.run(rtol)
            except RuntimeError as trouble:
                print(f"{peer.name}, rtol = {rtol:g}, is left out: {trouble}")
            else:
                able.append((peer, rtol))
    rows = []
    times = fastest([partial(peer.run, rtol) for peer, rtol in able], seconds=seconds)
    for (peer, rtol), (best, courses) in zip(able, times, strict=True):
        errors = np.abs(courses[: len(right)] - right).max(axis=1)
        rows.append(Row(peer.name, rtol, float(np.median(errors)), float(errors.max()), len(courses) / best))
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


def record_ratios(benchmark: Benchmark, name: str, rows: Sequence[Row]) -> None:
    """Our speed over each peer's at the target error of the worst and of the median patient.

    The lowest of these ratios is that to the fastest peer.
    """
    of = {method: [row for row in rows if row.method == method] for method in dict.fromkeys(r.method for r in rows)}
    own = of.pop(Perdure.name, [])
    for kind in ("worst", "median"):
        meaning = f"patients/s of perdure over those of the peer, at a {kind} error of ln(tumour) of {TARGET_ERROR:.0e}"
        ours = speed_at(own, TARGET_ERROR, kind)
        for method, some in of.items():
            title, theirs = f"{name}, {kind} error: perdure / {method}", speed_at(some, TARGET_ERROR, kind)
            if ours is None or theirs is None:
                short = method if theirs is None else Perdure.name
                benchmark.not_run[title] = f"{short} did not reach this error"
            else:
                benchmark.record(title, ours / theirs, meaning)


def chosen_libraries(names: str, benchmark: Benchmark) -> list[Library]:
    """The libraries asked for that are installed; the record says why the others are not run."""
    known = {library.name: library for library in LIBRARIES}
    wanted = list(known) if names == "all" else [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in known:
            raise SystemExit(f"--peers: there is no '{name}'; choose from {', '.join(known)}, or all.")
    for name, library in known.items():
        if name not in wanted:
            benchmark.not_run[name] = "--peers leaves it out"
        elif not library.available:
            benchmark.not_run[name] = f"it is not installed: {library.install}"
    return [known[name] for name in wanted if known[name].available]


def main() -> int:
    benchmark = Benchmark("engine", __doc__, quick={"patients": 4})
    options = benchmark.options
    options.add_argument("--patients", type=int, default=16, help="virtual patients of the peers (default 16)")
    options.add_argument("--seconds", type=float, default=0.3, help="at least so long for each row and round")
    options.add_argument("--peers", default="all", help=f"all, or some of {','.join(x.name for x in LIBRARIES)}")
    kept = Path(tempfile.gettempdir()) / "perdure_benchmark_reference.npz"
    options.add_argument("--reference", type=Path, default=kept, help=f"file that keeps right answers (default {kept})")
    chosen = benchmark.parse()
    libraries = chosen_libraries(chosen.peers, benchmark)
    crowd = population(chosen.patients * CROWD)
    patients = {name: np.asarray(values)[: chosen.patients] for name, values in crowd.items()}
    for name, regimen in REGIMENS.items():
        rows = compare(crowd, patients, regimen, libraries, chosen)
        show(f"{name} ({chosen.patients} patients)", rows)
        record_ratios(benchmark, name, rows)
    return benchmark.finish(sizes=["patients"], libraries=[library.name for library in libraries])


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
    peers = [peer for library in libraries for peer in library.build(problem)]
    return measure([Perdure(problem, crowd), *peers], right, chosen.seconds)


if __name__ == "__main__":
    raise SystemExit(main())
