"""Which peaks are linked to which genes: a regression for every gene-peak pair in every group of cells."""

from scanlink.tl.analysis import Analysis, Export
from scanlink.tl.scan.block import scan_block
from scanlink.tl.scan.options import ScanOptions
from scanlink.tl.scan.rows import scan_rows
from scanlink.tl.scan.section import SECTION
from scanlink.tl.scan.table import LINKS, finish_links

__all__ = ["SCAN"]

SCAN = Analysis(
    name="scan",
    table=LINKS,
    options=ScanOptions,
    rows=scan_rows,
    block=scan_block,
    finish=finish_links,
    section=SECTION,
    level="links",
    export=Export(
        ("bedpe", "interact", "biginteract", "scent", "h5mu"), lambda run: run.tables[LINKS.name], called_only=True
    ),
)
