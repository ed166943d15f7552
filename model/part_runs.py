"""Where the parts of a cohort are computed: by threads of this process, or by the workers of a dask client."""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any, Protocol

AHEAD = 1000
"""Parts that are handed out before the first of them has been counted: enough for every core, few enough to hold."""
RETRIES = 3
"""How often a cluster tries again after an error, of a full disk for example; lost workers are not errors."""


class Runnable(Protocol):
    """What parts have in common; `run` is a pure function."""

    def run(self, first: int, last: int) -> Any:
        """Result of the patients `first` to `last` (not included)."""
        ...


class Kept(Protocol):
    """Results of an earlier call."""

    def has(self, setting: int, first: int, last: int) -> bool:
        """Whether there is a file for a part."""
        ...

    def find(self, setting: int, first: int, last: int) -> Any:
        """The result of a part; None if there is none."""
        ...

    def store(self, setting: int, first: int, last: int, finished: Any) -> None:
        """Keep the result of a part."""
        ...


Job = tuple[int, int, int]
"""Number of a setting, first patient, last patient (not included)."""
Submit = Callable[[int, int, int], Any]
"""Starts a job and returns its future: with `add_done_callback`, `result` and `cancel`."""


@contextmanager
def on_threads(settings: Sequence[Runnable], threads: int) -> Iterator[Submit]:
    """Compute parts by threads of this process."""
    with ThreadPoolExecutor(threads) as pool:
        try:
            yield lambda setting, first, last: pool.submit(settings[setting].run, first, last)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def on_client(settings: Sequence[Runnable], client: Any) -> Iterator[Submit]:
    """Compute parts by the workers of a `dask.distributed.Client`.

    A setting is sent once, as a task and not as data: if the worker that holds it dies, the cluster makes it again.
    """
    shared = [client.submit(_itself, setting, pure=False) for setting in settings]
    yield lambda setting, first, last: client.submit(
        _run, shared[setting], first, last, pure=False, retries=RETRIES
    )  # fmt: skip


def _itself(setting: Runnable) -> Runnable:
    return setting


def _run(setting: Runnable, first: int, last: int) -> Any:
    return setting.run(first, last)


def in_order(jobs: Sequence[Job], submit: Submit, kept: Kept | None = None) -> Generator[tuple[int, Any], None, None]:
    """Number and result of every job, in the order of the jobs and each exactly once, whoever finishes first."""
    arrived: SimpleQueue[int] = SimpleQueue()
    waiting: dict[int, Any] = {}
    early: dict[int, Any] = {}

    def hand_out(number: int) -> None:
        waiting[number] = submit(*jobs[number])
        waiting[number].add_done_callback(partial(_report, arrived, number))

    handed_out = 0
    try:
        for number, job in enumerate(jobs):
            while handed_out < min(len(jobs), number + AHEAD):
                if kept is None or not kept.has(*jobs[handed_out]):
                    hand_out(handed_out)
                handed_out += 1
            if kept is not None and number not in waiting and number not in early:
                found = kept.find(*job)
                if found is not None:
                    yield number, found
                    continue
                hand_out(number)  # its file is damaged
            while number not in early:
                done = arrived.get()
                future = waiting.pop(done, None)
                if future is not None:  # otherwise it was reported twice, and has been counted
                    early[done] = future.result()
                    if kept is not None:
                        kept.store(*jobs[done], early[done])
            yield number, early.pop(number)
    finally:
        for future in waiting.values():
            future.cancel()


def _report(arrived: "SimpleQueue[int]", number: int, future: Any) -> None:
    arrived.put(number)
