"""The scan store of a screen; that of multiome data stays as it was."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from small_screens import CELLS, GUIDES, parts

import scanlink as sl
from scanlink import ds
from scanlink.errors import InputError, MissingKeyError, OptionError
from scanlink.io.guides import guide_table
from scanlink.io.opening import quiet
from scanlink.io.releases import is_text
from scanlink.store.make import permuted, stored_guides, write_store
from scanlink.store.store import Store


@pytest.fixture
def screen():
    mdata = sl.io.assemble_screen(*parts(), guides=GUIDES)
    mdata.obs["batch"] = list("aabbb")
    sl.pp.assign_guides(mdata, threshold=6)
    return mdata


@pytest.fixture(scope="module")
def multiome():
    return ds.simulate(n_cells=150, n_genes=12, n_peaks=40, n_links=4, n_interactions=0, seed=1).mdata


def test_write_store__holds_genes_and_guides_of_a_screen(screen, tmp_path):
    store = write_store(screen, tmp_path / "store")
    assert store.modalities == ("rna", "guide")
    assert store.features("guide").tolist() == store.guides.tolist() == GUIDES["guide"].tolist()
    assert store.features("rna").tolist() == store.genes.tolist() == ["NOC2L", "HES4", "TBCE"]
    order = np.argsort(CELLS)
    for modality in ("rna", "guide"):
        dense = screen[modality].X.toarray()[order]
        for feature in range(dense.shape[1]):
            column = np.zeros(5, dtype=int)
            cells, values = store.column(modality, feature)
            column[cells] = values
            np.testing.assert_array_equal(column, dense[:, feature])
        assert store.starts(modality)[-1] == np.count_nonzero(dense)
    assert store.positions("guide", pd.Series(["nt1", "g2"])).tolist() == [4, 1]
    n_cells, counted = store.level_counts("guide", "batch")
    assert n_cells == {"a": 2, "b": 3}
    np.testing.assert_array_equal(counted.sum(axis=1), (screen["guide"].X.toarray() > 0).sum(axis=0))
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    assert (manifest["format"], manifest["modalities"], manifest["n_guides"]) == (3, ["rna", "guide"], 6)


def test_write_store__keeps_what_is_known_of_the_guides(screen, tmp_path):
    store = Store.open(write_store(screen, tmp_path / "store").path)
    expected = stored_guides(screen["guide"].var)
    pd.testing.assert_frame_equal(store.guide_table, expected, check_index_type=False)
    assert store.guide_table["threshold"].tolist() == [6] * 6
    before = store.checksum
    sl.pp.assign_guides(screen, threshold=7)
    assert write_store(screen, tmp_path / "store").checksum != before


def test_write_store__of_a_screen_does_not_depend_on_order_or_types(screen, tmp_path):
    checksum = write_store(screen, tmp_path / "a").checksum
    with quiet():
        shuffled = screen[::-1].copy()
        screen.write(tmp_path / "x.h5mu")
    assert write_store(shuffled, tmp_path / "b").checksum == checksum
    for backed in (False, True):
        again = sl.io.read_screen(tmp_path / "x.h5mu", backed=backed)
        assert write_store(again, tmp_path / "c", entries=7, chunk_rows=2).checksum == checksum


def test_store__names_the_modality_that_it_lacks(screen, multiome, tmp_path):
    store, other = write_store(screen, tmp_path / "screen"), write_store(multiome, tmp_path / "multiome")
    message = r"screen has no modality 'atac', found 'rna', 'guide': multiome data have"
    asked = (
        *(lambda s: s.peaks, lambda s: s.features("atac"), lambda s: s.column("atac", 0), lambda s: s.starts("atac")),
        *(lambda s: s.value_type("atac"), lambda s: s.level_counts("atac", "batch")),
        *(lambda s: s.positions("atac", pd.Index(["p"])), lambda s: permuted(s, np.arange(5), tmp_path / "moved")),
    )
    for ask in asked:
        with pytest.raises(MissingKeyError, match=message):
            ask(store)
    with pytest.raises(MissingKeyError, match=r"multiome has no modality 'guide', found 'rna', 'atac'"):
        _ = other.guides
    with pytest.raises(MissingKeyError, match=r"1 guides of the pairs are not in the data \('g9'\)"):
        store.positions("guide", pd.Index(["g1", "g9"]))


def test_write_store__says_which_modalities(screen, multiome, tmp_path):
    with quiet():
        genes = screen.copy()
        del genes.mod["guide"]
    with pytest.raises(
        MissingKeyError, match=r"no modality 'atac' in the data, found 'rna': a store has 'rna' and 'atac'"
    ):
        write_store(genes, tmp_path / "store")
    with pytest.raises(MissingKeyError, match="no modality 'guide' in the data, found 'rna', 'atac'"):
        write_store(multiome, tmp_path / "store", modalities=("rna", "guide"))
    with pytest.raises(OptionError, match="modalities has 'protein', expected some of"):
        write_store(screen, tmp_path / "store", modalities=("rna", "protein"))
    with pytest.raises(OptionError, match="modalities is empty"):
        write_store(screen, tmp_path / "store", modalities=())
    screen.mod["guide"] = screen["guide"][::-1].copy()
    with pytest.raises(InputError, match="rna and guide do not have the same cells in the same order"):
        write_store(screen, tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_write_store__of_all_three(screen, tmp_path):
    screen.mod["atac"] = screen["rna"].copy()
    screen["atac"].var_names = ["chr1:1-5", "chr1:7-9", "chr1:11-12"]
    assert write_store(screen, tmp_path / "a").modalities == ("rna", "atac")
    assert write_store(screen, tmp_path / "b", modalities=("rna", "guide")).modalities == ("rna", "guide")
    every = write_store(screen, tmp_path / "c", modalities=("guide", "rna", "atac"))
    assert every.modalities == ("rna", "atac", "guide")
    assert Store.open(every.path).peaks.tolist() == ["chr1:1-5", "chr1:7-9", "chr1:11-12"]


def test_permuted__deals_out_guides(screen, tmp_path):
    store = write_store(screen, tmp_path / "store")
    source = np.array([3, 0, 4, 1, 2])
    moved = permuted(store, source, tmp_path / "moved", modality="guide")
    pd.testing.assert_frame_equal(moved.guide_table, store.guide_table)
    assert moved.manifest.keys() == store.manifest.keys()
    for feature in range(6):
        before, after = np.zeros(5, dtype=int), np.zeros(5, dtype=int)
        cells, values = store.column("guide", feature)
        before[cells] = values
        cells, values = moved.column("guide", feature)
        after[cells] = values
        np.testing.assert_array_equal(after, before[source])


def test_write_store__of_multiome_data_is_what_it_was_before_screens(multiome, tmp_path):
    """Byte for byte, so that run folders of earlier versions go on."""
    store = write_store(multiome, tmp_path / "store")
    assert store.checksum == "527e0fe6a17950b1408cac469cb7cbfd497857688f492ddb82fe95c31470e308"
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    assert list(manifest) == ["format", "n_cells", "n_genes", "n_peaks", "levels", "bytes", "digests", "sha256"]
    assert manifest["format"] == 2
    digest = hashlib.sha256()
    for path in sorted((tmp_path / "store").glob("*.npy")):
        digest.update(path.name.encode() + path.read_bytes())
    assert digest.hexdigest() == "6dc8340eeda466295a7cb4e2096d4b69f2c0ec539a9dfcddeaf8faf5f38fda06"


def test_stored_guides__is_plain_whatever_the_types():
    var = guide_table(GUIDES.set_index("guide")).assign(threshold=5, more="x")
    plain = stored_guides(var)
    assert plain.columns.tolist() == ["target", "efficiency", "chrom", "start", "end", "threshold"]
    assert plain["chrom"].fillna("-").tolist() == ["chr1"] * 4 + ["-"] * 2
    kinds = ["text" if is_text(plain[name]) else str(plain[name].dtype) for name in plain]
    assert kinds == ["text", "float64", "text", "float64", "float64", "int64"]
    other = var.astype({"target": "category", "start": "Int64", "threshold": "float64"})
    pd.testing.assert_frame_equal(stored_guides(other), plain)
