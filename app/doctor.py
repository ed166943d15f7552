"""Whether this installation can do its work."""

import os
import platform
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.studies import read_studies
from perdure.model.catalogue import read_catalogue
from perdure.model.engine.object_cache import cache_folder
from perdure.model.myeloma import myeloma
from perdure.model.system.unit_check import check_units
from perdure.parameters.errors import PerdureError
from perdure.parameters.versions import version_of
from perdure.trials.treat import treat


@dataclass(frozen=True)
class Finding:
    """Something that was examined, and what came out."""

    what: str
    result: str
    fine: bool


def examine() -> list[Finding]:
    """Look at versions, folders, the model, the calibration and the engine."""
    packages = ("numpy", "scipy", "sympy", "pint", "llvmlite", "matplotlib", "pydantic", "cma")
    versions = ", ".join(f"{name} {version_of(name)}" for name in packages)
    findings = [
        Finding("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}", True),
        Finding("libraries", versions, True),
        Finding("cores", str(os.cpu_count()), True),
        _writable("cache of compiled models", cache_folder()),
        _writable("folder for runs", Path.cwd()),
    ]
    for what, look in (("model", _model), ("evidence", _evidence), ("calibration", _calibration), ("engine", _engine)):
        try:
            findings.append(Finding(what, look(), True))
        except PerdureError as error:
            findings.append(Finding(what, str(error), False))
    return findings


def _writable(what: str, folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Finding(what, str(folder), True)
    except OSError as problem:
        return Finding(what, f"{folder}: cannot be written ({problem})", False)


def _model() -> str:
    plain, system, catalogue = myeloma(()), myeloma(), read_catalogue()
    check_units(system, {name: catalogue[name].unit for name in catalogue})
    return (
        f"{len(plain.states)} states and {len(plain.flows)} flows, with every drug {len(system.states)} and "
        f"{len(system.flows)}; {len(catalogue)} numbers; every unit fits"
    )


def _evidence() -> str:
    studies = read_studies()
    items = [item for study in studies for item in study.items]
    fitted = sum(item.role == "fit" for item in items)
    return f"{len(studies)} studies, {len(items)} reported results, {fitted} of them fitted"


def _calibration() -> str:
    calibration = read_calibration()
    return f"'{calibration.name}': {len(calibration.estimate)} fitted numbers, {len(calibration.draws)} posterior draws"


def _engine() -> str:
    started = time.perf_counter()
    treat("ide-cel", patients=10, months=12.0)
    first = time.perf_counter() - started
    started = time.perf_counter()
    arm = treat("ide-cel", patients=400)
    again = time.perf_counter() - started
    share = arm.failed_share
    return (
        f"first simulation {first:.1f} s, then {400 / again:.0f} patients/s over five years; failed share {share:.0%}"
    )
