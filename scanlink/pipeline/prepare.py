"""Files to a store and tables, made once and then found again; a change of the input is said."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from scanlink import __version__
from scanlink.errors import InputError, first_few
from scanlink.files import replace_file
from scanlink.io.parquet import read_shared
from scanlink.io.unknown_names import lost_names
from scanlink.options import GenesOptions
from scanlink.pipeline import record as provenance
from scanlink.pipeline.experiment import Prepared
from scanlink.store.make import write_store
from scanlink.store.store import Store

__all__ = ["computed_columns", "genes_file", "known_pairs", "prepare_once"]

log = logging.getLogger("scanlink")


def prepare_once(
    folder: Path,
    *,
    sections: dict[str, Any],
    files: Sequence[str | None],
    names: Sequence[str],
    make: Callable[[], tuple[Any, dict[str, pd.DataFrame]]],
) -> Prepared:
    """Make store and tables of a run folder, or find them there: made anew only if files or options are others.

    ``sections`` of options decide what ``make`` reads from the files, of which None are passed over. It gives the data
    and the tables by name, each of which becomes ``NAME.parquet``.
    """
    stamp = folder / "store" / "prepared.json"
    paths = {name: folder / f"{name}.parquet" for name in names}
    before = _earlier(stamp)
    inputs = provenance.describe_inputs(list(files), known=before.get("from", {}).get("inputs", ()))
    content = {"version": __version__, **sections}
    checksums = {"checksums": [entry["sha256"] for entry in inputs]}
    key = hashlib.sha256(json.dumps(content | checksums, sort_keys=True).encode()).hexdigest()
    what = f"store and {' and '.join(names)}"
    try:
        if before and all(path.is_file() for path in paths.values()):
            store = Store.open(folder / "store")
            made = {"store": store.checksum, **{name: provenance.checksum(path) for name, path in paths.items()}}
            if before["key"] == key and made == {name: before[name] for name in made}:
                log.info("%s are there already, from the same input", what)
                return Prepared(store, {name: read_shared(path) for name, path in paths.items()}, inputs)
            if before["key"] == key:
                log.warning("%s of an earlier run are damaged and made anew", what.replace(" and ", " or "))
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s of an earlier run are damaged and made anew: %s", what.replace(" and ", " or "), error)
    origin = {**content, "inputs": inputs}
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
        replace_file(path, partial(tables[name].to_parquet, index=False))
    sums = {name: provenance.checksum(path) for name, path in paths.items()}
    vouched = {"key": key, "store": store.checksum, **sums, "from": origin}
    replace_file(stamp, lambda temporary: temporary.write_text(json.dumps(vouched, indent=1)))
    return Prepared(store, tables, inputs)


def _earlier(stamp: Path) -> dict[str, Any]:
    """Read what an earlier run left beside its store, or nothing."""
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


def known_pairs(table: pd.DataFrame, path: str, names: Mapping[str, pd.Index]) -> pd.DataFrame:
    """Check that all names of a user's table of pairs are among those of the data, which are given by column."""
    for column, known in names.items():
        texts = table[column].astype(str)
        lost = ~texts.isin(known).to_numpy()
        if lost.any():
            raise InputError(
                f"{texts[lost].nunique()} {column}s of {Path(path).name} are not in the data "
                f"{lost_names(texts, lost, known)}. There they are named as {first_few(known, most=2)}: check the "
                "names, or leave those pairs out"
            )
    return table


def computed_columns(mdata: Any, of_second: tuple[str, ...], *, mito_prefix: str | Sequence[str]) -> tuple[str, ...]:
    """List the columns of cells that are computed from the counts; the mitochondrial share where there are such genes.

    ``of_second`` are those of the second modality.
    """
    from scanlink.pp.survey import mitochondrial

    prefix = (mito_prefix,) if isinstance(mito_prefix, str) else tuple(mito_prefix)
    has_mito = mitochondrial(mdata["rna"].var, prefix).any()
    return ("nUMI", "nFeature_RNA", *(("percent.mito",) if has_mito else ()), *of_second)


def genes_file(genes: GenesOptions | None) -> str | None:
    """Find the annotation that a run asked for, fetched if need be; None where pairs are given."""
    if genes is None or genes.path is not None:
        return None if genes is None else genes.path
    from scanlink.io import fetch_gencode

    assert genes.gencode is not None
    return str(fetch_gencode(genes.gencode))
