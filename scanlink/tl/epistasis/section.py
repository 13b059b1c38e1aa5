"""Temporary."""

from types import SimpleNamespace
from typing import Any

SECTION: Any = SimpleNamespace(
    blocks="the enhancer pairs", title="enhancer pairs", summary=lambda table, alpha, reasons: []
)
