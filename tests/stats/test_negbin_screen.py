"""Negative binomial fits of real perturbations against R's glm.nb, with and without pseudocount: see glmnb_screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from screen_cells import load_screen

from scanlink.io.releases import EXACT_NUMBERS
from scanlink.stats import fit_negbin, refit_negbin
from scanlink.stats.combine import compare_links

pytestmark = pytest.mark.shared

FOLDER = Path(__file__).parent / "glmnb_screen"
TERMS = {"base": ["intercept", "x", "batch", "guides"], "pair": ["intercept", "xA", "xB", "batch", "guides", "xAB"]}


@pytest.fixture(scope="module")
def cells(shared):
    return load_screen(shared)


def reference(name):
    # The default parser is off by an ulp now and then.
    return pd.read_csv(FOLDER / f"{name}.csv.gz", **EXACT_NUMBERS)


def terms_of(cells, row):
    """The columns of a design, in the order of R's coefficients."""
    targets = [row.target] if hasattr(row, "target") else [row.target_1, row.target_2]
    x = [cells.perturbed(target, row.by_efficiency == 1) for target in targets]
    product = [x[0] * x[1]] if len(x) == 2 else []
    return np.column_stack([np.ones(x[0].size), *x, cells.covariates, *product])


@pytest.mark.parametrize("pseudocount", [0.0, 0.01], ids="pseudocount={}".format)
@pytest.mark.parametrize("name", TERMS)
def test_fit_negbin__equals_glm_nb_on_a_real_screen(cells, name, pseudocount):
    table = reference(name)
    table = table[table["pseudocount"] == pseudocount]
    assert len(table) == {"base": 67, "pair": 27}[name]
    for row in table.itertuples():
        design = terms_of(cells, row)
        fit = fit_negbin(cells.counts[row.gene], design, offset=cells.depth, pseudocount=pseudocount)
        assert (design[:, -1 if name == "pair" else 1] > 0).sum() == row.n_perturbed
        runaway = isinstance(row.warnings, str)
        assert fit.converged == (row.converged == 1)
        assert fit.theta_converged != runaway
        # A theta on its way to infinity is rounding error, multiplied.
        rel = 1e-3 if runaway else 1e-8
        beta, se = (np.array([getattr(row, f"{what}_{term}") for term in TERMS[name]]) for what in ("beta", "se"))
        np.testing.assert_allclose(fit.coef, beta, rtol=0, atol=1e-8)
        np.testing.assert_allclose(fit.se, se, rtol=1e-6 if runaway else 1e-8)
        np.testing.assert_allclose([fit.theta, fit.se_theta], [row.theta, row.se_theta], rtol=rel)
        assert fit.loglik == pytest.approx(row.loglik, rel=1e-8)
        assert fit.deviance == pytest.approx(row.deviance, rel=1e-6 if runaway else 1e-8)


def test_reference__has_what_is_hard(cells):
    base, pair = reference("base"), reference("pair")
    assert len(base[["gene", "target"]].drop_duplicates()) == 50
    assert len(pair[["gene", "target_1", "target_2"]].drop_duplicates()) == 20
    assert pair["n_perturbed"].between(5, 11).all()
    assert (pair["by_efficiency"] == 1).sum() == 14
    # The pseudocount is no detail.
    both = base.pivot(index=["gene", "target", "by_efficiency"], columns="pseudocount", values=["beta_x", "theta"])
    assert (both["beta_x"][0.01] - both["beta_x"][0]).abs().max() > 0.05
    assert (both["theta"][0.01] > both["theta"][0]).mean() > 0.9


@pytest.mark.parametrize("pseudocount", [0.0, 0.01], ids="pseudocount={}".format)
def test_refit_negbin__reestimates_with_the_pseudocount(cells, pseudocount):
    row = next(row for row in reference("pair").itertuples() if row.pseudocount == pseudocount)
    design, counts = terms_of(cells, row), cells.counts[row.gene]
    one = np.ones((1, counts.size), dtype=np.uint16)
    options = {"target": 5, "offset": cells.depth, "pseudocount": pseudocount}
    like_r = refit_negbin(counts, design, one, reestimate=True, **options)
    assert like_r[0] == pytest.approx(row.beta_xAB, abs=1e-8)
    # At the theta of R the maximum is where R has it, but for R's stopping rules.
    for start in (None, [-7.0, 0.0, 0.0, 0.0, 0.0, 0.0]):
        held = refit_negbin(counts, design, one, theta=row.theta, start=start, **options)
        assert held[0] == pytest.approx(row.beta_xAB, abs=1e-4)


def test_compare_links__agrees_with_r_on_the_likelihood_of_no_interaction(cells):
    rows = [row for row in reference("pair").itertuples() if row.pseudocount == 0 and row.by_efficiency == 0]
    for row in rows[:10]:
        design, counts = terms_of(cells, row), cells.counts[row.gene]
        x1, x2, others = design[:, 1], design[:, 2], design[:, [0, 3, 4]]
        comparison = compare_links(counts, x1, x2, others, offset=cells.depth)
        assert comparison.multiplicative.converged
        assert comparison.additive.converged
        assert comparison.n_both == row.n_perturbed
        # One parameter for what sets doubly perturbed cells apart is more than either model has.
        assert max(comparison.multiplicative.loglik, comparison.additive.loglik) <= row.loglik + 1e-6
        assert row.loglik - comparison.multiplicative.loglik < 0.5 * (row.beta_xAB / row.se_xAB) ** 2 + 1
