"""Pictures of results: each draws, and what all have in common (``show``, ``save``, ``return_fig``) is added here."""

from scanlink.pl._show import shown
from scanlink.pl.additivity import additivity as _additivity
from scanlink.pl.arcs import arcs as _arcs
from scanlink.pl.calibration import calibration as _calibration
from scanlink.pl.distance_decay import distance_decay as _distance_decay
from scanlink.pl.heatmap import heatmap as _heatmap
from scanlink.pl.links_per import links_per as _links_per
from scanlink.pl.qq import qq as _qq
from scanlink.pl.recovery import recovery as _recovery
from scanlink.pl.screen_aic import screen_aic as _screen_aic
from scanlink.pl.screen_links import screen_links as _screen_links
from scanlink.pl.screen_power import screen_power as _screen_power
from scanlink.pl.states import states as _states
from scanlink.pl.volcano import volcano as _volcano

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

additivity = shown(_additivity)
arcs = shown(_arcs)
calibration = shown(_calibration)
distance_decay = shown(_distance_decay)
heatmap = shown(_heatmap)
links_per = shown(_links_per)
qq = shown(_qq)
recovery = shown(_recovery)
screen_aic = shown(_screen_aic)
screen_links = shown(_screen_links)
screen_power = shown(_screen_power)
states = shown(_states)
volcano = shown(_volcano)
