"""Prior distribution of a parameter, before any evidence."""

import math
from dataclasses import dataclass
from typing import Literal

Kind = Literal["lognormal", "normal", "logitnormal"]


@dataclass(frozen=True)
class Prior:
    """A prior with its median on the natural scale and its SD on the scale named by `kind`.

    The search works in standard units: coordinate 0 is the median, 1 is one prior SD away. So the prior
    density of every coordinate is the standard normal, whatever the parameter.
    """

    kind: Kind
    median: float
    sd: float

    def value(self, coordinate: float) -> float:
        """Value on the natural scale at a coordinate in prior SDs."""
        if self.kind == "lognormal":
            return self.median * math.exp(self.sd * coordinate)
        if self.kind == "normal":
            return self.median + self.sd * coordinate
        logit = math.log(self.median / (1.0 - self.median)) + self.sd * coordinate
        return 1.0 / (1.0 + math.exp(-logit))

    def coordinate(self, value: float) -> float:
        """Inverse of `value`."""
        if self.kind == "lognormal":
            return math.log(value / self.median) / self.sd
        if self.kind == "normal":
            return (value - self.median) / self.sd
        return (math.log(value / (1.0 - value)) - math.log(self.median / (1.0 - self.median))) / self.sd

    @property
    def text(self) -> str:
        """Readable form, for tables."""
        scale = {"lognormal": "log", "normal": "natural", "logitnormal": "logit"}[self.kind]
        return f"{self.kind}, median {self.median:.3g}, SD {self.sd:g} on the {scale} scale"
