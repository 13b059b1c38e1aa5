"""Files damaged at random, through the command line: refused in words, or the table of what the file holds.

Each case has a number, and is drawn from it alone. ``SCANLINK_FUZZ=600`` runs as many, ``SCANLINK_FUZZ=17-17`` one.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from bad_files import ERROR, Project, leftovers, project
from command import Scanlink, copied_command
from fuzz.content import NotValid, content
from fuzz.mutations import mutate
from fuzz.rds_files import write_rds_matrix
from scipy import sparse

from scanlink.io.opening import quiet

FEW = 30
GIB = 2**30
# More than a run takes; a run that asks for more was misled.
LIMITS = {resource.RLIMIT_AS: 12 * GIB, resource.RLIMIT_CPU: 30, resource.RLIMIT_FSIZE: GIB}


def as_h5ad(made: Project) -> None:
    """Genes and peaks in one .h5ad."""
    rna, atac = made.mdata["rna"], made.mdata["atac"]
    types = ["Gene Expression"] * rna.n_vars + ["Peaks"] * atac.n_vars
    var = pd.DataFrame({"feature_types": types}, index=[*rna.var_names, *atac.var_names])
    with quiet():
        AnnData(sparse.hstack([rna.X, atac.X], format="csr"), obs=made.mdata.obs, var=var).write_h5ad(made / "x.h5ad")
    made.options["input"] = "x.h5ad"


def as_bed(made: Project) -> None:
    """Genes as BED."""
    rows = [f"{g.chrom}\t{g.start}\t{g.end}\t{g.gene}\t0\t{g.strand}\n" for g in made.genes.itertuples()]
    (made / "genes.bed").write_text("".join(rows))
    made.options["genes"] = "genes.bed"


def as_zarr(made: Project) -> None:
    """Both modalities as a Zarr store."""
    with quiet():
        made.mdata.write_zarr(made / "x.zarr")
    (made / "x.zarr/.zmetadata").unlink(missing_ok=True)
    made.options["input"] = "x.zarr"


def as_rds(made: Project) -> None:
    """Both matrices as R saves them."""
    for modality in ("rna", "atac"):
        adata = made.mdata[modality]
        write_rds_matrix(made / f"{modality}.rds", adata.X.T, adata.var_names, adata.obs_names)
    made.mdata.obs.to_csv(made / "cells.csv", index_label="cell")
    made.options["input"] = {"rna": "rna.rds", "atac": "atac.rds", "cells": "cells.csv"}


# Ways to write the good project, and which of its files are damaged.
LAYOUTS: dict[str, tuple[Callable[[Project], None], tuple[str, ...]]] = {
    "h5mu": (lambda made: None, ("multiome.h5mu", "multiome.h5mu", "genes.gtf.gz", "run.yaml", "run.yaml")),
    "h5ad": (as_h5ad, ("x.h5ad",)),
    "10x": (Project.as_10x, ("matrix.h5", "matrix.h5", "cells.csv")),
    "mtx": (Project.as_mtx, ("rna.mtx", "atac.mtx", "rna_features.tsv", "barcodes.tsv", "cells.csv")),
    "csv": (Project.as_csv, ("rna.csv", "atac.csv", "cells.csv")),
    "bed": (as_bed, ("genes.bed",)),
    # anndata 0.11 comes without it.
    **({"zarr": (as_zarr, ("x.zarr",))} if find_spec("zarr") else {}),
    "rds": (as_rds, ("rna.rds", "atac.rds")),
}


@dataclass(frozen=True)
class Good:
    """A good project in one layout, with what came of it."""

    folder: Path
    links: pd.DataFrame
    said: frozenset[str]


@dataclass(frozen=True)
class Outcome:
    """What became of a case: ``refused``, ``same``, ``warned``, ``other data``, or a fault."""

    name: str
    what: str
    fault: str = ""


def said(stderr: str) -> frozenset[str]:
    """What a run says, without times, numbers and folders."""
    lines = (re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in stderr.splitlines())
    return frozenset(re.sub(r"\d+([.,]\d+)*", "N", re.sub(r"/\S+/", "", line)) for line in lines if line.strip())


def run(call: Scanlink, folder: Path) -> tuple[int, str]:
    done = call("run", folder / "run.yaml", "--out", folder / "out", check=False)
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def goods(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Good]:
    folder = tmp_path_factory.mktemp("good")
    made: dict[str, Good] = {}
    with copied_command(tmp_path_factory.mktemp("printed"), LIMITS) as call:
        for name, (write, _) in LAYOUTS.items():
            one = project(folder / name)
            one.options["scan"] = {
                "p_value": "robust",
                "ladder": "none",
                "seed": 3,
                "formula": "log(nUMI) + percent.mito",
            }
            write(one)
            one.write_options()
            code, stderr = run(call, one.folder)
            assert code == 0, stderr
            made[name] = Good(one.folder, pd.read_parquet(one / "out/links.parquet"), said(stderr))
            shutil.rmtree(one / "out")
    return made


def test_layouts__give_one_table(goods):
    first = goods["h5mu"].links
    assert first["p_value"].notna().sum() > 20
    for name, good in goods.items():
        pd.testing.assert_frame_equal(good.links, first, obj=name)
        for file in LAYOUTS[name][1]:
            assert content(good.folder / file)


def try_case(number: int, goods: dict[str, Good], call: Scanlink, folder: Path) -> Outcome:
    """Damage one file of a good project, and run it."""
    rng = np.random.default_rng(number)
    layout = list(LAYOUTS)[rng.integers(len(LAYOUTS))]
    good, files = goods[layout], LAYOUTS[layout][1]
    shutil.copytree(good.folder, folder)
    path = folder / files[rng.integers(len(files))]
    before = content(path)
    what = f"case {number}: {layout}, {path.name}: {mutate(path, rng)}"
    code, stderr = run(call, folder)
    if code < 0:
        return Outcome("abort", what, f"ended by signal {-code}: {stderr[-2_000:]}")
    if "Traceback" in stderr or code not in (0, 1):
        return Outcome("traceback", what, f"exit code {code}: {stderr[-3_000:]}")
    if code == 1:
        last = stderr.rstrip().partition(ERROR)[2]
        wrong = not last or (folder / "out/links.parquet").exists() or leftovers(folder / "out")
        return Outcome("no message" if wrong else "refused", what, stderr[-2_000:] if wrong else "")
    out = next(folder.rglob("links.parquet"), None)
    if out is None:
        return Outcome("no table", what, stderr[-2_000:])
    links = pd.read_parquet(out)
    if links.equals(good.links):
        return Outcome("same", what)
    try:
        other = content(path) != before
    except NotValid as error:
        if said(stderr) - good.said:
            return Outcome("warned", what)
        return Outcome(
            "silent", what, f"the file is not valid ({error}), and another table was made: {stderr[-2_000:]}"
        )
    if other:
        return Outcome("other data", what)
    return Outcome("silent", what, f"the file holds the same data, and another table was made: {stderr[-2_000:]}")


def cases() -> range:
    """Numbers of the cases to run."""
    first, _, last = os.environ.get("SCANLINK_FUZZ", str(FEW)).rpartition("-")
    return range(int(first), int(last) + 1) if first else range(int(last))


def test_damaged_files__are_refused_or_read_as_they_are(goods, tmp_path, capsys):
    outcomes: list[Outcome] = []
    first = ("run", goods["h5mu"].folder / "run.yaml", "--out", tmp_path / "first")
    with copied_command(tmp_path, LIMITS, first) as call:
        for number in cases():
            folder = tmp_path / f"case{number}"
            outcomes.append(try_case(number, goods, call, folder))
            shutil.rmtree(folder)
    counts = Counter(outcome.name for outcome in outcomes)
    with capsys.disabled():
        print(f"\n{len(outcomes)} damaged files: {dict(counts.most_common())}")
    faults = [f"{outcome.what}\n{outcome.name}: {outcome.fault}" for outcome in outcomes if outcome.fault]
    assert not faults, "\n\n".join(faults)
    if len(outcomes) >= FEW:
        assert counts["refused"] > len(outcomes) / 5
        assert counts["same"] > 0
