"""Tables of cells in text: levels that look like something else stay what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scanlink as sl
from scanlink.io.pairs import read_pairs
from scanlink.io.text_tables import read_text_table


def column(folder: Path, values: list[str], suffix: str = ".csv") -> pd.Series:
    file = folder / f"cells{suffix}"
    separator = "," if suffix == ".csv" else "\t"
    file.write_text(
        "".join(f"{a}{separator}{b}\n" for a, b in zip(["x", *values], ["y", *"c" * len(values)], strict=True))
    )
    return read_text_table(file)["x"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize(
    "levels",
    [
        ["001", "01", "1"],
        ["1E1", "1E2", "2E1"],
        ["None", "null", "n/a"],
        ["nan", "NaN"],
        ["007", "8"],
        ["1", "2", "control"],
        ["12345678901234567", "12345678901234568"],
        ["1_0", "10"],
        ["#N/A", "<NA>"],
    ],
)
def test_text__is_kept_as_it_is_written(tmp_path, levels, suffix):
    assert column(tmp_path, levels, suffix).tolist() == levels


def test_missing__are_the_empty_value_and_NA_only(tmp_path):
    assert column(tmp_path, ["NA", "", "None", "B"]).isna().tolist() == [True, True, False, False]
    assert column(tmp_path, ["NA", "", "1", "2.5"]).isna().tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("written", "values", "dtype"),
    [
        (["0", "10", "-3"], [0, 10, -3], "int64"),
        (["0.5", "1.", ".25", "1e-05", "2E+3"], [0.5, 1.0, 0.25, 1e-5, 2000.0], "float64"),
        (["1", "NA", "3"], [1.0, np.nan, 3.0], "float64"),
        (["1.5", "NaN", "-Inf"], [1.5, np.nan, -np.inf], "float64"),
        (["TRUE", "FALSE"], [True, False], "bool"),
    ],
)
def test_numbers__stay_numbers(tmp_path, written, values, dtype):
    read = column(tmp_path, written)
    assert read.dtype == dtype
    np.testing.assert_array_equal(read.to_numpy(), values)


def test_names_of_rows__without_a_name_of_their_column_stay_text(tmp_path):
    (tmp_path / "cells.tsv").write_bytes(b"\xef\xbb\xbfdonor\tage\n000\t1\t5\n001\t01\t6\n")
    table = read_text_table(tmp_path / "cells.tsv")
    assert table.index.tolist() == ["000", "001"]
    assert table["donor"].tolist() == ["1", "01"]
    assert table["age"].tolist() == [5, 6]


def test_guides_and_pairs__keep_names_as_they_are(tmp_path):
    (tmp_path / "pairs.tsv").write_text("gene\tpeak\tdistance\nNA\tchr1:1-2\t5\n007\tchr1:1-2\tNA\n")
    pairs = sl.io.pairs.read_pairs(tmp_path / "pairs.tsv")
    assert pairs["gene"].tolist() == ["NA", "007"]
    assert pairs["distance"].tolist()[0] == 5
    (tmp_path / "pairs.csv").write_text("\ufeffresponse_id,grna_target,pair_type\nNA,01,discovery\n")
    targets = sl.io.read_target_pairs(tmp_path / "pairs.csv")
    assert targets.loc[0].tolist() == ["NA", "01", "discovery"]


def test_numbers__with_a_word_for_missing_are_text_and_told(tmp_path, caplog):
    (tmp_path / "cells.csv").write_text("barcode,age,dose\nc1,61,5\nc2,NULL,none\nc3,6.5,low\n")
    cells = read_text_table(tmp_path / "cells.csv")
    assert cells["age"].tolist() == ["61", "NULL", "6.5"]
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("column 'age' is text, each number in it a level, because of 'NULL' in 1 rows")


def test_table_of_r__with_a_name_twice(tmp_path):
    (tmp_path / "cells.tsv").write_text("x\tx\tdonor\nc1\t1\t2\t007\nc2\t3\t4\t8\n")
    cells = read_text_table(tmp_path / "cells.tsv")
    assert cells.to_dict("list") == {"x": [1, 3], "x.1": [2, 4], "donor": ["007", "8"]}
    assert cells.index.tolist() == ["c1", "c2"]


def test_pairs__a_distance_that_no_number_stands_for_is_missing(tmp_path):
    (tmp_path / "pairs.csv").write_text("gene,peak,distance\nA,chr1:1-2,NULL\nB,chr1:1-2,-7\n")
    assert read_pairs(tmp_path / "pairs.csv")["distance"].tolist() == pytest.approx([np.nan, -7], nan_ok=True)
