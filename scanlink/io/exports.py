"""Tables of links and of enhancer pairs, in the formats of other programs."""

from __future__ import annotations

import csv
import logging
import re
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd

from scanlink.errors import InputError, MissingKeyError, OptionError, first_few
from scanlink.files import FULL_DISK, replace_file
from scanlink.io.browser import INTERACT_AS, bedpe, ends_of, interact, placed
from scanlink.io.formats import keeps_tables
from scanlink.io.opening import PathLikeStr, suffix_of
from scanlink.io.uns import copy_with_tables

__all__ = ["Format", "export"]

log = logging.getLogger("scanlink")

Format = Literal["bedpe", "interact", "biginteract", "scent", "capstone", "h5mu"]
_SUFFIXES = {".bedpe": "bedpe", ".interact": "interact"}

_TEXTS = ("group", "gene", "peak", "target", "enhancer_1", "enhancer_2")
# All that ends a field or a line for some reader.
_BREAKS = r"[\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+"

_ONLY = {"scent": "links", "capstone": "epistasis"}

_SCENT = {"gene": "gene", "peak": "peak", "beta": "beta", "se": "se", "z": "z", "p": "p", "p_boot": "boot_basic_p"}
# Of the paper's merged table; its models have an intercept, our tables have none.
_CAPSTONE = (("enhancer1", "10"), ("enhancer2", "01"), ("both", "11"))


def export(
    table: pd.DataFrame,
    path: PathLikeStr,
    *,
    format: Format | None = None,
    genes: pd.DataFrame | None = None,
    fdr: float | None = None,
    anchor: Literal["tss", "body"] = "tss",
    one_based: bool = False,
    track: str | None = None,
    data: PathLikeStr | None = None,
) -> list[Path]:
    """Write links or epistasis for another program.

    Parameters
    ----------
    table
        Links, or the table of :func:`scanlink.tl.epistasis`: which of the two, its columns say. Best all of it,
        untested pairs too: they are left out where the format has no place for them, and help to place genes.
    path
        The file. Formats without a column for the group write one file a group, with its name before the suffix.
    format
        ``"bedpe"``, ``"interact"`` (text of UCSC's bigInteract, as a custom track), ``"biginteract"`` (the same bare,
        and the ``.as`` file beside it, for ``bedToBigBed``), ``"scent"`` (links), ``"capstone"`` (epistasis, the CSV of
        the paper) or ``"h5mu"`` (a copy of ``data`` with the table in ``.uns["scanlink"]``). None: by the suffix
        ``.bedpe``, ``.interact``, ``.h5mu``, ``.h5ad``.
    genes
        Annotation, for the place of genes in BEDPE and interact. Without it, or for a gene that it lacks, the TSS is
        where the distances of the table begin.
    fdr
        Only rows with a smaller false discovery rate; None: all that were tested.
    anchor
        The gene's end of a link is the base of its TSS, or its body.
    one_based
        Peak names count the first base as 1.
    track
        Name of the custom track; None: that of the file.
    data
        For ``"h5mu"``: the ``.h5mu`` or ``.h5ad`` file that is copied.

    Returns
    -------
    The files that were written, each whole or not at all.

    Raises
    ------
    InputError
        If a peak is no interval, no gene has a place, or the table is neither links nor epistasis.
    MissingKeyError
        If a column is missing.
    OptionError
        If the format does not exist, or does not fit the table.

    Notes
    -----
    Tabs and ends of lines in names become blanks in every text format, with a warning.

    **BEDPE**: 0-based half-open; peak, then gene (or the two enhancers); ``name`` is the gene, ``score`` -100 log10 of
    the false discovery rate, from 0 to 1000. After the ten columns come, under their names in the first line, group,
    peak, distance, beta, se, p_value, fdr; or group, both enhancers, distance, n_11, beta_10, beta_01, beta_11,
    beta_interaction, se_robust_interaction, p_value, fdr, fdr_gene. What is missing is ``.``.

    **interact**: the 18 columns of https://genome.ucsc.edu/goldenPath/help/interact.html, sorted, the same score; blue
    raises expression (or is synergy), orange lowers it (redundancy). Blanks in names become ``_``.

    **SCENT**: ``gene peak beta se z p boot_basic_p`` with blanks between, as R writes it; ``NA`` without a bootstrap.

    **capstone**: ``gene, enhancer1, enhancer2``, then ``intercept_*, beta.estimate_*, beta.pvalue_*,
    bootstrap.pvalue_*`` for ``enhancer1`` (10 against 00), ``enhancer2`` (01) and ``both`` (11); intercepts are ``NA``.
    The paper's ``beta.estimate_both`` is half the log fold change; here it is what the table has: the whole, unless
    its coding was ``"dosage"``.

    Examples
    --------
    >>> import tempfile
    >>> links = pd.DataFrame({"group": "T", "gene": "A", "peak": ["chr1-100-200", "chr1-300-400"],
    ...                       "distance": [-50, 150], "beta": 0.5, "se": 0.1, "p_value": 1e-6, "fdr": 1e-5,
    ...                       "status": "ok"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(export(links, f"{folder}/links.bedpe")[0].read_text().splitlines()[1].split()[:10])
    ['chr1', '100', '200', 'chr1', '200', '201', 'A', '500', '.', '+']
    """
    target = Path(path)
    chosen = _format(format, target)
    what = _kind(table)
    if _ONLY.get(chosen, what) != what:
        raise OptionError(f"format {chosen!r} is for a table of {_ONLY[chosen]}; this is one of {what}")
    table = table.reset_index(drop=True)
    if chosen == "h5mu":
        if data is None:
            raise OptionError("format 'h5mu' needs data=, the .h5mu or .h5ad file that gets the table")
        return [copy_with_tables(data, target, {what: _below(table, fdr)})]
    table = _in_one_field(table)
    if chosen == "scent":
        rows = _below(_tested(table), fdr)
        return _by_group(rows, target, _need(rows, list(_SCENT)).rename(columns=_SCENT), separator=" ")
    if chosen == "capstone":
        rows = _below(table, fdr)
        return _by_group(rows, target, _capstone(rows), separator=",")
    value = "beta" if what == "links" else "beta_interaction"
    _need(table, ["group", value, "fdr"])
    ends = ends_of(table, genes=genes, anchor=anchor, one_based=one_based)
    rows = _below(_tested(table), fdr)
    rows = rows[placed(rows, ends.loc[rows.index])]
    ends = ends.loc[rows.index]
    if chosen == "bedpe":
        header = "#"
        lines = bedpe(rows, ends)
    else:
        lines = interact(rows, ends)
        header = "" if chosen == "biginteract" else _track_line(track or target.stem, links=what == "links") + "\n#"
    text = lines.to_csv(
        sep="\t",
        index=False,
        header=chosen != "biginteract",
        na_rep=".",
        float_format="%.6g",
        quoting=csv.QUOTE_NONE,
        escapechar="\\",
        lineterminator="\n",
    )
    written = [_write_text(target, header + text)]
    if chosen == "biginteract":
        written.append(_write_text(target.with_name(f"{target.name}.as"), INTERACT_AS))
    return written


def _format(format: str | None, path: Path) -> str:
    choices, chosen = ", ".join(get_args(Format)), None
    if format is not None:
        chosen = format.lower()
    elif keeps_tables(path):
        chosen = "h5mu"
    else:
        chosen = _SUFFIXES.get(suffix_of(path))
    if chosen is None:
        raise OptionError(f"{path.name}: the suffix does not say the format; give format=, one of {choices}")
    if chosen not in get_args(Format):
        raise OptionError(f"format {format!r} does not exist; expected one of {choices}")
    return chosen


def _kind(table: pd.DataFrame) -> str:
    if {"gene", "enhancer_1", "enhancer_2"} <= set(table.columns):
        return "epistasis"
    if {"gene", "peak"} <= set(table.columns):
        return "links"
    raise InputError(
        f"neither links (gene, peak) nor epistasis (gene, enhancer_1, enhancer_2): found {first_few(table.columns)}"
    )


def _need(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    if absent := [name for name in columns if name not in table]:
        raise MissingKeyError(f"the table has no column {first_few(absent)}; expected {', '.join(columns)}")
    return table[columns]


def _tested(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["status"] == "ok"] if "status" in table else table


def _in_one_field(table: pd.DataFrame) -> pd.DataFrame:
    """Put a blank for tabs and ends of lines in texts, which no text format can hold; say where."""
    changed = {}
    for name in [name for name in _TEXTS if name in table]:
        text = table[name].astype(object)
        clean = text.where(text.isna(), text.astype(str).str.replace(_BREAKS, " ", regex=True))
        if (other := (clean != text) & text.notna()).any():
            changed[name] = clean
            log.warning("tabs or ends of lines in %s are written as blanks: %s", name, first_few(text[other].unique()))
    return table.assign(**changed)


def _below(table: pd.DataFrame, fdr: float | None) -> pd.DataFrame:
    return table if fdr is None else table[(_need(table, ["fdr"])["fdr"] < fdr).fillna(False)]


def _capstone(table: pd.DataFrame) -> pd.DataFrame:
    needed = [f"{name}_{state}" for _, state in _CAPSTONE for name in ("beta", "p", "p_boot")]
    _need(table, needed)
    columns = {"gene": table["gene"], "enhancer1": table["enhancer_1"], "enhancer2": table["enhancer_2"]}
    for name, state in _CAPSTONE:
        columns[f"intercept_{name}"] = table.get(f"intercept_{state}", pd.Series(np.nan, index=table.index))
        columns[f"beta.estimate_{name}"] = table[f"beta_{state}"]
        columns[f"beta.pvalue_{name}"] = table[f"p_{state}"]
        columns[f"bootstrap.pvalue_{name}"] = table[f"p_boot_{state}"]
    return pd.DataFrame(columns)


def _by_group(table: pd.DataFrame, path: Path, columns: pd.DataFrame, *, separator: str) -> list[Path]:
    """Write one file, or one a group if there are several."""
    groups = table["group"].astype(object) if "group" in table else pd.Series("all", index=table.index)
    groups = groups.where(groups.notna(), "all").astype(str)
    names = list(dict.fromkeys(groups))
    written, taken = [], set()
    for name in names or ["all"]:
        file = path
        if len(names) > 1:
            # Groups may be told apart by signs that a file name cannot have, or only by upper and lower case.
            word, number = re.sub(r"[^\w.+-]+", "_", name).strip("._") or "group", 1
            unique = word
            while unique.lower() in taken:
                number += 1
                unique = f"{word}_{number}"
            taken.add(unique.lower())
            file = path.with_name(f"{path.stem}_{unique}{path.suffix}")
        part = columns[groups == name]
        # R quotes texts in a CSV, and SCENT nothing.
        text = part.to_csv(
            sep=separator,
            index=False,
            na_rep="NA",
            lineterminator="\n",
            quoting=csv.QUOTE_MINIMAL if separator == " " else csv.QUOTE_NONNUMERIC,
        )
        written.append(_write_text(file, text))
    return written


def _track_line(name: str, *, links: bool) -> str:
    clean = re.sub(r"[\"\n\r\t]", "'", name)
    about = "gene-peak links" if links else "enhancer pairs"
    return (
        f'track type=interact name="{clean[:60]}" description="{clean[:60]}: {about} of scanlink" '
        f"interactDirectional={'true' if links else 'false'} maxHeightPixels=200:100:50 visibility=full"
    )


def _write_text(path: Path, text: str) -> Path:
    return replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"), advice=FULL_DISK)
