"""The mechanistic model: flows and equations, regimens, numerical engine, cohorts and trial endpoints."""
