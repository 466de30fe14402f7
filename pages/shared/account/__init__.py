"""Floor 2: the account that a page sends to."""
