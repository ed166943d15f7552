"""One folder per run with its manifest, and reports that need nothing but themselves."""
