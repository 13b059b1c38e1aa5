"""The report of a run: one HTML file, made of what each analysis tells."""

from __future__ import annotations

from typing import Any

__all__ = ["write_report"]


def __getattr__(name: str) -> Any:
    # The page of a run folder is written from the declarations of its analyses, which stand above this room.
    if name == "write_report":
        from scanlink.pipeline.finished import write_report

        return write_report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
