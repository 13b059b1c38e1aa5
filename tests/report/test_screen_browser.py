"""The report of a screen in headless Chromium, at the width of a laptop and of a phone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from finished_runs import copied
from report.test_browser import CELLS, LAPTOP, OUTSIDE, PHONE, keep
from report.test_report import change
from report.test_screen_report import untest

from scanlink.io.parquet import read_shared
from scanlink.pipeline.finished import write_report


@pytest.fixture(scope="module")
def report(finished_screen, tmp_path_factory) -> Path:
    return write_report(copied(finished_screen, tmp_path_factory.mktemp("seen") / "screen"))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_report__is_seen_whole_and_without_complaint(page, report, size, dark):
    page.open(report, size, dark=dark)
    keep(page, f"screen-{size[0]}-{'dark' if dark else 'light'}")
    assert page.complaints == []
    assert page.requests == []
    assert page.do("document.documentElement.scrollWidth") <= size[0]
    assert page.do(OUTSIDE) == []
    assert page.do("document.images.length") >= 11
    assert page.do("[...document.images].filter((i) => !i.complete || i.naturalWidth === 0).map((i) => i.alt)") == []
    # Links of the page lead somewhere.
    assert page.do("[...document.querySelectorAll('nav a')].filter((a) => !document.querySelector(a.hash)).length") == 0


def test_tables__are_searched_and_show_only_what_is_called(page, report):
    page.open(report, LAPTOP)
    screen = read_shared(report.parent / "screen.parquet")
    asked = screen[(screen["kind"] == "discovery") & (screen["status"] == "ok")]
    target = asked["target"].iloc[3]
    page.click("#search-screen")
    page.write(str(target))
    gene = "[...document.querySelectorAll('section[data-table] tbody')[0].rows].map((r) => r.cells[1].textContent)"
    assert asked["gene"].iloc[3] in page.do(gene)
    page.open(report, LAPTOP)
    page.click("#only-screen")
    said = page.do("document.querySelector('section[data-table] [aria-live]').textContent")
    assert said.endswith(f" of {(asked['fdr'] < 0.1).sum()}")
    assert set(page.do(CELLS.format(0))) == {"discovery"}
    assert page.complaints == []


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_nothing_tested__is_seen_without_complaint(page, screen_folder, size):
    untest(screen_folder)
    page.open(write_report(screen_folder), size)
    assert page.complaints == []
    assert page.do(OUTSIDE) == []
    assert page.do("document.querySelectorAll('section[data-table], img').length") == 0


@pytest.fixture(scope="module")
def long_names(finished_screen, tmp_path_factory) -> Path:
    """The report of a screen with long names in several groups."""
    folder = copied(finished_screen, tmp_path_factory.mktemp("long") / "screen")

    def many(table: pd.DataFrame) -> pd.DataFrame:
        parts = [
            table.assign(group=f"Cell_line_without_any_blank_in_its_name_{i}", gene=table["gene"] + "_" + 40 * "x")
            for i in range(5)
        ]
        return pd.concat(parts, ignore_index=True)

    for name in ("screen", "interactions"):
        change(folder, name, many)
    return write_report(folder)


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_long_names_and_many_groups__stay_in_their_boxes(page, long_names, size):
    page.open(long_names, size)
    keep(page, f"screen-long-{size[0]}")
    assert page.do("document.documentElement.scrollWidth") <= size[0]
    assert page.do(OUTSIDE) == []
    assert page.complaints == []
