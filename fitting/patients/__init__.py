"""Nonlinear mixed effects on a user's own patients."""
