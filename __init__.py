"""How long a CAR-T response in multiple myeloma lasts, why it ends, and what makes it last longer.

The names below are what most work needs, and are loaded when first used, so that `import perdure` is quick::

    from perdure import give, infuse, treat

    trial = treat("ide_cel", "late_line", infuse("ide_cel") + give("lenalidomide", start=21, months=24))
    print(trial.pfs().median())

Everything else is found by its path, for example `perdure.model.endpoints`. What a rule does (`start`, `stop`, `hold`,
`resume`) is in `perdure.model.rules`: those words alone would say too little here.
"""

from importlib import import_module
from typing import Any

# Where each public name lives, relative to perdure.
_HOME = {
    "Arm": "experiments.arms.comparison",
    "Axis": "experiments.arms.search",
    "Bolus": "model.regimen",
    "Cohort": "model.cohort_parts",
    "Courses": "model.reduction",
    "Endpoints": "model.cohort_outcomes",
    "Infusion": "model.regimen",
    "InputError": "parameters.errors",
    "Limit": "experiments.arms.search",
    "Moments": "model.reduction",
    "PerdureError": "parameters.errors",
    "Plan": "model.plan",
    "Quantiles": "model.quantiles",
    "Regimen": "model.regimen",
    "Rule": "model.rules",
    "Solver": "model.simulate",
    "Visits": "model.endpoints",
    "above": "model.rules",
    "assurance": "experiments.trials.power",
    "below": "model.rules",
    "compare": "experiments.arms.comparison",
    "conduct": "experiments.trials.conduct",
    "death_after_progression": "model.overall_survival",
    "decompose": "experiments.why.decomposition",
    "draw": "parameters.patients",
    "every": "model.rules",
    "fallen": "model.rules",
    "fit_population": "fitting.individual.population",
    "follow": "experiments.treat",
    "give": "model.regimen",
    "individual_fits": "fitting.individual.map_fit",
    "infuse": "model.regimen",
    "kaplan_meier": "model.survival",
    "make_patients": "parameters.patients",
    "make_pool": "experiments.trials.pool",
    "mechanistic_model": "fitting.individual.mechanistic",
    "myeloma": "model.myeloma",
    "outcomes": "model.endpoints",
    "overall_survival": "model.overall_survival",
    "power_curve": "experiments.trials.power",
    "predict_progression": "fitting.individual.progression",
    "progression": "model.rules",
    "read_calibration": "fitting.calibration",
    "read_catalogue": "model.catalogue",
    "read_events": "model.language.event_table",
    "read_longitudinal": "fitting.individual.data",
    "read_plan": "model.language.sentence",
    "read_population": "parameters.population",
    "read_scenario": "experiments.trials.design",
    "read_therapy": "model.therapy",
    "reconstruct": "fitting.km_reconstruction",
    "remission": "model.rules",
    "reproduce": "model.reproduce",
    "risen": "model.rules",
    "search": "experiments.arms.search",
    "sensitivities": "model.sensitivity",
    "simulate": "model.simulate",
    "simulate_cohort": "model.cohort",
    "treat": "experiments.treat",
    "usual": "model.plan",
    "write_events": "model.language.event_table",
    "write_plan": "model.language.sentence_writer",
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
