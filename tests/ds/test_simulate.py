"""Simulated data: reproducible, consistent, and with the truth that they claim."""

from __future__ import annotations

import re

import mudata
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from anndata.abc import CSRDataset

import scanlink as sl
from scanlink.ds.simulate import CELLTYPES
from scanlink.errors import InputError, OptionError
from scanlink.io.releases import EXACT_NUMBERS, pulling

SMALL = {"n_cells": 300, "n_genes": 12, "n_peaks": 70, "n_links": 12, "n_interactions": 2}


@pytest.fixture(scope="module")
def demo() -> sl.ds.Simulation:
    return sl.ds.simulate(seed=11)


def read(path, **options):
    with pulling(False):
        return mudata.read_h5mu(path, **options)


def same(one, other) -> bool:
    return all(
        one[name].shape == other[name].shape and (one[name].X[:] != other[name].X[:]).nnz == 0
        for name in ("rna", "atac")
    ) and one.obs.astype(object).equals(other.obs.astype(object))


# Reproducible


def test_simulate__same_seed_same_files(tmp_path):
    for name in ("one", "other"):
        sl.ds.simulate(seed=5, **SMALL).write(tmp_path / name)
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes(), path.name


def test_simulate__another_seed_gives_other_counts():
    one, other = (sl.ds.simulate(seed=seed, **SMALL) for seed in (5, 6))
    assert (one.mdata["atac"].X != other.mdata["atac"].X).nnz > 0
    assert not one.links.equals(other.links)


@pytest.mark.parametrize("chunk_cells", [1, 128, 200, 10**6])
def test_simulate__file_does_not_depend_on_chunks(tmp_path, chunk_cells):
    whole = sl.ds.simulate(seed=5, **SMALL)
    pieces = sl.ds.simulate(seed=5, out=tmp_path / "x.h5mu", chunk_cells=chunk_cells, **SMALL)
    assert pieces.mdata is None
    assert same(whole.mdata, read(pieces.path))
    assert pieces.links.equals(whole.links)
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5mu"]


def test_simulate__more_cells_leave_the_first_as_they_are():
    few, many = (sl.ds.simulate(seed=5, **{**SMALL, "n_cells": n}) for n in (200, 400))
    for name in ("rna", "atac"):
        assert (many.mdata[name].X[:200] != few.mdata[name].X).nnz == 0
    assert few.mdata.obs.equals(many.mdata.obs[:200])


# What is in it


def test_simulate__totals_are_those_of_the_counts(demo):
    obs, rna = demo.mdata.obs, demo.mdata["rna"]
    total = np.asarray(rna.X.sum(axis=1)).ravel()
    mito = np.asarray(rna.X[:, rna.var_names.str.startswith("MT-")].sum(axis=1)).ravel()
    assert (obs["nUMI"].to_numpy() == total).all()
    np.testing.assert_allclose(obs["percent.mito"], 100 * mito / total, rtol=1e-14)
    assert 4 < obs["percent.mito"].mean() < 9


def test_simulate__cells_have_unique_barcodes_of_10x(demo):
    names = demo.mdata.obs_names
    assert names.is_unique
    assert all(re.fullmatch("[ACGT]{16}-1", name) for name in names)
    assert (demo.mdata["rna"].obs_names == names).all()
    assert (demo.mdata["atac"].obs_names == names).all()


def test_simulate__groups_and_donors_are_as_asked(demo):
    obs = demo.mdata.obs
    share = obs["celltype"].value_counts(normalize=True)
    for name, wanted in CELLTYPES.items():
        assert abs(share[name] - wanted) < 4 * np.sqrt(wanted / len(obs))
    # Donors are nested: each is in one batch.
    assert (obs.groupby("donor", observed=True)["batch"].nunique() == 1).all()
    assert obs["donor"].nunique() == 4
    assert obs["batch"].nunique() == 2


def test_simulate__counts_look_like_counts(demo):
    for name in ("rna", "atac"):
        matrix = demo.mdata[name].X
        assert matrix.format == "csr"
        assert matrix.dtype == np.int32
        assert matrix.has_sorted_indices
        assert matrix.data.min() >= 1
    assert set(np.unique(demo.mdata["atac"].X.data)) == {1, 2, 4}
    opened = (demo.mdata["atac"].X > 0).mean(axis=0)
    assert opened.min() > 0.002
    assert 0.2 < opened.max() < 0.45


def test_simulate__depth_confounds_genes_and_peaks(demo):
    mdata = demo.mdata
    mono = (mdata.obs["celltype"] == "CD14-Mono").to_numpy()
    rna_depth = np.log(mdata.obs["nUMI"].to_numpy()[mono])
    atac_depth = np.log(np.asarray(mdata["atac"].X.sum(axis=1)).ravel()[mono])
    assert np.corrcoef(rna_depth, atac_depth)[0, 1] > 0.4


def test_simulate__peaks_of_a_block_go_together():
    mdata = sl.ds.simulate(
        n_cells=4_000, n_genes=20, n_peaks=100, n_links=0, n_interactions=0, block_sd=0.8, celltypes={"T": 1}
    ).mdata
    x = (mdata["atac"].X.toarray() > 0).astype(float)
    seen = x.mean(axis=0) > 0.05
    correlation = np.corrcoef(x[:, seen].T)
    block = mdata["atac"].var["block"].to_numpy()[seen]
    inside = block[:, None] == block[None, :]
    off = ~np.eye(len(block), dtype=bool)
    assert correlation[inside & off].mean() > correlation[~inside].mean() + 0.03


def test_simulate__depth_of_background_genes_has_no_peak_near(demo):
    far = demo.genes["chrom"].isin(["chrX", "chrM"])
    assert not set(demo.genes.loc[far, "chrom"]) & set(demo.mdata["atac"].var["chrom"])
    assert far.sum() == 43


# The truth


def test_simulate__true_links_are_cis_pairs(demo):
    pairs = sl.pp.cis_pairs(demo.mdata, demo.genes)
    assert set(zip(demo.links["gene"], demo.links["peak"], strict=True)) <= set(
        zip(pairs["gene"], pairs["peak"], strict=True)
    )
    assert not demo.links.duplicated(["gene", "peak"]).any()
    assert demo.links["beta"].abs().between(0.4, 1).all()
    assert len(demo.links) == 100
    assert set(demo.links["group"]) == {"", "CD14-Mono", "CD4-Naive", "B-Memory"}


def test_simulate__interactions_are_of_two_true_links(demo):
    assert len(demo.interactions) == 15
    keys = demo.links.set_index(["group", "gene", "peak"])["beta"]
    for side in ("1", "2"):
        beta = keys.loc[
            list(demo.interactions[["group", "gene", f"enhancer_{side}"]].itertuples(index=False, name=None))
        ]
        assert (beta.to_numpy() == demo.interactions[f"beta_{side}"].to_numpy()).all()
    assert demo.interactions["gene"].is_unique
    assert demo.interactions["interaction"].abs().between(0.5, 1).all()


def recover(simulation: sl.ds.Simulation, group: str) -> pd.DataFrame:
    """Fit, for each gene, the Poisson model of the scan with all of its planted terms; robust standard errors."""
    mdata = simulation.mdata
    cells = (mdata.obs["celltype"] == group).to_numpy()
    covariates = pd.DataFrame(
        {"one": 1.0, "depth": np.log(mdata.obs["nUMI"][cells]), "mito": mdata.obs["percent.mito"][cells]}
    ).to_numpy()
    rna, atac = mdata["rna"][cells], mdata["atac"][cells]
    rows = []
    for gene, links in simulation.links[simulation.links["group"].isin(["", group])].groupby("gene"):
        opened = (atac[:, links["peak"].tolist()].X.toarray() > 0).astype(float)
        terms, truth = [*opened.T], links["beta"].tolist()
        pairs = simulation.interactions.query("gene == @gene and group in ['', @group]")
        for pair in pairs.itertuples():
            at = dict(zip(links["peak"], opened.T, strict=True))
            terms.append(at[pair.enhancer_1] * at[pair.enhancer_2])
            truth.append(pair.interaction)
        counts = rna[:, gene].X.toarray().ravel()
        fit = sm.GLM(counts, np.column_stack([covariates, *terms]), family=sm.families.Poisson()).fit(cov_type="HC0")
        for estimate, error, true in zip(fit.params[3:], fit.bse[3:], truth, strict=True):
            rows.append((gene, true, estimate, error))
        rows.append((gene, 1.0, fit.params[1], fit.bse[1]))
    return pd.DataFrame(rows, columns=["gene", "true", "estimate", "se"])


@pytest.mark.parametrize("group", ["T", "B"])
def test_simulate__poisson_regression_recovers_the_effects(group):
    # Also the slope of log(nUMI), which is 1: depth acts exactly as the scan's model has it.
    simulation = sl.ds.simulate(
        n_cells=24_000,
        n_genes=15,
        n_peaks=80,
        n_links=24,
        n_interactions=6,
        celltypes={"T": 1, "B": 1},
        donor_sd=0,
        batch_sd=0,
        seed=2,
    )
    found = recover(simulation, group)
    z = (found["estimate"] - found["true"]) / found["se"]
    assert len(z) > 25
    assert z.abs().max() < 4
    assert 0.7 < np.sqrt((z**2).mean()) < 1.35
    assert found["se"].max() < 0.25


def test_simulate__counts_have_the_dispersion_asked():
    simulation = sl.ds.simulate(
        n_cells=20_000,
        n_genes=10,
        n_peaks=50,
        n_links=0,
        n_interactions=0,
        celltypes={"T": 1},
        donor_sd=0,
        batch_sd=0,
        dispersion=0.8,
    )
    mdata = simulation.mdata
    gene = mdata["rna"].X[:, :10].toarray()
    exposure = mdata.obs["nUMI"].to_numpy()[:, None] * gene.sum(axis=0) / mdata.obs["nUMI"].sum()
    strong = gene.mean(axis=0) > 0.3
    moment = ((gene - exposure) ** 2 - gene).sum(axis=0) / (exposure**2).sum(axis=0)
    np.testing.assert_allclose(moment[strong], 0.8, atol=0.15)


# Files


def test_simulate__written_in_pieces_opens_backed(tmp_path):
    path = sl.ds.simulate(seed=5, out=tmp_path / "x.h5mu", **SMALL).path
    backed = read(path, backed=True)
    assert isinstance(backed["atac"].X, CSRDataset)
    assert backed["atac"].X[:].dtype == np.int32
    assert list(backed.mod) == ["rna", "atac"]


def test_simulation_write__copies_what_lies_elsewhere(tmp_path):
    simulation = sl.ds.simulate(seed=5, out=tmp_path / "x.h5mu", **SMALL)
    paths = simulation.write(tmp_path / "new" / "folder")
    assert paths["data"].read_bytes() == simulation.path.read_bytes()
    links = sl.ds.simulate(seed=5, **SMALL).links
    back = pd.read_csv(paths["links"], keep_default_na=False, **EXACT_NUMBERS)
    pd.testing.assert_frame_equal(back, links, check_exact=True)


def test_simulate__failure_leaves_no_file(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("scanlink.ds.multiome_file.MultiomeWriter.finish", fail)
    with pytest.raises(OSError, match="disk full"):
        sl.ds.simulate(out=tmp_path / "x.h5mu", **SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"n_cells": 0}, "n_cells is 0, expected a whole number of at least 1"),
        ({"n_genes": 2.5}, "n_genes is 2.5"),
        ({"n_donors": 1}, "n_donors=1 is less than n_batches=2"),
        ({"dispersion": -1}, "dispersion is -1"),
        ({"effect": (1.0, 0.4)}, "expected smallest and largest"),
        ({"celltypes": {"": 1}}, "expected names with proportions above 0"),
        ({"n_links": 3, "n_interactions": 2}, "each of n_interactions=2 needs two links"),
        ({"n_links": 49}, "n_links=49, expected at most 4 for each of n_genes=12"),
        ({"n_links": 40, "n_interactions": 13}, "n_interactions=13, expected at most n_genes=12"),
        ({"n_peaks": 4, "n_links": 30}, "too few for n_links=30"),
        ({"out": "x.h5ad"}, "ends in .h5mu"),
    ],
)
def test_simulate__refuses_impossible_options(option, message):
    with pytest.raises(OptionError, match=message):
        sl.ds.simulate(**{**SMALL, **option})


def test_simulate__names_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match="folder does not exist"):
        sl.ds.simulate(out=tmp_path / "no" / "x.h5mu", **SMALL)
