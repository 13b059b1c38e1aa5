"""Every error that scanlink raises on purpose.

Each is also a built-in error, so that code which knows nothing of scanlink can catch it. A message says what was
found, what was expected and what to do; lists of offenders are cut after the first few, with their count.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "DesignError",
    "EmptyTableError",
    "InputError",
    "MissingKeyError",
    "OptionError",
    "RunError",
    "ScanlinkError",
    "first_few",
]


class ScanlinkError(Exception):
    """Base of all errors of this package."""


class InputError(ScanlinkError, ValueError):
    """A file, table or matrix is not what it has to be."""


class EmptyTableError(InputError):
    """A table has the columns that it has to have, but no row."""


class DesignError(InputError):
    """The covariates of a model cannot be used: missing values, rank deficiency, too few cells."""


class OptionError(ScanlinkError, ValueError):
    """An option has a value, or a name, that does not exist."""


class MissingKeyError(ScanlinkError, KeyError):
    """A column, modality, group, gene or peak that was asked for is not there."""

    def __str__(self) -> str:
        # KeyError would show the message in quotes, with its line breaks escaped.
        return str(self.args[0]) if self.args else ""


class RunError(ScanlinkError, RuntimeError):
    """A run cannot start, go on or end: locked or changed folder, failed blocks, lost workers."""


def first_few(items: Iterable[object], *, most: int = 5) -> str:
    """Name the first offenders and say how many more there are.

    Parameters
    ----------
    items
        What to name, in order.
    most
        How many are named.

    Returns
    -------
    str
        The names in quotes, and the number of the others.

    Examples
    --------
    >>> first_few(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    named = list(items)
    text = ", ".join(repr(str(item)) for item in named[:most])
    left = len(named) - most
    return f"{text} and {left} more" if left > 0 else text
