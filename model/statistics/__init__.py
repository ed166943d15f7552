"""Subject-level statistics of trials: tests, hazard ratios, restricted means, rates, sample sizes."""
