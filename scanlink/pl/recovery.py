"""How well a scan of simulated data recovers what was planted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scanlink.errors import MissingKeyError, first_few
from scanlink.pl._looks import BLUE, new_figure, open_frame

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["recovery"]

# Colour-blind safe (Okabe and Ito 2008).
_COLORS = {"planted": BLUE, "beside a planted link": "#E69F00", "no link planted": "#BBBBBB"}


def recovery(links: pd.DataFrame, truth: pd.DataFrame, *, alpha: float = 0.1) -> Figure:
    """Draw estimated against planted effects, and where calls fall by effect and p-value.

    Parameters
    ----------
    links
        Links table of a scan of simulated data.
    truth
        Table of planted links: ``group`` (empty: acts in every group), ``gene``, ``peak``, ``beta`` (natural log).
    alpha
        False discovery rate below which a pair counts as called.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels. Drawn without pyplot, so that nothing has to be closed.

    Raises
    ------
    MissingKeyError
        If a table lacks a column.

    Examples
    --------
    >>> import scanlink as sl
    >>> data = sl.ds.simulate(n_cells=400, n_genes=20, n_peaks=60, n_links=12, n_interactions=0, seed=1)
    >>> pairs = sl.pp.cis_pairs(data.mdata, data.genes)
    >>> links = sl.tl.scan(data.mdata, pairs, groupby="celltype", p_value="robust")
    >>> [axes.get_ylabel() for axes in recovery(links, data.links).axes]
    ['estimated effect (natural log)', 'p-value (−log10)']
    """
    for name, table, columns in (
        ("links", links, {"group", "gene", "peak", "beta", "p_value", "fdr", "status"}),
        ("truth", truth, {"group", "gene", "peak", "beta"}),
    ):
        if absent := sorted(columns - set(table.columns)):
            raise MissingKeyError(f"the table {name} has no column {first_few(absent)}; expected {sorted(columns)}")
    tested = label(links, truth)
    tested = tested[tested["status"] == "ok"]
    called = tested["fdr"] < alpha
    figure = new_figure((9.6, 4.0))
    left, right = figure.subplots(1, 2)
    planted = tested[tested["kind"] == "planted"]
    for is_called, face in ((True, _COLORS["planted"]), (False, "none")):
        part = planted[called[planted.index] == is_called]
        text = f"{'called' if is_called else 'missed'} ({len(part)})"
        x, y, edge = part["beta_true"], part["beta"], _COLORS["planted"]
        left.scatter(x, y, s=22, facecolor=face, edgecolor=edge, linewidth=0.8, label=text)
    ends = np.array([planted["beta_true"].min(), planted["beta_true"].max()]) if len(planted) else np.zeros(2)
    left.plot(ends, ends, color="black", linewidth=0.8)
    left.set(xlabel="planted effect (natural log)", ylabel="estimated effect (natural log)", title="Planted links")
    left.legend(frameon=False, loc="upper left")
    # Behind to front, so that the few that matter are seen.
    for kind in reversed(_COLORS):
        part = tested[tested["kind"] == kind]
        y = -np.log10(part["p_value"].clip(lower=1e-300))
        text = f"{kind}: {int(called[part.index].sum())} of {len(part)} called"
        right.scatter(part["beta"], y, s=14, color=_COLORS[kind], alpha=0.8, linewidth=0, label=text)
    if called.any():
        right.axhline(-np.log10(tested.loc[called, "p_value"].max()), color="black", linewidth=0.8, linestyle=":")
    right.set(
        xlabel="estimated effect (natural log)", ylabel="p-value (−log10)", title=f"All tested pairs, FDR {alpha:g}"
    )
    handles, names = right.get_legend_handles_labels()
    right.legend(handles[::-1], names[::-1], frameon=False, fontsize="small", loc="lower left")
    top = right.get_ylim()[1]
    # Room below for the legend.
    right.set_ylim(-0.35 * top, top)
    right.set_yticks([tick for tick in right.get_yticks() if 0 <= tick <= top])
    open_frame(left)
    open_frame(right)
    return figure


def label(links: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Label links with ``kind``, and with ``beta_true`` where a link was planted.

    Beside a planted link is another peak of a gene that has one in the group: peaks nearby open together, so such a
    pair is seldom without association.
    """
    keys = ["group", "gene", "peak"]
    everywhere = truth["group"].isna() | (truth["group"] == "")
    groups = pd.DataFrame({"group": links["group"].unique()})
    planted_links = pd.concat(
        [truth.loc[~everywhere, [*keys, "beta"]], truth.loc[everywhere, [*keys[1:], "beta"]].merge(groups, how="cross")]
    )
    planted_links = planted_links.drop_duplicates(keys).rename(columns={"beta": "beta_true"})
    planted_links["group"] = planted_links["group"].astype(str)
    table = links.merge(planted_links, on=keys, how="left")
    planted = table["beta_true"].notna()
    beside = planted.groupby([table["group"], table["gene"]], observed=True).transform("any")
    kinds = list(_COLORS)
    table["kind"] = np.select([planted, beside], kinds[:2], kinds[2])
    return table
