"""What the page of a multiome run shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scanlink.report import words
from scanlink.report.counts import count_groups
from scanlink.report.folder import Run
from scanlink.report.methods import methods_of
from scanlink.report.parts import PLAIN, arranged, frame, record_of, searchable, stage
from scanlink.report.picture_plans import plans_of
from scanlink.report.pictures import draw, legible
from scanlink.report.rows import result_table

__all__ = ["context"]


def context(run: Run, rows: int) -> dict[str, Any]:
    """What the template is filled with.

    Parameters
    ----------
    run
        The run.
    rows
        Most rows in the tables that can be searched.
    """
    links = count_groups(run.links, alpha=run.alpha)
    pairs = [] if run.epistasis is None else count_groups(run.epistasis, alpha=run.epistasis_alpha)
    shown, genes = legible([run.links, run.epistasis])
    pictures = draw(plans_of(replace(run, links=shown[0], epistasis=shown[1]), genes), run.folder)
    found = {"links": result_table(run.links, alpha=run.alpha, most=rows)}
    if run.epistasis is not None:
        found["epistasis"] = result_table(run.epistasis, alpha=run.epistasis_alpha, most=rows)
    alpha = {"links": run.alpha, "epistasis": run.epistasis_alpha}
    return {
        **frame(run, words.asked(run.options)),
        "links": stage(links),
        "epistasis": stage(pairs),
        "heterogeneity": _heterogeneity(run),
        "pictures": {section: arranged(pictures, section) for section in ("links", "epistasis", "heterogeneity")},
        "tables": {
            name: searchable(table, name, alpha=alpha[name], find="group, gene or peak")
            for name, table in found.items()
        },
        "status_words": words.STATUS,
        "fdr_words": words.FDR_WORDS,
        "record": _record(run),
        "methods": methods_of(run),
    }


def _heterogeneity(run: Run) -> dict[str, Any] | None:
    table = run.heterogeneity
    if table is None:
        return None
    alpha = run.epistasis_alpha
    differing = table[(table["fdr"] < alpha).to_numpy(dtype=bool)]
    top = table.sort_values("p_heterogeneity", kind="stable").head(PLAIN)
    return {"n": len(table), "differing": len(differing), "alpha": alpha, "top": top.to_dict("records")}


def _record(run: Run) -> dict[str, Any]:
    later = run.record.get("epistasis", {})
    # Of the enhancer pairs of each group only failures are told.
    blocks = {"the scan": run.record.get("blocks", {})} | {
        f"the enhancer pairs of {group}": {"failed": counts.get("failed", {})}
        for group, counts in later.get("groups", {}).items()
    }
    seeds = {name: run.section(name).get("seed") for name in ("scan", "epistasis")}
    return {**record_of(run.record, blocks=blocks, seeds=seeds), "not_followed": later.get("not_followed", {})}
