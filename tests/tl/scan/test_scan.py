"""The scan on MuData: against direct fits, statuses, and what results must not depend on."""

from __future__ import annotations

from pathlib import Path

import mudata
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

import scanlink as sl
from scanlink.errors import DesignError, InputError, MissingKeyError, OptionError, RunError
from scanlink.io.opening import quiet
from scanlink.run import client_for

COLUMNS = [
    *("group", "gene", "peak", "distance", "n_cells", "frac_gene", "frac_peak"),
    *(
        "beta",
        "fold_change",
        "se",
        "z",
        "p",
        "se_robust",
        "ci_low",
        "ci_high",
        "p_robust",
        "p_boot",
        "n_boot",
        "p_tail",
    ),
    *("p_value", "fdr", "fdr_all", "status"),
]


@pytest.fixture(scope="module")
def data():
    return sl.ds.simulate(n_cells=500, n_genes=24, n_peaks=80, n_links=20, n_interactions=2, seed=3)


@pytest.fixture(scope="module")
def pairs(data):
    return sl.pp.cis_pairs(data.mdata, data.genes)


@pytest.fixture(scope="module")
def links(data, pairs):
    return sl.tl.scan(data.mdata, pairs, groupby="celltype", ladder=[(50, 0.2), (200, None)], seed=4)


def same(a: pd.DataFrame, b: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(a.reset_index(drop=True), b.reset_index(drop=True), check_exact=True)


def test_scan__every_pair_of_every_group_is_there_with_a_status(data, pairs, links):
    assert list(links.columns) == COLUMNS
    groups = sorted(data.mdata.obs["celltype"].astype(str).unique())
    assert len(links) == len(pairs) * len(groups)
    assert links["group"].unique().tolist() == groups
    assert not links.duplicated(["group", "gene", "peak"]).any()
    tested = links["status"] == "ok"
    assert tested.sum() > 100
    estimates = [name for name in COLUMNS[7:-1] if name != "n_boot"]
    assert links.loc[tested, estimates].notna().all().all()
    assert links.loc[~tested, estimates].isna().all().all()
    assert set(links["status"]) <= {
        "ok",
        "gene_rare",
        "peak_rare",
        "separated",
        "collinear",
        "too_few_cells",
        "not_converged",
    }


def test_scan__numbers_are_those_of_statsmodels(data, links):
    import statsmodels.api as sm

    chosen = links[links["status"] == "ok"].iloc[::17]
    mdata = data.mdata
    for row in chosen.itertuples():
        cells = (mdata.obs["celltype"].astype(str) == row.group).to_numpy()
        counts = mdata["rna"][:, row.gene].X.toarray().ravel()[cells].astype(float)
        opened = (mdata["atac"][:, row.peak].X.toarray().ravel()[cells] > 0).astype(float)
        obs = mdata.obs[cells]
        design = np.column_stack([np.ones(cells.sum()), opened, np.log(obs["nUMI"]), obs["percent.mito"]])
        fit = sm.GLM(counts, design, family=sm.families.Poisson()).fit(tol=1e-12)
        assert row.beta == pytest.approx(fit.params[1], abs=1e-6)
        # R stops before the maximum; where a pair is nearly separated, that shows in the fourth digit.
        assert row.se == pytest.approx(fit.bse[1], rel=1e-3)
        assert row.p == pytest.approx(fit.pvalues[1], abs=1e-3)
        assert row.frac_gene == np.mean(counts > 0)
        assert row.frac_peak == np.mean(opened)
        assert row.n_cells == cells.sum()


def test_scan__fdr_counts_tested_pairs_of_the_group_only(links):
    for _, part in links.groupby("group"):
        tested = part["p_value"].notna()
        expected = multipletests(part.loc[tested, "p_value"], method="fdr_bh")[1]
        np.testing.assert_array_equal(part.loc[tested, "fdr"], expected)
        assert part.loc[~tested, "fdr"].isna().all()


def test_scan__p_value_column_is_the_one_chosen(data, pairs, links):
    for choice, column in [("wald", "p"), ("robust", "p_robust")]:
        found = sl.tl.scan(data.mdata, pairs, groupby="celltype", p_value=choice, ladder=None)
        np.testing.assert_array_equal(found["p_value"], links[column])
        assert found["p_boot"].isna().all()
        assert (found["n_boot"] == 0).all()


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(500)))
def test_scan__does_not_depend_on_cell_order(data, pairs, links, order):
    with quiet():
        shuffled = data.mdata[np.array(order)].copy()
    some = pairs.iloc[:40]
    found = sl.tl.scan(shuffled, some, groupby="celltype", ladder=[(50, 0.2), (200, None)], seed=4)
    reference = links.merge(some[["gene", "peak"]]).drop(columns=["fdr", "fdr_all"])
    same(found.drop(columns=["fdr", "fdr_all"]), reference)


@pytest.mark.parametrize("block_genes", [1, 5, 50])
def test_scan__does_not_depend_on_blocks(data, pairs, links, block_genes):
    same(
        sl.tl.scan(
            data.mdata, pairs, groupby="celltype", ladder=[(50, 0.2), (200, None)], seed=4, block_genes=block_genes
        ),
        links,
    )


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.slow
def test_scan__does_not_depend_on_workers(data, pairs, links, workers):
    with sl.cluster.client("local", n_workers=workers) as client:
        found = sl.tl.scan(
            data.mdata, pairs, groupby="celltype", ladder=[(50, 0.2), (200, None)], seed=4, client=client
        )
        assert client.status == "running"
    same(found, links)


def test_scan__workers_that_do_not_see_the_folder(data, pairs, monkeypatch):
    with client_for(None, cost=1e6) as client:
        # The worker is a thread of this process; tests/slurm has workers that see another disk.
        monkeypatch.setattr("os.listdir", lambda path: [])
        monkeypatch.setattr(Path, "is_file", lambda path: path.name != "progress.json" and path.exists())
        with pytest.raises(RunError, match=r"1 workers, .*, do not see the folder .*: name a folder on a file system"):
            sl.tl.scan(data.mdata, pairs, groupby="celltype", p_value="wald", ladder="none", client=client)


def test_scan__a_pair_alone_gets_the_same_numbers_as_among_others(data, links):
    row = links[links["status"] == "ok"].iloc[5]
    alone = sl.tl.scan(
        data.mdata,
        pd.DataFrame([row[["gene", "peak"]]]),
        groupby="celltype",
        groups=[row["group"]],
        ladder=[(50, 0.2), (200, None)],
        seed=4,
    ).iloc[0]
    for name in ["beta", "se", "se_robust", "p_boot", "n_boot"]:
        assert alone[name] == row[name]


def test_scan__seed_changes_the_bootstrap_and_nothing_else(data, pairs, links):
    other = sl.tl.scan(data.mdata, pairs, groupby="celltype", ladder=[(50, 0.2), (200, None)], seed=5)
    assert (other["p_boot"] != links["p_boot"])[links["status"] == "ok"].mean() > 0.5
    same(other[["beta", "se", "p_robust", "status"]], links[["beta", "se", "p_robust", "status"]])


def test_scan__goes_on_in_its_folder(data, pairs, tmp_path, caplog):
    options = {"groupby": "celltype", "p_value": "robust", "out": tmp_path, "block_genes": 2}
    first = sl.tl.scan(data.mdata, pairs, **options)
    parts = sorted(tmp_path.glob("parts/*/block-*.parquet"))
    kept = {path: path.stat().st_mtime_ns for path in parts}
    parts[3].unlink()
    with caplog.at_level("INFO", logger="scanlink"):
        same(sl.tl.scan(data.mdata, pairs, **options), first)
    assert f"{len(parts) - 1} found finished, 1 computed" in caplog.text
    assert [path for path in parts if path.stat().st_mtime_ns != kept[path]] == [parts[3]]
    # Another option is another plan: nothing of the first is taken for it.
    other = sl.tl.scan(data.mdata, pairs, **{**options, "robust": "HC0"})
    assert (other["se_robust"] != first["se_robust"])[first["status"] == "ok"].all()


def test_scan__other_data_in_the_same_folder_is_not_mixed_up(data, pairs, tmp_path):
    options = {"groupby": "celltype", "p_value": "robust"}
    with quiet():
        half = data.mdata[np.arange(500) % 2 == 0].copy()
    whole_before = sl.tl.scan(data.mdata, pairs, out=tmp_path, **options)
    same(sl.tl.scan(half, pairs, out=tmp_path, **options), sl.tl.scan(half, pairs, **options))
    same(sl.tl.scan(data.mdata, pairs, out=tmp_path, **options), whole_before)


def test_scan__robust_error_of_counts_differs_from_binary(data, pairs):
    counts = sl.tl.scan(data.mdata, pairs, groupby="celltype", p_value="wald", ladder="none", binarize=False)
    binary = sl.tl.scan(data.mdata, pairs, groupby="celltype", p_value="wald", ladder="none")
    np.testing.assert_array_equal(counts["frac_peak"], binary["frac_peak"])
    assert (counts["beta"] != binary["beta"])[binary["status"] == "ok"].mean() > 0.9


def planted(peak, counts=None):
    """A dataset of 60 cells with one gene and one peak of the test's making."""
    data = sl.ds.simulate(n_cells=60, n_genes=4, n_peaks=8, n_links=1, n_interactions=0, seed=1).mdata
    rna, atac = data["rna"].X.tolil(), data["atac"].X.tolil()
    rna[:, 0] = np.asarray(np.arange(60) % 3 + 1 if counts is None else counts).reshape(-1, 1)
    atac[:, 0] = np.asarray(peak).reshape(-1, 1)
    data["rna"].X, data["atac"].X = rna.tocsr().astype(np.int32), atac.tocsr().astype(np.int32)
    return data, pd.DataFrame({"gene": [data["rna"].var_names[0]], "peak": [data["atac"].var_names[0]]})


half = np.arange(60) < 30


@pytest.mark.parametrize(
    ("peak", "counts", "status"),
    [
        (half, None, "ok"),
        (np.ones(60), None, "collinear"),
        (np.arange(60) < 3, None, "peak_rare"),
        (np.arange(60) < 4, None, "peak_rare"),
        (np.arange(60) < 5, None, "ok"),
        (half, np.arange(60) < 2, "gene_rare"),
        (half, ~half, "separated"),
        (half, half, "separated"),
        (np.zeros(60), None, "peak_rare"),
    ],
)
def test_scan__status_of_degenerate_pairs(peak, counts, status):
    mdata, pairs = planted(peak, counts)
    found = sl.tl.scan(mdata, pairs, formula="percent.mito", ladder=[(20, None)])
    assert found["status"].tolist() == [status]
    assert found["group"].tolist() == ["all"]


def test_scan__peak_that_a_covariate_explains_is_collinear():
    mdata, pairs = planted(half)
    mdata.obs["batch"] = np.where(half, "b", "a")
    assert sl.tl.scan(mdata, pairs, formula="batch", p_value="wald", ladder="none")["status"].tolist() == ["collinear"]


def test_scan__a_level_that_a_group_does_not_have_is_dropped(data, pairs):
    mdata = data.mdata
    mdata.obs["site"] = np.where(mdata.obs["celltype"].astype(str) == "CD14-Mono", "one", "two")
    plain = sl.tl.scan(mdata, pairs, groupby="celltype", p_value="wald", ladder="none")
    with_site = sl.tl.scan(
        mdata, pairs, groupby="celltype", p_value="wald", ladder="none", formula="log(nUMI) + percent.mito + site"
    )
    same(with_site, plain)


def test_scan__constant_covariate_in_one_group_is_a_status_and_in_all_an_error(data, pairs):
    mdata = data.mdata
    mdata.obs["age"] = np.where(mdata.obs["celltype"].astype(str) == "CD14-Mono", 50.0, np.arange(500) % 7)
    found = sl.tl.scan(mdata, pairs, groupby="celltype", p_value="wald", ladder="none", formula="age")
    mono = found[found["group"] == "CD14-Mono"]
    assert set(mono["status"]) <= {"collinear", "gene_rare", "peak_rare"}
    assert (found["status"] == "ok").any()
    with pytest.raises(DesignError, match=r"group 'CD14-Mono': 'age' is constant \(50\)"):
        sl.tl.scan(mdata, pairs, groupby="celltype", groups=["CD14-Mono"], formula="age")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"groupby": "cell_type"}, MissingKeyError, "no column 'cell_type'.*its columns are"),
        ({"groupby": "celltype", "groups": ["T"]}, MissingKeyError, "no cell has celltype 'T'; the values are"),
        ({"groupby": "celltype", "groups": []}, InputError, "no group to analyse"),
        ({"groups": ["T"]}, InputError, "give groupby"),
        ({"groupby": "celltype", "groups": "T"}, InputError, r"write \['T'\]"),
        ({"formula": "log(nUMIs)"}, MissingKeyError, r"did you mean 'nUMI'\?"),
        ({"formula": "log(nUMI"}, OptionError, "parentheses do not match"),
        ({"formula": "empty"}, DesignError, "covariate 'empty' is missing in 3 of 500 cells of group 'all'"),
        ({"formula": "nUMI + twice"}, DesignError, "'twice' is a combination of 'nUMI'"),
        ({"formula": "log(zero)"}, DesignError, r"term 'log\(zero\)' is not finite in 1 cells"),
        ({"family": "gamma"}, OptionError, "family: .*'poisson' or 'negbin'"),
        ({"p_value": "bayes"}, OptionError, "p_value: "),
        ({"ladder": "scnt"}, OptionError, "ladder 'scnt' is not known"),
        ({"min_fraction": 1.5}, OptionError, "min_fraction: "),
        ({"fdr_method": "bonferroni"}, OptionError, "method: "),
    ],
)
def test_scan__says_what_is_wrong_before_it_starts(data, pairs, options, error, message):
    mdata = data.mdata
    mdata.obs["empty"] = np.where(np.arange(500) < 3, np.nan, 1.0 + np.arange(500))
    mdata.obs["twice"] = 2.0 * mdata.obs["nUMI"]
    mdata.obs["zero"] = np.arange(500.0)
    with pytest.raises(error, match=message):
        sl.tl.scan(mdata, pairs, **options)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: t.drop(columns="peak"), MissingKeyError, "no column 'peak'"),
        (lambda t: t.assign(gene="NOSUCH"), MissingKeyError, "1 genes of the pairs are not in the data .*NOSUCH"),
    ],
)
def test_scan__refuses_pairs_that_it_cannot_use(data, pairs, change, error, message):
    with pytest.raises(error, match=message):
        sl.tl.scan(data.mdata, change(pairs))


def test_scan__pairs_given_twice_are_tested_once(data, pairs, caplog):
    some = pairs.iloc[:5]
    found = sl.tl.scan(data.mdata, pd.concat([some, some]), p_value="wald", ladder="none")
    assert len(found) == 5
    assert "5 pairs were given more than once" in caplog.text


def test_scan__matches_r_scent_on_256_real_pairs(shared):
    folder = shared / "pbmc10k"
    mdata = sl.io.read(rna=folder / "rna_matrix.rds", atac=folder / "atac_matrix.rds", cells=folder / "metafile.rds")
    reference = pd.read_csv(folder / "scent_R_CD14-Mono.csv")
    assert len(reference) == 256
    found = sl.tl.scan(mdata, reference[["gene", "peak"]], groupby="celltype", groups=["CD14-Mono"], ladder="capstone")
    both = found.merge(reference, on=["gene", "peak"], suffixes=("", "_r"), validate="one_to_one")
    assert (both["status"] == "ok").all()
    for name, bound in [("beta", 1e-12), ("se", 1e-12), ("p", 1e-11)]:
        assert (both[name] - both[f"{name}_r"]).abs().max() < bound
    p = both[["p_boot", "boot_basic_p_run1", "boot_basic_p_run2"]]
    rank = p.corr(method="spearman").to_numpy()
    apart = [[np.median(np.abs(np.log10(p.iloc[:, i] / p.iloc[:, j]))) for i in range(3)] for j in range(3)]
    # Runs differ by chance, R's two as well: as near to each of them as they are to each other, within that chance.
    for run in (1, 2):
        assert rank[0, run] > rank[1, 2] - 0.01
        assert apart[0][run] < apart[1][2] + 0.02
        # The limit of the bootstrap is nearer to each draw of it than two draws are to each other.
        assert both["p_tail"].corr(p[f"boot_basic_p_run{run}"], method="spearman") > max(0.96, rank[1, 2])


def test_scan__one_open_cell_says_nothing():
    # With one or two open cells the residual that the sandwich needs is 0, and most resamples lose the peak.
    mdata, pairs = planted(np.arange(60) < 4)
    assert sl.tl.scan(mdata, pairs, formula="1", p_value="wald", ladder="none")["status"].tolist() == ["peak_rare"]
    mdata, pairs = planted(np.arange(60) < 56)
    assert sl.tl.scan(mdata, pairs, formula="1", p_value="wald", ladder="none")["status"].tolist() == ["peak_rare"]
    mdata, pairs = planted(np.arange(60) < 1)
    alone = sl.tl.scan(
        mdata, pairs, formula="1", p_value="robust", ladder="none", min_nonzero=1, min_fraction=0.01
    ).iloc[0]
    assert alone["status"] == "ok"
    assert np.isfinite(alone["se"])
    assert np.isnan(alone["se_robust"])
    # Any of 60 cells might have been the open one.
    assert alone["p_robust"] > 0.999 / 60


def test_scan__type_of_a_covariate_is_not_forgotten_in_a_folder(data, pairs, tmp_path):
    with quiet():
        mdata = data.mdata.copy()
    mdata.obs["site"] = np.arange(500) % 3
    options = {"formula": "site", "p_value": "wald", "ladder": "none", "out": tmp_path}
    as_number = sl.tl.scan(mdata, pairs, **options)
    mdata.obs["site"] = pd.Categorical(mdata.obs["site"].astype(str))
    as_text = sl.tl.scan(mdata, pairs, **options)
    same(as_text, sl.tl.scan(mdata, pairs, formula="site", p_value="wald", ladder="none"))
    assert not as_text["beta"].equals(as_number["beta"])


def test_scan__plan_is_found_again_whatever_the_last_bits_of_the_design(data, pairs, tmp_path, monkeypatch):
    from scanlink.pp import formula

    options = {"groupby": "celltype", "p_value": "wald", "ladder": "none", "out": tmp_path}
    first = sl.tl.scan(data.mdata, pairs, **options)
    original = formula.Model.design

    def other_processor(self, cells, *, group="all"):
        found = original(self, cells, group=group)
        return formula.GroupDesign(np.nextafter(found.matrix, 1e9), found.offset, found.names, found.dropped)

    monkeypatch.setattr(formula.Model, "design", other_processor)
    same(sl.tl.scan(data.mdata, pairs, **options), first)
    assert len(list(tmp_path.glob("parts/scan-*"))) == 1


@pytest.mark.parametrize(
    ("distance", "message"),
    [
        ([0.5, 2, 3], r"1 distances of the pairs are no whole number of bp \('0.5'\)"),
        ([np.inf, 2, 3], r"1 distances .*'inf'"),
        (["far", 2, 3], r"1 distances .*'far'"),
    ],
)
def test_scan__refuses_distances_that_are_none(data, pairs, distance, message):
    with pytest.raises(InputError, match=message):
        sl.tl.scan(data.mdata, pairs.iloc[:3].assign(distance=distance))


def test_scan__a_distance_may_be_missing(data, pairs):
    found = sl.tl.scan(data.mdata, pairs.iloc[:3].assign(distance=[1, None, -3]), p_value="wald", ladder="none")
    assert found["distance"].tolist()[::2] == [1, -3]
    assert found["distance"].isna().tolist() == [False, True, False]


def test_scan__numbers_as_group_names(data, pairs):
    with quiet():
        mdata = data.mdata.copy()
    mdata.obs["leiden"] = np.where(np.arange(500) < 3, np.nan, np.arange(500) % 2)
    assert sl.tl.scan(mdata, pairs, groupby="leiden", groups=[1], p_value="wald", ladder="none")[
        "group"
    ].unique().tolist() == ["1"]


def test_scan__refuses_backed_data_and_a_client_that_is_none(data, pairs, tmp_path):
    data.write(tmp_path)
    with quiet():
        opened = mudata.read_h5mu(tmp_path / "multiome.h5mu", backed=True)
    with pytest.raises(InputError, match=r"on disk \(backed\): call mdata = scanlink.pp.filter_features"):
        sl.tl.scan(opened, pairs)
    opened.file.close()
    with pytest.raises(InputError, match="expected a Dask client"):
        sl.tl.scan(data.mdata, pairs, client="tcp://10.0.0.1:8786")
