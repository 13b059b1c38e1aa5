"""Whether an enhancer pair acts alike in different groups of cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import chdtrc, ndtr

from scanlink.adjustment import adjust_table
from scanlink.errors import MissingKeyError, first_few
from scanlink.run import Plan
from scanlink.tl.analysis import Given
from scanlink.tl.epistasis.options import EpistasisOptions

__all__ = ["heterogeneity", "heterogeneity_table"]

_COLUMNS = ["n_groups", "interaction", "se", "p", "q", "df", "p_heterogeneity", "i2", "fdr"]


def heterogeneity(epi: pd.DataFrame) -> pd.DataFrame:
    """Average the interaction of each enhancer pair over the groups, and test whether groups differ.

    Parameters
    ----------
    epi
        Table of :func:`scanlink.tl.epistasis` with several groups. Rows whose ``status`` is not ``ok`` are left out.

    Returns
    -------
    pandas.DataFrame
        A row for each pair that was tested in at least two groups: gene, enhancer_1, enhancer_2; ``n_groups``;
        ``interaction`` (natural log), ``se`` and ``p``, of the mean; ``q``, ``df`` and ``p_heterogeneity``; ``i2``, the
        share of the variation over groups that is not chance; ``fdr`` of ``p_heterogeneity`` over the pairs.

    Raises
    ------
    MissingKeyError
        If a column is missing.

    Warnings
    --------
    Groups are taken as independent, which they are not where donors are the same; and a robust error from a few cells
    is itself uncertain, so that Q is too large in small groups.

    Notes
    -----
    With robust errors ``s_g`` and ``w_g = 1 / s_g^2``: mean ``d = sum w_g d_g / sum w_g``, ``Q = sum w_g (d_g - d)^2``
    against chi-square with G - 1 degrees of freedom (Cochran 1954, Biometrics 10:101), ``I2 = max(0, 1 - (G - 1) / Q)``
    (Higgins and Thompson 2002, Stat Med 21:1539).

    Examples
    --------
    >>> epi = pd.DataFrame({"group": ["B", "T"], "gene": "g", "enhancer_1": "a", "enhancer_2": "b",
    ...                     "beta_interaction": [0.0, 2.0], "se_robust_interaction": 0.5, "status": "ok"})
    >>> heterogeneity(epi)[["n_groups", "interaction", "q", "i2"]].round(3).values.tolist()
    [[2.0, 1.0, 8.0, 0.875]]
    """
    needed = ["group", "gene", "enhancer_1", "enhancer_2", "beta_interaction", "se_robust_interaction", "status"]
    if absent := [name for name in needed if name not in epi.columns]:
        raise MissingKeyError(
            f"the table epi has no column {first_few(absent)}; expected that of scanlink.tl.epistasis"
        )
    keys = ["gene", *(name for name in epi.columns if name.startswith("enhancer_"))]
    usable = (epi["status"] == "ok") & (epi["se_robust_interaction"] > 0)
    rows = epi.loc[usable, [*keys, "beta_interaction", "se_robust_interaction"]]
    weight = 1.0 / rows["se_robust_interaction"] ** 2
    sums = rows[keys].assign(
        n_groups=1, w=weight, wd=weight * rows["beta_interaction"], wdd=weight * rows["beta_interaction"] ** 2
    )
    table = sums.groupby(keys, sort=False, as_index=False).sum()
    table = table[table["n_groups"] > 1].reset_index(drop=True)
    table["interaction"] = table["wd"] / table["w"]
    table["se"] = 1.0 / np.sqrt(table["w"])
    table["p"] = 2.0 * ndtr(-np.abs(table["interaction"] / table["se"]))
    table["q"] = np.maximum(table["wdd"] - table["wd"] ** 2 / table["w"], 0.0)
    table["df"] = table["n_groups"] - 1
    table["p_heterogeneity"] = chdtrc(table["df"], table["q"])
    table["i2"] = np.where(table["q"] > 0, np.maximum(0.0, 1.0 - table["df"] / table["q"].where(table["q"] > 0)), 0.0)
    table["fdr"] = adjust_table(table["p_heterogeneity"].to_numpy(dtype=float))
    return table[[*keys, *_COLUMNS]]


def heterogeneity_table(plans: Sequence[Plan], given: Given, options: EpistasisOptions) -> pd.DataFrame | None:
    """Compare the groups of a run; None where there are fewer than two."""
    epi = given.tables["epistasis"]
    return heterogeneity(epi) if epi["group"].nunique() > 1 else None
