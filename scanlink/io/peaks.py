"""Coordinates of peaks, from their names or from columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from scanlink.errors import InputError, first_few

__all__ = ["looks_like_peaks", "parse_peaks", "peak_table"]

# The last two integers are start and end; a contig may itself hold any separator (HLA-DRB1*15:01, chrUn_KI270742v1),
# but cannot end with one, or else the minus of a negative start would pass for part of the contig.
_PEAK = r"^(?P<chrom>\S*[^\s:_\-])[:_\-](?P<start>\d{1,18})[_\-](?P<end>\d{1,18})$"
# What columns that say where features lie are called, in lower case; the last are of BioMart.
_PLACE_COLUMNS = (
    ("chrom", "seqnames", "chr", "chromosome", "seqname", "contig", "chromosome_name"),
    ("start", "start_position"),
    ("end", "end_position"),
)


def _strings(names: Iterable[object]) -> list[str]:
    # Taken one by one: numpy would pad a million short names to the length of the longest.
    return [name if type(name) is str else str(name) for name in names]


def parse_peaks(names: Iterable[object], *, one_based: bool = False) -> pd.DataFrame:
    """Read coordinates off peak names such as ``chr1:10-20``, ``chr1-10-20`` or ``chr1_10_20``.

    Parameters
    ----------
    names
        Peak names, ``n_peaks`` of them. The last two integers are start and end (bp); all before the separator is the
        contig, so that contigs whose own name has ``-``, ``_`` or ``:`` are understood.
    one_based
        Whether the names count from 1 with the start included, as R's ``GRanges`` do; 1 is then subtracted from start.

    Returns
    -------
    Table with the names as index and columns ``chrom``, ``start``, ``end`` (0-based half-open, bp). One row per name,
    in the same order.

    Raises
    ------
    InputError
        If a name does not end in two integers, or if its start is not before its end; names the first and counts all.

    Examples
    --------
    >>> parse_peaks(["chr1:10-20", "chrUn_KI270742v1_100_200", "HLA-DRB1*15:01-5-10"])
                                         chrom  start  end
    chr1:10-20                            chr1     10   20
    chrUn_KI270742v1_100_200  chrUn_KI270742v1    100  200
    HLA-DRB1*15:01-5-10         HLA-DRB1*15:01      5   10
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    labels = _strings(names)
    fields = pc.extract_regex(pa.array(labels, type=pa.large_string()), pattern=_PEAK)
    if fields.null_count:
        bad = np.flatnonzero(pc.is_null(fields).to_numpy(zero_copy_only=False))
        raise InputError(
            f"{len(bad):,} of {len(labels):,} peak names hold no coordinates: {first_few(labels[i] for i in bad)}. "
            "Names like chr1:10-20, chr1-10-20 or chr1_10_20 were expected, "
            "or columns chrom, start, end in the table of peaks (.var)"
        )
    # Decoded through a dictionary, so that a million rows share a few dozen strings.
    chrom = pc.struct_field(fields, "chrom").dictionary_encode()
    table = pd.DataFrame(
        {
            "chrom": np.asarray(chrom.dictionary.to_pylist(), dtype=object)[chrom.indices.to_numpy()]
            if labels
            else np.empty(0, dtype=object),
            "start": pc.struct_field(fields, "start").cast(pa.int64()).to_numpy(),
            "end": pc.struct_field(fields, "end").cast(pa.int64()).to_numpy(),
        },
        index=pd.Index(labels, dtype=object),
    )
    return _checked(table, one_based=one_based)


def peak_table(var: pd.DataFrame, *, one_based: bool = False) -> pd.DataFrame:
    """Find the coordinates of peaks in the columns of ``.var`` or, where there are none, in the names.

    Columns ``chrom`` (or ``seqnames``, ``chr``), ``start`` and ``end`` are used if all are there, else ``interval`` (as
    of 10x), else the names. The result and what is raised are as of :func:`parse_peaks`; the index is that of ``var``.
    """
    columns = _place_columns(var)
    if len(columns) == 3:
        chrom, *sides = columns
        table = pd.DataFrame({"chrom": _text(var[chrom])}, index=var.index.astype(str))
        for side, name in zip(("start", "end"), sides, strict=True):
            table[side] = _whole_numbers(var[name], table.index)
        missing = table["chrom"].isna().to_numpy()
        if missing.any():
            raise InputError(
                f"{missing.sum():,} peaks have no chromosome in column {chrom!r}: {first_few(table.index[missing])}"
            )
        return _checked(table, one_based=one_based)
    if columns and looks_like_peaks(var[columns[0]]):
        table = parse_peaks(var[columns[0]], one_based=one_based)
        return table.set_axis(var.index.astype(str), axis=0)
    return parse_peaks(var.index, one_based=one_based)


def known_places(var: pd.DataFrame, *, prefix: str) -> pd.DataFrame:
    """Find the places of those features that have one, by position: in the columns of :func:`peak_table`, not in names.

    The columns of coordinates may be called with a ``prefix`` as well, such as ``gene_chr``.
    """
    columns = _place_columns(var, prefix)
    if not columns:
        return pd.DataFrame({"chrom": [], "start": [], "end": []}).astype({"chrom": object})
    table = var[columns] if len(columns) == 3 else var[columns[0]].astype(str).str.extract(_PEAK)
    table = table.set_axis(["chrom", "start", "end"], axis=1).reset_index(drop=True).astype(object)
    for side in ("start", "end"):
        table[side] = pd.to_numeric(table[side], errors="coerce")
    return table.dropna().assign(chrom=lambda rows: rows["chrom"].astype(str))


def _place_columns(var: pd.DataFrame, prefix: str = "") -> list[object]:
    """Find the columns of chromosome, start and end, or if one of them is not there ``interval`` of 10x, or none."""
    columns = {str(name).lower(): name for name in var.columns}
    names = [[word for name in each for word in dict.fromkeys((name, prefix + name))] for each in _PLACE_COLUMNS]
    place = [next((columns[name] for name in each if name in columns), None) for each in names]
    if None in place:
        place = [columns["interval"]] if "interval" in columns else []
    return list(place)


def looks_like_peaks(names: Iterable[object] | Sequence[str]) -> bool:
    """Tell whether most of the names end in coordinates; of more than 1,000, an even sample is looked at."""
    every = list(names)
    sample = pd.Series(_strings(every[:: max(1, len(every) // 1000)]), dtype=object)
    return len(sample) > 0 and bool(sample.str.match(_PEAK.replace("?P<chrom>", "?:")).mean() > 0.5)


def _text(column: pd.Series) -> np.ndarray:
    values = column.astype(object)
    return values.where(values.isna(), values.astype(str)).to_numpy(dtype=object)


def _whole_numbers(column: pd.Series, names: pd.Index) -> np.ndarray:
    numbers = pd.to_numeric(column.astype(object), errors="coerce").to_numpy(dtype=float)
    bad = ~np.isfinite(numbers) | (numbers != np.floor(numbers))
    if bad.any():
        examples = [f"{name}: {value}" for name, value in zip(names[bad], column[bad], strict=True)]
        raise InputError(
            f"{bad.sum():,} peaks have no whole number in column {column.name!r}: {first_few(examples)}. "
            "Coordinates in bp were expected"
        )
    return numbers.astype(np.int64)


def _checked(table: pd.DataFrame, *, one_based: bool) -> pd.DataFrame:
    if one_based:
        table["start"] -= 1
    bad = (table["start"] >= table["end"]).to_numpy() | (table["start"] < 0).to_numpy()
    if bad.any():
        examples = [f"{name} ({row.start}, {row.end})" for name, row in table[bad].head(5).iterrows()]
        counted = "after 1 was subtracted from start (one_based=True), " if one_based else ""
        raise InputError(
            f"{counted}{bad.sum():,} of {len(table):,} peaks are empty or begin before 0: {', '.join(examples)}. "
            "0 <= start < end was expected (0-based, half-open)"
        )
    return table
