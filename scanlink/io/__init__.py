"""Files in and out: everything becomes one MuData with ``rna`` and ``atac``."""

from __future__ import annotations

from .align import assemble, check
from .export import export
from .gencode import fetch_gencode
from .genes import read_genes
from .links import read_links
from .mudata_files import read_h5mu
from .peaks import parse_peaks
from .read import read, read_matrices
from .tenx import read_10x_h5, read_10x_mtx
from .uns import add_tables, get_tables

__all__ = [
    "add_tables",
    "assemble",
    "check",
    "export",
    "fetch_gencode",
    "get_tables",
    "parse_peaks",
    "read",
    "read_10x_h5",
    "read_10x_mtx",
    "read_genes",
    "read_h5mu",
    "read_links",
    "read_matrices",
]
