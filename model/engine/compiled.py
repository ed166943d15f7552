"""Compiled equations: a system's generated functions and the integrator, translated together, once.

The object code is kept in the user's cache under its source, the processor and the library's version, so that an old
compilation can never answer for new equations or on another machine.
"""

import inspect
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import ClassVar

import numpy as np

from ..system.system import System
from . import processor, translate, vector_math, words
from .object_cache import cached
from .processor import Library, identity, machine_code, vector_lanes
from .source import ENTRIES, engine_source


@dataclass(frozen=True)
class Compiled:
    """Compiled functions, the order in which they want the parameters, and their sizes by name."""

    library: Library
    parameters: tuple[str, ...]
    sizes: dict[str, int]
    name: ClassVar[str] = "compiled"

    def call(self, name: str, *arguments: float | np.ndarray) -> None:
        """Call a compiled function; arrays are passed by the address of their memory."""
        self.library.functions[name](*map(_passed, arguments))


def _passed(value: float | np.ndarray) -> float | int:
    """A number, or where an array begins; one whose rows do not follow each other would be misread in silence."""
    if not isinstance(value, np.ndarray):
        return value
    if not value.flags.c_contiguous:
        raise ValueError(f"an array of shape {value.shape} does not lie in memory row by row.")
    return value.ctypes.data


@cache
def _translator() -> str:
    """Source of all that turns a source into machine code: what it made before it was changed is not used again."""
    return "".join(inspect.getsource(module) for module in (translate, words, vector_math, processor))


@lru_cache(maxsize=128)
def compile_system(system: System, terms: int, method: str = "explicit", lanes: int = 0) -> Compiled:
    """Compile a system, or load it from the cache (`PERDURE_CACHE`, or the user's cache folder).

    `terms` is the largest number of exponentials of a drug; `lanes` the patients per vector, by default as many as the
    processor's vectors hold.
    """
    lanes = lanes or vector_lanes()
    source = engine_source(system, terms, method)
    content = cached(
        f"{lanes} lanes on {identity()}\n{_translator()}\n{source.text}",
        lambda: machine_code(translate.translate(source.text, lanes, ENTRIES)),
    )
    signatures = {name: list(kinds.values()) for name, kinds in source.arguments.items()}
    return Compiled(Library(content, signatures), source.parameters, source.sizes(lanes))
