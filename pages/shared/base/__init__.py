"""Floor 1: what every page stands on."""
