"""Expression of a gene by which of two enhancers are open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.errors import InputError, MissingKeyError, OptionError, first_few
from scanlink.pl._looks import BLUE, ORANGE, draw_legend, new_axes, open_spines
from scanlink.pl._state_means import DEPTH, WIDTH, Means, fit_means
from scanlink.pp.groups import group_members
from scanlink.pp.modalities import get_modality
from scanlink.stats import state_names

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from mudata import MuData

__all__ = ["states"]

Floats = NDArray[np.float64]

_WORDS = ("both closed", "only 1 open", "only 2 open", "both open")
# With fewer cells a mean has no interval to speak of.
_ENOUGH = 10


def states(
    mdata: MuData,
    gene: str,
    enhancer_1: str,
    enhancer_2: str,
    *,
    groupby: str | None = None,
    group: str | None = None,
    formula: str = "percent.mito + offset(log(nUMI))",
    family: str = "poisson",
    ax: Axes | None = None,
) -> Axes:
    """Draw the expression of a gene in cells with neither, one or both of two enhancers open.

    Parameters
    ----------
    mdata
        Raw counts, ``rna`` and ``atac``, of the same cells.
    gene, enhancer_1, enhancer_2
        Names of a gene and two peaks.
    groupby, group
        Column of ``mdata.obs``, and the value of its cells that are drawn; None takes all cells.
    formula
        Covariates of the joint model, as in :func:`scanlink.tl.epistasis`.
    family
        Family of the joint model: ``"poisson"`` or ``"negbin"``.
    ax
        Axes to draw into; None makes a figure, without pyplot, so that nothing has to be closed.

    Returns
    -------
    matplotlib.axes.Axes
        Its figure is ``ax.figure``.

    Raises
    ------
    MissingKeyError
        If a name is not there.
    InputError
        If the group has no cell, both enhancers are the same, or counts are no raw counts.
    DesignError
        If the covariates cannot be used.
    OptionError
        If the family is not known, or ``groupby`` and ``group`` are not given together.

    Notes
    -----
    Circles are means over the cells of ``10,000 y_i / n_i``, with ``n_i`` all UMIs of the cell: column ``nUMI`` of
    ``mdata.obs``, else the sum over ``rna``. Their bars are 95 % intervals of a mean, from 10 cells on. Squares are
    means by the joint model if all cells of the group were in that state, ``mean_i of 10,000 exp(o_i + C_i gamma +
    b_s) / n_i``, so that the ratio of two is ``exp`` of the difference of their ``b``; the bars are 95 % intervals by
    the sandwich error (HC3) and the delta method, on the log scale. The diamond is what the state 11 would have if the
    effects multiplied, that is with ``b_10 + b_01`` for ``b_11``. Where a state has no cell or no count, or the fit
    does not converge, only circles are drawn, and the title says so.

    Examples
    --------
    >>> import scanlink as sl
    >>> data = sl.ds.simulate(n_cells=400, n_genes=10, n_peaks=40, n_links=8, n_interactions=2, seed=1)
    >>> pair = data.interactions.iloc[0]
    >>> ax = states(data.mdata, pair["gene"], pair["enhancer_1"], pair["enhancer_2"])
    >>> [label.get_text().split()[0] for label in ax.get_xticklabels()]
    ['00', '10', '01', '11']
    """
    counts, depth, state, cells, name = _cells(mdata, gene, enhancer_1, enhancer_2, groupby, group)
    means, problem = fit_means(counts, depth, state, cells, name, formula, family)
    scaled = counts * (DEPTH / depth)
    ax = new_axes(ax, size=(5.6, 4.6))
    labels, top = [], 0.0
    for number, state_name in enumerate(state_names(2)):
        of_state = scaled[state == number]
        lines = [f"{state_name}  {_WORDS[number]}", f"{of_state.size:,} cells" if of_state.size != 1 else "1 cell"]
        if of_state.size:
            lines.append(f"{_percent(float((of_state > 0).mean()))} non-zero")
            top = max(top, _draw_cells(ax, number, of_state))
        labels.append("\n".join(lines))
    if means is not None:
        top = max(top, _draw_fit(ax, means))
    title = f"{gene}{', ' + name if groupby is not None else ''}\n{problem or _interaction_text(means)}"
    ax.set(xlim=(-0.5, 3.5), ylim=(0, 1.08 * top or 1.0), ylabel=f"UMIs of the gene per {DEPTH:,} of the cell")
    ax.set_title(title, fontsize="medium")
    ax.set_xticks(range(4), labels, fontsize="small")
    draw_legend(ax)
    open_spines(ax)
    return ax


def _cells(
    mdata: MuData, gene: str, enhancer_1: str, enhancer_2: str, groupby: str | None, group: str | None
) -> tuple[Floats, Floats, NDArray[np.int64], pd.DataFrame, str]:
    """Return counts of the gene, all UMIs, state and columns of the cells of the group, and its name."""
    rna, atac = get_modality(mdata, "rna"), get_modality(mdata, "atac")
    for side, names in (("atac", atac.obs_names), ("the MuData", mdata.obs_names)):
        if not names.equals(rna.obs_names):
            raise InputError(
                f"the cells of rna ({rna.n_obs:,}) and of {side} ({len(names):,}) differ or are in different order: "
                "pass both modalities through scanlink.io.assemble(rna, atac)"
            )
    if enhancer_1 == enhancer_2:
        raise InputError(f"both enhancers are {enhancer_1!r}: expected two peaks")
    if (groupby is None) != (group is None):
        named, absent = ("groupby", "group") if group is None else ("group", "groupby")
        raise OptionError(f"{named} was given without {absent}: give both, or neither for all cells")
    rows = np.arange(len(mdata.obs), dtype=np.int32)
    name = "all"
    if groupby is not None:
        name = str(group)
        rows = group_members(mdata.obs, groupby, (name,))[name]
    cells = mdata.obs.iloc[rows]
    counts = _column(rna, gene, "rna")[rows]
    opened = [_column(atac, enhancer, "atac")[rows] > 0 for enhancer in (enhancer_1, enhancer_2)]
    if "nUMI" in cells.columns:
        depth = cells["nUMI"].to_numpy(dtype=float)
    else:
        depth = np.asarray(rna.X.sum(axis=1), dtype=float).ravel()[rows]
    if not (depth > 0).all():
        raise InputError(
            f"{int((~(depth > 0)).sum())} of {depth.size} cells have no UMI, and nothing to divide by: remove them"
        )
    return counts, depth, opened[0].astype(np.int64) + 2 * opened[1], cells, name


def _column(data: AnnData, feature: str, modality: str) -> Floats:
    """Return the counts of one feature. Shape ``(n_cells,)``."""
    if feature not in data.var_names:
        kind = "gene" if modality == "rna" else "peak"
        raise MissingKeyError(
            f"no {kind} {feature!r} in {modality}; its names are such as {first_few(data.var_names[:3])}"
        )
    if (count := int((data.var_names == feature).sum())) > 1:
        raise InputError(f"{count} features of {modality} are called {feature!r}: make the names unique")
    column = data[:, [feature]].X
    counts = np.asarray(column.toarray() if hasattr(column, "toarray") else column, dtype=float).ravel()
    if not (np.isfinite(counts) & (counts >= 0) & (counts == np.floor(counts))).all():
        raise InputError(f"{feature!r} has values that are no counts: give the matrix from before normalisation")
    return counts


def _draw_cells(ax: Axes, place: int, values: Floats) -> float:
    """Draw the circle of a state and its interval; return the largest number that should be seen."""
    mean, color = float(values.mean()), "#555555"
    half = WIDTH * float(values.std(ddof=1)) / np.sqrt(values.size) if values.size >= _ENOUGH else 0.0
    if half:
        ax.errorbar(
            place - 0.14,
            mean,
            [[min(half, mean)], [half]],
            ecolor=color,
            elinewidth=1.4,
            capsize=3,
            zorder=2,
            linestyle="none",
        )
    is_first = "mean of the cells" not in ax.get_legend_handles_labels()[1]
    ax.plot(
        place - 0.14,
        mean,
        linestyle="none",
        marker="o",
        markersize=7,
        markerfacecolor="white",
        markeredgecolor=color,
        markeredgewidth=1.5,
        zorder=3,
        label="mean of the cells" if is_first else "_mean",
    )
    return mean + half


def _draw_fit(ax: Axes, means: Means) -> float:
    """Draw squares and the diamond; return the largest number that should be seen."""
    for place, values, marker, color, text in (
        (np.arange(4) + 0.06, means.fitted, "s", BLUE, "mean by the joint model"),
        (np.array([3.26]), means.expected[None], "D", ORANGE, "11 if effects multiplied"),
    ):
        middle, low, high = values.T
        # Intervals that cannot be told are left out.
        has_interval = np.isfinite(low) & np.isfinite(high)
        ax.errorbar(
            place[has_interval],
            middle[has_interval],
            [(middle - low)[has_interval], (high - middle)[has_interval]],
            linestyle="none",
            ecolor=color,
            elinewidth=1.4,
            capsize=3,
            zorder=2,
        )
        ax.plot(
            place,
            middle,
            linestyle="none",
            marker=marker,
            markersize=6.5,
            color=color,
            zorder=3,
            label=text,
            markerfacecolor=color if marker == "s" else "white",
            markeredgewidth=1.5,
        )
    middles = np.append(means.fitted[:, 0], means.expected[0])
    ends = np.append(means.fitted[:, 2], means.expected[2])
    # An interval that is wider than all else is cut, or nothing else could be seen.
    return float(min(np.nanmax(np.append(ends, middles)), 2 * middles.max()))


def _interaction_text(means: Means | None) -> str:
    """Write the interaction and its interval."""
    if means is None:
        return ""
    d, low, high = means.interaction
    text = f"interaction {d:+.2f}" + (f" (95 % interval {low:+.2f} to {high:+.2f})" if np.isfinite(low) else "")
    return text.replace("-", "−")


def _percent(share: float) -> str:
    """Write a share in per cent, with two digits where it is small."""
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.2g} %"
