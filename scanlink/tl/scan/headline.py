"""How many links there are, and what that number is worth: beside chance, and beside one rate over all groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from scanlink.pp.groups import ALL_CELLS
from scanlink.stats.fdr import expected_by_chance
from scanlink.tl.scan.options import RATES_OVER

__all__ = ["headline"]

# What rates of a scope are taken over.
_FAMILIES = {"group": ("group", "groups"), "gene": ("gene of a group", "genes of a group")}


def headline(links: pd.DataFrame, rates: Mapping[str, Any]) -> list[str]:
    """Say how many links there are, how many chance would give in how many groups, and what one rate over all calls.

    ``links`` has ``group``, ``gene``, ``status``, ``fdr`` and maybe ``fdr_all``; ``rates`` has ``alpha``, ``scope`` and
    ``method`` of the links. What chance gives is that of independent tests none of which is of a link.

    >>> links = pd.DataFrame({"group": ["B", "B", "T"], "gene": "g", "status": "ok", "fdr": [0.01, 0.3, 0.04],
    ...                       "fdr_all": [0.03, 0.3, 0.2]})
    >>> for line in headline(links, {"alpha": 0.1, "scope": "group", "method": "bh"}):
    ...     print(line)
    2 links in 2 groups at a false discovery rate of 0.1 within each group
    if nothing were linked, chance would call about 0.21, in about 0.2 of 2 groups
    one rate over all groups together would call 1
    """
    tested = links[links["status"] == "ok"]
    alpha, scope, method = float(rates["alpha"]), str(rates.get("scope", "group")), str(rates.get("method", "bh"))
    called = tested[tested["fdr"] < alpha]
    n, n_groups = len(called), called["group"].nunique()
    text = f"{n:,} {'link' if n == 1 else 'links'}"
    if n:
        text += f" in {n_groups} {'group' if n_groups == 1 else 'groups'}"
    families = _FAMILIES.get(scope)
    text += f" at a false discovery rate of {alpha:g} " + (f"within each {families[0]}" if families else "over all")
    if tested.empty:
        return [text]
    keys = RATES_OVER.get(scope, ["group"])
    sizes = tested.groupby(keys).size().tolist() if keys else [len(tested)]
    chances = [expected_by_chance(size, alpha, method=method) for size in sizes]
    chance = f"if nothing were linked, chance would call about {_rounded(sum(links for links, _ in chances))}"
    if families:
        one, several = families
        some = sum(share for _, share in chances)
        chance += f", in about {_rounded(some)} of {len(sizes):,} {one if len(sizes) == 1 else several}"
    lines = [text, chance]
    several_groups = tested["group"].nunique() > 1
    if scope != "all" and several_groups and tested.get("fdr_all", pd.Series(dtype=float)).notna().any():
        lines.append(f"one rate over all groups together would call {int((tested['fdr_all'] < alpha).sum()):,}")
    if n and list(links["group"].unique()) == [ALL_CELLS]:
        lines.append("all cells were one group: what differs between types of cells is among the links")
    return lines


def _rounded(number: float) -> str:
    """Write a number of things that is expected: two digits, or where it has more a whole number."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"
