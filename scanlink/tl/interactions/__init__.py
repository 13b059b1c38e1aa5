"""Which pairs of perturbed targets act together on a gene."""
