"""Experiments as small as they can be: shorter grids, few patients, and one simulation however often it is asked for.

The digest, the command line and the tutorial run the same experiments; the model answers each of them once.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from inspect import signature
from typing import Any
from unittest.mock import patch

import numpy as np
from matplotlib.path import Path as MatplotlibPath
from matplotlib.transforms import Bbox
from threadpoolctl import threadpool_limits

from perdure.experiments.maintenance_trial import DESIGNS
from perdure.experiments.salvage import CURVES, SALVAGES
from perdure.experiments.sequence_order import PAIRS
from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.posterior import Sizes
from perdure.fitting.studies import read_studies
from perdure.trials.search import Axis

PATIENTS, DRAWS, PER_DRAW = 12, 2, 10
SIZES = Sizes(PATIENTS, DRAWS, PER_DRAW)
OPTIONS = ("--patients", str(PATIENTS), "--draws", str(DRAWS), "--patients-per-draw", str(PER_DRAW))
"""The same sizes on the command line; those of `--draws` and `--patients-per-draw` are the smallest allowed."""

FEWER: Mapping[str, Mapping[str, Any]] = {
    "catalogue": {"studies": [study for study in read_studies() if study.name in ("cartitude_2_d", "sirius")]},
    "lenalidomide_maintenance": {
        "axes": (
            Axis("dose", "mg", (10.0, 25.0)),
            Axis("start day", "", (30.0,)),
            Axis("duration", "months", (6.0, 24.0)),
        )
    },
    "salvage": {"salvages": {name: SALVAGES[name] for name in CURVES}},
    "secretase_timing": {"axes": (Axis("from day", "", (0.0, 30.0)), Axis("for", "weeks", (3.0, 12.0)))},
    "maintenance_trial": {"trials": 40, "designs": dict(list(DESIGNS.items())[::2])},
    "oligoprogression": {"shares": (0.5,)},
    "sequence_order": {"pairs": PAIRS[:1], "waits": (28.0, 84.0)},
    "target_switch": {"names": ("ide-cel again", "OriCAR-017 (GPRC5D)", "talquetamab (GPRC5D)")},
    "two_populations": {"repeats": 4},
    "vein_to_vein": {"waits": (28.0, 49.0)},
    "venetoclax_maintenance": {"starts": (30.0,)},
}
"""What the `run` of an experiment is given instead of its usual grid, where that takes long."""


def experiment(name: str) -> Any:
    """The module of an experiment."""
    return import_module(f"perdure.experiments.{name}")


@cache
def small_run(name: str) -> Callable[..., Any]:
    """The `run` of an experiment on its short grid; with the same arguments as before it returns what it found then.

    What is found is summed on one thread, as the digest wants it, whoever asks first.
    """
    run, results = experiment(name).run, {}

    def once(*arguments: Any, **named: Any) -> Any:
        given = signature(run).bind(*arguments, **{**FEWER.get(name, {}), **named}).arguments
        question = repr({key: value for key, value in given.items() if key != "calibration"})
        with threadpool_limits(limits=1, user_api="blas"):
            if given.get("calibration") is not read_calibration():
                return run(**given)
            if question not in results:
                results[question] = run(**given)
            return results[question]

    return once


@contextmanager
def small(name: str) -> Iterator[None]:
    """Within, an experiment runs on its short grid and once for all, and its pictures measure words quickly."""
    with patch.object(experiment(name), "run", small_run(name)), quick_letters():
        yield


def quick_letters() -> Any:
    """Within, the box around a path is that of its points: curves of every letter take longer than the model."""
    return patch.object(MatplotlibPath, "get_extents", _extents_of_points)


def _extents_of_points(path: MatplotlibPath, *_: object, **__: object) -> Bbox:
    points = np.asarray(path.vertices)
    return Bbox(np.stack([points.min(axis=0), points.max(axis=0)]))
