"""Files to a scan store and a table of pairs, made once and then found again; a change of either input is told."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd

from scanlink import __version__, provenance
from scanlink.errors import InputError, first_few
from scanlink.io.disk import select
from scanlink.io.make_store import write_store
from scanlink.io.pairs import read_pairs
from scanlink.io.parquet import read_shared
from scanlink.io.store import Store
from scanlink.options import RunOptions
from scanlink.run import replace_file

__all__ = ["prepare"]

log = logging.getLogger("scanlink")


def prepare(options: RunOptions, folder: Path) -> tuple[Store, pd.DataFrame, list[dict[str, Any]]]:
    """Read the files, filter, pair genes with peaks, and write store and pairs; or find that it was done before.

    Returns
    -------
    tuple
        Store, table of pairs, and path, size and checksum of every input.
    """
    genes = _genes_file(options)
    stamp, table = folder / "store" / "prepared.json", folder / "pairs.parquet"
    before = _earlier(stamp)
    inputs = provenance.describe_inputs(
        [*options.input.files, genes, options.pairs.path], known=before.get("from", {}).get("inputs", ())
    )
    asked = {"version": __version__, "input": options.input.model_dump(), "pairs": options.pairs.model_dump()}
    checksums = {"checksums": [entry["sha256"] for entry in inputs]}
    key = hashlib.sha256(json.dumps(asked | checksums, sort_keys=True).encode()).hexdigest()
    try:
        if before and table.is_file():
            store = Store.open(folder / "store")
            made = {"store": store.checksum, "pairs": provenance.checksum(table)}
            if before["key"] == key and made == {name: before[name] for name in made}:
                log.info("store and pairs are there already, from the same input")
                return store, read_shared(table), inputs
            if before["key"] == key:
                log.warning("store or pairs of an earlier run are damaged and made anew")
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("store or pairs of an earlier run are damaged and made anew: %s", error)
    origin = {**asked, "inputs": inputs}
    if before.get("key") not in (None, key) and (changed := provenance.changes(before.get("from", {}), origin)):
        log.warning(
            "the store in %s was made from something else: %s. Store and pairs are made anew; what was computed from "
            "the old ones is not used",
            folder, "; ".join(changed),
        )  # fmt: skip
    mdata, pairs = _read(options, genes)
    # Until the new stamp is there, nothing in the folder vouches for store and pairs.
    stamp.unlink(missing_ok=True)
    store = write_store(mdata, folder / "store")
    replace_file(table, lambda temporary: pairs.to_parquet(temporary, index=False))
    vouched = {"key": key, "store": store.checksum, "pairs": provenance.checksum(table), "from": origin}
    replace_file(stamp, lambda temporary: temporary.write_text(json.dumps(vouched, indent=1)))
    return store, pairs, inputs


def _earlier(stamp: Path) -> dict[str, Any]:
    """What an earlier run left beside its store, or nothing."""
    try:
        said = json.loads(stamp.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("store or pairs of an earlier run are damaged and made anew: %s", error)
        return {}
    if not isinstance(said, dict) or not isinstance(said.get("from", {}), dict):
        return {}
    inputs = said.get("from", {}).get("inputs", [])
    return said if isinstance(inputs, list) and all(isinstance(entry, dict) for entry in inputs) else {}


def _read(options: RunOptions, genes: str | None) -> tuple[Any, pd.DataFrame]:
    from scanlink import io, pp

    given = options.input.model_dump()
    path = given.pop("path")
    # One file with both modalities is read in pieces: once for the sums, once for the store.
    mdata = io.read(path, **given, backed=path is not None and not Path(path).is_dir())
    survey = pp.Survey(mdata)
    pp.qc(mdata, survey=survey)
    if options.pairs.path is None:
        # Who brings pairs has chosen: each of them gets its row, and a status where it is too rare.
        fraction = options.pairs.min_fraction
        mdata = pp.filter_features(mdata, min_fraction=fraction, survey=survey, into_memory=False)
    if options.pairs.highly_variable:
        pp.highly_variable_genes(mdata)
    if options.pairs.path is not None:
        pairs = _given_pairs(options.pairs.path, mdata)
    else:
        pairs = pp.cis_pairs(
            mdata, io.read_genes(str(genes)),
            window=options.pairs.window, anchor=options.pairs.anchor, overlap=options.pairs.overlap,
        )  # fmt: skip
    if options.pairs.highly_variable:
        variable = mdata["rna"].var["highly_variable"]
        pairs = pairs[pairs["gene"].isin(variable.index[variable])].reset_index(drop=True)
    # Features that are in no pair would only make the store larger.
    for modality, column in (("rna", "gene"), ("atac", "peak")):
        used = mdata[modality].var_names.isin(pairs[column])
        mdata.mod[modality] = select(mdata[modality], features=used)
    return mdata, pairs


def _given_pairs(path: str, mdata: Any) -> pd.DataFrame:
    """A user's table of pairs, all of whose names have to be in the data."""
    table = read_pairs(path)
    for column, modality in (("gene", "rna"), ("peak", "atac")):
        names = table[column].astype(str)
        absent = names[~names.isin(mdata[modality].var_names)].unique()
        if absent.size:
            raise InputError(
                f"{absent.size} {column}s of {Path(path).name} are not in the data ({first_few(absent)}); "
                f"there they are named as {first_few(mdata[modality].var_names, most=2)}: "
                "check the names, or leave those pairs out"
            )
    return table


def _genes_file(options: RunOptions) -> str | None:
    if options.genes is None:
        return None
    if options.genes.path is not None:
        return options.genes.path
    from scanlink.io import fetch_gencode

    assert options.genes.gencode is not None
    return str(fetch_gencode(options.genes.gencode))
