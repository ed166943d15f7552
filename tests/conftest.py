"""What tests of several files need."""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from perdure.app.main import main
from perdure.model.engine.referee import jacobian
from perdure.model.system.system import System


@pytest.fixture
def run_perdure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Type a command in an empty folder: exit code, output and errors, each as one line of text."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["perdure", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        seen = capsys.readouterr()
        return int(stop.value.code or 0), " ".join(seen.out.split()), " ".join(seen.err.split())

    return call


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
