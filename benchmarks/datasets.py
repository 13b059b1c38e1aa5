"""Real data sets through `scanlink run`, and the agreement with R on the pairs that R fitted.

    python benchmarks/datasets.py [--out FOLDER]

Needs the reference data (environment variable SCANLINK_SHARED, default ../shared). Prints two Markdown tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

SHARED = Path(os.environ.get("SCANLINK_SHARED", Path(__file__).parents[2] / "shared")).resolve() / "data"
PBMC, HG38 = SHARED / "pbmc10k", SHARED / "pbmc10k" / "gencode_v44_gene_bodies.bed.gz"

RUNS: dict[str, dict] = {
    "pbmc10k, CD14-Mono": {
        "input": {"rna": "rna_matrix.rds", "atac": "atac_matrix.rds", "cells": "metafile.rds", "one_based": True},
        "genes": str(HG38),
        "groups": {"by": "celltype", "only": ["CD14-Mono"]},
        "scan": {"formula": "log(nUMI) + percent.mito", "p_value": "bootstrap", "ladder": "capstone"},
    },
    "pbmc10k, all 29 types": {
        "input": {"rna": "rna_matrix.rds", "atac": "atac_matrix.rds", "cells": "metafile.rds", "one_based": True},
        "genes": str(HG38),
        "groups": {"by": "celltype"},
        "scan": {"formula": "log(nUMI) + percent.mito", "p_value": "bootstrap", "ladder": "capstone"},
    },
    "a549, hg19": {
        "input": str(SHARED / "a549" / "a549_scicar_counts.h5mu"),
        "genes": str(SHARED / "annotation" / "ABC_CollapsedGeneBounds.hg19.bed.gz"),
        "groups": {"by": "time_h"},
        "pairs": {"min_fraction": 0.01},
        "scan": {"formula": "log(total_umi_all_genes)", "p_value": "bootstrap", "ladder": "capstone"},
    },
    "bmmc": {
        "input": str(SHARED / "bmmc" / "bmmc_multiome_A_counts.h5mu"),
        "genes": str(HG38),
        "groups": {"by": "cell_type"},
        "scan": {"formula": "log(n_counts) + pct_counts_mt + batch", "p_value": "bootstrap", "ladder": "capstone"},
    },
    "pbmc_muon": {
        "input": str(SHARED / "pbmc_muon" / "test_rna_atac.h5mu"),
        "genes": str(HG38),
        "scan": {"formula": "log(nUMI)", "p_value": "bootstrap", "ladder": "capstone"},
    },
}


def run(name: str, options: dict, folder: Path) -> tuple[pd.DataFrame, dict]:
    """One run by the command line; its links and its provenance record."""
    if isinstance(options["input"], dict):
        options = {
            **options,
            "input": {
                key: str(PBMC / value) if isinstance(value, str) else value for key, value in options["input"].items()
            },
        }
    out = folder / name.replace(",", "").replace(" ", "_")
    out.mkdir(parents=True)
    (out / "run.yaml").write_text(yaml.safe_dump(options))
    command = [sys.executable, "-c", "from scanlink.cli import main; main()", "run", "run.yaml", "--out", "."]
    subprocess.run(command, cwd=out, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return pd.read_parquet(out / "links.parquet"), json.loads((out / "provenance.json").read_text())


def row(name: str, links: pd.DataFrame, record: dict) -> str:
    counts = links["status"].value_counts()
    other = ", ".join(f"{status} {number:,}" for status, number in counts.items() if status != "ok")
    memory, called = record["peak_memory_mib"], record["called"]["links"]
    return (
        f"| {name} | {links['group'].nunique()} | {len(links):,} | {counts.get('ok', 0):,} | {other or 'none'} "
        f"| {called:,} | {record['seconds']['total']:.0f} | {memory['driver']:.0f} / {memory['worker']:.0f} |"
    )


def agreement(links: pd.DataFrame) -> list[str]:
    """Largest differences from R, and how near the bootstrap p-values are to each of R's two unseeded runs."""
    both = links.merge(pd.read_csv(PBMC / "scent_R_CD14-Mono.csv"), on=["gene", "peak"], suffixes=("", "_r"))
    lines = [f"{len(both)} pairs; largest difference from R:"]
    lines += [f"  {column:<5} {np.abs(both[column] - both[f'{column}_r']).max():.1e}" for column in ("beta", "se", "p")]
    runs = {
        "p_boot": both["p_boot"],
        "p_tail": both["p_tail"],
        "R run 1": both["boot_basic_p_run1"],
        "R run 2": both["boot_basic_p_run2"],
    }
    lines += ["", "| bootstrap p-values | rank correlation | median abs log10 ratio |", "| --- | --- | --- |"]
    compared = [(mine, other) for mine in ("p_boot", "p_tail") for other in ("R run 1", "R run 2")]
    for a, b in [*compared, ("R run 1", "R run 2")]:
        rank = runs[a].corr(runs[b], method="spearman")
        apart = np.median(np.abs(np.log10(runs[a] / runs[b])))
        lines.append(f"| {a}, {b} | {rank:.4f} | {apart:.4f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="keep the run folders here")
    wanted = parser.parse_args().out
    if not (SHARED / "NOTE.md").is_file():
        sys.exit("the reference data are not there: set SCANLINK_SHARED to the folder that holds data/")
    with tempfile.TemporaryDirectory() as temporary:
        folder = wanted or Path(temporary)
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores, one worker process a core\n")
        print(
            "| data | groups | pairs asked | tested | not tested | links, FDR < 0.1 | seconds | MiB driver / worker |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        compared: list[str] = []
        for name, options in RUNS.items():
            links, record = run(name, options, folder)
            print(row(name, links, record), flush=True)
            compared = compared or agreement(links)
        print("\n" + "\n".join(compared))


if __name__ == "__main__":
    main()
