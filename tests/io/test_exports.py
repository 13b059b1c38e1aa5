"""Links and enhancer pairs for other programs: coordinates, order, gaps, and the way back."""

from __future__ import annotations

import re
import shutil
import subprocess

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
from texts import assert_same_table

import scanlink as sl
from scanlink.errors import InputError, MissingKeyError, OptionError, RunError
from scanlink.io.browser import INTERACT_AS, INTERACT_COLUMNS
from scanlink.io.exports import export
from scanlink.io.opening import quiet
from scanlink.io.uns import add_tables, get_tables


@pytest.fixture(scope="module")
def simulation():
    return sl.ds.simulate(n_cells=500, n_genes=25, n_peaks=90, n_links=25, n_interactions=3, seed=4)


@pytest.fixture(scope="module")
def links(simulation) -> pd.DataFrame:
    pairs = sl.pp.cis_pairs(simulation.mdata, simulation.genes)
    return sl.tl.scan(simulation.mdata, pairs, groupby="celltype", ladder=[(100, None)])


@pytest.fixture
def epi() -> pd.DataFrame:
    n = 4
    table = pd.DataFrame(
        {
            "group": ["B cell", "B cell", "T/NK", "t:NK"],
            "gene": ["A", "B", "A", "C"],
            "enhancer_1": ["chr2-100-200", "chr10:5-15", "chr2-100-200", "chr1-7-9"],
            "enhancer_2": ["chr2-900-950", "chr10:50-60", "chr2-900-950", "chr3-1-2"],
            "distance": pd.array([775, 45, 775, None], dtype="Int64"),
            "n_11": [40, 3, 11, 50],
        }
    )
    for name, values in (
        ("beta_10", [0.5, np.nan, 0.1, 0.2]),
        ("beta_01", [0.3, np.nan, 0.1, 0.2]),
        ("beta_11", [1.2, np.nan, 0.0, 0.3]),
        ("fdr_gene", [1e-4, np.nan, 0.2, 0.5]),
        ("p_10", [0.01] * n),
        ("p_01", [0.02] * n),
        ("p_11", [0.03] * n),
        ("p_boot_10", [0.04] * n),
        ("p_boot_01", [np.nan] * n),
        ("p_boot_11", [4e-4] * n),
        ("beta_interaction", [0.4, np.nan, -0.2, -0.1]),
        ("se_robust_interaction", [0.1, np.nan, 0.1, 0.1]),
        ("p_value", [1e-4, np.nan, 0.2, 0.5]),
        ("fdr", [1e-3, np.nan, 0.4, 0.6]),
    ):
        table[name] = values
    table["status"] = ["ok", "too_few_11", "ok", "ok"]
    return table


def rows_of(path):
    return [line.split("\t") for line in path.read_text().splitlines()]


@pytest.mark.parametrize("annotated", [True, False], ids=["with annotation", "from distances"])
def test_bedpe__has_peak_and_tss_of_every_tested_link(links, simulation, tmp_path, annotated):
    file = export(links, tmp_path / "x.bedpe", genes=simulation.genes if annotated else None)[0]
    table = pd.read_csv(file, sep="\t", na_values=".", dtype={"strand1": str})
    tested = links[links["status"] == "ok"]
    assert len(table) == len(tested) > 100
    genes = simulation.genes.set_index("gene").loc[table["name"]]
    tss = np.where(genes["strand"] == "-", genes["end"] - 1, genes["start"])
    np.testing.assert_array_equal(table["start2"], tss)
    np.testing.assert_array_equal(table["end2"], tss + 1)
    assert (table["strand2"].to_numpy() == genes["strand"].to_numpy()).all()
    named = table["#chrom1"] + "-" + table["start1"].astype(str) + "-" + table["end1"].astype(str)
    assert (named == table["peak"].str.replace(":", "-")).all()
    centre = (table["start1"] + table["end1"]) // 2
    np.testing.assert_array_equal((centre - tss) * np.where(genes["strand"] == "-", -1, 1), table["distance"])
    keys = table[["#chrom1", "start1"]].apply(tuple, axis=1).tolist()
    assert keys == sorted(keys)
    merged = table.merge(tested.rename(columns={"gene": "name"}), on=["group", "name", "peak"], suffixes=("", "_t"))
    assert len(merged) == len(table)
    np.testing.assert_allclose(merged["beta"], merged["beta_t"], rtol=1e-5)


def test_bedpe__counts_from_one_where_names_do(links, simulation, tmp_path):
    plain = pd.read_csv(export(links, tmp_path / "a.bedpe", genes=simulation.genes)[0], sep="\t")
    shifted = pd.read_csv(export(links, tmp_path / "b.bedpe", genes=simulation.genes, one_based=True)[0], sep="\t")
    np.testing.assert_array_equal(plain["start1"] - 1, shifted["start1"])
    np.testing.assert_array_equal(plain["end1"], shifted["end1"])


def test_bedpe__is_read_by_bedtools(links, simulation, tmp_path):
    if shutil.which("bedtools") is None:
        pytest.skip("bedtools is not installed")
    file = export(links, tmp_path / "x.bedpe", genes=simulation.genes, anchor="body")[0]
    bodies = tmp_path / "genes.bed"
    simulation.genes[["chrom", "start", "end", "gene"]].to_csv(bodies, sep="\t", header=False, index=False)
    done = subprocess.run(
        ["bedtools", "pairtobed", "-a", file, "-b", bodies, "-type", "either"],
        capture_output=True,
        text=True,
        check=True,
    )
    hits = [line.split("\t") for line in done.stdout.splitlines()]
    own = {tuple(hit[:9]) for hit in hits if hit[6] == hit[-1]}
    assert len(own) == len({tuple(row[:9]) for row in rows_of(file)[1:]})


def test_bedpe__of_enhancer_pairs(epi, tmp_path):
    rows = rows_of(export(epi, tmp_path / "x.bedpe")[0])
    # Untested pairs are left out, the rest is in the order of the genome.
    assert [row[:8] for row in rows[1:]] == [
        ["chr1", "7", "9", "chr3", "1", "2", "C", "22"],
        ["chr2", "100", "200", "chr2", "900", "950", "A", "300"],
        ["chr2", "100", "200", "chr2", "900", "950", "A", "40"],
    ]
    assert rows[1][rows[0].index("distance")] == "."
    assert rows[2][rows[0].index("beta_interaction")] == "0.4"


def test_interact__keeps_the_rules_of_ucsc(links, simulation, tmp_path):
    file, schema = export(links, tmp_path / "x.bed", format="biginteract", genes=simulation.genes)
    rows = rows_of(file)
    assert {len(row) for row in rows} == {18}
    fields = re.findall(r"^\s+(?:string|uint|double)\s+(\w+);", schema.read_text(), re.MULTILINE)
    assert fields == INTERACT_COLUMNS
    assert schema.read_text() == INTERACT_AS
    assert [(row[0], int(row[1])) for row in rows] == sorted((row[0], int(row[1])) for row in rows)
    for row in rows:
        start, end, score = int(row[1]), int(row[2]), int(row[4])
        assert 0 <= score <= 1000
        assert start == min(int(row[9]), int(row[14]))
        assert end == max(int(row[10]), int(row[15]))
        assert not any(re.search(r"\s", field) or field == "" for field in row)
        assert row[7] == ("213,94,0" if float(row[5]) < 0 else "0,114,178")


def test_interact__is_a_custom_track_with_pairs_on_two_chromosomes_twice(epi, tmp_path):
    file = export(epi, tmp_path / "x.interact", track='my "pairs"\nhere')[0]
    head, *rows = file.read_text().splitlines()
    assert head.startswith("track type=interact name=\"my 'pairs''here\" ")
    assert rows[0].lstrip("#").split("\t") == INTERACT_COLUMNS
    fields = [row.split("\t") for row in rows[1:]]
    assert [row[:4] for row in fields] == [
        ["chr1", "7", "9", "C/t:NK"],
        ["chr2", "100", "950", "A/B_cell"],
        ["chr2", "100", "950", "A/T/NK"],
        ["chr3", "1", "2", "C/t:NK"],
    ]
    # Both records of the pair on two chromosomes name the same ends.
    assert fields[0][8:] == fields[3][8:]


def test_scent__comes_back_as_it_was(links, tmp_path):
    files = export(links, tmp_path / "scent.txt", format="scent")
    groups = links.loc[links["status"] == "ok", "group"].unique()
    assert len(files) == len(groups) > 1
    for file, group in zip(files, groups, strict=True):
        assert file.read_text().splitlines()[0] == "gene peak beta se z p boot_basic_p"
        back = sl.io.read_links(file, group=group)
        mine = links[(links["group"] == group) & (links["status"] == "ok")].reset_index(drop=True)
        columns = ["group", "gene", "peak", "beta", "se", "z", "p", "p_boot"]
        pd.testing.assert_frame_equal(back[columns], mine[columns], check_dtype=False, rtol=1e-15)


def test_scent__writes_NA_without_a_bootstrap_and_quotes_blanks(tmp_path):
    table = pd.DataFrame({"gene": ["HLA A"], "peak": ["chr1-1-2"], "beta": [0.1], "se": [0.2], "z": [0.5], "p": [0.6]})
    file = export(table.assign(p_boot=np.nan), tmp_path / "x.txt", format="scent")[0]
    assert file.read_text() == 'gene peak beta se z p boot_basic_p\n"HLA A" chr1-1-2 0.1 0.2 0.5 0.6 NA\n'
    assert sl.io.read_links(file)["gene"].tolist() == ["HLA A"]


def test_capstone__has_the_columns_of_the_paper_a_file_a_group(epi, tmp_path):
    files = export(epi, tmp_path / "pairs.csv", format="capstone")
    # T/NK and t:NK would have the same name where case does not count.
    assert [file.name for file in files] == ["pairs_B_cell.csv", "pairs_T_NK.csv", "pairs_t_NK_2.csv"]
    table = pd.read_csv(files[0])
    assert list(table) == [
        *("gene", "enhancer1", "enhancer2"),
        *(
            f"{what}_{which}"
            for which in ("enhancer1", "enhancer2", "both")
            for what in ("intercept", "beta.estimate", "beta.pvalue", "bootstrap.pvalue")
        ),
    ]
    assert table.loc[0, ["beta.estimate_enhancer1", "beta.estimate_enhancer2", "beta.estimate_both"]].tolist() == [
        0.5,
        0.3,
        1.2,
    ]
    assert table.loc[0, ["beta.pvalue_enhancer2", "bootstrap.pvalue_both"]].tolist() == [0.02, 4e-4]
    assert table["intercept_both"].isna().all()
    # Pairs without an estimate stay, as in the paper's files.
    assert table["gene"].tolist() == ["A", "B"]


@pytest.mark.parametrize("kind", ["h5mu", "h5ad"])
def test_uns__survives_the_file(links, epi, tmp_path, kind):
    odd = links.assign(note=[None] * len(links), distance=links["distance"].astype("Int64").mask(links.index == 1))
    tables = {"links": odd, "epistasis": epi.assign(flag=pd.array([True, None, False, True], dtype="boolean"))}
    data = anndata.AnnData(np.ones((2, 3), dtype="float32"))
    with quiet():
        if kind == "h5mu":
            data = mudata.MuData({"rna": data})
        add_tables(data, {"links": odd.head(3)})
        add_tables(data, tables)
        data.write(tmp_path / f"x.{kind}")
        back = get_tables((mudata.read if kind == "h5mu" else anndata.read_h5ad)(tmp_path / f"x.{kind}"))
    assert set(back) == {"links", "epistasis"}
    for name, table in tables.items():
        assert_same_table(back[name], table.reset_index(drop=True), check_column_type=False)


def test_h5mu__is_a_copy_with_the_tables_and_the_same_counts(links, epi, simulation, tmp_path):
    simulation.write(tmp_path)
    source = tmp_path / "multiome.h5mu"
    before = source.read_bytes()
    out = export(links, tmp_path / "out.h5mu", data=source)[0]
    export(epi, out, data=out)
    with quiet():
        copy, original = mudata.read(out), mudata.read(source)
    assert source.read_bytes() == before
    assert (copy["rna"].X != original["rna"].X).nnz == 0
    tables = get_tables(copy)
    assert_same_table(tables["links"], links.reset_index(drop=True))
    assert set(tables) == {"links", "epistasis"}


@pytest.mark.parametrize("format", ["bedpe", "interact", "biginteract", "scent"])
def test_names__with_tabs_and_ends_of_lines_stay_in_their_field(links, simulation, tmp_path, format, caplog):
    odd = links.assign(group=links["group"].astype(str) + "\tcell\n", gene=links["gene"].astype(str) + "\r\n2")
    plain = links.assign(group=links["group"].astype(str) + " cell ", gene=links["gene"].astype(str) + " 2")
    texts = []
    for name, table in (("odd", odd), ("plain", plain)):
        folder = tmp_path / name
        folder.mkdir()
        files = export(table, folder / "x.txt", format=format, track="t")
        texts.append([file.read_text() for file in files])
    assert texts[0] == texts[1]
    assert "tabs or ends of lines in group are written as blanks" in caplog.text


def test_fdr__keeps_what_is_below(links, simulation, tmp_path):
    rows = rows_of(export(links, tmp_path / "x.bedpe", genes=simulation.genes, fdr=0.5)[0])
    assert (links["status"] == "ok").sum() > len(rows) - 1 == (links["fdr"] < 0.5).sum() > 0


def test_index__does_not_matter(links, simulation, tmp_path):
    shuffled = links.sample(frac=1, random_state=0)
    files = [export(t, tmp_path / f"{i}.bedpe", genes=simulation.genes)[0] for i, t in enumerate((links, shuffled))]
    assert sorted(files[0].read_text().splitlines()) == sorted(files[1].read_text().splitlines())


def test_genes_of_the_same_name__get_the_locus_of_the_distance(tmp_path):
    genes = pd.DataFrame(
        {
            "chrom": ["chr1", "chr1", "chr2"],
            "start": [1000, 5000, 1000],
            "end": [2000, 6000, 2000],
            "strand": ["+", "-", "+"],
            "gene": "A",
            "gene_id": ["i1", "i2", "i3"],
        }
    )
    peaks = ["chr1-900-1000", "chr1-6099-6101", "chr2-1100-1200"]
    links = pd.DataFrame({"gene": "A", "peak": peaks, "distance": [-50, -101, 150]})
    links = links.assign(group="g", beta=0.1, fdr=0.5, p_value=0.1, status="ok")
    rows = rows_of(export(links, tmp_path / "x.bedpe", genes=genes)[0])[1:]
    assert [row[3:6] for row in rows] == [["chr1", "1000", "1001"], ["chr1", "5999", "6000"], ["chr2", "1000", "1001"]]


@pytest.mark.parametrize("empty", [False, True])
def test_nothing_tested__gives_files_with_no_rows(links, epi, tmp_path, empty):
    for number, table in enumerate((links, epi)):
        none = table.head(0) if empty else table.assign(status="failed")
        assert len(rows_of(export(none, tmp_path / f"{number}.bedpe")[0])) == 1
        assert export(none, tmp_path / f"{number}.bb", format="biginteract")[0].read_text() == ""
    assert "boot_basic_p" in export(links.head(0), tmp_path / "s.txt", format="scent")[0].read_text()


@pytest.mark.parametrize(
    ("change", "options", "kind", "words"),
    [
        ({"peak": "peak_1"}, {"format": "bedpe"}, InputError, "column 'peak': .* hold no coordinates: 'peak_1'"),
        ({"peak": "chr1-9-2"}, {"format": "interact"}, InputError, "empty or begin before 0"),
        ({"peak": None}, {"format": "bedpe"}, InputError, "have no peak"),
        ({"distance": np.nan}, {"format": "bedpe"}, InputError, "the place of their gene is not known.*Give genes="),
        ({}, {"format": "capstone"}, OptionError, "is for a table of epistasis; this is one of links"),
        ({}, {"format": "gff"}, OptionError, "format 'gff' does not exist; expected one of bedpe, interact"),
        ({}, {}, OptionError, "the suffix does not say the format"),
        ({}, {"format": "h5mu"}, OptionError, "needs data="),
    ],
    ids=lambda value: str(value)[:30],
)
def test_faults__are_told(links, tmp_path, change, options, kind, words):
    with pytest.raises(kind, match=words):
        export(links.assign(**change), tmp_path / "x.txt", **options)
    assert not list(tmp_path.iterdir())


def test_missing_columns__are_named(links, tmp_path):
    with pytest.raises(MissingKeyError, match="no column 'fdr'"):
        export(links.drop(columns="fdr"), tmp_path / "x.bedpe")
    with pytest.raises(InputError, match="neither links"):
        export(links.drop(columns="peak"), tmp_path / "x.bedpe")
    with pytest.raises(MissingKeyError, match="no 'scanlink'; found nothing"):
        get_tables(anndata.AnnData(np.ones((1, 1), dtype="float32")))


def test_a_file_that_cannot_be_written__stays_as_it_was(links, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RunError, match="cannot be written"):
        export(links, tmp_path / "file" / "x.bedpe")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
