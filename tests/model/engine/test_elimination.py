"""Sparse elimination written out: the right solution, and no more places than the pattern needs."""

import math
from itertools import product
from typing import Any

import numpy as np
import pytest

from perdure.model.car_t_course import CarTCourse
from perdure.model.engine.codegen import Elimination, eliminate, factor_lines, generate, solve_lines
from perdure.model.myeloma import myeloma
from perdure.model.system.system import System

Pattern = list[tuple[int, int]]

DENSE = list(product(range(6), repeat=2))
ARROW = sorted({(i, i) for i in range(8)} | {(0, i) for i in range(8)} | {(i, 0) for i in range(8)})
CHAIN = sorted({(i, j) for i in range(9) for j in range(9) if abs(i - j) <= 1})
CYCLE = sorted({*CHAIN, (0, 8), (8, 0)})
TRIANGLE = [(i, j) for i, j in product(range(7), repeat=2) if i >= j]


def run(lines: list[str], **arrays: list[float] | np.ndarray) -> None:
    exec("\n".join(lines), dict(arrays))


def solved(size: int, pattern: Pattern, values: np.ndarray, diagonal: float, right: np.ndarray) -> np.ndarray:
    """Solution of (diagonal I - J) b = right by the generated statements."""
    elimination = eliminate(size, pattern)
    factors, answer = np.full(len(elimination.places), np.nan), right.copy()
    run(factor_lines(elimination, pattern), j=values, g=[diagonal], m=factors)
    run(solve_lines(elimination), m=factors, b=answer)
    assert np.isfinite(factors).all(), "every place of the factors is filled"
    return answer


@pytest.mark.parametrize("pattern", [DENSE, ARROW, CHAIN, CYCLE, TRIANGLE, [(0, 1), (2, 0)]])
@pytest.mark.parametrize("seed", range(4))
def test_the_generated_solution_is_that_of_a_library(pattern: Pattern, seed: int) -> None:
    rng = np.random.default_rng((3, seed))
    size = 1 + max(map(max, pattern))
    values, right = rng.normal(size=len(pattern)), rng.normal(size=size)
    diagonal = 2.0 * size
    matrix = diagonal * np.eye(size)
    for (i, j), value in zip(pattern, values, strict=True):
        matrix[i, j] -= value
    found = solved(size, pattern, values, diagonal, right)
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right), rtol=1e-12, atol=1e-14)


def test_an_arrow_is_eliminated_from_its_tip_without_fill_in() -> None:
    elimination = eliminate(8, ARROW)
    assert elimination.fill == 0
    assert len(elimination.places) == len(ARROW)
    assert 0 in elimination.order[-2:], "the hub comes when it has one neighbour left"


def test_chains_and_triangles_have_no_fill_in_and_a_cycle_has_little() -> None:
    assert eliminate(9, CHAIN).fill == 0
    assert eliminate(7, TRIANGLE).fill == 0
    assert eliminate(9, CYCLE).fill == 2 * (9 - 3)


def test_the_factors_hold_the_matrix_the_diagonal_and_what_fills_in() -> None:
    rng = np.random.default_rng(11)
    for _ in range(20):
        size = int(rng.integers(2, 12))
        pattern = [(i, j) for i, j in product(range(size), repeat=2) if rng.random() < 0.25]
        elimination = eliminate(size, pattern)
        assert sorted(elimination.order) == list(range(size))
        assert set(elimination.places) == filled_in(size, pattern, elimination)


def filled_in(size: int, pattern: Pattern, elimination: Elimination) -> set[tuple[int, int]]:
    """Places that elimination touches, found by playing it through on a boolean matrix."""
    seen = np.eye(size, dtype=bool)
    for place in pattern:
        seen[place] = True
    for k, pivot in enumerate(elimination.order):
        left = list(elimination.order[k + 1 :])
        for i in left:
            if seen[i, pivot]:
                seen[i, left] |= seen[pivot, left]
    assert elimination.fill == seen.sum() - len({*pattern, *((i, i) for i in range(size))})
    return {(int(i), int(j)) for i, j in np.argwhere(seen)}


def test_a_pivot_costs_one_division_and_nothing_else_divides() -> None:
    elimination = eliminate(8, ARROW)
    assert "\n".join(factor_lines(elimination, ARROW)).count("/") == 8
    assert "/" not in "\n".join(solve_lines(elimination))


def places_of(system: System) -> tuple[int, int]:
    """Places of the Jacobian, and of its factors, in the generated code."""
    space: dict[str, Any] = {"math": math}
    exec(generate(system, stiff=True).source, space)
    entries, factors = space["SIZES"][6:8]
    assert entries == len(system.jacobian)
    return entries, factors


def test_elimination_of_the_shipped_model_fills_in_next_to_nothing() -> None:
    for system in (myeloma(()), myeloma((), (CarTCourse(("GPRC5D",)),))):
        entries, factors = places_of(system)
        assert factors - entries <= 8
    entries, factors = places_of(myeloma())  # with every drug
    assert factors - entries < 0.02 * entries
