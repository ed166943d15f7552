"""A digest of today's numbers, bit for bit: of every number in `groups.py` the SHA-256 of its bytes.

    python tests/baselines/digest.py                   recompute all, and say which numbers differ from digest.json
    python tests/baselines/digest.py treat "search"    only these groups
    python tests/baselines/digest.py --renew           write what differs into digest.json

Bits depend on the processor (its vectors, its fused multiply-add) and on the libraries whose exponentials and sums are
used, so hashes are kept by kind of machine; `--renew` leaves those of other kinds alone.
"""

import argparse
import hashlib
import json
import platform
import runpy
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from perdure.model.engine.processor import identity, vector_lanes

FOLDER = Path(__file__).resolve().parent
FILE = FOLDER / "digest.json"
GROUPS: dict[str, Callable[[], Mapping[str, Any]]] = runpy.run_path(str(FOLDER / "groups.py"))["GROUPS"]
LIBRARIES = ("numpy", "scipy", "sympy", "cma")
"""Beside the compiler: what computes, or decides in which order it is computed."""

Hashes = dict[str, str]


def kind_of_machine() -> str:
    """What the bits of a number depend on, in words, with a mark of everything that the words leave out."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    libc = " ".join(platform.libc_ver()).strip() or platform.system()
    whole = f"{identity()}, Python {platform.python_version()}, {libraries}, {libc}"
    mark = hashlib.sha256(whole.encode()).hexdigest()[:12]
    return f"{platform.machine()} {identity().split()[0]}, {vector_lanes()} lanes, {libraries}, {libc}, {mark}"


def hashed(number: Any) -> str:
    """SHA-256 of a text, or of the float64 bytes of an array whatever its shape, with one pattern of bits for NaN."""
    if isinstance(number, str):
        return hashlib.sha256(number.encode()).hexdigest()
    array = np.array(number, dtype="<f8", order="C")
    array[np.isnan(array)] = np.nan
    return hashlib.sha256(array.tobytes()).hexdigest()


def digest_of(group: str) -> Hashes:
    """Hashes of a group by the names of its numbers."""
    with threadpool_limits(limits=1, user_api="blas"):  # a product of matrices on more threads is summed otherwise
        return {name: hashed(number) for name, number in GROUPS[group]().items()}


def read_digests() -> dict[str, dict[str, Hashes]]:
    """What was frozen: by kind of machine, group and name."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def differing(frozen: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Names whose hashes differ, and why."""
    moved = [f"{name}: moved" for name in frozen if name in found and found[name] != frozen[name]]
    gone = [f"{name}: is no longer there" for name in frozen if name not in found]
    return moved + gone + [f"{name}: is new" for name in found if name not in frozen]


def main(arguments: Iterable[str] | None = None) -> int:
    """Recompute, compare, and write if that was asked for; 1 if something differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("groups", nargs="*", metavar="group", help="only these groups")
    parser.add_argument("--renew", action="store_true", help="write digest.json")
    parser.add_argument("--show", action="store_true", help="print the hashes as JSON and compare nothing")
    chosen = parser.parse_args(None if arguments is None else list(arguments))
    if unknown := [name for name in chosen.groups if name not in GROUPS]:
        parser.error(f"there is no group {unknown[0]!r}; there are {', '.join(GROUPS)}")
    wanted = chosen.groups or list(GROUPS)
    if chosen.show:
        print(json.dumps({group: digest_of(group) for group in wanted}))
        return 0
    kind, digests = kind_of_machine(), read_digests()
    frozen, differences = digests.setdefault(kind, {}), 0
    print(kind)
    for group in wanted:
        start, processor = time.perf_counter(), time.process_time()
        found = digest_of(group)
        lines = differing(frozen.get(group, {}), found)
        seconds = f"{time.perf_counter() - start:.1f} s, {time.process_time() - processor:.1f} s of processor"
        print(f"{group}: {len(found)} names, {len(lines)} differ ({seconds})", flush=True)
        print("".join(f"  {line}\n" for line in lines), end="")
        differences += len(lines)
        frozen[group] = found
    if chosen.renew:
        digests[kind] = {group: frozen[group] for group in GROUPS if group in frozen}
        FILE.write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")
        return 0
    return int(differences > 0)


if __name__ == "__main__":
    sys.exit(main())
