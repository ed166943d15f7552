"""How long a CAR-T response in multiple myeloma lasts, why it ends, and what makes it last longer.

The names below are what most work needs, in six groups, and are loaded when first used, so that `import perdure` is
quick::

    from perdure import give, infuse, treat

    result = treat(infuse("ide_cel") + give("lenalidomide", start=21, months=24))
    print(result.pfs().median())

Everything else is found by its path, for example `perdure.model.endpoints`.
"""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what a type checker and an editor see; a test holds it against the list below
    from .fitting.calibration.calibration import Calibration as Calibration
    from .fitting.calibration.calibration import read_calibration as read_calibration
    from .fitting.fit_table import fit_table as fit_table
    from .fitting.km_reconstruction import reconstruct_km as reconstruct_km
    from .fitting.patients.data import read_measurements as read_measurements
    from .fitting.patients.map_fit import fit_patients as fit_patients
    from .fitting.patients.mechanistic import mechanistic_model as mechanistic_model
    from .fitting.patients.population import fit_population as fit_population
    from .fitting.patients.progression import predict_progression as predict_progression
    from .fitting.posterior import Estimate as Estimate
    from .fitting.posterior import Sizes as Sizes
    from .fitting.studies import read_studies as read_studies
    from .fitting.validation.user_evidence import validate_user_evidence as validate_user_evidence
    from .model.catalogue import read_catalogue as read_catalogue
    from .model.cohort import simulate_cohort as simulate_cohort
    from .model.endpoints import Outcomes as Outcomes
    from .model.endpoints import Visits as Visits
    from .model.endpoints import outcomes as outcomes
    from .model.overall_survival import overall_survival as overall_survival
    from .model.regimens import rules as rules
    from .model.regimens.event_table import read_events as read_events
    from .model.regimens.event_table import write_events as write_events
    from .model.regimens.plan import Plan as Plan
    from .model.regimens.regimen import Regimen as Regimen
    from .model.regimens.regimen import give as give
    from .model.regimens.regimen import infuse as infuse
    from .model.regimens.rules import Rule as Rule
    from .model.regimens.sentence import read_plan as read_plan
    from .model.regimens.sentence import write_plan as write_plan
    from .model.reproduce import reproduce as reproduce
    from .model.sensitivity import sensitivities as sensitivities
    from .model.simulate import Solver as Solver
    from .model.simulate import simulate as simulate
    from .model.solution import Solution as Solution
    from .model.statistics.survival import kaplan_meier as kaplan_meier
    from .parameters.errors import InputError as InputError
    from .parameters.errors import PerdureError as PerdureError
    from .parameters.patients import draw as draw
    from .parameters.patients import make_patients as make_patients
    from .parameters.population import read_population as read_population
    from .trials import measures as measures
    from .trials.arm import Arm as Arm
    from .trials.attribution import decompose as decompose
    from .trials.compare import Comparison as Comparison
    from .trials.compare import compare as compare
    from .trials.conduct import conduct as conduct
    from .trials.design import read_scenario as read_scenario
    from .trials.pool import make_pool as make_pool
    from .trials.power import assurance as assurance
    from .trials.power import power_curve as power_curve
    from .trials.search import search as search
    from .trials.treat import ArmResult as ArmResult
    from .trials.treat import treat as treat

# Where each public name lives, relative to perdure; a name that ends its own home is a module.
GROUPS: dict[str, dict[str, str]] = {
    "what is given": {
        "Regimen": "model.regimens.regimen",
        "infuse": "model.regimens.regimen",
        "give": "model.regimens.regimen",
        "Plan": "model.regimens.plan",
        "read_plan": "model.regimens.sentence",
        "write_plan": "model.regimens.sentence",
        "read_events": "model.regimens.event_table",
        "write_events": "model.regimens.event_table",
        "Rule": "model.regimens.rules",
        "rules": "model.regimens.rules",
    },
    "who is treated": {
        "read_calibration": "fitting.calibration.calibration",
        "Calibration": "fitting.calibration.calibration",
        "read_catalogue": "model.catalogue",
        "read_population": "parameters.population",
        "draw": "parameters.patients",
        "make_patients": "parameters.patients",
    },
    "what happens, and what is seen of it": {
        "simulate": "model.simulate",
        "Solver": "model.simulate",
        "Solution": "model.solution",
        "simulate_cohort": "model.cohort",
        "sensitivities": "model.sensitivity",
        "reproduce": "model.reproduce",
        "outcomes": "model.endpoints",
        "Outcomes": "model.endpoints",
        "Visits": "model.endpoints",
        "kaplan_meier": "model.statistics.survival",
        "overall_survival": "model.overall_survival",
    },
    "arms and trials": {
        "Arm": "trials.arm",
        "treat": "trials.treat",
        "ArmResult": "trials.treat",
        "Sizes": "fitting.posterior",
        "Estimate": "fitting.posterior",
        "measures": "trials.measures",
        "compare": "trials.compare",
        "Comparison": "trials.compare",
        "search": "trials.search",
        "decompose": "trials.attribution",
        "read_scenario": "trials.design",
        "make_pool": "trials.pool",
        "conduct": "trials.conduct",
        "power_curve": "trials.power",
        "assurance": "trials.power",
    },
    "evidence and patients": {
        "read_studies": "fitting.studies",
        "fit_table": "fitting.fit_table",
        "validate_user_evidence": "fitting.validation.user_evidence",
        "reconstruct_km": "fitting.km_reconstruction",
        "read_measurements": "fitting.patients.data",
        "mechanistic_model": "fitting.patients.mechanistic",
        "fit_patients": "fitting.patients.map_fit",
        "fit_population": "fitting.patients.population",
        "predict_progression": "fitting.patients.progression",
    },
    "errors": {"PerdureError": "parameters.errors", "InputError": "parameters.errors"},
}
_HOME = {name: home for group in GROUPS.values() for name, home in group.items()}

# Names of earlier versions, for one release: where each lives now.
_DEPRECATED = {
    "Axis": "trials.search",
    "Bolus": "model.regimens.regimen",
    "Cohort": "model.cohort",
    "Courses": "model.reduction",
    "Endpoints": "model.cohort",
    "Infusion": "model.regimens.regimen",
    "Limit": "trials.search",
    "Moments": "model.reduction",
    "Quantiles": "model.reduction",
    "above": "model.regimens.rules",
    "below": "model.regimens.rules",
    "death_after_progression": "model.overall_survival",
    "every": "model.regimens.rules",
    "fallen": "model.regimens.rules",
    "follow": "trials.treat",
    "myeloma": "model.myeloma",
    "progression": "model.regimens.rules",
    "read_therapy": "model.therapy",
    "remission": "model.regimens.rules",
    "risen": "model.regimens.rules",
    "usual": "model.regimens.plan",
}

# The same for names that were renamed where they live.
_RENAMED = {
    "individual_fits": "fit_patients",
    "read_longitudinal": "read_measurements",
    "reconstruct": "reconstruct_km",
}

__all__ = ["__version__", *sorted(_HOME)]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for (PEP 562)."""
    if name == "__version__":
        value = _installed_version()
    elif name in _HOME:
        value = _load(name, _HOME[name])
    elif name in _DEPRECATED:
        home = f"{__name__}.{_DEPRECATED[name]}"
        warnings.warn(
            f"perdure.{name} goes with the next release; write: from {home} import {name}",
            DeprecationWarning,
            stacklevel=2,
        )
        return _load(name, _DEPRECATED[name])
    elif name in _RENAMED:
        new = _RENAMED[name]
        warnings.warn(
            f"perdure.{name} goes with the next release; write: from perdure import {new}",
            DeprecationWarning,
            stacklevel=2,
        )
        return _load(new, _HOME[new])
    else:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'. It offers {', '.join(__all__)}.")
    globals()[name] = value
    return value


def _load(name: str, home: str) -> Any:
    module = import_module(f"{__name__}.{home}")
    return module if home.endswith(f".{name}") and not hasattr(module, name) else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _installed_version() -> str:
    """Version of the installed package; a checkout that nobody installed says so instead of guessing."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("perdure")
    except PackageNotFoundError:
        return "0+not.installed"
