"""What `perdure explain` and `perdure doctor` print: a symbol of the model, and the state of this installation."""

import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.studies import read_studies
from perdure.model.car_t_course import FIRST, CarTCourse
from perdure.model.catalogue import read_catalogue
from perdure.model.engine.object_cache import cache_folder
from perdure.model.myeloma import myeloma
from perdure.model.system.latex import equation_latex, equations_latex
from perdure.model.system.system import System
from perdure.model.system.unit_check import check_units
from perdure.model.therapy import FIXED, GRADED, read_therapies
from perdure.parameters.errors import PerdureError, unknown
from perdure.parameters.parameter import Parameter
from perdure.parameters.source import read_sources
from perdure.parameters.versions import version_of
from perdure.trials.treat import treat

# A symbol: its meaning, the source of its number, and the equations that use it

EQUATIONS = "equations"
"""The word that asks for all of them."""


def explain_symbol(name: str, calibration: str = "reference") -> str:
    """Plain text about a parameter, state, quantity or input; of `EQUATIONS` all equations as LaTeX.

    Raises
    ------
    UnknownNameError
        With near matches, if the model has nothing of that name.
    """
    if name == EQUATIONS:
        return equations_latex(myeloma(()), _symbols())
    catalogue, known = read_catalogue(), {EQUATIONS, *read_catalogue()}
    if name in catalogue:
        return _parameter(name, catalogue[name], calibration, _system_with(_shared(name)))
    for system in _systems():
        for symbol in (*system.states, *system.quantities, *system.inputs):
            known.add(symbol.name)
            if symbol.name == name:
                return _model_symbol(name, symbol.meaning, symbol.unit, system)
    raise unknown("parameter, state or quantity", name, sorted(known))


def _systems() -> Iterator[System]:
    """From what is always there to what only some therapies bring: the first that has a name explains it."""
    yield myeloma(())
    yield myeloma()
    yield myeloma((), (FIRST, CarTCourse((*GRADED, *FIXED), "_2", "_2")))


def _system_with(name: str) -> System:
    """The simplest system that uses a parameter, else the plain one."""
    return next((system for system in _systems() if name in system.parameters), myeloma(()))


def _symbols() -> dict[str, str]:
    """LaTeX symbols of the parameters that have one, by name."""
    return {key: parameter.symbol for key, parameter in read_catalogue().items() if parameter.symbol}


def _shared(name: str) -> str:
    """Name of the shared value that an entry of a product or population, or a spread, belongs to."""
    parts = name.split(".")
    return parts[0] if parts[0] in read_catalogue() else parts[1]


def _parameter(name: str, prior: Parameter, calibration: str, system: System) -> str:
    fitted = read_calibration(calibration)
    parameter = fitted.parameters()[name]
    unit = f" {parameter.unit}" if parameter.unit else ""
    lines = [
        f"{name}: {prior.meaning or 'replaces the shared value'}",
        f"  value     {parameter.value:.5g}{unit} ({parameter.grade})",
    ]
    if name in fitted.estimate:
        drawn = sorted(draw[name] for draw in fitted.draws)
        low, high = (drawn[round((len(drawn) - 1) * q)] for q in (0.025, 0.975))
        lines.append(
            f"  posterior {low:.5g} to {high:.5g}{unit} (95 %); evidence decides {100 * fitted.shrinkage[name]:.0f} %"
        )
        lines.append(f"  before    {prior.value:.5g}{unit}")
    lines.append(f"  range     {prior.low:g} to {prior.high:g}{unit}")
    lines.append(f"  prior     {prior.prior.text if prior.prior else 'none: fixed'}")
    if f"{name}.spread" in read_catalogue():
        spread = fitted.parameters()[f"{name}.spread"]
        lines.append(f"  spread    {spread.value:.3g} between patients (SD of the logarithm)")
    source = read_sources().get(prior.source)
    lines.append(f"  source    {source.citation if source else 'assumed'}")
    if source:
        lines.append(f"            seen in: {source.seen_in} (confidence {source.confidence})")
    if prior.quote:
        lines.append(f'  quote     "{prior.quote}"')
    if prior.note:
        lines.append(f"  note      {prior.note}")
    return "\n".join([*lines, *_uses(_shared(name), system)])


def _model_symbol(name: str, meaning: str, unit: str, system: System) -> str:
    lines = [f"{name}: {meaning}", f"  unit      {unit or 'none'}"]
    if name in system.equations:
        lines.append(f"  equation  d {name}/dt = {system.equations[name]}")
        lines.append(f"  LaTeX     {equation_latex(system, name, _symbols())}")
    for quantity in system.quantities:
        if quantity.name == name:
            lines.append(f"  formula   {quantity.expression}")
    return "\n".join([*lines, *_uses(name, system)])


def _uses(name: str, system: System) -> list[str]:
    quantities = [q.name for q in system.quantities if name in map(str, q.expression.free_symbols)]
    flows = [flow.name for flow in system.flows if name in map(str, (flow.rate * flow.gain).free_symbols)]
    reached = [flow.name for flow in system.flows_with(name) if flow.name not in flows]
    starts = [state.name for state in system.states if name in map(str, state.initial.free_symbols)]
    lines = [f"  formula   {q.name} = {q.expression}" for q in system.quantities if q.name in quantities[:3]]
    lines += [f"  rate      {flow.name}: {flow.rate}" for flow in system.flows if flow.name in flows[:2]]
    for label, names in (
        ("quantities", quantities), ("flows", flows), ("reaches", reached), ("starts", starts),
    ):  # fmt: skip
        if names:
            lines.append(f"  {label:9} {_listed(names)}")
    lines += [
        f"  level     {role.replace('_', ' ')} of {drug.title} ({drug.pk.model.replace('_', ' ')})"
        for drug in read_therapies() if drug.pk
        for role, number in drug.pk.names if number == name
    ]  # fmt: skip
    return lines or ["  used      by endpoints and populations only, in no equation"]


def _listed(names: list[str]) -> str:
    shown = "; ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown}; and {len(names) - 8} more"


# The installation


@dataclass(frozen=True)
class Diagnosis:
    """A part of the installation, its state, and whether that is fine."""

    what: str
    state: str
    fine: bool


def examine() -> list[Diagnosis]:
    """Look at versions, folders, the model, the calibration and the engine."""
    packages = ("numpy", "scipy", "sympy", "pint", "llvmlite", "matplotlib", "pydantic", "cma")
    versions = ", ".join(f"{name} {version_of(name)}" for name in packages)
    diagnoses = [
        Diagnosis("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}", True),
        Diagnosis("libraries", versions, True),
        Diagnosis("cores", str(os.cpu_count()), True),
        _writable("cache of compiled models", cache_folder()),
        _writable("folder for runs", Path.cwd()),
    ]
    for what, look in (("model", _model), ("evidence", _evidence), ("calibration", _calibration), ("engine", _engine)):
        try:
            diagnoses.append(Diagnosis(what, look(), True))
        except PerdureError as error:
            diagnoses.append(Diagnosis(what, str(error), False))
    return diagnoses


def _writable(what: str, folder: Path) -> Diagnosis:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Diagnosis(what, str(folder), True)
    except OSError as problem:
        return Diagnosis(what, f"{folder}: cannot be written ({problem})", False)


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
    trial = treat("ide-cel", patients=400)
    again = time.perf_counter() - started
    share = trial.failed_share
    return (
        f"first simulation {first:.1f} s, then {400 / again:.0f} patients/s over five years; failed share {share:.0%}"
    )
