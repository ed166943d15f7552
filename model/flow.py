"""A mechanism is a flow: it takes from one state and gives to another."""

from dataclasses import dataclass, field

import sympy

from .states import State


@dataclass(frozen=True)
class Flow:
    """`rate` leaves `out_of` and `gain` times `rate` reaches `into`; either end may be the outside (None).

    The rate is in the unit of `out_of` per day (of `into`, where nothing is left behind).
    """

    name: str
    rate: sympy.Expr
    out_of: State | None = None
    into: State | None = None
    gain: sympy.Expr = field(default_factory=lambda: sympy.Integer(1))

    def __post_init__(self) -> None:
        """A flow needs at least one end."""
        if self.out_of is None and self.into is None:
            raise ValueError(f"flow '{self.name}' has neither an origin nor a destination; give out_of or into.")
