"""Which enhancers of a gene act together: contrasts of their states, and their interaction."""

from scanlink.tl.analysis import Analysis, Export, Follows
from scanlink.tl.epistasis.block import epistasis_block
from scanlink.tl.epistasis.heterogeneity import heterogeneity_table
from scanlink.tl.epistasis.options import EpistasisOptions
from scanlink.tl.epistasis.rows import check_epistasis, enhancer_rows
from scanlink.tl.epistasis.section import SECTION
from scanlink.tl.epistasis.table import EPISTASIS_TABLE, enhancer_pairs_table, finish_epistasis

__all__ = ["EPISTASIS"]

EPISTASIS = Analysis(
    name="epistasis",
    table=EPISTASIS_TABLE,
    options=EpistasisOptions,
    rows=enhancer_rows,
    block=epistasis_block,
    finish=finish_epistasis,
    section=SECTION,
    level="epistasis",
    follows=Follows(lambda options: ("scan",), waits=lambda given: given.sections["links"].scope == "all"),
    check=check_epistasis,
    export=Export(
        ("bedpe", "interact", "biginteract", "capstone", "h5mu"),
        lambda run: run.tables[EPISTASIS_TABLE.name],
        called_only=False,
    ),
    beside={"enhancer_pairs": enhancer_pairs_table, "heterogeneity": heterogeneity_table},
)
