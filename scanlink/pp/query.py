"""What a query of cells may say: comparisons of columns with numbers and texts, joined by and, or, not; never code.

::

    query    = part ("or" part)*            also |
    part     = factor ("and" factor)*       also &
    factor   = "not" factor | "(" query ")" | column | value (sign value)+ | value ["not"] "in" list
    sign     = "==" | "!=" | "<" | "<=" | ">" | ">="
    value    = column | number | text in quotes | True | False
    list     = "[" value ("," value)* "]"   also in round brackets

It is read by the parser below, piece by piece, into nothing but these.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from scanlink.errors import OptionError

__all__ = ["SIGNS", "And", "Column", "Compare", "Node", "Not", "Or", "Value", "named_columns", "parse_query"]

SIGNS = ("==", "!=", "<=", ">=", "<", ">")
_LONGEST, _DEEPEST = 5_000, 50
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
  | (?P<text>"[^"]*"|'[^']*')
  | (?P<quoted>`[^`]+`)
  | (?P<name>[^\W\d][\w.:]*)
  | (?P<sign>==|!=|<=|>=|[<>()\[\],&|~])
    )""",
    re.VERBOSE,
)
_WORDS = {"&": "and", "|": "or", "~": "not"}


@dataclass(frozen=True)
class Column:
    """A column of the table of cells."""

    name: str


@dataclass(frozen=True)
class Value:
    """A number, a text, or True or False."""

    value: float | str | bool


@dataclass(frozen=True)
class Compare:
    """Compares two sides; the sign ``in`` has several values on the right, one of which is equal."""

    left: Column | Value
    sign: str
    right: tuple[Column | Value, ...]


@dataclass(frozen=True)
class Not:
    """Holds where its part does not."""

    part: Node


@dataclass(frozen=True)
class And:
    """Holds where all parts do."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    """Holds where a part does."""

    parts: tuple[Node, ...]


Node = Column | Compare | Not | And | Or


def named_columns(node: Node) -> set[str]:
    """List the columns that a query names."""
    if isinstance(node, Column):
        return {node.name}
    if isinstance(node, Compare):
        return {side.name for side in (node.left, *node.right) if isinstance(side, Column)}
    return set().union(*map(named_columns, (node.part,) if isinstance(node, Not) else node.parts))


def parse_query(text: str) -> Node:
    """Read a query; an OptionError says where it is none, and what to write."""
    if not isinstance(text, str) or not text.strip():
        raise OptionError(f'query {text!r}: expected a text such as "percent.mito < 20 and doublet == False"')
    if len(text) > _LONGEST:
        raise OptionError(f"the query has {len(text):,} characters, expected at most {_LONGEST:,}")
    return _Parser(text, list(_tokens(text))).whole()


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            rest = text[position:].strip()
            hint = "expected columns, numbers, texts in quotes, ==, !=, <, <=, >, >=, in, and, or, not and brackets"
            if rest[0] == "=":
                hint = "'equal' is written =="
            raise OptionError(f"query {text!r} cannot be read at {rest[:20]!r}: {hint}")
        position = match.end()
        kind = str(match.lastgroup)
        word = match[kind]
        yield (
            ("word", _WORDS[word])
            if word in _WORDS
            else (
                ("word", word.lower())
                if kind == "name" and word.lower() in ("and", "or", "not", "in")
                else (kind, word)
            )
        )


@dataclass
class _Parser:
    text: str
    tokens: list[tuple[str, str]]
    place: int = 0
    depth: int = field(default=0)

    def whole(self) -> Node:
        node = self._or()
        if self.place < len(self.tokens):
            self._refuse("'and' or 'or' was expected before it")
        return node

    def _next(self) -> tuple[str, str]:
        return self.tokens[self.place] if self.place < len(self.tokens) else ("end", "")

    def _take(self, *words: str) -> bool:
        if self._next()[1] in words and self._next()[0] in ("word", "sign"):
            self.place += 1
            return True
        return False

    def _refuse(self, why: str) -> None:
        at = f"at {self._next()[1]!r}" if self.place < len(self.tokens) else "at its end"
        raise OptionError(f"query {self.text!r} cannot be read {at}: {why}")

    def _or(self) -> Node:
        parts = [self._and()]
        while self._take("or"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _and(self) -> Node:
        parts = [self._factor()]
        while self._take("and"):
            parts.append(self._factor())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _factor(self) -> Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            self._refuse(f"there are more than {_DEEPEST} brackets or 'not' inside each other")
        if self._take("not"):
            node: Node = Not(self._factor())
        elif self._take("("):
            node = self._or()
            if not self._take(")"):
                self._refuse("a closing bracket was expected")
        else:
            node = self._comparison()
        self.depth -= 1
        return node

    def _comparison(self) -> Node:
        left, parts = self._value(), list[Node]()
        first = left
        while self._next()[0] == "sign" and self._next()[1] in SIGNS:
            sign = self._next()[1]
            self.place += 1
            right = self._value()
            # As in 0.1 < x < 5.
            parts.append(Compare(left, sign, (right,)))
            left = right
        if not parts:
            negated = self._take("not")
            if self._take("in"):
                among = Compare(first, "in", self._list())
                return Not(among) if negated else among
            if negated or not isinstance(first, Column):
                self._refuse("'in' was expected" if negated else "a comparison was expected")
            assert isinstance(first, Column)
            return first
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _list(self) -> tuple[Column | Value, ...]:
        opened = self._next()[1]
        if not self._take("[", "("):
            self._refuse("after 'in' a list was expected, such as ['B', 'T']")
        values = [self._value()]
        while self._take(","):
            if self._next()[1] not in ("]", ")"):
                values.append(self._value())
        if not self._take("]" if opened == "[" else ")"):
            self._refuse("the end of the list was expected")
        if any(isinstance(value, Column) for value in values):
            self._refuse("texts in a list stand in quotes")
        return tuple(values)

    def _value(self) -> Column | Value:
        kind, word = self._next()
        if kind not in ("number", "text", "quoted", "name"):
            self._refuse("a column, a number or a text in quotes was expected")
        self.place += 1
        if kind == "number":
            if not math.isfinite(float(word)):
                raise OptionError(
                    f"query {self.text!r} cannot be read at {word!r}: this is beyond what a number can be"
                )
            return Value(float(word))
        if kind == "text":
            return Value(word[1:-1])
        if kind == "name" and word in ("True", "False", "true", "false"):
            return Value(word in ("True", "true"))
        if kind == "name" and self._next() == ("sign", "("):
            self._refuse(f"{word}(...) would be a function, and a query has none: make a column of cells of it first")
        return Column(word.strip("`"))
