"""Expression of a gene by which of two enhancers are open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.errors import DesignError, InputError, MissingKeyError, OptionError, first_few
from scanlink.io.raw_counts import Layer
from scanlink.pl._looks import BLUE, ORANGE, draw_legend, draw_marks, new_axes
from scanlink.pl._tables import Floats
from scanlink.pp.door import Multiome, entered_for_analysis
from scanlink.pp.formula import parse_formula
from scanlink.pp.groups import group_members
from scanlink.pp.modalities import get_modality
from scanlink.stats import StatesFit, fit_states, rescale, sandwich_se, state_names

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from mudata import MuData

__all__ = ["states"]

_WORDS = ("both closed", "only 1 open", "only 2 open", "both open")
# Counts are shown as if every cell had this many.
_DEPTH = 10_000
# Half a 95 % interval, in standard errors.
_WIDTH = 1.959963984540054
# With fewer cells a mean has no interval to speak of.
_ENOUGH = 10


def states(
    mdata: Multiome,
    gene: str,
    enhancer_1: str,
    enhancer_2: str,
    *,
    groupby: str | None = None,
    group: str | None = None,
    formula: str = "percent.mito + offset(log(nUMI))",
    family: str = "poisson",
    layer: Layer = None,
    rna_key: str | None = None,
    atac_key: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the expression of a gene in cells with neither, one or both of two enhancers open.

    Parameters
    ----------
    mdata
        Raw counts of genes and peaks, as :func:`scanlink.tl.epistasis` takes them.
    gene, enhancer_1, enhancer_2
        Names of a gene and two peaks.
    groupby, group
        Column of ``mdata.obs``, and the value of its cells that are drawn; None takes all cells.
    formula
        Covariates of the joint model, as in :func:`scanlink.tl.epistasis`.
    family
        Family of the joint model: ``"poisson"`` or ``"negbin"``.
    layer, rna_key, atac_key
        Where the counts are, as in :func:`scanlink.tl.epistasis`.
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
    mdata = entered_for_analysis(mdata, layer=layer, rna_key=rna_key, atac_key=atac_key)
    counts, depth, state, cells, name = _cells(mdata, gene, enhancer_1, enhancer_2, groupby, group)
    means, problem = _fit_means(counts, depth, state, cells, name, formula, family)
    scaled = counts * (_DEPTH / depth)
    ax = new_axes(ax, size=(5.6, 4.6))
    labels, circles = [], []
    for number, state_name in enumerate(state_names(2)):
        of_state = scaled[state == number]
        lines = [f"{state_name}  {_WORDS[number]}", f"{of_state.size:,} cells" if of_state.size != 1 else "1 cell"]
        if of_state.size:
            lines.append(f"{_percent(float((of_state > 0).mean()))} non-zero")
            circles.append((number - 0.14, *_mean(of_state)))
        labels.append("\n".join(lines))
    place, *of_cells = np.reshape(circles, (-1, 4)).T
    _draw_means(ax, place, of_cells, "o", "#555555", size=7, face="white", text="mean of the cells")
    top = (of_cells[0] + np.nan_to_num(of_cells[2])).max(initial=0.0)
    if means is not None:
        top = max(top, _draw_fit(ax, means))
    title = f"{gene}{', ' + name if groupby is not None else ''}\n{problem or _interaction_text(means)}"
    ax.set(xlim=(-0.5, 3.5), ylim=(0, 1.08 * top or 1.0), ylabel=f"UMIs of the gene per {_DEPTH:,} of the cell")
    ax.set_title(title, fontsize="medium")
    ax.set_xticks(range(4), labels, fontsize="small")
    draw_legend(ax)
    return ax


def _cells(
    mdata: MuData, gene: str, enhancer_1: str, enhancer_2: str, groupby: str | None, group: str | None
) -> tuple[Floats, Floats, NDArray[np.int64], pd.DataFrame, str]:
    """Return counts of the gene, all UMIs, state and columns of the cells of the group, and its name."""
    rna, atac = get_modality(mdata, "rna"), get_modality(mdata, "atac")
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
    return np.asarray(column.toarray() if hasattr(column, "toarray") else column, dtype=float).ravel()


@dataclass(frozen=True)
class _Means:
    """_Means of the four states by the fit, and what 11 would be if the effects multiplied; each with 95 % interval.

    Shapes ``(4, 3)`` and ``(3,)``: mean, lower and upper end; NaN where there is none.
    """

    fitted: Floats
    expected: Floats
    interaction: Floats


def _fit_means(
    counts: Floats, depth: Floats, state: NDArray[np.int64], cells: pd.DataFrame, name: str, formula: str, family: str
) -> tuple[_Means | None, str]:
    """Compute means by the joint model; or return None, and why."""
    if family not in ("poisson", "negbin"):
        raise OptionError(f"family {family!r} is not known; expected 'poisson' or 'negbin'")
    model = parse_formula(formula, cells.columns)
    for number, state_name in enumerate(state_names(2)):
        of_state = counts[state == number]
        if not of_state.sum() > 0:
            return None, f"not fitted: no {'count' if of_state.size else 'cell'} in state {state_name}"
    design = model.design(cells, group=name)
    if counts.size < design.matrix.shape[1] + 4:
        return None, f"not fitted: {counts.size} cells for {design.matrix.shape[1] + 3} terms"
    if problem := design.problem():
        raise DesignError(f"the covariates of group {name!r} cannot be used: {problem}")
    fit = fit_states(counts, state, rescale(design.matrix), offset=design.offset, family=family)
    if np.isnan(fit.coef).any():
        return None, "not fitted: covariates explain a state"
    if not fit.converged:
        return None, "not fitted: the fit did not converge"
    return _means_of(fit, depth), ""


def _means_of(fit: StatesFit, depth: Floats) -> _Means:
    """Compute the means of a fit with their intervals, by the delta method."""
    regression = fit.parts[0]
    targets = list(regression.targets)
    coef = np.nan_to_num(regression.fit.coef)
    covariate_coef = coef.copy()
    covariate_coef[targets] = 0.0
    # Of each cell in state 00, whatever its own.
    base = np.exp(regression.offset + np.einsum("ij,j->i", regression.design, covariate_coef)) * (_DEPTH / depth)
    gradient = np.einsum("i,ij->j", base, regression.design) / base.sum()

    def log_mean(states: list[float]) -> Floats:
        direction = gradient.copy()
        direction[targets] = states
        middle = float(np.log(base.mean()) + np.sum(coef[targets] * states))
        half = _WIDTH * _error(fit, direction)
        return np.array([middle, middle - half, middle + half])

    contrast = np.zeros(coef.size)
    contrast[targets] = [-1.0, -1.0, 1.0]
    middle, half = float(np.sum(contrast * coef)), _WIDTH * _error(fit, contrast)
    unit = np.vstack([np.zeros(3), np.eye(3)]).tolist()
    return _Means(
        np.exp(np.vstack([log_mean(states) for states in unit])),
        np.exp(log_mean([1.0, 1.0, 0.0])),
        np.array([middle, middle - half, middle + half]),
    )


def _error(fit: StatesFit, direction: Floats) -> float:
    """Compute the sandwich error of a sum of coefficients of the one regression."""
    regression = fit.parts[0]
    return sandwich_se(
        regression.counts,
        regression.fit.fitted,
        regression.design,
        regression.fit.covariance,
        target=direction,
        theta=regression.theta,
    )


def _mean(values: Floats) -> tuple[float, float, float]:
    """Compute the mean of a state, and how far its interval reaches below and above; NaN where it has none."""
    mean = float(values.mean())
    half = _WIDTH * float(values.std(ddof=1)) / np.sqrt(values.size) if values.size >= _ENOUGH else 0.0
    return (mean, min(half, mean), half) if half else (mean, np.nan, np.nan)


def _draw_means(
    ax: Axes, place: Floats, means: Sequence[Floats], marker: str, color: str, *, size: float, face: str, text: str
) -> None:
    """Draw means; intervals, by how far they reach below and above, are left out where they cannot be told."""
    middle, below, above = means
    known = np.isfinite(below) & np.isfinite(above)
    ends = [below[known], above[known]]
    looks: dict[str, Any] = {"linestyle": "none", "ecolor": color, "elinewidth": 1.4, "capsize": 3, "zorder": 2}
    ax.errorbar(place[known], middle[known], ends, **looks)
    draw_marks(ax, place, middle, marker, color, size=size, face=face, markeredgewidth=1.5, label=text)


def _draw_fit(ax: Axes, means: _Means) -> float:
    """Draw squares and the diamond; return the largest number that should be seen."""
    for place, values, marker, color, face, text in (
        (np.arange(4.0) + 0.06, means.fitted, "s", BLUE, BLUE, "mean by the joint model"),
        (np.array([3.26]), means.expected[None], "D", ORANGE, "white", "11 if effects multiplied"),
    ):
        middle, low, high = values.T
        reach = [middle, middle - low, high - middle]
        _draw_means(ax, place, reach, marker, color, size=6.5, face=face, text=text)
    middles = np.append(means.fitted[:, 0], means.expected[0])
    ends = np.append(means.fitted[:, 2], means.expected[2])
    # An interval that is wider than all else is cut, or nothing else could be seen.
    return float(min(np.nanmax(np.append(ends, middles)), 2 * middles.max()))


def _interaction_text(means: _Means | None) -> str:
    """Write the interaction and its interval."""
    if means is None:
        return ""
    d, low, high = means.interaction
    text = f"interaction {d:+.2f}" + (f" (95 % interval {low:+.2f} to {high:+.2f})" if np.isfinite(low) else "")
    return text.replace("-", "−")


def _percent(share: float) -> str:
    """Write a share in per cent, with two digits where it is small."""
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.2g} %"
