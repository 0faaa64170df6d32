"""Many trials of one task trained as one computation: the same training as each alone."""
