"""Floor 3: one answer on a page, and the forms it takes."""
