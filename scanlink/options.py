"""Every option, defined once: for Python calls, run.yaml, the command line and the provenance record."""

from __future__ import annotations

import difflib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from scanlink.errors import OptionError
from scanlink.stats.bootstrap import Ladder

__all__ = [
    "P_COLUMNS",
    "EpistasisOptions",
    "GenesOptions",
    "GroupOptions",
    "InputOptions",
    "LinksOptions",
    "Options",
    "PairOptions",
    "RunOptions",
    "ScanOptions",
    "SliceOptions",
    "explain",
]

PValue = Literal["wald", "robust", "bootstrap", "tail"]
# Column of each kind of p-value in tables of results; of a contrast it ends in "_" and its name.
P_COLUMNS = {"wald": "p", "robust": "p_robust", "bootstrap": "p_boot", "tail": "p_tail"}


class Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class InputOptions(Options):
    """Where the counts are: one multiome file, or one file a modality and a table of cells."""

    path: str | None = None
    rna: str | None = None
    atac: str | None = None
    cells: str | None = None
    barcode: str | None = Field(None, description="column of barcodes in cells; None finds it")
    rna_features: str | None = Field(None, description="names of the genes of an .mtx; None looks beside it")
    atac_features: str | None = Field(None, description="names of the peaks of an .mtx; None looks beside it")
    barcodes: str | None = Field(None, description="names of the cells of .mtx files; None looks beside them")
    rna_key: str = Field("rna", description="modality of the genes in a .h5mu")
    atac_key: str = Field("atac", description="modality of the peaks in a .h5mu")
    layer: str | None = Field(None, description="layer with the raw counts, where X does not hold them")
    one_based: bool = Field(False, description="peak names count the first base as 1")

    @property
    def files(self) -> list[str]:
        """Every file that is named."""
        names = (self.path, self.rna, self.atac, self.cells, self.rna_features, self.atac_features, self.barcodes)
        return [name for name in names if name is not None]

    @model_validator(mode="after")
    def _one_way(self) -> InputOptions:
        if (self.path is None) == (self.rna is None and self.atac is None):
            raise ValueError("give either one path, or rna and atac (and cells)")
        if self.path is None and (self.rna is None or self.atac is None):
            raise ValueError("rna and atac are both needed")
        return self


class GenesOptions(Options):
    """Where the genes are: a GTF or BED file, or a GENCODE release to download."""

    path: str | None = None
    gencode: int | str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> GenesOptions:
        if (self.path is None) == (self.gencode is None):
            raise ValueError("give either a file of genes or a gencode release")
        return self


def _all_is_none(value: Any) -> Any:
    if value == "all":
        return None
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        value = [value]
    # Clusters often have numbers for names.
    return [str(v) if isinstance(v, int) else v for v in value] if isinstance(value, (list, tuple)) else value


class GroupOptions(Options):
    """Which cells are analysed together; without ``by``, all cells are one group named ``all``."""

    by: str | None = None
    only: Annotated[tuple[str, ...] | None, BeforeValidator(_all_is_none)] = None


class PairOptions(Options):
    """Which gene-peak pairs are asked for."""

    window: int = Field(500_000, ge=0, description="bp to either side of the gene body or TSS")
    anchor: Literal["body", "tss"] = "body"
    overlap: Literal["any", "center"] = "any"
    min_fraction: float = Field(0.05, ge=0, le=1, description="least share of all cells in which a feature is non-zero")
    highly_variable: bool = Field(False, description="only highly variable genes (mean-variance method)")
    path: str | None = Field(None, description="a table of pairs (gene, peak) instead")


def _ladder(value: Any) -> Any:
    return Ladder.of(value).stages if not isinstance(value, str) else Ladder.of(value).name


class ScanOptions(Options):
    """How each pair is tested."""

    formula: str = "log(nUMI) + percent.mito"
    family: Literal["poisson", "negbin"] = "poisson"
    p_value: PValue = "bootstrap"
    ladder: Annotated[str | tuple[tuple[int, float | None], ...], BeforeValidator(_ladder)] = "scent"
    seed: int = 0
    theta: Literal["held", "estimated"] = Field(
        "held", description="dispersion in the replicates of family negbin: that of the data, or estimated in each"
    )
    cluster: str | None = Field(
        None, description="column of cells that belong together, such as the donor; None takes all for independent"
    )
    robust: Literal["HC0", "HC2", "HC3"] = "HC3"
    binarize: bool = Field(True, description="accessibility as open or closed; False: as counts")
    min_fraction: float = Field(
        0.05, ge=0, lt=1, description="gene and peak are non-zero in more than this of the group"
    )
    min_nonzero: int = Field(
        5, ge=1, description="and in at least this many cells; the peak is closed in at least this many, too"
    )
    min_cells: int = Field(10, ge=2, description="groups with fewer cells are not tested")
    device: str | None = Field(
        None, description="where the bootstrap's matrix products are computed: a device of PyTorch, such as cuda"
    )
    block_genes: int | None = Field(None, ge=1, description="genes a task; None: by estimated cost")


class LinksOptions(Options):
    """Which tested pairs are called links."""

    method: Literal["bh", "by", "storey"] = "bh"
    alpha: float = Field(0.1, gt=0, le=1)
    scope: Literal["group", "all", "gene"] = "group"


class EpistasisOptions(Options):
    """How pairs of linked enhancers are chosen, and tested for acting together."""

    formula: str = "percent.mito + offset(log(nUMI))"
    family: Literal["poisson", "negbin"] = "poisson"
    model: Literal["joint", "separate"] = Field(
        "joint", description="one regression with all states, or one a state as in the paper"
    )
    coding: Literal["indicator", "dosage"] = Field(
        "indicator", description="dosage: 11 as 2, as the paper has it, which halves its effect"
    )
    p_value: PValue = "bootstrap"
    ladder: Annotated[str | tuple[tuple[int, float | None], ...], BeforeValidator(_ladder)] = "epistasis"
    seed: int = 0
    cluster: str | None = Field(
        None, description="column of cells that belong together, such as the donor; None takes all for independent"
    )
    robust: Literal["HC0", "HC2", "HC3"] = "HC3"
    min_cells: int = Field(10, ge=2, description="least number of cells in each state")
    method: Literal["bh", "by", "storey"] = "bh"
    alpha: float = Field(0.1, gt=0, le=1, description="false discovery rate below which a pair is said to interact")
    links_fdr: float | None = Field(
        None, gt=0, le=1, description="false discovery rate of the links that are paired; None: links.alpha; 1: all"
    )
    order: int = Field(2, ge=2, le=4, description="enhancers that are tested together")
    min_distance: int | None = Field(None, ge=0, description="least bp between neighbouring enhancers of a pair")
    max_distance: int | None = Field(None, ge=0, description="most bp between the outermost enhancers of a pair")
    device: str | None = Field(
        None, description="where the bootstrap's matrix products are computed: a device of PyTorch, such as cuda"
    )
    block_genes: int | None = Field(None, ge=1, description="genes a task; None: by estimated cost")

    @model_validator(mode="after")
    def _possible(self) -> EpistasisOptions:
        if self.coding == "dosage" and self.model == "joint":
            raise ValueError("coding dosage is that of the separate models: set model to separate")
        if self.model == "separate" and self.p_value == "tail":
            raise ValueError("separate models have no tail for the interaction: choose bootstrap, robust or wald")
        if None not in (self.min_distance, self.max_distance) and self.min_distance > self.max_distance:  # type: ignore[operator]
            raise ValueError("min_distance is above max_distance")
        return self


def _path_or_table(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


class SliceOptions(Options):
    """What a slice of a scan needs of a run's options."""

    groups: GroupOptions = GroupOptions()
    scan: ScanOptions = ScanOptions()
    links: LinksOptions = LinksOptions()


class RunOptions(Options):
    """A whole run, as run.yaml gives it."""

    input: Annotated[InputOptions, BeforeValidator(_path_or_table)]
    genes: Annotated[GenesOptions | None, BeforeValidator(_path_or_table)] = None
    groups: GroupOptions = GroupOptions()
    pairs: PairOptions = PairOptions()
    scan: ScanOptions = ScanOptions()
    links: LinksOptions = LinksOptions()
    epistasis: EpistasisOptions | None = Field(None, description="left out, enhancer pairs are not tested")
    report: bool = Field(True, description="whether a finished run leaves report.html")
    cluster: str = Field("local", description="'local', 'none', or the address of a running Dask scheduler")

    @model_validator(mode="after")
    def _genes_or_pairs(self) -> RunOptions:
        if self.genes is None and self.pairs.path is None:
            raise ValueError("give genes (a GTF or BED file, or {gencode: 44}) or pairs.path (a table of pairs)")
        return self


def explain(error: ValidationError, model: type[BaseModel], *, where: Any = None) -> OptionError:
    """Turn pydantic's complaint into one line an offending key, with the nearest key that exists.

    Parameters
    ----------
    error
        What pydantic raised for ``model``.
    model
        The options that were to be made.
    where
        Called with the path of a key, such as ``("scan", "ladder")``; gives the words that locate it, or "".

    Returns
    -------
    OptionError
        To be raised.

    Examples
    --------
    >>> from pydantic import ValidationError
    >>> try:
    ...     ScanOptions(sead=1)
    ... except ValidationError as error:
    ...     print(explain(error, ScanOptions))
    sead: unknown key; did you mean 'seed'?
    """
    lines = []
    for item in error.errors(include_url=False):
        path = tuple(str(part) for part in item["loc"])
        place = where(path) if where else ""
        name = ".".join(path)
        if item["type"] == "extra_forbidden":
            text = f"unknown key{_nearest(path, model)}"
        elif item["type"] == "missing":
            text = "missing: this key must be given"
        elif item["type"] == "model_type":
            text = f"expected a section with keys of its own; found {item['input']!r}"
        else:
            text = f"{item['msg'].removeprefix('Value error, ')}"
            if not isinstance(item["input"], (dict, BaseModel)):
                text += f"; found {item['input']!r}"
        # What concerns several sections at once has no key of its own.
        lines.append(f"{place}{name}: {text}" if name else f"{place or 'options: '}{text}")
    return OptionError("\n".join(lines))


def _nearest(path: tuple[str, ...], model: type[BaseModel]) -> str:
    for part in path[:-1]:
        field = model.model_fields.get(part)
        inner = _models(field.annotation) if field else []
        if not inner:
            return ""
        model = inner[0]
    close = difflib.get_close_matches(path[-1], model.model_fields, n=1, cutoff=0.5)
    known = ", ".join(model.model_fields)
    return f"; did you mean {close[0]!r}?" if close else f"; known keys are {known}"


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found: list[type[BaseModel]] = []
    for part in getattr(annotation, "__args__", ()):
        found += _models(part)
    return found
