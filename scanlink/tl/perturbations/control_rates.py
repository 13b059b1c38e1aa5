"""The kinds of rows of a screen's tables, and how often negative controls are rejected: for its pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scanlink.p_values import PERMUTED_KINDS
from scanlink.report.result import Result
from scanlink.report.sections import RowKind
from scanlink.tables import ASKED, CONTROLS

__all__ = ["ROW_KINDS", "asked_rows", "control_facts", "control_lines", "control_rates", "verdict"]

# In the order of the tables.
ROW_KINDS = {
    "discovery": RowKind("discovery", "pairs that were asked for"),
    "positive_control": RowKind("positive control", "pairs that were asked for in which an effect is expected"),
    "non_targeting": RowKind(
        "non-targeting", "genes that were asked for, with guides that target nothing", control=True
    ),
    "shuffled": RowKind(
        "shuffled", "pairs that were asked for, their perturbation given to other cells at random", control=True
    ),
    "mismatched": RowKind("mismatched", "targets with genes on other chromosomes", control=True),
}
LEVELS = (0.05, 0.01, 0.001)
# With fewer tests a p-value may reject twice too often and not be marked.
_FEW = 200


@dataclass(frozen=True)
class Rate:
    """Share of the controls of a kind whose p-value is at or below a level."""

    level: float
    share: float
    error: float  # Monte-Carlo standard error of the share if controls were independent
    high: float  # upper end of its exact 95 % interval
    sign: int  # 1: more than promised, -1: fewer, 0: the level lies in that interval

    @property
    def text(self) -> str:
        """Share and error in per cent."""
        if self.share == 0:
            return f"0 (up to {_percent(self.high)})"
        return f"{_percent(self.share)} ± {_percent(self.error)}"


@dataclass(frozen=True)
class ControlRates:
    """Rates of one kind of p-value of one kind of control."""

    control: str  # as the page calls it
    kind: str
    n: int  # tests
    chosen: bool  # whether results are called on this p-value
    rates: tuple[Rate, ...]  # at each of the levels


def asked_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Select the rows that were asked for, without the negative controls."""
    return table[table["kind"].isin(ASKED)]


def control_rates(table: pd.DataFrame, *, p_value: str | None, end: str = "") -> list[ControlRates]:
    """Count rejections of the negative controls, for every kind of p-value whose column, with ``end``, is there."""
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
    """Write sentences on the p-value on which results are called, one for each kind of control."""
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
    """Give the rates of a page's negative controls, and the verdict on them."""
    rates = control_rates(result.rows, p_value=result.options.get("p_value"), end=end)
    return {"rates": rates, "verdict": verdict(rates)}


def control_lines(table: pd.DataFrame) -> list[str]:
    """Say how often each kind of control is rejected, for the command line."""
    tested = table[table["kind"].isin(CONTROLS) & (table["status"] == "ok")]
    shares = [(kind, rows, float((rows["p_value"] < 0.05).mean())) for kind, rows in tested.groupby("kind", sort=False)]
    return [f"  control {kind:<15}{len(rows):>8,} tests, {100 * share:.1f} % below .05" for kind, rows, share in shares]


def _level(level: float) -> str:
    return f"{level:g}".removeprefix("0")


def _percent(share: float) -> str:
    value = 100 * share
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 0.95 else f"{value:.2g}"
