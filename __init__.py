"""How long a CAR-T response in multiple myeloma lasts, why it ends, and what makes it last longer.

The names below are what most work needs, and are loaded when first used, so that `import perdure` is quick::

    from perdure import give, infuse, treat

    trial = treat("ide_cel", "late_line", infuse("ide_cel") + give("lenalidomide", start=21, months=24))
    print(trial.pfs().median())

Everything else is found by its path, for example `perdure.model.endpoints`. What a rule does (`start`, `stop`, `hold`,
`resume`) is in `perdure.model.regimens.rules`: those words alone would say too little here.
"""

from importlib import import_module
from typing import Any

# Where each public name lives, relative to perdure.
_HOME = {
    "Arm": "trials.arm",
    "ArmResult": "trials.treat",
    "Axis": "trials.search",
    "Bolus": "model.regimens.regimen",
    "Cohort": "model.cohort",
    "Courses": "model.reduction",
    "Endpoints": "model.cohort",
    "Infusion": "model.regimens.regimen",
    "InputError": "parameters.errors",
    "Limit": "trials.search",
    "Moments": "model.reduction",
    "PerdureError": "parameters.errors",
    "Plan": "model.regimens.plan",
    "Quantiles": "model.reduction",
    "Regimen": "model.regimens.regimen",
    "Rule": "model.regimens.rules",
    "Sizes": "fitting.posterior",
    "Solver": "model.simulate",
    "Visits": "model.endpoints",
    "above": "model.regimens.rules",
    "assurance": "trials.power",
    "below": "model.regimens.rules",
    "compare": "trials.compare",
    "conduct": "trials.conduct",
    "death_after_progression": "model.overall_survival",
    "decompose": "trials.attribution",
    "draw": "parameters.patients",
    "every": "model.regimens.rules",
    "fallen": "model.regimens.rules",
    "fit_population": "fitting.patients.population",
    "give": "model.regimens.regimen",
    "individual_fits": "fitting.patients.map_fit",
    "infuse": "model.regimens.regimen",
    "kaplan_meier": "model.statistics.survival",
    "make_patients": "parameters.patients",
    "make_pool": "trials.pool",
    "mechanistic_model": "fitting.patients.mechanistic",
    "myeloma": "model.myeloma",
    "outcomes": "model.endpoints",
    "overall_survival": "model.overall_survival",
    "power_curve": "trials.power",
    "predict_progression": "fitting.patients.progression",
    "progression": "model.regimens.rules",
    "read_calibration": "fitting.calibration.calibration",
    "read_catalogue": "model.catalogue",
    "read_events": "model.regimens.event_table",
    "read_longitudinal": "fitting.patients.data",
    "read_plan": "model.regimens.sentence",
    "read_population": "parameters.population",
    "read_scenario": "trials.design",
    "read_therapy": "model.therapy",
    "reconstruct": "fitting.km_reconstruction",
    "remission": "model.regimens.rules",
    "reproduce": "model.reproduce",
    "risen": "model.regimens.rules",
    "search": "trials.search",
    "sensitivities": "model.sensitivity",
    "simulate": "model.simulate",
    "simulate_cohort": "model.cohort",
    "treat": "trials.treat",
    "usual": "model.regimens.plan",
    "write_events": "model.regimens.event_table",
    "write_plan": "model.regimens.sentence",
}

__all__ = ["__version__", *_HOME]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for (PEP 562)."""
    if name == "__version__":
        value = _installed_version()
    elif name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'. It offers {', '.join(__all__)}.")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _installed_version() -> str:
    """Version of the installed package; a checkout that nobody installed says so instead of guessing."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("perdure")
    except PackageNotFoundError:
        return "0+not.installed"
