"""The report of a run: one HTML file, made of what each analysis tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scanlink.report.write import write_report

__all__ = ["write_report"]


def __getattr__(name: str) -> Any:
    # Not earlier: a worker imports the section of what it computes, and of this folder no more than that needs.
    if name == "write_report":
        from scanlink.report.write import write_report

        return write_report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
