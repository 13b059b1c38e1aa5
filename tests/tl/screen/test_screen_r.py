"""Tables of a real screen against R's glm.nb: see tests/stats/glmnb_screen/README.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scanlink as sl
from scanlink.io.releases import EXACT_NUMBERS

pytestmark = pytest.mark.shared

FOLDER = Path(__file__).parents[2] / "stats" / "glmnb_screen"
FORMULA = "prep_batch + log(guide_count) + offset(log(nUMI))"


@pytest.fixture(scope="module")
def mdata(shared):
    found = sl.io.read_screen(shared / "crispri" / "sceptreIGVF_gasperini_9704cells_counts.h5mu")
    sl.pp.assign_guides(found)
    sl.pp.screen_qc(found)
    # Those with which R was asked; the data have none.
    var = found["guide"].var
    var["efficiency"] = (35 + (17 * np.arange(len(var))) % 60) / 100
    return found


def reference(name: str, *, by_efficiency: int, pseudocount: float) -> pd.DataFrame:
    table = pd.read_csv(FOLDER / f"{name}.csv.gz", **EXACT_NUMBERS)
    return table[(table["by_efficiency"] == by_efficiency) & (table["pseudocount"] == pseudocount)]


def guides_of(mdata, by_efficiency: int) -> pd.DataFrame:
    return mdata["guide"].var if by_efficiency else mdata["guide"].var.assign(efficiency=1.0)


def close(found: pd.DataFrame, known: pd.DataFrame, columns: dict[str, str]) -> None:
    for ours, theirs in columns.items():
        np.testing.assert_allclose(found[ours], known[theirs], rtol=0, atol=1e-6, err_msg=ours)
    # A theta on its way to infinity is no estimate, and R says so.
    finite = known["warnings"].isna().to_numpy()
    np.testing.assert_allclose(found["theta"][finite], known["theta"][finite], rtol=1e-4)
    np.testing.assert_array_equal(found["theta_converged"].astype(bool), finite)


@pytest.mark.parametrize(("by_efficiency", "pseudocount", "n"), [(0, 0.0, 50), (0, 0.01, 50), (1, 0.0, 17)])
def test_screen_r__effects(mdata, by_efficiency, pseudocount, n):
    known = reference("base", by_efficiency=by_efficiency, pseudocount=pseudocount)
    assert len(known) == n
    found = sl.tl.screen(
        mdata,
        known[["gene", "target"]],
        guides=guides_of(mdata, by_efficiency),
        formula=FORMULA,
        pseudocount=pseudocount,
        controls=[],
    )
    found = found.set_index(["gene", "target"]).loc[list(zip(known["gene"], known["target"], strict=True))]
    assert (found["status"] == "ok").all()
    close(found.reset_index(), known.reset_index(), {"beta": "beta_x", "se": "se_x"})
    np.testing.assert_array_equal(found["n_perturbed"], known["n_perturbed"])


@pytest.mark.parametrize(("by_efficiency", "pseudocount", "n"), [(0, 0.0, 20), (0, 0.01, 20), (1, 0.0, 7)])
def test_screen_r__interactions(mdata, by_efficiency, pseudocount, n):
    known = reference("pair", by_efficiency=by_efficiency, pseudocount=pseudocount)
    assert len(known) == n
    keys = ["gene", "target_1", "target_2"]
    found = sl.tl.screen_interactions(
        mdata,
        known[keys],
        guides=guides_of(mdata, by_efficiency),
        formula=FORMULA,
        pseudocount=pseudocount,
        min_both=2,
        additive=False,
        controls=[],
    )
    found = found.set_index(keys).loc[list(known[keys].itertuples(index=False, name=None))]
    assert (found["status"] == "ok").all()
    columns = {
        "beta_1": "beta_xA",
        "se_1": "se_xA",
        "beta_2": "beta_xB",
        "se_2": "se_xB",
        "beta_interaction": "beta_xAB",
        "se_interaction": "se_xAB",
    }
    close(found.reset_index(), known.reset_index(), columns)
    np.testing.assert_array_equal(found["n_11"], known["n_perturbed"])
