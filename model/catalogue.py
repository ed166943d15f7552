"""The whole catalogue: shared parameters, populations, and the parameters of every product and drug."""

from functools import cache

from ..parameters.parameter_set import ParameterSet, read_set
from .myeloma import myeloma
from .system.unit_check import check_units
from .therapy import parameters_of, read_therapies

_COARSE = (("BCMA", 2), ("GPRC5D", 2))
"""Density classes that are enough to see every kind of flow once; units do not depend on their number."""


@cache
def read_catalogue() -> ParameterSet:
    """All shipped parameters before any calibration: literature values, priors and assumptions.

    Returns
    -------
    ParameterSet
        Parameters by id (`catalogue["k_kill_max"]`), each with value, unit, range, source and prior.

    Raises
    ------
    UnitError
        If a flow of the model does not come out in the unit of its state per day with these parameters: the model is
        checked here, once, so that the integrator may see floats only.
    FileError
        If a shipped file was changed and is malformed.

    Examples
    --------
    >>> from perdure import read_catalogue
    >>> growth = read_catalogue()["k_growth_tumour"]
    >>> growth.low < growth.value < growth.high, growth.unit
    (True, '1/day')
    """
    base = read_set()
    drugs = [therapy for therapy in read_therapies() if therapy.kind == "drug"]
    products = [therapy for therapy in read_therapies() if therapy.kind == "car_t"]
    catalogue = base.with_parameters(parameters_of(drugs)).with_parameters(parameters_of(products))
    check_units(myeloma(classes=_COARSE), {name: catalogue[name].unit for name in catalogue.names})
    return catalogue
