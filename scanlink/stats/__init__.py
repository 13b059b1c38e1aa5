"""Statistics on plain arrays: fits, robust errors, bootstrap and its tail, calibrated p-values, FDR."""

from scanlink.stats.arrays import ArraySums, Sums, sums_on
from scanlink.stats.bootstrap import Ladder, basic_p, climb, climb_all
from scanlink.stats.calibrated import GeneNull, PeakNull, calibrated_p, gene_null, peak_null, robust_p
from scanlink.stats.covariates import Covariates
from scanlink.stats.design import culprit, dependent_columns, rescale
from scanlink.stats.fdr import adjust
from scanlink.stats.interaction import interaction_p
from scanlink.stats.negbin import NegbinFit, fit_negbin, refit_negbin
from scanlink.stats.poisson import PoissonFit, fit_poisson, refit_poisson
from scanlink.stats.replicates import GeneReplicates, PairReplicates, RefittedPair
from scanlink.stats.resample import WeightBlock, Weights, case_weights, resample_key, weights_from_indices
from scanlink.stats.robust import sandwich_influence, sandwich_se
from scanlink.stats.saddlepoint import TailP, bootstrap_tail
from scanlink.stats.state_replicates import StateReplicates
from scanlink.stats.states import StatesFit, SubFit, fit_states, interaction_signs, state_names

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
    "StateReplicates",
    "StatesFit",
    "SubFit",
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
    "climb_all",
    "culprit",
    "dependent_columns",
    "fit_negbin",
    "fit_poisson",
    "fit_states",
    "gene_null",
    "interaction_p",
    "interaction_signs",
    "peak_null",
    "refit_negbin",
    "refit_poisson",
    "resample_key",
    "rescale",
    "robust_p",
    "sandwich_influence",
    "sandwich_se",
    "state_names",
    "sums_on",
    "weights_from_indices",
]
