"""The tables of a run folder for other programs, by the command line too."""

from __future__ import annotations

import mudata
import pandas as pd
import pytest
import typer
import yaml
from typer.testing import CliRunner

from scanlink.cli_output import add_commands
from scanlink.errors import OptionError
from scanlink.io.opening import quiet
from scanlink.io.parquet import read_shared
from scanlink.io.uns import get_tables
from scanlink.pipeline.finished import export_run


@pytest.fixture
def command():
    app = typer.Typer()
    add_commands(app)

    def call(*words: object) -> list[str]:
        done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output.splitlines()

    return call


def test_export__of_links_below_the_rate_and_all_tested_pairs(folder, command):
    links, epi = read_shared(folder / "links.parquet"), read_shared(folder / "epistasis.parquet")
    lines = command("export", folder, "--format", "bedpe")
    assert lines == [str(folder / "exports" / "links.bedpe"), str(folder / "exports" / "epistasis.bedpe")]
    tables = [pd.read_csv(line, sep="\t") for line in lines]
    assert len(tables[0]) == (links["fdr"] < 0.1).sum() > 0
    assert len(tables[1]) == (epi["status"] == "ok").sum() > 0
    command("export", folder, "-f", "bedpe", "--fdr", 1, "--out", folder / "all")
    assert len(pd.read_csv(folder / "all" / "links.bedpe", sep="\t")) == (links["fdr"] < 1).sum()


@pytest.mark.parametrize(
    ("format", "names"),
    [
        ("interact", ["links.interact", "epistasis.interact"]),
        ("biginteract", ["links.bed", "links.bed.as", "epistasis.bed", "epistasis.bed.as"]),
    ],
)
def test_export__for_genome_browsers(folder, format, names):
    assert [path.name for path in export_run(folder, format)] == names


def test_export__of_scent_and_capstone_a_file_a_group(folder):
    links, epi = read_shared(folder / "links.parquet"), read_shared(folder / "epistasis.parquet")
    tested = links[links["status"] == "ok"]
    assert len(export_run(folder, "scent")) == tested["group"].nunique()
    assert len(export_run(folder, "capstone")) == epi["group"].nunique()


def test_export__goes_on_without_the_annotation(folder):
    with_genes = export_run(folder, "bedpe")[0].read_text()
    options = yaml.safe_load((folder / "config.yaml").read_text())
    options["genes"]["path"] = "gone.gtf"
    (folder / "config.yaml").write_text(yaml.safe_dump(options))
    assert export_run(folder, "bedpe")[0].read_text() == with_genes


def test_export__puts_every_table_into_a_copy_of_the_data(folder, command):
    lines = command("export", folder, "-f", "h5mu")
    assert lines == [str(folder / "exports" / "results.h5mu")]
    with quiet():
        tables = get_tables(mudata.read(lines[0]))
    assert set(tables) == {"links", "enhancer_pairs", "epistasis", "heterogeneity"}
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, read_shared(folder / f"{name}.parquet"), check_column_type=False)


def test_export__tells_what_it_cannot_do(folder):
    (folder / "epistasis.parquet").unlink()
    with pytest.raises(OptionError, match="for enhancer pairs, which this run has not"):
        export_run(folder, "capstone")
    with pytest.raises(OptionError, match="format 'gff' does not exist; expected one of bedpe"):
        export_run(folder, "gff")
    options = yaml.safe_load((folder / "config.yaml").read_text())
    options["input"]["path"] = "counts.h5"
    (folder / "config.yaml").write_text(yaml.safe_dump(options))
    with pytest.raises(OptionError, match="the input of this run is none: name one with --data"):
        export_run(folder, "h5mu")
    assert not (folder / "exports").exists()


def test_report__by_the_command_line(folder, command):
    assert command("report", folder, "--rows", "40") == [str(folder / "report.html")]
    assert "The 40 foremost of" in (folder / "report.html").read_text()
