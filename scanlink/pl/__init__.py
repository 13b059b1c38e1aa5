"""Pictures of results."""

from scanlink.pl.calibration import calibration
from scanlink.pl.qq import qq
from scanlink.pl.recovery import recovery

__all__ = ["calibration", "qq", "recovery"]
