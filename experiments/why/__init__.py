"""Why arms differ and why patients fail: mechanisms, their contributions, causes and therapies."""
