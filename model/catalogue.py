"""The whole catalogue: shared parameters, populations, and what every product and drug brings along."""

from functools import cache

from ..parameters.parameter_set import ParameterSet, read_set
from .therapy import parameters_of, read_therapies


@cache
def read_catalogue() -> ParameterSet:
    """All shipped numbers before any calibration: literature values, priors and assumptions."""
    base = read_set()
    drugs = [therapy for therapy in read_therapies() if therapy.kind == "drug"]
    products = [therapy for therapy in read_therapies() if therapy.kind == "car_t"]
    return base.with_parameters(parameters_of(drugs)).with_parameters(parameters_of(products))
