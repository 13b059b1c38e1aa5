"""CRISPR screens: what a run.yaml of one says, how its files become a store and tables, and its analyses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import Field

from scanlink.io import assays
from scanlink.io.disk import select
from scanlink.io.formats import stays_on_disk
from scanlink.io.pairs import read_target_pairs
from scanlink.options import File, GenesOptions, GroupOptions, Options, PathOrTable
from scanlink.pipeline.experiment import CellOptions, Experiment, InputFiles, Looked, Prepared, WholeRun, fields_of
from scanlink.pipeline.prepare import computed_columns, genes_file, known_pairs, prepare_once
from scanlink.tl.interactions import INTERACTIONS
from scanlink.tl.interactions.options import InteractionOptions
from scanlink.tl.screen import SCREEN
from scanlink.tl.screen.options import ScreenOptions
from scanlink.tl.screen_links import SCREEN_LINKS
from scanlink.tl.screen_links.options import ScreenLinksOptions

__all__ = ["SCREENING", "GuideOptions", "ScreenInputOptions", "ScreenPairOptions", "ScreenRunOptions", "prepare"]

# Covariates that are computed where a formula asks for them.
_CELL_CYCLE = ("s_score", "g2m_score")


class ScreenInputOptions(InputFiles):
    """Where counts of genes and guides are: one file, or one file a modality and a table of cells."""

    modalities = ("rna", "guide")

    guide: File = Field(None, description="counts of guides")
    cells: File = Field(None, description="table of cells")
    guides: File = Field(None, description="table of guides: guide, target, and if known efficiency, chrom, start, end")
    barcode: str | None = Field(None, description="column of barcodes in cells; None finds it")
    rna_key: str | None = Field(None, description="modality (assay) of the genes in the file; None finds it")
    guide_key: str | None = Field(None, description="modality (assay) of the guides in the file; None finds it")
    layer: str | None = Field(None, description="layer with the raw counts, where X does not hold them")


class GuideOptions(Options):
    """Which guides a cell is said to have."""

    assign: Literal["threshold", "mixture"] = Field(
        "threshold", description="a number of UMIs for all guides, or one a guide from a mixture of two distributions"
    )
    threshold: int = Field(5, ge=1, description="least UMIs of a guide that count; 1 for calls")


class ScreenPairOptions(Options):
    """Which target-gene pairs are asked for."""

    window: int = Field(1_000_000, ge=0, description="bp to either side of the TSS or gene body")
    anchor: Literal["body", "tss"] = Field("tss", description="what of a gene the window is around")
    path: File = Field(None, description="a table of pairs (gene, target) instead")


class ScreenRunOptions(WholeRun):
    """A whole run of a screen, as run.yaml gives it."""

    input: Annotated[ScreenInputOptions, PathOrTable] = Field(description="where the counts are")
    genes: Annotated[GenesOptions | None, PathOrTable] = Field(None, description="where the genes are")
    cells: CellOptions = Field(CellOptions(), description="which cells are kept")
    groups: GroupOptions = Field(GroupOptions(), description="which cells are analysed together")
    guides: GuideOptions = Field(GuideOptions(), description="which guides a cell has")
    pairs: ScreenPairOptions = Field(ScreenPairOptions(), description="which target-gene pairs are asked for")
    screen: ScreenOptions = Field(ScreenOptions(), description="how each pair is tested")
    interactions: InteractionOptions | None = Field(None, description="left out, pairs of targets are not tested")
    links: File = Field(
        None, description="links.parquet of a multiome scan (or SCENT's text), shown beside the screen in the report"
    )
    report: bool = Field(True, description="whether a finished run leaves report.html")
    cluster: str = Field("local", description="'local', 'none', or the address of a running Dask scheduler")


class ScreenSliceOptions(Options):
    """What slices of a run of a screen use of its options."""

    groups: GroupOptions = Field(GroupOptions(), description="which cells are analysed together")
    screen: ScreenOptions = Field(ScreenOptions(), description="how each pair is tested")
    interactions: InteractionOptions | None = Field(None, description="left out, pairs of targets are not tested")


def prepare(options: ScreenRunOptions, folder: Path) -> Prepared:
    """Read the files, say which cell has which guide, pair targets with genes, and write store and tables."""
    genes = genes_file(options.genes)
    tests = [options.screen, *([] if options.interactions is None else [options.interactions])]
    formulas = " ".join(test.formula for test in tests)
    cell_cycle = [name for name in _CELL_CYCLE if re.search(rf"(?<![\w.]){name}(?![\w.])", formulas)]
    prepared = prepare_once(
        folder,
        sections={
            **options.input.sections(),
            "guides": options.guides.model_dump(),
            "pairs": options.pairs.model_dump(),
            "cell_cycle": {"scores": cell_cycle},
            **options.cells.sections(),
        },
        files=[*options.input.files, genes, options.pairs.path],
        names=("pairs", "guides"),
        make=lambda: _read(options, genes, cell_cycle),
    )
    tables = {**prepared.tables, "guides": prepared.tables["guides"].set_index("guide")}
    return Prepared(prepared.store, tables, prepared.inputs)


def _read(options: ScreenRunOptions, genes: str | None, cell_cycle: list[str]) -> tuple[Any, dict[str, pd.DataFrame]]:
    """Read the files, say which cell has which guide, and pair targets with genes."""
    from scanlink import io, pp

    mdata = io.read_screen(**options.input.model_dump(exclude={"mito_prefix"}))
    pp.assign_guides(mdata, method=options.guides.assign, threshold=options.guides.threshold)
    pp.screen_qc(mdata, mito_prefix=options.input.prefix)
    if options.cells.query is not None:
        mdata = pp.filter_cells(mdata, options.cells.query)
    if not set(cell_cycle) <= set(mdata.obs.columns):
        pp.cell_cycle(mdata)
    pairs = _pairs(options, genes, mdata)
    # Genes that are in no test would only make the store larger.
    mdata.mod["rna"] = select(mdata["rna"], features=mdata["rna"].var_names.isin(pairs["gene"]))
    table = mdata["guide"].var.rename_axis("guide").reset_index()
    return mdata, {"pairs": pairs, "guides": table}


def _pairs(options: ScreenRunOptions, genes: str | None, mdata: Any) -> pd.DataFrame:
    """Pair the targets with the genes of the data, or read which pairs are asked for."""
    from scanlink import io, pp

    asked = options.pairs
    if asked.path is not None:
        targets = pd.Index(mdata["guide"].var["target"].dropna().unique())
        names = {"gene": mdata["rna"].var_names, "target": targets}
        return known_pairs(read_target_pairs(asked.path), asked.path, names)
    return pp.screen_pairs(mdata, io.read_genes(str(genes)), window=asked.window, anchor=asked.anchor)


def look(options: ScreenRunOptions) -> Looked:
    """Open the files, and list the pairs that are asked for; guides, which are few, are read."""
    from scanlink import io, pp

    genes, arguments = genes_file(options.genes), options.input.model_dump(exclude={"mito_prefix"})
    path = arguments["path"]
    mdata = io.read_screen(**arguments, backed=path is not None and stays_on_disk(path))
    # Thresholds from mixtures of distributions would be computing; who has which guide is only counted here.
    pp.assign_guides(mdata, threshold=options.guides.threshold)
    computed = computed_columns(mdata, ("guide_count", "guide_UMI", *_CELL_CYCLE), mito_prefix=options.input.prefix)
    return Looked(mdata, computed, lambda: {"pairs": _pairs(options, genes, mdata), "guides": mdata["guide"].var})


def _sections(options: Options) -> dict[str, Any]:
    """Give the sections by name; links are a file of another run."""
    sections = fields_of(options)
    links = sections.get("links")
    return {**sections, "screen_links": None if links is None else ScreenLinksOptions(path=links)}


SCREENING = Experiment(
    words="a screen",
    assay=assays.SCREEN,
    options=ScreenRunOptions,
    prepare=prepare,
    look=look,
    analyses=(SCREEN, INTERACTIONS, SCREEN_LINKS),
    slices=ScreenSliceOptions,
    read_pairs=read_target_pairs,
    store_tables=lambda store: {"guides": store.guide_table},
    sections=_sections,
)
