"""Which pairs of perturbed targets act together on a gene."""

from scanlink.tl.analysis import Analysis
from scanlink.tl.interactions.block import interaction_block
from scanlink.tl.interactions.options import InteractionOptions
from scanlink.tl.interactions.rows import interaction_rows, target_pairs_table
from scanlink.tl.interactions.section import SECTION
from scanlink.tl.interactions.table import INTERACTIONS_TABLE, finish_interactions

__all__ = ["INTERACTIONS"]

INTERACTIONS = Analysis(
    name="interactions",
    table=INTERACTIONS_TABLE,
    options=InteractionOptions,
    rows=interaction_rows,
    block=interaction_block,
    finish=finish_interactions,
    section=SECTION,
    level="interactions",
    beside={"target_pairs": target_pairs_table},
)
