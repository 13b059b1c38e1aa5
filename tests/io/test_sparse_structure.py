"""Damaged sparse matrices are refused at every door, by name; the same without the damage gives the right counts."""

from __future__ import annotations

import gzip
import json
import re
from itertools import pairwise
from types import SimpleNamespace

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp
from anndata import AnnData
from anndata.io import write_elem
from hypothesis import given
from hypothesis import strategies as st

import scanlink as sl
from scanlink.errors import InputError
from scanlink.io import hdf5_content, sparse_structure
from scanlink.io.mtx import read_mtx, read_names
from scanlink.io.opening import quiet
from scanlink.io.rds import _sparse
from scanlink.io.sparse_structure import check_structure

# What is newer says so of the layout that mudata writes.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning"),
    pytest.mark.filterwarnings("ignore:This setting will be removed:DeprecationWarning"),
]


def pointer(place, change):
    def spoil(data, indices, indptr):
        indptr[place] += change
        return data, indices, indptr

    return spoil


def index(change):
    def spoil(data, indices, indptr):
        change(indices, indptr)
        return data, indices, indptr

    return spoil


def swap(indices, indptr):
    line = int(np.flatnonzero(np.diff(indptr) > 1)[3])
    begin = indptr[line]
    indices[[begin, begin + 1]] = indices[[begin + 1, begin]]


def repeat(indices, indptr):
    line = int(np.flatnonzero(np.diff(indptr) > 1)[3])
    indices[indptr[line] + 1] = indices[indptr[line]]


# Faults of the arrays, and what is said.
FAULTS = {
    "first pointer 3": (pointer(0, 3), "pointer of its first (row|cell|column) is 3; 0 was expected"),
    "a pointer below 0": (pointer(0, -1), "pointer of its first (row|cell|column) is -1"),
    "a pointer that goes back": (pointer(20, -1_000_000), "go back 1 times, first at (row|cell|column) 19 "),
    "a pointer off by one": (pointer(7, 1), "out of order, first in line|of its entries repeat"),
    "a last pointer too low": (pointer(-1, -1), "end at entry|go back 1 times"),
    "a last pointer too high": (pointer(-1, 1), "end at entry"),
    "a pointer missing": (lambda d, i, p: (d, i, p[:-1]), "pointers for .*s; .* were expected"),
    "an index missing": (lambda d, i, p: (d, i[:-1], p), "values and .* indices; as many were expected"),
    "a value missing": (lambda d, i, p: (d[:-1], i, p), "values and .* indices; as many were expected"),
    "an index too high": (index(lambda i, p: i.__setitem__(5, 30_000)), "1 of its .* entries name .* beyond"),
    "an index below 0": (index(lambda i, p: i.__setitem__(5, -1)), "1 of its .* entries name .* beyond"),
    "an index twice": (index(repeat), "1 of its entries repeat one of the same place, the first"),
    "two indices swapped": (index(swap), "indices of 1 of its lines are out of order, first in line"),
    "indices that are fractions": (lambda d, i, p: (d, i + 0.5, p), "float64|whole numbers were expected"),
    "values that are texts": (lambda d, i, p: (np.array([b"x"] * len(d)), i, p), r"\|S1|texts"),
}


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(3)
    cells = [f"{''.join(rng.choice(list('ACGT'), 16))}-1" for _ in range(60)]
    genes, peaks = [f"GENE{i}" for i in range(12)], [f"chr1:{i}00-{i}50" for i in range(1, 21)]
    rna, atac = rng.poisson(1.2, (60, 12)), rng.poisson(0.6, (60, 20))
    return cells, genes, peaks, rna, atac


def parts(counts, kind=sp.csr_matrix):
    cells, genes, peaks, rna, atac = counts
    with quiet():
        return {
            name: AnnData(kind(x.astype(np.float32)), obs=pd.DataFrame(index=cells), var=pd.DataFrame(index=names))
            for name, x, names in (("rna", rna, genes), ("atac", atac, peaks))
        }


def write_h5(path, counts, kind):
    """Write a file of a kind; give the group of the matrix that is to be spoilt."""
    made = parts(counts, sp.csc_matrix if kind.endswith("csc") else sp.csr_matrix)
    if kind.startswith("h5mu"):
        with quiet():
            mudata.MuData(made).write(path)
        return "mod/atac/X"
    if kind.startswith("h5ad"):
        both = sp.hstack([made["rna"].X, made["atac"].X], format=kind.split()[1])
        var = pd.DataFrame({"feature_types": ["Gene Expression"] * 12 + ["Peaks"] * 20}, index=[*counts[1], *counts[2]])
        with quiet():
            AnnData(both, obs=made["rna"].obs, var=var).write_h5ad(path)
        return "X"
    both = sp.csr_matrix(np.hstack([counts[3], counts[4]]).astype(np.int32))
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(both, name).astype(np.int64)
        group["shape"], group["barcodes"] = np.array([32, 60]), np.array(counts[0], dtype="S")
        group["features/id"] = group["features/name"] = np.array([*counts[1], *counts[2]], dtype="S")
        group["features/feature_type"] = np.array(["Gene Expression"] * 12 + ["Peaks"] * 20, dtype="S")
    return "matrix"


def replace(file, key, arrays):
    for name, values in zip(("data", "indices", "indptr"), arrays, strict=True):
        del file[key][name]
        file[key][name] = values


def use(path, backed):
    """Read a file, and look at all of its counts."""
    data = sl.io.read(path, backed=backed)
    sl.pp.qc(data)
    return data


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("backed", [False, True], ids=["in memory", "on disk"])
@pytest.mark.parametrize("kind", ["h5mu csr", "h5mu csc", "h5ad csr", "h5ad csc", "h5"])
def test_files__of_a_damaged_matrix_are_refused_by_name(kind, backed, fault, counts, tmp_path):
    spoil, message = FAULTS[fault]
    path = tmp_path / f"x.{kind.split()[0]}"
    key = write_h5(path, counts, kind)
    with h5py.File(path, "a") as file:
        whole = [file[key][name][:] for name in ("data", "indices", "indptr")]
        replace(file, key, spoil(*(values.copy() for values in whole)))
    with pytest.raises(InputError, match=rf"x\.{path.suffix[1:]}: .*{key if backed else ''}.*({message})"):
        use(path, backed)
    with h5py.File(path, "a") as file:
        replace(file, key, whole)
    data = use(path, backed)
    np.testing.assert_array_equal(data["atac"].X[:].toarray(), counts[4])
    np.testing.assert_array_equal(data["rna"].X[:].toarray(), counts[3])


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ["csr", "csc"])
def test_zarr__of_a_damaged_matrix_is_refused(kind, fault, counts, tmp_path):
    zarr = pytest.importorskip("zarr")
    spoil, message = FAULTS[fault]
    path = tmp_path / "x.zarr"
    with quiet():
        mudata.MuData(parts(counts, sp.csr_matrix if kind == "csr" else sp.csc_matrix)).write_zarr(path)
    store = zarr.open_group(str(path), mode="r+")
    group = store["mod/atac/X"]
    arrays = spoil(*(group[name][:] for name in ("data", "indices", "indptr")))
    if arrays[0].dtype.kind == "S":
        pytest.skip("zarr has no such values")
    for name, values in zip(("data", "indices", "indptr"), arrays, strict=True):
        del group[name]
        group.create_array(name, data=values)
    with pytest.raises(InputError, match=rf"x\.zarr: .*({message}|cannot be read as a Zarr store)"):
        sl.io.read(path)


def test_zarr__beyond_memory_is_refused_before_it_is_read(counts, tmp_path):
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "x.zarr"
    with quiet():
        mudata.MuData(parts(counts)).write_zarr(path)
    np.testing.assert_array_equal(sl.io.read(path)["atac"].X.toarray(), counts[4])
    group = zarr.open_group(str(path), mode="r+")["mod/atac/obsm"]
    group.create_array("X_large", shape=(60, 10**13), chunks=(1, 1000), dtype="f8")
    with pytest.raises(InputError, match=r"x\.zarr would take .* GiB, and this computer has"):
        sl.io.read(path)


def zarr_links_out(store, folder):
    (store / "mod/rna/X/data").rename(folder / "elsewhere")
    (store / "mod/rna/X/data").symlink_to(folder / "elsewhere")


def zarr_circle(store, folder):
    for name in ("one", "two"):
        (store / "mod/rna/obsm" / name).symlink_to(store / "mod/rna")


def zarr_pickled(store, folder):
    """What a reader of pickles runs makes a folder."""
    import zarr

    path = store / "mod/rna/obs/flag"
    zarr.open_array(str(path), mode="w", zarr_format=2, shape=(60,), chunks=(60,), dtype="f8")
    says = json.loads((path / ".zarray").read_text())
    says |= {"dtype": "|O", "filters": [{"id": "vlen-utf8"}, {"id": "pickle", "protocol": 2}], "fill_value": None}
    (path / ".zarray").write_text(json.dumps(says))
    (path / "0").write_bytes(b"cos\nmkdir\n(V" + str(folder / "ran").encode() + b"\ntR.")


def zarr_large_piece(store, folder):
    path = store / "mod/rna/X/data/.zarray"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chunks": [10**13]}))


def zarr_lost_piece(store, folder):
    (store / "mod/rna/X/data/0").unlink()


ZARR_WAYS = {
    zarr_lost_piece: "of 1 pieces of mod/rna/X/data, 0 are there; was it copied incompletely",
    zarr_links_out: "mod/rna/X/data is a link to '.*elsewhere'",
    zarr_circle: r"mod/rna/obsm/(one|two) is a link to",
    zarr_pickled: "mod/rna/obs/flag/.zarray says that its values are pickled",
    zarr_large_piece: "x.zarr would take .* GiB, and this computer has",
}


@pytest.mark.parametrize("way", ZARR_WAYS, ids=lambda way: way.__name__)
def test_zarr__that_leads_elsewhere_or_is_a_program_is_refused(way, counts, tmp_path, monkeypatch):
    pytest.importorskip("zarr", "3")
    monkeypatch.setattr("numcodecs.pickles.ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)  # as before numcodecs 0.16
    path = tmp_path / "x.zarr"
    with quiet(), anndata.settings.override(zarr_write_format=2):
        mudata.MuData(parts(counts)).write_zarr(path)
    (tmp_path / "x2.zarr").symlink_to(path)
    np.testing.assert_array_equal(sl.io.read(tmp_path / "x2.zarr")["atac"].X.toarray(), counts[4])
    (path / ".zmetadata").unlink(missing_ok=True)
    way(path, tmp_path)
    with pytest.raises(InputError, match=rf"x\.zarr.* {ZARR_WAYS[way]}|{ZARR_WAYS[way]}"):
        sl.io.read(path)
    assert not (tmp_path / "ran").exists()


# In memory rows may be out of order, as scipy makes them.
IN_MEMORY = [
    "first pointer 3",
    "a pointer that goes back",
    "a last pointer too high",
    "an index missing",
    "an index too high",
]


@pytest.mark.parametrize("fault", [*IN_MEMORY, "an index below 0", "an index twice"])
@pytest.mark.parametrize("kind", ["csr", "csc"])
@pytest.mark.parametrize("door", ["check", "qc", "filter_features", "filter_cells", "components", "scan", "assemble"])
def test_memory__of_a_damaged_matrix_is_refused(door, kind, fault, counts):
    spoil, message = FAULTS[fault]
    made = parts(counts, sp.csr_matrix if kind == "csr" else sp.csc_matrix)
    mdata = sl.io.assemble(*made.values())
    mdata["atac"].X = made["atac"].X.copy()
    matrix = mdata["atac"].X
    matrix.data, matrix.indices, matrix.indptr = spoil(matrix.data, matrix.indices, matrix.indptr)
    pairs = pd.DataFrame({"gene": ["GENE1"], "peak": ["chr1:100-150"], "distance": [0]})
    doors = {
        "check": lambda: sl.io.check(mdata),
        "qc": lambda: sl.pp.qc(mdata),
        "filter_features": lambda: sl.pp.filter_features(mdata),
        "filter_cells": lambda: sl.pp.filter_cells(mdata, "nUMI > 3"),
        "components": lambda: sl.pp.components(mdata, n=1, modalities=("rna", "atac")),
        "scan": lambda: sl.tl.scan(mdata, pairs, formula="1"),
        "assemble": lambda: sl.io.assemble(mdata["rna"], mdata["atac"]),
    }
    mdata.obs["nUMI"] = 5.0
    if door == "check" and kind == "csc":
        message = "CSR was expected|.*"
    with pytest.raises(InputError, match=rf"atac.*({message})"):
        doors[door]()


@pytest.mark.parametrize("fault", ["a pointer that goes back", "an index too high"])
@pytest.mark.parametrize("kind", ["view", "views", "one AnnData"])
def test_memory__of_views_and_of_what_is_split_is_looked_at_before_it_is_cut(kind, fault, counts):
    made = parts(counts)
    if kind == "one AnnData":
        var = pd.DataFrame({"feature_types": ["Gene Expression"] * 12 + ["Peaks"] * 20}, index=[*counts[1], *counts[2]])
        with quiet():
            both = sp.hstack([made["rna"].X, made["atac"].X], format="csr")
            data = AnnData(both, obs=made["rna"].obs, var=var)
        matrix = data.X
    else:
        matrix = made["atac"].X
        data = sl.io.assemble(*made.values())
        data["atac"].X = matrix
        matrix = data["atac"].X
    spoil, message = FAULTS[fault]
    matrix.data, matrix.indices, matrix.indptr = spoil(matrix.data, matrix.indices, matrix.indptr)
    doors = {
        "view": lambda: sl.pp.qc(data[data.obs_names[5:40]]),
        "views": lambda: sl.io.assemble(data["rna"][3:50], data["atac"][5:40]),
        "one AnnData": lambda: sl.pp.qc(data),
    }
    with pytest.raises(InputError, match=message):
        doors[kind]()


@pytest.mark.parametrize("fault", FAULTS)
def test_rds__of_a_damaged_matrix_is_refused(fault, counts):
    spoil, message = FAULTS[fault]
    matrix = sp.csc_matrix(counts[4].T.astype(float))
    data, indices, indptr = spoil(matrix.data, matrix.indices, matrix.indptr)
    if data.dtype.kind == "S":
        pytest.skip("R has no such values")
    slots = {"x": data, "i": indices, "p": indptr, "Dim": np.array(matrix.shape), "Dimnames": [counts[2], counts[0]]}
    with pytest.raises(InputError, match=rf"dgCMatrix: the matrix is damaged: .*({message})"):
        _sparse(SimpleNamespace(**slots), {"class": ["dgCMatrix"]})


def test_mtx__of_an_entry_twice_or_a_header_that_lies_is_refused(counts, tmp_path):
    cells, genes, peaks, rna, atac = counts
    for name, x, names in (("rna", rna, genes), ("atac", atac, peaks)):
        scipy.io.mmwrite(tmp_path / f"{name}.mtx", sp.coo_matrix(x.T))
        (tmp_path / f"{name}_features.tsv").write_text("\n".join(names) + "\n")
    (tmp_path / "barcodes.tsv").write_text("\n".join(cells) + "\n")
    paths = {"rna": tmp_path / "rna.mtx", "atac": tmp_path / "atac.mtx"}
    good = paths["atac"].read_text().splitlines()
    at = next(k for k, line in enumerate(good) if not line.startswith("%"))
    size = [int(n) for n in good[at].split()]
    changes = {
        "entries repeat one of the same row and column": [*good[: at + 2], good[at + 1], *good[at + 3 :]],
        "cannot hold them": [*good[:at], f"{size[0]} {size[1]} 99999999999999", *good[at + 1 :]],
        "GiB": [*good[:at], f"{10**14} {size[1]} {size[2]}", *good[at + 1 :]],
        "symmetric; integer general": [good[0].replace("general", "symmetric"), *good[1:]],
    }
    for message, lines in changes.items():
        paths["atac"].write_text("\n".join(lines) + "\n")
        with pytest.raises(InputError, match=rf"atac\.mtx: .*{message}"):
            sl.io.read_matrices(**paths)
    (tmp_path / "atac.mtx.gz").write_bytes(gzip.compress("\n".join(good).encode() + b"\n"))
    data = sl.io.read_matrices(rna=paths["rna"], atac=tmp_path / "atac.mtx.gz")
    np.testing.assert_array_equal(data["atac"].X.toarray(), atac)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("1 1 0x10", "found the sign 'x' among the entries, which the header says are integer"),
        ("1 1 5.7", r"found the sign '\.' among the entries"),
        ("1 1 1e3", "found the sign 'e' among the entries"),
        ("1 1 5 7", "numbers were found after the header, 3 for each of"),
        ("1 1 5", None),
        ("1\t1   5\r", None),
    ],
)
def test_mtx__entries_that_are_no_numbers_are_refused_and_not_cut_short(entry, message, packed, counts, tmp_path):
    cells, genes, _, rna, _ = counts
    path = tmp_path / ("rna.mtx.gz" if packed else "rna.mtx")
    dense = rna.T.copy()
    dense[0, 0] = 0
    lines = [f"{row + 1} {column + 1} {dense[row, column]}" for row, column in np.argwhere(dense)]
    head = f"%%MatrixMarket matrix coordinate integer general\n% made\n12 60 {len(lines) + 1}\n"
    text = head + "\n".join([*lines[:40], entry, *lines[40:]]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    (tmp_path / "rna_features.tsv").write_text("\n".join(genes) + "\n")
    (tmp_path / "barcodes.tsv").write_text("\n".join(cells) + "\n")
    if message:
        with pytest.raises(InputError, match=message):
            read_mtx(path)
        return
    dense[0, 0] = 5
    np.testing.assert_array_equal(read_mtx(path).matrix.toarray(), dense)


def test_mtx__without_values_are_open_peaks_and_no_genes(counts, tmp_path):
    cells, genes, peaks, rna, atac = counts
    for name, x, names in (("rna", rna, genes), ("atac", atac, peaks)):
        scipy.io.mmwrite(tmp_path / f"{name}.mtx", sp.coo_matrix(x.T), field="pattern" if name == "atac" else None)
        (tmp_path / f"{name}_features.tsv").write_text("\n".join(names) + "\n")
    (tmp_path / "barcodes.tsv").write_text("\n".join(cells) + "\n")
    data = sl.io.read_matrices(rna=tmp_path / "rna.mtx", atac=tmp_path / "atac.mtx")
    np.testing.assert_array_equal(data["atac"].X.toarray(), atac > 0)
    scipy.io.mmwrite(tmp_path / "rna.mtx", sp.coo_matrix(rna.T), field="pattern")
    with pytest.raises(InputError, match="rna: expected raw integer counts, found only true and false"):
        sl.io.read_matrices(rna=tmp_path / "rna.mtx", atac=tmp_path / "atac.mtx")


def outside(file, key, folder):
    """Have values lie in another file, in the ways that HDF5 has."""
    values = file[key][:]
    with h5py.File(folder / "other.h5", "w") as other:
        other["values"] = values
    del file[key]
    return values


def by_link(file, folder):
    outside(file, "mod/atac/X/data", folder)
    file["mod/atac/X/data"] = h5py.ExternalLink("other.h5", "/values")


def by_two_links(file, folder):
    outside(file, "mod/atac/X/data", folder)
    file["aside"] = h5py.ExternalLink("other.h5", "/")
    file["mod/atac/X/data"] = h5py.SoftLink("/aside/values")


def by_storage(file, folder):
    values = outside(file, "mod/atac/X/data", folder)
    (folder / "raw").write_bytes(values.tobytes())
    raw = [(str(folder / "raw"), 0, values.nbytes)]
    file.create_dataset("mod/atac/X/data", shape=values.shape, dtype=values.dtype, external=raw)


def by_layout(file, folder):
    values = outside(file, "mod/atac/X/data", folder)
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[:] = h5py.VirtualSource(folder / "other.h5", "values", values.shape)
    file.create_virtual_dataset("mod/atac/X/data", layout)


def dangling(file, folder):
    del file["mod/atac/X/data"]
    file["mod/atac/X/data"] = h5py.SoftLink("/nowhere")


def circle(file, folder):
    file["mod/atac/obsm/again"] = file["mod/atac"]


def doubling(file, folder):
    """Thirty groups, each twice in the next: a billion names."""
    inner = file.create_group("mod/atac/uns/0")
    for number in range(1, 30):
        outer = file.create_group(f"mod/atac/uns/{number}")
        outer["a"] = outer["b"] = inner
        inner = outer


def by_nothing(file, folder):
    """A part of the values is a dataset that is not there."""
    values = outside(file, "mod/atac/X/data", folder)
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[:] = h5py.VirtualSource(".", "nowhere", values.shape)
    file.create_virtual_dataset("mod/atac/X/data", layout)


def by_itself(file, folder):
    values = outside(file, "mod/atac/X/data", folder)
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[:] = h5py.VirtualSource(".", "mod/atac/X/data", values.shape)
    file.create_virtual_dataset("mod/atac/X/data", layout)


def records(file, folder):
    values = np.zeros(60, dtype=[("a", "i4"), ("b", "f8")])
    file["mod/atac/obs"].create_dataset("odd", data=values)
    file["mod/atac/obs"].attrs["column-order"] = np.array(["odd"], dtype=object)


def endless(file, folder):
    file["mod/atac/obsm"].create_dataset("X_large", shape=(60, 10**13), dtype="f8", chunks=(1, 1000))


def texts(file, folder):
    del file["mod/atac/X/data"]
    file["mod/atac/X"].create_dataset("data", shape=(5,), dtype=h5py.string_dtype())


def negative(file, folder):
    file["mod/atac/X"].attrs["shape"] = np.array([60, -20])


WAYS = {
    by_link: r"mod/atac/X/data leads out of the file \('other\.h5'\)",
    by_two_links: r"leads out of the file \('(other\.h5|/aside/values)'\)",
    by_storage: "mod/atac/X/data has its values in other files",
    by_layout: "mod/atac/X/data has its values in other files",
    dangling: r"mod/atac/X/data leads out of the file \('/nowhere'\)",
    circle: "mod/atac/obsm/again leads to a group that it stands in",
    doubling: "leads to a group that it stands in, or that has very many names",
    by_nothing: "mod/atac/X/data has its values in other files, or nowhere",
    by_itself: "mod/atac/X/data has its values in other files, or nowhere",
    records: r"mod/atac/obs/odd is a column of records \(a, b\)",
    endless: r"mod/atac/obsm/X_large, with what .* would take .* GiB, and this computer has .* GiB",
    texts: "mod/atac/X/data holds texts or objects; numbers were expected",
    negative: r"its shape is \[60, -20\]; two numbers were expected",
}


@pytest.mark.parametrize("backed", [False, True], ids=["in memory", "on disk"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_hdf5__that_leads_elsewhere_or_beyond_is_refused_before_it_is_read(way, backed, counts, tmp_path):
    path = tmp_path / "x.h5mu"
    write_h5(path, counts, "h5mu csr")
    use(path, backed)
    with h5py.File(path, "a") as file:
        way(file, tmp_path)
    with pytest.raises(InputError, match=rf"x\.h5mu: .*{WAYS[way]}"):
        sl.io.read(path, backed=backed)


def test_hdf5__names_within_the_file_are_followed(counts, tmp_path):
    path = tmp_path / "x.h5mu"
    write_h5(path, counts, "h5mu csr")
    with h5py.File(path, "a") as file:
        file.move("mod/atac/X/data", "aside")
        file["mod/atac/X/data"] = h5py.SoftLink("/aside")
    np.testing.assert_array_equal(use(path, False)["atac"].X.toarray(), counts[4])


def layer_of_another_name(file):
    file["mod/atac/layers/counts"] = file["mod/atac/X"]


def layer_by_soft_link(file):
    file["mod/atac/layers/counts"] = h5py.SoftLink("/mod/atac/X")


def values_of_two_parts(file):
    values = file["mod/atac/X/data"][:]
    del file["mod/atac/X/data"]
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    for name, part in (("one", slice(0, 50)), ("two", slice(50, None))):
        file[f"aside/{name}"] = values[part]
        layout[part] = h5py.VirtualSource(file[f"aside/{name}"])
    file.create_virtual_dataset("mod/atac/X/data", layout)


def records_of_uns(file):
    """Results of scanpy's rank_genes_groups are records, and names of what is unstructured may be any."""
    write_elem(file["mod/atac/uns"], "obs", {"ranks": np.zeros(3, dtype=[("B", "f4"), ("T", "f4")])})


def lists_of_uns(file):
    """What has these three names need be no matrix."""
    write_elem(file["mod/atac/uns"], "mine", {name: np.ones(3) for name in ("data", "indices", "indptr", "shape")})


def as_r_writes(file):
    """Texts of a fixed length, and numbers that are floating."""
    matrix = file["mod/atac/X"]
    matrix.attrs["encoding-type"], matrix.attrs["shape"] = np.bytes_("csr_matrix"), np.array([60.0, 20.0])


@pytest.mark.parametrize("backed", [False, True], ids=["in memory", "on disk"])
@pytest.mark.parametrize(
    "way", [as_r_writes, layer_of_another_name, layer_by_soft_link, values_of_two_parts, records_of_uns, lists_of_uns]
)
def test_hdf5__of_odd_but_valid_files_is_read(way, backed, counts, tmp_path):
    path = tmp_path / "x.h5mu"
    write_h5(path, counts, "h5mu csr")
    with h5py.File(path, "a") as file:
        way(file)
    np.testing.assert_array_equal(use(path, backed)["atac"].X[:].toarray(), counts[4])


@pytest.mark.parametrize("backed", [False, True], ids=["in memory", "on disk"])
@pytest.mark.parametrize("what", ["a column moved", "sorted and unsorted cells joined"])
def test_files__of_which_some_rows_are_out_of_order_are_read(what, backed, tmp_path):
    rng = np.random.default_rng(5)
    whole = rng.poisson(0.2, (300, 60))
    matrix = sp.csr_matrix(whole)
    # Names stand where they stood, so that columns are those of ``whole`` in another order.
    order = [*range(30), 31, 30, *range(32, 60)] if what == "a column moved" else [*range(60)]
    last = matrix[-20:]
    if what != "a column moved":
        for begin, end in pairwise(last.indptr):
            last.data[begin:end], last.indices[begin:end] = last.data[begin:end][::-1], last.indices[begin:end][::-1]
    matrix = (
        sp.vstack([matrix[:-20], last], format="csr")[:, order]
        if what == "a column moved"
        else sp.vstack([matrix[:-20], last], format="csr")
    )
    rows = [matrix.indices[begin:end] for begin, end in pairwise(matrix.indptr)]
    n_odd = sum(bool((np.diff(row) < 0).any()) for row in rows)
    assert 3 < n_odd < 30
    names = [f"chr1:{i}00-{i}50" for i in range(1, 61)]
    cells = pd.DataFrame(index=[f"{''.join(rng.choice(list('ACGT'), 16))}-1" for _ in range(300)])
    with quiet():
        mudata.MuData(
            {
                "rna": AnnData(sp.csr_matrix(whole), obs=cells, var=pd.DataFrame(index=[f"G{i}" for i in range(60)])),
                "atac": AnnData(matrix, obs=cells, var=pd.DataFrame(index=names)),
            }
        ).write(tmp_path / "x.h5mu")
    np.testing.assert_array_equal(use(tmp_path / "x.h5mu", backed)["atac"].X[:].toarray(), whole[:, order])


def test_files__whose_rows_are_all_out_of_order_are_read(counts, tmp_path):
    path = tmp_path / "x.h5mu"
    key = write_h5(path, counts, "h5mu csr")
    with h5py.File(path, "a") as file:
        data, indices, indptr = (file[key][name][:] for name in ("data", "indices", "indptr"))
        for begin, end in pairwise(indptr):
            data[begin:end], indices[begin:end] = data[begin:end][::-1], indices[begin:end][::-1]
        replace(file, key, (data, indices, indptr))
    for backed in (False, True):
        np.testing.assert_array_equal(use(path, backed)["atac"].X[:].toarray(), counts[4])


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 1000]))
def test_check_structure__finds_what_scipy_finds_whatever_the_pieces(seed, piece):
    """The oracle is a loop over the entries."""
    rng = np.random.default_rng(seed)
    matrix = sp.random(7, 9, 0.3, format="csr", random_state=rng)
    if matrix.nnz and rng.random() < 0.7:
        matrix.indices[rng.integers(matrix.nnz)] = rng.integers(-2, 12)
    lines = [matrix.indices[a:b].tolist() for a, b in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)]
    sound = all(len(set(line)) == len(line) and all(0 <= k < 9 for k in line) for line in lines)
    before = sparse_structure._PIECE
    sparse_structure._PIECE = piece
    try:
        check_structure(matrix, "x")
        assert sound
    except InputError:
        assert not sound
    finally:
        sparse_structure._PIECE = before


def test_refuse_beyond_memory__lets_pass_what_fits():
    hdf5_content.refuse_beyond_memory(2**20, "x", "a file")
    with pytest.raises(InputError, match=r"x would take 1,048,576.0 GiB"):
        hdf5_content.refuse_beyond_memory(2**50, "x", "a file")


@pytest.mark.parametrize("kind", ["h5mu csr", "h5ad csr"])
def test_hdf5__whose_texts_were_overwritten_is_refused_and_not_read_without_end(kind, counts, tmp_path):
    path = tmp_path / f"x.{kind.split()[0]}"
    write_h5(path, counts, kind)
    whole = path.read_bytes()
    places = [found.start() for found in re.finditer(rb"GCOL\x01\0\0\0", whole)]
    assert places
    for place in places:
        path.write_bytes(whole[: place + 16] + bytes(64) + whole[place + 80 :])
        with pytest.raises(InputError, match=rf"its texts at byte {place + 16:,} were overwritten"):
            sl.io.read(path)
    path.write_bytes(whole)
    np.testing.assert_array_equal(use(path, False)["rna"].X.toarray(), counts[3])


def test_mtx__names_that_are_one_too_many_move_no_other_and_other_files_of_names_are_told(counts, tmp_path, caplog):
    cells, genes, peaks, rna, atac = counts
    for name, x, names in (("rna", rna, ["A1BG", "NOC2L", *genes[2:]]), ("atac", atac, peaks)):
        scipy.io.mmwrite(tmp_path / f"{name}.mtx", sp.coo_matrix(x.T))
        (tmp_path / f"{name}_features.tsv").write_text("\n".join(names) + "\n")
    (tmp_path / "barcodes.tsv").write_text("barcode\n" + "\n".join(cells) + "\n")
    paths = {"rna": tmp_path / "rna.mtx", "atac": tmp_path / "atac.mtx"}
    data = sl.io.read_matrices(**paths)
    assert data.obs_names.tolist() == cells
    assert "are taken from" not in caplog.text
    whole = (tmp_path / "rna_features.tsv").read_text()
    (tmp_path / "rna_features.tsv").write_text(whole.replace("GENE5\n", "GENE5\nGENE5b\n"))
    with pytest.raises(InputError, match=r"rna_features\.tsv has 13 names .*do the three files belong together"):
        sl.io.read_matrices(**paths)
    (tmp_path / "rna_features.tsv").write_text("gene\n" + whole)
    np.testing.assert_array_equal(sl.io.read_matrices(**paths)["rna"].X.toarray(), rna)
    (tmp_path / "barcodes.tsv").write_text("\n".join(cells[1:]) + "\n")
    (tmp_path / "cells.tsv").write_text("\n".join(cells[::-1]) + "\n")
    np.testing.assert_array_equal(sl.io.read_matrices(**paths)["rna"].X.toarray(), rna)
    assert "its barcodes are taken from cells.tsv, because 'barcodes.tsv' has not as many names" in caplog.text


def test_memory__numbers_of_16_bits_are_read(counts):
    made = parts(counts, lambda x: x.astype(np.float16))
    assert made["atac"].X.dtype == np.float16
    np.testing.assert_array_equal(sl.io.assemble(*made.values())["atac"].X.toarray(), counts[4])


def test_names_and_places_with_nul_are_refused_and_not_cut_short(tmp_path):
    (tmp_path / "genes.bed").write_text("chr1\t1\t10\tA\t0\t+\nchr1\t100\t2\x0000\tB\t0\t+\n")
    (tmp_path / "features.tsv").write_text("A\nB\x00C\n")
    for read, name in ((sl.io.read_genes, "genes.bed"), (read_names, "features.tsv")):
        with pytest.raises(InputError, match=rf"{name}: row 2 has the character NUL"):
            read(tmp_path / name)
