"""Do the p-values of a scan keep what they promise? The same scan where no link can be true."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betaincinv

from scanlink.errors import InputError, MissingKeyError, OptionError, first_few
from scanlink.io.raw_counts import Layer
from scanlink.options import GroupOptions
from scanlink.p_values import KINDS
from scanlink.pp.door import Multiome
from scanlink.pp.groups import group_members, group_names
from scanlink.run import check_client, client_for
from scanlink.store.make import permuted
from scanlink.store.store import Store
from scanlink.tl.analysis import Given
from scanlink.tl.call import checked_options, compute, store_of
from scanlink.tl.cell_plan import checked_pairs
from scanlink.tl.scan import SCAN
from scanlink.tl.scan.options import LinksOptions, ScanOptions
from scanlink.tl.scan.rows import scan_rows
from scanlink.tl.scan.table import finish_links

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Calibration", "calibrate"]

log = logging.getLogger("scanlink")

_BINS = 10


@dataclass(frozen=True, eq=False)
class Calibration:
    """Rejection rates of a scan of permuted data.

    Attributes
    ----------
    table
        A row a group (and ``all``, where there are several), kind of p-value (``wald``, ``robust``, ``bootstrap``,
        ``tail``; those that were computed) and level: ``n_tests``, over all permutations; the share of p-values at or
        below the level, ``expected`` (the level itself) and ``observed``; ``ratio``, observed / expected, and its
        95 % interval, ``ratio_low`` and ``ratio_high`` (Clopper and Pearson 1934).
    p_values
        Every test: group, permutation (from 1), gene, peak, p, p_robust, p_boot, n_boot, p_tail.
    """

    table: pd.DataFrame
    p_values: pd.DataFrame


def calibrate(
    mdata: Multiome | Store | str | os.PathLike[str],
    pairs: pd.DataFrame,
    *,
    groupby: str | None = None,
    groups: Sequence[str] | None = None,
    strata: str | Sequence[str] | None = None,
    n_permutations: int = 1,
    levels: Sequence[float] = (0.05, 0.01, 0.001, 1e-4),
    seed: int = 0,
    layer: Layer = None,
    rna_key: str | None = None,
    atac_key: str | None = None,
    client: Client | None = None,
    out: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Calibration:
    """Scan data in which the peaks of cells were permuted, and compare the p-values with what they promise.

    Within its group (and stratum) each cell gets the whole ATAC profile of another, drawn without replacement. So no
    link is true any more, while peaks keep how often they are open and their correlation with each other, and genes
    keep their counts, covariates and correlation with each other.

    Parameters
    ----------
    mdata, pairs, groupby, groups, layer, rna_key, atac_key, client
        As in :func:`scanlink.tl.scan`.
    strata
        Columns of ``mdata.obs`` within which profiles are permuted: text as it is; numbers of more than ten values cut
        into ten quantile bins within the group. See Warnings.
    n_permutations
        How often the scan is repeated, each time with peaks permuted anew.
    levels
        At which rejections are counted.
    seed
        Of the permutations and the bootstrap: same seed, same numbers, whatever the order of cells in the file, the
        number of workers, or the other groups.
    out
        Folder for the parts, one that the workers see too; a call that was stopped goes on from there. There is one
        permuted copy of the data at a time, deleted when its scan is complete. None uses a temporary folder.
    **options
        How pairs are tested: ``formula``, ``family``, ``p_value``, ``ladder`` and the other options of
        :func:`scanlink.tl.scan` but those of the false discovery rate, with the same defaults.

    Returns
    -------
    Calibration
        ``table`` of rejection rates, and the ``p_values`` of all pairs that were tested.

    Raises
    ------
    InputError, MissingKeyError, DesignError, OptionError
        Before anything is computed, if data, strata or an option cannot be used: a column that does not exist or is
        missing in some cells, strata in which every cell is alone.
    RunError
        If blocks fail on the workers, or the folder cannot be written.

    Warnings
    --------
    Without strata the correlation of peaks with depth is broken together with the links. Deep cells have more of the
    gene's UMIs and more open peaks; p-values that fail to correct for that then look better here than they are on the
    data as measured. ``strata=`` a column of depth keeps this confounding (to within a tenth of the cells), and one of
    donors keeps theirs. Cells alone in their stratum keep their own peaks, and a warning says how many those are.

    The tests of one permutation share genes and peaks and are not independent, so that the intervals are a little too
    narrow; several permutations help. A bootstrap of R replicates gives no p-value below 2 / R: at lower levels its
    ratio is 0 whatever its quality.

    Notes
    -----
    All arrangements of a stratum are equally likely, the one as measured included; a rule that no cell may keep its
    own profile would leave each link behind with the opposite sign, 1 / (cells of the stratum - 1) as strong.

    Examples
    --------
    >>> import scanlink as sl
    >>> data = sl.ds.simulate(n_cells=300, n_genes=10, n_peaks=40, n_links=8, n_interactions=2, seed=1)
    >>> pairs = sl.pp.cis_pairs(data.mdata, data.genes)
    >>> found = sl.tl.calibrate(data.mdata, pairs, strata="nUMI", p_value="robust", levels=[0.05])
    >>> found.table.loc[found.table["kind"] == "robust", ["group", "kind", "level"]].values.tolist()
    [['all', 'robust', 0.05]]
    """
    chosen = _checked_options(seed, options, n_permutations, levels, groups, client)
    table = checked_pairs(pairs)
    with tempfile.TemporaryDirectory(prefix="scanlink-") as temporary, ExitStack() as stack:
        folder = Path(out if out is not None else temporary).resolve()
        store, _ = store_of(mdata, folder, layer=layer, rna_key=rna_key, atac_key=atac_key)
        members = group_members(store.cells, groupby, group_names(groups))
        strata_of = _strata(store.cells, members, [strata] if isinstance(strata, str) else list(strata or []))
        _report_alone(strata_of, least=chosen.min_cells)
        tables: list[pd.DataFrame] = []
        for number in range(1, n_permutations + 1):
            place = folder / f"permutation-{number:04d}"
            source = np.arange(len(store.cells), dtype=np.int32)
            for name, cells in members.items():
                source[cells] = cells[_shuffle(strata_of[name], _key("peaks", seed, number, name))]
            moved = permuted(store, source, place / "store")
            # Resampled anew, or chance in the weights would be the same in every permutation.
            fresh = chosen.model_copy(update={"seed": _key("bootstrap", seed, number, "") >> 65})
            cell_groups = GroupOptions(by=groupby, only=None if groupby is None else tuple(members))
            given = Given(place, {"links": LinksOptions()}, moved, {"pairs": table}, cell_groups)
            plan = scan_rows(given, fresh)
            if number == 1:
                workers = stack.enter_context(client_for(client, cost=n_permutations * plan.cost))
            compute(SCAN, plan, client=workers)
            tables.append(finish_links([plan], given, fresh).assign(permutation=number))
            # It can be made again; on network file systems a worker that has it open may leave some of it.
            shutil.rmtree(moved.path, ignore_errors=True)
    links = pd.concat(tables, ignore_index=True)
    tested = links[links["status"] == "ok"]
    if not len(tested):
        counts = ", ".join(f"{name} {count}" for name, count in links["status"].value_counts().items())
        raise InputError(f"no pair can be tested ({counts}), and so no p-value judged: give pairs and groups that can")
    kinds = [name for kind in KINDS.values() for name in (kind.column, kind.count) if name]
    columns = ["group", "permutation", "gene", "peak", *kinds]
    p_values = tested[columns].reset_index(drop=True)
    return Calibration(_rates(p_values, [float(level) for level in levels]), p_values)


def _checked_options(
    seed: int,
    options: dict[str, Any],
    n_permutations: int,
    levels: Sequence[float],
    groups: Sequence[str] | None,
    client: Client | None,
) -> ScanOptions:
    chosen = checked_options(ScanOptions, {"seed": seed, **options})
    if n_permutations != int(n_permutations) or n_permutations < 1:
        raise OptionError(f"n_permutations: expected a whole number of at least 1; found {n_permutations!r}")
    if not len(levels) or not all(0 < level < 1 for level in levels):
        raise OptionError(f"levels: expected numbers between 0 and 1; found {list(levels)}")
    check_client(client)
    group_names(groups)
    return chosen


def _strata(
    cells: pd.DataFrame, members: dict[str, NDArray[np.int32]], columns: list[str]
) -> dict[str, NDArray[np.int64]]:
    """Number of the stratum of each cell of each group: cells with the same values or bins in all columns share one."""
    if absent := [name for name in columns if name not in cells.columns]:
        raise MissingKeyError(
            f"no column {first_few(absent)} in the table of cells to take as strata; its columns are "
            f"{first_few(cells.columns, most=20)}"
        )
    out = {}
    for group, positions in members.items():
        codes = np.zeros(positions.size, dtype=np.int64)
        for name in columns:
            column = cells[name].iloc[positions]
            numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
            unusable = ~np.isfinite(column.to_numpy(dtype=float, na_value=np.nan)) if numeric else column.isna()
            if unusable.any():
                raise InputError(
                    f"stratum {name!r} is missing in {int(unusable.sum())} of {positions.size} cells of group "
                    f"{group!r}: fill it in, leave those cells out, or take another column"
                )
            own = np.unique(column.to_numpy() if numeric else column.astype(str), return_inverse=True)[1]
            if numeric and own.size and own.max() >= _BINS:
                values = column.to_numpy(dtype=float)
                own = np.searchsorted(np.quantile(values, np.arange(1, _BINS) / _BINS), values, side="right")
            codes = np.unique(codes * (own.max(initial=0) + 1) + own, return_inverse=True)[1]
        out[group] = codes
    return out


def _report_alone(strata_of: dict[str, NDArray[np.int64]], *, least: int) -> None:
    """Cells alone in their stratum cannot change places; groups below ``least`` cells are not tested anyhow."""
    alone = {
        group: int(np.count_nonzero(np.bincount(codes) == 1))
        for group, codes in strata_of.items()
        if codes.size >= least
    }
    for group, count in alone.items():
        n_cells = strata_of[group].size
        if count == n_cells:
            raise InputError(
                f"all {n_cells} cells of group {group!r} are alone in their stratum, so that no peak can be permuted: "
                "give fewer or coarser strata"
            )
        if count:
            log.warning(
                "group %s: %d of %d cells are alone in their stratum and keep their own peaks, so that links are not "
                "wholly broken: give fewer or coarser strata if these are many",
                group,
                count,
                n_cells,
            )


def _key(purpose: str, seed: int, number: int, group: str) -> int:
    """A 128-bit generator key that depends on nothing else than its arguments."""
    digest = hashlib.sha256(f"scanlink permute {purpose} {int(seed)} {number} {group}".encode()).digest()
    return int.from_bytes(digest[:16], "little")


def _shuffle(strata: NDArray[np.int64], key: int) -> NDArray[np.intp]:
    """A permutation that maps every stratum onto itself, each such permutation equally likely. Shape ``(n,)``."""
    # The raw words of a counter-based generator are the same in every version of numpy; methods on top may change.
    words = np.asarray(np.random.Philox(key=key).random_raw(strata.size), dtype=np.uint64)
    out = np.empty(strata.size, dtype=np.intp)
    out[np.argsort(strata, kind="stable")] = np.lexsort((words, strata))
    return out


def _rates(p_values: pd.DataFrame, levels: list[float]) -> pd.DataFrame:
    """Rejections of each group, kind and level."""
    parts = {str(name): part for name, part in p_values.groupby("group", sort=False)}
    if len(parts) > 1:
        parts = {"all": p_values, **parts}
    rows = []
    for group, part in parts.items():
        for kind in KINDS.values():
            p = part[kind.column].to_numpy(dtype=float)
            p = p[~np.isnan(p)]
            for level in levels if p.size else []:
                # 2 (1 - .975) is above .05 by rounding.
                k, n = int(np.count_nonzero(p <= level * (1 + 1e-9))), p.size
                low = betaincinv(k, n - k + 1, 0.025) if k else 0.0
                high = betaincinv(k + 1, n - k, 0.975) if k < n else 1.0
                rows.append((group, kind.name, level, n, level, k / n, k / n / level, low / level, high / level))
    names = ["group", "kind", "level", "n_tests", "expected", "observed", "ratio", "ratio_low", "ratio_high"]
    return pd.DataFrame(rows, columns=names)
