"""Which enhancers of a gene act together: contrasts of their states, and their interaction."""
