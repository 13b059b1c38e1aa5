"""YAML as data: texts, numbers, lists and tables of a file that a stranger may have written, each with its line.

What YAML can do besides is refused: tags, a name that stands inside of what it names, a file that grows as it is read.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from scanlink.errors import OptionError

__all__ = ["Plain", "parse_yaml", "read_yaml"]

_LARGEST, _DEEPEST, _MOST_VALUES, _LONGEST_NUMBER = 1_000_000, 50, 100_000, 30
# Repeated texts count, too: as many values as they have hundreds of characters.
_TEXT = 100
_BEYOND = re.compile(r"\\U(?!000[0-9a-fA-F]|0010)[0-9a-fA-F]{8}")
_BARE = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """Leaves dates as the texts that they are: a group may be called 2024-02-30."""


_Loader.yaml_implicit_resolvers = {
    sign: [(tag, pattern) for tag, pattern in resolvers if tag != f"{_BARE}timestamp"]
    for sign, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Plain:
    """What a text says: its value, and the line of each key in it, counted from 1."""

    value: Any
    lines: dict[tuple[str, ...], int] = field(default_factory=dict)


def read_yaml(path: Path, *, name: str) -> Plain:
    """Read a file of options; ``name`` is what messages call it.

    OptionError if it is no file, above 1 MB, no text in UTF-8, or not plain data: see :func:`parse_yaml`.
    """
    try:
        # Not opened before it is known to be a file: a pipe would wait for its writer.
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            raise OptionError(f"{name}: this is a folder or a device; a file of options as YAML was expected")
        if about.st_size > _LARGEST:
            raise OptionError(
                f"{name}: found {about.st_size:,} bytes; a file of options, of at most {_LARGEST:,}, was expected"
            )
        content = Path(path).read_bytes()
    except OSError as error:
        raise OptionError(f"{name} cannot be read: {error.strerror}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise OptionError(f"{name}, line {line}: not a text file in UTF-8; expected YAML") from error
    return parse_yaml(text, name=name)


def parse_yaml(text: str, *, name: str) -> Plain:
    """Read a text as YAML; ``name`` is what messages call it.

    OptionError, with the line, if it is not valid YAML or not plain data: tags, keys that are not texts or are given
    twice, numbers that would be octal, sixties or endless, control characters, more than 50 levels, 100,000 values.
    """
    try:
        _check_events(text, name)
        node: Any = yaml.compose(text, Loader=_Loader)
        lines: dict[tuple[str, ...], int] = {}
        if node is None:
            return Plain(None)
        _check_node(node, (), lines, name)
        loader = _Loader("")
        try:
            return Plain(loader.construct_document(node), lines)
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise OptionError(
            f"{name}, line {line}: not valid YAML: the character #x{_code(error.character):04x} is not allowed"
        ) from error
    except OptionError:
        raise
    except (ValueError, OverflowError) as error:
        # Of a character beyond all, such as \U00110000.
        beyond = _BEYOND.search(text)
        place = f", line {text[: beyond.start()].count(chr(10)) + 1}" if beyond else ""
        raise OptionError(f"{name}{place}: not valid YAML: {beyond[0] if beyond else error} is no character") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise OptionError(f"{name}{place}: not valid YAML: {getattr(error, 'problem', error)}") from error


def _check_events(text: str, name: str) -> None:
    """Refuse what would grow or never end, before anything is built of it."""
    open_names: list[str | None] = []
    sizes: dict[str, int] = {}
    counts = [0]
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        _check_tag(event, name, line)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in open_names:
                raise OptionError(f"{name}, line {line}: *{event.anchor} stands inside of what it is a name for")
            counts[-1] += sizes.get(str(event.anchor), 0)
        elif isinstance(event, yaml.CollectionStartEvent):
            open_names.append(event.anchor)
            counts.append(1)
            if len(open_names) > _DEEPEST:
                raise OptionError(f"{name}, line {line}: more than {_DEEPEST} tables or lists inside each other")
        elif isinstance(event, (yaml.ScalarEvent, yaml.CollectionEndEvent)):
            size, anchor = 1 + len(getattr(event, "value", "")) // _TEXT, getattr(event, "anchor", None)
            if isinstance(event, yaml.CollectionEndEvent):
                size, anchor = counts.pop(), open_names.pop()
            counts[-1] += size
            if anchor is not None:
                sizes[anchor] = size
        if counts[-1] > _MOST_VALUES:
            raise OptionError(
                f"{name}, line {line}: more than {_MOST_VALUES:,} values, or {_TEXT * _MOST_VALUES:,} characters, with "
                "those that * repeats"
            )


def _check_tag(event: Any, name: str, line: int) -> None:
    tag = getattr(event, "tag", None)
    if tag is not None and tag not in (f"{_BARE}str", "!"):
        raise OptionError(
            f"{name}, line {line}: the tag {tag.replace(_BARE, '!!')!r} was found; plain texts, numbers, lists and "
            "tables were expected"
        )


def _check_node(node: Any, path: tuple[str, ...], lines: dict[tuple[str, ...], int], name: str) -> None:
    """Check values, and keys, whose lines are noted."""
    if isinstance(node, yaml.ScalarNode):
        _check_scalar(node, name)
        return
    if isinstance(node, yaml.SequenceNode):
        for number, part in enumerate(node.value):
            _check_node(part, (*path, str(number)), lines, name)
        return
    for key, value in node.value:
        here = key.start_mark.line + 1
        _check_key(key, name, here)
        place = (*path, str(key.value))
        if place in lines:
            # YAML would take the later one and say nothing.
            raise OptionError(f"{name}, line {here}: {'.'.join(place)} is given twice, first on line {lines[place]}")
        lines[place] = here
        _check_node(value, place, lines, name)


def _check_key(key: Any, name: str, line: int) -> None:
    if not isinstance(key, yaml.ScalarNode):
        raise OptionError(f"{name}, line {line}: not valid YAML: found a list or table as a key; a word was expected")
    _check_scalar(key, name)
    if key.tag not in (f"{_BARE}str", f"{_BARE}merge"):
        kind = {"int": "a number", "float": "a number", "bool": "true or false", "null": "nothing"}
        raise OptionError(
            f"{name}, line {line}: the key {key.value or '~'} is {kind.get(key.tag.removeprefix(_BARE), 'no text')} in "
            f"YAML; a word was expected. If it is a name, write it in quotes: '{key.value}'"
        )


def _check_scalar(node: Any, name: str) -> None:
    line, text = node.start_mark.line + 1, node.value
    odd = next(_control(text), None)
    if odd is not None:
        raise OptionError(f"{name}, line {line}: the character #x{ord(odd):04x} is not allowed")
    if node.tag in (f"{_BARE}int", f"{_BARE}float") and ":" in text:
        raise OptionError(
            f"{name}, line {line}: {text} would be a number in YAML, counted in sixties; write '{text}' in quotes if "
            "it is a name or a time"
        )
    if node.tag == f"{_BARE}int":
        digits = text.lstrip("+-").replace("_", "")
        if len(digits) > _LONGEST_NUMBER:
            raise OptionError(f"{name}, line {line}: found a number of {len(digits):,} digits")
        if digits in ("0x", "0b"):
            raise OptionError(f"{name}, line {line}: {text} begins as a number and has no digits")
        if len(digits) > 1 and digits[0] == "0" and digits.isdecimal():
            raise OptionError(
                f"{name}, line {line}: {text} is {int(digits, 8)} in YAML, which takes it for octal; write '{text}' in "
                f"quotes if it is a name, else {digits.lstrip('0') or 0}"
            )


def _code(character: Any) -> int:
    return character if isinstance(character, int) else ord(character)


def _control(text: str) -> Iterator[str]:
    """Find what no name and no number has: control characters, and halves of characters."""
    return (sign for sign in text if sign not in "\t\n\r" and unicodedata.category(sign) in ("Cc", "Cs"))
