"""Which peaks are linked to which genes: a regression for every gene-peak pair in every group of cells."""
