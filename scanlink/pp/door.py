"""The door of pp and tl: data as scanpy and muon users have them become the MuData that scanlink works on.

Modalities under other names, counts in a layer, peaks whose coordinates are in their names, targets of guides under
other names, other cells in each modality, columns of cells that only a modality has: what :func:`scanlink.io.assemble`
and :func:`scanlink.io.assemble_screen` make of files is made of data in memory, too. Data that are as they should be
pass through as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray

from scanlink import io
from scanlink.errors import InputError, MissingKeyError, ScanlinkError, first_few
from scanlink.io.assembly import shared_cells
from scanlink.io.barcodes import text_index
from scanlink.io.cell_names import cell_names, names_now, renamed
from scanlink.io.chunks import is_backed, iter_chunks
from scanlink.io.guides import GUIDE_COLUMNS, find_column, unplain_controls
from scanlink.io.multiome_data import refuse_swapped
from scanlink.io.opening import quiet
from scanlink.io.peaks import looks_like_peaks
from scanlink.io.raw_counts import CountsCheck, Layer, chosen_counts, where_counts_may_be
from scanlink.io.sparse_structure import check_adata
from scanlink.pp.column_names import OTHER_NAMES, by_other_name
from scanlink.pp.modality_names import find_modalities, plain_prefixes, split_modalities

__all__ = [
    "ANY",
    "KEYS",
    "SCREEN_KEYS",
    "Entered",
    "Multiome",
    "Screen",
    "are_described",
    "enter",
    "entered_for_analysis",
]

log = logging.getLogger("scanlink")

KEYS, SCREEN_KEYS, ANY = ("rna", "atac"), ("rna", "guide"), ("rna", "atac", "guide")
# What may be taken in.
Multiome = Screen = MuData | AnnData | tuple[AnnData, AnnData] | Mapping[str, AnnData]
_ROW = "scanlink_row"


@dataclass(frozen=True)
class Entered:
    """Data as scanlink works on them, and where they come from."""

    data: MuData
    sources: Mapping[str, AnnData]  # The modalities as they were given, by our names.
    whole: Any
    rows: Mapping[str, NDArray[np.int64]]  # Of each feature, its place in the source.
    # What the data call each cell, by its name in the table of cells that was given.
    cells: pd.Series = field(default_factory=lambda: pd.Series(dtype=object))

    def key(self, modality: str) -> str:
        """Name a modality as the MuData that was given has it."""
        return next(str(key) for key, part in self.whole.mod.items() if part is self.sources[modality])

    def mask(self, modality: str, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell of each feature that was given whether it is among the ``kept`` ones of the data."""
        mask = np.zeros(self.sources[modality].n_vars, dtype=bool)
        mask[self.rows[modality][kept]] = True
        return mask

    def give_back(self, columns: Iterable[str] = (), *, replace: Iterable[str] = (), **features: Iterable[str]) -> None:
        """Write new columns of cells, and of the ``features`` of a modality, into what was given.

        Columns of cells that are there already are written only if they are to be replaced.
        """
        if self.data is self.whole:
            return
        obs = self.whole.obs if isinstance(self.whole, MuData) else self.sources[next(iter(self.sources))].obs
        for name in columns:
            if name in self.data.obs and (name in replace or name not in obs):
                values = self.data.obs[name].reindex(self.cells.reindex(text_index(obs.index)))
                obs[name] = values.set_axis(obs.index, axis=0)
        for modality, names in features.items():
            var, source, rows = self.data[modality].var, self.sources[modality].var, self.rows[modality]
            for name in names:
                missing = False if var[name].dtype == bool else None
                column = pd.Series(var[name].to_numpy(), index=rows)
                source[name] = column.reindex(range(len(source)), fill_value=missing).to_numpy()


def enter(
    data: Any,
    *,
    modalities: Sequence[str] = KEYS,
    optional: Sequence[str] = (),
    counts: Sequence[str] = ANY,
    layer: Layer = None,
    rna_key: str | None = None,
    atac_key: str | None = None,
    guide_key: str | None = None,
    fits: Callable[[MuData], bool] | None = None,
) -> Entered:
    """Take data in: as they are, if their modalities are called and are what they have to be, or else assembled anew.

    ``data`` is a MuData, a pair or mapping of two AnnData, or one AnnData whose column ``feature_types`` tells the
    ``modalities`` apart; those that are ``optional`` may lack, and of them only the cells count. ``fits``
    says whether a MuData with our names is as it should be; None looks at cells and at a piece of the counts. Without
    the ``counts`` of a modality what comes out has none of it. Raises MissingKeyError if a modality or layer is not
    there, and what :func:`scanlink.io.assemble` or :func:`scanlink.io.assemble_screen` raise.
    """
    if isinstance(data, AnnData):
        check_adata(data, "the data")
        named, places = split_modalities(data, modalities, optional)
    else:
        keys = {"rna": rna_key, "atac": atac_key, "guide": guide_key}
        named = find_modalities(data, {name: keys[name] for name in modalities}, optional)
        places = {name: np.arange(part.n_vars) for name, part in named.items()}
    for name, part in named.items() if not isinstance(data, AnnData) else ():
        check_adata(part, name)
    needed = [name for name in named if name not in optional]
    if set(needed) & {"atac", "guide"}:
        named = {name: part for name, part in named.items() if name in ("rna", *needed)}
    as_named = isinstance(data, MuData) and all(name in data.mod and data[name] is part for name, part in named.items())
    if as_named and layer is None and (fits(data) if fits else _fits(data, named, needed)):
        return Entered(data, named, data, places)
    obs = plain_prefixes(data.obs, data, named) if isinstance(data, MuData) else None
    with quiet():
        parts = {name: _with_counts(part, name, layer, counts=name in counts) for name, part in named.items()}
        tables = {name: part.obs for name, part in parts.items()}
        # What is given back is of all modalities, or else stands in the table of the first.
        first = next(iter(tables))
        whose = {first: tables[first]} if obs is None else tables
        cells = names_now((tables[first] if obs is None else obs).index, whose, cell_names(tables))
        made = _joined(parts, obs, needed)
    if obs is not None:
        # Under the names by which the user knows them, too.
        own = renamed(data.obs, cells).reindex(made.obs_names).drop(columns=made.obs.columns, errors="ignore")
        made.obs = pd.concat([made.obs, own], axis=1)
    if (n := max(part.n_obs for part in parts.values())) > made.n_obs:
        log.warning(
            "%d cells are in %s, of up to %d in one of them; the others are left out",
            made.n_obs,
            " and in ".join(parts),
            n,
        )
    rows = {}
    for name in parts:
        rows[name] = places[name][made[name].var[_ROW].to_numpy(dtype=np.int64)]
        made[name].var = made[name].var.drop(columns=_ROW)
    return Entered(made, dict.fromkeys(named, data) if isinstance(data, AnnData) else named, data, rows, cells)


def _joined(parts: Mapping[str, AnnData], obs: pd.DataFrame | None, needed: Sequence[str]) -> MuData:
    """Assemble genes and a second modality that is needed; else take the cells that all have, and no more."""
    if "guide" in needed and "rna" in parts:
        if all(find_column(part.var, "target") is None for part in parts.values()):
            columns = [name for name in parts["guide"].var if name != _ROW]
            raise MissingKeyError(
                f"guide.var has no column of targets, found {first_few(columns, most=8) or 'none'}: write them into "
                "its column 'target' ('non-targeting' for controls), or join the data with a table of guides by "
                "scanlink.io.assemble_screen(rna, guide, guides=table)"
            )
        return io.assemble_screen(parts["rna"], parts["guide"], obs=obs)
    if "atac" in needed and "rna" in parts:
        return io.assemble(parts["rna"], parts["atac"], obs=obs)
    if {"rna", "atac"} <= parts.keys() and looks_like_peaks(parts["rna"].var_names):
        refuse_swapped(parts["rna"].var, parts["atac"].var)
    shared = shared_cells(parts, obs=obs)
    return shared.joined(shared.parts)


def _fits(mdata: MuData, names: Iterable[str], needed: Sequence[str]) -> bool:
    """Tell whether the modalities have the same cells, and the first piece of each matrix holds counts."""
    parts = {name: mdata[name] for name in names}
    first = next(iter(parts.values()))
    if not all(part.obs_names.equals(first.obs_names) for part in parts.values()):
        return False
    if "guide" in needed and not are_described(mdata):
        return False
    # What is no count, and cannot be replaced, is refused by who reads all of it.
    return all(
        is_backed(part.X) or "counts" not in part.layers or _problem(part.X, part, name) is None
        for name, part in parts.items()
    )


def are_described(mdata: MuData) -> bool:
    """Tell whether the table of guides has what is known of targets under our names."""
    var = mdata["guide"].var
    known = all(name in var or find_column(var, name) is None for name in GUIDE_COLUMNS)
    return known and not ("target" in var and unplain_controls(var["target"]).any())


def entered_for_analysis(data: Any, *, modalities: Sequence[str] = KEYS, **places: Any) -> MuData:
    """Take data in for an analysis: as :func:`scanlink.io.check` or :func:`scanlink.io.check_screen` wants them.

    Columns that only a modality has, and covariates under the names of other programs, are added to a copy of the table
    of cells.
    """
    fits = partial(_is_checked, is_screen="guide" in modalities)
    made = enter(data, modalities=modalities, fits=fits, **places).data
    added: dict[str, pd.Series] = {}
    for name in modalities:
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
        full = MuData({name: made[name] for name in modalities})
    full.obs = pd.concat([made.obs, pd.DataFrame(added, index=made.obs_names)], axis=1)
    full.uns.update(made.uns)
    return full


def _is_checked(mdata: MuData, *, is_screen: bool) -> bool:
    try:
        (io.check_screen if is_screen else io.check)(mdata)
    except ScanlinkError as error:
        log.info("the data are assembled anew: %s", error)
        return False
    return not is_screen or are_described(mdata)


def _sums(matrix: Any) -> NDArray[np.float64]:
    return np.asarray(matrix.sum(axis=1), dtype=np.float64).ravel()


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
        # A count in each cell and of each feature, so that none looks empty.
        cell, feature = (np.arange(max(adata.shape)) % n for n in adata.shape)
        ones = np.ones(cell.size, dtype=np.int32)
        matrix, var = sp.csr_matrix((ones, (cell, feature)), shape=adata.shape), adata.var
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
