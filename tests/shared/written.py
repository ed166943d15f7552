"""What takes long to write and many tests read: the equations of a system as Python, written once a session."""

from functools import cache

from perdure.model.engine.codegen import Code, generate
from perdure.model.system.system import System


@cache
def equations(system: System, *, stiff: bool = False) -> Code:
    """The generated equations of a system; those with derivatives are there for `stiff`."""
    return generate(system, stiff=stiff)
