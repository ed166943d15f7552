"""Joint calibration of the model to reported results."""
