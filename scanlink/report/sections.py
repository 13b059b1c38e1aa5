"""What an analysis tells: data and functions, from which the page and the command line are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any, Protocol

from scanlink.options import Options
from scanlink.report.references import Method
from scanlink.tables import Column, Table

if TYPE_CHECKING:
    import pandas as pd

    from scanlink.report.folder import Run
    from scanlink.report.result import Result

__all__ = ["Analysis", "Picture", "RowKind", "Section"]


class Analysis(Protocol):
    """What the report needs of an analysis; :class:`scanlink.tl.analysis.Analysis` has and describes it."""

    @property
    def name(self) -> str: ...

    @property
    def table(self) -> Table: ...

    @property
    def options(self) -> type[Options]: ...

    @property
    def tables(self) -> Sequence[str]: ...

    @property
    def section(self) -> Section: ...

    @property
    def level(self) -> str: ...


@dataclass(frozen=True)
class RowKind:
    """Names a kind of the rows of a table that has a column ``kind``, and says what its rows are.

    Those of a control are tested beside what was asked for, and never called.
    """

    words: str
    help: str
    control: bool = False


@dataclass(frozen=True)
class Picture:
    """Declares a picture that a section has.

    ``name`` is that of its file in plots/, without suffix. ``alt`` says what is to be seen, for those who do not see
    it, and ``caption`` how it is read. ``make`` draws it, and imports :mod:`scanlink.pl` only then. ``part`` is the
    anchor of the part of the section that shows it; "" is the section itself.
    """

    name: str
    title: str
    alt: str
    caption: str
    make: Callable[[], Any]
    part: str = ""


def _with_symbols(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    return run.with_symbols(table)


def _nothing(*_: Any) -> Any:
    return ()


@dataclass(frozen=True)
class Section:
    """Declares what an analysis tells. Texts are plain: what stands between backticks is shown as code."""

    # Heading of its part of the page; the command line names the table by it.
    title: str
    # What its blocks are of, such as "the scan".
    blocks: str
    # By the name of each table that it reads, its own first: columns without which it cannot be told of. Tables that
    # are not in the folder are passed over.
    needs: Mapping[str, Sequence[str]]
    # Columns that can be searched, in order: names of those of its table, and columns that only `shown` gives. What is
    # absent or empty is left out, and names of genes stand before their identifiers.
    columns: Sequence[str | Column]
    # Of the options of the run: headings and sentences on what was asked; none where it was not asked for.
    asked: Callable[[Mapping[str, Any]], Iterable[tuple[str, str]]]
    # What came out, for the first lines of the page; also where there is no table.
    lead: Callable[[Result], str]
    # How to read a table with rows.
    intro: Callable[[Result], str]
    # Why there is no table, or one without rows.
    absent: Callable[[Run], str]
    # What was done beyond the false discovery rate, in order.
    methods: Callable[[Result], Iterable[Method]]
    # Of table, the options that say what is called (alpha, method; empty where nothing is), and the reasons why groups
    # have no rows: lines for the command line at the end of a run.
    summary: Callable[[pd.DataFrame, Mapping[str, Any], Mapping[str, str]], Sequence[str]] = _nothing
    # Columns of the table of called rows by group: by heading, "above" or "below" for effects above and below 0, or the
    # column of which different values are counted.
    by_group: Mapping[str, str] = field(default_factory=dict)
    # Kinds of rows, in the order of the page; empty where every row was asked for.
    kinds: Mapping[str, RowKind] = field(default_factory=dict)
    # The table as the page and its pictures have it, as a rule with `symbol`, the names of genes.
    shown: Callable[[Run, pd.DataFrame], pd.DataFrame] = _with_symbols
    # Of a table in which something was tested, with names that a picture can hold: its pictures, in order.
    pictures: Callable[[Result], Iterable[Picture]] = _nothing
    # Further headings of `template`: what the navigation calls them, by their anchor.
    anchors: Mapping[str, str] = field(default_factory=dict)
    # Extends section.html.j2 where prose or a table is needed that no other section has.
    template: Traversable | None = None
    # What `template` is filled with, as `facts`.
    facts: Callable[[Result], Any] = _nothing
