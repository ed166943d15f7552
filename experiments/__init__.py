"""Roof: one question, one file; `run` returns numbers, `main` prints and draws."""
