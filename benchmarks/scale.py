"""Does a virtual patient cost the same in a cohort of a hundred and in one of a million?

Every size runs in a process of its own: patients are drawn, simulated for five years and judged at every visit, the
tumour's running quantiles are counted, and progression-free survival of all is estimated at the end. Loading the
program and compiling the model (`start`) is measured apart. Peak memory is that of the whole process.

    python benchmarks/scale.py --quick
    python benchmarks/scale.py --most 100000 --folder runs/scale
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ratios import Benchmark

from perdure.model.catalogue import read_catalogue
from perdure.model.cohort import Cohort, CohortResult, Endpoints, simulate_cohort
from perdure.model.endpoints import Visits
from perdure.model.reduction import Quantiles
from perdure.model.regimens.regimen import give, infuse
from perdure.model.simulate import Solver
from perdure.reports.figures.picture import save_picture
from perdure.reports.figures.scale import SizeSpec, scale_picture

REGIMENS = {
    "alone": infuse("cilta_cel"),
    "lenalidomide": infuse("cilta_cel") + give("lenalidomide", 10, start=30, months=24, cycle=28, days_on=21),
}
VISITS = Visits(months=60.0)
LIMIT = 2.0
"""Gigabytes that a million patients may need."""
SMALL = 1000
"""Patients of the cohort that larger ones are set beside; in smaller ones the fixed cost of a call shows."""


def run(patients: int, workers: int, regimen: str) -> CohortResult:
    kept = {"endpoints": Endpoints(VISITS), "tumour": Quantiles("tumour", tuple(VISITS.days), 1.0, 1e14)}
    cohort = Cohort(read_catalogue(), patients, 1, "cilta_cel", "late_line")
    return simulate_cohort(cohort, {regimen: REGIMENS[regimen]}, reduce=kept, solver=Solver(workers=workers))


def measure(patients: int, workers: int, regimen: str, started: float) -> dict[str, float]:
    """Seconds and peak memory of this process, after a small cohort that loads everything."""
    run(64, workers, regimen)
    begin, busy = time.perf_counter(), time.process_time()
    result = run(patients, workers, regimen)[regimen]
    median = result["endpoints"].progression_free().median()
    seconds, cpu = time.perf_counter() - begin, time.process_time() - busy
    unit = 1.0 if sys.platform == "darwin" else 1024.0  # of ru_maxrss, in bytes
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    return {
        "patients": patients, "workers": workers, "start": begin - started, "seconds": seconds, "cpu": cpu,
        "gigabytes": peak, "median": median, "failed": result.failed,
    }  # fmt: skip


def in_a_process_of_its_own(patients: int, workers: int, regimen: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", str(patients), "--workers", str(workers), "--regimen", regimen]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def show(rows: Sequence[dict[str, float]]) -> None:
    """Print the rows; `ratio` is how much faster than one worker, `busy` the processors in use on average."""
    print(f"{'patients':>9}{'workers':>9}{'start s':>9}{'seconds':>10}{'us/patient':>12}{'cpu us':>9}{'busy':>7}"
          f"{'ratio':>7}{'peak GB':>9}{'median PFS':>12}{'failed':>8}")  # fmt: skip
    for row in rows:
        alone = [other["seconds"] for other in rows if (other["patients"], other["workers"]) == (row["patients"], 1)]
        each, cpu = (1e6 * row[kind] / row["patients"] for kind in ("seconds", "cpu"))
        print(f"{row['patients']:>9.0f}{row['workers']:>9.0f}{row['start']:>9.2f}{row['seconds']:>10.3f}{each:>12.1f}"
              f"{cpu:>9.1f}{row['cpu'] / row['seconds']:>7.2f}{alone[0] / row['seconds']:>7.2f}"
              f"{row['gigabytes']:>9.2f}{row['median']:>12.2f}{row['failed']:>8.0f}")  # fmt: skip


def record_ratios(benchmark: Benchmark, rows: Sequence[dict[str, float]]) -> None:
    """The largest cohort beside a small one, and with the most workers beside one."""
    by_size = {(row["patients"], row["workers"]): row for row in rows}
    most, workers = (max((row[kind] for row in rows), default=0) for kind in ("patients", "workers"))
    large, small, shared = (by_size.get(key) for key in ((most, 1), (SMALL, 1), (most, workers)))
    if large is None or small is None or large is small:
        benchmark.not_run["the cost in a large cohort"] = f"one worker, {SMALL} and more patients are needed"
    else:
        costs = [row["cpu"] / row["patients"] for row in (large, small)]
        for name, value, meaning in (
            ("cost of a patient", costs[0] / costs[1], "processor time per patient over the same, one worker"),
            ("peak memory", large["gigabytes"] / small["gigabytes"], "gigabytes of the process over the same"),
        ):
            title = f"{name}: largest cohort / {SMALL} patients"
            benchmark.record(title, value, meaning, higher_is_better=False)
    if large is None or shared is None or large is shared:
        benchmark.not_run["the cost of sharing"] = "one worker and several are needed"
    else:
        # not the speed that several workers gain: where others are at work, it is they who decide it
        meaning = "processor time of the largest cohort over the same"
        benchmark.record("sharing: most workers / one", shared["cpu"] / large["cpu"], meaning, higher_is_better=False)


def main() -> int:
    started = time.perf_counter()
    cores = os.cpu_count() or 1
    benchmark = Benchmark("scale", __doc__, quick={"most": 10_000})
    options = benchmark.options
    options.add_argument("--most", type=int, default=1_000_000, help="largest cohort (default one million)")
    options.add_argument("--workers", type=int, nargs="+", default=sorted({1, cores}), help="default 1 and all cores")
    options.add_argument("--regimen", choices=REGIMENS, default="alone", help="what is given (default the cells alone)")
    options.add_argument("--folder", type=Path, help="folder for the picture; none is drawn without it")
    options.add_argument("--one", type=int, default=0, help="measure one cohort of this size here, as JSON")
    chosen = benchmark.parse()
    if chosen.one:
        print(json.dumps(measure(chosen.one, chosen.workers[0], chosen.regimen, started)))
        return 0
    sizes = [10**power for power in range(2, 7) if 10**power <= chosen.most]
    rows = [in_a_process_of_its_own(n, workers, chosen.regimen) for n in sizes for workers in chosen.workers]
    show(rows)
    if chosen.folder is not None:
        drawn = [
            SizeSpec(int(row["patients"]), int(row["workers"]), row["seconds"], row["gigabytes"]) for row in rows
        ]  # fmt: skip
        print(*save_picture(scale_picture(drawn, limit=LIMIT), chosen.folder), sep="\n")
    record_ratios(benchmark, rows)
    return benchmark.finish(sizes=["most", "workers", "regimen"])


if __name__ == "__main__":
    raise SystemExit(main())
