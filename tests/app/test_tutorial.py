"""The trial designer's story: its files are read and its commands run, in order, exactly as they are written.

Only the experiment's grid is short here, and words in pictures are measured quickly.
"""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

from small_experiments import small

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(toml|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_story_can_be_told_as_it_is_written(
    tmp_path: Path, run_perdure: Callable[..., tuple[int, str, str]]
) -> None:
    said: dict[str, str] = {}
    for language, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if language == "toml":
            (tmp_path / text.splitlines()[0].removeprefix("# ")).write_text(text, encoding="utf-8")
            continue
        for line in text.splitlines():
            program, *arguments = shlex.split(line)
            assert program == "perdure"
            with small("lenalidomide_maintenance"):
                code, out, err = run_perdure(*expanded(tmp_path, arguments))
            assert code == 0, f"{line}\n{err}"
            said[arguments[0]] = out
    assert "lenalidomide 10 mg, 549 doses from day 30" in said["plan"]
    assert "months" in said["project"]
    assert "the trial succeeds with a probability of" in said["design"]
    assert "stronger stimulation of T cells" in said["check"]
    for report in ("both.html", "maintenance.html"):
        page = (tmp_path / report).read_text(encoding="utf-8")
        assert "not medical advice" in page.lower()
        assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    (design,) = (tmp_path / "runs" / "design").iterdir()
    assert "SIM" in (design / "adtte.csv").read_text(encoding="utf-8")


def expanded(folder: Path, arguments: list[str]) -> list[str]:
    """Arguments with a star become the paths that are there, as a shell makes them."""
    found = []
    for argument in arguments:
        found += [str(p.relative_to(folder)) for p in sorted(folder.glob(argument))] if "*" in argument else [argument]
    return found
