"""The report on a user's own patients."""
