"""Ground floor: what is known. Numbers with unit, range, prior, between-patient spread and source."""
