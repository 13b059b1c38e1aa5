"""The reference results that R gave, read once for several tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.io.releases import EXACT_NUMBERS, mmread_csr
from scanlink.stats import rescale

__all__ = ["SimulatedScent", "load_simulated"]


@dataclass(frozen=True)
class SimulatedScent:
    """The 1,000 T cells of ``scent_R_simulated``, in the row order to which R's resample indices refer."""

    folder: Path
    counts: dict[str, NDArray[np.float64]]
    opened: dict[str, NDArray[np.float64]]
    covariates: NDArray[np.float64]

    def design(self, peak: str) -> NDArray[np.float64]:
        """Intercept, peak, log(nUMI), percent.mito, batch."""
        return np.insert(self.covariates, 1, self.opened[peak], axis=1)

    def table(self, name: str, **options: object) -> pd.DataFrame:
        # The default parser is off by an ulp now and then, and these numbers are compared exactly.
        return pd.read_csv(self.folder / name, **EXACT_NUMBERS, **options)  # type: ignore[call-overload]


def load_simulated(shared: Path) -> SimulatedScent:
    folder = shared / "scent_R_simulated"
    inputs = folder / "inputs"
    names = {part: (inputs / f"{part}.tsv").read_text().split() for part in ("cells", "genes", "peaks")}
    cells = pd.Index(names["cells"]).get_indexer((inputs / "Tcell_row_order.tsv").read_text().split())
    rna = mmread_csr(str(inputs / "rna.mtx"))[:, cells].toarray().astype(float)
    atac = mmread_csr(str(inputs / "atac.mtx"))[:, cells].toarray() > 0
    table = pd.read_csv(inputs / "metadata.csv").set_index("cell").loc[np.array(names["cells"])[cells]]
    covariates = np.column_stack(
        [np.ones(len(table)), np.log(table["nUMI"]), table["percent.mito"], table["batch"] == "batch_b"]
    ).astype(float)
    return SimulatedScent(
        folder,
        dict(zip(names["genes"], rna, strict=True)),
        dict(zip(names["peaks"], atac.astype(float), strict=True)),
        rescale(covariates),
    )
