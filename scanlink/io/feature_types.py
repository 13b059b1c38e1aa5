"""What kind of feature a row is: genes, peaks or guides by the column that says so, whatever a maker calls them."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from scanlink.errors import InputError, OptionError, first_few
from scanlink.io.disk import select
from scanlink.io.opening import quiet

__all__ = [
    "TENX_TYPES",
    "are_named_otherwise",
    "counted_types",
    "feature_types",
    "foreign",
    "modality_name",
    "own_features",
]

log = logging.getLogger("scanlink")

# What 10x calls the features of each modality.
TENX_TYPES = {"rna": "Gene Expression", "atac": "Peaks", "guide": "CRISPR Guide Capture"}
# What modalities, assays and types of features are called in files, as of _letters.
_NAMES = {
    "rna": ("rna", "gene", "genes", "gex", "geneexpression", "mrna", "expression", "scrna", "snrna"),
    "atac": ("atac", "peak", "peaks", "chromatinaccessibility", "scatac", "snatac"),
    "guide": (
        *("guide", "guides", "grna", "grnas", "sgrna", "sgrnas", "crispr", "crisprguidecapture", "guidecapture"),
        *("guideumi", "guideumis", "gdo", "perturbation", "perturbations"),
    ),
    "other": ("antibodycapture", "antibody", "adt", "prot", "protein", "hto", "multiplexingcapture", "antigencapture"),
}
_COLUMNS = ("feature_types", "feature_type", "modality", "modalities")
_MODALITIES = {name: modality for modality, names in _NAMES.items() for name in names}


def _letters(name: object) -> str:
    """Write a name in lower case and without digits and separators, as the names above are."""
    return re.sub(r"[^a-z]+", "", str(name).lower())


def are_named_otherwise(keys: Mapping[str, str | None]) -> bool:
    """Tell whether a key says what a modality is called; None and our own name say nothing."""
    return any(key not in (None, modality) for modality, key in keys.items())


def modality_name(
    modality: str,
    present: Iterable[str],
    keys: Mapping[str, str | None],
    *,
    file: object = "",
    what: str = "modalities",
    likely: Collection[str] = (),
) -> str:
    """Name a modality as those ``present`` are named: by its key, or where that says nothing, by its likeliest name.

    Our name wins, then our name in other letters, then what others call it, or what is ``likely`` for other reasons.
    Where there is none, it is its key or our name. OptionError if several may be meant.
    """
    key = keys.get(modality)
    if key is not None and key != modality:
        return key
    taken = {key for other, key in keys.items() if other != modality}
    free = [name for name in present if name not in taken]
    possible = [name for name in free if _letters(name) in _NAMES[modality] or name in likely]
    named = [name for name in possible if name == modality] or [n for n in possible if n.lower() == modality]
    where = f"{file}: " if file else ""
    if len(chosen := named or possible) > 1:
        raise OptionError(
            f"{where}several {what} may be {modality}: {first_few(chosen)}. Pass {modality}_key= with one"
        )
    if len(possible) > 1:
        log.warning("%sof the %s %s, %r is read as %s", where, what, first_few(possible), chosen[0], modality)
    return chosen[0] if chosen else modality


def feature_types(var: pd.DataFrame) -> tuple[pd.Series, NDArray[np.object_]] | None:
    """Give the types of features as they are written, and the modality of each, ``""`` where it is not known.

    None if no column tells of modalities, such as one that holds ``protein_coding``.
    """
    for column in _COLUMNS:
        if column in var:
            types = var[column].astype(str)
            words = {word: _MODALITIES.get(_letters(word), "") for word in types.unique()}
            if any(words.values()):
                return types, types.map(words).to_numpy(dtype=object)
    return None


def counted_types(types: pd.Series) -> str:
    """List types of features with their numbers."""
    return ", ".join(f"{count:,} {name!r}" for name, count in types.value_counts().items())


def foreign(var: pd.DataFrame, modality: str) -> pd.Series:
    """Give the types of the features that are not of this modality, by the column that says so.

    Where no feature is, but all are genes by their type, none is foreign: many programs write this for whatever they
    count, and names are compared elsewhere.
    """
    found = feature_types(var)
    if found is None:
        return pd.Series(dtype=object)
    types, modalities = found
    own = modalities == modality
    by_default = not own.any() and bool((modalities == "rna").all())
    return types[:0] if by_default else types[~own]


def own_features(adata: AnnData, modality: str) -> AnnData:
    """Take the features of one modality where a column of types says that there are others; a warning counts those.

    InputError if none is of it.
    """
    others = foreign(adata.var, modality)
    if others.empty:
        return adata
    wanted, counted = TENX_TYPES[modality], counted_types(others)
    if len(others) == adata.n_vars:
        raise InputError(
            f"{modality}: no features of type {wanted!r}; found {counted}, such as {first_few(others.index[:2])}. "
            f"Give a file whose features are {wanted!r}, or drop the column of types if it is wrong"
        )
    log.warning("%s: features that are not %r are dropped: %s", modality, wanted, counted)
    found = feature_types(adata.var)
    assert found is not None
    with quiet():
        return select(adata, features=found[1] == modality)
