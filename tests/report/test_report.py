"""What the report says, of runs of every kind; how it looks and works is in test_browser.py."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from scanlink.errors import InputError
from scanlink.io.parquet import read_shared
from scanlink.pipeline.finished import write_report
from scanlink.report.counts import count_rows
from scanlink.report.result_rows import result_table
from scanlink.tl.scan.options import ScanOptions
from scanlink.tl.scan.table import LINKS


class _Reader(HTMLParser):
    """Texts, tags and attributes of a page; complains of tags that are not closed in order."""

    VOID = frozenset({"meta", "link", "img", "input", "br", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)


def read(folder: Path) -> tuple[str, _Reader]:
    """Write the report; its text with single blanks, and its parts."""
    page = write_report(folder).read_text(encoding="utf-8")
    reader = _Reader()
    reader.feed(page)
    assert not reader.open, f"not closed: {reader.open}"
    return " ".join(" ".join(reader.texts).split()), reader


def change(folder: Path, name: str, function) -> pd.DataFrame:
    table = function(read_shared(folder / f"{name}.parquet"))
    table.to_parquet(folder / f"{name}.parquet", index=False)
    return table


def untest(table: pd.DataFrame) -> pd.DataFrame:
    numbers = table.columns[table.columns.get_loc("n_cells") + 1 :].drop("status")
    table = table.astype(dict.fromkeys(numbers, "float64"))
    table[numbers] = np.nan
    return table.assign(status="too_few_cells")


def without_pairs(folder: Path) -> None:
    for name in ("enhancer_pairs", "epistasis", "heterogeneity"):
        (folder / f"{name}.parquet").unlink()
    options = yaml.safe_load((folder / "config.yaml").read_text())
    del options["epistasis"]
    (folder / "config.yaml").write_text(yaml.safe_dump(options))


def test_report__says_what_the_tables_say(folder):
    text, reader = read(folder)
    links, epi = read_shared(folder / "links.parquet"), read_shared(folder / "epistasis.parquet")
    tested, called = (links["status"] == "ok").sum(), (links["fdr"] < 0.1).sum()
    assert called > 10
    assert f"{len(links):,} pairs of a gene and a peak were asked for in {links['group'].nunique()} groups" in text
    assert f"{tested:,} were tested, and {called:,} are links at a false discovery rate below 0.1" in text
    assert f"Of {len(epi):,} pairs of enhancers {(epi['status'] == 'ok').sum():,} were tested" in text
    for status in links["status"].unique():
        assert status == "ok" or f"{status} :" in text
    for options in ("log(nUMI) + percent.mito", "scan 5, epistasis 7", "percent.mito + offset(log(nUMI))"):
        assert options in text
    record = json.loads((folder / "provenance.json").read_text())
    for entry in record["inputs"]:
        assert entry["sha256"] in text
    pictures = [attributes for tag, attributes in reader.tags if tag == "img"]
    assert len(pictures) >= 6
    assert all(len(picture["alt"]) > 40 and picture["src"].startswith("data:image/png") for picture in pictures)
    assert {path.suffix for path in (folder / "plots").iterdir()} == {".png"}
    assert len(list((folder / "plots").iterdir())) == len(pictures)
    assert "Not drawn" not in text


def test_report__loads_nothing_from_elsewhere(folder):
    _, reader = read(folder)
    loads = [
        value
        for tag, attributes in reader.tags
        for name, value in attributes.items()
        if name in ("src", "srcset", "data", "poster", "action") or (name == "href" and tag != "a")
    ]
    assert all(value.startswith("data:") for value in loads), loads
    page = (folder / "report.html").read_text()
    assert not re.search(r"@import|url\((?!data:)", page)
    assert "default-src 'none'" in page


def test_report__is_the_same_for_the_same_folder(folder):
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_report__escapes_names(folder):
    evil = '<script>alert("1")</script>&amp;</script><!--'
    change(folder, "links", lambda t: t.assign(group=t["group"] + evil, gene=t["gene"] + "'\"><img src=x>"))
    change(folder, "epistasis", lambda t: t.assign(group=t["group"] + evil, gene=t["gene"] + "'\"><img src=x>"))
    options = yaml.safe_load((folder / "config.yaml").read_text())
    options["scan"]["formula"] = "log(nUMI) + I(x < 3) <b>"
    (folder / "config.yaml").write_text(yaml.safe_dump(options))
    text, reader = read(folder)
    scripts = [attributes for tag, attributes in reader.tags if tag == "script"]
    assert len(scripts) == 3  # two tables and the program
    assert evil in text
    assert "I(x < 3) <b>" in text
    assert all(attributes["src"].startswith("data:") for tag, attributes in reader.tags if tag == "img")
    page = (folder / "report.html").read_text()
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)[1])
    assert data["rows"][0][0].endswith(evil)


def test_report__of_a_run_with_nothing_tested(folder):
    write_report(folder)
    (folder / "plots" / "own.png").write_bytes(b"somebody's")
    change(folder, "links", untest)
    change(folder, "epistasis", untest)
    text, reader = read(folder)
    assert "None of them could be tested; the table below says why." in text
    assert "Nothing was tested." in text
    assert "No enhancer pairs could be tested;" in text
    assert "too_few_cells : the group has too few cells" in text
    assert not [tag for tag, _ in reader.tags if tag == "img"]
    # Pictures of an earlier report must not stay.
    assert [path.name for path in (folder / "plots").iterdir()] == ["own.png"]


def test_report__of_a_run_without_links(folder):
    without_pairs(folder)
    links = change(folder, "links", lambda t: t.assign(fdr=t["fdr"].clip(lower=0.2)))
    text, _ = read(folder)
    assert f"No links. None of the {(links['status'] == 'ok').sum():,} tested pairs" in text
    assert "Pairs of enhancers were not tested for acting together." in text
    assert "This run did not test pairs of enhancers." in text
    assert "Enhancer pairs not asked for" in text


def test_report__of_a_run_without_interactions(folder):
    epi = change(folder, "epistasis", lambda t: t.assign(fdr=t["fdr"].clip(lower=0.2)))
    text, _ = read(folder)
    assert f"No interactions. None of the {(epi['status'] == 'ok').sum():,} tested enhancer pairs" in text
    assert "That is no proof that there is none" in text


def test_report__of_a_run_in_which_no_gene_has_two_links(folder):
    for name in ("enhancer_pairs", "epistasis", "heterogeneity"):
        change(folder, name, lambda t: t.head(0))
    text, _ = read(folder)
    assert "No gene has two linked peaks in a group" in text


def test_report__of_a_run_that_has_not_come_to_its_enhancer_pairs(folder):
    for name in ("enhancer_pairs", "epistasis", "heterogeneity"):
        (folder / f"{name}.parquet").unlink()
    text, _ = read(folder)
    assert "Pairs of enhancers were asked for, but epistasis.parquet is not in the folder" in text


def test_report__of_one_group(folder):
    change(folder, "links", lambda t: t[t["group"] == "CD14-Mono"].assign(group="all"))
    change(folder, "epistasis", lambda t: t[t["group"] == "CD14-Mono"].assign(group="all"))
    (folder / "heterogeneity.parquet").unlink()
    text, reader = read(folder)
    assert "in 1 group of cells" in text
    assert "There is one group of cells, so there is nothing to compare." in text
    # Nothing to choose a group from, and no row of sums.
    assert not [tag for tag, _ in reader.tags if tag in ("select", "tfoot")]


def test_report__of_thirty_groups_and_failed_blocks(folder):
    def many(table: pd.DataFrame) -> pd.DataFrame:
        one = table[table["group"] == "CD14-Mono"]
        parts = [one.assign(group=f"cell type number {i:02d} of a long name") for i in range(30)]
        table = pd.concat(parts, ignore_index=True)
        return table.assign(status=table["status"].mask(table.index % 7 == 0, "failed"))

    links = change(folder, "links", many)
    record = json.loads((folder / "provenance.json").read_text())
    record["blocks"]["scan"]["all"]["failed"] = {"3": "MemoryError: <no room>"}
    record["blocks"]["epistasis"]["CD4-Naive"]["failed"] = {"1": "OSError: <no disk>"}
    record["not_followed"] = {"epistasis": {"pDC": "1 block of its scan was set aside"}}
    (folder / "provenance.json").write_text(json.dumps(record))
    text, _ = read(folder)
    assert f"{(links['status'] == 'failed').sum():,} pairs failed." in text
    assert "block 3 of the scan: MemoryError: <no room>" in text
    assert "block 1 of the enhancer pairs of CD4-Naive: OSError: <no disk>" in text
    assert "Of 1 group no enhancer pairs were made: pDC: 1 block of its scan was set aside" in text
    assert text.count("cell type number 29 of a long name") >= 2
    counts = count_rows(links, alpha=0.1)
    assert len(counts.groups) == 30
    assert counts.asked == sum(counts.totals.values()) == len(links)


def test_report__of_a_record_of_an_earlier_version(folder):
    record = json.loads((folder / "provenance.json").read_text())
    counts = record["blocks"]["scan"]["all"]
    old = {"schema": 1, "blocks": counts, "epistasis": {"not_followed": {"pDC": "too late"}}, "plan": "scan-1"}
    (folder / "provenance.json").write_text(json.dumps({**record, **old, "not_followed": {}}))
    text, _ = read(folder)
    assert "The record was written by an earlier version of scanlink: what it says of blocks is left out." in text
    assert "of the scan" not in text
    assert all(entry["sha256"] in text for entry in record["inputs"])


def test_report__of_slices_that_were_merged(folder):
    """No config.yaml and no provenance.json: only what the table says."""
    without_pairs(folder)
    (folder / "config.yaml").unlink()
    (folder / "provenance.json").unlink()
    text, _ = read(folder)
    assert "what was asked is not known" in text
    assert "provenance.json is not in the folder" in text


def test_report__of_options_that_another_version_wrote_has_its_columns(folder):
    options = yaml.safe_load((folder / "config.yaml").read_text())
    options["epistasis"] |= {"coding": "new", "not_known": 1}
    (folder / "config.yaml").write_text(yaml.safe_dump(options))
    text, _ = read(folder)
    assert "cells in which both are open ( n_11 )" in text


def test_report__says_when_the_annotation_is_gone(folder):
    options = yaml.safe_load((folder / "config.yaml").read_text())
    options["genes"]["path"] = str(folder / "gone.gtf")
    (folder / "config.yaml").write_text(yaml.safe_dump(options))
    text, _ = read(folder)
    assert "Not drawn: the run's annotation of genes is no longer where it was." in text


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: shutil.rmtree(f), "is no folder"),
        (lambda f: (f / "links.parquet").unlink(), "holds no links.parquet: the run has not come to its links"),
        (lambda f: (f / "links.parquet").write_bytes(b"PAR1 damaged"), "links.parquet: "),
        (lambda f: (f / "provenance.json").write_text("{"), "provenance.json: cannot be read as the record of a run"),
        (lambda f: (f / "config.yaml").write_text("[1, 2]"), "config.yaml: a table of options was expected"),
        (lambda f: change(f, "epistasis", lambda t: t.drop(columns="fdr")), "epistasis.parquet: no column fdr"),
    ],
    ids=["no folder", "no links", "damaged links", "damaged record", "damaged options", "column lost"],
)
def test_report__tells_what_is_wrong_with_a_folder(folder, spoil, words):
    spoil(folder)
    with pytest.raises(InputError, match=re.escape(words)):
        write_report(folder)
    assert not (folder / "report.html").exists()


def test_rows__are_called_ones_first_and_as_many_as_wanted(folder):
    links = read_shared(folder / "links.parquet")
    table = result_table(links, LINKS.columns(ScanOptions()), alpha=0.1, most=50)
    assert len(table.rows) == 50
    assert table.n_tested == (links["status"] == "ok").sum()
    assert table.n_called == min(50, (links["fdr"] < 0.1).sum())
    p = [float(row[[c.name for c in table.columns].index("p_value")]) for row in table.rows]
    assert p[: table.n_called] == sorted(p[: table.n_called])
    page = write_report(folder, rows=50).read_text()
    assert "The 50 foremost of" in page


def test_page__is_in_the_wheel(tmp_path):
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=root, check=True)
    wheel = next(tmp_path.glob("*.whl"))
    names = set(zipfile.ZipFile(wheel).namelist())
    pages = [*(root / "scanlink" / "report" / "page").iterdir(), *root.glob("scanlink/tl/*/section.html.j2")]
    assert {str(path.relative_to(root)) for path in pages} <= names
    assert len(pages) == 10
