"""The report on a fit, section by section."""
