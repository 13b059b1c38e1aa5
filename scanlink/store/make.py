"""From a dataset, in memory or on disk, to a scan store, in memory that does not grow with the number of cells.

And from one store to another in which no gene has anything to do with a peak, or a guide: profiles dealt out anew.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import ArrayLike, NDArray

from scanlink.errors import InputError, MissingKeyError, OptionError, first_few
from scanlink.files import create_file
from scanlink.io.chunks import canonical, iter_modalities
from scanlink.io.disk import DiskCounts
from scanlink.io.guides import GUIDE_COLUMNS
from scanlink.io.raw_counts import CountsCheck
from scanlink.store.columns import FEATURE
from scanlink.store.new import new_store
from scanlink.store.spool import ENTRIES, Spool
from scanlink.store.store import MULTIOME, Modality, Store

__all__ = ["counts_checks", "permuted", "stored_guides", "write_store"]

_SCREEN: tuple[Modality, ...] = ("rna", "guide")


def write_store(
    mdata: MuData,
    path: str | os.PathLike[str],
    *,
    modalities: Iterable[Modality] | None = None,
    entries: int = ENTRIES,
    chunk_rows: int | None = None,
) -> Store:
    """Write the store of a dataset, and open it; it appears under its name only when complete, and replaces another.

    The modalities ``rna`` and ``atac``, or where there is no ``atac``, ``rna`` and ``guide``, have the same cells and
    raw counts, in memory or on disk. Of guides their targets, efficiencies, coordinates and thresholds are stored, too.
    Cells are stored in order of barcode, so that neither the order of the cells in a file nor the way in which it was
    read changes a result, or the checksum.

    ``entries`` non-zero counts are sorted in memory at a time, at some 40 bytes each. What is more waits in a file
    beside the store, which needs as much space again until the store is complete. ``chunk_rows`` cells are read
    together; None: by the number of counts.

    Data that are no counts, or whose modalities do not have the same cells, are an InputError; a folder that cannot be
    written, or a full disk, is a RunError.
    """
    final, kinds = Path(path), _kinds(mdata, modalities)
    barcodes = mdata[kinds[0]].obs_names
    for other in kinds[1:]:
        if not barcodes.equals(mdata[other].obs_names):
            raise InputError(
                f"{kinds[0]} and {other} do not have the same cells in the same order: read them with scanlink.io first"
            )
    order = np.argsort(barcodes.to_numpy(dtype=str), kind="stable")
    place = np.empty(order.size, dtype=np.int32)
    place[order] = np.arange(order.size, dtype=np.int32)
    cells = mdata.obs.reindex(barcodes[order])
    with new_store(final) as made, ExitStack() as stack:
        spools: dict[str, Spool] = {
            name: stack.enter_context(
                Spool(made.folder / f"{name}_spool", mdata[name].n_vars, order.size, entries=entries)
            )
            for name in kinds
        }
        checks = counts_checks(mdata, kinds)
        for name, chunk in iter_modalities({name: mdata[name].X for name in kinds}, chunk_rows=chunk_rows):
            if not checks[name].look(chunk.block, chunk.rows, chunk.cols):
                continue
            block, rows = canonical(chunk), place[chunk.rows]
            lines = np.diff(block.indptr)
            if block.format == "csr":
                spools[name].add(block.indices, np.repeat(rows, lines), block.data)
            else:
                features = np.arange(chunk.cols.start, chunk.cols.stop, dtype=np.int32)
                spools[name].add(np.repeat(features, lines), rows[block.indices], block.data)
        for check in checks.values():
            check.refuse()
        made.tables(cells, {name: _features(mdata, name) for name in kinds})
        for spool in spools.values():
            spool.rest()
        for name in kinds:
            with (
                spools[name] as spool,
                made.columns(
                    name, n_features=mdata[name].n_vars, n_entries=spool.n_entries, largest=spool.largest
                ) as writer,
            ):
                spool.give(writer.add)
    return Store.open(final)


def permuted(store: Store, source: ArrayLike, path: str | os.PathLike[str], *, modality: Modality = "atac") -> Store:
    """Write a store in which cells have the whole ATAC profiles of other cells; RNA and covariates stay.

    ``source`` has the position in ``store.cells`` of the cell whose profile each cell gets, every cell once: shape
    ``(n_cells,)``. What does not change is linked to ``store``, not copied, where the file system can. Of a screen,
    ``modality="guide"`` deals out the guides.
    """
    rows, final = np.asarray(source), Path(path)
    places = np.arange(store.n_cells, dtype=np.int32)
    if not np.array_equal(np.sort(rows), places):
        raise InputError(f"source has {rows.size} positions, expected each of 0 to {places.size - 1} once")
    target = np.empty_like(places)
    target[rows] = places
    starts = store.starts(modality)
    with new_store(final) as made:
        for name in store.manifest["bytes"]:
            if not name.startswith(f"{modality}_"):
                _link(store.path / name, made.folder / name)
        made.take_over(store)
        largest = np.iinfo(store.value_type(modality)).max
        sizes = {"n_features": starts.size - 1, "n_entries": int(starts[-1]), "largest": largest}
        with made.columns(modality, **sizes) as writer:
            for feature in range(starts.size - 1):
                cells, values = store.column(modality, feature)
                cells = target[cells]
                order = np.argsort(cells)
                writer.add(np.array([0, cells.size]), cells[order], values[order])
    return Store.open(final)


def _link(old: Path, new: Path) -> None:
    """Give a file a second name, or copy it; stores are replaced and never written to, so that both stay."""
    try:
        os.link(old, new)
    except OSError:
        shutil.copyfile(old, create_file(new, old.stat().st_mode & 0o777))


def _kinds(mdata: MuData, modalities: Iterable[Modality] | None) -> tuple[Modality, ...]:
    """Choose the modalities to store, in their order."""
    if modalities is None:
        modalities = _SCREEN if "atac" not in mdata.mod and "guide" in mdata.mod else MULTIOME
    chosen = list(modalities)
    if odd := [name for name in chosen if name not in FEATURE]:
        raise OptionError(f"modalities has {first_few(odd)}, expected some of {first_few(FEATURE)}")
    if not chosen:
        raise OptionError(f"modalities is empty, expected some of {first_few(FEATURE)}")
    if absent := [name for name in chosen if name not in mdata.mod]:
        raise MissingKeyError(
            f"no modality {first_few(absent)} in the data, found {first_few(mdata.mod) or 'none'}: a store has 'rna' "
            "and 'atac', or 'rna' and 'guide'. Read the data with scanlink.io.read or scanlink.io.read_screen"
        )
    return tuple(name for name in FEATURE if name in chosen)


def _features(mdata: MuData, modality: Modality) -> pd.DataFrame:
    """Gather the names of the features as index, and what else is stored of them."""
    var = mdata[modality].var
    return stored_guides(var) if modality == "guide" else pd.DataFrame(index=var.index)


def stored_guides(var: pd.DataFrame) -> pd.DataFrame:
    """Make what the store keeps of guides: plain text and numbers, whatever types a file gave the columns."""
    out: dict[str, NDArray[Any]] = {}
    for name in ("target", "chrom"):
        text = var[name].astype(object) if name in var else pd.Series(None, index=var.index, dtype=object)
        out[name] = text.where(text.notna(), None).map(lambda one: one if one is None else str(one)).to_numpy(object)
    for name in ("efficiency", "start", "end"):
        numbers = pd.to_numeric(var[name]) if name in var else pd.Series(np.nan, index=var.index)
        out[name] = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    if "threshold" in var:
        out["threshold"] = var["threshold"].to_numpy(dtype=np.int64)
    order = [name for name in (*GUIDE_COLUMNS, "threshold") if name in out]
    return pd.DataFrame({name: out[name] for name in order}, index=var.index)


def counts_checks(mdata: MuData, modalities: Iterable[str] = MULTIOME) -> dict[str, CountsCheck]:
    """Make a check of each modality's counts, for all that read them in pieces."""
    checks: dict[str, CountsCheck] = {}
    for name in modalities:
        adata = mdata[name]
        matrix = adata.X
        label, hint = (matrix.selection.label, matrix.selection.hint) if isinstance(matrix, DiskCounts) else (name, "")
        checks[name] = CountsCheck(cells=adata.obs_names, features=adata.var_names, label=label or name, hint=hint)
    return checks
