"""Data as users of muon and scanpy have them go through pp and tl as they are, with the numbers of sl.io."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData
from pandas.testing import assert_frame_equal
from pp.tenx_file import SIMULATED, write_10x

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError, OptionError
from scanlink.io.opening import quiet

TYPES = SIMULATED.mdata.obs["celltype"].astype(str)


@pytest.fixture(scope="module")
def tenx(tmp_path_factory) -> Path:
    return write_10x(tmp_path_factory.mktemp("tenx") / "filtered_feature_bc_matrix.h5")


def analysed(mdata, *, type_column="celltype", **places) -> dict[str, pd.DataFrame]:
    """Everything from covariates to tests, on the data as they are."""
    keys = {name: key for name, key in places.items() if name != "layer"}
    sl.pp.qc(mdata, **places)
    mdata = sl.pp.filter_features(mdata, min_fraction=0.1, **places)
    pairs = sl.pp.cis_pairs(mdata, SIMULATED.genes, **keys)
    options = {"groupby": type_column, **places}
    links = sl.tl.scan(mdata, pairs, p_value="robust", ladder="none", formula="log(nUMI)", **options)
    sets = sl.tl.enhancer_pairs(links.assign(fdr=links["fdr"].where(links["fdr"].isna(), 0.0)), fdr=0.5).head(4)
    epi = sl.tl.epistasis(mdata, sets, p_value="robust", ladder="none", formula="offset(log(nUMI))", **options)
    return {"pairs": pairs, "links": links, "epi": epi, "kendall": sl.tl.kendall(mdata, pairs, **options)}


@pytest.fixture(scope="module")
def expected(tenx) -> dict[str, pd.DataFrame]:
    mdata = sl.io.read_10x_h5(tenx)
    mdata.obs["celltype"] = TYPES.astype("category")
    tables = analysed(mdata)
    assert (tables["links"]["status"] == "ok").sum() > 30
    assert tables["pairs"]["gene"].str.contains("_SIMG").any()
    return tables


def modalities(tenx: Path) -> dict[str, AnnData]:
    """The modalities as scanpy reads them, with types of cells in the table of the genes."""
    adata = read_with_scanpy(tenx)
    types = adata.var["feature_types"]
    rna, atac = (adata[:, types == name].copy() for name in ("Gene Expression", "Peaks"))
    rna.obs["celltype"] = TYPES.to_numpy()
    return {"rna": rna, "atac": atac}


def read_with_scanpy(tenx: Path) -> AnnData:
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import scanpy as sc

        return sc.read_10x_h5(tenx, gex_only=False)


def normalised(adata: AnnData) -> AnnData:
    """As the tutorials of scanpy have it: counts in a layer, their logarithms in X."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import scanpy as sc

        adata.layers["counts"] = adata.X.copy()
        sc.pp.normalize_total(adata)
        sc.pp.log1p(adata)
    return adata


def by_hand(tenx, names=("rna", "atac"), change=lambda adata: adata) -> MuData:
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MuData({name: change(part) for name, part in zip(names, modalities(tenx).values(), strict=True)})


def with_muon(tenx) -> MuData:
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import muon

        mdata = muon.read_10x_h5(tenx)
    mdata.obs["celltype"] = TYPES.to_numpy()
    return mdata


def dense(adata: AnnData) -> AnnData:
    adata.X = adata.X.toarray()
    return adata


def by_column(adata: AnnData) -> AnnData:
    adata.X = sp.csc_matrix(adata.X)
    return adata


def other_cells(tenx) -> MuData:
    """More cells in each modality than in both, and in another order."""
    parts = modalities(tenx)
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        more = AnnData(np.ones((9, parts["rna"].n_vars)), var=parts["rna"].var)
        more.obs_names = [f"AAAA{k}-1" for k in range(9)]
        rna = sc_concat([parts["rna"], more])
        return MuData({"rna": rna, "atac": parts["atac"][::-1].copy()})


def sc_concat(parts: list[AnnData]) -> AnnData:
    whole = AnnData(sp.vstack([sp.csr_matrix(part.X) for part in parts]), obs=pd.concat([part.obs for part in parts]))
    whole.var = parts[0].var.copy()
    return whole


DATA = {
    "muon.read_10x_h5": (with_muon, {}),
    "a MuData built by hand": (by_hand, {}),
    "dense": (lambda tenx: by_hand(tenx, change=dense), {}),
    "stored by column": (lambda tenx: by_hand(tenx, change=by_column), {}),
    "named RNA and ATAC": (lambda tenx: by_hand(tenx, ("RNA", "ATAC")), {}),
    "named gex and peaks": (lambda tenx: by_hand(tenx, ("gex", "peaks")), {}),
    "named as nobody does": (lambda tenx: by_hand(tenx, ("x", "y")), {"rna_key": "x", "atac_key": "y"}),
    "normalised, counts in a layer": (lambda tenx: by_hand(tenx, change=normalised), {}),
    "normalised, layer= given": (lambda tenx: by_hand(tenx, change=normalised), {"layer": "counts"}),
    "other cells in each modality": (other_cells, {}),
    "a pair": (lambda tenx: tuple(modalities(tenx).values()), {}),
    "a mapping": (lambda tenx: dict(zip(("GEX", "ATAC"), modalities(tenx).values(), strict=True)), {}),
}


@pytest.mark.filterwarnings("ignore:Variable names are not unique", "ignore:var_names are not unique")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("label", DATA)
def test_data__of_others_give_the_numbers_of_files(label, tenx, expected, caplog):
    make, places = DATA[label]
    data = make(tenx)
    names = list(data.mod) if isinstance(data, MuData) else []
    tables = analysed(data, **places)
    for name, table in expected.items():
        assert_frame_equal(tables[name], table, check_exact=True)
    # What was given is what it was, less the features that were filtered and with columns of cells.
    if isinstance(data, MuData):
        assert list(data.mod) == names
        assert data.obs.loc[TYPES.index, "nUMI"].tolist() == SIMULATED.mdata["rna"].X.sum(axis=1).ravel().tolist()[0]
        assert data[names[1]].n_vars < SIMULATED.mdata["atac"].n_vars
    if "normalised" in label and not places:
        assert "rna: X does not hold raw counts; its layer 'counts' is used" in caplog.text
        assert data["rna"].X.max() < 10
    if "other cells" in label:
        assert "260 cells are in rna and in atac, of up to 269 in one of them" in caplog.text
        assert data.obs["nUMI"].isna().sum() == 9


@pytest.mark.filterwarnings("ignore:Variable names are not unique", "ignore:var_names are not unique")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_data__one_anndata_of_scanpy_gives_the_numbers_of_files(tenx, expected):
    adata = read_with_scanpy(tenx)
    adata.obs["celltype"] = TYPES.to_numpy()
    tables = analysed(adata)
    assert_frame_equal(tables["links"], expected["links"], check_exact=True)
    assert "nUMI" in adata.obs


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore:Variable names are not unique", "ignore:var_names are not unique")
@pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame:DeprecationWarning")
def test_data__a_view_gives_the_numbers_of_its_copy(tenx):
    mdata = sl.io.read_10x_h5(tenx)
    mdata.obs["celltype"] = TYPES.astype("category")
    rows = TYPES.ne(TYPES.iloc[0]).to_numpy()
    pairs = sl.pp.cis_pairs(mdata, SIMULATED.genes)
    sl.pp.qc(mdata)
    views = mdata[rows], by_hand(tenx)[rows]
    options = {"groupby": "celltype", "p_value": "robust", "ladder": "none", "formula": "log(nUMI)"}
    expected = sl.tl.scan(mdata[rows].copy(), pairs, **options)
    with pytest.warns(UserWarning, match="initializing view as actual"):
        sl.pp.qc(views[1])
    for view in views:
        assert_frame_equal(sl.tl.scan(view, pairs, **options), expected, check_exact=True)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore:Variable names are not unique", "ignore:var_names are not unique")
@pytest.mark.parametrize("label", ["muon.read_10x_h5", "normalised, layer= given", "named gex and peaks"])
def test_highly_variable_genes__are_those_of_files(label, tenx):
    mdata = sl.io.read_10x_h5(tenx)
    sl.pp.highly_variable_genes(mdata, n_top=5)
    make, places = DATA[label]
    data = make(tenx)
    sl.pp.highly_variable_genes(data, n_top=5, **places)
    genes = data.mod[next(iter(data.mod))].var
    columns = ["highly_variable", "dispersions_norm"]
    np.testing.assert_array_equal(genes[columns].to_numpy(float), mdata["rna"].var[columns].to_numpy(float))
    assert genes["highly_variable"].dtype == bool


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore:Variable names are not unique", "ignore:var_names are not unique")
@pytest.mark.parametrize("label", DATA)
def test_components__are_those_of_files(label, tenx):
    mdata = sl.io.read_10x_h5(tenx)
    made = {"n": 3, "modalities": ("rna", "atac")}
    share = sl.pp.components(mdata, **made)
    make, places = DATA[label]
    data = make(tenx)
    assert {name: values.tolist() for name, values in sl.pp.components(data, **made, **places).items()} == {
        name: values.tolist() for name, values in share.items()
    }
    first = data[0] if isinstance(data, tuple) else data if isinstance(data, MuData) else data["GEX"]
    columns = [f"{modality}_{k}" for modality in ("rna", "atac") for k in (1, 2, 3)]
    np.testing.assert_array_equal(first.obs.loc[TYPES.index, columns], mdata.obs[columns])


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore:Variable names are not unique", "ignore:var_names are not unique")
def test_components__of_one_modality_need_no_counts_of_the_other(tenx):
    mdata = sl.io.read_10x_h5(tenx)
    sl.pp.components(mdata, n=2)
    parts = modalities(tenx)
    parts["rna"].X = parts["rna"].X.log1p()
    for data in (MuData({"gex": parts["rna"], "peaks": parts["atac"]}), MuData({"ATAC": parts["atac"]})):
        sl.pp.components(data, n=2)
        np.testing.assert_array_equal(data.obs[["atac_1", "atac_2"]], mdata.obs[["atac_1", "atac_2"]])


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore:Variable names are not unique", "ignore:var_names are not unique")
def test_data__that_cannot_be_used_say_what_to_write(tenx):
    pairs = pd.DataFrame({"gene": ["a"], "peak": ["b"]})
    nobody = by_hand(tenx, ("x", "y"))
    with pytest.raises(MissingKeyError, match=r"no modality 'rna' .* found 'x', 'y': .* give rna_key= with the name"):
        sl.tl.scan(nobody, pairs)
    with pytest.raises(MissingKeyError, match="rna_key: no modality 'z' in the data, found 'x', 'y'"):
        sl.tl.scan(nobody, pairs, rna_key="z", atac_key="y")
    two = MuData({**modalities(tenx), "peaks": modalities(tenx)["atac"], "Peaks2": modalities(tenx)["atac"]})
    del two.mod["atac"]
    with pytest.raises(
        OptionError, match=r"several modalities may be atac: .peaks., .Peaks2.\. Pass atac_key= with one"
    ):
        sl.pp.qc(two)
    plain = by_hand(tenx, change=normalised)
    for adata in plain.mod.values():
        adata.layers["raw_counts"] = adata.layers.pop("counts")
    with pytest.raises(
        InputError, match=r"rna: expected raw integer counts, .* fractional .*'raw_counts': pass layer="
    ):
        sl.tl.scan(plain, pairs)
    with pytest.raises(MissingKeyError, match=r"rna has no layer 'count'; layers found: 'raw_counts'"):
        sl.pp.qc(plain, layer="count")
    sl.pp.qc(plain, layer="raw_counts")
    with pytest.raises(InputError, match="found AnnData without a column feature_types"):
        sl.tl.scan(modalities(tenx)["rna"], pairs)
