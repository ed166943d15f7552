"""Statistical inference: evidence, likelihood, calibration, identifiability, validation and individual fits."""
