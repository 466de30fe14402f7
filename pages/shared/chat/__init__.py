"""Floor 4: stored conversations."""
