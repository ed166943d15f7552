"""Classical stiff problems with published solutions, and two of which a law is known: the engine is judged on them."""

from .closed_network import closed_network
from .compartments import compartments
from .e5 import e5, e5_early
from .hires import hires
from .oregonator import oregonator
from .pollution import pollution
from .problem import Problem
from .robertson import robertson
from .van_der_pol import van_der_pol

__all__ = [
    "CLASSICAL", "JUDGED", "Problem", "closed_network", "compartments", "e5", "e5_early", "hires", "oregonator",
    "pollution", "robertson", "van_der_pol",
]  # fmt: skip

CLASSICAL = (robertson, hires, van_der_pol, oregonator, pollution, e5)
"""The stiff problems with published solutions; each is built by calling it."""

JUDGED = (robertson, hires, van_der_pol, oregonator, pollution, e5_early)
"""The same where double precision decides nothing: E5 ends before rounding takes over."""
