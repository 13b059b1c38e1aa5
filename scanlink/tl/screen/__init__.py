"""Which genes a perturbed target changes in a CRISPR screen."""

from scanlink.tl.analysis import Analysis, Export
from scanlink.tl.screen.block import screen_block
from scanlink.tl.screen.options import ScreenOptions
from scanlink.tl.screen.rows import screen_rows
from scanlink.tl.screen.section import SECTION, rows_with_places
from scanlink.tl.screen.table import SCREEN_TABLE, finish_screen

__all__ = ["SCREEN"]

SCREEN = Analysis(
    name="screen",
    table=SCREEN_TABLE,
    options=ScreenOptions,
    rows=screen_rows,
    block=screen_block,
    finish=finish_screen,
    section=SECTION,
    level="screen",
    export=Export(("bedpe", "interact", "biginteract"), rows_with_places, called_only=True),
)
