"""Statistics on plain arrays: fits, robust errors, bootstrap and its tail, calibrated p-values, FDR."""

from scanlink.stats.arrays import ArraySums, Sums, sums_on
from scanlink.stats.bootstrap import Ladder, basic_p, climb
from scanlink.stats.calibrated import GeneNull, PeakNull, calibrated_p, gene_null, peak_null, robust_p
from scanlink.stats.covariates import Covariates
from scanlink.stats.design import culprit, dependent_columns, rescale
from scanlink.stats.fdr import adjust
from scanlink.stats.negbin import NegbinFit, fit_negbin, refit_negbin
from scanlink.stats.poisson import PoissonFit, fit_poisson, refit_poisson
from scanlink.stats.replicates import GeneReplicates, PairReplicates, RefittedPair
from scanlink.stats.resample import WeightBlock, Weights, case_weights, resample_key, weights_from_indices
from scanlink.stats.robust import sandwich_se
from scanlink.stats.saddlepoint import TailP, bootstrap_tail

__all__ = [
    "ArraySums",
    "Covariates",
    "GeneNull",
    "GeneReplicates",
    "Ladder",
    "NegbinFit",
    "PairReplicates",
    "PeakNull",
    "PoissonFit",
    "RefittedPair",
    "Sums",
    "TailP",
    "WeightBlock",
    "Weights",
    "adjust",
    "basic_p",
    "bootstrap_tail",
    "calibrated_p",
    "case_weights",
    "climb",
    "culprit",
    "dependent_columns",
    "fit_negbin",
    "fit_poisson",
    "gene_null",
    "peak_null",
    "refit_negbin",
    "refit_poisson",
    "resample_key",
    "rescale",
    "robust_p",
    "sandwich_se",
    "sums_on",
    "weights_from_indices",
]
