"""Tables of parquet files in which the same few texts stand again and again."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["read_shared"]


def read_shared(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a table as pandas does, but so that equal texts are one object: a million take 8 MB, and not 70.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
    ...     pd.DataFrame({"type": ["B-cell", None, "B-cell"]}).to_parquet(file.name)
    ...     table = read_shared(Path(file.name))
    >>> table["type"].tolist(), table["type"][0] is table["type"][2]
    (['B-cell', None, 'B-cell'], True)
    """
    schema = pq.read_schema(path)
    texts = [
        field.name
        for field in schema
        if (pa.types.is_string(field.type) or pa.types.is_large_string(field.type))
        and (columns is None or field.name in columns)
    ]
    table: pd.DataFrame = pq.read_table(path, columns=columns, read_dictionary=texts).to_pandas()
    for name in texts:
        if name in table:
            column = table[name].astype(object)
            table[name] = column.where(column.notna(), None)
    return table
