"""How much a formula asks for, counted before anything multiplies it out."""

from __future__ import annotations

from collections.abc import Sequence

from scanlink.errors import OptionError

__all__ = ["refuse_large", "refuse_nested"]

_MOST_TERMS = 1_000
_BEYOND = 10**9  # no number is computed further: powers of powers would fill the memory
_DEEPEST = 100
_BINDS = {"+": 1, "-": 1, "*": 2, "/": 2, ":": 3, "**": 4, "^": 4}


def refuse_nested(formula: str, texts: Sequence[str]) -> None:
    """Refuse brackets, and signs in a row, that are inside each other deeper than what reads them can follow."""
    depth = deepest = signs = 0
    for text in texts:
        depth += (text == "(") - (text == ")")
        signs = signs + 1 if text in ("+", "-") else 0
        deepest = max(deepest, depth, signs)
    if deepest > _DEEPEST:
        raise OptionError(
            f"formula {formula[:40]!r}... has {deepest:,} brackets or signs inside each other; at most {_DEEPEST} were "
            "expected"
        )


def refuse_large(formula: str, texts: Sequence[str]) -> None:
    """Refuse products and powers of sums that make more terms than any design has, such as twenty columns times each.

    ``texts`` are the words of a formula whose brackets match. Ten columns times each other are a thousand terms.
    """
    n_terms = _Count(texts).sum()
    if n_terms > _MOST_TERMS:
        raise OptionError(
            f"formula {formula!r} makes {n_terms:,}{' and more' if n_terms == _BEYOND else ''} terms when it is "
            f"multiplied out; at most {_MOST_TERMS:,} were expected: a:b is the product alone, and (a + b)**2 has no "
            "products of three"
        )


class _Count:
    """Counts terms as formulaic makes them, by precedence; a function and what is inside it is one."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts, self.place = texts, 0

    def _next(self) -> str:
        return self.texts[self.place] if self.place < len(self.texts) else ""

    def sum(self, binds: int = 1) -> int:
        """Count the terms up to a sign that binds less, or to a closing bracket."""
        n_terms = self._one()
        while _BINDS.get(self._next(), 0) >= binds:
            sign = self._next()
            self.place += 1
            if sign in ("**", "^"):
                # Before equal products are joined.
                n_terms = min(n_terms ** int(float(self._next() or 1)), _BEYOND)
                self.place += 1
                continue
            other = self.sum(_BINDS[sign] + 1)
            product = n_terms * other
            n_terms = product if sign == ":" else n_terms + other + (product if sign == "*" else 0)
            n_terms = min(n_terms, _BEYOND)
        return n_terms

    def _one(self) -> int:
        """Count a sum in brackets, or pass over one column, number or call."""
        while self._next() in ("+", "-"):
            self.place += 1
        if self._next() == "(":
            self.place += 1
            n_terms = self.sum()
            self.place += 1
            return n_terms
        self.place += 1
        if self._next() == "(":
            depth = 1
            while depth:
                self.place += 1
                depth += (self._next() == "(") - (self._next() == ")")
            self.place += 1
        return 1
