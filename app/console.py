"""Consoles, progress bar and plain text of every command."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:  # --help imports nothing heavy
    from perdure.reports.settings import Settings

console = Console()
errors = Console(stderr=True)


@contextmanager
def bar() -> Iterator:
    """A progress bar that one function feeds: label, done, total."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as shown:
        tasks: dict[str, int] = {}

        def feed(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = shown.add_task(label, total=total)
            shown.update(tasks[label], completed=done, total=total)  # type: ignore[arg-type]

        yield feed


@contextmanager
def settings(**sizes: Any) -> "Iterator[Settings]":
    """The settings of an experiment: its sizes, the command line, a progress bar, and where to print."""
    from perdure.reports.settings import Settings

    chosen = Settings(command=shlex.join(["perdure", *sys.argv[1:]]), say=say, **sizes)  # a mistake shows no bar
    with bar() as feed:
        yield replace(chosen, progress=feed)


def say(text: str) -> None:
    """Print text as it is: no markup, no colours, no breaking of long lines."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
