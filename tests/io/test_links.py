from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scanlink as sl
from scanlink.errors import InputError
from scanlink.io.links import LINK_COLUMNS


@pytest.mark.parametrize(("separator", "name"), [(" ", "x.txt"), ("\t", "x.tsv"), (",", "x.csv"), ("\t", "x.txt.gz")])
def test_read_links__scent_with_any_separator(tmp_path: Path, shared: Path, separator: str, name: str) -> None:
    reference = pd.read_csv(shared / "pbmc10k" / "scent_R_CD14-Mono.csv")
    scent = reference.rename(columns={"boot_basic_p_run1": "boot_basic_p"}).drop(columns="boot_basic_p_run2")
    scent.to_csv(tmp_path / name, sep=separator, index=False)
    links = sl.io.read_links(tmp_path / name, group="CD14-Mono")
    assert {column: str(dtype) for column, dtype in links.dtypes.items()} == LINK_COLUMNS
    for ours, theirs in (("gene",) * 2, ("peak",) * 2, ("beta",) * 2, ("se",) * 2, ("p_boot", "boot_basic_p")):
        assert links[ours].tolist() == scent[theirs].tolist()
    assert links["p_value"].tolist() == scent["boot_basic_p"].tolist()
    assert set(links["status"]) == {"ok"}
    assert set(links["group"]) == {"CD14-Mono"}
    assert links[["distance", "n_cells", "p_robust", "fdr"]].isna().all(axis=None)


def test_read_links__without_bootstrap_takes_p(shared: Path) -> None:
    links = sl.io.read_links(shared / "pbmc10k" / "scent_R_CD14-Mono.csv")
    assert len(links) == 256
    assert links["p_boot"].isna().all()
    assert links["p_value"].tolist() == links["p"].tolist()


def test_read_links__parquet_as_it_was_written(tmp_path: Path) -> None:
    table = pd.DataFrame({"gene": ["A"], "peak": ["chr1:1-2"], "beta": [0.5], "p": [np.nan], "status": ["no_fit"]})
    table.to_parquet(tmp_path / "links.parquet")
    pd.testing.assert_frame_equal(sl.io.read_links(tmp_path / "links.parquet"), table)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.txt", b"", "the file is empty"),
        ("x.txt", b"gene\tbeta\nA\t1\n", "no column 'peak', 'p'; found 'gene', 'beta'"),
        ("x.csv", b"gene,peak,beta,p\nA,chr1:1-2,high,0.5\n", "1 values in column 'beta' are not numbers: 'high'"),
        ("x.parquet", b"PAR1 and no more", "x.parquet: "),
        ("x.txt.gz", b"gene", "not a gzip file"),
    ],
)
def test_read_links__bad_input_is_told_what_is_wrong(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        sl.io.read_links(tmp_path / name)


@pytest.mark.parametrize("separator", [",", "\t"])
def test_read_links__names_are_text_whatever_they_look_like(tmp_path, separator):
    rows = [
        "group gene peak beta p distance se",
        "NA 1-Mar chr1:1-2 0.5 0.01 007 NA",
        "007 NA chr1:5-6 NaN null -3 0.1",
        "1E1 None chr1:7-8 inf 1e-3 NA None",
    ]
    (tmp_path / "x.csv").write_text("\n".join(rows).replace(" ", separator) + "\n")
    links = sl.io.read_links(tmp_path / "x.csv")
    assert links["group"].tolist() == ["NA", "007", "1E1"]
    assert links["gene"].tolist() == ["1-Mar", "NA", "None"]
    assert links["beta"].tolist()[::2] == [0.5, np.inf]
    assert links["distance"].tolist()[:2] == [7, -3]
    assert links[["beta", "p", "distance", "se"]].isna().sum().tolist() == [1, 1, 1, 2]
    (tmp_path / "x.csv").write_text("group,gene,peak,beta,p\n,A,chr1:1-2,0.5,often\n")
    with pytest.raises(sl.errors.InputError, match="1 values in column 'p' are not numbers: 'often'"):
        sl.io.read_links(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text("group,gene,peak,beta,p\n,A,chr1:1-2,0.5,.1\n")
    assert sl.io.read_links(tmp_path / "x.csv")["group"].isna().tolist() == [True]
