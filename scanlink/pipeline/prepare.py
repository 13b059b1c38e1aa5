"""Files to a scan store and a table of pairs, made once and then found again; a change of either input is told."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from scanlink import __version__
from scanlink.errors import InputError, first_few
from scanlink.files import replace_file
from scanlink.io.disk import select
from scanlink.io.pairs import read_pairs
from scanlink.io.parquet import read_shared
from scanlink.options import GenesOptions, RunOptions
from scanlink.pipeline import record as provenance
from scanlink.store.make import write_store
from scanlink.store.store import Store

__all__ = ["genes_file", "prepare", "prepared"]

log = logging.getLogger("scanlink")


def prepare(options: RunOptions, folder: Path) -> tuple[Store, pd.DataFrame, list[dict[str, Any]]]:
    """Read the files, filter, pair genes with peaks, and write store and pairs; or find that it was done before.

    Returns
    -------
    tuple
        Store, table of pairs, and path, size and checksum of every input.
    """
    genes = genes_file(options.genes)

    def make() -> tuple[Any, dict[str, pd.DataFrame]]:
        mdata, pairs = _read(options, genes)
        return mdata, {"pairs": pairs}

    store, tables, inputs = prepared(
        folder,
        asked={"input": options.input.model_dump(), "pairs": options.pairs.model_dump()},
        files=[*options.input.files, genes, options.pairs.path],
        names=("pairs",),
        make=make,
    )
    return store, tables["pairs"], inputs


def prepared(
    folder: Path,
    *,
    asked: dict[str, Any],
    files: Sequence[str | None],
    names: Sequence[str],
    make: Callable[[], tuple[Any, dict[str, pd.DataFrame]]],
) -> tuple[Store, dict[str, pd.DataFrame], list[dict[str, Any]]]:
    """Store and tables of a run folder, made anew only if files or options are others.

    Parameters
    ----------
    folder
        The run folder.
    asked
        Sections of options that decide what is made.
    files
        What it is made from.
    names
        Of the tables, each of which is ``NAME.parquet``.
    make
        Reads the files; returns the data and the tables.

    Returns
    -------
    tuple
        Store, tables by name, and path, size and checksum of every input.
    """
    stamp = folder / "store" / "prepared.json"
    paths = {name: folder / f"{name}.parquet" for name in names}
    before = _earlier(stamp)
    inputs = provenance.describe_inputs(list(files), known=before.get("from", {}).get("inputs", ()))
    asked = {"version": __version__, **asked}
    checksums = {"checksums": [entry["sha256"] for entry in inputs]}
    key = hashlib.sha256(json.dumps(asked | checksums, sort_keys=True).encode()).hexdigest()
    what = f"store and {' and '.join(names)}"
    try:
        if before and all(path.is_file() for path in paths.values()):
            store = Store.open(folder / "store")
            made = {"store": store.checksum, **{name: provenance.checksum(path) for name, path in paths.items()}}
            if before["key"] == key and made == {name: before[name] for name in made}:
                log.info("%s are there already, from the same input", what)
                return store, {name: read_shared(path) for name, path in paths.items()}, inputs
            if before["key"] == key:
                log.warning("%s of an earlier run are damaged and made anew", what.replace(" and ", " or "))
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s of an earlier run are damaged and made anew: %s", what.replace(" and ", " or "), error)
    origin = {**asked, "inputs": inputs}
    if before.get("key") not in (None, key) and (changed := provenance.changes(before.get("from", {}), origin)):
        log.warning(
            "the store in %s was made from something else: %s. %s are made anew; what was computed from "
            "the old ones is not used",
            folder,
            "; ".join(changed),
            what.capitalize(),
        )
    mdata, tables = make()
    # Until the new stamp is there, nothing in the folder vouches for store and tables.
    stamp.unlink(missing_ok=True)
    store = write_store(mdata, folder / "store")
    for name, path in paths.items():
        replace_file(path, lambda temporary, name=name: tables[name].to_parquet(temporary, index=False))  # type: ignore[misc]
    sums = {name: provenance.checksum(path) for name, path in paths.items()}
    vouched = {"key": key, "store": store.checksum, **sums, "from": origin}
    replace_file(stamp, lambda temporary: temporary.write_text(json.dumps(vouched, indent=1)))
    return store, tables, inputs


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
            mdata,
            io.read_genes(str(genes)),
            window=options.pairs.window,
            anchor=options.pairs.anchor,
            overlap=options.pairs.overlap,
        )
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


def genes_file(genes: GenesOptions | None) -> str | None:
    """Annotation that a run asked for, fetched if need be; None where pairs are given."""
    if genes is None or genes.path is not None:
        return None if genes is None else genes.path
    from scanlink.io import fetch_gencode

    assert genes.gencode is not None
    return str(fetch_gencode(genes.gencode))
