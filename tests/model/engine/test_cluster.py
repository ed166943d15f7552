"""The same call on a cluster: two workers, one of them killed half way, and not a bit changes."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster

from perdure.model.catalogue import read_catalogue
from perdure.model.cohort import Cohort, CohortResult, Endpoints, simulate_cohort
from perdure.model.endpoints import Visits
from perdure.model.reduction import Moments, Quantiles
from perdure.model.regimens.regimen import give, infuse
from perdure.parameters.errors import UnknownNameError

CATALOGUE = read_catalogue()
MONTHLY = tuple(30.4375 * month for month in range(6))
KEEP = {
    "endpoints": Endpoints(Visits(months=6.0)),
    "means": Moments(("car_t", "tumour"), MONTHLY),
    "tumour": Quantiles("tumour", MONTHLY, 1.0, 1e13),
}
REGIMENS = {
    "alone": infuse("ide_cel"),
    "with lenalidomide": infuse("ide_cel") + give("lenalidomide", start=30.0, months=2.0),
}
DRAWS = (CATALOGUE, CATALOGUE.with_values(k_growth_tumour=0.02))
PEOPLE = Cohort(CATALOGUE, 448, 3, "ide_cel", "late_line")
PARTS = 4 * len(REGIMENS) * len(DRAWS)

Progress = Callable[[int, int], None]


def run(client: Any = None, progress: Progress | None = None) -> CohortResult:
    return simulate_cohort(PEOPLE, REGIMENS, reduce=KEEP, draws=DRAWS, client=client, progress=progress)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def busiest(client: Any) -> str:
    """Address of the worker that holds or computes most of what has not been counted."""
    held, working = client.has_what(), client.processing()
    load = {address: len(held[address]) + len(working.get(address, ())) for address in held}
    address = max(load, key=lambda one: load[one])
    assert load[address] > 0
    return address


def test_a_worker_that_is_killed_half_way_changes_nothing(client: Any) -> None:
    processes = client.run(os.getpid)
    assert len(processes) == 2
    counted: list[tuple[int, int]] = []

    def progress(done: int, planned: int) -> None:
        counted.append((done, planned))
        if done == planned // 2:
            os.kill(processes[busiest(client)], signal.SIGKILL)

    spread, here = run(client, progress), run()
    assert counted == [(k + 1, PARTS) for k in range(PARTS)]
    client.wait_for_workers(2)
    assert len(set(client.run(os.getpid).values()) & set(processes.values())) == 1
    assert len(spread.draws) == len(DRAWS)
    for one, other in zip(spread.draws, here.draws, strict=True):
        for scenario in REGIMENS:
            same(one[scenario].reductions, other[scenario].reductions)
            assert one[scenario].n == other[scenario].n == PEOPLE.n


def same(one: object, other: object) -> None:
    """Equal to the last bit, all the way down."""
    if isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, dict):
        assert isinstance(other, dict)
        assert list(one) == list(other)
        for name in one:
            same(one[name], other[name])
    elif isinstance(one, tuple):
        assert isinstance(other, tuple)
        for mine, theirs in zip(one, other, strict=True):
            same(mine, theirs)
    elif hasattr(one, "__dict__"):
        same(vars(one), vars(other))
    else:
        assert one == other


def test_an_error_on_a_worker_is_the_error_of_the_call(client: Any) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'tumour'"):
        simulate_cohort(
            PEOPLE, REGIMENS, reduce={"x": Quantiles("tumuor", MONTHLY, 1.0, 1e13)}, client=client
        )  # fmt: skip
