"""Multiome experiments: what a run.yaml of one says, how its files become a store and pairs, and its analyses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import Field

from scanlink.io import assays
from scanlink.io.disk import select
from scanlink.io.pairs import read_pairs
from scanlink.options import File, GenesOptions, GroupOptions, Options, PathOrTable
from scanlink.pipeline.experiment import CellOptions, Experiment, InputFiles, Looked, Prepared, WholeRun
from scanlink.pipeline.prepare import computed_columns, genes_file, known_pairs, prepare_once
from scanlink.pp.components import component_columns
from scanlink.tl.epistasis import EPISTASIS
from scanlink.tl.epistasis.options import EpistasisOptions
from scanlink.tl.kendall import KENDALL
from scanlink.tl.kendall.options import KendallOptions
from scanlink.tl.scan import SCAN
from scanlink.tl.scan.options import LinksOptions, ScanOptions

__all__ = ["MULTIOME", "InputOptions", "PairOptions", "RunOptions", "prepare"]


class InputOptions(InputFiles):
    """Where the counts are: one multiome file, or one file a modality and a table of cells."""

    modalities = ("rna", "atac")

    atac: File = Field(None, description="counts of peaks")
    cells: File = Field(None, description="table of cells")
    barcode: str | None = Field(None, description="column of barcodes in cells; None finds it")
    rna_features: File = Field(None, description="names of the genes of an .mtx; None looks beside it")
    atac_features: File = Field(None, description="names of the peaks of an .mtx; None looks beside it")
    barcodes: File = Field(None, description="names of the cells of .mtx files; None looks beside them")
    rna_key: str | None = Field("rna", description="modality (assay) of the genes in the file; rna finds gex")
    atac_key: str | None = Field("atac", description="modality (assay) of the peaks in the file; atac finds peaks")
    layer: str | None = Field(None, description="layer with the raw counts, where X does not hold them")
    one_based: bool = Field(False, description="peak names count the first base as 1")


class MultiomeCellOptions(CellOptions):
    """Which cells are kept, and what is added to their table."""

    components: int = Field(
        0,
        ge=0,
        le=50,
        description="adds so many leading components of accessibility, atac_1, atac_2, ..., for formulas without types",
    )


class PairOptions(Options):
    """Which gene-peak pairs are asked for."""

    window: int = Field(500_000, ge=0, description="bp to either side of the gene body or TSS")
    anchor: Literal["body", "tss"] = Field("body", description="what of a gene the window is around")
    overlap: Literal["any", "center"] = Field("any", description="what of a peak has to lie in the window")
    min_fraction: float = Field(0.05, ge=0, le=1, description="least share of all cells in which a feature is non-zero")
    highly_variable: bool = Field(False, description="only highly variable genes (mean-variance method)")
    path: File = Field(None, description="a table of pairs (gene, peak) instead")


class RunOptions(WholeRun):
    """A whole run, as run.yaml gives it."""

    input: Annotated[InputOptions, PathOrTable] = Field(description="where the counts are")
    genes: Annotated[GenesOptions | None, PathOrTable] = Field(None, description="where the genes are")
    cells: MultiomeCellOptions = Field(MultiomeCellOptions(), description="which cells are kept, and their components")
    groups: GroupOptions = Field(GroupOptions(), description="which cells are analysed together")
    pairs: PairOptions = Field(PairOptions(), description="which gene-peak pairs are asked for")
    scan: ScanOptions = Field(ScanOptions(), description="how each pair is tested")
    links: LinksOptions = Field(LinksOptions(), description="which tested pairs are called links")
    epistasis: EpistasisOptions | None = Field(None, description="left out, enhancer pairs are not tested")
    kendall: KendallOptions | None = Field(None, description="left out, rank correlations are not computed")
    report: bool = Field(True, description="whether a finished run leaves report.html")
    cluster: str = Field("local", description="'local', 'none', or the address of a running Dask scheduler")


class SliceOptions(Options):
    """What slices of a run use of its options."""

    groups: GroupOptions = Field(GroupOptions(), description="which cells are analysed together")
    scan: ScanOptions = Field(ScanOptions(), description="how each pair is tested")
    links: LinksOptions = Field(LinksOptions(), description="which tested pairs are called links")
    epistasis: EpistasisOptions | None = Field(None, description="left out, enhancer pairs are not tested")
    kendall: KendallOptions | None = Field(None, description="left out, rank correlations are not computed")


def prepare(options: RunOptions, folder: Path) -> Prepared:
    """Read the files, filter, pair genes with peaks, and write store and pairs; or find that it was done before."""
    genes = genes_file(options.genes)
    return prepare_once(
        folder,
        sections={**options.input.sections(), "pairs": options.pairs.model_dump(), **options.cells.sections()},
        files=[*options.input.files, genes, options.pairs.path],
        names=("pairs",),
        make=lambda: _read(options, genes),
    )


def _read(options: RunOptions, genes: str | None) -> tuple[Any, dict[str, pd.DataFrame]]:
    """Read the files, filter features, and pair genes with peaks."""
    from scanlink import pp

    mdata = _opened(options)
    survey = pp.Survey(mdata, mito_prefix=options.input.prefix)
    pp.qc(mdata, survey=survey, mito_prefix=options.input.prefix)
    if options.cells.query is not None:
        mdata = pp.filter_cells(mdata, options.cells.query)
        survey = survey.of(mdata)
    if options.cells.components:
        pp.components(mdata, n=options.cells.components)
    annotation = None
    if options.pairs.path is None:
        annotation = _annotation(str(genes), mdata)
        # Who brings pairs has chosen: each of them gets its row, and a status where it is too rare.
        fraction = options.pairs.min_fraction
        mdata = pp.filter_features(mdata, min_fraction=fraction, survey=survey, into_memory=False)
    if options.pairs.highly_variable:
        pp.highly_variable_genes(mdata)
    pairs = _pairs(options, annotation, mdata)
    if options.pairs.highly_variable:
        variable = mdata["rna"].var["highly_variable"]
        pairs = pairs[pairs["gene"].isin(variable.index[variable])].reset_index(drop=True)
    # Features that are in no pair would only make the store larger.
    for modality, column in (("rna", "gene"), ("atac", "peak")):
        used = mdata[modality].var_names.isin(pairs[column])
        mdata.mod[modality] = select(mdata[modality], features=used)
    return mdata, {"pairs": pairs}


def _opened(options: RunOptions) -> Any:
    """Open the files; one with both modalities is read in pieces later: once for the sums, once for the store."""
    from scanlink import io
    from scanlink.io.formats import stays_on_disk

    arguments = options.input.model_dump(exclude={"mito_prefix"})
    path = arguments.pop("path")
    return io.read(path, **arguments, backed=path is not None and stays_on_disk(path))


def _pairs(options: RunOptions, annotation: pd.DataFrame | None, mdata: Any) -> pd.DataFrame:
    """Pair the genes of the data with its peaks, or read which pairs are asked for."""
    from scanlink.pp.genome import pairs_of

    asked = options.pairs
    rna, atac = mdata["rna"].var, mdata["atac"].var
    if annotation is None:
        assert asked.path is not None
        return known_pairs(read_pairs(asked.path), asked.path, {"gene": rna.index, "peak": atac.index})
    reach: dict[str, Any] = {"window": asked.window, "anchor": asked.anchor, "overlap": asked.overlap}
    return pairs_of(rna, atac, annotation, **reach, compare=False)


def _all_pairs(options: RunOptions, genes: str | None, mdata: Any) -> pd.DataFrame:
    """List the pairs of all features, frequent or not."""
    annotation = None if options.pairs.path is not None else _annotation(str(genes), mdata)
    return _pairs(options, annotation, mdata)


def _annotation(genes: str, mdata: Any) -> pd.DataFrame:
    """Read the annotation, and look whether it is of the build of all features, which tell more than frequent ones."""
    from scanlink import io
    from scanlink.pp.build import compare_builds

    annotation = io.read_genes(genes)
    compare_builds(mdata["rna"].var, mdata["atac"].var, annotation)
    return annotation


def look(options: RunOptions) -> Looked:
    """Open the files, and list the pairs that could be asked for: before features that are too rare are left out."""
    genes, mdata = genes_file(options.genes), _opened(options)
    return Looked(
        mdata,
        computed_columns(mdata, ("nCount_ATAC", "nFeature_ATAC"), mito_prefix=options.input.prefix),
        lambda: {"pairs": _all_pairs(options, genes, mdata)},
        tuple(component_columns("atac", options.cells.components)),
        options.pairs.min_fraction if options.pairs.path is None else 0.0,
    )


MULTIOME = Experiment(
    words="multiome data",
    assay=assays.MULTIOME,
    options=RunOptions,
    prepare=prepare,
    look=look,
    analyses=(SCAN, EPISTASIS, KENDALL),
    slices=SliceOptions,
    read_pairs=read_pairs,
)
