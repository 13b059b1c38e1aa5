"""Statistics on plain arrays: Poisson fits, robust errors, bootstrap, false discovery rates."""

from scanlink.stats.bootstrap import Ladder, basic_p, climb
from scanlink.stats.covariates import Covariates
from scanlink.stats.design import culprit, dependent_columns, rescale
from scanlink.stats.fdr import adjust
from scanlink.stats.poisson import PoissonFit, fit_poisson, refit_poisson
from scanlink.stats.replicates import GeneReplicates, PairReplicates
from scanlink.stats.resample import WeightBlock, Weights, case_weights, resample_key, weights_from_indices
from scanlink.stats.robust import sandwich_se

__all__ = [
    "Covariates",
    "GeneReplicates",
    "Ladder",
    "PairReplicates",
    "PoissonFit",
    "WeightBlock",
    "Weights",
    "adjust",
    "basic_p",
    "case_weights",
    "climb",
    "culprit",
    "dependent_columns",
    "fit_poisson",
    "refit_poisson",
    "resample_key",
    "rescale",
    "sandwich_se",
    "weights_from_indices",
]
