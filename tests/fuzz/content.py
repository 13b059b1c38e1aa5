"""What a file holds, by readers that share nothing with scanlink: strict, slow, and in doubt an error.

A mutated file of which scanlink makes another table has to hold other data by these readers, too.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import rdata
import yaml


class NotValid(Exception):
    """The file is not what it has to be."""


def need(holds: Any, why: str) -> None:
    if not holds:
        raise NotValid(why)


def content(path: Path) -> Any:
    """Give what a file holds, in a form that can be compared; NotValid where it is none of its kind."""
    try:
        with np.errstate(all="ignore"):
            return READERS[path.name.removesuffix(".gz").rpartition(".")[2]](path)
    except NotValid:
        raise
    except Exception as error:
        raise NotValid(f"{type(error).__name__}: {error}") from error


def _text(path: Path) -> str:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.name.endswith(".gz") else raw).decode("utf-8-sig")


def _yaml(path: Path) -> Any:
    return yaml.safe_load(_text(path))


def _mtx(path: Path) -> Any:
    lines = _text(path).splitlines()
    banner = lines[0].split()
    need(banner[:3] == ["%%MatrixMarket", "matrix", "coordinate"] and banner[4:] == ["general"], "banner")
    need(banner[3] in ("integer", "real"), "field")
    rest = [line for line in lines[1:] if line.strip() and not line.startswith("%")]
    shape = [int(n) for n in rest[0].split()]
    entries = {}
    for line in rest[1:]:
        row, column, value = line.split()
        place = (int(row), int(column))
        need(1 <= place[0] <= shape[0] and 1 <= place[1] <= shape[1] and place not in entries, "place")
        entries[place] = _count(float(value))
    need(len(entries) == shape[2], "number of entries")
    return shape[:2], {place: value for place, value in entries.items() if value}


def _count(value: float) -> int:
    need(math.isfinite(value) and value == int(value) and 0 <= value < 2**31, "count")
    return int(value)


def _rows(path: Path) -> Any:
    need("\0" not in (text := _text(path)), "NUL")
    separator = "," if path.name.endswith(".csv") else "\t"
    rows = list(csv.reader(io.StringIO(text), delimiter=separator, strict=True))
    need(rows and all(len(row) == len(rows[0]) for row in rows), "fields")
    return rows


def _names(path: Path) -> Any:
    """Read names, a line each, as many as a matrix beside them has rows or columns."""
    names = _text(path).splitlines()
    header = next(line for line in (path.parent / "rna.mtx").read_text().splitlines() if not line.startswith("%"))
    need(str(len(names)) in header.split()[:2], "number of names")
    need(len(set(names)) == len(names) and all(names), "names")
    return names


def _gtf(path: Path) -> Any:
    genes = []
    for line in _text(path).splitlines():
        if line.startswith("#") or not line.strip():
            continue
        chrom, _, feature, start, end, _, strand, _, notes = line.split("\t")
        if feature == "gene":
            found = dict(re.findall(r'(\w+) "([^"]*)"', notes))
            need(1 <= int(start) <= int(end) and strand in "+-" and chrom, "place")
            genes.append((chrom, int(start), int(end), strand, found["gene_id"], found["gene_name"]))
    return sorted(genes)


def _bed(path: Path) -> Any:
    genes = []
    for line in _text(path).splitlines():
        if line.startswith(("#", "track", "browser")) or not line.strip():
            continue
        chrom, start, end, name, _, strand = line.split("\t")
        need(0 <= int(start) < int(end) and strand in "+-" and chrom and name, "place")
        genes.append((chrom, int(start), int(end), name, strand))
    return sorted(genes)


def _dense(group: Any, n_lines: int, n_places: int) -> np.ndarray:
    """Count by a loop over the entries; each place once."""
    data, indices, indptr = (group[name][:] for name in ("data", "indices", "indptr"))
    need(len(indptr) == n_lines + 1 and indptr[0] == 0 and indptr[-1] == len(data) == len(indices), "pointers")
    counts = np.zeros((n_lines, n_places))
    for line in range(n_lines):
        begin, end = int(indptr[line]), int(indptr[line + 1])
        need(0 <= begin <= end, "pointers")
        places = [int(place) for place in indices[begin:end]]
        need(places == sorted(set(places)) and all(0 <= place < n_places for place in places), "indices")
        counts[line, places] = [_count(float(value)) for value in data[begin:end]]
    return counts


def _table(group: Any) -> Any:
    """Give columns of a table by name, with its index."""
    columns = {}
    for name in sorted(group):
        column = group[name]
        if hasattr(column, "keys"):
            levels = [_word(value) for value in column["categories"][:]]
            codes = [int(code) for code in column["codes"][:]]
            need(all(-1 <= code < len(levels) for code in codes) and len(set(levels)) == len(levels), "codes")
            columns[name] = [levels[code] if code >= 0 else None for code in codes]
        else:
            columns[name] = [_word(value) for value in column[:]]
    need(len({len(values) for values in columns.values()}) == 1, "lengths")
    index = columns[_word(group.attrs["_index"])]
    need(len(set(index)) == len(index), "names")
    return columns


def _word(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return value if isinstance(value, str) else float(value)


def _adata(group: Any) -> Any:
    obs, var = _table(group["obs"]), _table(group["var"])
    n_cells, n_features = (len(next(iter(table.values()))) for table in (obs, var))
    need(group["X"].attrs["encoding-type"] == "csr_matrix", "encoding")
    need(list(group["X"].attrs["shape"]) == [n_cells, n_features], "shape")
    return obs, var, _dense(group["X"], n_cells, n_features).tolist()


def _h5mu(path: Path) -> Any:
    with h5py.File(path) as file:
        return _table(file["obs"]), [(name, _adata(file["mod"][name])) for name in ("rna", "atac")]


def _h5ad(path: Path) -> Any:
    with h5py.File(path) as file:
        return _adata(file)


def _zarr(path: Path) -> Any:
    import zarr

    store = zarr.open_group(str(path), mode="r", use_consolidated=False)
    need(all(store[f"mod/{name}/X/data"][:].all() for name in ("rna", "atac")), "a piece is lost")
    return _table(store["obs"]), [(name, _adata(store["mod"][name])) for name in ("rna", "atac")]


def _rds(path: Path) -> Any:
    tree = rdata.parser.parse_data(path.read_bytes(), extension=".rds")
    found = rdata.conversion.convert(tree, constructor_dict={"dgCMatrix": lambda _, attributes: attributes})
    n_rows, n_columns = (int(n) for n in found["Dim"])
    names = [list(map(str, side)) for side in found["Dimnames"]]
    need([len(side) for side in names] == [n_rows, n_columns] == [len(set(side)) for side in names], "names")
    matrix = {"data": found["x"], "indices": found["i"], "indptr": found["p"]}
    return names, _dense(matrix, n_columns, n_rows).tolist()


def _h5(path: Path) -> Any:
    with h5py.File(path) as file:
        matrix = file["matrix"]
        n_features, n_cells = (int(n) for n in matrix["shape"][:])
        names = {key: [_word(value) for value in matrix["features"][key][:]] for key in ("id", "name", "feature_type")}
        barcodes = [_word(value) for value in matrix["barcodes"][:]]
        need(len(barcodes) == n_cells == len(set(barcodes)), "barcodes")
        need({len(values) for values in names.values()} == {n_features}, "features")
        return names, barcodes, _dense(matrix, n_cells, n_features).tolist()


READERS = {
    "yaml": _yaml,
    "mtx": _mtx,
    "csv": _rows,
    "tsv": _names,
    "gtf": _gtf,
    "bed": _bed,
    "h5mu": _h5mu,
    "h5ad": _h5ad,
    "h5": _h5,
    "zarr": _zarr,
    "rds": _rds,
}
