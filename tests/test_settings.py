"""One number says how much is shown, and importing scanlink sets nothing."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

import scanlink as sl
from scanlink.errors import OptionError

PROGRAM = """
import logging, scanlink as sl
log = logging.getLogger("scanlink")
def say(): log.debug("a debug"), log.info("an info"), log.warning("a warning"), log.error("an error")
print(sl.settings.verbosity, log.handlers, logging.getLogger().handlers)
say()
for verbosity in (0, 1, 2, "debug"):
    sl.settings.verbosity = verbosity
    print(sl.settings.verbosity, len(log.handlers), flush=True)
    say()
"""


def test_verbosity__says_what_is_shown():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["1 [] []", "0 1", "1 1", "2 1", "3 1"]
    levels = ["a debug", "an info", "a warning", "an error"]
    assert done.stderr.splitlines() == [*levels[2:], *levels[3:], *levels[2:], *levels[1:], *levels]


def test_verbosity__leaves_handlers_of_others_alone_and_refuses_what_it_does_not_know():
    logger, level = logging.getLogger("scanlink"), logging.getLogger("scanlink").level
    before = list(logger.handlers)
    try:
        sl.settings.verbosity = 2
        # Those of the tests are there already.
        assert logger.handlers == before
        for wrong in (4, -1, True, "loud", None, 1.5):
            with pytest.raises(OptionError, match="expected 0 to 3, or error, warning, info, debug"):
                sl.settings.verbosity = wrong
        assert sl.settings.verbosity == 2
        with pytest.raises(AttributeError, match="has no 'verbose'; it has verbosity"):
            sl.settings.verbose = 2
    finally:
        logger.setLevel(level)
