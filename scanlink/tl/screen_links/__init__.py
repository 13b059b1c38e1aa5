"""What a screen says of the links of a multiome experiment."""

from scanlink.tl.analysis import Analysis, Follows
from scanlink.tl.screen_links.options import ScreenLinksOptions
from scanlink.tl.screen_links.section import SECTION
from scanlink.tl.screen_links.table import SCREEN_LINKS_TABLE, finish_screen_links

__all__ = ["SCREEN_LINKS"]

SCREEN_LINKS = Analysis(
    name="screen_links",
    table=SCREEN_LINKS_TABLE,
    options=ScreenLinksOptions,
    rows=lambda given, options: None,
    block=None,
    finish=finish_screen_links,
    section=SECTION,
    level="screen",
    follows=Follows(lambda options: ("screen",), by_group=False),
)
