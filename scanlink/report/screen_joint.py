"""The screen beside multiome links, for its page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from scanlink.errors import ScanlinkError
from scanlink.io.links import read_links
from scanlink.report.rows import Column, ResultTable, result_table
from scanlink.report.screen_folder import ScreenRun
from scanlink.tl.scan.table import write_table
from scanlink.tl.screen_links.call import screen_links
from scanlink.tl.screen_links.summary import screen_links_summary

__all__ = ["Joint", "joint_of"]

FILE = "screen_links"
_COLUMNS = (
    Column("group", "group", "text", "group of cells of the links"),
    Column("gene", "gene", "text", "gene, as the links call it"),
    Column("target", "target", "text", "target that was perturbed"),
    Column("peak", "peak", "text", "peak on the target"),
    Column("beta_link", "effect of link", "num", "log fold change (natural log) where the peak is open"),
    Column("se_link", "s.e. of link", "num", "its standard error, robust if known"),
    Column("fdr_link", "FDR of link", "p", "false discovery rate of the link"),
    Column("beta", "effect of perturbation", "num", "log fold change (natural log) of full perturbation"),
    Column("se_screen", "s.e.", "num", "its standard error, robust if known"),
    Column("p_value", "p-value", "p", "of the perturbation, the one that was chosen"),
    Column("fdr", "FDR", "p", "false discovery rate of the perturbation"),
    Column("kind", "kind", "text", "discovery or positive control"),
)


@dataclass(frozen=True)
class Joint:
    """What both say of the same pairs; ``reason`` says why there is nothing.

    Attributes
    ----------
    name
        Of the file of the links.
    table
        From :func:`scanlink.tl.screen_links`.
    rows
        Those tested on both sides, for the page.
    summary
        A row a group of the links, from :func:`scanlink.tl.screen_links_summary`.
    n_pairs
        Different target-gene pairs of the screen with a link on the target.
    """

    name: str
    reason: str = ""
    table: pd.DataFrame | None = None
    rows: ResultTable | None = None
    summary: tuple[dict[str, Any], ...] = ()
    n_pairs: int = 0


def joint_of(run: ScreenRun, *, most: int) -> Joint | None:
    """Join the screen with the links that its options name, and leave the table in the run folder.

    Parameters
    ----------
    run
        The run.
    most
        Rows for the page, at most.

    Returns
    -------
    Joint or None
        None where the options name no links.
    """
    given = run.options.get("links")
    path = run.folder / f"{FILE}.parquet"
    # That of an earlier report may be of other links.
    path.unlink(missing_ok=True)
    if not given:
        return None
    name = Path(str(given)).name
    if run.guides is None:
        return Joint(name, "the run folder holds no guides.parquet, which says where the targets are")
    try:
        links = read_links(str(given))
        table = screen_links(run.screen, links, run.guides, genes=run.annotation)
    except ScanlinkError as error:
        return Joint(name, str(error))
    write_table(table, path)
    both = (table["status_link"] == "ok") & (table["status_screen"] == "ok")
    shown = table.assign(
        beta=table["beta_screen"],
        p_value=table["p_screen"],
        fdr=table["fdr_screen"],
        status=both.map({True: "ok", False: "untested"}),
    )
    summary = screen_links_summary(table, link_fdr=run.alpha, screen_fdr=run.alpha)
    return Joint(
        name,
        table=table,
        rows=result_table(shown, alpha=run.alpha, most=most, columns=_COLUMNS),
        summary=tuple({str(key): value for key, value in row.items()} for row in summary.to_dict("records")),
        n_pairs=len(table[["gene_screen", "target"]].drop_duplicates()),
    )
