"""Settings of a run, from the command line to every experiment."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..fitting.calibration.calibration import Calibration, read_calibration
from ..fitting.posterior import SEED, Progress, Sizes, no_progress
from ..parameters.errors import RangeError

Say = Callable[[str], None]


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
    progress: Progress = no_progress
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
    def sizes(self) -> Sizes:
        """Sizes, seed and progress, as every experiment takes them."""
        return Sizes(self.patients, self.draws, self.patients_per_draw, self.seed, self.progress)
