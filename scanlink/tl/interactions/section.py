"""Temporary."""

from types import SimpleNamespace
from typing import Any

SECTION: Any = SimpleNamespace(
    blocks="the interactions", title="interactions", summary=lambda table, alpha, reasons: []
)
