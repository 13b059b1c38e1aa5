"""Files in and out: everything becomes one MuData, with ``rna`` and ``atac`` or, of a screen, ``rna`` and ``guide``."""

from __future__ import annotations

from .align import assemble, check
from .export import export
from .gencode import fetch_gencode
from .genes import read_genes
from .links import read_links
from .mudata_files import read_h5mu
from .pairs import read_target_pairs
from .peaks import parse_peaks
from .read import read, read_matrices
from .screen import read_screen
from .screen_data import assemble_screen, check_screen
from .tenx import read_10x_h5, read_10x_mtx
from .uns import add_tables, get_tables

__all__ = [
    "add_tables",
    "assemble",
    "assemble_screen",
    "check",
    "check_screen",
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
    "read_screen",
    "read_target_pairs",
]
