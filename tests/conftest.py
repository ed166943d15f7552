"""What tests of several files need."""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from small_experiments import OPTIONS, small
from threadpoolctl import threadpool_limits

from perdure.app.main import main
from perdure.model.engine.referee import jacobian
from perdure.model.system.system import System


@pytest.fixture(scope="session", autouse=True)
def one_thread_for_matrices() -> Iterator[None]:
    """Matrices are small here: a second thread of BLAS only waits, and costs as much as the first."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@pytest.fixture
def run_perdure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Type a command in an empty folder: exit code, output and errors, each as one line of text."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = exit_code(monkeypatch, *arguments)
        seen = capsys.readouterr()
        return code, " ".join(seen.out.split()), " ".join(seen.err.split())

    return call


def exit_code(patch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Type a command."""
    patch.setattr(sys, "argv", ["perdure", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


@dataclass(frozen=True)
class ExperimentRun:
    """What `perdure run NAME` did: exit code, output and errors as one line of text, and the folder it was typed in."""

    code: int
    out: str
    err: str
    place: Path

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        (folder,) = (self.place / "runs").iterdir()
        return folder


@pytest.fixture(scope="session")
def experiment_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ExperimentRun]:
    """Run an experiment by the command in an empty folder, as small as can be, and once for all who want its folder."""

    @cache
    def run(name: str) -> ExperimentRun:
        place, out, err = tmp_path_factory.mktemp(name), io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, small(name), redirect_stdout(out), redirect_stderr(err):
            patch.chdir(place)
            code = exit_code(patch, "run", name, *OPTIONS)
        return ExperimentRun(code, " ".join(out.getvalue().split()), " ".join(err.getvalue().split()), place)

    return run


Jacobian = Callable[[System, list[float], list[float], np.ndarray], np.ndarray]


@pytest.fixture(scope="session")
def exact_jacobian() -> Jacobian:
    """Derivatives of the equations of a system by sympy, as a matrix; those of a system are written once."""
    written = cache(jacobian)

    def at(system: System, parameters: list[float], inputs: list[float], states: np.ndarray) -> np.ndarray:
        matrix = np.zeros((len(states), len(states)))
        written(system)(parameters, inputs, states, matrix)
        return matrix

    return at
