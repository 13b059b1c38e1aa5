"""What lies in the run folder of a screen, read for a report."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from scanlink.errors import InputError, ScanlinkError
from scanlink.pp.annotation import strip_version
from scanlink.report.folder import Options, annotation_of, read_options, read_record, read_table
from scanlink.tables import ASKED

__all__ = ["ScreenRun", "is_screen", "read_screen_run", "target_places"]

_NEEDED = {
    "screen": ("kind", "group", "gene", "target", "beta", "p_value", "fdr", "status"),
    "interactions": ("kind", "group", "gene", "target_1", "target_2", "beta_interaction", "p_value", "fdr", "status"),
    "guides": ("target",),
}


@dataclass(frozen=True)
class ScreenRun(Options):
    """Tables, options and record of a screen; what the run did not leave is None or empty.

    Attributes
    ----------
    folder
        The run folder.
    screen
        screen.parquet.
    interactions
        interactions.parquet, where pairs of targets were tested.
    guides
        guides.parquet.
    options
        config.yaml, or the options of provenance.json.
    record
        provenance.json.
    """

    folder: Path
    screen: pd.DataFrame
    interactions: pd.DataFrame | None = None
    guides: pd.DataFrame | None = None
    options: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def symbols(self) -> dict[str, str]:
        """Names of genes by the identifiers that the tables have, empty where they have none or it is not known."""
        names = pd.Series(self.screen["gene"].unique(), dtype=object).dropna().astype(str)
        if not names.str.match(r"ENS[A-Z]*\d").any():
            return {}
        genes = self.annotation
        if genes is None:
            return {}
        known = genes.assign(gene_id=strip_version(genes["gene_id"])).drop_duplicates("gene_id")
        found = strip_version(names).map(known.set_index("gene_id")["gene"])
        return {name: str(symbol) for name, symbol in zip(names, found, strict=True) if isinstance(symbol, str)}

    @property
    def alpha(self) -> float:
        """False discovery rate below which a perturbation is said to have an effect."""
        return float(self.section("screen").get("alpha", 0.1))

    @property
    def interactions_alpha(self) -> float:
        """False discovery rate below which two perturbations are said to interact."""
        return float(self.section("interactions").get("alpha", 0.1))

    def asked(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows that were asked for, without the negative controls."""
        return table[table["kind"].isin(ASKED)]

    @cached_property
    def annotation(self) -> pd.DataFrame | None:
        """Genes of the run, None where its annotation is no longer there."""
        try:
            return annotation_of(self)
        except ScanlinkError:
            return None


def is_screen(folder: Path) -> bool:
    """Tell whether a run folder is that of a screen.

    Parameters
    ----------
    folder
        Perhaps a run folder.
    """
    # Tables of another run may stand in the folder still: the options decide.
    options = read_options(folder / "config.yaml")
    return "screen" in options if options else (folder / "screen.parquet").is_file()


def read_screen_run(folder: Path) -> ScreenRun:
    """Read the tables, options and record of the run folder of a screen.

    Parameters
    ----------
    folder
        Run folder of a screen that has come to its effects.

    Raises
    ------
    InputError
        If the folder holds no effects, or a file is damaged; names it.
    """
    screen = read_table(folder, "screen", _NEEDED["screen"])
    if screen is None:
        raise InputError(
            f"{folder} holds no screen.parquet: the run has not come to its effects yet (scanlink status {folder.name} "
            "says how far it is)"
        )
    record = read_record(folder / "provenance.json")
    return ScreenRun(
        folder=folder,
        screen=screen,
        interactions=read_table(folder, "interactions", _NEEDED["interactions"]),
        guides=read_table(folder, "guides", _NEEDED["guides"]),
        options=read_options(folder / "config.yaml") or record.get("options", {}),
        record=record,
    )


def target_places(guides: pd.DataFrame) -> pd.Series:
    """Interval of each target as text, by its name; those without one are left out.

    Parameters
    ----------
    guides
        ``target``, ``chrom``, ``start`` and ``end`` (0-based half-open, bp), a row a guide.

    Examples
    --------
    >>> guides = pd.DataFrame({"target": ["e", "e"], "chrom": "chr1", "start": [10.0, 40.0], "end": [30.0, 60.0]})
    >>> target_places(guides)["e"]
    'chr1:10-60'
    """
    known = guides[guides[["chrom", "start", "end"]].notna().all(axis=1)]
    own = known.groupby(known["target"].astype(str))
    ends = own["start"].min().astype("int64").astype(str) + "-" + own["end"].max().astype("int64").astype(str)
    return own["chrom"].first().astype(str) + ":" + ends
