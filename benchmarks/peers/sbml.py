"""The same system as SBML (level 3, version 2): for libroadrunner, and for anything else that reads SBML.

States are parameters with rate rules and flows are assignment rules, so that every flow is computed once. What depends
on a patient's parameters only is a number that is set, as an experienced user would do. Drug levels are closed-form
sums of exponentials since the last dose, and the doses of a drug are one event that sets its own next day.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any
from xml.dom.minidom import Document, Element

import numpy as np
import sympy
from sympy.printing.mathml import MathMLContentPrinter

from perdure.model.system.system import System

NAMESPACE = "http://www.sbml.org/sbml/level3/version2/core"
MATHML = "http://www.w3.org/1998/Math/MathML"
TIME = sympy.Symbol("time", real=True)
NEVER = 1e9
"""A day after all days."""


class _Printer(MathMLContentPrinter):
    """Content MathML in which a name is a name: no subscripts are read into it."""

    def _print_Symbol(self, sym: sympy.Symbol) -> Element:  # noqa: N802  (the name that sympy calls)
        if sym == TIME:
            node = self.dom.createElement("csymbol")
            node.setAttribute("encoding", "text")
            node.setAttribute("definitionURL", "http://www.sbml.org/sbml/symbols/time")
        else:
            node = self.dom.createElement("ci")
        node.appendChild(self.dom.createTextNode(sym.name))
        return node


class Drug:
    """Names of what the levels of one drug are made of: two exponentials since the last dose, of which more come."""

    def __init__(self, name: str, days: Sequence[float]) -> None:
        self.name, self.days = name, tuple(sorted(days))
        self.part = (self._symbol("part_1"), self._symbol("part_2"))
        self.rate = (self._symbol("rate_1"), self._symbol("rate_2"))
        self.dose = (self._symbol("dose_1"), self._symbol("dose_2"))
        self.last, self.next = self._symbol("last_day"), self._symbol("next_day")

    def _symbol(self, what: str) -> sympy.Symbol:
        return sympy.Symbol(f"{self.name}_{what}", real=True)

    @property
    def level(self) -> sympy.Expr:
        """Level as a function of time."""
        after = TIME - self.last
        return sympy.Add(*(part * sympy.exp(-rate * after) for part, rate in zip(self.part, self.rate, strict=True)))

    @property
    def assignments(self) -> dict[sympy.Symbol, sympy.Expr]:
        """What a dose changes."""
        after = self.next - self.last
        parts = {
            part: part * sympy.exp(-rate * after) + dose
            for part, rate, dose in zip(self.part, self.rate, self.dose, strict=True)
        }
        return {**parts, self.last: self.next, self.next: self._following()}

    def _following(self) -> sympy.Expr:
        """Day of the next dose: the usual gap later, with the exceptions listed."""
        gaps = [later - day for day, later in pairwise(self.days)]
        usual, half = Counter(gaps).most_common(1)[0][0] if gaps else 0.0, 0.5 * min(gaps, default=1.0)
        cases: list[tuple[Any, Any]] = []
        for day, gap in zip(self.days, gaps, strict=False):  # the first condition that holds counts
            if gap != usual:
                cases += [(self.next + usual, self.next < day - half), (self.next + gap, self.next < day + half)]
        cases += [(self.next + usual, self.next < self.days[-1] - half), (sympy.Float(NEVER), True)]
        return sympy.Piecewise(*cases, evaluate=False)


class Model:
    """An SBML model with the names of what is set for each patient.

    Without drugs, drug levels are zero and what they drive is a number of the patient too.
    """

    def __init__(self, system: System, drugs: Sequence[Drug]) -> None:
        self.drugs = tuple(drugs)
        level = {put.symbol: drug.level for drug in drugs for put in system.inputs if put.drug == drug.name}
        absent = {put.symbol: sympy.Integer(0) for put in system.inputs if put.symbol not in level}
        moving = {state.symbol for state in system.states} | set(level)
        self.constants: dict[str, sympy.Expr] = {}
        rules: dict[str, sympy.Expr] = {str(name): expression for name, expression in level.items()}
        for quantity in system.quantities:
            expression: Any = quantity.expression.xreplace(absent)
            if expression.free_symbols & moving:
                moving.add(quantity.symbol)
                rules[quantity.name] = expression
            else:
                self.constants[quantity.name] = expression
        for i, flow in enumerate(system.flows):
            rate: Any = flow.rate.xreplace(absent)
            rules[f"flow_{i}"] = rate
        self.rules = _needed(rules, {f"flow_{i}" for i in range(len(system.flows))})
        self.rates: dict[str, sympy.Expr] = {state.name: sympy.Integer(0) for state in system.states}
        for i, flow in enumerate(system.flows):
            rate = sympy.Symbol(f"flow_{i}", real=True)
            if flow.out_of is not None:
                self.rates[flow.out_of.name] -= rate
            if flow.into is not None:
                self.rates[flow.into.name] += flow.gain * rate
        used = set().union(*(e.free_symbols for e in (*self.rules.values(), *self.rates.values())))
        for drug in drugs:
            used |= {*drug.dose, drug.next}
        known = {*self.rules, *self.rates, TIME.name}
        self.settable = tuple(sorted(str(name) for name in used if str(name) not in known))

    def numbers(self, patients: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Parameters of every patient, and the quantities of parameters only."""
        values = {name: np.asarray(column, dtype=float) for name, column in patients.items()}
        n = len(next(iter(values.values())))
        for name, expression in self.constants.items():
            needs = sorted(str(symbol) for symbol in expression.free_symbols)
            function = sympy.lambdify(needs, expression, "numpy")
            values[name] = np.broadcast_to(function(*(values[need] for need in needs)), n)
        return values

    def text(self) -> str:
        """The model as SBML."""
        self.document = Document()
        root = self.document.createElement("sbml")
        self.document.appendChild(root)
        for name, value in {"xmlns": NAMESPACE, "level": "3", "version": "2"}.items():
            root.setAttribute(name, value)
        model = _inside(self.document, root, "model", id="myeloma")
        parameters = _inside(self.document, model, "listOfParameters")
        for name in self.rates:
            _inside(self.document, parameters, "parameter", id=name, value="1", constant="false")
        for name in self.rules:
            _inside(self.document, parameters, "parameter", id=name, constant="false")
        for name in self.settable:
            _inside(self.document, parameters, "parameter", id=name, value="1", constant="false")
        rules = _inside(self.document, model, "listOfRules")
        for name, expression in self.rules.items():
            self._math(_inside(self.document, rules, "assignmentRule", variable=name), expression)
        for name, expression in self.rates.items():
            self._math(_inside(self.document, rules, "rateRule", variable=name), expression)
        if self.drugs:
            events = _inside(self.document, model, "listOfEvents")
            for drug in self.drugs:
                self._event(events, drug)
        return self.document.toxml()

    def _event(self, events: Element, drug: Drug) -> None:
        event = _inside(self.document, events, "event", id=f"{drug.name}_dose", useValuesFromTriggerTime="true")
        trigger = _inside(self.document, event, "trigger", initialValue="true", persistent="true")
        self._math(trigger, sympy.Ge(TIME, drug.next))
        changes = _inside(self.document, event, "listOfEventAssignments")
        for variable, expression in drug.assignments.items():
            self._math(_inside(self.document, changes, "eventAssignment", variable=str(variable)), expression)

    def _math(self, parent: Element, expression: sympy.Expr) -> None:
        printer: Any = _Printer()
        printer.dom = self.document
        math = _inside(self.document, parent, "math", xmlns=MATHML)
        math.appendChild(printer._print(expression))


def _needed(rules: dict[str, sympy.Expr], wanted: set[str]) -> dict[str, sympy.Expr]:
    kept: dict[str, sympy.Expr] = {}
    for name in reversed(rules):
        if name in wanted:
            kept[name] = rules[name]
            wanted |= {str(symbol) for symbol in rules[name].free_symbols}
    return dict(reversed(kept.items()))


def _inside(document: Document, parent: Element, tag: str, **attributes: str) -> Element:
    node = document.createElement(tag)
    for name, value in attributes.items():
        node.setAttribute(name, value)
    parent.appendChild(node)
    return node
