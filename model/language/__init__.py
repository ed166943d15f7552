"""Plans in words, and doses as event tables: how regimens are written down and read back."""
