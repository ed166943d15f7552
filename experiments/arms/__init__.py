"""Arms on the same virtual patients: what is measured of them, how they compare, and which is the best."""
