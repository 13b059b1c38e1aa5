"""The report of a run folder whose analyses nobody names.

Temporary: stands in for the declarations of analyses and experiments, until these exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scanlink.report.folder import read_options
from scanlink.report.page import write_page
from scanlink.report.section import Section
from scanlink.tables import Table

__all__ = ["analyses_of", "write_report"]


@dataclass(frozen=True)
class _Analysis:
    """What the report needs of an analysis."""

    name: str
    table: Table
    section: Section
    level: str
    beside: tuple[str, ...] = ()

    @property
    def tables(self) -> tuple[str, ...]:
        return (self.table.name, *self.beside)


def write_report(folder: Path, *, rows: int = 5_000) -> Path:
    """Write report.html of a run; see :func:`scanlink.report.page.write_page`."""
    return write_page(folder, analyses_of(folder), rows=rows)


def analyses_of(folder: Path) -> Sequence[_Analysis]:
    """List the analyses of the experiment that a run folder is of.

    Parameters
    ----------
    folder
        Run folder. Tables of another run may stand in it still: the options decide, if they are there.
    """
    from scanlink.tl.epistasis import section as epistasis
    from scanlink.tl.epistasis.statuses import STATUSES as PAIRS
    from scanlink.tl.interactions import section as interactions
    from scanlink.tl.interactions.statuses import STATUSES as INTERACTIONS
    from scanlink.tl.scan import section as scan
    from scanlink.tl.scan.statuses import STATUSES as LINKS
    from scanlink.tl.screen import section as screen
    from scanlink.tl.screen.statuses import STATUSES as EFFECTS
    from scanlink.tl.screen_links import section as screen_links

    options = read_options(Path(folder) / "config.yaml")
    if "screen" in options if options else (Path(folder) / "screen.parquet").is_file():
        both = Table("screen_links", lambda options: (), {}, "pairs on both sides", "links")
        return [
            _Analysis(
                "screen", Table("screen", lambda options: (), EFFECTS, "pairs", "effects"), screen.SECTION, "screen"
            ),
            _Analysis(
                "interactions",
                Table("interactions", lambda options: (), INTERACTIONS, "pairs of targets", "interactions"),
                interactions.SECTION,
                "interactions",
                ("target_pairs",),
            ),
            _Analysis("screen_links", both, screen_links.SECTION, "screen"),
        ]
    return [
        _Analysis("scan", Table("links", lambda options: (), LINKS, "pairs", "links"), scan.SECTION, "links"),
        _Analysis(
            "epistasis",
            Table("epistasis", lambda options: (), PAIRS, "enhancer pairs", "interactions"),
            epistasis.SECTION,
            "epistasis",
            ("enhancer_pairs", "heterogeneity"),
        ),
    ]
