"""How to cite: what the run used, and nothing else."""

from __future__ import annotations

import html
import re

import pytest

from scanlink.pipeline.finished import experiment_in
from scanlink.report.folder import read_run
from scanlink.report.page import methods_of, results_of
from scanlink.report.references import REFERENCES


def cited_by(folder, **sections):
    """Publications that a run cites, with other options; with a ladder its tables have replicates."""
    analyses = experiment_in(folder).analyses
    run = read_run(folder, analyses)
    for name, options in sections.items():
        run.options[name] = run.options[name] | options
        if options.get("ladder", "none") != "none":
            table = next(analysis.table.name for analysis in analyses if analysis.name == name)
            run.tables[table] = run.tables[table].assign(n_boot=100)
    return [reference for _, references in methods_of(run, results_of(run, analyses)) for reference in references]


@pytest.mark.parametrize(
    ("section", "options", "there", "absent"),
    [
        ("scan", {"p_value": "robust", "ladder": "none"}, ["crt", "sceptre", "spacrt"], ["boot", "tail"]),
        ("scan", {"p_value": "robust", "ladder": "capstone"}, ["crt", "boot", "scent"], ["tail"]),
        ("scan", {"p_value": "bootstrap"}, ["boot", "scent"], ["crt", "tail"]),
        ("scan", {"p_value": "tail", "ladder": "none"}, ["saddlepoint", "tail"], ["boot", "crt"]),
        ("scan", {"family": "negbin", "cluster": "donor"}, ["negbin", "clusters"], ["hc3"]),
        ("scan", {"robust": "HC0"}, ["hc0"], ["hc3"]),
        ("links", {"method": "by"}, ["by"], ["storey"]),
        ("epistasis", {"model": "separate"}, ["capstone", "glimmirs", "reri"], []),
        ("genes", {"gencode": 44}, ["gencode"], ["hvg"]),
        ("pairs", {"highly_variable": True}, ["hvg"], ["gencode"]),
    ],
    ids=str,
)
def test_methods__are_those_that_the_run_used(folder, section, options, there, absent):
    # Of the other half of the pipeline nothing that would cite the same.
    quiet = {"p_value": "wald", "ladder": "none", "robust": ""}
    cited = cited_by(folder, **{"epistasis": quiet, section: (quiet if section == "epistasis" else {}) | options})
    assert all(REFERENCES[name] in cited for name in there)
    assert not any(REFERENCES[name] in cited for name in absent)


def test_methods__of_a_bootstrap_that_was_not_drawn_are_none(folder):
    run = read_run(folder, experiment_in(folder).analyses)
    assert not run.tables["links"]["n_boot"].any()
    run.options["scan"] |= {"p_value": "robust", "ladder": "capstone"}
    texts = [name for name, _ in methods_of(run, results_of(run, experiment_in(folder).analyses))]
    assert not any("ootstrap" in name for name in texts)


def test_methods__name_nothing_of_enhancer_pairs_where_there_are_none(folder):
    for name in ("epistasis", "heterogeneity"):
        (folder / f"{name}.parquet").unlink()
    cited = cited_by(folder)
    assert REFERENCES["scent"] in cited
    assert not any(REFERENCES[name] in cited for name in ("glimmirs", "reri", "cook", "cochran", "dask"))


def test_references__have_a_doi_or_an_address():
    for reference in REFERENCES.values():
        assert re.fullmatch(r"https://(doi\.org/10\.\d{4,}/\S+|\S+)", reference.link)
        assert re.search(r"\(\d{4}\)\.$", reference.text)
        assert html.escape(reference.text, quote=False) == reference.text
