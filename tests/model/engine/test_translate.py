"""The translator: what its language says means the same as the same text run as Python, in every lane."""

import ast
from typing import Any

import numpy as np
import pytest

from perdure.model.engine import lanes as language
from perdure.model.engine.lanes import LaneArray
from perdure.model.engine.processor import Library, machine_code
from perdure.model.engine.translate import translate
from perdure.model.engine.words import TranslationError

WIDTHS = (1, 2, 4, 8)
VALUES = (0.3, -2.5, 7.0, 0.0, 1e-3, 41.5, -0.125, 2.0)


def compiled(source: str, width: int) -> Any:
    """The function `run` of a source, translated."""
    run = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == "run")
    kinds = [ast.unparse(a.annotation) if a.annotation else "LaneArray" for a in run.args.args]
    library = Library(machine_code(translate(source, width, ["run"])), {"run": kinds})

    def call(*arguments: Any) -> None:
        library.functions["run"](*(a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments))

    return call


def aligned(width: int, rows: int) -> np.ndarray:
    raw = np.zeros(rows * width + 8)
    skip = -raw.ctypes.data % 64 // 8
    return raw[skip : skip + rows * width].reshape(rows, width)


def in_lanes(body: str, width: int, constants: str = "") -> np.ndarray:
    """`out[0..2]` of a body that reads the numbers `a[0]` (one per lane), compiled."""
    source = f"{constants}\ndef run(a, out):\n    " + "\n    ".join(body.strip().splitlines())
    a, out = aligned(width, 1), aligned(width, 3)
    a[0] = VALUES[:width]
    compiled(source, width)(a, out)
    return out


def as_python(body: str, width: int, constants: str = "") -> np.ndarray:
    """The same, lane by lane, as ordinary Python."""
    space: dict[str, Any] = dict(vars(language))
    exec(f"{constants}\ndef run(a, out):\n    " + "\n    ".join(body.strip().splitlines()), space)
    columns = []
    for value in VALUES[:width]:
        out = LaneArray([0.0, 0.0, 0.0])
        space["run"](LaneArray([value]), out)
        columns.append(out.memory)
    return np.array(columns, dtype=float).T


BODIES = {
    "sums and products": "out[0] = a[0] * 2.0 + 3.0\nout[1] = 1.0 - a[0] * a[0]\nout[2] = a[0] / 3.0 - 1",
    "powers": "out[0] = a[0]**2\nout[1] = abs(a[0])**0.5 + abs(a[0])**1.7\n"
    "out[2] = (1.0 + abs(a[0]))**-1 + a[0]**3 + a[0]**4",
    "functions": "out[0] = exp(a[0])\nout[1] = log(abs(a[0]) + 1.0)\nout[2] = sqrt(abs(a[0]))",
    "least and most": "out[0] = max(a[0], 0.5)\nout[1] = min(a[0], 0.5)\nout[2] = abs(-a[0])",
    "choices": "out[0] = where(a[0] > 0.0, a[0], 1.0)\nout[1] = where((a[0] > 0.0) & (a[0] < 3.0), 1.0, 0.0)\n"
    "out[2] = where((a[0] > -1.0) & ~(a[0] >= 2.0), a[0], -1.0)",
    "loops": "total = lanes(0.0)\nfor i in range(5):\n    total = total + a[0] * i\nout[0] = total\n"
    "for i in range(2, 4):\n    out[1] += i * a[0]",
    "a loop that is left": "n = 0\nwhile True:\n    n = n + 1\n    if n == 3:\n        continue\n    out[1] += a[0]\n"
    "    if n >= 6 and not (n < 2 or n == 7):\n        break\nout[0] = float(n)",
    "one of three ways": "for i in range(3):\n    if i == 0:\n        out[i] = 1.0\n    elif i == 1:\n"
    "        out[i] = a[0]\n    else:\n        out[i] = -a[0]",
    "constants": "out[0] = HALF * a[0]\nfor i in range(COUNT):\n    out[1] += 1.0\nout[2] = float(COUNT) / 2",
    "memory": "work = lane_array(4)\nnumbers = int_array(2)\nnumbers[1] = 2\nwork[numbers[1]] = a[0]\n"
    "view = part(work, 1)\nview[2] = 5.0\nout[0] = work[2]\nout[1] = work[3]\nout[2] = view[1] + work[0]",
}


@pytest.mark.parametrize("name", BODIES)
def test_a_text_means_the_same_in_every_lane_as_in_python(name: str) -> None:
    for width in WIDTHS:
        right = as_python(BODIES[name], width, "HALF, COUNT = 0.5, 3")
        np.testing.assert_allclose(in_lanes(BODIES[name], width, "HALF, COUNT = 0.5, 3"), right, rtol=1e-14)


@pytest.mark.parametrize("name", BODIES)
def test_the_bits_do_not_depend_on_the_number_of_lanes(name: str) -> None:
    widest = in_lanes(BODIES[name], 8, "HALF, COUNT = 0.5, 3")
    for width in WIDTHS[:-1]:
        np.testing.assert_array_equal(in_lanes(BODIES[name], width, "HALF, COUNT = 0.5, 3"), widest[:, :width])


def test_a_product_that_is_added_is_rounded_once() -> None:
    tiny = 2.0**-30
    body = (
        f"x = a[0] * 0.0 + {1 + tiny!r}\nout[0] = x * x - {1 + 2 * tiny!r}\nout[1] = 1.0 - x * x\nout[2] = 1.0 + x * x"
    )
    assert set(in_lanes(body, 4)[0]) == {tiny * tiny}  # two roundings would leave nothing


def test_functions_call_functions_with_one_lane_and_all_lanes() -> None:
    source = """
def double(x: Lanes) -> Lanes:
    return 2.0 * x

def put(lane: Int, value: Float, out) -> Bool:
    if value < 0.0:
        return False
    out[1, lane] = value
    return True

def run(a, out, count: Ints, amount: Float, shared: Floats) -> None:
    out[0] = double(a[0]) + amount
    for lane in range(LANES):
        if put(lane, a[0, lane], out):
            count[0] = count[0] + 1
        shared[lane] = out[0, lane]
    if any_lane(a[0] > 41.0):
        count[1] = 1
    for lane in range(LANES):
        if in_lane(a[0] < 0.0, lane):
            count[2] = count[2] + 1
    out[2] = first_lane(a[0])
"""
    for width in WIDTHS:
        a, out, shared = aligned(width, 1), aligned(width, 3), np.zeros(width)
        a[0], count = VALUES[:width], np.zeros(3, dtype=np.int64)
        compiled(source, width)(a, out, count, 0.5, shared)
        values = np.array(VALUES[:width])
        np.testing.assert_array_equal(out, [2 * values + 0.5, np.where(values < 0, 0, values), np.full(width, 0.3)])
        assert list(count) == [np.sum(values >= 0), int((values > 41).any()), np.sum(values < 0)]
        np.testing.assert_array_equal(shared, out[0])


def test_what_is_not_a_number_stays_so_and_compares_as_in_python() -> None:
    body = (
        "x = (a[0] - a[0]) / 0.0\nout[0] = max(x, 0.0)\n"
        "out[1] = where(x > 0.0, 1.0, where(x != x, 2.0, 3.0))\nout[2] = where(finite(x), 1.0, 0.0)"
    )
    found = in_lanes(body, 4)
    assert np.isnan(found[0]).all()
    assert set(found[1]) == {2.0}
    assert set(found[2]) == {0.0}


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("out[0] = sin(a[0])", "the word 'sin' is not known"),
        ("out[0] = b", "'b' has no value here"),
        ("if a[0] > 0.0:\n        out[0] = 1.0", "a branch needs one yes or no for all lanes, not a Mask"),
        ("for x in a:\n        out[0] = x", r"loops run over range\(...\)"),
        ("out[0] = [1.0]", "the expression List is not known"),
        ("with a:\n        pass", "the statement With is not known"),
        ("n = 1\n    n = a[0]", "a Lanes cannot stand where a Int is needed"),
        ("out[0] = a[0] if a[0] > 1 else 0.0", "the expression IfExp is not known"),
        ("out[0] = 0.0 < a[0] < 1.0", "compare two values at a time"),
        ("out[0] = a[0] % 2", "the operation Mod is not known"),
        ("n = 1\n    out[0] = n[0]", "a Int has no places"),
    ],
)
def test_what_the_language_does_not_know_is_one_clear_error(body: str, complaint: str) -> None:
    with pytest.raises(TranslationError, match=complaint):
        translate(f"def run(a, out):\n    {body}\n", 4, ["run"])


def test_a_function_that_promises_a_number_must_return_one() -> None:
    with pytest.raises(TranslationError, match="'f' may end without returning a Float"):
        translate("def f(n: Int) -> Float:\n    if n > 0:\n        return 1.0\n", 4, [])


def test_wrong_numbers_of_arguments_and_unknown_kinds_are_errors() -> None:
    with pytest.raises(TranslationError, match="'f' takes 1 arguments, got 2"):
        translate("def f(n: Int) -> Int:\n    return n\n\ndef g() -> None:\n    f(1, 2)\n", 4, [])
    with pytest.raises(TranslationError, match="'Integer' is no kind of value"):
        translate("def f(n: Integer) -> None:\n    pass\n", 4, [])
    with pytest.raises(TranslationError, match="While does not belong at the top"):
        translate("while True:\n    pass\n", 4, [])
