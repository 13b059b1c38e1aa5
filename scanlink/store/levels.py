"""How many non-zero cells a feature has on each level of a column of cells: made with the store, used for planning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["LevelColumn", "count_levels", "level_columns"]

_MOST_LEVELS = 256
# Numbers with more values than this count something; they are no clusters.
_MOST_NUMBERS = 64
_MOST_IN_ALL = 2_000
_SAMPLE = 10_000


@dataclass(frozen=True, eq=False)
class LevelColumn:
    """A column of the table of cells that has few levels."""

    name: str
    levels: tuple[str, ...]  # its values as text, sorted
    codes: NDArray[np.int16]  # (n_cells,) position of each value in levels; where there is none, len(levels)

    @property
    def n_cells(self) -> list[int]:
        """Cells on each level."""
        counted: list[int] = np.bincount(self.codes, minlength=len(self.levels) + 1)[:-1].tolist()
        return counted


def level_columns(cells: pd.DataFrame) -> tuple[LevelColumn, ...]:
    """Find the columns that cells may be grouped by: texts of at most 256 values, whole numbers of at most 64.

    They are in the order of the table, with not more than 2,000 levels in all.
    """
    columns: list[LevelColumn] = []
    room = _MOST_IN_ALL
    for name in cells.columns:
        column = cells[name]
        if column.iloc[:_SAMPLE].nunique() > _MOST_LEVELS:
            continue
        codes, values = pd.factorize(column)
        most = _MOST_NUMBERS if pd.api.types.is_numeric_dtype(column) else _MOST_LEVELS
        if len(values) > min(most, room) or not len(values):
            continue
        if pd.api.types.is_float_dtype(column):
            if not (np.asarray(values) % 1 == 0).all():
                continue
            values = pd.Index(values).astype(np.int64)
        texts = np.array([str(value) for value in values], dtype=object)
        order = np.argsort(texts)
        place = np.empty(len(texts) + 1, dtype=np.int16)
        place[order] = np.arange(len(texts))
        # Position -1, which stands for none, is the last.
        place[-1] = len(texts)
        columns.append(LevelColumn(str(name), tuple(texts[order]), place[codes]))
        room -= len(texts)
    return tuple(columns)


def count_levels(column: LevelColumn, starts: NDArray[np.int64], cells: NDArray[np.int32]) -> NDArray[np.int32]:
    """Count the entries of each feature by the level of their cells. Shape ``(n_features, n_levels)``.

    ``starts``, of shape ``(n_features + 1,)``, says where each feature begins in ``cells``, and the end.
    """
    n_features, width = starts.size - 1, len(column.levels) + 1
    key = np.repeat(np.arange(0, n_features * width, width), np.diff(starts))
    key += column.codes[cells]
    counted = np.bincount(key, minlength=n_features * width).reshape(n_features, width)
    return counted[:, :-1].astype(np.int32)
