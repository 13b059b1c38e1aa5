"""How the expression of genes goes with open peaks: Kendall's rank correlation of every gene-peak pair."""

from scanlink.tl.analysis import Analysis
from scanlink.tl.kendall.block import kendall_block
from scanlink.tl.kendall.options import KendallOptions
from scanlink.tl.kendall.rows import kendall_rows
from scanlink.tl.kendall.section import SECTION
from scanlink.tl.kendall.table import KENDALL_TABLE, finish_kendall

__all__ = ["KENDALL"]

KENDALL = Analysis(
    name="kendall",
    table=KENDALL_TABLE,
    options=KendallOptions,
    rows=kendall_rows,
    block=kendall_block,
    finish=finish_kendall,
    section=SECTION,
)
