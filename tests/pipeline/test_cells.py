"""A query of cells in run.yaml: the run is that of a file that holds only those cells."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import scanlink as sl
from scanlink.errors import OptionError
from scanlink.io.opening import quiet
from scanlink.pipeline import config
from scanlink.pipeline import run as pipeline
from scanlink.pipeline.experiment import CellOptions

QUERY = "pct_counts_mt < 8 and doublet == False"
MULTIOME = """\
input: data.h5mu
genes: genes.bed
groups: {by: celltype}
scan: {p_value: robust, ladder: none, seed: 1}
report: true
cluster: none
"""
SCREEN = """\
input: {path: data.h5mu}
genes: genes.bed
screen: {formula: "guide_count + offset(log(nUMI))", p_value: robust, n_controls: 6, seed: 1}
report: false
cluster: none
"""


def write(folder: Path, mdata, genes: pd.DataFrame, text: str) -> Path:
    folder.mkdir(parents=True)
    with quiet():
        mdata.write(folder / "data.h5mu")
    bed = genes[["chrom", "start", "end", "gene"]].assign(score=0, strand=genes["strand"])
    bed.to_csv(folder / "genes.bed", sep="\t", header=False, index=False)
    (folder / "run.yaml").write_text(text)
    return folder / "run.yaml"


def table(path: Path, out: Path, name: str, *changes: str) -> pd.DataFrame:
    pipeline.run(config.load_run(path, changes=changes), out)
    return pd.read_parquet(out / f"{name}.parquet")


def test_run__of_a_query_is_that_of_the_cells_it_names(tmp_path):
    data = sl.ds.simulate(n_cells=500, n_genes=8, n_peaks=60, n_links=8, n_interactions=2, seed=3)
    data.mdata.obs["doublet"] = pd.Categorical(["True", "False", "False", "False"] * 125)
    obs = data.mdata.obs
    keep = (obs["percent.mito"] < 8) & (obs["doublet"] == "False")
    assert 100 < keep.sum() < 370
    with quiet():
        part = data.mdata[keep.to_numpy()].copy()
    chosen = write(tmp_path / "chosen", part, data.genes, MULTIOME)
    whole = write(tmp_path / "whole", data.mdata, data.genes, MULTIOME)
    expected = table(chosen, tmp_path / "a", "links")
    found = table(whole, tmp_path / "b", "links", f"cells.query={QUERY}")
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    every = table(whole, tmp_path / "c", "links")
    assert every["n_cells"].sum() > found["n_cells"].sum()
    page = (tmp_path / "b" / "report.html").read_text()
    assert "pct_counts_mt &lt; 8 and doublet == False" in page
    # Who changes the query has the store made anew.
    again = table(whole, tmp_path / "b", "links")
    pd.testing.assert_frame_equal(again, every, check_exact=True)


def test_cell_options__options_that_are_not_used_make_no_other_store():
    assert CellOptions().sections() == {}
    assert CellOptions(query=QUERY).sections() == {"cells": {"query": QUERY}}


def test_run__of_a_screen_takes_a_query(tmp_path):
    data = sl.tl.simulate_screen(n_cells=600, n_genes=4, n_targets=6, guides_per_cell=5.0, seed=2)
    data.mdata.obs["doublet"] = [True, False, False] * 200
    path = write(tmp_path / "screen", data.mdata, data.genes, SCREEN)
    found = table(path, tmp_path / "out", "screen", "cells.query=not doublet and guide_count > 2")
    assert 0 < found["n_cells"].iloc[0] < 400


def test_run__refuses_a_query_before_it_reads_anything(tmp_path):
    (tmp_path / "run.yaml").write_text(MULTIOME + "cells: {query: \"__import__('os')\"}\n")
    with pytest.raises(OptionError, match=r"run.yaml, line 7: cells.query: query .* has none: make a column"):
        config.load_run(tmp_path / "run.yaml")
