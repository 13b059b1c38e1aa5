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
    """What the report needs of an analysis; :class:`scanlink.tl.analysis.Analysis` has it."""

    @property
    def name(self) -> str:
        """Section of the options, and key in the record."""

    @property
    def table(self) -> Table:
        """The table that it leaves."""

    @property
    def options(self) -> type[Options]:
        """Model of its options, on which the columns of its table depend."""

    @property
    def tables(self) -> Sequence[str]:
        """Names of all tables that it may leave, the first of them that of ``table``."""

    @property
    def section(self) -> Section:
        """What it tells."""

    @property
    def level(self) -> str:
        """Section of the options whose ``alpha`` is the false discovery rate below which a row is called."""


@dataclass(frozen=True)
class RowKind:
    """A kind of the rows of a table that has a column ``kind``.

    Attributes
    ----------
    words
        Its name on the page.
    help
        What its rows are.
    control
        Whether its rows are tested beside those that were asked for, and never called.
    """

    words: str
    help: str
    control: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture that a section has.

    Attributes
    ----------
    name
        Name of its file in plots/, without suffix.
    title, alt, caption
        A heading; what is to be seen, for those who do not see it; and how it is read.
    make
        Draws it; what it imports of :mod:`scanlink.pl` is imported then.
    part
        Anchor of the part of the section that shows it; "" is the section itself.
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
    """What an analysis tells.

    Texts are plain: what stands between backticks is shown as code.

    Attributes
    ----------
    title
        Heading of its part of the page. The command line names the table by it.
    blocks
        What its blocks are of, such as ``"the scan"``.
    needs
        Columns without which a table cannot be told of, by the name of the table: its own, and all others that it
        reads. Tables that are not in the folder are passed over.
    columns
        Columns of the table that can be searched, in their order: names of those of its table, and columns that only
        ``shown`` gives. What is absent or empty is left out, and names of genes stand before their identifiers.
    asked
        Called with the options of the run: headings and sentences on what was asked; none where it was not asked for.
    lead
        Called with the result, also where there is no table: what came out, for the first lines of the page.
    intro
        Called with the result of a table with rows: how to read it.
    absent
        Called with the run where there is no table, or one without rows: the sentence that says why.
    methods
        Called with the result: what was done beyond the false discovery rate, in order.
    summary
        Called as ``summary(table, alpha, not_followed)`` at the end of a run, with the reasons why groups have no
        rows: lines for the command line.
    by_group
        Columns of the table of called rows by group: by heading, ``"above"`` or ``"below"`` for effects above and
        below 0, or the column of which different values are counted.
    kinds
        Kinds of rows, in the order of the page; empty where every row was asked for.
    shown
        Called with run and table: the table as the page and its pictures have it, as a rule with ``symbol``, the names
        of genes.
    pictures
        Called with the result of a table in which something was tested, and names that a picture can hold: its
        pictures, in order.
    anchors
        Further headings of ``template``: what the navigation calls them, by their anchor.
    template
        A template that extends ``section.html.j2`` where prose or a table is needed that no other section has.
    facts
        Called with the result: what ``template`` is filled with, as ``facts``.
    """

    title: str
    blocks: str
    needs: Mapping[str, Sequence[str]]
    columns: Sequence[str | Column]
    asked: Callable[[Mapping[str, Any]], Iterable[tuple[str, str]]]
    lead: Callable[[Result], str]
    intro: Callable[[Result], str]
    absent: Callable[[Run], str]
    methods: Callable[[Result], Iterable[Method]]
    summary: Callable[[pd.DataFrame, float, Mapping[str, str]], Sequence[str]] = _nothing
    by_group: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, RowKind] = field(default_factory=dict)
    shown: Callable[[Run, pd.DataFrame], pd.DataFrame] = _with_symbols
    pictures: Callable[[Result], Iterable[Picture]] = _nothing
    anchors: Mapping[str, str] = field(default_factory=dict)
    template: Traversable | None = None
    facts: Callable[[Result], Any] = _nothing
