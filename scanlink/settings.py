"""How much scanlink says, as ``scanlink.settings.verbosity``.

Nothing is set by importing scanlink, and by default Python shows warnings only. Setting the verbosity, also to the
number it has, shows messages on standard error, unless logging was set up before.

>>> import scanlink as sl
>>> sl.settings.verbosity
1
>>> sl.settings.verbosity = "info"
>>> sl.settings.verbosity
2
>>> sl.settings.verbosity = 1
"""

from __future__ import annotations

import logging
import sys
from types import ModuleType
from typing import Any

from scanlink.errors import OptionError

__all__ = ["verbosity"]

verbosity: int | str

# As scanpy counts.
_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}
_NAMES = tuple(_LEVELS)


class _Settings(ModuleType):
    """The module, so that assigning to ``settings.verbosity`` does something."""

    @property
    def verbosity(self) -> int:
        """What is shown: 0 errors, 1 warnings too, 2 what is done and found, 3 details for those who look for a fault.

        It may be set to a number or to ``"error"``, ``"warning"``, ``"info"``, ``"debug"``.
        """
        level = logging.getLogger("scanlink").getEffectiveLevel()
        return sum(level <= of for of in list(_LEVELS.values())[1:])

    @verbosity.setter
    def verbosity(self, value: Any) -> None:
        name = value if isinstance(value, str) else None
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(_NAMES):
            name = _NAMES[value]
        if name not in _LEVELS:
            raise OptionError(f"verbosity: expected 0 to 3, or {', '.join(_NAMES)}; found {value!r}")
        logger = logging.getLogger("scanlink")
        logger.setLevel(_LEVELS[name])
        if not logger.hasHandlers():
            handler = logging.StreamHandler(_StandardError())
            handler.setFormatter(logging.Formatter("%(message)s"))
            logger.addHandler(handler)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in ("verbosity", "__class__") and not name.startswith("__"):
            raise AttributeError(f"scanlink.settings has no {name!r}; it has verbosity")
        super().__setattr__(name, value)


class _StandardError:
    """Standard error as it is when something is written: notebooks and tests exchange it."""

    def write(self, text: str) -> object:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


sys.modules[__name__].__class__ = _Settings
