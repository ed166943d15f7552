"""libroadrunner: the system as SBML, compiled by the library (LLVM), followed by its CVODE."""

import importlib
from typing import Any, ClassVar

import numpy as np

from peers.problem import MOST_STEPS, Peer, Problem
from peers.sbml import Drug, Model


class RoadRunner(Peer):
    """CVODE with BDF (its Adams method is far slower here), absolute tolerances by state, doses as an SBML event.

    Events were faster than numbers set between segments from outside. The model is compiled once for all patients.
    """

    name: ClassVar[str] = "libroadrunner"

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        days: dict[int, list[float]] = {}
        for day, doses in problem.doses.items():
            for drug, _ in doses:
                days.setdefault(drug, []).append(day)
        drugs = {drug: Drug(problem.system.inputs[drug].drug, days[drug]) for drug in days}
        model = Model(problem.system, list(drugs.values()))
        self.runner: Any = importlib.import_module("roadrunner").RoadRunner(model.text())
        states = [state.name for state in problem.system.states]
        self.runner.timeCourseSelections = states
        place = {name: i for i, name in enumerate(self.runner.model.getGlobalParameterIds())}
        self.places = [place[name] for name in (*model.settable, *states)]
        values = model.numbers(problem.patients) | self._of_drugs(drugs)
        self.values = np.column_stack([*(values[name] for name in model.settable), problem.start])
        order = [self.runner.model.getStateVectorId(i) for i in range(len(states))]
        self.tolerance = [float(problem.tolerance[states.index(name)]) for name in order]

    def _of_drugs(self, drugs: dict[int, Drug]) -> dict[str, np.ndarray]:
        problem, values, none = self.problem, {}, np.zeros(self.problem.n)
        for number, drug in drugs.items():
            amounts = {amount for doses in problem.doses.values() for other, amount in doses if other == number}
            if len(amounts) > 1:
                raise ValueError(f"{drug.name}: doses of {sorted(amounts)}; the SBML model repeats one amount.")
            for k in range(2):
                values[str(drug.part[k])] = none
                values[str(drug.rate[k])] = problem.rate[:, number, k]
                values[str(drug.dose[k])] = min(amounts) * problem.weight[:, number, k]
            values[str(drug.last)], values[str(drug.next)] = none, none + drug.days[0]
        return values

    def run(self, rtol: float) -> np.ndarray:
        """Follow all patients."""
        problem, runner = self.problem, self.runner
        solver = runner.integrator
        solver.stiff, solver.maximum_num_steps, solver.relative_tolerance = True, MOST_STEPS, rtol
        solver.setValue("absolute_tolerance", self.tolerance)
        states = np.empty((problem.n, len(problem.grid), problem.start.shape[1]))
        for patient in range(problem.n):
            runner.reset()
            runner.model.setGlobalParameterValues(self.places, self.values[patient])
            runner.model.setTime(0.0)
            states[patient] = runner.simulate(times=problem.grid)
        return problem.burden(states)
