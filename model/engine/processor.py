"""The processor at hand: patients per vector, machine code, and functions that Python can call."""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import llvmlite
import llvmlite.binding as llvm
from llvmlite import ir

_TYPES = {"Int": ctypes.c_int64, "Float": ctypes.c_double}


@cache
def _machine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    features = llvm.get_host_cpu_features().flatten()
    # small: the constants of the code stand near it
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=2, reloc="pic", codemodel="small"
    )


@cache
def identity() -> str:
    """What compiled code depends on: processor, its features, library versions."""
    features = llvm.get_host_cpu_features().flatten()
    return " ".join([llvm.get_host_cpu_name(), features, llvmlite.__version__, str(llvm.llvm_version_info)])


def vector_lanes() -> int:
    """Patients per vector: 8 where the processor has vectors of 512 bits, else 4."""
    return 8 if llvm.get_host_cpu_features().get("avx512f", False) else 4


def machine_code(module: ir.Module) -> bytes:
    """Optimised object code of a module."""
    machine = _machine()
    module.triple = machine.triple
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    tuning = llvm.create_pipeline_tuning_options(speed_level=2)
    tuning.loop_vectorization = tuning.slp_vectorization = False  # the code is vectors already
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(parsed, builder)
    return machine.emit_object(parsed)


class Library:
    """Loaded machine code; its functions live as long as it does."""

    def __init__(self, code: bytes, signatures: Mapping[str, Sequence[str]]) -> None:
        self._jit = llvm.create_lljit_compiler(_machine())
        builder = llvm.JITLibraryBuilder().add_object_img(code)
        for name in signatures:
            builder.export_symbol(name)
        self._tracker = builder.link(self._jit, "model")
        self.functions: dict[str, Callable[..., None]] = {}
        for name, kinds in signatures.items():
            types = [_TYPES.get(kind, ctypes.c_void_p) for kind in kinds]
            self.functions[name] = ctypes.CFUNCTYPE(None, *types)(self._tracker[name])
