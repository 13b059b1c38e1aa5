"""One test over all analyses: each is declared as the house has it, and a run leaves what it promises."""

from __future__ import annotations

import ast
import inspect
import json
import re
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from digests import write_input

import scanlink as sl
from scanlink.options import Options
from scanlink.pipeline import config
from scanlink.pipeline.experiments import EXPERIMENTS
from scanlink.pipeline.run import run
from scanlink.pipeline.status import describe
from scanlink.report.page import _TONES
from scanlink.tables import FAILED
from scanlink.tl import ANALYSES

PACKAGE = Path(sl.__file__).parent
# The public call of an analysis that is not called as its folder.
CALLS = {"interactions": sl.tl.screen_interactions}
# Options that another public call has, or that only a run needs.
ELSEWHERE = {
    "scan": set(),
    "epistasis": {"alpha", "links_fdr", "order", "min_distance", "max_distance"},
    "screen": {"alpha"},
    "interactions": {"alpha", "max_distance"},
    "screen_links": {"path"},
}
# Keywords of calls that say what is analysed, and where.
COMMON = {"mdata", "pairs", "guides", "groupby", "groups", "client", "out", "layer", "rna_key", "atac_key", "guide_key"}
# Names of options in calls, where these have others, and the section that has them.
NAMED = {"fdr_method": "method", "fdr_scope": "scope"}

_TESTED = "p_value: robust, seed: 1"
_FORMULA = '"prep_batch + guide_count + offset(log(nUMI))"'
RUNS = {
    "scan": f"""\
input: data/multiome.h5mu
genes: data/genes.gtf.gz
groups: {{by: celltype, only: [CD14-Mono, B-Memory]}}
scan: {{{_TESTED}}}
epistasis: {{p_value: robust, ladder: epistasis, links_fdr: 0.5, seed: 1}}
kendall: {{}}
cluster: none
""",
    "screen": f"""\
input: {{path: data/screen.h5mu}}
genes: data/genes.bed
screen: {{formula: {_FORMULA}, {_TESTED}, n_controls: 8}}
interactions: {{formula: {_FORMULA}, {_TESTED}, n_controls: 6, min_both: 4}}
links: data/links.parquet
cluster: none
""",
}


def call_of(analysis) -> Any:
    return CALLS.get(analysis.name) or getattr(sl.tl, analysis.name)


def names(analysis) -> str:
    return analysis.name


every = pytest.mark.parametrize("analysis", ANALYSES, ids=names)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("analyses")
    write_input(folder)
    for name, options in RUNS.items():
        (folder / f"{name}.yaml").write_text(options)
    guides = (
        sl.tl.simulate_screen(n_cells=1200, n_genes=5, n_targets=12, guides_per_cell=5.0, seed=2).mdata["guide"].var
    )
    places = guides.dropna(subset=["chrom"]).drop_duplicates("target")
    peaks = [f"{p.chrom}-{int(p.start)}-{int(p.end)}" for p in places.itertuples()]
    links = pd.DataFrame({"group": "T", "gene": "GENE1", "peak": peaks, "beta": 0.5, "se": 0.2, "z": 2.5, "p": 0.01})
    links.assign(p_value=0.01, fdr=0.02, status="ok").to_parquet(folder / "data" / "links.parquet")
    return folder


@pytest.fixture(scope="module")
def runs(project) -> dict[str, Path]:
    """A run of each experiment with all its analyses, in this process."""
    folders = {}
    for name in RUNS:
        run(config.load_run(project / f"{name}.yaml"), project / name)
        for experiment in EXPERIMENTS:
            if name in [analysis.name for analysis in experiment.analyses]:
                folders |= {analysis.name: project / name for analysis in experiment.analyses}
    return folders


def test_analyses__each_belongs_to_one_experiment():
    offered = [analysis.name for experiment in EXPERIMENTS for analysis in experiment.analyses]
    assert sorted(offered) == sorted(analysis.name for analysis in ANALYSES)
    assert len(set(offered)) == len(offered)
    tables = [name for analysis in ANALYSES for name in analysis.tables]
    assert len(set(tables)) == len(tables)


@every
def test_analysis__call_has_the_keywords_and_defaults_of_its_options(analysis):
    if analysis.block is None:
        pytest.skip("what is made whole is called with tables, not with options")
    parameters = inspect.signature(call_of(analysis)).parameters
    keywords = {name: p.default for name, p in parameters.items() if name not in COMMON}
    fields = analysis.options.model_fields
    for name, default in keywords.items():
        owners = [model for model in _models(analysis) if NAMED.get(name, name) in model.model_fields]
        assert owners, f"{name} is no option of {analysis.name}"
        assert default == owners[0].model_fields[NAMED.get(name, name)].default
    missing = set(fields) - {NAMED.get(name, name) for name in keywords}
    assert missing == ELSEWHERE.get(analysis.name, set())


def _models(analysis) -> list[type[Options]]:
    """Give the options of an analysis, and of the section that says what it calls."""
    level = [
        type(experiment.options.model_fields[analysis.level].default)
        for experiment in EXPERIMENTS
        if analysis.level in experiment.options.model_fields and analysis in experiment.analyses
    ]
    return [analysis.options, *(model for model in level if issubclass(model, Options))]


@pytest.mark.parametrize("model", [e.options for e in EXPERIMENTS] + [a.options for a in ANALYSES])
def test_options__each_has_a_description(model):
    def look(model: type[Options]) -> None:
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name} says nothing of itself"
            default = field.default
            if isinstance(default, Options):
                look(type(default))

    look(model)


@every
def test_analysis__table_is_described(analysis):
    default = None if analysis.name == "screen_links" else analysis.options()
    columns = analysis.table.columns(default)
    assert len({column.name for column in columns}) == len(columns)
    assert all(column.help for column in columns)
    words = set(re.findall(r"[\w*]+", inspect.getdoc(call_of(analysis)) or ""))
    # Of states and contrasts the first and the last, or a star, stand for all.
    patterns = {re.sub(r"_(00|11|10|01)$", "_*", word) for word in words if "_" in word} | words
    untold = [c.name for c in columns if not any(fnmatch(c.name, pattern) for pattern in patterns)]
    assert untold == []


@every
def test_analysis__statuses_have_words_and_a_colour(analysis):
    assert all(analysis.table.statuses.values())
    assert len([status for status in analysis.table.statuses if status != FAILED]) <= _TONES


@every
def test_analysis__a_tiny_run_leaves_table_record_page_and_status(analysis, runs):
    folder = runs[analysis.name]
    table = pd.read_parquet(folder / f"{analysis.table.name}.parquet")
    record = json.loads((folder / "provenance.json").read_text())
    page = (folder / "report.html").read_text()
    assert len(table)
    if "status" in table:
        assert set(table["status"]) <= set(analysis.table.statuses)
        assert (table["status"] == "ok").any()
        assert record["statuses"][analysis.table.name]
    if analysis.block is not None:
        assert list(table.columns) == analysis.table.names(analysis.options(**record["options"][analysis.name]))
        assert sum(blocks["all"] for blocks in record["blocks"][analysis.name].values()) > 0
        assert record["plans"][analysis.name]
    if "fdr" in table:
        assert record["called"][analysis.table.name] == int((table["fdr"] < analysis.alpha(_sections(folder))).sum())
        assert f"<dd>{record['called'][analysis.table.name]:,}</dd>" in page
    assert f'<h2 id="{analysis.table.name}">' in page
    named = f"({analysis.section.title.lower()}|{analysis.table.name})"
    assert re.search(rf"^{named} +there$", "\n".join(describe(folder)), flags=re.MULTILINE)


def _sections(folder: Path) -> dict[str, Any]:
    options = config.load_run(folder / "config.yaml")
    experiment = next(experiment for experiment in EXPERIMENTS if isinstance(options, experiment.options))
    return experiment.sections(options)


@pytest.mark.parametrize("name", RUNS)
def test_run__from_other_blocks_and_after_a_loss_the_same_bytes(name, project, runs, tmp_path):
    folder = runs[name]
    tables = {path.name: path.read_bytes() for path in folder.glob("*.parquet")}
    blocks = [a.name for a in ANALYSES if runs[a.name] == folder and "block_genes" in a.options.model_fields]
    changes = [*(f"{analysis}.block_genes=1" for analysis in blocks), "report=false"]
    out = tmp_path / "out"
    run(config.load_run(project / f"{name}.yaml", changes=changes), out)
    parts = sorted(out.glob("parts/*/block-*.parquet"))
    assert len(parts) > len(list(folder.glob("parts/*/block-*.parquet")))
    assert {path.name: path.read_bytes() for path in out.glob("*.parquet")} == tables
    for path in parts[::2]:
        path.unlink()
    shutil.copyfile(parts[1], parts[0])
    outcome = run(config.load_run(project / f"{name}.yaml", changes=changes), out)
    assert sum(stats.n_computed for stats in outcome.all_stats) == len(parts[::2])
    assert {path.name: path.read_bytes() for path in out.glob("*.parquet")} == tables


def test_house__no_code_outside_imports_an_analysis_or_compares_its_name():
    analyses = {analysis.name for analysis in ANALYSES}
    offering = {
        PACKAGE / "tl" / "__init__.py",
        PACKAGE / "pipeline" / "multiome.py",
        PACKAGE / "pipeline" / "screen.py",
    }
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        own = path.relative_to(PACKAGE).parts[1] if path.is_relative_to(PACKAGE / "tl") else ""
        if path in offering:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                found = re.match(r"scanlink\.tl\.(\w+)", node.module)
                named = {found[1]} if found else {alias.name for alias in node.names if node.module == "scanlink.tl"}
                wrong += [f"{path.relative_to(PACKAGE)} imports {name}" for name in named & analyses - {own}]
            elif isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                sides += [item for side in sides for item in getattr(side, "elts", ())]
                texts = {side.value for side in sides if isinstance(side, ast.Constant)}
                wrong += [f"{path.relative_to(PACKAGE)} compares {name}" for name in texts & analyses - {own}]
    assert wrong == []
