"""Screens as users of muon, scanpy and pertpy have them go through pp and tl, with the numbers of sl.io."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData
from pandas.testing import assert_frame_equal

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError
from scanlink.io.opening import quiet
from scanlink.pp.cell_cycle import G2M_GENES, S_GENES

SIMULATED = sl.tl.simulate_screen(
    n_cells=500, n_genes=4, n_targets=4, guides_per_target=2, n_non_targeting=4, guides_per_cell=4.0, seed=3
)
TARGET = SIMULATED.pairs["target"][0]
BATCH = SIMULATED.mdata.obs["prep_batch"].astype(str)


def parts() -> dict[str, AnnData]:
    """Genes and guides without any covariate but the batch, which stands in the table of the genes."""
    with quiet():
        rna, guide = (
            AnnData(SIMULATED.mdata[name].X.astype(np.float32), var=SIMULATED.mdata[name].var.copy())
            for name in ("rna", "guide")
        )
    rna.obs_names = guide.obs_names = SIMULATED.mdata.obs_names
    rna.obs["prep_batch"] = BATCH.to_numpy()
    return {"rna": rna, "guide": guide}


def analysed(data, **places) -> dict[str, pd.DataFrame]:
    """Everything from thresholds to tests, on the data as they are."""
    keys = {name: key for name, key in places.items() if name != "layer"}
    sl.pp.assign_guides(data, threshold=7, **places)
    sl.pp.screen_qc(data, **places)
    pairs = sl.pp.screen_pairs(data, SIMULATED.genes, **keys)
    options = {"formula": "prep_batch + guide_count + offset(log(nUMI))", "seed": 1, "n_controls": 10, **places}
    targets = sl.tl.target_pairs(SIMULATED.pairs)
    both = {"controls": ["non_targeting", "shuffled"], **options}
    return {
        "calls": pd.DataFrame(sl.pp.guide_calls(data, **places)),
        "perturbation": pd.DataFrame({"x": sl.pp.perturbation(data, TARGET, **places)}),
        "pairs": pairs,
        "screen": sl.tl.screen(data, pairs, **both),
        "interactions": sl.tl.screen_interactions(data, targets, **both, min_both=2),
    }


@pytest.fixture(scope="module")
def expected() -> dict[str, pd.DataFrame]:
    tables = analysed(sl.io.assemble_screen(*parts().values()))
    assert (tables["screen"]["status"] == "ok").sum() > 10
    assert (tables["interactions"]["status"] == "ok").any()
    assert 0 < tables["calls"].to_numpy().mean() < 1
    return tables


def joined(names=("rna", "guide"), change=lambda adata: adata, **more: AnnData) -> MuData:
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        named = {name: change(part) for name, part in zip(names, parts().values(), strict=True)}
        return MuData({**named, **more})


def normalised(adata: AnnData) -> AnnData:
    """Counts in a layer, their logarithms in X."""
    adata.layers["counts"] = adata.X.copy()
    adata.X = adata.X.log1p()
    return adata


def dense(adata: AnnData) -> AnnData:
    adata.X = adata.X.toarray()
    return adata


def by_other_names(adata: AnnData) -> AnnData:
    """Targets and places as the IGVF has them, and controls called NTC."""
    if "target" in adata.var:
        places = {
            name: f"intended_target_{other}" for name, other in (("chrom", "chr"), ("start", "start"), ("end", "end"))
        }
        adata.var = adata.var.rename(columns={"target": "intended_target_name", **places})
        adata.var["intended_target_name"] = adata.var["intended_target_name"].replace("non-targeting", "NTC")
    return adata


def with_ntc(adata: AnnData) -> AnnData:
    if "target" in adata.var:
        adata.var["target"] = adata.var["target"].astype(str).replace("non-targeting", "NTC")
    return adata


def of_other_cells() -> MuData:
    """More cells among the guides, in another order, and proteins of a few cells."""
    rna, guide = parts().values()
    more = AnnData(sp.csr_matrix(np.ones((9, guide.n_vars), dtype=np.float32)), var=guide.var)
    more.obs_names = [f"CCCC{k}-1" for k in range(9)]
    every = AnnData(sp.vstack([guide.X, more.X]), obs=pd.concat([guide.obs, more.obs]), var=guide.var.copy())
    few = AnnData(np.ones((20, 2)), obs=pd.DataFrame(index=rna.obs_names[:20]))
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MuData({"rna": rna, "gdo": every[::-1].copy(), "adt": few})


def one_anndata() -> AnnData:
    """As scanpy reads a file of 10x: features of all types side by side; guides have targets, as a user adds them."""
    rna, guide = parts().values()
    var = pd.concat(
        [
            rna.var.assign(feature_types="Gene Expression"),
            pd.DataFrame({"feature_types": "Antibody Capture"}, index=["CD4", "CD8"]),
            guide.var.assign(feature_types="CRISPR Guide Capture"),
        ]
    )
    counts = sp.hstack([rna.X, np.ones((rna.n_obs, 2), dtype=np.float32), guide.X], format="csr")
    return AnnData(counts, obs=rna.obs.copy(), var=var)


DATA = {
    "named gex and grna": (lambda: joined(("gex", "grna")), {}),
    "named RNA and gdo": (lambda: joined(("RNA", "gdo")), {}),
    "named as nobody does": (lambda: joined(("x", "y")), {"rna_key": "x", "guide_key": "y"}),
    "with our names": (joined, {}),
    "dense": (lambda: joined(change=dense), {}),
    "normalised, counts in a layer": (lambda: joined(change=normalised), {}),
    "normalised, layer= given": (lambda: joined(change=normalised), {"layer": "counts"}),
    "targets under other names": (lambda: joined(change=by_other_names), {}),
    "controls called NTC": (lambda: joined(change=with_ntc), {}),
    "other cells in each modality": (of_other_cells, {}),
    "a pair": (lambda: tuple(parts().values()), {}),
    "a mapping": (lambda: dict(zip(("GEX", "sgRNA"), parts().values(), strict=True)), {}),
    "one AnnData": (one_anndata, {}),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("label", DATA)
def test_screen__of_others_gives_the_numbers_of_files(label, expected, caplog):
    make, places = DATA[label]
    data = make()
    tables = analysed(data, **places)
    for name, table in expected.items():
        assert_frame_equal(tables[name], table, check_exact=True)
    # What was given has new columns of cells and guides, and is else as it was.
    before = make()
    names = list(before.mod) if isinstance(data, MuData) else []
    assert [data[name].shape for name in names] == [before[name].shape for name in names]
    if "normalised" in label:
        assert data["rna"].X.max() < 15
        assert ("X does not hold raw counts; its layer 'counts' is used" in caplog.text) == (not places)
    if "other cells" in label:
        assert "500 cells are in rna and in guide, of up to 509 in one of them" in caplog.text
        assert data["gdo"].var["threshold"].tolist() == [7] * data["gdo"].n_vars
        assert data.obs["guide_count"].isna().sum() == 9
    if isinstance(data, AnnData):
        assert data.var["threshold"].notna().sum() == SIMULATED.mdata["guide"].n_vars


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_screen__a_view_gives_the_numbers_of_its_copy():
    rows = np.arange(500) % 3 > 0
    whole = sl.io.assemble_screen(*parts().values())
    pairs = sl.pp.screen_pairs(whole, SIMULATED.genes)
    sl.pp.assign_guides(whole)
    sl.pp.screen_qc(whole)
    options = {"formula": "guide_count + offset(log(nUMI))", "controls": []}
    with quiet():
        copy = whole[rows].copy()
    assert_frame_equal(sl.tl.screen(whole[rows], pairs, **options), sl.tl.screen(copy, pairs, **options))
    np.testing.assert_array_equal(sl.pp.guide_calls(whole[rows]), sl.pp.guide_calls(whole)[rows])
    np.testing.assert_array_equal(sl.pp.perturbation(whole[rows], TARGET), sl.pp.perturbation(whole, TARGET)[rows])


def test_screen__that_cannot_be_used_says_what_to_write():
    nobody = joined(("x", "y"))
    for call in (sl.pp.screen_qc, sl.pp.assign_guides, sl.pp.guide_calls):
        with pytest.raises(
            MissingKeyError, match=r"no modality '\w+' .* found 'x', 'y': .* give \w+_key= with the name"
        ):
            call(nobody)
    with pytest.raises(MissingKeyError, match="guide_key: no modality 'z' in the data, found 'x', 'y'"):
        sl.tl.screen(nobody, SIMULATED.pairs, rna_key="x", guide_key="z")
    unnamed = joined()
    unnamed["guide"].var = unnamed["guide"].var[["efficiency"]]
    with pytest.raises(
        MissingKeyError, match=r"guide.var has no column of targets, found 'efficiency': write them into"
    ):
        sl.tl.screen(unnamed, SIMULATED.pairs)
    with pytest.raises(
        InputError, match=r"found AnnData without a column feature_types that tells genes .* and guides"
    ):
        sl.tl.screen(parts()["rna"], SIMULATED.pairs)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_filter_features__keeps_the_guides_of_a_screen():
    clean = sl.pp.filter_features(sl.io.assemble_screen(*parts().values()), min_fraction=0.5, modalities="rna")
    assert 0 < clean["rna"].n_vars < SIMULATED.mdata["rna"].n_vars
    for label in ("named gex and grna", "normalised, counts in a layer", "a pair", "one AnnData"):
        data = sl.pp.filter_features(DATA[label][0](), min_fraction=0.5, modalities="rna")
        rna, guide = data.mod.values()
        assert rna.var_names.tolist() == clean["rna"].var_names.tolist(), label
        assert guide.shape == clean["guide"].shape


def cycling() -> AnnData:
    """Genes of the cell cycle among others, in 60 cells of which 20 are in S."""
    rng = np.random.default_rng(1)
    names = [*S_GENES, *G2M_GENES, *(f"g{k}" for k in range(400))]
    mean = np.ones((60, len(names)))
    mean[:20, :43] = 3
    return AnnData(sp.csr_matrix(rng.poisson(mean).astype(np.float32)), var=pd.DataFrame(index=names))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_cell_cycle__is_that_of_files_for_any_data():
    guide = AnnData(np.full((60, 1), 9.0), var=pd.DataFrame({"target": ["enh1"]}, index=["g1"]))
    peaks = AnnData(np.ones((60, 1)), var=pd.DataFrame(index=["chr1:1-2"]))
    clean = sl.io.assemble_screen(cycling(), guide)
    sl.pp.cell_cycle(clean)
    scores = clean.obs[["s_score", "g2m_score"]]
    assert scores["s_score"][:20].min() > scores["s_score"][20:].max()
    # Cells that only the genes have do not count.
    more = AnnData(sp.vstack([cycling().X, cycling().X[40:]]), var=cycling().var)
    with quiet():
        data = [
            (MuData({"gex": normalised(cycling()), "grna": guide}), {"layer": {"rna": "counts"}}),
            (MuData({"x": cycling(), "y": guide}), {"rna_key": "x", "guide_key": "y"}),
            (MuData({"rna": more, "gdo": guide}), {}),
            (MuData({"rna": normalised(cycling()), "peaks": peaks}), {}),
            (MuData({"rna": cycling()}), {}),
            ((cycling(), peaks), {}),
        ]
    for mdata, places in data:
        sl.pp.cell_cycle(mdata, **places)
        obs = mdata[0].obs if isinstance(mdata, tuple) else mdata.obs
        np.testing.assert_array_equal(obs[scores.columns][:60], scores)
        assert obs[scores.columns][60:].isna().to_numpy().all()
