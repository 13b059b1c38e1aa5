"""Run folders of version 0.1.0 (version_0_1_0/make.py): they are read, and gone on from, and never half mixed."""

from __future__ import annotations

import json
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml

from scanlink.errors import MissingKeyError, RunError
from scanlink.pipeline import config, slices
from scanlink.pipeline import run as pipeline
from scanlink.pipeline.finished import export_run, write_report
from scanlink.pipeline.status import describe

ARCHIVES = Path(__file__).parent / "version_0_1_0"


@dataclass(frozen=True)
class Old:
    """Folder of a run by version 0.1.0, and what it was of."""

    out: Path
    options: Path
    tables: tuple[str, ...]
    starting: tuple[str, ...]


@pytest.fixture(params=["multiome", "screen"])
def old(request, tmp_path) -> Old:
    with tarfile.open(ARCHIVES / f"{request.param}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    for path in tmp_path.glob("out/**/*"):
        if path.suffix in (".yaml", ".json"):
            path.write_text(path.read_text().replace("/project", str(tmp_path)))
    if request.param == "multiome":
        tables, starting = ("links", "enhancer_pairs", "epistasis", "heterogeneity"), ("scan",)
    else:
        tables, starting = ("screen", "interactions", "target_pairs"), ("screen", "interactions")
    assert json.loads((tmp_path / "out" / "provenance.json").read_text())["schema"] == 1
    return Old(tmp_path / "out", tmp_path / "run.yaml", tables, starting)


def contents(old: Old, suffix: str = "") -> dict[str, bytes]:
    paths = {name: old.out / f"{name}{suffix}.parquet" for name in old.tables}
    return {name: path.read_bytes() for name, path in paths.items() if path.exists()}


def same(old: Old, before: dict[str, bytes], tmp_path: Path) -> None:
    """The numbers are those of before. No bootstrap was drawn beside a robust p-value then; some columns are new."""
    assert sorted(contents(old)) == sorted(before)
    for name, content in before.items():
        (tmp_path / "before.parquet").write_bytes(content)
        now, then = (pd.read_parquet(path) for path in (old.out / f"{name}.parquet", tmp_path / "before.parquet"))
        columns = [column for column in then if not re.match("[pn]_boot", column)]
        pd.testing.assert_frame_equal(now[columns], then[columns], check_exact=False, rtol=1e-8)


def test_earlier_version__status_report_and_export_read_its_folder(old):
    before = contents(old)
    status = "\n".join(describe(old.out))
    for name in old.starting:
        assert re.search(rf"^{name} \w{{12}}   (\d+) of \1 blocks$", status, re.MULTILINE)
    assert "not yet" not in status
    assert "last finished" in status
    page = write_report(old.out).read_text()
    assert "The record was written by an earlier version of scanlink" in page
    # It drew none beside its p-values, whatever its options say.
    sections = yaml.safe_load((old.out / "config.yaml").read_text())
    assert ("bootstrap of cells" in page) == any(sections[name]["p_value"] == "bootstrap" for name in old.starting)
    exported = export_run(old.out, "bedpe")
    assert len(exported) == (2 if "links" in old.tables else 1)
    assert all(path.stat().st_size > 100 for path in exported)
    assert contents(old) == before


def test_earlier_version__a_run_keeps_its_tables_apart_and_gives_its_numbers(old, tmp_path, caplog):
    before = contents(old)
    assert sorted(before) == sorted(old.tables)
    outcome = pipeline.run(config.load_run(old.options), old.out)
    for name in old.tables:
        words = name.replace("_", " ")
        assert f"{words} of other data or options are kept as {name}.previous.parquet" in caplog.text
    assert contents(old, ".previous") == before
    same(old, before, tmp_path)
    assert sorted(outcome.tables) == sorted(old.tables)
    assert json.loads((old.out / "provenance.json").read_text())["schema"] == 2
    # Nothing of the folder as it was stands beside what is new: a second run finds its own tables.
    caplog.clear()
    again = pipeline.run(config.load_run(old.options), old.out)
    assert "kept as" not in caplog.text
    assert [stats.n_computed for stats in again.all_stats] == [0] * len(again.all_stats)


def test_earlier_version__config_is_the_same_run_but_for_the_default_of_the_ladder(old):
    ladders = [f"{name}.ladder=scent" for name in old.starting]
    ours, theirs = config.load_run(old.options, changes=ladders), config.load_run(old.out / "config.yaml")
    assert ours == theirs


def test_earlier_version__tables_of_a_run_that_is_refused_stay(old):
    before = contents(old)
    with pytest.raises(MissingKeyError, match="nothing"):
        pipeline.run(config.load_run(old.options, changes=[f"{old.starting[0]}.formula=nothing"]), old.out)
    assert contents(old) == before
    assert json.loads((old.out / "provenance.json").read_text())["schema"] == 1


def test_earlier_version__slices_of_a_scan_are_computed_anew(old):
    """Version 0.1.0 drew no bootstrap beside a robust p-value, so its parts are not those of the same options today."""
    if "links" not in old.tables:
        pytest.skip("version 0.1.0 had no slices of screens")
    for path in (*old.out.glob("*.parquet"), old.out / "provenance.json"):
        if path.name != "pairs.parquet":
            path.unlink()
    sections = yaml.safe_load((old.out / "config.yaml").read_text())
    sliced = {name: sections[name] for name in ("groups", "scan", "links")}
    (old.out / "config.yaml").write_text(yaml.safe_dump(sliced))
    with pytest.raises(RunError, match="8 of 8 blocks are not finished"):
        slices.merge(old.out)
    assert not (old.out / "links.parquet").exists()
