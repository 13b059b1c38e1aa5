"""Pictures of millions: seconds and bytes of every picture of a table.

    python benchmarks/many_points.py [--rows 3000000]

A table of 30,000 rows, with the errors and effects of the tests' tables, is repeated until it has as many rows. Prints
a Markdown table of each picture in `scanlink.pl` that is drawn from a table: seconds to draw it and to write it as PNG
(100 dpi) and as SVG, and the size of both files. Three million rows take some 3 GB of memory, for all tables together.
"""

from __future__ import annotations

import argparse
import inspect
import platform
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

import scanlink as sl

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from pl.tables import draw_example, examples, needed, sizes

__all__ = ["main"]

# Arguments of pictures that are tables.
_TABLES = ("links", "epi", "table")
_ONCE = 30_000


def repeated(table: pd.DataFrame, n_rows: int) -> pd.DataFrame:
    """Repeat a table until it has as many rows; a target of a screen stays a target of its own."""
    table = pd.concat([table] * max(1, -(-n_rows // len(table))), ignore_index=True).iloc[:n_rows]
    return table.assign(target=np.arange(n_rows).astype(str)) if "target" in table.columns else table


def main(options: list[str] | None = None) -> None:
    """Draw all of them and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_000_000)
    n_rows = parser.parse_args(options).rows
    arguments = examples(min(n_rows, _ONCE))
    tables = {make: repeated(make(), n_rows) for first in _TABLES for make in arguments[first]}
    for first in _TABLES:
        arguments[first] = [partial(pd.DataFrame, tables[make]) for make in arguments[first]]
    print(f"{n_rows:,} rows, {platform.machine()}, Python {platform.python_version()}\n")
    print("| picture | seconds | PNG, kB | SVG, kB |")
    print("| --- | ---: | ---: | ---: |")
    for name in sl.pl.__all__:
        # Without `ax` it is a picture of simulated data, which are few.
        if needed(name)[0] not in _TABLES or "ax" not in inspect.signature(getattr(sl.pl, name)).parameters:
            continue
        begin = time.perf_counter()
        n_bytes = sizes(draw_example(name, arguments)[0])
        seconds = time.perf_counter() - begin
        print(f"| {name} | {seconds:.1f} | {n_bytes['png'] / 1e3:.0f} | {n_bytes['svg'] / 1e3:.0f} |")


if __name__ == "__main__":
    main()
