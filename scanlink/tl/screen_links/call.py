"""A screen and multiome links side by side: does perturbing a linked peak change the gene?"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd

from scanlink.adjustment import adjust_table
from scanlink.errors import InputError, MissingKeyError, OptionError, first_few
from scanlink.io.genomes import FAR
from scanlink.io.peaks import parse_peaks
from scanlink.pp.annotation import strip_version
from scanlink.tables import ASKED
from scanlink.tl.perturbations.targets import target_intervals

__all__ = ["screen_links"]

log = logging.getLogger("scanlink")

# Pairs with both distances, below which these say nothing of genome builds.
_FEWEST_PAIRS = 5

COLUMNS = (
    *("group", "gene", "target", "peak", "distance", "beta_link", "se_link", "p_link", "fdr_link", "status_link"),
    *("kind", "group_screen", "gene_screen", "beta_screen", "se_screen", "p_screen", "fdr_screen", "status_screen"),
)


def screen_links(
    screen: pd.DataFrame,
    links: pd.DataFrame,
    guides: pd.DataFrame,
    *,
    genes: pd.DataFrame | None = None,
    peaks: pd.DataFrame | None = None,
    max_gap: int = 0,
) -> pd.DataFrame:
    """Join the target-gene pairs of a screen with the links whose peak lies on the target.

    Parameters
    ----------
    screen
        Table of :func:`scanlink.tl.screen`; negative controls are passed over.
    links
        Links, as :func:`scanlink.io.read_links` gives them; or any table with ``gene``, ``peak``, ``beta`` and
        ``p_value``. Where no row of a group has an ``fdr``, it is that of Benjamini and Hochberg over the group.
    guides
        ``target``, ``chrom``, ``start`` and ``end`` (0-based half-open, bp), a row a guide or a target:
        ``mdata["guide"].var``, or guides.parquet of a run. Several rows of a target are taken together.
    genes
        Annotation with ``gene_id`` and ``gene``, as :func:`scanlink.io.read_genes` gives it, where one table names
        genes by Ensembl identifiers and the other by symbols. The versions of identifiers do not matter.
    peaks
        ``chrom``, ``start`` and ``end`` of the peaks, named by the index; None reads them off their names.
    max_gap
        Most bp from a target to a peak. 0: they share a base; neighbouring bases are 1 bp apart.

    Returns
    -------
    pandas.DataFrame
        A row for each pair of the screen, peak on its target, and group of the links, tested or not, in the order of
        the screen: ``group``, ``gene`` (as in the links), ``target``, ``peak``, ``distance`` (bp, that of the link, or
        if there is none of the pair), ``beta_link`` and ``beta_screen`` (natural log), ``se_*`` (robust, if known),
        ``p_*``, ``fdr_*`` and ``status_*`` of both, ``kind``, ``group_screen`` and ``gene_screen``. A target on two
        peaks, and a peak on two targets, have several rows: :func:`scanlink.tl.screen_links_summary` counts pairs.

    Raises
    ------
    InputError
        If no gene is in both tables, or no linked peak lies on a target: says what the names look like and how far the
        nearest peak is.
    MissingKeyError
        If a column is missing.
    OptionError
        If ``max_gap`` is impossible.

    Notes
    -----
    CRISPRi lowers what an enhancer raises: where both are right, ``beta_link`` and ``beta_screen`` have opposite signs.

    Examples
    --------
    >>> screen = pd.DataFrame({"gene": ["ENSG1.2", "ENSG1.2"], "target": ["e1", "e2"], "beta": [-0.7, 0.1],
    ...                        "p_value": [1e-9, 0.4]})
    >>> guides = pd.DataFrame({"target": ["e1", "e2"], "chrom": "chr1", "start": [100, 900], "end": [400, 1200]})
    >>> links = pd.DataFrame({"group": "T", "gene": "MYC", "peak": ["chr1:300-600", "chr1:5000-5600"],
    ...                       "beta": [0.5, 0.2], "p_value": [1e-6, 0.3]})
    >>> genes = pd.DataFrame({"gene_id": ["ENSG1"], "gene": ["MYC"]})
    >>> screen_links(screen, links, guides, genes=genes)[["gene", "target", "peak", "beta_link", "beta_screen"]]
      gene target          peak  beta_link  beta_screen
    0  MYC     e1  chr1:300-600        0.5         -0.7
    """
    if isinstance(max_gap, bool) or not isinstance(max_gap, (int, np.integer)) or max_gap < 0:
        raise OptionError(f"max_gap is {max_gap!r}, expected a whole number of bp, 0 or more")
    asked = _screen_rows(screen)
    linked = _link_rows(links)
    if asked.empty or linked.empty:
        log.warning("nothing is joined: the table %s is empty", "screen" if asked.empty else "links")
        return pd.concat([asked.iloc[:0], linked.iloc[:0]], axis=1).reindex(columns=list(COLUMNS))
    names = _same_genes(asked["gene_screen"], linked["gene"], genes)
    asked = asked.merge(names, on="gene_screen", how="inner")
    linked = linked[linked["gene"].isin(names["gene"])]
    targets = _intervals(guides, asked["target"])
    places = _peak_places(linked["peak"], peaks)
    hits = _touching(targets, places, max_gap)
    table = asked.merge(hits, on="target", how="inner").merge(linked, on=["gene", "peak"], how="inner")
    if table.empty:
        raise InputError(_why_none(targets, places, max_gap))
    _warn_of_builds(table, max_gap)
    known = table["distance_link"].notna()
    table["distance"] = table["distance_link"].where(known, table["distance_screen"]).astype("Int64")
    log.info(
        "%d target-gene pairs of the screen have a linked peak on the target, in %d groups of the links",
        table[["gene_screen", "target", "group_screen"]].drop_duplicates().shape[0],
        table["group"].nunique(),
    )
    return table.sort_values(["row", "group", "peak"], kind="stable", ignore_index=True)[list(COLUMNS)]


def _warn_of_builds(table: pd.DataFrame, max_gap: int) -> None:
    """Log a warning if gene and peak are not as far apart as gene and target, although the peak is on the target."""
    both = table.dropna(subset=["distance_link", "distance_screen"]).drop_duplicates(["gene", "peak", "target"])
    # Strands may not have been known on either side.
    apart = (both["distance_link"].abs() - both["distance_screen"].abs()).abs()
    far = both[(apart > FAR + max_gap).to_numpy(dtype=bool)]
    if len(both) >= _FEWEST_PAIRS and 2 * len(far) > len(both):
        log.warning(
            "screen and links may be of different genome builds: of %d pairs with a linked peak on the target, %d have "
            "distances from the gene that differ by more than %d bp: %s. Lift one side over (hg19, hg38), and make its "
            "distances with an annotation of that build",
            len(both),
            len(far),
            FAR + max_gap,
            first_few(f"{row.gene} {row.peak}" for row in far.itertuples()),
        )


def _rows(table: pd.DataFrame, place: str, end: str, *, what: str) -> pd.DataFrame:
    """Give numbers and status of a table of genes and places, with ``end`` behind their names."""
    if not isinstance(table, pd.DataFrame):
        raise InputError(f"{what} is a {type(table).__name__}, expected a table (pandas.DataFrame)")
    if absent := [name for name in ("gene", place, "beta", "p_value") if name not in table.columns]:
        raise MissingKeyError(
            f"the table {what} has no column {first_few(absent)}; found {first_few(table.columns, most=12)}"
        )
    missing = pd.Series(np.nan, index=table.index)
    own, robust = (table.get(name, missing).astype(float) for name in ("se", "se_robust"))
    return pd.DataFrame(
        {
            f"beta_{end}": table["beta"].astype(float),
            f"se_{end}": robust.where(robust.notna(), own),
            f"p_{end}": table["p_value"].astype(float),
            f"fdr_{end}": table.get("fdr", missing).astype(float),
            f"status_{end}": table["status"].astype(str) if "status" in table.columns else "ok",
            f"distance_{end}": pd.to_numeric(table.get("distance", missing), errors="coerce").astype("Float64"),
        }
    )


def _screen_rows(screen: pd.DataFrame) -> pd.DataFrame:
    rows = _rows(screen, "target", "screen", what="screen")
    rows["gene_screen"], rows["target"] = screen["gene"].astype(str), screen["target"].astype(str)
    rows["kind"] = screen["kind"].astype(str) if "kind" in screen.columns else ASKED[0]
    rows["group_screen"] = screen["group"].astype(str) if "group" in screen.columns else "all"
    rows = rows[rows["kind"].isin(ASKED)]
    if rows.empty and len(screen):
        raise InputError("the table screen has no row that was asked for, only negative controls: give all of it")
    return rows.assign(row=np.arange(len(rows)))


def _link_rows(links: pd.DataFrame) -> pd.DataFrame:
    rows = _rows(links, "peak", "link", what="links")
    rows["gene"], rows["peak"] = links["gene"].astype(str), links["peak"].astype(str)
    group = links["group"] if "group" in links.columns else pd.Series(pd.NA, index=links.index)
    rows["group"] = group.astype(object).where(group.notna(), "all").astype(str)
    # Tables of other programs have none; they hold what was tested.
    p, rates = rows["p_link"].to_numpy(), rows["fdr_link"].to_numpy(copy=True)
    for members in rows.groupby("group", sort=False).indices.values():
        if np.isnan(rates[members]).all():
            rates[members] = adjust_table(p[members])
    return rows.assign(fdr_link=rates)


def _same_genes(screen: pd.Series, links: pd.Series, genes: pd.DataFrame | None) -> pd.DataFrame:
    """Pair genes of the screen with what the links call them: by the same name, or else by that of the annotation."""
    ours = pd.DataFrame({"gene_screen": screen.unique()})
    theirs = pd.DataFrame({"gene": links.unique()})
    ours["key"], theirs["key"] = strip_version(ours["gene_screen"]), strip_version(theirs["gene"])
    found = [ours.merge(theirs, on="key")[["gene_screen", "gene"]]]
    if genes is not None:
        if absent := [name for name in ("gene_id", "gene") if name not in genes.columns]:
            raise MissingKeyError(
                f"the annotation has no column {first_few(absent)}, found {first_few(genes.columns, most=10)}: read it "
                "with scanlink.io.read_genes"
            )
        names = pd.DataFrame({"id": strip_version(genes["gene_id"]), "symbol": genes["gene"].astype(str)})
        names = names[names["id"] != ""].drop_duplicates()
        left = ours[~ours["gene_screen"].isin(found[0]["gene_screen"])]
        for one, other in (("id", "symbol"), ("symbol", "id")):
            both = left.merge(names, left_on="key", right_on=one).drop(columns="key")
            found.append(both.merge(theirs, left_on=other, right_on="key")[["gene_screen", "gene"]])
    table = pd.concat(found, ignore_index=True).drop_duplicates(ignore_index=True)
    if table.empty:
        more = (
            "Where one side has Ensembl identifiers and the other symbols, give genes=sl.io.read_genes(...)"
            if genes is None
            else "Is the annotation that of the right species?"
        )
        raise InputError(
            f"none of the {len(ours)} genes of the screen ({first_few(ours['gene_screen'], most=3)}) is among the "
            f"{len(theirs)} genes of the links ({first_few(theirs['gene'], most=3)}). {more}"
        )
    unclear = table["gene_screen"].duplicated(keep=False) | table["gene"].duplicated(keep=False)
    if unclear.any():
        which = first_few(table.loc[unclear, "gene_screen"].unique())
        log.warning(
            "%d genes of the screen are left out, as their name stands for several genes: %s", unclear.sum(), which
        )
    if unclear.all():
        raise InputError(
            f"no gene of the screen has a name of its own in the links, each of them stands for several genes: {which}"
        )
    return table[~unclear]


def _intervals(guides: pd.DataFrame, wanted: pd.Series) -> pd.DataFrame:
    """Find chromosome, start and end of each target that is wanted."""
    if not isinstance(guides, pd.DataFrame):
        raise InputError(f"guides is a {type(guides).__name__}, expected a table (pandas.DataFrame)")
    if absent := [name for name in ("target", "chrom", "start", "end") if name not in guides.columns]:
        raise MissingKeyError(
            f"the table of guides has no column {first_few(absent)}; found {first_few(guides.columns, most=10)}. The "
            "place of each target is needed: chrom, start, end"
        )
    table = target_intervals(guides)
    if lost := [name for name in wanted.unique() if name not in table.index]:
        log.warning("%d targets have no place and are left out: %s", len(lost), first_few(lost))
    return table[table.index.isin(wanted)].rename_axis("target").reset_index()


def _peak_places(names: pd.Series, peaks: pd.DataFrame | None) -> pd.DataFrame:
    unique = pd.Index(names.unique(), name="peak")
    if peaks is None:
        return parse_peaks(unique).rename_axis("peak").reset_index()
    if absent := [name for name in ("chrom", "start", "end") if name not in peaks.columns]:
        raise MissingKeyError(f"the table of peaks has no column {first_few(absent)}; expected chrom, start, end")
    table = peaks[["chrom", "start", "end"]].set_axis(peaks.index.astype(str), axis=0)
    if len(lost := unique.difference(table.index)):
        raise MissingKeyError(f"{len(lost)} linked peaks are not in the table of peaks: {first_few(lost)}")
    table = table[~table.index.duplicated()].loc[unique].rename_axis("peak").reset_index()
    return table.astype({"chrom": str, "start": np.int64, "end": np.int64})


def _touching(targets: pd.DataFrame, places: pd.DataFrame, max_gap: int) -> pd.DataFrame:
    """Pair each ``target`` with each ``peak`` that is near enough."""
    import bioframe

    shared = set(targets["chrom"]) & set(places["chrom"])
    wide = targets[targets["chrom"].isin(shared)]
    wide = wide.assign(start=(wide["start"] - max_gap).clip(lower=0), end=wide["end"] + max_gap)
    near = places[places["chrom"].isin(shared)]
    if wide.empty or near.empty:
        return pd.DataFrame({"target": pd.Series(dtype=object), "peak": pd.Series(dtype=object)})
    hits = bioframe.overlap(wide, near, how="inner", suffixes=("_1", "_2"))
    return pd.DataFrame({"target": hits["target_1"].astype(str), "peak": hits["peak_2"].astype(str)})


def _why_none(targets: pd.DataFrame, places: pd.DataFrame, max_gap: int) -> str:
    """Say what keeps every target from every peak that is linked to a gene of it."""
    if targets.empty:
        return "no target of the screen has a place: give guides with chrom, start and end of the targets"
    shared = sorted(set(targets["chrom"]) & set(places["chrom"]))
    if not shared:
        return (
            f"chromosome names differ: {first_few(targets['chrom'].unique(), most=3)} for the targets and "
            f"{first_few(places['chrom'].unique(), most=3)} for the peaks; expected the same: rename those of one side"
        )
    nearest = min(_gaps(places, row) for row in targets[targets["chrom"].isin(shared)].itertuples())
    if nearest < max_gap:
        return "no linked peak lies on a target of the same gene, although some lie on targets of other genes"
    return (
        f"no linked peak lies on a target of its gene: of {len(places):,} peaks and {len(targets):,} targets the "
        f"nearest are {nearest + 1:,} bp apart. Expected one genome build: are the targets of another (hg19, hg38) "
        "than the peaks? If not, give max_gap="
    )


def _gaps(places: pd.DataFrame, target: Any) -> int:
    """Count bases between a target and the nearest peak of its chromosome; below 0 where they overlap."""
    own = places[places["chrom"] == target.chrom]
    between = np.maximum(own["start"].to_numpy(), target.start) - np.minimum(own["end"].to_numpy(), target.end)
    return int(between.min())
