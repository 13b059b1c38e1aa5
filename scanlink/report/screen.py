"""What the page of a screen shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from scanlink.report import screen_words
from scanlink.report.counts import count_groups
from scanlink.report.parts import arranged, frame, record_of, searchable, stage
from scanlink.report.pictures import draw, legible
from scanlink.report.rows import Column, result_table
from scanlink.report.screen_controls import control_rates, verdict
from scanlink.report.screen_folder import ScreenRun, target_places
from scanlink.report.screen_joint import FILE, joint_of
from scanlink.report.screen_methods import screen_methods
from scanlink.report.screen_pictures import screen_plans
from scanlink.report.words import FDR_WORDS
from scanlink.tables import ASKED, CONTROLS

__all__ = ["context"]

_KIND = Column("kind", "kind", "text", "discovery or positive control")
_GROUP = Column("group", "group", "text", "group of cells")
_GENE = (
    Column("symbol", "gene", "text", "gene, by its name in the annotation of the run"),
    Column("gene", "gene id", "text", "gene, as the table calls it"),
)
_NAME = Column("gene", "gene", "text", "gene")
_SCREEN = (
    Column("target", "target", "text", "target that was perturbed"),
    Column("place", "place", "text", "where the target lies, 0-based half-open"),
    Column("distance", "distance", "int", "bp from the TSS to the centre of the target, positive downstream"),
    Column("beta", "effect", "num", "log fold change (natural log) of full perturbation; below 0 it lowers the gene"),
    Column("se_robust", "robust s.e.", "num", "sandwich standard error of the effect"),
    Column("p_value", "p-value", "p", "the p-value that was chosen"),
    Column("fdr", "FDR", "p", "false discovery rate"),
    Column("n_perturbed", "cells", "int", "cells with the perturbation"),
    Column("frac_gene", "gene in", "num", "share of the cells in which the gene is non-zero"),
    Column("min_effect", "detectable", "num", "smallest effect that would have been seen with 80 % power"),
)
_INTERACTIONS = (
    Column("target_1", "target 1", "text", "first target"),
    Column("target_2", "target 2", "text", "second target"),
    Column("distance", "distance", "int", "bp between the midpoints of the targets"),
    Column("beta_interaction", "interaction", "num", "natural log; 0 where effects multiply"),
    Column("se_robust_interaction", "robust s.e.", "num", "sandwich standard error of the interaction"),
    Column("p_value", "p-value", "p", "of the interaction, the kind that was chosen"),
    Column("fdr", "FDR", "p", "false discovery rate"),
    Column("n_11", "cells", "int", "cells with both perturbations"),
    Column("beta_1", "effect 1", "num", "log fold change of the first perturbation alone"),
    Column("beta_2", "effect 2", "num", "log fold change of the second perturbation alone"),
    Column("min_interaction", "detectable", "num", "smallest interaction that would have been seen with 80 % power"),
    Column("cook_ratio", "Cook ratio", "num", "influence of the foremost cell with both over their mean"),
    Column("one_cell", "one cell", "text", "whether that is above 5, so that the interaction may hang on one cell"),
    Column("p_trimmed_interaction", "p without it", "p", "model-based p-value without that cell"),
)


def context(run: ScreenRun, rows: int) -> dict[str, Any]:
    """What the template is filled with.

    Parameters
    ----------
    run
        The run.
    rows
        Most rows in the tables that can be searched.
    """
    joint = joint_of(run, most=rows)
    single, two = _named(run.screen, run), None if run.interactions is None else _named(run.interactions, run)
    table = None if joint is None else joint.table
    # Names of pictures; the tables of the page keep theirs.
    shown, _ = legible([_renamed(single), _renamed(two), table])
    drawn = replace(run, screen=shown[0], interactions=shown[1])
    pictures = draw(screen_plans(drawn, shown[2]), run.folder)
    several = run.screen["group"].nunique() > 1
    found = {"screen": _searchable(run, single, _SCREEN, "screen", run.alpha, rows, several)}
    if two is not None and two.empty:
        two = None
    if two is not None:
        found["interactions"] = _searchable(
            run, two, _INTERACTIONS, "interactions", run.interactions_alpha, rows, several
        )
    if joint is not None and joint.rows is not None:
        found[FILE] = searchable(joint.rows, FILE, alpha=run.alpha, find="group, gene, target or peak")
    return {
        **frame(run, screen_words.asked(run.options)),
        "screen": _stage(run, run.screen, run.alpha, several),
        "interactions": None if two is None else _stage(run, two, run.interactions_alpha, several),
        "controls": _controls(run),
        "power": None if two is None else _power(run.asked(two)),
        "joint": joint,
        "pictures": {
            section: arranged(pictures, section) for section in ("effects", "controls", "interactions", "links")
        },
        "tables": found,
        "status_words": screen_words.STATUS,
        "kind_words": screen_words.KIND_WORDS,
        "kind_names": screen_words.KIND_NAMES,
        "fdr_words": FDR_WORDS,
        "n_cells": _n_cells(run.screen),
        "record": _record(run),
        "methods": screen_methods(run, linked=joint is not None and joint.table is not None),
    }


def _named(table: pd.DataFrame, run: ScreenRun) -> pd.DataFrame:
    """With the names of genes where they have identifiers, places of targets, and outliers in words."""
    more: dict[str, Any] = {}
    if run.symbols:
        more["symbol"] = table["gene"].map(run.symbols).fillna(table["gene"])
    if "target" in table and run.guides is not None and {"chrom", "start", "end"} <= set(run.guides):
        more["place"] = table["target"].map(target_places(run.guides))
    if "outlier" in table:
        more["one_cell"] = table["outlier"].map({True: "yes", False: "no"})
    return table.assign(**more)


def _renamed(table: pd.DataFrame | None) -> pd.DataFrame | None:
    return table.assign(gene=table["symbol"]) if table is not None and "symbol" in table else table


def _searchable(
    run: ScreenRun, table: pd.DataFrame, columns: tuple[Column, ...], name: str, alpha: float, rows: int, several: bool
) -> dict[str, Any]:
    first = (_GROUP, _KIND) if several else (_KIND,)
    genes = _GENE if "symbol" in table else (_NAME,)
    asked = run.asked(table)
    asked = asked.assign(kind=asked["kind"].replace(screen_words.KIND_NAMES))
    found = result_table(asked, alpha=alpha, most=rows, columns=(*first, *genes, *columns))
    return searchable(
        found,
        name,
        alpha=alpha,
        filter_by=("Group", "all groups") if several else ("Kind", "all kinds"),
        find="gene or target",
    )


def _stage(run: ScreenRun, table: pd.DataFrame, alpha: float, several: bool) -> dict[str, Any]:
    """Counts by kind, and those of what was asked for."""
    kind = table["kind"].astype(str)
    # In the order of kinds, whatever that of the table.
    rows = table.iloc[np.argsort(pd.Categorical(kind, [*ASKED, *CONTROLS]).codes, kind="stable")]
    names = rows["kind"].replace(screen_words.KIND_NAMES)
    label = names + ", " + rows["group"].astype(str) if several else names
    counts = count_groups(rows.assign(group=label).drop(columns="n_cells", errors="ignore"), alpha=alpha)
    own = run.asked(table)
    groups = count_groups(own, alpha=alpha)
    asked = stage(groups, known=screen_words.STATUS)
    called = own[((own["fdr"] < alpha) & (own["status"] == "ok")).to_numpy(dtype=bool)]
    positive = own[own["kind"] == "positive_control"]
    return {
        "by_kind": stage(counts, known=screen_words.STATUS),
        "kinds": list(rows["kind"].unique()),
        **{name: asked[name] for name in ("asked", "tested", "called", "up", "down", "failed")},
        "genes": int(called["gene"].nunique()),
        "positive": len(positive),
        "positive_called": int((positive["fdr"] < alpha).sum()),
        "outliers": _outliers(own, called) if "outlier" in own else None,
        "groups": groups,
    }


def _outliers(asked: pd.DataFrame, called: pd.DataFrame) -> dict[str, Any]:
    """In how many interactions one cell stands out, in how many of all, and how many of these need it."""
    tested = asked[asked["status"] == "ok"]
    out, of_all = (table["outlier"].map({True: 1.0, False: 0.0}) for table in (called, tested))
    lost = called["p_trimmed_interaction"] >= 0.05 if "p_trimmed_interaction" in called else out < 0
    return {"called": int(out.sum()), "share": float(of_all.mean()), "lost": int((lost & (out > 0)).sum())}


def _controls(run: ScreenRun) -> list[dict[str, Any]]:
    """Rejection rates of the controls of each table that has some."""
    found = []
    for what, name, table, end in (
        ("Effects of single targets", "screen", run.screen, ""),
        ("Interactions", "interactions", run.interactions, "_interaction"),
    ):
        if table is None:
            continue
        rates = control_rates(table, p_value=run.section(name).get("p_value"), end=end)
        if rates:
            found.append({"what": what, "rates": rates, "verdict": verdict(rates)})
    return found


def _power(table: pd.DataFrame) -> dict[str, Any] | None:
    """How large interactions had to be, and which model described more pairs better."""
    tested = table[table["status"] == "ok"]
    if "min_interaction" not in tested or tested["min_interaction"].notna().sum() == 0:
        return None
    least = tested["min_interaction"].dropna().to_numpy(dtype=float)
    tenth, half = (float(np.quantile(least, share)) for share in (0.1, 0.5))
    # A factor of a million says no more than "any".
    words = {
        name: f"{np.exp(value):,.2g}" if value < 10 else "thousands"
        for name, value in (("tenth", tenth), ("half", half))
    }
    doubled = float((least <= np.log(2)).mean())
    found = {"tenth": f"{tenth:.2g}", "half": f"{half:.2g}", "factor": words, "doubled": f"{100 * doubled:.0f}"}
    if {"aic_additive", "aic_multiplicative"} <= set(tested):
        difference = (tested["aic_additive"] - tested["aic_multiplicative"]).dropna().to_numpy(dtype=float)
        if difference.size:
            found["models"] = {
                "n": difference.size,
                "multiply": int((difference > 2).sum()),
                "add": int((difference < -2).sum()),
            }
    return found


def _n_cells(table: pd.DataFrame) -> int | None:
    """Cells of all groups."""
    if "n_cells" not in table:
        return None
    return int(table.groupby("group", observed=True)["n_cells"].max().sum())


def _record(run: ScreenRun) -> dict[str, Any]:
    words = {"screen": "the screen", "interactions": "the interactions"}
    blocks = {words.get(name, name): counts for name, counts in run.record.get("blocks", {}).items()}
    seeds = {name: run.section(name).get("seed") for name in words}
    return record_of(run.record, blocks=blocks, seeds=seeds)
