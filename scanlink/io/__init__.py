"""Files in and out: everything becomes one MuData, with ``rna`` and ``atac`` or, of a screen, ``rna`` and ``guide``."""

from __future__ import annotations

from scanlink.io.exports import export
from scanlink.io.gencode import fetch_gencode
from scanlink.io.genes import read_genes
from scanlink.io.links import read_links
from scanlink.io.mudata_files import read_h5mu
from scanlink.io.multiome_data import assemble, check
from scanlink.io.multiome_input import read, read_matrices
from scanlink.io.pairs import read_target_pairs
from scanlink.io.peaks import parse_peaks
from scanlink.io.screen_data import assemble_screen, check_screen
from scanlink.io.screen_input import read_screen
from scanlink.io.tenx import read_10x_h5, read_10x_mtx
from scanlink.io.uns import add_tables, get_tables

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
