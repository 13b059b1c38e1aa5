"""Finished run folders of both experiments, for tests of what is made of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr

import scanlink as sl
from scanlink.io.opening import quiet
from scanlink.pipeline import config
from scanlink.pipeline import run as pipeline
from scanlink.stats import adjust

__all__ = ["finished", "finished_screen", "folder", "screen_folder"]

# A lenient rate of the links that are paired, so that there are pairs in several groups.
RUN = """\
input: data/multiome.h5mu
genes: data/genes.gtf.gz
groups: {by: celltype}
scan: {formula: "log(nUMI) + percent.mito", p_value: robust, ladder: none, seed: 5}
epistasis: {p_value: robust, ladder: none, links_fdr: 0.5, seed: 7}
report: false
cluster: none
"""


def copied(finished: Path, folder: Path) -> Path:
    """What the report reads of a run."""
    return Path(shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("store", "parts", "logs", ".*")))


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A finished run with enhancer pairs; tests copy it before they change it."""
    folder = tmp_path_factory.mktemp("report")
    sl.ds.simulate(n_cells=1_200, n_genes=40, n_peaks=200, n_links=50, n_interactions=6, seed=3).write(folder / "data")
    (folder / "run.yaml").write_text(RUN)
    pipeline.run(config.load_run(folder / "run.yaml"), folder / "out")
    return folder / "out"


@pytest.fixture
def folder(finished, tmp_path) -> Path:
    """A copy of the finished run, without store and parts."""
    left_out = shutil.ignore_patterns("store", "parts", "logs", ".*")
    return Path(shutil.copytree(finished, tmp_path / "my run", ignore=left_out))


SCREEN = """\
input: data/screen.h5mu
genes: data/genes.bed
screen: {formula: "prep_batch + offset(log(nUMI))", n_controls: 60, seed: 3}
interactions: {formula: "prep_batch + offset(log(nUMI))", n_controls: 30, seed: 4}
links: data/links.parquet
report: false
cluster: none
"""


@pytest.fixture(scope="session")
def finished_screen(tmp_path_factory) -> Path:
    """A finished run of a simulated screen with positive controls, interactions, and links that show what is true."""
    folder = tmp_path_factory.mktemp("screen_report")
    (folder / "data").mkdir()
    data = sl.tl.simulate_screen(
        n_cells=2_000, n_genes=10, n_targets=30, guides_per_cell=8.0, n_non_targeting=8, effect=(-0.5, 0.4), seed=2
    )
    with quiet():
        data.mdata.write(folder / "data" / "screen.h5mu")
    data.genes[["chrom", "start", "end", "gene"]].assign(score=0, strand=data.genes["strand"]).to_csv(
        folder / "data" / "genes.bed", sep="\t", header=False, index=False
    )
    guides = data.mdata["guide"].var
    place = guides.dropna(subset=["chrom"]).drop_duplicates("target").set_index("target")
    own = place.loc[data.pairs["target"]]
    rng = np.random.default_rng(0)
    links = pd.concat(
        data.pairs[["gene"]].assign(
            group=group,
            distance=100,
            se=0.1,
            se_robust=0.1,
            status="ok",
            peak=[f"{row.chrom}:{int(row.start) - 50}-{int(row.end) + 50}" for row in own.itertuples()],
            beta=-0.5 * data.pairs["beta"] + rng.normal(0, 0.1, len(data.pairs)),
        )
        for group in ("K562", "B cells")
    )
    links["p"] = links["p_value"] = 2 * ndtr(-np.abs(links["beta"] / 0.1))
    links["fdr"] = links.groupby("group")["p"].transform(adjust)
    links.to_parquet(folder / "data" / "links.parquet", index=False)
    (folder / "run.yaml").write_text(SCREEN)
    pipeline.run(config.load_run(folder / "run.yaml"), folder / "out")
    return folder / "out"


@pytest.fixture
def screen_folder(finished_screen, tmp_path) -> Path:
    """A copy of the finished screen, without store and parts."""
    left_out = shutil.ignore_patterns("store", "parts", "logs", ".*")
    return Path(shutil.copytree(finished_screen, tmp_path / "my screen", ignore=left_out))
