"""Tables compared by what they hold: text is ``object`` in pandas 2, and a dtype of its own in pandas 3."""

from __future__ import annotations

import pandas as pd

from scanlink.io.releases import is_text


def assert_same_table(found: pd.DataFrame, expected: pd.DataFrame, **options: object) -> None:
    """Check that two tables are the same, but for the dtype that text has; numbers keep theirs."""
    pd.testing.assert_frame_equal(_plain(found), _plain(expected), **options)  # type: ignore[arg-type]


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    texts = {
        name: table[name].astype(object).where(table[name].notna(), None) for name in table if is_text(table[name])
    }
    return table.assign(**texts)
