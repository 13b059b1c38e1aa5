"""Temporary."""

from types import SimpleNamespace
from typing import Any

SECTION: Any = SimpleNamespace(blocks="the scan", title="table", summary=lambda table, alpha, reasons: [])
