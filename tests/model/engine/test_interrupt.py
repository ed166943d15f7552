"""Ctrl-C ends a simulation at once, whichever engine runs."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os
import signal
import numpy as np
from perdure import Solver, draw, give, infuse, make_patients, read_catalogue, simulate
from perdure.model import simulate as door

signal.signal(signal.SIGINT, signal.default_int_handler)  # what is started in the background ignores Ctrl-C
catalogue = read_catalogue()
patients = make_patients(catalogue, draw(catalogue, {n}, seed=8), product="ide_cel", population="late_line")
regimen = infuse("ide_cel") + give("lenalidomide", start=21, months=60)
done = [0]


class Counted(door.Batch):
    def advance(self, *arguments, **more):
        os.write(1, b"running\\n")  # at once and whole, whichever thread it is
        super().advance(*arguments, **more)
        done[0] += int(np.sum(self.day == 2000.0))


door.Batch = Counted
try:
    simulate(patients, regimen, times=[0.0, 2000.0], solver=Solver(engine="{engine}", workers={workers}))
    print("finished")
except KeyboardInterrupt:
    print("interrupted after", done[0])
"""


@pytest.mark.parametrize(("engine", "workers", "n"), [("compiled", 1, 5000), ("compiled", 2, 5000), ("scipy", 1, 200)])
def test_ctrl_c_ends_a_simulation_long_before_its_last_patient(
    engine: str, workers: int, n: int, tmp_path: Path
) -> None:
    code = PROGRAM.format(engine=engine, workers=workers, n=n)
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "running\n"
        child.send_signal(signal.SIGINT)
        said = child.stdout.read().splitlines()
    assert child.returncode == 0
    assert said[-1].startswith("interrupted after")
    assert int(said[-1].split()[-1]) < n / 2
