"""Effects of pairs across groups."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.errors import InputError, MissingKeyError, first_few
from scanlink.io.peaks import looks_like_peaks, parse_peaks
from scanlink.pl._effects import contrast_of, effect_rows
from scanlink.pl._looks import checked_whole, new_axes
from scanlink.pl._tables import Floats, as_text, checked, checked_level, wanted_groups

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["heatmap"]

# Low is red, high is blue, as of the other pictures orange and blue.
_COLORS = "RdBu"


def heatmap(
    table: pd.DataFrame,
    *,
    contrast: str | None = None,
    kind: str | None = None,
    pairs: pd.DataFrame | None = None,
    top: int = 30,
    groups: Sequence[str] | None = None,
    fdr: float = 0.1,
    ax: Axes | None = None,
) -> Axes:
    """Draw the effects of gene-peak or enhancer pairs in each group.

    Parameters
    ----------
    table
        A links table, or the table of enhancer pairs, with ``group``.
    contrast, kind
        Effect and kind of p-value, as in :func:`scanlink.pl.volcano`.
    pairs
        Pairs that are drawn, in this order from top to bottom: ``gene`` and ``peak``, or ``gene``, ``enhancer_1`` and
        ``enhancer_2``. None takes the ``top`` ones by their smallest p-value in any group, and brings together those
        that are strongest in the same group.
    top
        Number of pairs that are drawn where none are given.
    groups
        Groups that are drawn, in this order; None: all, as they come in the table.
    fdr
        False discovery rate below which effects are marked by a bold sign.
    ax
        Axes to draw into; None makes a figure, without pyplot, so that nothing has to be closed.

    Returns
    -------
    matplotlib.axes.Axes
        Its figure is ``ax.figure``; the colour bar is the last of the axes of that figure.

    Raises
    ------
    InputError
        If nothing was tested.
    MissingKeyError
        If a column, a pair or a group is not there.
    OptionError
        If an option has an impossible value.

    Notes
    -----
    White is 0. The sign of an effect is written into its cell, large and bold where it is called, so that the picture
    can be read without colour; hatched cells were not tested. Colours end at the 98th percentile of the absolute
    effects that are drawn.

    Examples
    --------
    >>> links = pd.DataFrame({"group": ["T", "B", "T"], "gene": ["A", "A", "C"], "peak": ["p", "p", "q"],
    ...                       "beta": [0.5, -0.2, 0.4], "p_value": [1e-6, 0.01, 1e-4], "fdr": [1e-5, 0.02, 1e-3]})
    >>> ax = heatmap(links)
    >>> [label.get_text() for label in ax.get_yticklabels()], [label.get_text() for label in ax.get_xticklabels()]
    (['A  p', 'C  q'], ['T', 'B'])
    """
    level = checked_level(fdr)
    checked_whole(top, name="top", minimum=1)
    contrast, name = contrast_of(table, contrast)
    enhancers = [column for column in table.columns if re.fullmatch(r"enhancer_\d+", str(column))]
    keys = ["gene", "peak"] if contrast is None else ["gene", *enhancers]
    checked(table, ["group", *keys], name=name)
    effects = effect_rows(table, contrast=contrast, kind=kind, group=None)
    rows = effects.rows[np.isfinite(effects.rows[effects.effect].to_numpy(dtype=float))]
    existing = [str(group) for group in table["group"].unique()]
    columns = existing if groups is None else wanted_groups(groups, existing, name=name)
    rows = rows[as_text(rows["group"]).isin(columns)]
    if not len(rows):
        raise InputError(f"nothing was tested in the groups {first_few(columns)}: nothing to draw")
    drawn_pairs = _chosen(rows, keys, effects.p, top) if pairs is None else checked(pairs, keys, name="pairs")[keys]
    drawn_pairs = drawn_pairs.astype(str).drop_duplicates().reset_index(drop=True)
    # Few are wanted of many, and only those are joined.
    rows = rows[np.logical_and.reduce([as_text(rows[key]).isin(drawn_pairs[key]) for key in keys])]
    rows = rows.assign(**{key: as_text(rows[key]).astype(object) for key in ["group", *keys]})
    joined = rows.merge(drawn_pairs.assign(row=np.arange(len(drawn_pairs))), on=keys)
    if absent := set(range(len(drawn_pairs))) - set(joined["row"]):
        untested = [" ".join(drawn_pairs.to_numpy()[number]) for number in sorted(absent)]
        raise MissingKeyError(
            f"{len(untested)} of the pairs were not tested in any of the groups: {first_few(untested)}"
        )
    shape = (len(drawn_pairs), len(columns))
    effect, rate = np.full(shape, np.nan), np.full(shape, np.nan)
    cells = joined["row"].to_numpy(), pd.Index(columns).get_indexer(joined["group"].astype(str))
    effect[cells], rate[cells] = joined[effects.effect].to_numpy(dtype=float), joined["fdr"].to_numpy(dtype=float)
    if pairs is None:
        order = _order(effect)
        effect, rate, drawn_pairs = effect[order], rate[order], drawn_pairs.iloc[order]
    ax = new_axes(ax, size=(3.6 + 0.34 * max(shape[1], 4), 1.7 + 0.21 * max(shape[0], 4)))
    _draw(ax, effect, rate < level, effects.effect_name)
    small = "small" if shape[0] <= 40 else 5
    ax.set_yticks(np.arange(shape[0]), _labels(drawn_pairs, keys), fontsize=small)
    long = max(len(column) for column in columns) > 4
    ax.set_xticks(
        np.arange(shape[1]),
        columns,
        fontsize="small",
        rotation=45 if long else 0,
        ha="right" if long else "center",
        rotation_mode="anchor" if long else "default",
    )
    join = "; " if shape[1] >= 8 else "\n"
    ax.set_title(f"bold sign: FDR < {level:g}{join}hatched: not tested", fontsize="small", loc="left")
    return ax


def _chosen(rows: pd.DataFrame, keys: list[str], p: str, top: int) -> pd.DataFrame:
    """Choose pairs with the smallest p-values; among equal ones by name."""
    values = rows[p].to_numpy(dtype=float)
    n_rows = min(top * rows["group"].nunique(), values.size)
    rows = rows[values <= np.partition(values, n_rows - 1)[n_rows - 1]]
    rows = rows.assign(**{key: as_text(rows[key]).astype(object) for key in keys})
    return rows.sort_values([p, *keys], kind="stable").drop_duplicates(keys).head(top)[keys]


def _order(effect: Floats) -> NDArray[np.intp]:
    """Sort rows by the group in which they are strongest, from positive to negative there."""
    strongest = np.nanargmax(np.abs(effect), axis=1)
    return np.lexsort((-effect[np.arange(len(effect)), strongest], strongest))


def _labels(pairs: pd.DataFrame, keys: list[str]) -> list[str]:
    """Name gene and peak; of enhancers the middles in kb, if their names hold them."""
    genes, *peaks = (pairs[key].tolist() for key in keys)
    if len(peaks) == 1:
        return [f"{gene}  {peak}" for gene, peak in zip(genes, peaks[0], strict=True)]
    if not all(looks_like_peaks(names) for names in peaks):
        return [f"{gene}  {' × '.join(names)}" for gene, *names in zip(genes, *peaks, strict=True)]
    tables = [parse_peaks(names) for names in peaks]
    middles = zip(*(((table["start"] + table["end"]) / 2e3).tolist() for table in tables), strict=True)
    return [
        f"{gene}  {chrom}:{' × '.join(f'{middle:,.0f}' for middle in places)} kb"
        for gene, chrom, places in zip(genes, tables[0]["chrom"], middles, strict=True)
    ]


def _draw(ax: Axes, effect: Floats, called: NDArray[np.bool_], name: str) -> None:
    """Draw the cells, their signs and the colour bar."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    sizes = np.abs(effect[np.isfinite(effect)])
    limit = float(np.quantile(sizes, 0.98)) or float(sizes.max()) or 1.0
    # What is not drawn over stays hatched.
    ax.patch.set(hatch="/////", edgecolor="#C8C8C8", facecolor="white", linewidth=0)
    edges = [np.arange(size + 1) - 0.5 for size in effect.shape[::-1]]
    mesh = ax.pcolormesh(
        *edges,
        np.ma.masked_invalid(effect),
        cmap=_COLORS,
        vmin=-limit,
        vmax=limit,
        edgecolors="white",
        linewidth=0.6,
        rasterized=effect.size > 2_000,
    )
    norm, colors = Normalize(-limit, limit, clip=True), colormaps[_COLORS]
    for row, column in zip(*np.nonzero(np.isfinite(effect)), strict=True):
        value = effect[row, column]
        if value == 0:
            continue
        red, green, blue, _ = colors(norm(value))
        dark = 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.55
        marked = bool(called[row, column])
        ax.text(
            column,
            row,
            "+" if value > 0 else "−",
            ha="center",
            va="center",
            clip_on=True,
            fontsize=10 if marked else 6,
            fontweight="bold" if marked else "normal",
            color="white" if dark else "black" if marked else "#444444",
        )
    ax.set(xlim=(-0.5, effect.shape[1] - 0.5), ylim=(effect.shape[0] - 0.5, -0.5))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    cut_off = bool((sizes > limit * (1 + 1e-9)).any())
    ax.figure.colorbar(mesh, ax=ax, label=name, extend="both" if cut_off else "neither", shrink=0.8, aspect=25)
