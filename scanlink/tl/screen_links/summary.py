"""Do a screen and multiome links agree: in numbers, over target-gene pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from scanlink.errors import OptionError
from scanlink.pl._tables import counted_pairs
from scanlink.tables import ASKED

__all__ = ["screen_links_summary"]


def screen_links_summary(
    table: pd.DataFrame, *, link_fdr: float = 0.1, screen_fdr: float = 0.1, kinds: Sequence[str] = ASKED[:1]
) -> pd.DataFrame:
    """Count where a screen and links agree, group by group of the links.

    Of a target on several peaks of a gene the one with the smallest p-value of the link is taken, so that each
    target-gene pair counts once; only pairs that were tested on both sides count.

    Parameters
    ----------
    table
        From :func:`scanlink.tl.screen_links`.
    link_fdr, screen_fdr
        False discovery rates below which a pair is a link, and below which the screen has found it.
    kinds
        Of pairs of the screen: ``discovery`` and, if wanted, ``positive_control``. These are mostly promoters, which
        say nothing of enhancers.

    Returns
    -------
    pandas.DataFrame
        A row a ``group`` of the links and ``group_screen``:

        - ``n_pairs``; ``rank_correlation`` of both effects (Spearman) with ``p_rank``;
        - ``n_opposite``, ``share_opposite`` and ``p_opposite``: pairs whose effects have opposite signs, as they do
          where a perturbation lowers what an enhancer raises; exact two-sided binomial test against one half;
        - ``n_found`` pairs found by the screen, ``n_found_opposite`` and ``p_found_opposite`` the same among them;
        - ``n_linked``, ``n_both``; ``recall = n_both / n_found`` and ``precision = n_both / n_linked`` of links for
          what the screen finds; ``odds_ratio`` (conditional maximum likelihood, as ``fisher.test`` of R has it) with
          its 95 % interval ``odds_low`` to ``odds_high``, and ``p_odds`` of Fisher's exact test, two-sided.

        What cannot be computed is NaN.

    Raises
    ------
    MissingKeyError
        If a column is missing.
    OptionError
        If a rate or a kind is impossible.

    Warnings
    --------
    Recall is among targets that lie on a peak; what a screen finds elsewhere is not in the table. Pairs of one gene or
    one target are not independent, so that p-values are too small where few genes have many pairs.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"group": "T", "group_screen": "all", "gene_screen": list("ABCDEF"), "target": list("uvwxyz"),
    ...      "kind": "discovery", "beta_link": [.5, .4, .6, .1, -.1, .05], "p_link": [0, 0, 0, .5, .4, .7],
    ...      "fdr_link": [0, 0, 0, .7, .7, .7], "status_link": "ok", "beta_screen": [-.9, -.5, -.7, -.1, -.2, .01],
    ...      "p_screen": [0, 0, 0, .5, .3, .9], "fdr_screen": [0, 0, 0, .7, .7, .9], "status_screen": "ok"})
    >>> found = screen_links_summary(table)
    >>> found[["n_pairs", "n_opposite", "n_both", "recall", "precision", "odds_ratio"]]
       n_pairs  n_opposite  n_both  recall  precision  odds_ratio
    0        6           4       3     1.0        1.0         inf
    """
    for name, value in (("link_fdr", link_fdr), ("screen_fdr", screen_fdr)):
        if not (isinstance(value, (int, float)) and 0 < value <= 1):
            raise OptionError(f"{name}: expected a number above 0 and at most 1; found {value!r}")
    rows = counted_pairs(table, kinds=kinds)
    groups = table[["group", "group_screen"]].drop_duplicates()
    found = []
    for group, other in groups.itertuples(index=False):
        own = rows[(rows["group"] == group) & (rows["group_screen"] == other)]
        found.append({"group": group, "group_screen": other, **_counts(own, link_fdr, screen_fdr)})
    return pd.DataFrame(found)


def _counts(rows: pd.DataFrame, link_fdr: float, screen_fdr: float) -> dict[str, Any]:
    from scipy.stats import fisher_exact, spearmanr
    from scipy.stats.contingency import odds_ratio

    link, screen = rows["beta_link"].to_numpy(dtype=float), rows["beta_screen"].to_numpy(dtype=float)
    linked = rows["fdr_link"].to_numpy(dtype=float) < link_fdr
    found = rows["fdr_screen"].to_numpy(dtype=float) < screen_fdr
    out: dict[str, Any] = {"n_pairs": len(rows), "rank_correlation": np.nan, "p_rank": np.nan}
    if len(rows) > 2 and np.ptp(link) > 0 and np.ptp(screen) > 0:
        rank = spearmanr(link, screen)
        out |= {"rank_correlation": float(rank.statistic), "p_rank": float(rank.pvalue)}
    n, share, p = _opposite(link, screen)
    out |= {"n_opposite": n, "share_opposite": share, "p_opposite": p}
    n, _, p = _opposite(link[found], screen[found])
    out |= {"n_found": int(found.sum()), "n_found_opposite": n, "p_found_opposite": p}
    both = int((linked & found).sum())
    out |= {"n_linked": int(linked.sum()), "n_both": both}
    out["recall"] = both / found.sum() if found.any() else np.nan
    out["precision"] = both / linked.sum() if linked.any() else np.nan
    out |= dict.fromkeys(("odds_ratio", "odds_low", "odds_high", "p_odds"), np.nan)
    square = np.array([[both, (linked & ~found).sum()], [(~linked & found).sum(), (~linked & ~found).sum()]])
    if square.sum(axis=0).all() and square.sum(axis=1).all():
        ratio = odds_ratio(square)
        interval = ratio.confidence_interval(0.95)
        out |= {
            "odds_ratio": float(ratio.statistic),
            "odds_low": float(interval.low),
            "odds_high": float(interval.high),
            "p_odds": float(fisher_exact(square).pvalue),
        }
    return out


def _opposite(first: np.ndarray, second: np.ndarray) -> tuple[int, float, float]:
    """Pairs of opposite sign, their share of those with two signs, and its exact p-value."""
    from scipy.stats import binomtest

    signs = np.sign(first) * np.sign(second)
    n, k = int((signs != 0).sum()), int((signs < 0).sum())
    return (k, k / n, float(binomtest(k, n).pvalue)) if n else (0, np.nan, np.nan)
