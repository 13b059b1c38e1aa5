"""Pictures of results."""

from scanlink.pl.additivity import additivity
from scanlink.pl.arcs import arcs
from scanlink.pl.calibration import calibration
from scanlink.pl.distance_decay import distance_decay
from scanlink.pl.heatmap import heatmap
from scanlink.pl.links_per import links_per
from scanlink.pl.qq import qq
from scanlink.pl.recovery import recovery
from scanlink.pl.screen_aic import screen_aic
from scanlink.pl.screen_links import screen_links
from scanlink.pl.screen_power import screen_power
from scanlink.pl.states import states
from scanlink.pl.volcano import volcano

__all__ = [
    "additivity",
    "arcs",
    "calibration",
    "distance_decay",
    "heatmap",
    "links_per",
    "qq",
    "recovery",
    "screen_aic",
    "screen_links",
    "screen_power",
    "states",
    "volcano",
]
