"""Pictures: arrays in, a figure with its alt text and its numbers out; nothing here knows the model."""
