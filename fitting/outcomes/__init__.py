"""What decides the small models of outcome, after the joint fit: death after progression, and toxicity."""
