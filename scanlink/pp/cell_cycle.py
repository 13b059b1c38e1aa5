"""Scores of the phases S and G2/M of the cell cycle."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray

from scanlink.errors import InputError, first_few
from scanlink.io.chunks import canonical, iter_chunks
from scanlink.io.raw_counts import Layer
from scanlink.pp.column_names import symbol_columns
from scanlink.pp.door import ANY, Multiome, enter
from scanlink.pp.survey import Survey

__all__ = ["G2M_GENES", "S_GENES", "cell_cycle"]

log = logging.getLogger("scanlink")

# Tirosh et al. 2016, Science 352:189, in the order in which they are passed on.
_S = (
    "MCM5 PCNA TYMS FEN1 MCM2 MCM4 RRM1 UNG GINS2 MCM6 CDCA7 DTL PRIM1 UHRF1 MLF1IP HELLS RFC2 RPA2 NASP RAD51AP1 GMNN "
    "WDR76 SLBP CCNE2 UBR7 POLD3 MSH2 ATAD2 RAD51 RRM2 CDC45 CDC6 EXO1 TIPIN DSCC1 BLM CASP8AP2 USP1 CLSPN POLA1 "
    "CHAF1B BRIP1 E2F8"
)
_G2M = (
    "HMGB2 CDK1 NUSAP1 UBE2C BIRC5 TPX2 TOP2A NDC80 CKS2 NUF2 CKS1B MKI67 TMPO CENPF TACC3 FAM64A SMC4 CCNB2 CKAP2L "
    "CKAP2 AURKB BUB1 KIF11 ANP32E TUBB4B GTSE1 KIF20B HJURP CDCA3 HN1 CDC20 TTK CDC25C KIF2C RANGAP1 NCAPD2 DLGAP5 "
    "CDCA2 CDCA8 ECT2 KIF23 HMMR AURKA PSRC1 ANLN LBR CKAP5 CENPE CTCF NEK2 G2E3 GAS2L3 CBX5 CENPA"
)
S_GENES, G2M_GENES = tuple(_S.split()), tuple(_G2M.split())
# What annotations call them since.
_RENAMED = {"MLF1IP": "CENPU", "FAM64A": "PIMREG", "HN1": "JPT1"}

_FEWEST_GENES = 10
_N_BINS = 25
_COUNTS_PER_CELL = 1e4
# Logarithms are summed as whole multiples of 2^-32: exactly, in whatever order the counts come.
_UNIT = 2.0**32


def cell_cycle(
    mdata: Multiome,
    *,
    s_genes: Iterable[str] = S_GENES,
    g2m_genes: Iterable[str] = G2M_GENES,
    overwrite: bool = False,
    layer: Layer = None,
    rna_key: str | None = None,
    atac_key: str | None = None,
    guide_key: str | None = None,
) -> None:
    """Add ``s_score`` and ``g2m_score`` to ``mdata.obs``.

    Call it before genes are filtered: the scores need the genes of the two lists, and others to compare them with.

    Parameters
    ----------
    mdata
        The dataset, with ``rna``; counts may be backed, they are read piece by piece.
    s_genes, g2m_genes
        Symbols; those of Tirosh et al. They are looked for in the names of genes and in columns of symbols, as in
        :func:`scanlink.pp.qc`, whatever the case of letters (so that mouse genes are found), and under their names of
        today.
    overwrite
        Replace columns that exist. By default they stay, whoever made them.
    layer, rna_key, atac_key, guide_key
        As in :func:`scanlink.pp.qc`. Where there are peaks or guides, only cells of both (or of all three) count, and
        nothing else of them: guides need no targets, peaks no places.

    Raises
    ------
    InputError
        If fewer than 10 genes of a list are in the data and seen in a cell, no others are left to compare them with, a
        matrix holds no counts, or an existing column is not numeric or has missing values.
    MissingKeyError
        If there is no modality ``rna``.

    Notes
    -----
    Tirosh et al. 2016 (Science 352:189): the mean of the list's genes in a cell, less that of genes that are expressed
    as much. Expression is ``log(1 + 10,000 counts / nUMI)``, with ``nUMI`` of ``mdata.obs`` where it is there and not
    below the counts in the data. Genes seen in any cell are ranked by their mean and cut into 25 bins, as
    ``scanpy.tl.score_genes`` does. Where Tirosh et al. draw 100 genes from the bin of each gene of the list, here all
    genes of the bin but those of the list are taken, which is what the draws vary around: no chance is involved. Not in
    the bits either: the scores are the same for any order of cells, and for counts in memory and on disk.

    Examples
    --------
    >>> import scanlink as sl
    >>> from anndata import AnnData
    >>> rng = np.random.default_rng(1)
    >>> names = [*S_GENES, *G2M_GENES, *(f"g{k}" for k in range(400))]
    >>> mean = np.ones((60, len(names)))
    >>> mean[:20, :43] = 3
    >>> rna = AnnData(rng.poisson(mean), var=pd.DataFrame(index=names))
    >>> guide = AnnData(np.full((60, 1), 9), var=pd.DataFrame({"target": ["enh1"]}, index=["g1"]))
    >>> mdata = sl.io.assemble_screen(rna, guide)
    >>> cell_cycle(mdata)
    >>> bool(mdata.obs["s_score"][:20].min() > mdata.obs["s_score"][20:].max())
    True
    """
    places: dict[str, Any] = {"layer": layer, "rna_key": rna_key, "atac_key": atac_key, "guide_key": guide_key}
    entered = enter(mdata, modalities=ANY, optional=ANY[1:], counts=("rna",), **places)
    data = entered.data
    rna = data["rna"]
    lists = {"s_score": tuple(s_genes), "g2m_score": tuple(g2m_genes)}
    wanted = {name: genes for name, genes in lists.items() if overwrite or name not in data.obs}
    for name in lists.keys() - wanted.keys():
        _check_scores(data.obs[name])
    if kept := sorted(lists.keys() - wanted.keys()):
        log.info("%s are there already and stay; overwrite=True computes them anew", first_few(kept))
    if not wanted:
        return
    sums = Survey(data, modalities=("rna",))["rna"]
    depth = _depth(data, sums.total)
    listed = {name: _present(rna, genes, sums.n_nonzero, name) for name, genes in wanted.items()}
    bins = _bins(_column_sums(rna, depth), sums.n_nonzero)
    plans = {name: _plan(positions, bins, name) for name, positions in listed.items()}
    # One pass: sums of each list and of the controls in each of its bins.
    columns = np.concatenate([plan[0] for plan in plans.values()], axis=1)
    totals, first = _row_sums(rna, depth, columns), 0
    for name, (marks, weights) in plans.items():
        # Term by term in a fixed order.
        score = np.zeros(rna.n_obs)
        for k, weight in enumerate(weights):
            score += weight * (totals[:, first + k] / _UNIT)
        first += marks.shape[1]
        data.obs[name] = score
    entered.give_back(wanted, replace=wanted)
    log.info(
        "obs has new columns: %s",
        "; ".join(f"{name} of {listed[name].size} of {len(genes)} genes" for name, genes in wanted.items()),
    )


def _check_scores(column: pd.Series) -> None:
    if not pd.api.types.is_numeric_dtype(column) or column.isna().any():
        raise InputError(
            f"obs[{column.name!r}] is missing in {int(column.isna().sum())} of {len(column)} cells, of type "
            f"{column.dtype}; a number for each was expected: drop the column (or overwrite=True) to have it computed"
        )


def _depth(mdata: MuData, total: NDArray[np.int64]) -> NDArray[np.float64]:
    """Find the UMIs of each cell; 1 where it has none, and no counts to divide."""
    depth = total.astype(np.float64)
    if "nUMI" in mdata.obs:
        umis = pd.to_numeric(mdata.obs["nUMI"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        if (umis >= total).all():
            depth = umis
        else:
            log.warning(
                "nUMI in obs is missing or below the sum of the counts in %d of %d cells (is it logged?); expression "
                "is taken per sum of the counts",
                int((~(umis >= total)).sum()),
                mdata.n_obs,
            )
    return np.maximum(depth, 1.0)


def _present(rna: AnnData, genes: tuple[str, ...], n_nonzero: NDArray[np.int64], name: str) -> NDArray[np.intp]:
    """Find the genes of a list that are seen in some cell, as positions."""
    every = [rna.var_names, *(rna.var[column] for column in symbol_columns(rna.var))]
    symbols = pd.DataFrame({k: pd.Series(list(texts)).astype(str).str.upper() for k, texts in enumerate(every)})
    wanted = {gene.upper() for gene in genes} | {new for old, new in _RENAMED.items() if old in genes}
    positions = np.flatnonzero(symbols.isin(wanted).any(axis=1).to_numpy() & (n_nonzero > 0))
    if positions.size < _FEWEST_GENES:
        either = {gene: [gene.upper(), _RENAMED.get(gene, gene)] for gene in genes}
        missing = [gene for gene, names in either.items() if not symbols.isin(names).to_numpy().any()]
        raise InputError(
            f"{name}: {positions.size} of {len(genes)} genes of the list are in the data and seen in a cell; at least "
            f"{_FEWEST_GENES} were expected. Not there are {first_few(missing) or 'none'}; the data have such as "
            f"{first_few(rna.var_names, most=2)}. Compute the scores on all genes (symbols in rna.var['symbol'] if "
            "genes go by identifiers), or give the columns s_score and g2m_score with the table of cells"
        )
    return positions


def _bins(sums: NDArray[np.int64], n_nonzero: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put each gene into a bin by its mean, -1 where it is never seen."""
    out = np.full(sums.size, -1, dtype=np.int64)
    seen = n_nonzero > 0
    rank = pd.Series(sums[seen]).rank(method="min").to_numpy()
    out[seen] = rank // max(1, round(seen.sum() / (_N_BINS - 1)))
    return out


def _plan(positions: NDArray[np.intp], bins: NDArray[np.int64], name: str) -> tuple[NDArray[np.int64], list[float]]:
    """Choose which genes are summed, ``(n_genes, n_sums)``, and the weight of each sum: the list, then its bins."""
    is_listed = np.zeros(bins.size, dtype=bool)
    is_listed[positions] = True
    number, times = np.unique(bins[positions], return_counts=True)
    controls = [(bins == one) & ~is_listed for one in number.tolist()]
    compared = [(mask, n) for mask, n in zip(controls, times.tolist(), strict=True) if mask.any()]
    if not compared:
        raise InputError(
            f"{name}: there are no other genes that are expressed as much as the {positions.size} of the list; scores "
            "need all genes of the experiment, not a selection"
        )
    n_compared = sum(n for _, n in compared)
    marks = np.stack([is_listed, *(mask for mask, _ in compared)], axis=1).astype(np.int64)
    return marks, [1.0 / positions.size, *(-n / n_compared / int(mask.sum()) for mask, n in compared)]


def _logged(rna: AnnData, depth: NDArray[np.float64]) -> Any:
    """Yield pieces of the matrix with logarithms as whole numbers, and where each lies."""
    for chunk in iter_chunks(rna.X):
        block = canonical(chunk)
        lines = np.repeat(np.arange(len(block.indptr) - 1), np.diff(block.indptr))
        rows = block.indices if block.format == "csc" else lines
        logs = np.log1p(block.data * (_COUNTS_PER_CELL / depth[chunk.rows])[rows])
        block = type(block)((np.rint(logs * _UNIT).astype(np.int64), block.indices, block.indptr), shape=block.shape)
        yield chunk, block


def _column_sums(rna: AnnData, depth: NDArray[np.float64]) -> NDArray[np.int64]:
    out = np.zeros(rna.n_vars, dtype=np.int64)
    for chunk, block in _logged(rna, depth):
        out[chunk.cols] += np.asarray(block.sum(axis=0, dtype=np.int64)).ravel()
    return out


def _row_sums(rna: AnnData, depth: NDArray[np.float64], marks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum over marked genes. Shape ``(n_cells, n_sums)``."""
    out = np.zeros((rna.n_obs, marks.shape[1]), dtype=np.int64)
    for chunk, block in _logged(rna, depth):
        out[chunk.rows] += block @ marks[chunk.cols]
    return out
