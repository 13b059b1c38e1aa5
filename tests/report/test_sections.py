"""The page is made of sections: of an analysis that the report has never heard of it tells as of any other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from report.test_report import _Reader

import scanlink.report
from scanlink.errors import InputError
from scanlink.options import Options
from scanlink.pipeline.experiments import EXPERIMENTS
from scanlink.pipeline.finished import experiment_in
from scanlink.report.counts import summary_lines
from scanlink.report.page import write_page
from scanlink.report.references import Method
from scanlink.report.sections import Picture, RowKind, Section
from scanlink.tables import FAILED, FDR, GENE, GROUP, P_VALUE, STATUSES, Column, Table

ANALYSES = [analysis for experiment in EXPERIMENTS for analysis in experiment.analyses]


@dataclass(frozen=True)
class Analysis:
    name: str
    table: Table
    section: Section
    level: str
    options: type[Options] = Options

    @property
    def tables(self):
        return (self.table.name,)


def _pictures(result):
    from scanlink import pl

    def none():
        raise InputError("there is nothing to see")

    yield Picture(
        "taus", "Taus", "A volcano plot of taus, as many as there are.", "Read `it`.", lambda: pl.volcano(result.tested)
    )
    yield Picture("empty", "Nothing", "A picture that cannot be drawn.", "Cannot be read.", none)


SECTION = Section(
    title="Rank correlations",
    blocks="the correlations",
    needs={"taus": ("group", "gene", "beta", "p_value", "fdr", "status")},
    columns=("group", "gene", "beta", "p_value", "fdr"),
    asked=lambda options: [("Correlation", "tau of each pair")] if options.get("kendall") else [],
    lead=lambda result: "No tau." if result.table is None else f"{result.counts.called} taus of note.",
    intro=lambda result: "A tau of 1 is perfect; the option `seed` changes <nothing>.",
    absent=lambda run: "Ask for `kendall:`.",
    methods=lambda result: [Method("Kendall's tau", ("glm",))],
    summary=lambda table, rates, not_followed: summary_lines(table, "taus asked for"),
    by_group={"concordant": "above", "discordant": "below", "genes": "gene"},
    pictures=_pictures,
)
KENDALL = Analysis(
    "kendall",
    Table(
        "taus",
        lambda options: (GROUP, GENE, Column("beta", "number", "Kendall's tau", "tau"), P_VALUE, FDR),
        {"ok": "tested", "tied": "all values are tied", FAILED: "failed"},
        "pairs",
        "taus",
    ),
    SECTION,
    "kendall",
)


def _write(folder: Path, **columns) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "group": np.repeat(["B", "T"], 20),
            "gene": [f"G{i}" for i in range(40)],
            "peak": [f"chr1:{i}00-{i}50" for i in range(40)],
            "n_cells": np.repeat([50, 70], 20),
            "beta": np.linspace(-1, 1, 40),
            "p_value": np.linspace(1e-6, 1, 40),
            "fdr": np.linspace(1e-5, 1, 40),
            "status": "ok",
        }
    ).assign(**columns)
    table.to_parquet(folder / "taus.parquet")
    (folder / "config.yaml").write_text(yaml.safe_dump({"kendall": {"alpha": 0.2, "seed": 4, "method": "by"}}))
    return table


def _text(page: Path) -> str:
    reader = _Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    return " ".join(" ".join(reader.texts).split())


def test_page__tells_of_an_analysis_that_it_has_never_heard_of(tmp_path):
    table = _write(tmp_path, status=["ok"] * 30 + ["tied"] * 9 + [FAILED])
    record = {
        "schema": 2,
        "blocks": {"kendall": {"B": {"all": 3, "computed": 3}, "T": {"all": 2, "failed": {"1": "no room"}}}},
        "not_followed": {"kendall": {"NK": "too few cells"}},
    }
    (tmp_path / "provenance.json").write_text(json.dumps(record))
    path = write_page(tmp_path, [KENDALL])
    text, page = _text(path), path.read_text(encoding="utf-8")
    n = int(((table["fdr"] < 0.2) & (table["status"] == "ok")).sum())
    for words in (
        f"{n} taus of note.",
        "pairs tested of 40",
        "taus at FDR < 0.2",
        "Correlation tau of each pair",
        "tied : all values are tied",
        "1 pairs failed.",
        "the option seed changes <nothing>",
        "concordant discordant genes",
        "All taus and the next pairs",
        "Not drawn: there is nothing to see.",
        "kendall 4",
        "of the correlations 5: 0 found finished, 3 computed, 0 damaged and computed anew, 1 set aside",
        "block 1 of the correlations of T: no room",
        "Of 1 group no pairs were made: NK: too few cells",
        "Kendall's tau",
        "The control of the false discovery rate in multiple testing under dependency",
    ):
        assert words in text
    assert {"tone-0", "tone-1", "failed"} <= set(re.findall(r'<span class="([\w-]+)" style', page))
    assert re.findall(r'<li><a href="#([\w-]+)">', page) == ["asked", "tested", "taus", "provenance", "cite"]
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["taus.png"]


def test_page__says_in_a_line_what_was_not_asked_for(tmp_path, folder):
    page = write_page(folder, [*experiment_in(folder).analyses, KENDALL])
    text = _text(page)
    assert "No tau." in text
    assert "Rank correlations Ask for kendall: ." in text
    assert "Rank correlations not asked for" in text


def test_page__knows_kinds_of_rows_and_calls_no_control(tmp_path):
    kinds = {"real": RowKind("real", "what was asked for"), "mock": RowKind("mock", "not asked for", control=True)}
    section = replace(SECTION, kinds=kinds, pictures=lambda result: ())
    table = _write(tmp_path, kind=["mock"] * 10 + ["real"] * 30)
    text = _text(write_page(tmp_path, [replace(KENDALL, section=section)]))
    real = table[table["kind"] == "real"]
    assert f"{(real['fdr'] < 0.2).sum()} taus of note." in text
    assert "pairs tested of 30" in text
    assert "mock, B" in text
    assert "mock not asked for" in text


def test_page__of_nothing_but_the_table(tmp_path):
    _write(tmp_path, status="tied")
    (tmp_path / "config.yaml").unlink()
    text = _text(write_page(tmp_path, [KENDALL]))
    assert "No pairs could be tested;" in text
    assert "what was asked is not known" in text


@pytest.mark.parametrize("analysis", ANALYSES, ids=lambda analysis: analysis.name)
def test_sections__are_complete(analysis):
    section, table = analysis.section, analysis.table
    assert table.name in section.needs
    assert list(section.asked({})) == []
    orders = ({"order": k} for k in (2, 3, 4)) if "order" in analysis.options.model_fields else [{}]
    described = {c.name: c for order in orders for c in table.columns(analysis.options.model_construct(**order))}
    names = [column for column in section.columns if isinstance(column, str)]
    assert set(names) <= set(described)
    assert not {column.name for column in section.columns if not isinstance(column, str)} & set(described)
    assert len(section.columns) == len(set(section.columns))
    labels = [column.label for name, column in described.items() if name in names]
    assert len(labels) == len(set(labels))
    assert not table.statuses or (next(iter(table.statuses)), list(table.statuses)[-1]) == ("ok", FAILED)
    for status in STATUSES.keys() & table.statuses.keys():
        assert table.statuses[status] == STATUSES[status]
    assert section.template is None or section.template.is_file()


def test_sections__are_light():
    """A worker imports the declaration of what it computes, and so its section: nothing that it did not need before."""
    modules = ", ".join(f"scanlink.tl.{analysis.name}.section" for analysis in ANALYSES)
    heavy = "{'matplotlib', 'distributed', 'dask_jobqueue', 'scanpy', 'muon', 'statsmodels'}"
    program = f"import sys, {modules}; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_report__has_no_name_of_an_analysis():
    room = Path(scanlink.report.__file__).parent
    # Stands in for the declarations of analyses.
    texts = {
        path: path.read_text() for path in room.rglob("*") if path.suffix in (".py", ".j2") and path.name != "write.py"
    }
    names = {name for analysis in ANALYSES for name in (analysis.name, *analysis.tables)}
    for path, text in texts.items():
        for name in names:
            assert not re.search(rf"""["']{name}["']|tl\.{name}|run\.{name}\b""", text), f"{path.name} names {name}"
