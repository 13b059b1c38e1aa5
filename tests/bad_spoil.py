"""Ways to spoil a good project; each takes it as it is written, and leaves it as a user would have it."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from bad_files import RUN, Project, good_run, write_gtf
from mudata import MuData
from scipy import sparse

from scanlink.io.opening import quiet

Spoil = Callable[[Project], None]


def options(**changes: object) -> Spoil:
    """Replace or add sections of run.yaml; ``scan__seed=1`` changes a key of a section."""

    def spoil(made: Project) -> None:
        for key, value in changes.items():
            section, _, inner = key.partition("__")
            if inner:
                made.options.setdefault(section, {})[inner] = value
            elif value is None:
                del made.options[section]
            else:
                made.options[section] = value
        made.write_options()

    return spoil


def yaml_text(old: str, new: str) -> Spoil:
    def spoil(made: Project) -> None:
        text = (made / "run.yaml").read_text()
        assert old in text
        (made / "run.yaml").write_text(text.replace(old, new))

    return spoil


def file(name: str, content: bytes | str, **changes: object) -> Spoil:
    def spoil(made: Project) -> None:
        (made / name).write_bytes(content.encode() if isinstance(content, str) else content)
        options(**changes)(made) if changes else None

    return spoil


def cells(change: Callable[[pd.DataFrame], None], **changes: object) -> Spoil:
    """Change the table of cells of the .h5mu."""

    def spoil(made: Project) -> None:
        obs = made.mdata.obs.copy()
        change(obs)
        made.mdata.obs = obs
        options(**changes)(made)
        made.write()

    return spoil


def counts(change: Callable[[np.ndarray], None], modality: str = "rna") -> Spoil:
    """Change the counts of one modality of the .h5mu, cells in rows."""

    def spoil(made: Project) -> None:
        matrix = made.mdata[modality].X.toarray().astype(float)
        change(matrix)
        made.mdata[modality].X = sparse.csr_matrix(matrix)
        made.write()

    return spoil


def at(row: int, column: int, value: float) -> Callable[[np.ndarray], None]:
    return lambda matrix: matrix.__setitem__((row, column), value)


def column(name: str, value: object) -> Callable[[pd.DataFrame], None]:
    return lambda obs: obs.__setitem__(name, value(obs) if callable(value) else value)


def formula(text: str) -> dict[str, object]:
    return {"scan__formula": text}


def damaged(part: str, place: int, change: int) -> Spoil:
    """Change a number of the structure of the peaks' matrix in the .h5mu."""

    def spoil(made: Project) -> None:
        with h5py.File(made / "multiome.h5mu", "a") as file:
            file[f"mod/atac/X/{part}"][place] += change

    return spoil


def in_another_file(made: Project) -> None:
    with h5py.File(made / "multiome.h5mu", "a") as file, h5py.File(made / "other.h5", "w") as other:
        other["values"] = file["mod/rna/X/data"][:]
        del file["mod/rna/X/data"]
        file["mod/rna/X/data"] = h5py.ExternalLink("other.h5", "/values")


def only_seen(made: Project) -> None:
    made.mdata["rna"].X = made.mdata["rna"].X.astype(bool)
    made.write()


def entry_twice(made: Project) -> None:
    made.as_mtx()
    lines = (made / "rna.mtx").read_text().splitlines()
    lines[-1] = lines[-2]
    (made / "rna.mtx").write_text("\n".join(lines) + "\n")


def swapped_csv(made: Project) -> None:
    made.as_csv(rna=made.dense("atac"), atac=made.dense("rna"))


def swapped_h5mu(made: Project) -> None:
    with quiet():
        made.mdata = MuData({"rna": made.mdata["atac"].copy(), "atac": made.mdata["rna"].copy()})
    made.write()


def one_modality(made: Project) -> None:
    with quiet():
        made.mdata = MuData({"rna": made.mdata["rna"].copy()})
    made.write()


def normalised(made: Project) -> None:
    rna = made.mdata["rna"]
    rna.layers["counts"] = rna.X.copy()
    rna.X = rna.X.log1p()
    made.write()


def renamed_barcodes(share: float) -> Spoil:
    def spoil(made: Project) -> None:
        atac = made.dense("atac")
        n = int(len(atac.columns) * share)
        atac.columns = [f"s1_{name}" for name in atac.columns[:n]] + list(atac.columns[n:])
        made.as_csv(atac=atac)

    return spoil


def numbered_cells(made: Project) -> None:
    """As one side comes from Python, and one from R."""
    rna, atac = made.dense("rna"), made.dense("atac")
    rna.columns, atac.columns = range(rna.shape[1]), range(1, 1 + atac.shape[1])
    made.as_csv(rna=rna, atac=atac)


def other_cells(made: Project) -> None:
    made.as_csv()
    table = pd.read_csv(made / "cells.csv")
    table["cell"] = [f"cell{i}" for i in range(len(table))]
    table.to_csv(made / "cells.csv", index=False)


def names_twice(name: str) -> Spoil:
    def spoil(made: Project) -> None:
        made.as_mtx()
        lines = (made / name).read_text().splitlines()
        lines[1] = lines[0]
        (made / name).write_text("\n".join(lines) + "\n")

    return spoil


def duplicate_peaks(made: Project) -> None:
    made.as_csv(atac=made.dense("atac").rename(index=dict([tuple(made.mdata["atac"].var_names[[3, 2]])])))


def odd_peaks(made: Project) -> None:
    name = made.mdata["atac"].var_names[0]
    made.as_csv(atac=made.dense("atac").rename(index={name: "chr1:2000-1000"}))


def text_in_matrix(made: Project) -> None:
    rna = made.dense("rna").astype(object)
    rna.iloc[2, 5] = "many"
    made.as_csv(rna=rna)


def short_names(made: Project) -> None:
    made.as_mtx()
    lines = (made / "rna_features.tsv").read_text().splitlines()
    (made / "rna_features.tsv").write_text("\n".join(lines[:-4]) + "\n")


def mouse_genes(made: Project) -> None:
    numbers = range(len(made.genes))
    moved_genes(gene=[f"Gm{i}" for i in numbers], gene_id=[f"ENSMUSG{i:011}" for i in numbers])(made)


def moved_genes(**changes: object) -> Spoil:
    def spoil(made: Project) -> None:
        write_gtf(made / "genes.gtf.gz", made.genes.assign(**changes))

    return spoil


def wrong_build(made: Project) -> None:
    write_gtf(made / "genes.gtf.gz", made.genes.assign(start=made.genes["start"] // 10, end=made.genes["end"] // 10))


def truncated(name: str, keep: float, change: Callable[[Project], None] | None = None) -> Spoil:
    def spoil(made: Project) -> None:
        if change:
            change(made)
        content = (made / name).read_bytes()
        (made / name).write_bytes(content[: int(len(content) * keep)])

    return spoil


def rds(content: bytes) -> Spoil:
    files = {"rna": "rna.rds", "atac": "atac.csv", "cells": "cells.csv"}

    def spoil(made: Project) -> None:
        made.as_csv()
        file("rna.rds", content, input=files)(made)

    return spoil


def own_pairs(text: str, name: str = "pairs.csv") -> Spoil:
    return file(name, text, genes=None, pairs={"path": name})


def open_everywhere(made: Project) -> None:
    counts(lambda matrix: matrix.__setitem__((slice(None), 0), 1), "atac")(made)


def finished(made: Project) -> None:
    """The run folder of a good run, in which a file is spoilt afterwards."""
    shutil.copytree(good_run(), made / "out")


def damaged_store(made: Project) -> None:
    shutil.copytree(good_run() / "store", made / "store")
    shutil.copy(good_run() / "pairs.parquet", made / "pairs.parquet")
    path = made / "store" / "rna_cells.npy"
    path.write_bytes(path.read_bytes()[:-64])


def missing_slices(made: Project) -> None:
    finished(made)
    (made / "out" / "links.parquet").unlink()
    for name in ("block-000001.parquet", "block-000004.parquet"):
        next((made / "out").glob(f"parts/*/{name}")).unlink()


def two_scans(made: Project) -> None:
    missing_slices(made)
    scan = next((made / "out" / "parts").iterdir())
    shutil.copytree(scan, scan.with_name("scan-other"))


def good_parts(made: Project) -> None:
    shutil.copytree(good_run() / "store", made / "store")
    shutil.copy(good_run() / "pairs.parquet", made / "pairs.parquet")


def half_a_pairs_file(made: Project) -> None:
    good_parts(made)
    truncated("pairs.parquet", 0.5)(made)


def broken_json(name: str) -> Spoil:
    def spoil(made: Project) -> None:
        finished(made)
        (made / "out" / "links.parquet").unlink()
        path = next((made / "out").glob(name))
        path.write_text(path.read_text()[:100])

    return spoil


def bad_part(made: Project) -> None:
    finished(made)
    (made / "out" / "links.parquet").unlink()
    path = next((made / "out").glob("parts/*/block-000002.parquet"))
    path.write_bytes(path.read_bytes()[:200])


def h5ad_as_h5mu(made: Project) -> None:
    with quiet():
        AnnData(made.mdata["rna"].X).write_h5ad(made / "multiome.h5mu")


def h5mu_as_h5(made: Project) -> None:
    (made / "multiome.h5mu").rename(made / "multiome.h5")
    options(input="multiome.h5")(made)


def after_a_run(name: str) -> Spoil:
    """The run is done, and a file of its folder loses its second half."""

    def spoil(made: Project) -> None:
        code, stderr = made.run(*RUN)
        assert code == 0, stderr
        truncated(str(next((made / "out").glob(name)).relative_to(made.folder)), 0.5)(made)
        (made / "out" / "links.parquet").unlink()

    return spoil


def empty_folder(made: Project) -> None:
    (made / "matrices").mkdir()
    options(input="matrices")(made)


def nothing(_: Project) -> None:
    pass


def plain_folder(made: Project) -> None:
    (made / "out").mkdir()
