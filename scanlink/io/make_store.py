"""From a dataset, in memory or on disk, to a scan store, in memory that does not grow with the number of cells."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from mudata import MuData

from scanlink.errors import InputError
from scanlink.io.chunks import canonical, iter_modalities
from scanlink.io.columns import ColumnWriter
from scanlink.io.counts import CountsCheck
from scanlink.io.disk import DiskCounts
from scanlink.io.new_store import new_store
from scanlink.io.spool import ENTRIES, Spool
from scanlink.io.store import Modality, Store

__all__ = ["counts_checks", "write_store"]

_KINDS: tuple[Modality, ...] = ("rna", "atac")


def write_store(
    mdata: MuData, path: str | os.PathLike[str], *, entries: int = ENTRIES, chunk_rows: int | None = None
) -> Store:
    """Write the store of a dataset; it appears under its name only when complete.

    Parameters
    ----------
    mdata
        Modalities ``rna`` and ``atac`` with the same cells, raw counts, in memory or on disk.
    path
        Folder to make. An existing store of that name is replaced.
    entries
        Non-zero counts that are sorted in memory at a time, at some 40 bytes each. What is more waits in a file beside
        the store, which needs as much space again until the store is complete.
    chunk_rows
        Cells read together; None: by the number of counts.

    Returns
    -------
    Store
        Opened.

    Raises
    ------
    InputError
        If both modalities do not have the same cells, or values are no counts.
    RunError
        If the folder cannot be written, or the disk is full.

    Notes
    -----
    Cells are stored in order of barcode, so that neither the order of the cells in a file nor the way in which it
    was read changes a result, or the checksum.

    Examples
    --------
    >>> import tempfile
    >>> import scanlink as sl
    >>> data = sl.ds.simulate(n_cells=300, n_genes=10, n_peaks=40, n_links=8, n_interactions=2, seed=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = write_store(data.mdata, f"{folder}/store")
    ...     cells, counts = store.column("rna", 0)
    ...     bool(counts.sum() == data.mdata["rna"][:, store.genes[0]].X.sum())
    True
    """
    final = Path(path)
    barcodes = mdata["rna"].obs_names
    if not barcodes.equals(mdata["atac"].obs_names):
        raise InputError("rna and atac do not have the same cells in the same order: read them with scanlink.io first")
    order = np.argsort(barcodes.to_numpy(dtype=str), kind="stable")
    place = np.empty(order.size, dtype=np.int32)
    place[order] = np.arange(order.size, dtype=np.int32)
    cells = mdata.obs.reindex(barcodes[order])
    with new_store(final) as made, ExitStack() as stack:
        spools: dict[str, Spool] = {
            name: stack.enter_context(
                Spool(made.folder / f"{name}_spool", mdata[name].n_vars, order.size, entries=entries)
            )
            for name in _KINDS
        }
        checks = counts_checks(mdata)
        for name, chunk in iter_modalities({name: mdata[name].X for name in _KINDS}, chunk_rows=chunk_rows):
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
        made.tables(cells, mdata["rna"].var_names, mdata["atac"].var_names)
        for spool in spools.values():
            spool.rest()
        for name in _KINDS:
            with spools[name] as spool:
                writer = ColumnWriter(
                    made.folder, name, n_features=mdata[name].n_vars, n_entries=spool.n_entries,
                    largest=spool.largest, levels=made.levels,
                )  # fmt: skip
                with writer:
                    spool.give(writer.add)
            made.digests |= writer.digests
    return Store.open(final)


def counts_checks(mdata: MuData) -> dict[str, CountsCheck]:
    """A check of each modality's counts, for all that read them in pieces."""
    checks: dict[str, CountsCheck] = {}
    for name in _KINDS:
        adata = mdata[name]
        matrix = adata.X
        label, hint = (matrix.selection.label, matrix.selection.hint) if isinstance(matrix, DiskCounts) else (name, "")
        checks[name] = CountsCheck(cells=adata.obs_names, features=adata.var_names, label=label or name, hint=hint)
    return checks
