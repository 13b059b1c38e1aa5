"""What the page tells of a screen beside the links of a multiome experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from importlib.resources import files
from typing import Any

import pandas as pd

from scanlink.report.asked import file_name
from scanlink.report.folder import Run
from scanlink.report.pictures import plain
from scanlink.report.references import Method
from scanlink.report.result import Result
from scanlink.report.sections import Picture, Section
from scanlink.tl.perturbations.control_rates import ROW_KINDS
from scanlink.tl.screen_links.summary import screen_links_summary

__all__ = ["SECTION"]

# Groups of links of which there is a picture.
_PANELS = 4


def _links(options: Mapping[str, Any]) -> str:
    """Give the name of the file of links, "" where none is named."""
    return file_name(options["links"]) if options.get("links") else ""


def _asked(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if name := _links(options):
        yield "Multiome links", f"beside the screen: {name}"


def _lead(result: Result) -> str:
    return f"The links of {_links(result.run.options)} stand beside the effects." if result.table is not None else ""


def _intro(result: Result) -> str:
    n = len(result.rows[["gene_screen", "target"]].drop_duplicates())
    return (
        f"{n:,} target-gene pairs of the screen have a peak of {_links(result.run.options) or 'the links'} on the "
        "target. Where a link is right and the perturbation lowers what an enhancer raises, both effects have opposite "
        "signs. Only pairs tested on both sides count, positive controls do not; of several peaks on a target the one "
        "with the smallest p-value."
    )


def _absent(run: Run) -> str:
    name = _links(run.options)
    if not name:
        return (
            "No links of a multiome experiment were named. `links:` in run.yaml names a table of them (links.parquet, "
            "or the text of SCENT), which is then shown beside the screen."
        )
    waiting = "screen_links.parquet is not in the folder, the run has not come to it yet"
    return f"The links of {name} are not shown: {run.not_followed('screen_links').get('all', waiting)}."


def _shown(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    both = (table["status_link"] == "ok") & (table["status_screen"] == "ok")
    return table.assign(
        beta=table["beta_screen"],
        p_value=table["p_screen"],
        fdr=table["fdr_screen"],
        status=both.map({True: "ok", False: "untested"}),
    )


def _methods(result: Result) -> list[Method]:
    return [Method("Links of peaks and genes beside the screen", ("scent",))]


def _pictures(result: Result) -> Iterator[Picture]:
    from scanlink import pl

    for number, group in enumerate(result.tested["group"].value_counts().index[:_PANELS], start=1):
        name = plain(group)
        yield Picture(
            f"links_{number}",
            f"Perturbations against links: {name}",
            f"Effect of perturbing a target against the effect of the link on it, for the links of {name}.",
            "Each point is a target-gene pair with a link on the target. Where both are right, signs are opposite (the "
            "shaded quarters): the gene is higher where the peak is open, and lower where it is perturbed. Bars are "
            "95 % intervals.",
            partial(pl.screen_links, result.rows, group=group, link_fdr=result.alpha, screen_fdr=result.alpha),
        )


def _facts(result: Result) -> dict[str, Any]:
    summary = screen_links_summary(result.rows, link_fdr=result.alpha, screen_fdr=result.alpha)
    return {"summary": summary.to_dict("records"), "groups": result.rows["group_screen"].nunique()}


SECTION = Section(
    title="Multiome links",
    blocks="the links beside the screen",
    needs={
        "screen_links": (
            *("group", "gene", "target", "peak", "kind", "beta_link", "fdr_link", "status_link", "group_screen"),
            *("gene_screen", "beta_screen", "p_screen", "fdr_screen", "status_screen"),
        )
    },
    columns=(
        *("group", "gene", "target", "peak", "beta_link", "se_link", "fdr_link"),
        *("beta_screen", "se_screen", "p_screen", "fdr_screen", "kind"),
    ),
    asked=_asked,
    lead=_lead,
    intro=_intro,
    absent=_absent,
    methods=_methods,
    kinds=ROW_KINDS,
    shown=_shown,
    pictures=_pictures,
    template=files(__package__) / "section.html.j2",
    facts=_facts,
)
