"""How often negative controls of a screen are rejected, against what p-values promise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scanlink.p_values import PERMUTED_KINDS
from scanlink.tables import CONTROLS
from scanlink.tl.perturbations.row_kinds import ROW_KINDS

if TYPE_CHECKING:
    from scanlink.report.result import Result

__all__ = ["LEVELS", "ControlRates", "Rate", "control_facts", "control_lines", "control_rates", "verdict"]

LEVELS = (0.05, 0.01, 0.001)
# With fewer tests a p-value may reject twice too often and not be marked.
_FEW = 200


@dataclass(frozen=True)
class Rate:
    """Share of the controls of a kind below a level.

    Attributes
    ----------
    level
        What the p-value promises.
    share
        Of the controls, how many have a p-value at or below it.
    error
        Monte-Carlo standard error of the share if controls were independent.
    high
        Upper end of its exact 95 % interval.
    sign
        1: more than promised, -1: fewer, 0: the level lies in the exact 95 % interval.
    """

    level: float
    share: float
    error: float
    high: float
    sign: int

    @property
    def text(self) -> str:
        """Share and error in per cent."""
        if self.share == 0:
            return f"0 (up to {_percent(self.high)})"
        return f"{_percent(self.share)} ± {_percent(self.error)}"


@dataclass(frozen=True)
class ControlRates:
    """Rates of one kind of p-value of one kind of control.

    Attributes
    ----------
    control, kind
        Name of the kind of control on the page, and name of the kind of p-value.
    n
        Number of tests.
    chosen
        Whether results are called on this p-value.
    rates
        Rates at each of the levels.
    """

    control: str
    kind: str
    n: int
    chosen: bool
    rates: tuple[Rate, ...]


def control_rates(table: pd.DataFrame, *, p_value: str | None, end: str = "") -> list[ControlRates]:
    """Rejection rates of the negative controls, for every kind of p-value that the table has.

    Parameters
    ----------
    table
        A screen or its interactions, with the column ``kind``.
    p_value
        The kind on which results are called, as the option has it.
    end
        Behind the names of columns: ``"_interaction"``.

    Examples
    --------
    >>> table = pd.DataFrame({"kind": "shuffled", "p": [0.03, 0.2, 0.4, 0.5], "status": "ok"})
    >>> found = control_rates(table, p_value="wald")[0]
    >>> found.n, found.chosen, [rate.text for rate in found.rates]
    (4, True, ['25 ± 22', '0 (up to 60)', '0 (up to 60)'])
    """
    out = []
    for control in CONTROLS:
        rows = table[(table["kind"] == control) & (table["status"] == "ok")]
        for kind in PERMUTED_KINDS.values():
            if f"{kind.column}{end}" not in rows:
                continue
            p = rows[f"{kind.column}{end}"].to_numpy(dtype=float)
            p = p[~np.isnan(p)]
            if p.size:
                rates = tuple(_rate(p, level) for level in LEVELS)
                out.append(ControlRates(ROW_KINDS[control].words, kind.name, int(p.size), kind.name == p_value, rates))
    return out


def _rate(p: np.ndarray, level: float) -> Rate:
    from scanlink.pl._tables import exact_interval

    k, n = int((p <= level).sum()), p.size
    low, high = (float(end) for end in exact_interval(k, n))
    return Rate(level, k / n, float(np.sqrt(k / n * (1 - k / n) / n)), high, (low > level) - (high < level))


def verdict(rates: list[ControlRates]) -> list[str]:
    """Sentences on the p-value on which results are called, one for each kind of control.

    Parameters
    ----------
    rates
        From :func:`control_rates`.
    """
    sentences = []
    for own in (own for own in rates if own.chosen):
        first = own.rates[0]
        off = [rate for rate in own.rates if rate.sign]
        signs, at = {rate.sign for rate in off}, " and ".join(_level(rate.level) for rate in off)
        word = "not as promised" if len(signs) > 1 else "more than promised" if 1 in signs else "fewer than promised"
        if not off:
            text = "no more or less than chance allows"
            if own.n < _FEW:
                text += ", but so few tests say little"
        else:
            text = f"{word} at {at}" if first.sign else f"as it should be, but {word} at {at}"
            worst = max(off, key=lambda rate: rate.share / rate.level)
            if worst.sign > 0:
                text += f" ({worst.share / worst.level:.2g} times as many at {_level(worst.level)})"
        tests = f"{own.n:,} {'test' if own.n == 1 else 'tests'}"
        sentences.append(
            f"Of {tests} of {own.control} controls {_percent(first.share)} % are at or below .05, where 5 % should be: "
            f"{text}."
        )
    return sentences


def control_facts(result: Result, end: str = "") -> dict[str, Any]:
    """Give the rates of a page's negative controls, and the verdict on them.

    Parameters
    ----------
    result
        A screen or its interactions.
    end
        Behind the names of columns: ``"_interaction"``.
    """
    rates = control_rates(result.rows, p_value=result.options.get("p_value"), end=end)
    return {"rates": rates, "verdict": verdict(rates)}


def control_lines(table: pd.DataFrame) -> list[str]:
    """Say how often each kind of control is rejected, for the command line.

    Parameters
    ----------
    table
        A screen or its interactions, with the column ``kind``.
    """
    tested = table[table["kind"].isin(CONTROLS) & (table["status"] == "ok")]
    shares = [(kind, rows, float((rows["p_value"] < 0.05).mean())) for kind, rows in tested.groupby("kind", sort=False)]
    return [f"  control {kind:<15}{len(rows):>8,} tests, {100 * share:.1f} % below .05" for kind, rows, share in shares]


def _level(level: float) -> str:
    return f"{level:g}".removeprefix("0")


def _percent(share: float) -> str:
    value = 100 * share
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 0.95 else f"{value:.2g}"
