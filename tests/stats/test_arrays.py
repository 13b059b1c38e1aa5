"""Weighted sums by other array libraries: the same p-values."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from test_replicates import made

from scanlink.errors import OptionError
from scanlink.stats import ArraySums, Covariates, GeneReplicates, Ladder, Weights, climb, sums_on
from scanlink.stats._moments import weighted_sums


def namespace(name):
    if name == "torch":
        pytest.importorskip("torch", reason="needs PyTorch: pip install 'scanlink[device]'")
    return importlib.import_module(f"array_api_compat.{name}")


@pytest.mark.parametrize("name", ["numpy", "torch"])
def test_array_sums__are_those_of_the_compiled_loop(name):
    rng = np.random.default_rng(0)
    weights = Weights(3, 301).block(0, 150).cells
    features = rng.normal(size=(301, 7)).astype(np.float32)
    cells = np.flatnonzero(rng.random(301) < 0.3)
    sums = ArraySums(namespace(name))
    for n_columns in (7, 4):
        out, reference = np.empty((2, n_columns, 192), dtype=np.float32)
        sums(weights, cells, features, out)
        weighted_sums(weights, cells, features, reference)
        np.testing.assert_allclose(out, reference, atol=2e-5)
        drawn = Weights(3, 301).block(0, 150).rows(np.arange(150))[:, cells] - 1.0
        exact = np.einsum("rc,ck->kr", drawn, features[cells, :n_columns].astype(float))
        np.testing.assert_allclose(reference[:, :150], exact, atol=2e-5)


def test_array_sums__same_p_values_on_a_device():
    namespace("torch")
    covariates, counts, peak = made(n=700, categories=3)
    on_device = Covariates.of(covariates.design, covariates.offset, sums=sums_on("cpu"))
    results = []
    for design in (covariates, on_device):
        gene = GeneReplicates(design, counts)
        ladder = Ladder.of([(300, 1.0), (1000, None)])
        results.append(climb([(gene, [gene.pair(peak), gene.pair(np.roll(peak, 5))])], ladder, Weights(1, 700)))
    assert results[0] == results[1]


def test_sums_on__says_what_is_wrong():
    namespace("torch")
    with pytest.raises(OptionError, match="device 'abacus' cannot be used here"):
        sums_on("abacus")
