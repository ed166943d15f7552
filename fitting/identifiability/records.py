"""Results that can be written to JSON: dataclasses of numbers, words, arrays and one another."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """The same as dictionaries, lists, numbers and words; what is not finite becomes None, as JSON lacks it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value


class Record:
    """Base of the results here: `to_dict` gives what `json.dumps` takes."""

    def to_dict(self) -> dict[str, Any]:
        """The fields, by name, in the order of the class."""
        return plain(self)
