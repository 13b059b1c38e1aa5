"""Every option of a CRISPR screen, defined once: for Python calls, run.yaml, the command line and the record."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from scanlink.options import P_COLUMNS, GenesOptions, GroupOptions, Options, _ladder, _path_or_table
from scanlink.stats.bootstrap import Ladder

__all__ = [
    "ASKED",
    "CONTROLS",
    "KINDS",
    "SCREEN_P_COLUMNS",
    "GuideOptions",
    "InteractionOptions",
    "ScreenInputOptions",
    "ScreenOptions",
    "ScreenPairOptions",
    "ScreenRunOptions",
    "TestOptions",
]

Control = Literal["non_targeting", "shuffled", "mismatched"]
# Kinds of the rows of a screen, in the order of its table: those that are asked for, and negative controls.
ASKED = ("discovery", "positive_control")
CONTROLS: tuple[Control, ...] = ("non_targeting", "shuffled", "mismatched")
KINDS = (*ASKED, *CONTROLS)
SCREEN_P_COLUMNS = P_COLUMNS | {"permutation": "p_perm"}


def _permutations(value: Any) -> Any:
    # A bare number is a ladder of one stage.
    return _ladder([(value, None)] if isinstance(value, int) and not isinstance(value, bool) else value)


class ScreenInputOptions(Options):
    """Where counts of genes and guides are: one file, or one file a modality and a table of cells."""

    path: str | None = None
    rna: str | None = None
    guide: str | None = None
    cells: str | None = None
    guides: str | None = Field(
        None, description="table of guides: guide, target, and if known efficiency, chrom, start, end"
    )
    barcode: str | None = Field(None, description="column of barcodes in cells; None finds it")
    rna_key: str | None = Field(None, description="modality of the genes in a .h5mu; None finds it")
    guide_key: str | None = Field(None, description="modality of the guides in a .h5mu; None finds it")
    layer: str | None = Field(None, description="layer with the raw counts, where X does not hold them")

    @property
    def files(self) -> list[str]:
        """Every file that is named."""
        return [name for name in (self.path, self.rna, self.guide, self.cells, self.guides) if name is not None]

    @model_validator(mode="after")
    def _one_way(self) -> ScreenInputOptions:
        if (self.path is None) == (self.rna is None and self.guide is None):
            raise ValueError("give either one path, or rna and guide (and cells)")
        if self.path is None and (self.rna is None or self.guide is None):
            raise ValueError("rna and guide are both needed")
        return self


class GuideOptions(Options):
    """Which guides a cell is said to have."""

    assign: Literal["threshold", "mixture"] = Field(
        "threshold", description="a number of UMIs for all guides, or one a guide from a mixture of two distributions"
    )
    threshold: int = Field(5, ge=1, description="least UMIs of a guide that count; 1 for calls")


class ScreenPairOptions(Options):
    """Which target-gene pairs are asked for."""

    window: int = Field(1_000_000, ge=0, description="bp to either side of the TSS or gene body")
    anchor: Literal["body", "tss"] = "tss"
    path: str | None = Field(None, description="a table of pairs (gene, target) instead")


class TestOptions(Options):
    """What tests of one target and of two have in common."""

    # It is no test of pytest's.
    __test__ = False

    formula: str = "guide_count + percent.mito + offset(log(nUMI))"
    family: Literal["negbin", "poisson"] = "negbin"
    p_value: Literal["wald", "robust", "bootstrap", "tail", "permutation"] = "robust"
    ladder: Annotated[str | tuple[tuple[int, float | None], ...], BeforeValidator(_ladder)] = Field(
        "scent", description="replicates of the bootstrap"
    )
    permutations: Annotated[str | tuple[tuple[int, float | None], ...], BeforeValidator(_permutations)] = Field(
        "glimmirs", description="permutations: a number, or a ladder of which each stage goes on from the one before"
    )
    seed: int = 0
    theta: Literal["held", "estimated"] = Field(
        "held", description="dispersion in the replicates of the bootstrap: that of the data, or estimated in each"
    )
    cluster: str | None = Field(
        None, description="column of cells that belong together, such as the donor; None takes all for independent"
    )
    robust: Literal["HC0", "HC2", "HC3"] = "HC3"
    pseudocount: float = Field(0.0, ge=0, lt=1, description="added to all counts of a fit; GLiMMIRS adds 0.01")
    missing_efficiency: float | None = Field(
        None, ge=0, le=1, description="of guides without one; None: median of the others, 1 if none has; GLiMMIRS: 0"
    )
    min_fraction: float = Field(0.0, ge=0, lt=1, description="gene is non-zero in more than this of the group")
    min_nonzero: int = Field(5, ge=1, description="and in at least this many cells")
    min_cells: int = Field(10, ge=2, description="groups with fewer cells are not tested")
    controls: Annotated[tuple[Control, ...], BeforeValidator(lambda value: () if value in (None, False) else value)] = (
        Field(CONTROLS, description="negative controls that are tested beside; an empty list for none")
    )
    n_controls: int | None = Field(
        None, ge=1, description="pairs of each kind of control; None: as many as are asked for, at least 1,000"
    )
    method: Literal["bh", "by", "storey"] = "bh"
    alpha: float = Field(0.1, gt=0, le=1, description="false discovery rate below which an effect is called")
    block_genes: int | None = Field(None, ge=1, description="genes a task; None: by estimated cost")

    @model_validator(mode="after")
    def _extends(self) -> TestOptions:
        sizes = [n for n, _ in Ladder.of(self.permutations).stages]
        if sizes != sorted(set(sizes)):
            raise ValueError("permutations: each stage goes on from the one before, so that its number must be larger")
        return self


class ScreenOptions(TestOptions):
    """How each target-gene pair of a screen is tested."""

    min_perturbed: int = Field(10, ge=2, description="least cells with the perturbation, and without")


class InteractionOptions(TestOptions):
    """How pairs of targets of a gene are tested for acting together."""

    min_both: int = Field(10, ge=1, description="least cells with both perturbations")
    additive: bool = Field(True, description="whether effects that add are compared with effects that multiply")
    max_distance: int | None = Field(None, ge=0, description="most bp between two targets; None: any")


class ScreenRunOptions(Options):
    """A whole run of a screen, as run.yaml gives it."""

    input: Annotated[ScreenInputOptions, BeforeValidator(_path_or_table)]
    genes: Annotated[GenesOptions | None, BeforeValidator(_path_or_table)] = None
    groups: GroupOptions = GroupOptions()
    guides: GuideOptions = GuideOptions()
    pairs: ScreenPairOptions = ScreenPairOptions()
    screen: ScreenOptions = ScreenOptions()
    interactions: InteractionOptions | None = Field(None, description="left out, pairs of targets are not tested")
    links: str | None = Field(
        None, description="links.parquet of a multiome scan (or SCENT's text), shown beside the screen in the report"
    )
    report: bool = Field(True, description="whether a finished run leaves report.html")
    cluster: str = Field("local", description="'local', 'none', or the address of a running Dask scheduler")

    @model_validator(mode="after")
    def _genes_or_pairs(self) -> ScreenRunOptions:
        if self.genes is None and self.pairs.path is None:
            raise ValueError("give genes (a GTF or BED file, or {gencode: 44}) or pairs.path (a table of pairs)")
        return self
