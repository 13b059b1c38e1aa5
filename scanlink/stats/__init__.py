"""Statistics on plain arrays: fits, robust errors, bootstrap and its tail, calibrated p-values, FDR."""

from scanlink.stats.arrays import ArraySums, Sums, sums_on
from scanlink.stats.bootstrap import Ladder, basic_p, climb, climb_all
from scanlink.stats.calibrated import GeneNull, PeakNull, calibrated_p, gene_null, peak_null, robust_p
from scanlink.stats.combine import CombinedFit, LinkComparison, compare_links, fit_combined
from scanlink.stats.covariates import Covariates
from scanlink.stats.design import culprit, dependent_columns, rescale
from scanlink.stats.detectable import null_se, smallest_effect
from scanlink.stats.fdr import adjust
from scanlink.stats.images import Permutations, Perturbed
from scanlink.stats.interaction import interaction_p, score_p
from scanlink.stats.negbin import NegbinFit, fit_negbin, refit_negbin
from scanlink.stats.permutation import GeneScore, interaction_permutation_p, permutation_p
from scanlink.stats.perturbation import perturbation_probability
from scanlink.stats.poisson import PoissonFit, fit_poisson, refit_poisson
from scanlink.stats.replicates import GeneReplicates, PairReplicates, RefittedPair
from scanlink.stats.resample import WeightBlock, Weights, case_weights, resample_key, weights_from_indices
from scanlink.stats.robust import cooks_distance, sandwich_influence, sandwich_se
from scanlink.stats.saddlepoint import TailP, bootstrap_tail
from scanlink.stats.state_replicates import StateReplicates
from scanlink.stats.states import fit_states
from scanlink.stats.states_fit import StatesFit, SubFit, interaction_signs, state_names

__all__ = [
    "ArraySums",
    "CombinedFit",
    "Covariates",
    "GeneNull",
    "GeneReplicates",
    "GeneScore",
    "Ladder",
    "LinkComparison",
    "NegbinFit",
    "PairReplicates",
    "PeakNull",
    "Permutations",
    "Perturbed",
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
    "compare_links",
    "cooks_distance",
    "culprit",
    "dependent_columns",
    "fit_combined",
    "fit_negbin",
    "fit_poisson",
    "fit_states",
    "gene_null",
    "interaction_p",
    "interaction_permutation_p",
    "interaction_signs",
    "null_se",
    "peak_null",
    "permutation_p",
    "perturbation_probability",
    "refit_negbin",
    "refit_poisson",
    "resample_key",
    "rescale",
    "robust_p",
    "sandwich_influence",
    "sandwich_se",
    "score_p",
    "smallest_effect",
    "state_names",
    "sums_on",
    "weights_from_indices",
]
