"""What the report of a screen says, of runs of every kind; how it looks and works is in test_screen_browser.py."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from report.test_report import change, read

from scanlink.errors import InputError, OptionError
from scanlink.io.parquet import read_shared
from scanlink.pipeline.finished import experiment_in, export_run, write_report
from scanlink.pipeline.status import describe
from scanlink.report.folder import read_run
from scanlink.report.page import methods_of, results_of
from scanlink.tl.interactions.table import INTERACTIONS_TABLE
from scanlink.tl.perturbations.control_rates import control_rates, verdict
from scanlink.tl.screen.table import SCREEN_TABLE


def options(folder, **sections):
    """Change sections of the options; None takes one out."""
    found = yaml.safe_load((folder / "config.yaml").read_text())
    for name, value in sections.items():
        found[name] = (found[name] | value) if isinstance(value, dict) and found.get(name) else value
    (folder / "config.yaml").write_text(yaml.safe_dump(found))


@pytest.fixture
def plain(monkeypatch):
    """No pictures, which take most of the time, where a test is about words and numbers."""
    monkeypatch.setattr("scanlink.report.page._pictures", lambda run, results: {})


def untested(table):
    numbers = table.columns[table.columns.get_loc("n_cells") + 1 :].drop("status")
    table = table.astype(dict.fromkeys(numbers, "float64"))
    table[numbers] = np.nan
    return table.assign(status="few_perturbed")


def untest(folder):
    """Leave the tables of a screen in which nothing could be tested."""
    for name in ("screen", "interactions"):
        change(folder, name, untested)
    change(folder, "screen_links", lambda t: t.assign(status_screen="few_perturbed"))


def test_report__says_what_the_tables_say(screen_folder):
    text, reader = read(screen_folder)
    screen, two = (read_shared(screen_folder / f"{name}.parquet") for name in ("screen", "interactions"))
    asked = screen[screen["kind"].isin(["discovery", "positive_control"])]
    called = asked[asked["fdr"] < 0.1]
    down = int((called["beta"] < 0).sum())
    assert down > 5
    assert f"A CRISPR screen of 2,000 cells: {len(asked)} pairs of a target and a gene were asked for." in text
    assert f"in {len(called)} of them the perturbation has an effect at a false discovery rate below 0.1" in text
    assert f"{down} lower the gene, {len(called) - down} raise it" in text
    pairs = two[two["kind"] == "discovery"]
    tested = pairs[pairs["status"] == "ok"]
    assert f"Of {len(pairs)} pairs of targets of a gene {len(tested)} were tested for acting together" in text
    half = tested["min_interaction"].median()
    assert f"In half of the {len(tested)} tested pairs an interaction had to be {half:.2g} or more" in text
    for word in ("prep_batch + offset(log(nUMI))", "screen 3, interactions 4", "of the screen", "of the interactions"):
        assert word in text
    for table, words in ((screen, SCREEN_TABLE.statuses), (two, INTERACTIONS_TABLE.statuses)):
        for status in set(table["status"]):
            assert status == "ok" or f"{status} : {words[status]}" in text
    record = json.loads((screen_folder / "provenance.json").read_text())
    assert all(entry["sha256"] in text for entry in record["inputs"])
    pictures = [attributes for tag, attributes in reader.tags if tag == "img"]
    assert len(pictures) >= 11
    assert all(len(picture["alt"]) > 40 and picture["src"].startswith("data:image/png") for picture in pictures)
    assert len(list((screen_folder / "plots").glob("*.png"))) == len(pictures)
    assert "Not drawn" not in text


def test_report__rejections_of_controls_are_those_of_the_table(screen_folder, plain):
    text, _ = read(screen_folder)
    screen = read_shared(screen_folder / "screen.parquet")
    for control in ("non_targeting", "shuffled", "mismatched"):
        own = screen[(screen["kind"] == control) & (screen["status"] == "ok")]
        share = (own["p_robust"] <= 0.05).mean()
        found = re.search(
            rf"Of (\d+) tests of {control.replace('_', '-')} controls ([\d.]+) % are at or below .05", text
        )
        assert found is not None
        assert int(found[1]) == len(own) > 10
        assert float(found[2]) == pytest.approx(100 * share, abs=0.5)


def test_rates__mark_what_chance_does_not_allow():
    n = 2_000
    p = (np.arange(n) + 0.5) / n
    table = pd.DataFrame(
        {"kind": "shuffled", "status": "ok", "p": p**1.5, "p_robust": p, "p_boot": np.sqrt(p), "p_tail": np.nan}
    )
    rates = control_rates(pd.concat([table, table.assign(status="gene_rare", p=0.0)]), p_value="robust")
    assert [(own.kind, own.n, own.chosen) for own in rates] == [
        ("wald", n, False),
        ("robust", n, True),
        ("bootstrap", n, False),
    ]
    assert [[rate.sign for rate in own.rates] for own in rates] == [[1, 1, 1], [0, 0, 0], [-1, -1, 0]]
    assert rates[1].rates[0].text == "5.0 ± 0.49"
    assert verdict(rates) == [
        "Of 2,000 tests of shuffled controls 5.0 % are at or below .05, where 5 % should be: no more or less than "
        "chance allows."
    ]
    chosen = control_rates(table, p_value="wald")
    assert "more than promised at .05 and .01 and .001 (10 times as many at .001)" in verdict(chosen)[0]
    assert "fewer than promised at .05 and .01." in verdict(control_rates(table, p_value="bootstrap"))[0]
    few = control_rates(table.iloc[50::100], p_value="robust")
    assert "but so few tests say little" in verdict(few)[0]
    four = control_rates(table.iloc[[60, 400, 800, 1_000]], p_value="robust")[1]
    assert (four.n, [rate.text for rate in four.rates]) == (4, ["25 ± 22", "0 (up to 60)", "0 (up to 60)"])
    late = table.assign(p_robust=np.where(p < 0.01, p / 100, p))
    assert "as it should be, but more than promised at .001" in verdict(control_rates(late, p_value="robust"))[0]


def test_report__is_the_same_for_the_same_folder(screen_folder):
    first = write_report(screen_folder).read_bytes()
    assert write_report(screen_folder).read_bytes() == first


def test_report__sets_links_beside_the_screen(screen_folder):
    text, _ = read(screen_folder)
    joint = read_shared(screen_folder / "screen_links.parquet")
    assert set(joint["group"]) == {"K562", "B cells"}
    n = len(joint[["gene_screen", "target"]].drop_duplicates())
    assert f"{n} target-gene pairs of the screen have a peak of links.parquet on the target" in text
    assert "Perturbations against links: K562" in text
    (screen_folder / "screen_links.parquet").unlink()
    assert (
        "The links of links.parquet are not shown: screen_links.parquet is not in the folder" in read(screen_folder)[0]
    )
    options(screen_folder, links=str(screen_folder / "gone.parquet"))
    record = json.loads((screen_folder / "provenance.json").read_text())
    record["not_followed"] = {"screen_links": {"all": "gone.parquet is not there"}}
    (screen_folder / "provenance.json").write_text(json.dumps(record))
    assert "The links of gone.parquet are not shown: gone.parquet is not there." in read(screen_folder)[0]
    # The report reads; it makes no table.
    assert not (screen_folder / "screen_links.parquet").exists()
    options(screen_folder, links=None)
    assert "No links of a multiome experiment were named." in read(screen_folder)[0]


def test_report__names_genes_by_the_annotation(screen_folder, plain):
    names = read_shared(screen_folder / "screen.parquet")["gene"].unique()
    ids = {name: f"ENSG{number:011d}" for number, name in enumerate(names)}
    for name in ("screen", "interactions"):
        change(screen_folder, name, lambda t: t.assign(gene=t["gene"].map(ids) + ".4"))
    genes = pd.DataFrame({"#chrom": "chr1", "start": 1, "end": 9, "gene": list(ids), "gene_id": list(ids.values())})
    genes.to_csv(screen_folder / "genes.bed", sep="\t", index=False)
    options(screen_folder, genes={"path": str(screen_folder / "genes.bed"), "gencode": None})
    page = write_report(screen_folder).read_text()
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)[1])
    keys = [column["key"] for column in data["columns"]]
    assert keys[:3] == ["kind", "symbol", "gene"]
    assert {(row[1], row[2]) for row in data["rows"]} <= {(name, f"{number}.4") for name, number in ids.items()}


def test_report__escapes_names(screen_folder):
    evil = '<script>alert("1")</script>&amp;</script><!--'
    for name in ("screen", "interactions"):
        change(screen_folder, name, lambda t: t.assign(gene=t["gene"] + evil, group=t["group"] + evil))
    change(screen_folder, "screen", lambda t: t.assign(target=t["target"] + "'\"><img src=x>"))
    (screen_folder / "screen_links.parquet").unlink()
    text, reader = read(screen_folder)
    assert len([tag for tag, _ in reader.tags if tag == "script"]) == 3
    assert all(attributes["src"].startswith("data:") for tag, attributes in reader.tags if tag == "img")
    assert evil in text


def test_report__of_a_screen_with_nothing_tested(screen_folder):
    untest(screen_folder)
    text, reader = read(screen_folder)
    assert "None of them could be tested; the table below says why." in text
    assert "few_perturbed : too few cells have the perturbation, or are without it" in text
    assert "No pairs of targets of a gene could be tested;" in text
    assert "No negative controls were tested," in text
    assert not [tag for tag, _ in reader.tags if tag == "img"]


def test_report__of_a_screen_without_effects_or_controls(screen_folder, plain):
    def quiet(table):
        return table[table["kind"] == "discovery"].assign(fdr=table["fdr"].clip(lower=0.2))

    screen = change(screen_folder, "screen", quiet)
    two = change(screen_folder, "interactions", quiet)
    text, _ = read(screen_folder)
    assert f"No effects. None of the {(screen['status'] == 'ok').sum()} tested target-gene pairs" in text
    assert f"No interactions. None of the {(two['status'] == 'ok').sum()} tested pairs of targets of a gene" in text
    assert "That no interaction was found says nothing of smaller ones." in text
    assert "No negative controls were tested," in text


def test_report__of_a_screen_without_interactions(screen_folder, plain):
    (screen_folder / "interactions.parquet").unlink()
    assert "Pairs of targets were asked for, but interactions.parquet is not in the folder" in read(screen_folder)[0]
    options(screen_folder, interactions=None)
    text, _ = read(screen_folder)
    assert "Pairs of targets were not tested for acting together." in text
    assert "Interactions not asked for" in text


def test_report__counts_positive_controls(screen_folder, plain):
    def positive(table):
        kind = table["kind"].mask((table["kind"] == "discovery") & (np.arange(len(table)) < 4), "positive_control")
        return table.assign(kind=kind, fdr=table["fdr"].mask(np.arange(len(table)) < 3, 1e-9))

    change(screen_folder, "screen", positive)
    text, _ = read(screen_folder)
    own = read_shared(screen_folder / "screen.parquet").query("kind == 'positive_control'")
    assert f"Of {len(own)} positive controls {(own['fdr'] < 0.1).sum()} are among them." in text


def test_report__says_in_which_interactions_one_cell_stands_out(screen_folder, plain):
    def marked(table):
        first = (table["status"] == "ok") & (table["kind"] == "discovery")
        first &= first.cumsum() <= 3
        return table.assign(
            fdr=table["fdr"].where(table["kind"] != "discovery", 0.5).mask(first, 0.01),
            outlier=first.astype(object).where(table["status"] == "ok", None),
            p_trimmed_interaction=np.where(first & (first.cumsum() == 1), 0.6, 0.001),
        )

    table = change(screen_folder, "interactions", marked)
    tested = table[(table["kind"] == "discovery") & (table["status"] == "ok")]
    text, _ = read(screen_folder)
    assert "3 pairs interact" in text
    assert "In 3 of them one cell stands out:" in text
    assert f"as in {300 / len(tested):.0f} % of all tested pairs" in text
    assert "Without that cell 1 of them has a model-based p-value of .05 or more" in text


def test_report__of_several_groups(screen_folder, plain):
    for name in ("screen", "interactions"):
        change(screen_folder, name, lambda t: pd.concat([t.assign(group="K562"), t.assign(group="HeLa")]))
    text, _ = read(screen_folder)
    assert "A CRISPR screen of 4,000 cells" in text
    assert "discovery, K562" in text
    assert "non-targeting, HeLa" in text
    assert "lower the gene raise it genes targets" in text


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "screen.parquet").unlink(), "holds no screen.parquet: the run has not come to its effects yet"),
        (lambda f: change(f, "screen", lambda t: t.drop(columns="kind")), "screen.parquet: no column kind"),
        (lambda f: change(f, "interactions", lambda t: t.drop(columns="fdr")), "interactions.parquet: no column fdr"),
        (lambda f: (f / "provenance.json").write_text("{"), "provenance.json: cannot be read as the record of a run"),
    ],
    ids=["no screen", "column lost", "column of interactions lost", "damaged record"],
)
def test_report__tells_what_is_wrong_with_a_folder(screen_folder, spoil, words):
    spoil(screen_folder)
    with pytest.raises(InputError, match=re.escape(words)):
        write_report(screen_folder)
    assert not (screen_folder / "report.html").exists()


def test_folder__is_of_a_screen_by_its_options_or_else_its_table(screen_folder, folder, plain):
    def is_screen(folder):
        return [analysis.name for analysis in experiment_in(folder).analyses] == [
            "screen",
            "interactions",
            "screen_links",
        ]

    assert is_screen(screen_folder)
    assert not is_screen(folder)
    # A table that an earlier run left.
    (folder / "screen.parquet").write_bytes((screen_folder / "screen.parquet").read_bytes())
    assert not is_screen(folder)
    (screen_folder / "config.yaml").unlink()
    assert is_screen(screen_folder)
    assert "A CRISPR screen of 2,000 cells" in read(screen_folder)[0]


def test_methods__are_those_that_the_run_used(screen_folder):
    dois = {
        "glimmirs": "10.1016/j.xgen.2024.100672",
        "sceptre": "10.1186/s13059-021-02545-2",
        "negbin": "10.1007/978-0-387-21706-2",
        "phipson": "10.2202/1544-6115.1585",
        "bh": "10.1111/j.2517-6161.1995.tb02031.x",
        "aic": "10.1109/TAC.1974.1100705",
    }

    def cited():
        analyses = experiment_in(screen_folder).analyses
        run = read_run(screen_folder, analyses)
        found = {reference.doi for _, cited in methods_of(run, results_of(run, analyses)) for reference in cited}
        return {name: doi in found for name, doi in dois.items()}

    assert cited() == {"glimmirs": True, "sceptre": True, "negbin": True, "phipson": False, "bh": True, "aic": True}
    both = {"p_value": "permutation", "method": "by"}
    options(screen_folder, screen=both, interactions=both | {"additive": False})
    assert cited() == {"glimmirs": True, "sceptre": True, "negbin": True, "phipson": True, "bh": False, "aic": False}
    options(screen_folder, screen={"p_value": "wald"}, interactions={"p_value": "wald"})
    assert not cited()["sceptre"]


def test_export__target_gene_pairs_for_genome_browsers(screen_folder):
    screen = read_shared(screen_folder / "screen.parquet")
    called = screen[screen["fdr"] < 0.1]
    path = export_run(screen_folder, "bedpe")[0]
    assert path == screen_folder / "exports" / "screen.bedpe"
    table = pd.read_csv(path, sep="\t")
    assert sorted(table["target"]) == sorted(called["target"])
    guides = read_shared(screen_folder / "guides.parquet").set_index("target")
    for row in table.itertuples():
        own = guides.loc[[row.target]]
        assert (row[1], row.start1, row.end1) == (own["chrom"].iloc[0], own["start"].min(), own["end"].max())
    assert (table["chrom2"] == table["#chrom1"]).all()
    assert [p.name for p in export_run(screen_folder, "biginteract", fdr=1)] == ["screen.bed", "screen.bed.as"]
    with pytest.raises(OptionError, match="is the run of a screen: expected bedpe, interact, biginteract"):
        export_run(screen_folder, "scent")


def test_status__of_a_screen(finished_screen, tmp_path):
    lines = describe(finished_screen)
    text = "\n".join(lines)
    assert re.search(r"screen \w+   (\d+) of \1 blocks", text)
    assert re.search(r"interactions \w+   (\d+) of \1 blocks", text)
    assert re.search(r"^  all +(\d+) of \1$", text, re.MULTILINE)
    assert "screen            there" in lines
    assert "interactions      there" in lines
    assert not any(line.startswith("links") for line in lines)
