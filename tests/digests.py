"""Digests of the tables that runs leave, to show that a change of the code changed no number.

    python tests/digests.py freeze FILE [--way WAY]     # run everything, and write FILE
    python tests/digests.py compare FILE [--way WAY]    # run everything, and say what differs from FILE

Eight runs, small and simulated: multiome data (robust, bootstrap, negative binomial with donors, rates over all groups,
three enhancers, slices) and screens (robust, permutation with bootstrap), and what is exported of them. Bytes are equal
on one machine with the same packages; elsewhere (``--numbers``, and in the test of this name) the columns of numbers
have to agree to eight digits and everything else exactly. WAY is how blocks are computed: in this process, by one or
two workers, in other blocks, after a kill, or by the profile of a cluster.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import scanlink as sl
from scanlink.io.opening import quiet
from scanlink.io.releases import is_text

FROZEN = Path(__file__).with_name("digests.json")
WAYS = ("here", "workers1", "workers2", "blocks", "killed")

_MULTIOME = """\
input: data/multiome.h5mu
genes: data/genes.gtf.gz
groups: {by: celltype, only: [CD14-Mono, CD4-Naive, B-Memory]}
report: false
cluster: none
"""
_SCREEN = """\
input: {path: data/screen.h5mu}
genes: data/genes.bed
report: false
cluster: none
"""
_FORMULA = '"prep_batch + guide_count + offset(log(nUMI))"'
RUNS = {
    "robust": _MULTIOME
    + """\
scan: {p_value: robust, ladder: capstone, seed: 1, block_genes: 4}
epistasis: {p_value: robust, ladder: epistasis, links_fdr: 0.5, seed: 1, block_genes: 2}
""",
    "bootstrap": _MULTIOME
    + """\
scan: {p_value: bootstrap, ladder: [[100, 0.2], [400, null]], seed: 3, block_genes: 4}
epistasis: {p_value: bootstrap, ladder: [[100, 0.2], [400, null]], links_fdr: 0.5, model: separate, seed: 3}
""",
    "negbin": _MULTIOME
    + """\
scan: {family: negbin, cluster: donor, p_value: tail, ladder: none, seed: 2, min_nonzero: 20, block_genes: 4}
epistasis: {family: negbin, cluster: donor, p_value: wald, ladder: none, links_fdr: 0.5, seed: 2}
""",
    "all": _MULTIOME
    + """\
scan: {p_value: wald, ladder: none, binarize: false, seed: 1, block_genes: 4}
links: {method: by, scope: all, alpha: 0.2}
epistasis: {p_value: tail, ladder: none, method: storey, robust: HC2, seed: 1}
""",
    "order3": _MULTIOME
    + """\
scan: {p_value: robust, ladder: none, seed: 1, block_genes: 6}
links: {method: storey, scope: gene}
epistasis: {p_value: robust, ladder: none, links_fdr: 1, order: 3, min_cells: 3, max_distance: 300000, seed: 1}
""",
    "slices": _MULTIOME + "scan: {p_value: robust, ladder: none, seed: 1, block_genes: 3}\n",
    "screen": _SCREEN
    + f"""\
screen: {{formula: {_FORMULA}, p_value: robust, ladder: none, n_controls: 12, block_genes: 2, seed: 3}}
interactions:
  {{formula: {_FORMULA}, p_value: robust, ladder: none, n_controls: 6, min_both: 4, block_genes: 2, seed: 3}}
""",
    "permutation": _SCREEN
    + f"""\
screen:
  {{formula: {_FORMULA}, p_value: bootstrap, ladder: [[50, 0.3], [200, null]], n_controls: 8, family: poisson, seed: 4}}
interactions:
  formula: {_FORMULA}
  p_value: permutation
  permutations: [[50, 0.3], [200, null]]
  ladder: none
  controls: [shuffled]
  n_controls: 6
  min_both: 4
  seed: 3
""",
}
_EXPORTS = {
    "robust": ("bedpe", "interact", "biginteract", "scent", "capstone"),
    "screen": ("bedpe", "interact", "biginteract"),
}
_N_SLICES = 3


def write_input(folder: Path) -> None:
    """Simulate the data that all runs read, and write the options of each."""
    multiome = sl.ds.simulate(n_cells=700, n_genes=24, n_peaks=150, n_links=50, n_interactions=10, seed=2)
    multiome.write(folder / "data")
    screen = sl.tl.simulate_screen(n_cells=1200, n_genes=5, n_targets=12, guides_per_cell=5.0, seed=2)
    with quiet():
        screen.mdata.write(folder / "data" / "screen.h5mu")
    bed = screen.genes[["chrom", "start", "end", "gene"]].assign(score=0, strand=screen.genes["strand"])
    bed.to_csv(folder / "data" / "genes.bed", sep="\t", header=False, index=False)
    for name, options in RUNS.items():
        (folder / f"{name}.yaml").write_text(options)


def run_all(folder: Path, *, way: str = "here", names: tuple[str, ...] = tuple(RUNS)) -> dict[str, Any]:
    """Run what is asked, and digest what it leaves.

    Parameters
    ----------
    folder
        Folder with the input of :func:`write_input`; runs go to folders below it.
    way
        One of ``WAYS``, or the file of a cluster's profile.
    names
        Runs, of ``RUNS``.

    Returns
    -------
    dict
        By name of run and file, the digests of a table: of the file, and of each column.
    """
    digests = {}
    for name in names:
        out = folder / f"{name}-{Path(way).stem}" / name
        if name == "slices":
            _run_slices(folder, out)
        else:
            _run(folder / f"{name}.yaml", out, way)
        for format in _EXPORTS.get(name, ()):
            scanlink("export", out, "--format", format)
        for path in sorted([*out.glob("*.parquet"), *out.glob("exports/*")]):
            digests[f"{name}/{path.relative_to(out)}"] = digest(path)
    return digests


def scanlink(*words: object) -> None:
    """Run the command line, and fail where it fails."""
    done = subprocess.run(command(*words), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"scanlink {' '.join(map(str, words))}: exit {done.returncode}\n{done.stderr}")


def command(*words: object) -> list[str]:
    """Give the command line as a list of texts."""
    return [sys.executable, "-c", "from scanlink.cli import main; main()", *map(str, words)]


def _run(options: Path, out: Path, way: str) -> None:
    words: list[object] = ["run", options, "--out", out]
    if way in ("workers1", "workers2", "killed"):
        words += ["--cluster", "local", "--workers", 2 if way == "workers2" else 1]
    elif way == "blocks":
        sections = [
            name for name in ("scan", "epistasis", "screen", "interactions") if f"{name}:" in options.read_text()
        ]
        words += [word for name in sections for word in ("--set", f"{name}.block_genes=1")]
    elif way != "here":
        words += ["--cluster", way]
    if way == "killed":
        _kill_half_way(words, out)
    scanlink(*words)


def _kill_half_way(words: list[object], out: Path) -> None:
    """Start a run and kill it, workers and all, as soon as it has left two parts."""
    started = subprocess.Popen(
        command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    end = time.monotonic() + 120
    while started.poll() is None and time.monotonic() < end:
        if len(list(out.glob("parts/*/block-*.parquet"))) >= 2:
            os.killpg(started.pid, signal.SIGKILL)
        time.sleep(0.01)
    started.wait()


def _run_slices(folder: Path, out: Path) -> None:
    options = folder / "slices.yaml"
    scanlink("run", options, "--out", out, "--until", "pairs")
    for number in range(1, _N_SLICES + 1):
        chunk = f"{number}/{_N_SLICES}"
        scanlink("scan", out / "store", out / "pairs.parquet", "--config", options, "--out", out, "--chunk", chunk)
    scanlink("merge", out)


def digest(path: Path) -> dict[str, Any]:
    """Digest a file, and each column where it is a table."""
    content = path.read_bytes()
    if path.suffix != ".parquet":
        content = content.replace(str(path.parents[2]).encode(), b"")
        return {"sha256": hashlib.sha256(content).hexdigest()}
    table = pd.read_parquet(path)
    columns = {str(name): _column(table[name]) for name in table}
    return {"sha256": hashlib.sha256(content).hexdigest(), "rows": len(table), "columns": columns}


def _column(values: pd.Series) -> dict[str, Any]:
    if is_text(values):
        values = values.astype(object).where(values.notna(), None)
    text = {"dtype": str(values.dtype)}
    if values.dtype.kind != "f":
        return text | {"sha256": hashlib.sha256("\n".join(map(str, values)).encode()).hexdigest()}
    numbers = values.to_numpy()
    finite = numbers[np.isfinite(numbers)]
    exact = hashlib.sha256(np.ascontiguousarray(numbers).tobytes()).hexdigest()
    moments = [float(np.abs(finite).sum()), float(finite @ np.arange(1, finite.size + 1))]
    return text | {"sha256": exact, "n_finite": int(finite.size), "moments": moments}


def differences(frozen: dict[str, Any], now: dict[str, Any], *, exact: bool) -> Iterator[str]:
    """Tell what differs between two results of :func:`run_all`.

    Parameters
    ----------
    frozen, now
        Digests by file.
    exact
        Whether every byte counts; False lets numbers differ in the ninth digit, and leaves out the bytes of the files.
    """
    for name in sorted(frozen.keys() | now.keys()):
        if name not in frozen or name not in now:
            yield f"{name}: {'new' if name in now else 'missing'}"
            continue
        before, after = frozen[name], now[name]
        columns = before.get("columns", {}), after.get("columns", {})
        if list(columns[0]) != list(columns[1]):
            yield f"{name}: columns {list(columns[0])} became {list(columns[1])}"
            continue
        different = [column for column in columns[0] if not _same(columns[0][column], columns[1][column], exact=exact)]
        if different:
            yield f"{name}: {', '.join(different)}"
        elif exact and before["sha256"] != after["sha256"]:
            yield f"{name}: other bytes, the same columns"


def _same(before: dict[str, Any], after: dict[str, Any], *, exact: bool) -> bool:
    if exact or "moments" not in before or "moments" not in after:
        return before == after
    same = all(before[key] == after[key] for key in ("dtype", "n_finite"))
    return same and bool(np.allclose(before["moments"], after["moments"], rtol=1e-8, atol=1e-12))


def main() -> None:
    """Freeze or compare, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("freeze", "compare"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--way", default="here", help=f"{', '.join(WAYS)}, or a profile; default: here")
    parser.add_argument("--runs", nargs="*", default=list(RUNS), choices=list(RUNS))
    parser.add_argument("--numbers", action="store_true", help="compare numbers to eight digits, and no bytes")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_input(Path(folder))
        now = run_all(Path(folder), way=words.way, names=tuple(words.runs))
    if words.what == "freeze":
        words.file.write_text(json.dumps(now, separators=(",", ":")).replace('},"', '},\n"') + "\n")
        print(f"{len(now)} files frozen")
        return
    frozen = {
        name: value for name, value in json.loads(words.file.read_text()).items() if name.split("/")[0] in words.runs
    }
    lines = list(differences(frozen, now, exact=not words.numbers))
    print("\n".join(lines) or f"all {len(now)} files are the same ({words.way})")
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
