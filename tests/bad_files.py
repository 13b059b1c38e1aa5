"""A small good project, the ways to write it in other formats, and the command line in this process."""

from __future__ import annotations

import contextlib
import gzip
import io
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import pandas as pd
import scipy.io
import yaml
from scipy import sparse

import scanlink as sl
from scanlink.cli import main
from scanlink.io.opening import quiet

RUN = ("run", "run.yaml", "--out", "out")
ERROR = "scanlink: error: "


@dataclass
class Project:
    """One folder with ``run.yaml`` and what it names; ``options`` and ``mdata`` are written by :meth:`write`."""

    folder: Path
    options: dict
    mdata: object
    genes: pd.DataFrame

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def write(self) -> None:
        with quiet():
            self.mdata.write(self / "multiome.h5mu")
        write_gtf(self / "genes.gtf.gz", self.genes)
        self.write_options()

    def write_options(self) -> None:
        (self / "run.yaml").write_text(yaml.safe_dump(self.options, sort_keys=False))

    def dense(self, modality: str) -> pd.DataFrame:
        """Counts with features in rows, as R has them."""
        data = self.mdata[modality]
        return pd.DataFrame(data.X.toarray().T, index=data.var_names, columns=data.obs_names)

    def as_csv(self, rna: pd.DataFrame | None = None, atac: pd.DataFrame | None = None) -> None:
        (self.dense("rna") if rna is None else rna).to_csv(self / "rna.csv")
        (self.dense("atac") if atac is None else atac).to_csv(self / "atac.csv")
        self.mdata.obs.to_csv(self / "cells.csv", index_label="cell")
        self.options["input"] = {"rna": "rna.csv", "atac": "atac.csv", "cells": "cells.csv"}
        self.write_options()

    def as_mtx(self) -> None:
        for modality in ("rna", "atac"):
            scipy.io.mmwrite(self / f"{modality}.mtx", sparse.coo_matrix(self.dense(modality)))
            names = self.mdata[modality].var_names
            (self / f"{modality}_features.tsv").write_text("".join(f"{name}\n" for name in names))
        (self / "barcodes.tsv").write_text("".join(f"{name}\n" for name in self.mdata.obs_names))
        self.mdata.obs.to_csv(self / "cells.csv", index_label="cell")
        self.options["input"] = {"rna": "rna.mtx", "atac": "atac.mtx", "cells": "cells.csv"}
        self.write_options()

    def as_10x(self, *, peaks: str = "Peaks") -> None:
        counts = sparse.csr_matrix(pd.concat([self.dense("rna"), self.dense("atac")]).T.to_numpy(dtype=np.int32))
        names = [*self.mdata["rna"].var_names, *self.mdata["atac"].var_names]
        n_genes, n_peaks = self.mdata["rna"].n_vars, self.mdata["atac"].n_vars
        with h5py.File(self / "matrix.h5", "w") as file:
            matrix = file.create_group("matrix")
            matrix["barcodes"] = np.array(self.mdata.obs_names, dtype="S")
            matrix["data"], matrix["indices"], matrix["indptr"] = counts.data, counts.indices, counts.indptr
            matrix["shape"] = np.array(counts.shape[::-1], dtype=np.int32)
            features = matrix.create_group("features")
            features["id"], features["name"] = np.array(names, dtype="S"), np.array(names, dtype="S")
            features["feature_type"] = np.array(["Gene Expression"] * n_genes + [peaks] * n_peaks, dtype="S")
            features["genome"] = np.array(["GRCh38"] * len(names), dtype="S")
        self.mdata.obs.to_csv(self / "cells.csv", index_label="cell")
        self.options["input"] = {"path": "matrix.h5", "cells": "cells.csv"}
        self.write_options()

    def run(self, *words: str) -> tuple[int, str]:
        return scanlink(self.folder, *words)


def write_gtf(path: Path, genes: pd.DataFrame) -> None:
    lines = [
        f"{g.chrom}\tsim\tgene\t{g.start + 1}\t{g.end}\t.\t{g.strand}\t.\t"
        f'gene_id "{g.gene_id}"; gene_name "{g.gene}";\n'
        for g in genes.itertuples()
    ]
    path.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))


@lru_cache(maxsize=1)
def simulated():
    return sl.ds.simulate(n_cells=200, n_genes=12, n_peaks=40, n_links=6, n_interactions=0, seed=1)


def project(folder: Path) -> Project:
    """The good project, in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "input": "multiome.h5mu",
        "genes": "genes.gtf.gz",
        "groups": {"by": "celltype"},
        "scan": {"ladder": [[40, None]], "seed": 3, "block_genes": 2},
        "cluster": "none",
        "report": False,
    }
    data = simulated()
    with quiet():
        made = Project(folder, options, data.mdata.copy(), data.genes.copy())
    made.write()
    return made


def scanlink(folder: Path, *words: str) -> tuple[int, str]:
    """Run the command line in this process, and give exit code and stderr; the logger is as before afterwards."""
    logger, stderr, before = logging.getLogger("scanlink"), io.StringIO(), Path.cwd()
    state = logger.handlers[:], logger.level, logger.propagate
    try:
        os.chdir(folder)
        with (
            mock.patch.object(sys, "argv", ["scanlink", *words]),
            mock.patch.dict(os.environ),
            contextlib.redirect_stderr(stderr),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            main()
            code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        os.chdir(before)
        logger.handlers[:], logger.level, logger.propagate = state
    return code, stderr.getvalue()


def leftovers(folder: Path) -> list[str]:
    """Files and folders that something half-written would leave."""
    return [path.name for path in folder.rglob(".*")] if folder.is_dir() else []


@dataclass(frozen=True)
class Case:
    """One thing that is wrong.

    Attributes
    ----------
    name
        What is wrong, for the table.
    spoil
        Makes it so in a good project.
    message
        Regular expression that is found in the error, or in the log of a run that completes; "" where none is due.
    words
        The command.
    code
        Exit code.
    status
        Of a pair in links.parquet, where the run completes.
    """

    name: str
    spoil: Callable[[Project], None]
    message: str
    words: tuple[str, ...] = RUN
    code: int = 1
    status: str | None = None


@dataclass
class Seen:
    """What a case did: exit code and stderr with the folder taken out; faults found on the way."""

    code: int
    stderr: str
    message: str
    statuses: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


@lru_cache(maxsize=1)
def good_run() -> Path:
    """Run folder of the good project; it goes with this process."""
    holder = tempfile.TemporaryDirectory(prefix="scanlink-good-")
    made = project(Path(holder.name))
    code, stderr = made.run(*RUN)
    assert code == 0, stderr
    good_run.holder = holder  # type: ignore[attr-defined]
    return made / "out"


def _shown(text: str, folder: Path) -> str:
    return text.replace(f"{folder}/", "").replace(str(folder), ".")


def observe(case: Case, folder: Path) -> Seen:
    """Run a case in a fresh run folder and, if it is an error, again in that of an earlier good run."""
    made = project(folder.resolve())
    case.spoil(made)
    out, began_empty = made / "out", not (made / "out").exists()
    code, stderr = made.run(*case.words)
    stderr = _shown(stderr, made.folder)
    seen = Seen(code, stderr, stderr.partition(ERROR)[2].strip())
    if code == 0:
        links = pd.read_parquet(out / "links.parquet") if (out / "links.parquet").is_file() else None
        seen.statuses = {} if links is None else links["status"].value_counts().to_dict()
        found = [line[9:] for line in stderr.splitlines() if case.message and re.search(case.message, line)]
        seen.message = found[0] if found else ""
    elif (out / "links.parquet").exists():
        seen.faults.append("links.parquet was written")
    seen.faults += [f"left behind: {name}" for name in leftovers(out)]
    if code and began_empty:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(good_run(), out)
        again, second = made.run(*case.words)
        if (again, _shown(second, made.folder).partition(ERROR)[2].strip()) != (code, seen.message):
            seen.faults.append(f"in the folder of an earlier run: exit code {again}, {second}")
        if (out / "links.parquet").read_bytes() != (good_run() / "links.parquet").read_bytes():
            seen.faults.append("links.parquet of the earlier run was changed")
        seen.faults += [f"left behind in the folder of an earlier run: {name}" for name in leftovers(out)]
    return seen


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="scanlink-bad-") as folder:
        yield Path(folder)
