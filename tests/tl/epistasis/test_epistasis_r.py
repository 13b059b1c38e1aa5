"""Contrasts and interactions of real pairs of enhancers against R: see epistasis_r/README.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scanlink as sl
from scanlink.io.releases import EXACT_NUMBERS

pytestmark = [pytest.mark.slow, pytest.mark.shared]

FOLDER = Path(__file__).parent / "epistasis_r"
KEYS = ["group", "gene", "enhancer_1", "enhancer_2"]
STATES = ["10", "01", "11"]


def table(name):
    # The default parser is off by an ulp now and then.
    return pd.read_csv(FOLDER / name, **EXACT_NUMBERS)


@pytest.fixture(scope="module")
def mdata(shared):
    folder = shared / "pbmc10k"
    return sl.io.read(
        rna=folder / "rna_matrix.rds", atac=folder / "atac_matrix.rds", cells=folder / "metafile.rds", one_based=True
    )


def compared(mdata, reference, **options):
    """Our results beside those of R, whose columns end in ``_r``. Every pair is ok in R."""
    found = sl.tl.epistasis(
        mdata,
        reference[KEYS],
        groupby="celltype",
        formula="percent.mito + offset(log(nUMI))",
        **{"p_value": "robust", "ladder": "none", **options},
    )
    assert len(found) == len(reference)
    same = {name: name + "_r" for name in reference if name not in KEYS}
    both = found.merge(reference.rename(columns=same), on=KEYS, validate="one_to_one")
    assert len(both) == len(reference)
    assert (both["status"] == "ok").all()
    return both


def apart(both, ours, theirs=None):
    """Largest absolute difference of a column from R's."""
    return (both[ours] - both[(theirs or ours) + "_r"]).abs().max(skipna=False)


@pytest.fixture(scope="module")
def joint(mdata):
    return compared(mdata, table("pairs.csv.gz"), model="joint")


@pytest.fixture(scope="module")
def separate(mdata):
    return compared(mdata, table("pairs.csv.gz"), model="separate")


def test_epistasis_r__has_pairs_of_three_cell_types():
    reference = table("pairs.csv.gz")
    assert reference.groupby("group").size().to_dict() == {"CD14-Mono": 630, "CD4-TCM": 666, "CD8-Naive": 687}
    assert not reference.duplicated(KEYS).any()
    assert not reference.isna().any(axis=None)
    assert (reference["converged"] == 1).all()


def test_epistasis_r__cells_and_counts_of_the_states(joint):
    for state in ("00", *STATES):
        assert (joint[f"n_{state}"] == joint[f"n_{state}_r"]).all()
        assert (joint[f"umi_{state}"] == joint[f"umi_{state}_r"]).all()
    assert (joint["n_cells"] == joint[["n_00", "n_10", "n_01", "n_11"]].sum(axis=1)).all()


@pytest.mark.parametrize("contrast", [*STATES, "interaction"])
def test_epistasis_r__joint_contrasts_equal_glm(joint, contrast):
    assert apart(joint, f"beta_{contrast}") < 1e-8
    assert apart(joint, f"se_{contrast}") < 1e-5


def test_epistasis_r__interaction_is_the_coefficient_of_x1_x2(joint):
    assert apart(joint, "beta_interaction") < 1e-8
    assert apart(joint, "p_interaction") < 1e-6
    # R's own states do not say that: its x1:x2 comes from another model.
    of_states = joint["beta_11_r"] - joint["beta_10_r"] - joint["beta_01_r"]
    assert (joint["beta_interaction"] - of_states).abs().max() < 1e-8


def test_epistasis_r__reri_is_that_of_the_delta_method(joint):
    assert apart(joint, "reri") < 1e-8
    assert apart(joint, "se_reri") < 1e-5


def test_epistasis_r__cook_ratio_equals_cooks_distance(joint):
    np.testing.assert_allclose(joint["cook_ratio"], joint["cook_ratio_r"], rtol=1e-4)
    # Pairs on both sides of the bound of GLiMMIRS.
    assert 0 < (joint["cook_ratio_r"] > 5).mean() < 1


@pytest.mark.parametrize("contrast", STATES)
def test_epistasis_r__separate_contrasts_equal_glm_on_the_cells_of_the_paper(separate, contrast):
    assert apart(separate, f"beta_{contrast}", f"separate_beta_{contrast}") < 1e-8
    assert apart(separate, f"se_{contrast}", f"separate_se_{contrast}") < 1e-5
    assert apart(separate, f"p_{contrast}", f"separate_p_{contrast}") < 1e-6


def test_epistasis_r__separate_and_joint_are_not_the_same_model(separate):
    # Covariates are fitted on other cells: a joint fit under another name would not be seen above by much.
    assert apart(separate, "beta_11") > 1e-3


def test_epistasis_r__dosage_coding_is_that_of_the_paper(mdata, caplog):
    reference = table("pairs.csv.gz").iloc[::10]
    both = compared(mdata, reference, model="separate", coding="dosage")
    assert "beta_11 is half of the log fold change" in caplog.text
    assert apart(both, "beta_11", "dosage_beta_11") < 1e-8
    assert apart(both, "se_11", "dosage_se_11") < 1e-5
    assert apart(both, "p_11", "dosage_p_11") < 1e-6
    for contrast in ("10", "01"):
        assert apart(both, f"beta_{contrast}", f"separate_beta_{contrast}") < 1e-8


@pytest.mark.parametrize("robust", ["HC0", "HC3"])
def test_epistasis_r__sandwich_error_of_the_interaction(mdata, robust):
    reference = table("sandwich.csv.gz")
    assert len(reference) == 60
    both = compared(mdata, reference, robust=robust)
    assert apart(both, "se_robust_interaction", robust.lower()) < 1e-5
    assert (both["hc3_r"] - both["hc0_r"]).abs().max() > 1e-3


def test_epistasis_r__negative_binomial_equals_glm_nb(mdata):
    reference = table("negbin.csv.gz")
    assert len(reference) == 60
    both = compared(mdata, reference, family="negbin", model="joint")
    for contrast in STATES:
        assert apart(both, f"beta_{contrast}") < 1e-6
        assert apart(both, f"se_{contrast}") < 1e-5
    np.testing.assert_allclose(both["theta"], both["theta_r"], rtol=1e-4)
    # Where R warns that theta found no end.
    assert both["theta_converged"].tolist() == both["warnings_r"].isna().tolist()
