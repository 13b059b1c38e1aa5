"""What a formula may say: columns, numbers and a closed list of functions, read before anything evaluates it."""

from __future__ import annotations

import difflib
import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from scanlink.errors import MissingKeyError, OptionError, first_few
from scanlink.pp.formula_size import refuse_large, refuse_nested

__all__ = ["FUNCTIONS", "Syntax", "read_syntax"]

log = logging.getLogger("scanlink")

FUNCTIONS = ("log", "log2", "log10", "log1p", "exp", "sqrt", "I", "C", "center", "scale", "poly", "bs", "cr", "cc")
"""Functions of columns; those beyond arithmetic are formulaic's."""
_OF_ONE_COLUMN = ("log", "log2", "log10", "log1p", "exp", "sqrt", "I", "offset")
_CONTRASTS = ("Treatment", "Sum", "Helmert", "Diff", "Poly")
"""What stands inside ``C(...)``."""
_KEYWORDS = (
    *("contrasts", "levels", "reference", "reverse", "scale", "center", "ddof", "degree", "raw", "df", "knots"),
    *("include_intercept", "lower_bound", "upper_bound", "extrapolation", "constraints", "scores", "backward"),
    "spans_intercept",
)
"""What arguments of functions may be called."""
_INSTEAD = {
    "factor": "C(batch) for a column of numbers; text is a factor by itself",
    "as.factor": "C(batch) for a column of numbers; text is a factor by itself",
    "ordered": "C(batch, Poly())",
    "relevel": "C(batch, Treatment('first'))",
    "ns": "cr(age, df=4)",
    "s": "cr(age, df=4)",
    "ln": "log(nUMI)",
    "Q": "the name of the column in backticks",
}
"""Functions of R, mgcv and patsy that users write, and what says the same here."""
_LONGEST = 2_000
_HIGHEST = 9
_MOST_COLUMNS = 100

_TOKEN = r"""
    (?P<quoted>`[^`]*`)
  | (?P<text>"[^"\\`{{}}\n\r\0]*"|'[^'\\`{{}}\n\r\0]*')
  | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
  | (?P<name>{dashed}[\w.]+)
  | (?P<sign>\*\*|[=!<>]=|[-+*/:^(),=<>])
"""


@dataclass
class Syntax:
    """A formula whose columns have stand-ins, names that no function and no term of formulaic has.

    ``plus`` and ``minus`` are terms added and taken away, ``offsets`` what stood inside ``offset(...)``, and
    ``columns`` the column behind each stand-in, in the order in which they are first written.
    """

    formula: str
    plus: list[str] = field(default_factory=list)
    minus: list[str] = field(default_factory=list)
    offsets: list[str] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)

    @property
    def terms(self) -> str:
        """The sum of terms, for formulaic."""
        return " ".join([" + ".join(self.plus) or "1", *(f"- {term}" for term in self.minus)])

    def original(self, text: str) -> str:
        """Write the names of columns in place of their stand-ins."""
        # In one go: a column may be called like a stand-in.
        return re.sub(r"column_\d+_", lambda found: self.columns.get(found[0], found[0]), text)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    gap: str
    """White space before it."""


_NONE = _Token("", "", "")


def read_syntax(formula: str, columns: Sequence[str]) -> Syntax:
    """Read a formula into terms; nothing of it is evaluated.

    Raises an OptionError if it holds anything but sums and products of columns, numbers and known functions, saying
    what to write, and a MissingKeyError if it names a column that does not exist.
    """
    text = formula.strip()
    if len(text) > _LONGEST:
        raise OptionError(f"the formula has {len(text):,} characters; at most {_LONGEST:,} were expected")
    if text.count("~") > 1 or ("~" in text and not text.startswith("~")):
        raise OptionError(
            f"formula {formula!r}: give the covariates only, without a response; the gene is the response"
        )
    if "|" in text:
        raise OptionError(
            f"formula {formula!r}: '|' would be a random effect or a second part; only sums of terms are known"
        )
    tokens = _tokens(text.removeprefix("~"), formula, columns)
    refuse_nested(formula, [token.text for token in tokens])
    syntax, stand_ins = Syntax(formula), dict[str, str]()
    calls, closed = list[str](), ""
    words: list[_Token] = []
    for position, token in enumerate(tokens):
        before, after = (tokens[k] if 0 <= k < len(tokens) else _NONE for k in (position - 1, position + 1))
        inside, written = any(calls), token.text
        _check_sign(formula, tokens, position, inside=inside)
        if token.text == "(":
            calls.append(before.text if before.kind == "name" else "")
        elif token.text == ")":
            closed = calls.pop() if calls else ")"
            if closed == ")":
                break
        elif token.text == "," and calls[-1:] and calls[-1] in _OF_ONE_COLUMN:
            raise OptionError(
                f"formula {formula!r}: {calls[-1]}(...) takes one column; log2 and log10 have their names"
            )
        elif token.text in ("^", "**"):
            of_sum = before.text == ")" and not closed
            again = position > 1 and tokens[position - 2].text == "**"
            _check_power(formula, token.text, after, inside=inside, of_sum=of_sum, again=again)
        elif token.kind == "name" and after.text == "(":
            _check_function(token.text, formula)
        elif token.kind == "number" and inside and before.text in (",", "="):
            _check_argument(formula, token.text, after)
        elif token.kind == "number" and inside and before.text != "**":
            # Powers of whole numbers would be computed to the last digit, however many there are.
            written = _float(formula, token.text)
        elif token.kind == "name" and inside and after.text == "=":
            _check_keyword(formula, token.text)
        elif token.kind in ("name", "quoted") and not (inside and _is_constant(token.text, columns)):
            column = _column(token.text.strip("`"), formula, columns)
            written = stand_ins.setdefault(column, f"column_{len(stand_ins) + 1}_")
        words.append(_Token(token.kind, written, token.gap))
    if calls or closed == ")":
        raise OptionError(f"formula {formula!r}: the parentheses do not match")
    refuse_large(formula, [word.text for word in words])
    syntax.columns = {stand_in: column for column, stand_in in stand_ins.items()}
    _split(words, syntax)
    return syntax


def _tokens(text: str, formula: str, columns: Sequence[str]) -> list[_Token]:
    # Between letters a dash may belong to the name of a column, as dots do: age-group.
    dashed = [name for name in columns if "-" in name and re.fullmatch(r"[^\W\d][\w.-]*", name)]
    longest_first = "".join(rf"{re.escape(name)}(?![\w.-])|" for name in sorted(dashed, key=len, reverse=True))
    pattern = re.compile(_TOKEN.format(dashed=longest_first), re.VERBOSE)
    tokens: list[_Token] = []
    position = 0
    while position < len(text):
        begin = position
        while position < len(text) and text[position].isspace():
            position += 1
        if position == len(text):
            break
        match = pattern.match(text, position)
        if match is None:
            raise OptionError(
                f"formula {formula!r} cannot be read at {text[position:][:20]!r}: columns, numbers and the functions "
                f"{', '.join(FUNCTIONS)} and offset are joined by + - * : / ** and parentheses; "
                "names of other characters stand in backticks"
            )
        position = match.end()
        tokens.append(_Token(str(match.lastgroup), match[0], text[begin : match.start()]))
    for name in {token.text for token in tokens if token.kind == "name" and token.text in dashed}:
        if set(name.split("-")) <= set(columns):
            log.warning(
                "formula %r: %r is taken for the column of this name; to take one term away, write spaces around the -",
                formula,
                name,
            )
    return tokens


def _is_constant(name: str, columns: Sequence[str]) -> bool:
    return name in ("True", "False", "None") and name not in columns


def _check_keyword(formula: str, name: str) -> None:
    if name not in _KEYWORDS:
        close = difflib.get_close_matches(name, _KEYWORDS, n=1)
        raise OptionError(
            f"formula {formula!r}: {name!r} is no argument of a function"
            + (f"; did you mean {close[0]!r}?" if close else f"; these are {', '.join(_KEYWORDS)}")
        )


def _check_sign(formula: str, tokens: Sequence[_Token], position: int, *, inside: bool) -> None:
    """Refuse signs where Python has another meaning for them: calls of what is no function, ``*x``, ``:=``, slices."""
    token, before = tokens[position], tokens[position - 1] if position else _NONE
    if token.text == "(" and (before.text == ")" or before.kind in ("number", "quoted", "text")):
        raise OptionError(f"formula {formula!r} cannot be read: between {before.text!r} and '(' a sign was expected")
    if inside and token.text == ":":
        raise OptionError(f"formula {formula!r}: inside of a function, a product is written with *, and not with :")
    if token.text in ("*", "/", "**", "^", ":") and before.text in ("(", ","):
        raise OptionError(
            f"formula {formula!r} cannot be read: a column or a number was expected before {token.text!r}"
        )


def _float(formula: str, number: str) -> str:
    if not math.isfinite(float(number)):
        raise OptionError(f"formula {formula!r}: {number} is beyond what a number can be (1.8e308)")
    return str(float(number))


def _check_function(name: str, formula: str) -> None:
    if name in (*FUNCTIONS, *_CONTRASTS, "offset"):
        return
    if name in _INSTEAD:
        raise OptionError(f"formula {formula!r}: {name}(...) is not known here; write {_INSTEAD[name]}")
    raise OptionError(
        f"formula {formula!r} uses {name!r}, which is no function that is known; "
        f"these are {', '.join(FUNCTIONS)}, and offset"
    )


def _check_power(formula: str, sign: str, power: _Token, *, inside: bool, of_sum: bool, again: bool) -> None:
    """Refuse powers that R and formulaic read as repeated terms, and those that nobody means."""
    if inside and sign == "^":
        raise OptionError(f"formula {formula!r}: a power is written with **, such as I(age ** 2)")
    if not inside and not of_sum:
        raise OptionError(
            f"formula {formula!r}: outside of I(...), {sign} multiplies terms and would leave the first power; "
            "write I(age ** 2) for a power of the column age"
        )
    if again:
        raise OptionError(f"formula {formula!r}: a power of a power needs brackets, such as (age ** 2) ** 3")
    if power.kind != "number" or not 0 < float(power.text) <= _HIGHEST:
        raise OptionError(f"formula {formula!r}: after {sign} a number up to {_HIGHEST} was expected")


def _check_argument(formula: str, number: str, after: _Token) -> None:
    """Refuse what would make millions of columns, such as bs(age, df=9 ** 9)."""
    if after.text not in (",", ")") or float(number) > _MOST_COLUMNS:
        raise OptionError(
            f"formula {formula!r}: {number} was found as the argument of a function; a number up to {_MOST_COLUMNS} "
            "alone was expected, such as bs(age, df=4)"
        )


def _column(name: str, formula: str, columns: Sequence[str]) -> str:
    if name in columns:
        return name
    if name == ".":
        raise OptionError(f"formula {formula!r}: '.' for all columns is not known; name those that are meant")
    close = difflib.get_close_matches(name, columns, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise MissingKeyError(
        f"formula {formula!r} uses {name!r}, which is no column of the table of cells{hint}. "
        f"The columns are {first_few(columns, most=20)}"
    )


def _split(words: list[_Token], syntax: Syntax) -> None:
    """Divide a sum into the terms that are added, those that are taken away, and offsets."""
    depth, parts = 0, [("+", "")]
    for position, word in enumerate(words):
        depth += (word.text == "(") - (word.text == ")")
        if depth == 0 and word.text in ("+", "-"):
            parts.append((word.text, ""))
        else:
            if position and {words[position - 1].kind, word.kind} <= {"name", "quoted", "number", "text"}:
                raise OptionError(
                    f"formula {syntax.formula!r} cannot be read: between {syntax.original(words[position - 1].text)!r} "
                    f"and {syntax.original(word.text)!r} a sign was expected, such as +"
                )
            parts[-1] = (parts[-1][0], parts[-1][1] + word.gap + word.text)
    if not parts[0][1].strip():
        parts.pop(0)
    for sign, part in ((sign, part.strip()) for sign, part in parts):
        if not part:
            raise OptionError(f"formula {syntax.formula!r} cannot be read: a term was expected after {sign!r}")
        inner = re.fullmatch(r"offset\s*\((.+)\)", part, flags=re.DOTALL)
        nested = inner and re.search(r"\boffset\s*\(", inner[1])
        if inner and sign == "+" and _encloses(part) and not nested:
            syntax.offsets.append(inner[1].strip())
        elif re.search(r"\boffset\s*\(", part):
            raise OptionError(f"formula {syntax.formula!r}: offset(...) must be a term of its own, joined by +")
        else:
            (syntax.plus if sign == "+" else syntax.minus).append(part)


def _encloses(part: str) -> bool:
    """Say whether the first parenthesis closes at the very end."""
    depth = 0
    for position, sign in enumerate(part):
        depth += (sign == "(") - (sign == ")")
        if sign == ")" and depth == 0:
            return position == len(part) - 1
    return False
