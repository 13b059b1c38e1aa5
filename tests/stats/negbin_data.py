"""Counts of negative binomial fits, and what R makes of them."""

from __future__ import annotations

import numpy as np

__all__ = ["FROM_R", "FROM_R_PSEUDOCOUNT", "made_in_r", "make"]

# Printed by negbin_reference.R: beta, se, deviance, theta, se_theta, log likelihood.
FROM_R = {
    "plain": [
        0.134415609100324,
        0.489527593542581,
        57.163915016503,
        0.461899577306526,
        0.133329938667039,
        -105.979907647609,
    ],
    "offset": [
        0.14859530541408,
        0.504481747008727,
        56.8642911739376,
        0.427857232255977,
        0.120171791717155,
        -107.136171608849,
    ],
    "repeated": [
        0.230038972977156,
        0.493159999487391,
        56.7445901435846,
        0.450422338958242,
        0.129169203772578,
        -104.90937132407,
    ],
    "separated": [
        -25.842833365043,
        48846.2894207725,
        43.3535440230614,
        0.503827068684887,
        0.169246830985189,
        -78.333075201715,
    ],
    "even": [
        -0.287682072451781,
        0.204342639748812,
        3.94000846896099,
        735311.452522649,
        29004778.7255497,
        -86.0533689334989,
    ],
    "held": [0.158449574440698, 0.324326678063963, 104.477393436498],
    "held silent": [-19.3326250973965, 1884.68753796089, 75.0410567053687],
}


# The same with 0.01 added to all counts.
FROM_R_PSEUDOCOUNT = {
    "plain": [
        0.134923100885427,
        0.478494106661112,
        59.0363537433434,
        0.488183563700624,
        0.138216350405909,
        -106.628775071446,
    ],
    "offset": [
        0.150102059570105,
        0.49287830870884,
        58.8304646874743,
        0.452338966303518,
        0.124355994858731,
        -107.839311745411,
    ],
    "repeated": [
        0.229253747329624,
        0.481844582732888,
        58.643806177801,
        0.476381602836593,
        0.13394742186299,
        -105.579320641633,
    ],
    "separated": [
        -5.15277320602261,
        2.61625462089172,
        46.5307781204757,
        0.541748408550651,
        0.177256902273321,
        -79.7059666551991,
    ],
    "held": [0.157855632844042, 0.323948860952204, 104.061022368736],
    "held silent": [-5.15247445149949, 2.5960255214063, 76.1196081693479],
}


def make(n=400, seed=0, beta=0.5, theta=1.0):
    rng = np.random.default_rng(seed)
    depth = rng.normal(size=n)
    opened = (rng.random(n) < 0.2).astype(float)
    mean = np.exp(-0.2 + 0.4 * depth + beta * opened)
    counts = rng.poisson(mean * rng.gamma(theta, 1 / theta, n)).astype(float)
    return counts, np.column_stack([np.ones(n), opened, depth])


def made_in_r():
    """The data of negbin_reference.R."""
    i = np.arange(60)
    peak = (i % 4 == 0).astype(float)
    counts = (((i * i) % 7) * ((i * 5) % 3)) // 2 + (i % 11 == 0) * 9
    data = {
        "counts": counts,
        "silent": counts * (1 - peak),
        "even": 2 + i % 2,
        "offset": ((13 * i) % 60) / 60 - 0.5,
        "times": (i % 4 + 1) % 3,
    }
    return data, np.column_stack([np.ones(60), peak, ((7 * i) % 60) / 30 - 1])
