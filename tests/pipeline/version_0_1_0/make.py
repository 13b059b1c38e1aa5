"""Makes the run folders beside this file, by version 0.1.0 of scanlink (commit f1b3e8b), for test_earlier_version.py.

    cd CHECKOUT_OF_0.1.0 && python PATH/make.py

Each archive holds the input, run.yaml and the folder of the finished run, without page and log. Its absolute paths
begin with ``/project``, which the test replaces.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import scanlink as sl

HERE = Path(__file__).parent
MULTIOME = """\
input: data/multiome.h5mu
genes: data/genes.gtf.gz
groups: {by: celltype, only: [CD14-Mono, CD4-Naive]}
scan: {p_value: robust, seed: 1, block_genes: 1}
epistasis: {p_value: robust, ladder: [[20, null]], links_fdr: 0.4, seed: 1, min_cells: 3}
report: false
cluster: none
"""
SCREEN = """\
input: {path: data/screen.h5mu}
genes: data/genes.bed
screen: {formula: "prep_batch + offset(log(nUMI))", n_controls: 6, seed: 3}
interactions: {formula: "prep_batch + offset(log(nUMI))", n_controls: 4, min_both: 2, seed: 3}
report: false
cluster: none
"""


def write_input(name: str, folder: Path) -> None:
    if name == "multiome":
        sl.ds.simulate(n_cells=250, n_genes=4, n_peaks=20, n_links=14, n_interactions=3, seed=2).write(folder)
        return
    data = sl.tl.simulate_screen(n_cells=300, n_genes=3, n_targets=6, guides_per_cell=4.0, seed=2)
    folder.mkdir()
    data.mdata.write(folder / "screen.h5mu")
    bed = data.genes[["chrom", "start", "end", "gene"]].assign(score=0, strand=data.genes["strand"])
    bed.to_csv(folder / "genes.bed", sep="\t", header=False, index=False)


def main() -> None:
    assert sl.__version__ == "0.1.0"
    for name, options in (("multiome", MULTIOME), ("screen", SCREEN)):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary).resolve()
            write_input(name, folder / "data")
            (folder / "run.yaml").write_text(options)
            words = ["run", str(folder / "run.yaml"), "--out", str(folder / "out")]
            subprocess.run([sys.executable, "-c", "from scanlink.cli import main; main()", *words], check=True)
            shutil.rmtree(folder / "out" / "logs")
            for path in folder.glob("out/**/*"):
                if path.suffix in (".yaml", ".json"):
                    path.write_text(path.read_text().replace(str(folder), "/project"))
            with tarfile.open(HERE / f"{name}.tar.xz", "w:xz") as archive:
                for part in ("data", "run.yaml", "out"):
                    archive.add(folder / part, part)


if __name__ == "__main__":
    main()
