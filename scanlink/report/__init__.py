"""The report of a run: one HTML file."""

from __future__ import annotations

from scanlink.report.write import write_report

__all__ = ["write_report"]
