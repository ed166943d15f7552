"""Second floor: from evidence to numbers. Reported results, likelihood, search, posterior, calibration."""
