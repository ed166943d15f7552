"""Virtual trials: design, pool of virtual patients, conduct, tables, power and assurance."""
