"""Real data on a real Slurm: all cell types, several jobs, the same bytes as on this machine alone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from scans import command, digest, write_profile

pytestmark = [pytest.mark.slow, pytest.mark.shared]

OPTIONS = """\
input: {{rna: {data}/rna_matrix.rds, atac: {data}/atac_matrix.rds, cells: {data}/metafile.rds}}
genes: {data}/gencode_v44_gene_bodies.bed.gz
groups: {{by: celltype}}
scan: {{formula: "log(nUMI) + percent.mito", p_value: bootstrap, ladder: scent, seed: 0}}
epistasis: {{links_fdr: 0.7, seed: 0}}
"""


def test_run__all_cell_types_of_pbmc10k(quiet_slurm, shared: Path, tmp_path):
    (tmp_path / "run.yaml").write_text(OPTIONS.format(data=shared / "pbmc10k"))
    profile = write_profile(
        tmp_path / "profile", jobs=4, pause=0.0, memory="1GiB", job_extra_directives=["--no-requeue"]
    )
    said = {}
    for name, cluster in (("here", "none"), ("slurm", str(profile))):
        done = subprocess.run(command(tmp_path, tmp_path / name, cluster), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        said[name] = done.stdout + done.stderr
    submitted = re.findall(r"submitted to slurm: (.*)", said["slurm"])
    assert submitted[0].count(",") == 3
    blocks = re.search(r"(\d+) blocks: 0 found finished, \1 computed", said["slurm"])
    assert blocks is not None
    links = pd.read_parquet(tmp_path / "slurm" / "links.parquet")
    assert links["group"].nunique() == 29
    assert (links["status"] == "ok").sum() > 10_000
    pairs = pd.read_parquet(tmp_path / "slurm" / "epistasis.parquet")
    assert pairs["group"].nunique() > 3
    assert (pairs["status"] == "ok").sum() > 50
    for table in ("links", "enhancer_pairs", "epistasis"):
        assert digest(tmp_path / "slurm", table) == digest(tmp_path / "here", table)
    assert (tmp_path / "slurm" / "report.html").stat().st_size > 100_000
    print(f"{blocks[1]} blocks in jobs {submitted[0]}: {len(links)} and {len(pairs)} rows, the same bytes")
