"""Plausible virtual patients and the weights that make them as common as in a trial."""
