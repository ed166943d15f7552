"""Other engines, each given the same problem: which there are, whether they are installed, and how to install them."""

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any

from peers.problem import Peer, Problem


@dataclass(frozen=True)
class Library:
    """A library with the ways in which it is tried; `needs` are the modules that must be there."""

    name: str
    needs: tuple[str, ...]
    install: str
    file: str
    peers: tuple[str, ...]

    @property
    def available(self) -> bool:
        """Whether it can be imported."""
        return all(importlib.util.find_spec(module) is not None for module in self.needs)

    def build(self, problem: Problem) -> list[Peer]:
        """Its peers for a problem; without doses to restart at, those that do not restart are left out."""
        module: Any = importlib.import_module(f"peers.{self.file}")
        kinds: list[type[Peer]] = [getattr(module, name) for name in self.peers]
        return [kind(problem) for kind in kinds if kind.restarts or len(problem.segments) > 1]


LIBRARIES = (
    Library(
        "numbalsoda", ("numbalsoda", "numba"),
        "pip install numbalsoda  (builds from source: a C++ and a Fortran compiler are needed)",
        "lsoda_compiled", ("NumbaLsoda", "NumbaLsodaOn", "NumbaDop853", "NumbaDop853On"),
    ),
    Library(
        "scikit-sundae", ("sksundae", "numba"), "pip install scikit-sundae numba",
        "cvode", ("Sundae", "SundaeOn", "SundaeAdams", "SundaeAdamsOn"),
    ),
    Library("libroadrunner", ("roadrunner",), "pip install libroadrunner", "roadrunner_cvode", ("RoadRunner",)),
    Library("scipy", ("scipy",), "pip install scipy", "lsoda_scipy", ("ScipyLsoda",)),
)  # fmt: skip
