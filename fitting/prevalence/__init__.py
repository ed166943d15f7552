"""Plausible virtual patients and their prevalence weights."""
