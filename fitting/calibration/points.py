"""Design points of a calibration as a file, from which the emulator is trained in seconds."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...parameters.errors import FileError
from .design import Design
from .emulator import Emulator, train_emulator
from .problem import Problem

_FOLDER = Path(__file__).parent.parent / "calibrations"
SUFFIX = ".points.npz"


@dataclass(frozen=True, eq=False)
class FitPoints:
    """What a joint fit has simulated, and where its emulator is centred.

    Attributes
    ----------
    prior
        The first so many points are the draws of the prior.
    noise : array (items,)
        SD of each result between sets of patients, on its scale.
    centre, covariance
        Where the emulator is good: the highest posterior and its Gaussian width.
    logs
        What was learnt of relevances and noise, result by result.
    draws : array (draws, size)
        Of the posterior, in prior SDs: more than a calibration ships, for what needs thousands.
    """

    design: Design
    prior: int
    noise: np.ndarray
    centre: np.ndarray
    covariance: np.ndarray
    logs: tuple[np.ndarray, ...]
    draws: np.ndarray

    def emulator(self, problem: Problem) -> Emulator:
        """The emulator of the fit.

        Raises
        ------
        FileError
            If the points belong to other evidence or other estimated parameters.
        """
        expected = (len(problem.items), problem.space.size)
        if (self.design.models.shape[1], self.design.points.shape[1]) != expected:
            raise FileError(
                f"the points of the fit have {self.design.models.shape[1]} results of {self.design.points.shape[1]} "
                f"coordinates, and the evidence asks for {expected[0]} of {expected[1]}; repeat the fit."
            )
        return train_emulator(
            problem, self.design, centre=self.centre, covariance=self.covariance, noise=self.noise, logs=self.logs
        )


def points_file(calibration: Path) -> Path:
    """Where the points of a calibration lie: beside it."""
    return calibration.with_name(calibration.name.split(".")[0] + SUFFIX)


def write_points(points: FitPoints, path: Path) -> None:
    """Write the points, whole or not at all."""
    widest = max(len(logs) for logs in points.logs)
    padded = np.full((len(points.logs), widest), np.nan)
    for row, logs in zip(padded, points.logs, strict=True):
        row[: len(logs)] = logs
    draft = path.with_name(path.name + ".tmp")
    with draft.open("wb") as file:
        np.savez_compressed(
            file, points=points.design.points, models=points.design.models.astype(np.float32), prior=points.prior,
            noise=points.noise, centre=points.centre, covariance=points.covariance, logs=padded,
            draws=points.draws.astype(np.float32),
        )  # fmt: skip
    draft.replace(path)


def read_points(name: str = "reference") -> FitPoints:
    """The points of a shipped calibration by name, or those beside a user's own calibration file.

    Raises
    ------
    FileError
        If there are none, or the file is not one.
    """
    path = points_file(Path(name)) if "." in str(name) else _FOLDER / f"{name}{SUFFIX}"
    try:
        with np.load(path, allow_pickle=False) as table:
            logs = tuple(row[~np.isnan(row)] for row in table["logs"])
            return FitPoints(
                Design(table["points"], table["models"].astype(float)), int(table["prior"]), table["noise"],
                table["centre"], table["covariance"], logs, table["draws"].astype(float),
            )  # fmt: skip
    except FileNotFoundError:
        raise FileError(f"{path}: there is no such file; it is written beside the calibration by a fit.") from None
    except (OSError, ValueError, KeyError) as problem:
        raise FileError(f"{path}: does not hold the points of a fit ({problem}).") from problem
