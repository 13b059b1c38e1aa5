"""Files in and out: everything becomes one MuData with ``rna`` and ``atac``."""

from __future__ import annotations

from .align import assemble, check
from .genes import read_genes
from .mudata_files import read_h5mu
from .peaks import parse_peaks
from .read import read, read_matrices
from .tenx import read_10x_h5, read_10x_mtx

__all__ = [
    "assemble",
    "check",
    "parse_peaks",
    "read",
    "read_10x_h5",
    "read_10x_mtx",
    "read_genes",
    "read_h5mu",
    "read_matrices",
]
