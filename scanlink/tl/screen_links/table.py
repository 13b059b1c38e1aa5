"""The table of a screen beside multiome links: its columns, and how it is made."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from scanlink.io.gencode import fetch_gencode
from scanlink.io.genes import read_genes
from scanlink.io.links import read_links
from scanlink.tables import Column, Table
from scanlink.tl.analysis import Given
from scanlink.tl.screen_links.call import screen_links
from scanlink.tl.screen_links.options import ScreenLinksOptions

__all__ = ["SCREEN_LINKS_TABLE", "finish_screen_links"]


def _columns(options: ScreenLinksOptions) -> list[Column]:
    columns = [
        Column("group", "text", "group of cells of the links"),
        Column("gene", "text", "gene, as the links call it"),
        Column("target", "text", "target that was perturbed"),
        Column("peak", "text", "peak on the target"),
        Column("distance", "distance", "bp from the target to the peak"),
        *_side("link", "link", "where the peak is open"),
        Column("kind", "text", "discovery or positive control"),
        Column("group_screen", "text", "group of cells of the screen"),
        Column("gene_screen", "text", "gene, as the screen calls it"),
        *_side("screen", "perturbation", "of full perturbation"),
    ]
    return [replace(column, computed=False) for column in columns]


def _side(side: str, of: str, where: str) -> list[Column]:
    return [
        Column(f"beta_{side}", "number", f"log fold change (natural log) {where}", f"effect of {of}"),
        Column(f"se_{side}", "number", "its standard error, robust if known", f"s.e. of {of}"),
        Column(f"p_{side}", "p", f"p-value of the {of}", f"p-value of {of}"),
        Column(f"fdr_{side}", "p", f"false discovery rate of the {of}", f"FDR of {of}"),
        Column(f"status_{side}", "text", f"status of the {of}"),
    ]


SCREEN_LINKS_TABLE = Table(
    name="screen_links", columns=_columns, statuses={}, row="pairs on both sides", called="links"
)


def finish_screen_links(
    plans: Sequence[Any],
    given: Given,
    options: ScreenLinksOptions,
    *,
    set_aside: Sequence[Collection[int]] | None = None,
    groups: Collection[int] | None = None,
) -> pd.DataFrame:
    """Join the target-gene pairs of a screen with the links whose peak lies on the target, all at once."""
    genes = given.sections["genes"]
    path = None if genes is None else genes.path
    if genes is not None and genes.gencode is not None:
        path = str(fetch_gencode(genes.gencode))
    annotation = read_genes(path) if path is not None and Path(path).is_file() else None
    return screen_links(given.tables["screen"], read_links(options.path), given.tables["guides"], genes=annotation)
