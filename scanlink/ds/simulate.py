"""Simulated multiome data in which the links and the interactions of enhancers are known."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scanlink.ds.layout import lay_out, write_gtf
from scanlink.ds.model import Block, Parameters, barcodes, draw_blocks, make_parameters, stream, whole_number
from scanlink.ds.multiome_file import MultiomeWriter, assemble
from scanlink.ds.truth import plant
from scanlink.errors import InputError, OptionError
from scanlink.io.opening import quiet

if TYPE_CHECKING:
    from os import PathLike

    from mudata import MuData

__all__ = ["CELLTYPES", "Simulation", "simulate"]

log = logging.getLogger("scanlink")

# Default cell types; the last one is too small for anything to be found in it.
CELLTYPES = {"CD14-Mono": 0.45, "CD4-Naive": 0.33, "B-Memory": 0.21, "pDC": 0.01}


@dataclass(frozen=True)
class Simulation:
    """Simulated data and the truth about them.

    Attributes
    ----------
    mdata
        The dataset, or None if it was written piece by piece to ``path``.
    path
        Its file, or None if it is in memory.
    genes
        Annotation: ``chrom``, ``start``, ``end`` (0-based, half-open), ``strand``, ``gene_id``, ``gene``,
        ``gene_type``.
    links
        True links: ``group`` (cell type, or ``""`` for all), ``gene``, ``peak``, ``beta`` (effect of the peak being
        open on the natural logarithm of the expected count).
    interactions
        True interactions: ``group``, ``gene``, ``enhancer_1``, ``enhancer_2``, ``beta_1``, ``beta_2``,
        ``interaction`` (added on the same scale where both are open).
    """

    mdata: MuData | None
    path: Path | None
    genes: pd.DataFrame
    links: pd.DataFrame
    interactions: pd.DataFrame

    def write(self, folder: str | PathLike[str]) -> dict[str, Path]:
        """Write data, annotation and truth into a folder, which is made if need be.

        Parameters
        ----------
        folder
            Where ``multiome.h5mu``, ``genes.gtf.gz``, ``true_links.csv`` and ``true_interactions.csv`` go.

        Returns
        -------
        The paths, by ``"data"``, ``"genes"``, ``"links"`` and ``"interactions"``.

        Examples
        --------
        >>> import tempfile
        >>> simulation = simulate(n_cells=50, n_genes=8, n_peaks=40, n_links=4, n_interactions=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sorted(path.name for path in simulation.write(folder).values())
        ['genes.gtf.gz', 'multiome.h5mu', 'true_interactions.csv', 'true_links.csv']
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        paths = {
            "data": target / "multiome.h5mu",
            "genes": target / "genes.gtf.gz",
            "links": target / "true_links.csv",
            "interactions": target / "true_interactions.csv",
        }
        if self.mdata is not None:
            with quiet():
                self.mdata.write(paths["data"])
        elif self.path is not None and self.path.resolve() != paths["data"].resolve():
            shutil.copyfile(self.path, paths["data"])
        write_gtf(self.genes, paths["genes"])
        self.links.to_csv(paths["links"], index=False)
        self.interactions.to_csv(paths["interactions"], index=False)
        return paths


def simulate(
    *,
    n_cells: int = 3_000,
    n_genes: int = 80,
    n_peaks: int = 500,
    celltypes: Mapping[str, float] | None = None,
    n_donors: int = 4,
    n_batches: int = 2,
    n_links: int = 100,
    n_interactions: int = 15,
    effect: tuple[float, float] = (0.4, 1.0),
    interaction_effect: tuple[float, float] = (0.5, 1.0),
    dispersion: float = 0.5,
    donor_sd: float = 0.1,
    batch_sd: float = 0.1,
    block_sd: float = 0.2,
    seed: int = 0,
    out: str | PathLike[str] | None = None,
    chunk_cells: int = 2_048,
) -> Simulation:
    """Simulate RNA and ATAC counts of the same cells, with known enhancer-gene links.

    Parameters
    ----------
    n_cells
        Cells.
    n_genes
        Genes among peaks. There are 30 more on chrX, where no peak is, which hold most of the UMIs, and 13
        mitochondrial ones.
    n_peaks
        Peaks, open in 1 to 30 % of the cells.
    celltypes
        Names and proportions; None: three of 21 to 45 % and one of 1 %.
    n_donors, n_batches
        Donors, nested in batches; cells fall on donors by chance.
    n_links
        True links, at most four of a gene. Half of them act in one cell type only.
    n_interactions
        Pairs of true links of one gene that also interact.
    effect, interaction_effect
        Smallest and largest absolute effect, natural log.
    dispersion
        Variance of the Gamma factor of each count, so that the variance of a count of mean m is m + dispersion m^2.
        0: Poisson.
    donor_sd, batch_sd
        Standard deviation, natural log, of the effect of donors and batches on each gene, each peak and the depth.
    block_sd
        Standard deviation, natural log, of the accessibility that the peaks of one block have in common. Large values
        let a peak beside a true enhancer carry a shadow of its effect, which a test of one peak at a time rightly
        finds.
    seed
        The same seed gives the same numbers.
    out
        File (``.h5mu``) to which the data are written piece by piece, so that they need not fit in memory. None: in
        memory.
    chunk_cells
        Cells in a piece; has no influence on the numbers.

    Returns
    -------
    Simulation
        The data, with ``celltype``, ``donor``, ``batch``, ``nUMI`` and ``percent.mito`` in ``obs``, and the truth.

    Raises
    ------
    OptionError
        If an option is impossible, or so many links do not fit.

    Notes
    -----
    The model is written out in :mod:`scanlink.ds.model`. RNA and ATAC depth are correlated (about 0.7), so that they
    confound every gene with every peak unless the depth is in the model. Every block of 128 cells has random streams of
    its own (Philox), so neither the order of the work nor the size of the pieces has an influence.

    Examples
    --------
    >>> simulation = simulate(n_cells=200, n_genes=10, n_peaks=60, n_links=8, n_interactions=2, seed=1)
    >>> simulation.mdata["rna"].shape, simulation.mdata["atac"].shape
    ((200, 53), (200, 60))
    >>> len(simulation.links), len(simulation.interactions)
    (8, 2)
    """
    types = dict(CELLTYPES if celltypes is None else celltypes)
    positive = {"n_cells": n_cells, "n_genes": n_genes, "n_peaks": n_peaks, "n_donors": n_donors}
    positive |= {"n_batches": n_batches, "chunk_cells": chunk_cells}
    for name, value in positive.items():
        whole_number(name, value, 1)
    for name, value in {"n_links": n_links, "n_interactions": n_interactions, "seed": seed}.items():
        whole_number(name, value, 0)
    _check_effects(
        {"dispersion": dispersion, "donor_sd": donor_sd, "batch_sd": batch_sd, "block_sd": block_sd},
        {"effect": effect, "interaction_effect": interaction_effect},
    )
    _check_groups(types, n_donors=n_donors, n_batches=n_batches)
    genes, peaks = lay_out(stream(seed, 0), n_genes=n_genes, n_peaks=n_peaks, n_background=30)
    cis = genes[genes["role"] == "cis"]
    usual = [name for name, part in types.items() if part >= 0.1 * sum(types.values())] or list(types)
    truth = plant(
        stream(seed, 8),
        genes=cis,
        peaks=peaks,
        celltypes=usual,
        n_links=n_links,
        n_interactions=n_interactions,
        effect=effect,
        interaction_effect=interaction_effect,
    )
    parameters = make_parameters(
        seed=seed,
        n_cells=n_cells,
        celltypes=types,
        n_donors=n_donors,
        n_batches=n_batches,
        donor_sd=donor_sd,
        batch_sd=batch_sd,
        block_sd=block_sd,
        dispersion=dispersion,
        genes=genes,
        peaks=peaks,
        truth=truth,
    )
    rna_var = genes.set_index("gene")[["gene_id", "chrom", "start", "end", "strand"]]
    # As 10x writes it, without the version, whereas the annotation has one.
    rna_var["gene_id"] = rna_var["gene_id"].str.replace(r"\.\d+$", "", regex=True)
    names, features = barcodes(seed, n_cells), {"rna": rna_var, "atac": peaks}
    genes = genes.drop(columns=["role", "block"])
    if out is None:
        blocks = list(draw_blocks(parameters))
        obs = _label([_describe(block, parameters) for block in blocks], names, list(types), parameters)
        rna, atac = sp.vstack([b.rna for b in blocks], format="csr"), sp.vstack([b.atac for b in blocks], format="csr")
        counts = {"rna": rna, "atac": atac}
        return Simulation(assemble(obs, features, counts), None, genes, truth.links, truth.interactions)

    path = Path(out)
    if path.suffix != ".h5mu":
        raise OptionError(f"out is {str(out)!r}, expected a name that ends in .h5mu")
    if not path.parent.is_dir():
        raise InputError(f"out={str(out)!r}: the folder does not exist; make it first")
    with MultiomeWriter(path, n_vars={"rna": len(rna_var), "atac": n_peaks}, chunk_cells=chunk_cells) as writer:
        cells = []
        for block in draw_blocks(parameters):
            cells.append(_describe(block, parameters))
            writer.append(rna=block.rna, atac=block.atac)
        obs = _label(cells, names, list(types), parameters)
        writer.finish(assemble(obs, features))
    log.info("%d simulated cells written to %s", n_cells, path)
    return Simulation(None, path, genes, truth.links, truth.interactions)


def _check_effects(spreads: Mapping[str, float], ranges: Mapping[str, tuple[float, float]]) -> None:
    """Refuse standard deviations and ranges of effects that cannot be."""
    for name, value in spreads.items():
        if not 0 <= value < np.inf:
            raise OptionError(f"{name} is {value!r}, expected a number of at least 0")
    for name, (low, high) in ranges.items():
        if not 0 <= low <= high < np.inf:
            raise OptionError(
                f"{name} is {(low, high)!r}, expected smallest and largest absolute value, such as (0.4, 1.0)"
            )


def _check_groups(types: Mapping[str, float], *, n_donors: int, n_batches: int) -> None:
    """Refuse cell types without a share, and batches without a donor."""
    if not types or "" in types or not all(0 < part < np.inf for part in types.values()):
        raise OptionError(f"celltypes is {dict(types)!r}, expected names with proportions above 0")
    if n_donors < n_batches:
        raise OptionError(f"n_donors={n_donors} is less than n_batches={n_batches}: donors are nested in batches")


def _describe(block: Block, parameters: Parameters) -> pd.DataFrame:
    total = np.asarray(block.rna.sum(axis=1, dtype=np.int64)).ravel()
    mito = np.asarray(block.rna[:, -len(parameters.mito) :].sum(axis=1, dtype=np.int64)).ravel()
    percent = 100 * mito / np.maximum(total, 1)
    return pd.DataFrame({"celltype": block.celltype, "donor": block.donor, "nUMI": total, "percent.mito": percent})


def _label(blocks: list[pd.DataFrame], names: np.ndarray, types: list[str], parameters: Parameters) -> pd.DataFrame:
    """Join the cells of all blocks, and turn positions of cell types and donors into names."""
    cells = pd.concat(blocks, ignore_index=True)
    batch = parameters.donor_batch
    donors = [f"donor{number + 1}" for number in range(len(batch))]
    batches = [f"batch{number + 1}" for number in range(batch.max() + 1)]
    return pd.DataFrame(
        {
            "celltype": _named(cells["celltype"].to_numpy(), types),
            "donor": _named(cells["donor"].to_numpy(), donors),
            "batch": _named(batch[cells["donor"].to_numpy()], batches),
            "nUMI": cells["nUMI"].to_numpy(),
            "percent.mito": cells["percent.mito"].to_numpy(),
        },
        index=pd.Index(names),
    )


def _named(positions: np.ndarray, names: list[str]) -> pd.Categorical:
    return pd.Categorical.from_codes(positions, categories=pd.Index(names, dtype=object))
