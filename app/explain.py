"""What a symbol of the model means, where its number comes from, and which equations use it."""

from collections.abc import Iterator

from perdure.fitting.calibration.calibration import read_calibration
from perdure.model.car_t_course import FIRST, Cells
from perdure.model.catalogue import read_catalogue
from perdure.model.myeloma import myeloma
from perdure.model.system.latex import equation_latex
from perdure.model.system.system import System
from perdure.model.therapy import FIXED, GRADED, read_therapies
from perdure.parameters.errors import unknown
from perdure.parameters.parameter import Parameter
from perdure.parameters.source import read_sources


def explain_symbol(name: str, calibration: str = "reference") -> str:
    """Plain text about a parameter, state, quantity or input.

    Raises
    ------
    UnknownNameError
        With near matches, if the model has nothing of that name.
    """
    before, known = read_catalogue(), set(read_catalogue())
    if name in before:
        return _parameter(name, before[name], calibration, _system_with(_shared(name)))
    for system in _systems():
        for thing in (*system.states, *system.quantities, *system.inputs):
            known.add(thing.name)
            if thing.name == name:
                return _model_thing(name, thing.meaning, thing.unit, system)
    raise unknown("parameter, state or quantity", name, sorted(known))


def _systems() -> Iterator[System]:
    """From what is always there to what only some therapies bring: the first that has a name explains it."""
    yield myeloma(())
    yield myeloma()
    yield myeloma((), (FIRST, Cells((*GRADED, *FIXED), "_2", "_2")))


def _system_with(name: str) -> System:
    """The simplest system that uses a parameter, else the plain one."""
    return next((system for system in _systems() if name in system.parameters), myeloma(()))


def _shared(name: str) -> str:
    """Name of the shared value that an entry of a product or population, or a spread, belongs to."""
    parts = name.split(".")
    return parts[0] if parts[0] in read_catalogue() else parts[1]


def _parameter(name: str, prior: Parameter, calibration: str, system: System) -> str:
    fitted = read_calibration(calibration)
    now = fitted.parameters()[name]
    unit = f" {now.unit}" if now.unit else ""
    lines = [
        f"{name}: {prior.meaning or 'replaces the shared value'}",
        f"  value     {now.value:.5g}{unit} ({now.grade})",
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


def _model_thing(name: str, meaning: str, unit: str, system: System) -> str:
    lines = [f"{name}: {meaning}", f"  unit      {unit or 'none'}"]
    if name in system.equations:
        symbols = {key: parameter.symbol for key, parameter in read_catalogue().items() if parameter.symbol}
        lines.append(f"  equation  d {name}/dt = {system.equations[name]}")
        lines.append(f"  LaTeX     {equation_latex(system, name, symbols)}")
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
