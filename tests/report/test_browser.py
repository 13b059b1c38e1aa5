"""The report in headless Chromium, at the width of a laptop and of a phone: it is seen, read and worked with."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from finished_runs import copied

from scanlink.io.parquet import read_shared
from scanlink.pipeline.finished import write_report

LAPTOP, PHONE = (1366, 768), (390, 844)

# Elements whose right end lies outside the window, but for those in a box that scrolls by itself.
OUTSIDE = """
[...document.querySelectorAll('body *')].filter((e) => {
  const b = e.getBoundingClientRect();
  return b.width > 0 && b.right > innerWidth + 1 && !e.closest('.box, .plate, pre, .skip');
}).map((e) => e.outerHTML.slice(0, 120))
"""
CELLS = "[...document.querySelectorAll('section[data-table] tbody')[0].rows].map((r) => r.cells[{}].textContent)"


@pytest.fixture(scope="module")
def report(finished, tmp_path_factory) -> Path:
    """The report of a run of some thousand rows, all of which are in its table."""
    folder = tmp_path_factory.mktemp("seen")
    for name in ("config.yaml", "provenance.json", "epistasis.parquet", "heterogeneity.parquet"):
        (folder / name).write_bytes((finished / name).read_bytes())
    links = read_shared(finished / "links.parquet")
    parts = [links.assign(gene=links["gene"] + suffix) for suffix in ("", "-AS1")]
    table = pd.concat(parts, ignore_index=True)
    assert 1_000 < (table["status"] == "ok").sum() <= 5_000
    table.to_parquet(folder / "links.parquet", index=False)
    return write_report(folder)


def numbers(texts: list[str]) -> np.ndarray:
    return np.array([float(text.replace("−", "-").replace(",", "")) for text in texts])


def keep(page, name: str) -> None:
    """Leave the picture of the whole page where the variable says, for people to look at."""
    if folder := os.environ.get("SCANLINK_SCREENSHOTS"):
        page.screenshot(Path(folder) / f"{name}.png", whole=True)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_report__is_seen_whole_and_without_complaint(page, report, size, dark):
    page.open(report, size, dark=dark)
    keep(page, f"report-{size[0]}-{'dark' if dark else 'light'}")
    assert page.complaints == []
    assert page.requests == []
    assert page.do("document.documentElement.scrollWidth") <= size[0]
    assert page.do(OUTSIDE) == []
    broken = page.do("[...document.images].filter((i) => !i.complete || i.naturalWidth === 0).map((i) => i.alt)")
    assert broken == []
    assert page.do("document.images.length") >= 8
    paper = page.do("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(22, 25, 28)" if dark else "rgb(255, 255, 255)")


def test_search__finds_words_in_any_order(page, report):
    page.open(report, LAPTOP)
    links = read_shared(report.parent / "links.parquet")
    tested = links[links["status"] == "ok"]
    gene, group = tested["gene"].iloc[5], tested["group"].iloc[5]
    page.click("#search-links")
    page.write(f"{group.lower()} {gene}-as1")
    found = (tested["group"] == group) & tested["gene"].str.lower().str.contains(f"{gene.lower()}-as1", regex=False)
    assert found.sum() > 1
    said = page.do("document.querySelector('section[data-table] [aria-live]').textContent")
    assert said.endswith(f" of {found.sum():,}")
    assert set(page.do(CELLS.format(1))) == set(tested.loc[found, "gene"])
    assert set(page.do(CELLS.format(0))) == {group}
    page.write(" nowhere")
    assert page.do("document.querySelector('section[data-table] tbody').textContent") == "No row matches."
    assert page.complaints == []


def test_group_and_called__leave_only_theirs(page, report):
    page.open(report, LAPTOP)
    links = read_shared(report.parent / "links.parquet")
    page.click("#only-links")
    called = links[links["fdr"] < 0.1]
    said = "document.querySelector('section[data-table] [aria-live]').textContent"
    assert page.do(said).endswith(f" of {len(called):,}")
    page.do(
        "(() => { const s = document.querySelector('#group-links'); s.value = 'CD14-Mono';"
        "s.dispatchEvent(new Event('change')); })()"
    )
    assert page.do(said).endswith(f" of {(called['group'] == 'CD14-Mono').sum():,}")


def test_sort__by_number_and_by_name(page, report):
    page.open(report, LAPTOP)
    headings = page.do(
        "[...document.querySelectorAll('section[data-table] thead')[0].rows[0].cells].map((c) => c.textContent)"
    )
    column = {name: number for number, name in enumerate(headings)}
    links = read_shared(report.parent / "links.parquet")
    tested = links[links["status"] == "ok"]

    def click(name: str) -> list[str]:
        page.click(f"section[data-table] thead th:nth-child({column[name] + 1}) button")
        return page.do(CELLS.format(column[name]))

    largest = numbers(click("effect"))
    assert (np.diff(largest) <= 0).all()
    assert largest[0] == pytest.approx(tested["beta"].max(), rel=0.01)
    smallest = numbers(click("effect"))
    assert (np.diff(smallest) >= 0).all()
    assert smallest[0] < 0
    assert smallest[0] == pytest.approx(tested["beta"].min(), rel=0.01)
    p = numbers(click("p-value"))
    assert (np.diff(p) >= 0).all()
    assert p[0] == pytest.approx(tested["p_value"].min(), rel=0.01)
    # As people order names: GENE2 before GENE10.
    names = click("gene")
    assert names == sorted(names, key=lambda name: (int("".join(filter(str.isdigit, name.split("-")[0]))), name))
    state = f"document.querySelectorAll('section[data-table] thead th')[{column['gene']}].getAttribute('aria-sort')"
    assert page.do(state) == "ascending"
    click("gene")
    assert page.do(state) == "descending"


def test_keyboard__reaches_and_sorts_and_turns_pages(page, report):
    page.open(report, LAPTOP)
    page.do("document.querySelector('#search-links').focus()")
    seen = []
    for _ in range(40):
        page.press("Tab")
        seen.append(page.do("document.activeElement.textContent.trim()"))
        if seen[-1] == "Next":
            break
    assert {"gene", "effect", "p-value", "Next"} <= set(seen)
    ring = page.do("getComputedStyle(document.activeElement).outlineStyle")
    assert ring == "solid"
    first = page.do(CELLS.format(2))
    page.press("Enter")
    assert page.do("document.querySelector('section[data-table] [aria-live]').textContent").startswith("rows 26 to 50")
    assert page.do(CELLS.format(2)) != first
    page.do("document.querySelector('section[data-table] th:nth-child(2) button').focus()")
    page.press("Enter")
    assert (
        page.do("document.querySelector('section[data-table] th:nth-child(2)').getAttribute('aria-sort')")
        == "ascending"
    )


def test_first_rows__are_the_same_with_and_without_script(page, report):
    page.open(report, LAPTOP)
    with_script = page.do(
        "[...document.querySelectorAll('section[data-table] tbody')[0].rows]"
        ".map((r) => [...r.cells].map((c) => c.textContent))"
    )
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open(report, LAPTOP)
        document = page.call("DOM.getDocument")["root"]["nodeId"]
        body = page.call("DOM.querySelector", nodeId=document, selector="section[data-table] tbody")["nodeId"]
        plain = page.call("DOM.getOuterHTML", nodeId=body)["outerHTML"]
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)
    assert re.findall(r">([^<>]*)</td>", plain) == [text for row in with_script for text in row]


def test_evil_names__do_nothing(page, folder):
    evil = "<img src=x onerror=\"document.title='hit'\"></script><script>document.title='hit'</script>"
    for name in ("links", "epistasis"):
        table = read_shared(folder / f"{name}.parquet")
        table.assign(gene=evil + table["gene"], group=table["group"] + evil).to_parquet(folder / f"{name}.parquet")
    page.open(write_report(folder), PHONE)
    page.click("#search-links")
    page.write("onerror")
    assert page.do("document.title") != "hit"
    assert evil in page.do(CELLS.format(0))[0]
    assert page.complaints == []
    assert page.do("document.documentElement.scrollWidth") <= PHONE[0]
    assert page.do(OUTSIDE) == []


@pytest.fixture(scope="module")
def thirty(finished, tmp_path_factory) -> Path:
    """The report of a run with thirty groups."""
    folder = copied(finished, tmp_path_factory.mktemp("thirty") / "run")
    links = read_shared(folder / "links.parquet")
    one = links[links["group"] == "CD14-Mono"]
    parts = [one.assign(group=f"Cell_type_without_any_blank_in_its_name_{i:02d}") for i in range(30)]
    pd.concat(parts, ignore_index=True).to_parquet(folder / "links.parquet")
    return write_report(folder)


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_thirty_groups_of_long_names__stay_in_their_boxes(page, thirty, size):
    page.open(thirty, size)
    keep(page, f"thirty-{size[0]}")
    assert page.do("document.documentElement.scrollWidth") <= size[0]
    assert page.do(OUTSIDE) == []
    assert page.complaints == []


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_nothing_tested__is_seen_without_complaint(page, folder, size):
    for name in ("enhancer_pairs", "epistasis", "heterogeneity"):
        (folder / f"{name}.parquet").unlink()
    links = read_shared(folder / "links.parquet")
    links.assign(status="gene_rare", fdr=np.nan, p_value=np.nan, beta=np.nan).to_parquet(folder / "links.parquet")
    page.open(write_report(folder), size)
    keep(page, f"nothing-{size[0]}")
    assert page.complaints == []
    assert page.do(OUTSIDE) == []
    assert page.do("document.querySelectorAll('section[data-table], img').length") == 0


def test_five_thousand_rows__are_searched_and_sorted_in_a_moment(page, folder):
    links = read_shared(folder / "links.parquet")
    many = pd.concat([links.assign(gene=links["gene"] + f".{i}") for i in range(8)], ignore_index=True)
    many.to_parquet(folder / "links.parquet")
    page.open(write_report(folder), LAPTOP)
    assert page.do("JSON.parse(document.querySelector('section[data-table] script').textContent).rows.length") == 5_000
    took = page.do(
        "(() => { const search = document.querySelector('#search-links'); const begin = performance.now();"
        "search.value = 'gene1'; search.dispatchEvent(new Event('input'));"
        "document.querySelectorAll('section[data-table] thead th button')[4].click();"
        "return performance.now() - begin; })()"
    )
    # A tenth of it on an idle machine.
    assert took < 1_000
