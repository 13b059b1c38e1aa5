"""Effects of perturbations as links whose peak is the target, for genome browsers."""

from __future__ import annotations

import logging

import pandas as pd

from scanlink.errors import InputError, first_few
from scanlink.report.folder import Run
from scanlink.tables import ASKED
from scanlink.tl.perturbations.targets import target_places
from scanlink.tl.screen.table import SCREEN_TABLE

__all__ = ["rows_with_places"]

log = logging.getLogger("scanlink")


def rows_with_places(run: Run) -> pd.DataFrame:
    """Give the target-gene pairs that were asked for, the place of the target as ``peak``."""
    guides = run.tables.get("guides")
    if guides is None or not {"chrom", "start", "end"} <= set(guides):
        raise InputError(f"{run.folder} holds no guides.parquet with chrom, start and end, which say where targets are")
    table = run.tables[SCREEN_TABLE.name]
    table = table[table["kind"].isin(ASKED)]
    table = table.assign(peak=table["target"].map(target_places(guides)))
    lost = table.loc[table["peak"].isna(), "target"].unique()
    if len(lost):
        log.warning("%d targets have no place and are left out: %s", len(lost), first_few(lost))
    return table[table["peak"].notna()]
