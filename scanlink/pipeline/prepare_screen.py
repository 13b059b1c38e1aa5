"""Files of a CRISPR screen to a scan store, a table of guides and one of pairs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from scanlink.errors import InputError, first_few
from scanlink.io.pairs import read_target_pairs
from scanlink.pipeline.prepare import genes_file, prepared
from scanlink.screen_options import ScreenRunOptions
from scanlink.store.store import Store

__all__ = ["prepare_screen"]

_CELL_CYCLE = ("s_score", "g2m_score")


def prepare_screen(
    options: ScreenRunOptions, folder: Path
) -> tuple[Store, pd.DataFrame, pd.DataFrame, list[dict[str, Any]]]:
    """Read the files, say which cell has which guide, pair targets with genes, and write store and tables.

    Returns
    -------
    tuple
        Store, table of pairs, table of guides (named by the index), and path, size and checksum of every input.
    """
    genes = genes_file(options.genes)
    # Computed when a formula asks for it.
    cell_cycle = [name for name in _CELL_CYCLE if any(_names(name, formula) for formula in _formulas(options))]

    def make() -> tuple[Any, dict[str, pd.DataFrame]]:
        return _read(options, genes, cell_cycle)

    store, tables, inputs = prepared(
        folder,
        asked={
            "input": options.input.model_dump(),
            "guides": options.guides.model_dump(),
            "pairs": options.pairs.model_dump(),
            "cell_cycle": {"scores": cell_cycle},
        },
        files=[*options.input.files, genes, options.pairs.path],
        names=("pairs", "guides"),
        make=make,
    )
    return store, tables["pairs"], tables["guides"].set_index("guide"), inputs


def _formulas(options: ScreenRunOptions) -> list[str]:
    more = [] if options.interactions is None else [options.interactions.formula]
    return [options.screen.formula, *more]


def _names(name: str, formula: str) -> bool:
    return re.search(rf"(?<![\w.]){name}(?![\w.])", formula) is not None


def _read(options: ScreenRunOptions, genes: str | None, cell_cycle: list[str]) -> tuple[Any, dict[str, pd.DataFrame]]:
    from scanlink import io, pp
    from scanlink.io.disk import select

    mdata = io.read_screen(**options.input.model_dump())
    pp.assign_guides(mdata, method=options.guides.assign, threshold=options.guides.threshold)
    pp.screen_qc(mdata)
    if not set(cell_cycle) <= set(mdata.obs.columns):
        pp.cell_cycle(mdata)
    if options.pairs.path is not None:
        pairs = _given_pairs(options.pairs.path, mdata)
    else:
        pairs = pp.screen_pairs(
            mdata, io.read_genes(str(genes)), window=options.pairs.window, anchor=options.pairs.anchor
        )
    # Genes that are in no test would only make the store larger.
    mdata.mod["rna"] = select(mdata["rna"], features=mdata["rna"].var_names.isin(pairs["gene"]))
    table = mdata["guide"].var.rename_axis("guide").reset_index()
    return mdata, {"pairs": pairs, "guides": table}


def _given_pairs(path: str, mdata: Any) -> pd.DataFrame:
    """A user's table of pairs, all of whose names have to be in the data."""
    table = read_target_pairs(path)
    known = {"gene": mdata["rna"].var_names, "target": pd.Index(mdata["guide"].var["target"].dropna().unique())}
    for column, names in known.items():
        asked = table[column].astype(str)
        absent = asked[~asked.isin(names)].unique()
        if absent.size:
            raise InputError(
                f"{absent.size} {column}s of {Path(path).name} are not in the data ({first_few(absent)}); there they "
                f"are named as {first_few(names, most=2)}: check the names, or leave those pairs out"
            )
    return table
