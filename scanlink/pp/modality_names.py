"""Which part of the data is which modality: by a key, by our name, by a name that others give it, or by a column."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.io.feature_types import TENX_TYPES, feature_types, modality_name
from scanlink.io.guides import find_column
from scanlink.io.peaks import looks_like_peaks
from scanlink.pp.modalities import get_modality

__all__ = ["find_modalities", "plain_prefixes", "split_modalities"]

log = logging.getLogger("scanlink")

_FEATURES = {"rna": "genes", "atac": "peaks", "guide": "guides"}


def find_modalities(data: Any, keys: Mapping[str, str | None], optional: Sequence[str]) -> dict[str, AnnData]:
    """Find the AnnData of each modality: by its key, by our name, or by a name that others give it."""
    if isinstance(data, tuple | list) and len(data) == 2 and all(isinstance(part, AnnData) for part in data):
        first, *others = keys
        likely = [name for name in others if name not in optional] or others
        second = likely[0] if len(likely) == 1 else _likelier(data[1].var)
        return {first: data[0], second: data[1]}
    modalities = data if isinstance(data, Mapping) else getattr(data, "mod", None)
    if not isinstance(modalities, Mapping):
        get_modality(data, "guide" if "atac" not in keys else "rna")
        raise InputError("the modalities of the data are no mapping from names to AnnData")
    reader = "read" if "atac" in keys else "read_screen"
    found: dict[str, AnnData] = {}
    for modality, key in keys.items():
        if key not in (None, modality) and key not in modalities:
            raise MissingKeyError(
                f"{modality}_key: no modality {key!r} in the data, found {first_few(modalities) or 'none'}"
            )
        if key is None or key == modality:
            key = modality_name(modality, modalities, keys)
            if key != modality:
                log.info("modality %r is taken for %s", key, modality)
            elif key not in modalities and modality in optional:
                continue
            elif key not in modalities:
                raise MissingKeyError(
                    f"no modality {modality!r} in the data, found {first_few(modalities) or 'none'}: scanlink needs "
                    f"{' and '.join(_FEATURES[name] for name in keys if name not in optional)}; give {modality}_key= "
                    f"with the name that it has here, or read the file with scanlink.io.{reader}"
                )
        if not isinstance(modalities[key], AnnData):
            raise InputError(f"{key} is a {type(modalities[key]).__name__}, expected an AnnData")
        found[modality] = modalities[key]
    return found


def _likelier(var: pd.DataFrame) -> str:
    """Tell guides from peaks where either will do: they have targets, and are not called by places."""
    has_targets = find_column(var, "target") is not None
    return "guide" if has_targets and not looks_like_peaks(var.index) else "atac"


def split_modalities(
    adata: AnnData, modalities: Sequence[str], optional: Sequence[str]
) -> tuple[dict[str, AnnData], dict[str, NDArray[np.int64]]]:
    """Tell the modalities of one AnnData apart, and where in it their features are."""
    types = feature_types(adata.var)
    masks = {name: types[1] == name for name in modalities} if types is not None else {}
    needed = [name for name in modalities if name not in optional]
    if not masks or not all(masks[name].any() for name in needed):
        shown = modalities if len(modalities) == 2 else needed
        kinds = " and ".join(f"{_FEATURES[name]} ({TENX_TYPES[name]!r})" for name in shown)
        raise InputError(
            f"expected a MuData with modalities {' and '.join(map(repr, shown))}, found AnnData without a column "
            f"feature_types that tells {kinds} apart: give MuData({{{', '.join(f'{name!r}: ...' for name in shown)}}})"
        )
    parts = {name: adata[:, mask].copy() for name, mask in masks.items() if mask.any()}
    return parts, {name: np.flatnonzero(masks[name]) for name in parts}


def plain_prefixes(obs: pd.DataFrame, mdata: MuData, named: Mapping[str, AnnData]) -> pd.DataFrame:
    """Write what mudata made of the columns of a modality with our name of it: gex:batch becomes rna:batch."""
    keys = {key: name for name, part in named.items() for key, other in mdata.mod.items() if other is part}
    renamed = {}
    for column in obs.columns:
        key, colon, plain = str(column).partition(":")
        if colon and keys.get(key, key) != key:
            renamed[column] = f"{keys[key]}:{plain}"
    return obs.rename(columns=renamed)
