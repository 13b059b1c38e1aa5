"""Which genes a perturbed target changes in a CRISPR screen."""
