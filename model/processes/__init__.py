"""The mechanisms of the model, one file each; every number in them is a parameter of the catalogue."""
