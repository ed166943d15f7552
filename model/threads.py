"""Patients shared over threads: the engine lets go of the interpreter while it runs."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

CHUNK = 256
"""Patients that a thread takes at a time; what they keep for eradication is about 0.1 MB each."""


def in_threads(part: Callable[[int, int, np.ndarray], None], n: int, threads: int) -> None:
    """Share patients over threads in chunks; each patient's result does not depend on the sharing.

    On Ctrl-C the engine is told to stop, and does so within a step.
    """
    halt = np.zeros(1, dtype=np.int64)
    # with several threads a few chunks for each, so that they end together; not too few patients, or vectors run empty
    size = CHUNK if threads == 1 else max(32, min(CHUNK, -(-n // (threads * 3))))
    chunks = [(first, min(first + size, n)) for first in range(0, n, size)]
    with ThreadPoolExecutor(threads) as pool:
        try:
            for result in [pool.submit(part, first, last, halt) for first, last in chunks]:
                result.result()
        except BaseException:
            halt[0] = 1
            pool.shutdown(wait=False, cancel_futures=True)
            raise
