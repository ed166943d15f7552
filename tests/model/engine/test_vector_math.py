"""The exponential, logarithm and power of the vector engine, against 40 digits, for every number of lanes."""

import ctypes
import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import mpmath
import numpy as np
import pytest
from llvmlite import ir

from perdure.model.engine.vector_math import define_exp, define_log, define_power

LANES = (1, 2, 4, 8)
N = 2000  # values of a random sample; divisible by every number of lanes
SMALLEST, SMALLEST_NORMAL, LARGEST = 5e-324, 2.0**-1022, 1.7976931348623157e308
DEFINITIONS = {"exp": define_exp, "log": define_log, "power": define_power}
DOUBLE, INTEGER, POINTER = ir.DoubleType(), ir.IntType(64), ir.PointerType()

mpmath.mp.dps = 40


@cache
def compiled(lanes: int) -> llvm.ExecutionEngine:
    """The three functions with this number of lanes, each in a loop over arrays, for the processor at hand."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    module = llvm.parse_assembly(str(written(lanes)))
    module.verify()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(module, builder)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine


def written(lanes: int) -> ir.Module:
    module = ir.Module("vector_math")
    for name, define in DEFINITIONS.items():
        write_loop(define(module, lanes), f"{name}_of_arrays", lanes)
    return module


def write_loop(function: ir.Function, name: str, lanes: int) -> None:
    """One C function (size, arguments..., result) that applies a function to vectors of consecutive numbers."""
    inputs = len(function.args)
    loop = ir.Function(function.module, ir.FunctionType(ir.VoidType(), [INTEGER] + [POINTER] * (inputs + 1)), name)
    entry, body, end = (loop.append_basic_block(block) for block in ("entry", "body", "end"))
    ir.IRBuilder(entry).branch(body)
    build = ir.IRBuilder(body)
    place = build.phi(INTEGER)
    vector = function.function_type.return_type
    at = [build.gep(array, [place], source_etype=DOUBLE) for array in loop.args[1:]]
    values = [build.load(where, align=8, typ=vector) for where in at[:inputs]]
    build.store(build.call(function, values), at[inputs], align=8)
    following = build.add(place, ir.Constant(INTEGER, lanes))
    place.add_incoming(ir.Constant(INTEGER, 0), entry)
    place.add_incoming(following, body)
    build.cbranch(build.icmp_signed("<", following, loop.args[0]), body, end)
    ir.IRBuilder(end).ret_void()


def applied(name: str, *arguments: np.ndarray, lanes: int = 4) -> np.ndarray:
    """A function of arrays of equal length, a multiple of the number of lanes."""
    assert all(len(values) % lanes == 0 for values in arguments)
    arrays = [*map(np.ascontiguousarray, arguments), np.empty(len(arguments[0]))]
    address = compiled(lanes).get_function_address(f"{name}_of_arrays")
    call = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * len(arrays))(address)
    call(len(arrays[0]), *[array.ctypes.data for array in arrays])
    return arrays[-1]


def at(name: str, *arguments: float) -> float:
    return float(applied(name, *[np.full(4, value) for value in arguments])[0])


def units_in_the_last_place(got: np.ndarray, exact: Callable[..., Any], *arguments: np.ndarray) -> float:
    """Largest distance from the exact values, in units in the last place of these."""
    wanted = [exact(*map(mpmath.mpf, row)) for row in zip(*arguments, strict=True)]
    return max(float(abs(mpmath.mpf(g) - w) / math.ulp(float(w))) for g, w in zip(map(float, got), wanted, strict=True))


def relative_error(got: np.ndarray, base: np.ndarray, exponent: np.ndarray) -> float:
    wanted = [mpmath.power(b, n) for b, n in zip(base, exponent, strict=True)]
    return max(float(abs(mpmath.mpf(float(g)) / w - 1)) for g, w in zip(got, wanted, strict=True))


def numbers(low: float, high: float, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, N)


def any_positive_double(seed: int) -> np.ndarray:
    """Bit patterns drawn at random: every exponent is equally likely, subnormal numbers among them."""
    largest = int(np.array(LARGEST).view(np.int64))
    return np.random.default_rng(seed).integers(1, largest, N, endpoint=True).view(np.float64)


# the exponential


@pytest.mark.parametrize(("low", "high"), [(-708.0, 709.7), (-30.0, 30.0), (-1.0, 1.0), (-1e-8, 1e-8)])
def test_the_exponential_is_right_to_one_unit_in_the_last_place(low: float, high: float) -> None:
    x = numbers(low, high)
    assert units_in_the_last_place(applied("exp", x), mpmath.exp, x) < 1.03


def test_the_exponential_keeps_its_precision_where_its_power_of_two_changes() -> None:
    edges = (np.arange(-500, 500) + 0.5) * math.log(2.0)
    x = np.concatenate([np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf)])
    assert units_in_the_last_place(applied("exp", x), mpmath.exp, x) < 1.03


def test_the_exponential_runs_out_through_the_subnormal_numbers() -> None:
    x = numbers(-745.0, -708.0)
    assert units_in_the_last_place(applied("exp", x), mpmath.exp, x) < 1.03
    assert at("exp", -745.13) == SMALLEST


def test_the_exponential_of_zero_is_one() -> None:
    assert at("exp", 0.0) == 1.0
    assert at("exp", -0.0) == 1.0


@pytest.mark.parametrize("x", [-745.2, -746.0, -1e4, -LARGEST, -math.inf])
def test_the_exponential_of_a_very_negative_number_is_zero(x: float) -> None:
    assert at("exp", x) == 0.0


@pytest.mark.parametrize("x", [709.79, 710.0, 1e4, LARGEST, math.inf])
def test_the_exponential_of_a_very_large_number_is_infinite(x: float) -> None:
    assert at("exp", x) == math.inf
    assert math.isfinite(at("exp", 709.78))


# the logarithm


@pytest.mark.parametrize("seed", [1, 2])
def test_the_logarithm_of_any_positive_number_is_right_to_one_unit_in_the_last_place(seed: int) -> None:
    x = any_positive_double(seed)
    assert units_in_the_last_place(applied("log", x), mpmath.log, x) < 1.0


@pytest.mark.parametrize(("low", "high"), [(0.5, 2.0), (0.7, 0.72), (0.99, 1.01), (1 - 1e-9, 1 + 1e-9), (1e-3, 1e3)])
def test_the_logarithm_keeps_its_precision_near_one_and_where_its_power_of_two_changes(low: float, high: float) -> None:
    x = numbers(low, high)
    assert units_in_the_last_place(applied("log", x), mpmath.log, x) < 1.0


def test_the_logarithm_of_a_subnormal_number_is_right() -> None:
    x = np.concatenate([np.linspace(SMALLEST_NORMAL / N, SMALLEST_NORMAL, N - 4), [SMALLEST, 1e-323, 2e-310, 1e-308]])
    assert units_in_the_last_place(applied("log", x), mpmath.log, x) < 1.0


def test_the_logarithm_at_the_ends() -> None:
    assert at("log", 1.0) == 0.0
    assert at("log", 0.0) == at("log", -0.0) == -math.inf
    assert at("log", math.inf) == math.inf


@pytest.mark.parametrize("x", [-SMALLEST, -1e-300, -1.0, -LARGEST, -math.inf])
def test_a_negative_number_has_no_logarithm_and_no_power(x: float) -> None:
    assert math.isnan(at("log", x))
    assert all(math.isnan(at("power", x, n)) for n in (0.5, 1.0, -2.0))


# the power


@pytest.mark.parametrize("seed", [1, 2])
def test_a_power_of_any_number_keeps_14_digits_when_it_lies_within_30_decades(seed: int) -> None:
    base = any_positive_double(seed)
    exponent = numbers(-69.0, 69.0, seed) / np.log(base)
    assert relative_error(applied("power", base, exponent), base, exponent) < 5e-15


@pytest.mark.parametrize("spread", [1e-12, 1e-3, 0.5])
def test_a_high_power_of_a_number_near_one_keeps_14_digits(spread: float) -> None:
    base = 1.0 + spread * numbers(-1.0, 1.0)
    exponent = numbers(-69.0, 69.0, seed=2) / np.log(base)
    assert relative_error(applied("power", base, exponent), base, exponent) < 5e-15


def test_a_power_near_the_largest_or_smallest_normal_number_keeps_13_digits() -> None:
    base = any_positive_double(3)
    exponent = np.where(np.arange(N) % 2, -708.0, 709.0) / np.log(base)
    assert relative_error(applied("power", base, exponent), base, exponent) < 5e-14


def test_a_hill_term_keeps_15_digits() -> None:
    base, exponent = 10.0 ** numbers(-8.0, 8.0), numbers(0.3, 6.0, seed=2)
    assert relative_error(applied("power", base, exponent), base, exponent) < 5e-16


@pytest.mark.parametrize("n", [SMALLEST, 0.3, 1.0, -2.5, 1e10, LARGEST, -LARGEST])
def test_a_power_of_one_is_one(n: float) -> None:
    assert at("power", 1.0, n) == 1.0


@pytest.mark.parametrize("base", [0.0, SMALLEST, 0.3, 1.0, 7.0, LARGEST, math.inf])
def test_the_power_zero_is_one(base: float) -> None:
    assert at("power", base, 0.0) == 1.0
    assert at("power", base, -0.0) == 1.0


@pytest.mark.parametrize("n", [1e-300, 0.1, 1.0, 2.7, 1e300])
def test_powers_of_zero_and_infinity_are_zero_and_infinity(n: float) -> None:
    assert at("power", 0.0, n) == at("power", math.inf, -n) == 0.0
    assert at("power", 0.0, -n) == at("power", math.inf, n) == math.inf


@pytest.mark.parametrize(("base", "n"), [(2.0, 1100.0), (0.5, -1e300), (1.5, LARGEST), (LARGEST, 1.1), (2.0, math.inf)])
def test_a_power_beyond_the_doubles_is_infinite_and_its_reciprocal_zero(base: float, n: float) -> None:
    assert at("power", base, n) == math.inf
    assert at("power", base, -n) == 0.0


def test_the_first_power_is_the_number_itself() -> None:
    base = any_positive_double(4)
    np.testing.assert_allclose(applied("power", base, np.ones(N)), base, rtol=5e-16, atol=SMALLEST)


# all of them


def test_what_is_not_a_number_stays_so() -> None:
    nan = math.nan
    assert math.isnan(at("exp", nan))
    assert math.isnan(at("log", nan))
    assert all(math.isnan(at("power", *pair)) for pair in [(nan, 2.0), (2.0, nan), (nan, nan), (1.0, nan), (nan, 0.0)])


@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_bits_are_the_same_for_any_number_of_lanes(name: str) -> None:
    special = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, SMALLEST, LARGEST, -745.13, 709.78, 1e-310]
    one = np.concatenate([special, any_positive_double(5), numbers(-750.0, 750.0), special, numbers(0.0, 9.0)])
    pair = (np.resize(one, 6000), np.resize(np.roll(numbers(-9.0, 9.0), 3), 6000))
    arguments = pair if name == "power" else pair[:1]
    first = applied(name, *arguments, lanes=1)
    numeric = ~np.isnan(first)
    assert numeric.sum() > N
    for lanes in LANES[1:]:
        other = applied(name, *arguments, lanes=lanes)
        np.testing.assert_array_equal(np.isnan(other), ~numeric)
        np.testing.assert_array_equal(other.view(np.int64)[numeric], first.view(np.int64)[numeric])


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize(
    ("processor", "cpu"), [("x86_64", "x86-64-v3"), ("x86_64", "x86-64-v4"), ("aarch64", "generic")]
)
def test_no_function_branches_or_calls_the_c_library(processor: str, cpu: str, lanes: int) -> None:
    module = written(lanes)
    functions = [function for function in module.functions if function.name.startswith("vector_")]
    assert [len(function.blocks) for function in functions] == [1] * len(DEFINITIONS)
    assert not names_from_the_c_library(module, processor, cpu)


def test_the_search_for_calls_of_the_c_library_finds_them() -> None:
    assert names_from_the_c_library(written(4), "x86_64", "x86-64-v2") == {"fma"}  # it has no such instruction


def names_from_the_c_library(module: ir.Module, processor: str, cpu: str) -> set[str]:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(f"{processor}-unknown-linux-gnu")
    machine = target.create_target_machine(cpu=cpu, opt=3, codemodel="small")
    return set(re.findall(r"(?<![\w.])(?:exp|exp2|log|pow|fma|rint|ldexp)(?![\w.])", assembly(machine, module)))


def assembly(machine: llvm.TargetMachine, module: ir.Module) -> str:
    return machine.emit_assembly(llvm.parse_assembly(str(module)))


def test_equal_calls_are_merged_and_unused_ones_dropped() -> None:
    module = ir.Module("calls")
    exp = define_exp(module, 4)
    exp.attributes.add("noinline")
    vector = exp.function_type.return_type
    twice = ir.Function(module, ir.FunctionType(vector, [vector, vector]), "twice")
    build = ir.IRBuilder(twice.append_basic_block("entry"))
    build.call(exp, [twice.args[1]])
    build.ret(build.fadd(build.call(exp, [twice.args[0]]), build.call(exp, [twice.args[0]])))
    parsed = llvm.parse_assembly(str(module))
    llvm.initialize_native_target()
    machine = llvm.Target.from_default_triple().create_target_machine(opt=3)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(parsed, builder)
    optimised = str(parsed.get_function("twice"))
    assert optimised.count("@vector_exp") == 1
