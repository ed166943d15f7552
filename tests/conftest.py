"""What tests of several files need."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from perdure.app.main import main


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
