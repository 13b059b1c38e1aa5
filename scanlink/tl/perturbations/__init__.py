"""What analyses of perturbed targets share: their rows and controls, the cells of a group, resampling, the table."""
