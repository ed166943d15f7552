"""Arms on the same virtual patients; designs, conduct, analysis, power; attribution."""
