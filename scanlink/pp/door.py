"""The door of pp and tl: data as scanpy and muon users have them become the MuData that scanlink works on.

Modalities under other names, counts in a layer, peaks whose coordinates are in their names, other cells in each
modality, columns of cells that only a modality has: what :func:`scanlink.io.assemble` makes of files is made of data in
memory, too. Data that are as they should be pass through as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray

from scanlink import io
from scanlink.errors import InputError, MissingKeyError, OptionError, ScanlinkError, first_few
from scanlink.io.chunks import is_backed, iter_chunks
from scanlink.io.feature_types import MODALITY_NAMES, feature_types, plain_name
from scanlink.io.opening import quiet
from scanlink.io.raw_counts import CountsCheck, Layer, chosen_counts, where_counts_may_be
from scanlink.pp.column_names import OTHER_NAMES, by_other_name
from scanlink.pp.modalities import get_modality

__all__ = ["KEYS", "Entered", "Multiome", "enter", "entered_for_analysis"]

log = logging.getLogger("scanlink")

KEYS = ("rna", "atac")
# What may be taken in.
Multiome = MuData | AnnData | tuple[AnnData, AnnData] | Mapping[str, AnnData]
_ROW = "scanlink_row"


@dataclass(frozen=True)
class Entered:
    """Data as scanlink works on them, and where they come from."""

    data: MuData
    sources: Mapping[str, AnnData]  # The modalities as they were given, by our names.
    whole: Any
    rows: Mapping[str, NDArray[np.int64]]  # Of each feature, its place in the source.

    def key(self, modality: str) -> str:
        """Name a modality as the MuData that was given has it."""
        return next(str(key) for key, part in self.whole.mod.items() if part is self.sources[modality])

    def mask(self, modality: str, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell of each feature that was given whether it is among the ``kept`` ones of the data."""
        mask = np.zeros(self.sources[modality].n_vars, dtype=bool)
        mask[self.rows[modality][kept]] = True
        return mask

    def give_back(
        self, columns: Iterable[str] = (), features: Iterable[str] = (), *, replace: Iterable[str] = ()
    ) -> None:
        """Write new columns of cells, and of genes, into what was given; old ones only if they are to be replaced."""
        if self.data is self.whole:
            return
        obs = self.whole.obs if isinstance(self.whole, MuData) else self.sources["rna"].obs
        for name in columns:
            if name in self.data.obs and (name in replace or name not in obs):
                obs[name] = self.data.obs[name].reindex(obs.index)
        var, source = self.data["rna"].var, self.sources["rna"].var
        for name in features:
            missing = False if var[name].dtype == bool else np.nan
            column = np.full(len(source), missing, dtype=var[name].dtype)
            column[self.rows["rna"]] = var[name].to_numpy()
            source[name] = column


def enter(
    data: Any,
    *,
    layer: Layer = None,
    rna_key: str | None = None,
    atac_key: str | None = None,
    fits: Callable[[MuData], bool] | None = None,
    counts: bool = True,
    optional: Sequence[str] = (),
) -> Entered:
    """Take data in: as they are, if their modalities are called and are what they have to be, or else assembled anew.

    ``data`` is a MuData, a pair or mapping of two AnnData, or one AnnData whose column ``feature_types`` tells genes
    and peaks apart. ``fits`` says whether a MuData with our names is as it should be; None looks at cells and at a
    piece of the counts. Without ``counts`` there is no count in what comes out. Without a modality that is ``optional``
    the other is taken alone. Raises MissingKeyError if a modality or
    layer is not there, and what :func:`scanlink.io.assemble` raises.
    """
    if isinstance(data, AnnData):
        named, places = _split(data)
    else:
        named = _modalities(data, {"rna": rna_key, "atac": atac_key}, optional)
        places = {name: np.arange(part.n_vars) for name, part in named.items()}
    as_named = isinstance(data, MuData) and all(name in data.mod and data[name] is part for name, part in named.items())
    if as_named and layer is None and (fits or _fits)(data):
        return Entered(data, named, data, places)
    parts = {name: _with_counts(part, name, layer, counts=counts) for name, part in named.items()}
    if len(parts) < len(KEYS):
        with quiet():
            made = MuData({name: AnnData(part.X, obs=part.obs, var=part.var) for name, part in parts.items()})
        return Entered(made, named, data, places)
    obs = _plain_prefixes(data.obs, data, named) if isinstance(data, MuData) else None
    with quiet():
        made = io.assemble(parts["rna"], parts["atac"], obs=obs)
    if obs is not None:
        # Under the names by which the user knows them, too.
        own = data.obs.reindex(made.obs_names).drop(columns=made.obs.columns, errors="ignore")
        made.obs = pd.concat([made.obs, own], axis=1)
    if (n := max(part.n_obs for part in parts.values())) > made.n_obs:
        log.warning(
            "%d cells are in rna and in atac, of up to %d in one of them; the others are left out", made.n_obs, n
        )
    rows = {}
    for name in KEYS:
        rows[name] = places[name][made[name].var[_ROW].to_numpy(dtype=np.int64)]
        made[name].var = made[name].var.drop(columns=_ROW)
    return Entered(made, dict.fromkeys(KEYS, data) if isinstance(data, AnnData) else named, data, rows)


def _fits(mdata: MuData) -> bool:
    """Tell whether both modalities have the same cells, and the first piece of each matrix holds counts."""
    parts = {name: mdata[name] for name in KEYS if name in mdata.mod}
    if not all(part.obs_names.equals(mdata["rna"].obs_names) for part in parts.values()):
        return False
    # What is no count, and cannot be replaced, is refused by who reads all of it.
    return all(
        is_backed(part.X) or "counts" not in part.layers or _problem(part.X, part, name) is None
        for name, part in parts.items()
    )


def entered_for_analysis(
    data: Any, *, layer: Layer = None, rna_key: str | None = None, atac_key: str | None = None
) -> MuData:
    """Take data in for an analysis: as :func:`scanlink.io.check` wants them, and with every column of cells there is.

    Columns that only a modality has, and covariates under the names of other programs, are added to a copy of the table
    of cells.
    """
    made = enter(data, layer=layer, rna_key=rna_key, atac_key=atac_key, fits=_is_checked).data
    added: dict[str, pd.Series] = {}
    for name in KEYS:
        for column in made[name].obs.columns.difference(made.obs.columns, sort=False):
            added.setdefault(str(column), made[name].obs[column].reindex(made.obs_names))
    for column in OTHER_NAMES:
        if column in made.obs or column in added:
            continue
        least = partial(_sums, made["rna"].X) if column == "nUMI" and not is_backed(made["rna"].X) else None
        if (values := by_other_name(made, column, least=least)) is not None:
            added[column] = values
    if not added:
        return made
    with quiet():
        full = MuData({name: made[name] for name in KEYS})
    full.obs = pd.concat([made.obs, pd.DataFrame(added, index=made.obs_names)], axis=1)
    full.uns.update(made.uns)
    return full


def _is_checked(mdata: MuData) -> bool:
    try:
        io.check(mdata)
    except ScanlinkError as error:
        log.info("the data are assembled anew: %s", error)
        return False
    return True


def _sums(matrix: Any) -> NDArray[np.float64]:
    return np.asarray(matrix.sum(axis=1), dtype=np.float64).ravel()


def _modalities(data: Any, keys: Mapping[str, str | None], optional: Sequence[str]) -> dict[str, AnnData]:
    """Find the AnnData of each modality: by its key, by our name, or by a name that others give it."""
    if isinstance(data, tuple | list) and len(data) == 2 and all(isinstance(part, AnnData) for part in data):
        return dict(zip(KEYS, data, strict=True))
    modalities = data if isinstance(data, Mapping) else getattr(data, "mod", None)
    if not isinstance(modalities, Mapping):
        get_modality(data, "rna")
        raise InputError("the modalities of the data are no mapping from names to AnnData")
    found: dict[str, AnnData] = {}
    for modality, key in keys.items():
        if key is not None and key not in modalities:
            raise MissingKeyError(
                f"{modality}_key: no modality {key!r} in the data, found {first_few(modalities) or 'none'}"
            )
        if key is None:
            taken = set(keys.values()) - {None}
            names = [name for name in modalities if plain_name(name) in MODALITY_NAMES[modality] and name not in taken]
            if modality not in names and len(names) > 1:
                raise OptionError(f"several modalities may be {modality}: {first_few(names)}. Give {modality}_key=")
            key = modality if modality in names or not names else names[0]
            if key != modality:
                log.info("modality %r is taken for %s", key, modality)
            elif key not in modalities and modality in optional:
                continue
            elif key not in modalities:
                raise MissingKeyError(
                    f"no modality {modality!r} in the data, found {first_few(modalities) or 'none'}: scanlink needs "
                    f"genes and peaks; give {modality}_key= with the name that it has here"
                )
        if not isinstance(modalities[key], AnnData):
            raise InputError(f"{key} is a {type(modalities[key]).__name__}, expected an AnnData")
        found[modality] = modalities[key]
    return found


def _split(adata: AnnData) -> tuple[dict[str, AnnData], dict[str, NDArray[np.int64]]]:
    """Tell genes and peaks of one AnnData apart, and where in it they are."""
    types = feature_types(adata.var)
    masks = {name: types[1] == name for name in KEYS} if types is not None else {}
    if not masks or not all(mask.any() for mask in masks.values()):
        raise InputError(
            "expected a MuData with modalities 'rna' and 'atac', found AnnData without a column feature_types that "
            "tells genes ('Gene Expression') and peaks ('Peaks') apart: give both, as MuData({'rna': ..., 'atac': ...})"
        )
    parts = {name: adata[:, mask].copy() for name, mask in masks.items()}
    return parts, {name: np.flatnonzero(mask) for name, mask in masks.items()}


def _with_counts(adata: AnnData, name: str, layer: Layer, *, counts: bool) -> AnnData:
    """Make a modality of the raw counts, wherever they are; their rows are numbered, to find them again."""
    if counts:
        chosen = layer.get(name) if isinstance(layer, Mapping) else layer
        if chosen is None and not is_backed(adata.X):
            problem = _problem(adata.X, adata, name)
            if problem is not None and "counts" in adata.layers:
                log.warning("%s: X does not hold raw counts; its layer 'counts' is used", name)
                layer = "counts"
            elif problem is not None:
                raise InputError(problem)
        matrix, var, label, _ = chosen_counts(adata, modality=name, layer=layer)
        if adata.isbacked:
            raise InputError(
                f"{label} is on disk (backed), and the data are not as they have to be: read the file with "
                "scanlink.io.read(path, backed=True), which takes layer=, rna_key= and atac_key="
            )
    else:
        matrix, var = sp.csr_matrix(adata.shape, dtype=np.int32), adata.var
    return AnnData(matrix, obs=adata.obs.copy(), var=var.assign(**{_ROW: np.arange(len(var))}))


def _problem(matrix: Any, adata: AnnData, name: str) -> str | None:
    """Look at the first piece of a matrix; say what is wrong if it holds anything but raw counts."""
    if matrix is None:
        return f"{name}: there is no matrix in X. {where_counts_may_be(adata)}"
    hint = where_counts_may_be(adata)
    check = CountsCheck(cells=adata.obs_names, features=adata.var_names, label=name, hint=hint)
    try:
        for chunk in iter_chunks(matrix):
            check.look(chunk.block, chunk.rows, chunk.cols)
            break
        check.refuse()
    except InputError as error:
        return str(error)
    return None


def _plain_prefixes(obs: pd.DataFrame, mdata: MuData, named: Mapping[str, AnnData]) -> pd.DataFrame:
    """Write what mudata made of the columns of a modality with our name of it: gex:batch becomes rna:batch."""
    keys = {key: name for name, part in named.items() for key, other in mdata.mod.items() if other is part}
    renamed = {}
    for column in obs.columns:
        key, colon, plain = str(column).partition(":")
        if colon and keys.get(key, key) != key:
            renamed[column] = f"{keys[key]}:{plain}"
    return obs.rename(columns=renamed)
