"""Which engine runs: compiled code, or plain Python with scipy where llvmlite is absent."""

import warnings
from functools import cache, lru_cache
from importlib import import_module
from threading import RLock

from ...parameters.errors import InputError, unknown
from ..system.system import System
from .source import METHODS, Engine, engine_source

ENGINES = ("auto", "compiled", "scipy")
_ONE_AT_A_TIME = RLock()
"""Several threads would translate a system several times, and Python 3.11 cannot parse in two threads at once."""


class SlowEngineWarning(UserWarning):
    """Simulations run without compiled code."""


def make_engine(system: System, terms: int, method: str = "explicit", engine: str = "auto") -> Engine:
    """Get a system ready to run; `terms` is the largest number of exponentials of a drug.

    Raises
    ------
    UnknownNameError
        If there is no such method or engine.
    InputError
        If compiled code is asked for where llvmlite cannot be imported.
    """
    for kind, name, known in (("method", method, METHODS), ("engine", engine, ENGINES)):
        if name not in known:
            raise unknown(kind, name, known, "solver")
    absent = why_not_compiled() if engine != "scipy" else ""
    if absent and engine == "compiled":
        raise InputError(
            f"solver: engine = 'compiled' needs llvmlite, which cannot be imported ({absent}); install llvmlite, "
            "or choose 'auto' or 'scipy'."
        )
    if absent:
        _warn_once(absent)
    with _ONE_AT_A_TIME:  # neither is imported at the top: nobody waits for what is not used, or does not have it
        if absent or engine == "scipy":
            return _interpreted(system, terms, method)
        return import_module(".compiled", __package__).compile_system(system, terms, method)


@cache
def why_not_compiled() -> str:
    """Why llvmlite cannot be imported; "" if it can."""
    try:
        import_module("llvmlite.binding")
    except (ImportError, OSError) as problem:  # OSError: its library is there but cannot be loaded
        return str(problem)
    return ""


@lru_cache(maxsize=128)
def _interpreted(system: System, terms: int, method: str) -> Engine:
    return import_module(".fallback", __package__).Interpreted(engine_source(system, terms, method), method)


@cache
def _warn_once(absent: str) -> None:
    warnings.warn(
        f"llvmlite cannot be imported ({absent}), so simulations run as plain Python, some hundred times slower; "
        "with llvmlite installed they are compiled.",
        SlowEngineWarning,
        stacklevel=4,  # the caller of simulate
    )
