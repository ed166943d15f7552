"""What every benchmark shares: its options, its clock, and a record of its ratios beside that of the last release.

A ratio is one processor time over another of the same run (or one memory over another), so that it means something on
any machine; seconds are never compared. Each run writes its record; the last release's is committed as
`benchmarks/results/NAME.json`. A ratio counts as worse when it is worse by more than a factor of `NOISE`: on a machine
shared with others two runs of the same code differ by tens of per cent, so repeat a run before you believe it.
"""

import argparse
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import llvmlite.binding as llvm
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator
from threadpoolctl import threadpool_limits

import perdure
from perdure.model.engine.processor import vector_lanes
from perdure.parameters.errors import FileError, InputError
from perdure.parameters.files import complain, read_text

NOISE = 1.5
"""A ratio that is worse by more than this factor is taken for a regression, one that is worse by less for noise."""
ROUNDS = 3
"""Rounds of which the fastest run counts, for everybody alike."""
BASELINES = Path(__file__).resolve().parent / "results"
RECORDS = Path("runs") / "benchmarks"
ALWAYS = ("numpy", "scipy", "llvmlite")
"""Libraries that decide how fast we are; a benchmark adds those of its peers."""

Result = TypeVar("Result")


class _Written(BaseModel):
    """What stands in a record: fixed once written, every key known, every number finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Ratio(_Written):
    """One number of a benchmark; `meaning` says what is divided by what."""

    name: str = Field(min_length=1)
    value: float = Field(gt=0.0)
    meaning: str = Field(min_length=1)
    higher_is_better: bool = True

    @field_validator("value")
    @classmethod
    def _four_digits(cls, value: float) -> float:
        return float(f"{value:.4g}")  # more digits would be noise


class Machine(_Written):
    """What of a machine a ratio depends on, without saying whose it is."""

    processor: str
    patients_per_vector: int
    cores: int


class Record(_Written):
    """One run of one benchmark: `sizes` decide what its ratios mean, `not_run` says what is missing, and why."""

    benchmark: str
    perdure: str
    machine: Machine
    versions: dict[str, str]
    sizes: dict[str, JsonValue]
    ratios: tuple[Ratio, ...]
    not_run: dict[str, str]

    @field_validator("ratios")
    @classmethod
    def _named_once(cls, ratios: tuple[Ratio, ...]) -> tuple[Ratio, ...]:
        names = [ratio.name for ratio in ratios]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"'{twice[0]}' stands there twice; a ratio has a name of its own")
        return ratios


def write_record(record: Record, file: Path) -> None:
    """Write a record as JSON; its folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_record(file: Path) -> Record:
    """Read what `write_record` wrote; InputError if it is anything else."""
    try:
        return Record.model_validate_json(read_text(file))
    except ValidationError as problem:
        first = problem.errors()[0]
        if not first["loc"]:
            raise FileError(f"{file}: is not the record of a benchmark: {first['msg']}.") from None
        raise complain(problem, str(file), Record.model_fields) from None


class Verdict(StrEnum):
    """What a ratio says beside that of the last release."""

    WORSE = "WORSE"
    BETTER = "better"
    WITHIN_NOISE = "within the noise"
    NEW = "new"
    MISSING = "not measured now"
    REDEFINED = "means something else now"
    CONDITIONS = "not compared"


COMPARED = frozenset({Verdict.WORSE, Verdict.BETTER, Verdict.WITHIN_NOISE})
"""Verdicts that rest on two numbers."""


@dataclass(frozen=True)
class Comparison:
    """One ratio now and at the last release, either of which may be missing."""

    now: Ratio | None
    released: Ratio | None
    verdict: Verdict

    @property
    def name(self) -> str:
        """Name of the ratio, and its direction where it is the unusual one."""
        ratio = self.now or self.released
        return "" if ratio is None else ratio.name if ratio.higher_is_better else f"{ratio.name} (lower is better)"

    @property
    def quotient(self) -> float | None:
        """Ratio now over ratio at the release, where one says something of the other."""
        if self.now is None or self.released is None or self.verdict not in COMPARED:
            return None
        return self.now.value / self.released.value


def differences(record: Record, baseline: Record) -> tuple[str, ...]:
    """Conditions without which ratios are not alike: sizes, cores, patients per vector; here and at the release."""
    here, there = (
        {**run.sizes, "cores": run.machine.cores, "patients per vector": run.machine.patients_per_vector}
        for run in (record, baseline)
    )
    return tuple(
        f"{name}: {here.get(name, 'unknown')} here, {there.get(name, 'unknown')} at the release"
        for name in dict.fromkeys((*here, *there))
        if here.get(name) != there.get(name)
    )


def compare(record: Record, baseline: Record | None) -> tuple[Comparison, ...]:
    """Every ratio of either record, those of the present run first."""
    released = {} if baseline is None else {ratio.name: ratio for ratio in baseline.ratios}
    alike = baseline is not None and not differences(record, baseline)
    now = {ratio.name: ratio for ratio in record.ratios}
    pairs = [(now.get(name), released.get(name)) for name in dict.fromkeys((*now, *released))]
    return tuple(Comparison(*pair, _verdict(*pair) if alike else Verdict.CONDITIONS) for pair in pairs)


def _verdict(now: Ratio | None, released: Ratio | None) -> Verdict:
    if now is None:
        return Verdict.MISSING
    if released is None:
        return Verdict.NEW
    if (now.meaning, now.higher_is_better) != (released.meaning, released.higher_is_better):
        return Verdict.REDEFINED
    gain = now.value / released.value if now.higher_is_better else released.value / now.value
    return Verdict.WORSE if gain < 1.0 / NOISE else Verdict.BETTER if gain > NOISE else Verdict.WITHIN_NOISE


def table(record: Record, baseline: Record | None) -> str:
    """The ratios of a run beside those of the last release, and all that makes them unlike each other."""
    release = "release" if baseline is None else baseline.perdure
    comparisons = compare(record, baseline)
    width = max([len(comparison.name) for comparison in comparisons], default=0) + 2
    lines = [f"{'ratio':<{width}}{'now':>10}{release:>10}{'quotient':>10}  verdict"]
    for comparison in comparisons:
        values = [ratio and ratio.value for ratio in (comparison.now, comparison.released)]
        cells = ["-" if number is None else f"{number:.3g}" for number in (*values, comparison.quotient)]
        lines.append(f"{comparison.name:<{width}}{''.join(f'{cell:>10}' for cell in cells)}  {comparison.verdict}")
    if baseline is None:
        lines.append("There is no record of a release to compare with; --release writes one.")
    else:
        lines += [f"Not compared, because conditions differ. {text}" for text in differences(record, baseline)]
        lines += [f"Differs, and may explain a change. {text}" for text in _said_only(record, baseline)]
        lines.append(f"Noise: up to a factor of {NOISE:g} in either direction; repeat a run that says {Verdict.WORSE}.")
    return "\n".join(lines + [f"No ratio of {name}: {reason}" for name, reason in record.not_run.items()])


def _said_only(record: Record, baseline: Record) -> list[str]:
    here, there = ({"processor": run.machine.processor, **run.versions} for run in (record, baseline))
    return [
        f"{name}: {here[name]} here, {there[name]} at the release"
        for name in here
        if name in there and here[name] != there[name]
    ]


class Benchmark:
    """One run of a script: its options, and the ratios that it finds, or why it does not.

    `quick` are the options that `--quick` sets: the sizes at which releases are compared.
    """

    def __init__(
        self, name: str, description: str | None, quick: Mapping[str, Any], baselines: Path = BASELINES
    ) -> None:
        self.name, self.quick, self.released = name, quick, baselines / f"{name}.json"
        self.ratios: list[Ratio] = []
        self.not_run: dict[str, str] = {}
        self.options = argparse.ArgumentParser(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        file = RECORDS / f"{name}.json"
        self.options.add_argument("--quick", action="store_true", help="small sizes, those of the released ratios")
        self.options.add_argument("--write", type=Path, default=file, help=f"file for the ratios (default {file})")
        self.options.add_argument("--strict", action="store_true", help="exit code 1 if one is worse, or none compared")
        self.options.add_argument("--release", action="store_true", help="keep these as the release's too")

    def parse(self, arguments: Sequence[str] | None = None) -> argparse.Namespace:
        """Read the options, and the last release's record before minutes are spent: exit code 2 if it is malformed."""
        if self.options.parse_known_args(arguments)[0].quick:
            self.options.set_defaults(**self.quick)
        self.chosen = self.options.parse_args(arguments)
        try:
            self.baseline = read_record(self.released) if self.released.exists() else None
        except InputError as problem:
            self.options.exit(2, f"{problem}\n")
        return self.chosen

    def record(self, name: str, value: float, meaning: str, *, higher_is_better: bool = True) -> None:
        """Keep a ratio; of two times of our own it cannot tell which of them changed, so divide by a peer's."""
        self.ratios.append(Ratio(name=name, value=value, meaning=meaning, higher_is_better=higher_is_better))

    def finish(self, *, sizes: Sequence[str], libraries: Sequence[str] = ()) -> int:
        """Write the record, print the comparison, and return the exit code; `sizes` are names of options."""
        record = Record(
            benchmark=self.name,
            perdure=perdure.__version__,
            machine=Machine(
                processor=llvm.get_host_cpu_name(),
                patients_per_vector=vector_lanes(),
                cores=os.cpu_count() or 1,
            ),
            versions={"python": platform.python_version()}
            | {library: importlib.metadata.version(library) for library in (*ALWAYS, *libraries)},
            sizes={name: getattr(self.chosen, name) for name in sizes},
            ratios=tuple(self.ratios),
            not_run=self.not_run,
        )
        for file in (self.chosen.write, self.released) if self.chosen.release else (self.chosen.write,):
            write_record(record, file)
        print(f"\n{table(record, self.baseline)}\nWritten to {self.chosen.write}")
        verdicts = {comparison.verdict for comparison in compare(record, self.baseline)}
        return int(self.chosen.strict and (Verdict.WORSE in verdicts or not verdicts & COMPARED))


def fastest(
    runs: Sequence[Callable[[], Result]], *, rounds: int = ROUNDS, seconds: float = 0.0
) -> list[tuple[float, Result]]:
    """Processor time of the fastest of several runs of each, in seconds, and what it returned.

    Everybody has a turn of at least so many seconds in every round, so that a machine which is slow for a while is slow
    for everybody. The time is that of all threads of this process, because others may be at work; linear algebra has
    one thread, because those that wait in a loop would be counted.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        turns = [[_turn(run, seconds) for run in runs] for _ in range(rounds)]
    return [min(same, key=lambda turn: turn[0]) for same in zip(*turns, strict=True)]


def _turn(run: Callable[[], Result], seconds: float) -> tuple[float, Result]:
    times: list[float] = []
    while True:
        start = time.process_time()
        result = run()
        times.append(max(time.process_time() - start, 1e-6))  # no clock is finer, and no time is zero
        if sum(times) >= seconds:
            return min(times), result
