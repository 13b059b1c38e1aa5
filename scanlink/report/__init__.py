"""The report of a run: one HTML file, and the tables of a run folder for other programs."""

from __future__ import annotations

from scanlink.report.exports import export_run
from scanlink.report.write import write_report

__all__ = ["export_run", "write_report"]
