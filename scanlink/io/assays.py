"""The two kinds of experiment that are read: what lies beside the genes, and what files and messages call it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from anndata import AnnData

__all__ = ["MULTIOME", "SCREEN", "Assay", "Whole"]


@dataclass(frozen=True)
class Assay:
    """Genes and a second modality of the same cells."""

    second: str
    features: str
    feature_type: str
    matrix: str
    reader: str
    unused: tuple[str, ...]

    @property
    def pair(self) -> str:
        """The call that reads two files of one modality each."""
        return f"{self.reader}(rna=, {self.second}=)"


MULTIOME = Assay(
    second="atac",
    features="peaks",
    feature_type="Peaks",
    matrix="a multiome matrix",
    reader="read",
    unused=("feature_types", "pattern", "read", "sequence"),
)
SCREEN = Assay(
    second="guide",
    features="guides",
    feature_type="CRISPR Guide Capture",
    matrix="the matrix of a CRISPR screen",
    reader="read_screen",
    unused=("feature_types", "genome", "interval", "pattern", "read"),
)


@dataclass(frozen=True)
class Whole:
    """Both modalities as files have them, before they are aligned: the cells may differ."""

    rna: AnnData
    second: AnnData
    source: dict[str, str]
    obs: pd.DataFrame | None = None

    @classmethod
    def of_file(cls, path: Path, rna: AnnData, second: AnnData, obs: pd.DataFrame | None = None) -> Whole:
        """Make it of the two modalities of one file or folder."""
        return cls(rna, second, {"path": str(path)}, obs)
