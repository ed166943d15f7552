"""The joint fit of the model to what was reported."""
