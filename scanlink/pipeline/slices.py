"""Slices of a scan without Dask, for job arrays, and what joins them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from scanlink.errors import InputError
from scanlink.files import replace_file
from scanlink.io.opening import existing_file
from scanlink.io.pairs import read_pairs
from scanlink.options import LinksOptions, SliceOptions
from scanlink.pipeline import config
from scanlink.pipeline import record as provenance
from scanlink.pipeline.run import Outcome, claim, finish
from scanlink.store.make import write_store
from scanlink.store.store import Store
from scanlink.tl.scan.call import compute
from scanlink.tl.scan.rows import Plan, make_plan

__all__ = ["merge", "scan_slice"]


def scan_slice(
    data: Path,
    pairs: Path,
    out: Path,
    *,
    chunk: tuple[int, int] = (1, 1),
    options_file: Path | None = None,
    changes: Sequence[str] = (),
) -> Outcome:
    """Test one slice of the pairs in this process, for job arrays.

    Parameters
    ----------
    data
        Scan store, or a .h5mu of raw counts, of which the slice makes its own store in ``out``.
    pairs
        Table of pairs, parquet or text.
    out
        Folder of all slices.
    chunk
        ``(i, n)``: the i-th of n slices, counted from 1.
    options_file, changes
        Sections ``groups``, ``scan`` and ``links``, as in run.yaml.
    """
    options = config.load(options_file, SliceOptions, changes=changes, known=False)
    table = read_pairs(pairs)
    if not data.is_dir():
        existing_file(data, "a scan store (a folder) or a .h5mu of raw counts")
    folder = Path(out).resolve()
    claim(folder)
    if data.is_dir():
        store = Store.open(data)
    else:
        from scanlink import io

        mdata = io.read(data, backed=True)
        # Slices may start at the same time: each writes the same bytes under a name of its own first.
        store = write_store(mdata, folder / "store")
    if store.path.resolve() != (folder / "store").resolve():
        replace_file(folder / "store.txt", lambda temporary: temporary.write_text(str(store.path.resolve())))
    plan = make_plan(
        store, table, folder / "parts", options=options.scan, groupby=options.groups.by, groups=options.groups.only
    )
    # For merge, which adjusts the p-values of all slices together.
    if not (folder / "config.yaml").exists():
        replace_file(folder / "config.yaml", lambda temporary: config.save(options, temporary))
    stats = compute(plan, chunk=chunk)
    stats.raise_failures()
    return Outcome(folder, stats=stats)


def merge(folder: Path, options: LinksOptions) -> pd.DataFrame:
    """Join the parts that slices of a scan left.

    Parameters
    ----------
    folder
        The folder that was given to every slice.
    options
        How the false discovery rate is taken.

    Raises
    ------
    InputError
        If the folder holds no scan, or several.
    RunError
        If blocks are missing.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give the folder that was named with --out to the slices")
    found = sorted(path.parent for path in folder.glob("parts/scan-*/plan.json"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise InputError(
            f"{folder} holds {len(found)} scans ({names}), expected one: give the folder that the slices wrote to, "
            "and delete scans of other options below parts/"
        )
    elsewhere = folder / "store.txt"
    store = Path(elsewhere.read_text()) if elsewhere.is_file() else folder / "store"
    plan = Plan(found[0], store)
    links = finish(plan, options, folder)
    provenance.write_record(
        folder / "provenance.json",
        options={"groupby": plan.about["groupby"], "scan": plan.about["options"], "links": options.model_dump()},
        seed=plan.options.seed,
        plan=plan.folder.name,
        inputs=[{"path": str(store), "sha256": plan.about["store"]}],
        blocks={"all": len(plan.blocks)},
        pairs={str(status): int(number) for status, number in links["status"].value_counts().items()},
        links=int((links["fdr"] < options.alpha).sum()),
    )
    return links
