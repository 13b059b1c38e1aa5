"""False discovery rates of tables: those of statsmodels to the bit, those of the arrays within rounding."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from scanlink.adjustment import adjust_table
from scanlink.errors import InputError, OptionError
from scanlink.stats import adjust


@pytest.mark.parametrize("method", ["bh", "by", "storey"])
def test_adjust_table__is_statsmodels_and_agrees_with_the_arrays(method):
    rng = np.random.default_rng(4)
    p = np.r_[rng.random(3_000), rng.random(300) ** 9, np.repeat(0.02, 50), 0.0, 1.0]
    p[rng.random(p.size) < 0.1] = np.nan
    tested, rates = ~np.isnan(p), adjust_table(p, method=method)
    np.testing.assert_array_equal(np.isnan(rates), ~tested)
    np.testing.assert_allclose(rates, adjust(p, method=method), rtol=1e-13)
    if method != "storey":
        np.testing.assert_array_equal(rates[tested], multipletests(p[tested], method=f"fdr_{method}")[1])


def test_adjust_table__nothing_tested_and_bad_input():
    assert adjust_table([]).shape == (0,)
    assert np.isnan(adjust_table([np.nan, np.nan])).all()
    with pytest.raises(InputError, match=r"from 0\.1 to 1\.5, expected 0 to 1"):
        adjust_table([0.1, 1.5])
    with pytest.raises(OptionError, match="'bonferroni' is not known"):
        adjust_table([0.1], method="bonferroni")
