"""What a run writes: folders, reports, tables and figures."""
