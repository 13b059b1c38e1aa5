"""Options of the view of a screen beside multiome links."""

from __future__ import annotations

from pydantic import Field

from scanlink.options import Options

__all__ = ["ScreenLinksOptions"]


class ScreenLinksOptions(Options):
    """Which links are shown beside a screen."""

    path: str = Field(description="links.parquet of a multiome scan, or SCENT's text")
