"""What the command line hands to every experiment."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..fitting.calibration.calibration import Calibration, read_calibration
from ..parameters.errors import RangeError
from ..trials.treat import SEED

Progress = Callable[[str, int, int], None]
Say = Callable[[str], None]


def _silent(label: str, done: int, total: int) -> None:
    """No progress."""


@dataclass(frozen=True)
class Settings:
    """Sizes, seed, calibration and folder of a run; the defaults finish within three minutes on two cores."""

    patients: int = 1000
    draws: int = 40
    patients_per_draw: int = 120
    seed: int = SEED
    calibration: str = "reference"
    folder: Path = Path("runs")
    command: str = ""
    progress: Progress = _silent
    say: Say = print

    def __post_init__(self) -> None:
        """Check the sizes."""
        for name in ("patients", "patients_per_draw"):
            if getattr(self, name) < 10:
                raise RangeError(f"{name} = {getattr(self, name)}; expected at least 10, or a rate would mean nothing.")
        if self.draws < 2:
            raise RangeError(
                f"draws = {self.draws}; expected at least 2, or there is no interval about the parameters."
            )
        if self.seed < 0:
            raise RangeError(f"seed = {self.seed}; expected a whole number of at least 0.")

    def read_calibration(self) -> Calibration:
        """The calibration that was asked for."""
        return read_calibration(self.calibration)

    @property
    def sizes(self) -> dict[str, Any]:
        """Sizes, seed and progress, as the `run` of most experiments takes them."""
        return {name: getattr(self, name) for name in ("patients", "draws", "patients_per_draw", "seed", "progress")}
