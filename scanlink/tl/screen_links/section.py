"""Temporary."""

from types import SimpleNamespace
from typing import Any

SECTION: Any = SimpleNamespace(blocks="the join", title="joint", summary=lambda table, alpha, reasons: [])
