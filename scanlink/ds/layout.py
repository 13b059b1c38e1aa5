"""A made-up genome: where the genes, peaks and targets of simulated data lie on hg38, and a GTF of it.

Genes and peaks lie in blocks, small stand-ins for topological domains; genes and targets of a screen at loci.
"""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scanlink.ds.model import stream
from scanlink.errors import OptionError

__all__ = ["HG38", "MITOCHONDRIAL", "lay_out", "other_genes", "place_genes", "place_targets", "write_gtf"]

# Lengths of the autosomes of hg38, in bp; chrX is kept for the genes that have no peak.
HG38 = {
    "chr1": 248_956_422,
    "chr2": 242_193_529,
    "chr3": 198_295_559,
    "chr4": 190_214_555,
    "chr5": 181_538_259,
    "chr6": 170_805_979,
    "chr7": 159_345_973,
    "chr8": 145_138_636,
    "chr9": 138_394_717,
    "chr10": 133_797_422,
    "chr11": 135_086_622,
    "chr12": 133_275_309,
    "chr13": 114_364_328,
    "chr14": 107_043_718,
    "chr15": 101_991_189,
    "chr16": 90_338_345,
    "chr17": 83_257_441,
    "chr18": 80_373_285,
    "chr19": 58_617_616,
    "chr20": 64_444_167,
    "chr21": 46_709_983,
    "chr22": 50_818_468,
}
CHR_X = 156_040_895
# Protein-coding genes of human mitochondria: name, start (0-based), end, strand.
MITOCHONDRIAL = (
    ("MT-ND1", 3306, 4262, "+"),
    ("MT-ND2", 4469, 5511, "+"),
    ("MT-CO1", 5903, 7445, "+"),
    ("MT-CO2", 7585, 8269, "+"),
    ("MT-ATP8", 8365, 8572, "+"),
    ("MT-ATP6", 8526, 9207, "+"),
    ("MT-CO3", 9206, 9990, "+"),
    ("MT-ND3", 10058, 10404, "+"),
    ("MT-ND4L", 10469, 10766, "+"),
    ("MT-ND4", 10759, 12137, "+"),
    ("MT-ND5", 12336, 14148, "+"),
    ("MT-ND6", 14148, 14673, "-"),
    ("MT-CYB", 14746, 15887, "+"),
)

_GENES_PER_BLOCK = 5
_LONGEST_BLOCK = 1_000_000
# One peak at most in a bin: peaks, of at most _WIDEST bp, cannot overlap.
_BIN = 2_400
_WIDEST = 2_000
# What an annotation says of a gene.
_COLUMNS = ["chrom", "start", "end", "strand", "gene_id", "gene", "gene_type"]
# bp from one locus to the next, so that its targets are more than 1 Mb away, and from gene to gene at a locus.
_SPACING, _MARGIN, _BESIDE = 2_400_000, 1_200_000, 150_000
# Least and most bp from the first gene of a locus to its targets, and their width.
_NEAR, _FAR, _WIDTH = 2_000, 100_000, 500
_PLACES = 40  # a stream of its own


def lay_out(
    rng: np.random.Generator, *, n_genes: int, n_peaks: int, n_background: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Place genes and peaks, most of them near a TSS, and background genes on chrX, far from every peak.

    Both tables are in genomic order. ``genes``: ``chrom``, ``start``, ``end``, ``strand``, ``gene_id`` (with version),
    ``gene``, ``gene_type``, ``role`` (``"cis"``, ``"background"``, ``"mito"``) and ``block``. ``peaks``: ``chrom``,
    ``start``, ``end``, ``block``; the index is the name, ``chrom:start-end``, 0-based as in files of 10x.
    """
    n_blocks = max(1, round(n_genes / _GENES_PER_BLOCK))
    blocks = _place_blocks(rng, n_blocks)
    room = int(blocks["length"].iloc[0]) // _BIN
    if n_peaks > n_blocks * room // 2:
        raise OptionError(
            f"n_peaks={n_peaks} do not fit around n_genes={n_genes}: expected at most {n_blocks * room // 2}; ask "
            "for more genes"
        )
    cis = _place_genes(rng, blocks, n_genes)
    peaks = _place_peaks(rng, blocks, cis, n_peaks)
    genes = pd.concat([cis, _far_genes(rng, n_background), _mitochondrial_genes()], ignore_index=True)
    versions = rng.integers(1, 20, size=len(genes))
    genes["gene_id"] = [f"SIMG{number:011d}.{version}" for number, version in enumerate(versions, start=1)]
    return genes[[*_COLUMNS, "role", "block"]], peaks


def _place_blocks(rng: np.random.Generator, n_blocks: int) -> pd.DataFrame:
    """Place blocks of one length in genomic order, at least half a block apart; few use few chromosomes."""
    names = list(HG38)[: min(len(HG38), max(min(3, n_blocks), n_blocks // 6))]
    sizes = np.array([HG38[name] for name in names], dtype=np.int64)
    length = min(_LONGEST_BLOCK, int(0.6 * sizes.sum() / (n_blocks + len(names))))
    # Every chromosome gets its share by length; the largest remainders take what is left.
    share = n_blocks * sizes / sizes.sum()
    count = np.floor(share).astype(int)
    count[np.argsort(count - share, kind="stable")[: n_blocks - count.sum()]] += 1
    rows = []
    for name, size, n in zip(names, sizes, count, strict=True):
        if n:
            slot = int(size) // n
            free = slot - length
            starts = np.arange(n) * slot + rng.integers(free // 4, free, size=n)
            rows += [(name, int(start), length) for start in starts]
    return pd.DataFrame(rows, columns=["chrom", "start", "length"])


def _place_genes(rng: np.random.Generator, blocks: pd.DataFrame, n_genes: int) -> pd.DataFrame:
    block = np.sort(np.arange(n_genes) % len(blocks))
    room = blocks["length"].to_numpy()[block]
    length = np.clip(rng.lognormal(np.log(20_000), 1.1, size=n_genes), 500, room // 2).astype(np.int64)
    start = blocks["start"].to_numpy()[block] + (rng.random(n_genes) * (room - length)).astype(np.int64)
    strand = np.where(rng.random(n_genes) < 0.5, "+", "-")
    kind = np.where(rng.random(n_genes) < 0.85, "protein_coding", "lncRNA")
    table = pd.DataFrame(
        {
            "chrom": blocks["chrom"].to_numpy()[block],
            "start": start,
            "end": start + length,
            "strand": strand,
            "gene_type": kind,
            "role": "cis",
            "block": block,
        }
    ).sort_values(["block", "start", "end"], ignore_index=True)
    table["gene"] = [f"GENE{n}" for n in range(1, n_genes + 1)]
    return table


def _place_peaks(rng: np.random.Generator, blocks: pd.DataFrame, genes: pd.DataFrame, n_peaks: int) -> pd.DataFrame:
    """Place peaks in the bins of blocks: first where a TSS is, then with odds that fall with the distance to it."""
    tss = np.where(genes["strand"] == "-", genes["end"] - 1, genes["start"])
    of_block = np.split(tss, np.searchsorted(genes["block"], np.arange(1, len(blocks))))
    count = np.bincount(np.arange(n_peaks) % len(blocks), minlength=len(blocks))
    starts, owners, nearest = [], [], []
    for index, (start, length) in enumerate(zip(blocks["start"], blocks["length"], strict=True)):
        middles = start + (np.arange(length // _BIN) + 0.5) * _BIN
        gap = np.abs(middles[:, None] - of_block[index][None, :]).min(axis=1, initial=np.inf)
        odds = 1 / (gap + 30_000) + (gap <= _BIN / 2)
        # Gumbel keys: the largest are a weighted sample without replacement.
        keys = np.log(odds) + rng.gumbel(size=len(odds))
        chosen = np.sort(np.argsort(-keys, kind="stable")[: count[index]])
        starts.append(start + chosen * _BIN)
        owners.append(np.full(len(chosen), index))
        nearest.append(_nearest(middles[chosen], of_block[index]))
    low, block, promoter = np.concatenate(starts), np.concatenate(owners), np.concatenate(nearest)
    width = np.clip(rng.lognormal(np.log(800), 0.4, size=n_peaks), 200, _WIDEST).astype(np.int64)
    place = rng.random(n_peaks)
    # A peak of a bin with a TSS lies across it, unless the TSS is at the edge.
    anywhere = low + (place * (_BIN - 200 - width)).astype(np.int64)
    across = np.clip(promoter - ((0.2 + 0.6 * place) * width).astype(np.int64), low, low + _BIN - 200 - width)
    begin = np.where(np.abs(promoter - low - _BIN / 2) <= _BIN / 2, across, anywhere)
    chrom = blocks["chrom"].to_numpy()[block]
    names = [f"{c}:{b}-{e}" for c, b, e in zip(chrom, begin, begin + width, strict=True)]
    return pd.DataFrame({"chrom": chrom, "start": begin, "end": begin + width, "block": block}, index=names)


def _nearest(positions: np.ndarray, sites: np.ndarray) -> np.ndarray:
    """Find the site nearest to each position; one far below zero if there is no site."""
    if len(sites) == 0:
        return np.full(len(positions), -(10**9), dtype=np.int64)
    return sites[np.abs(positions[:, None] - sites[None, :]).argmin(axis=1)]


def _far_genes(rng: np.random.Generator, n: int) -> pd.DataFrame:
    start = np.sort(rng.choice(CHR_X // 100_000 - 1, size=n, replace=False)) * 100_000
    return pd.DataFrame(
        {
            "chrom": "chrX",
            "start": start,
            "end": start + rng.integers(2_000, 60_000, size=n),
            "strand": np.where(rng.random(n) < 0.5, "+", "-"),
            "gene": [f"HOUSE{i}" for i in range(1, n + 1)],
            "gene_type": "protein_coding",
            "role": "background",
            "block": -1,
        }
    )


def _mitochondrial_genes() -> pd.DataFrame:
    table = pd.DataFrame(MITOCHONDRIAL, columns=["gene", "start", "end", "strand"])
    return table.assign(chrom="chrM", gene_type="protein_coding", role="mito", block=-1)


def place_genes(n: int, n_loci: int, seed: int) -> pd.DataFrame:
    """Place genes at loci that lie far apart, first one at each, then another; the first are the same for any ``n``.

    There are at most as many loci as genes: gene k is at locus ``k % n_loci``.
    """
    slots = [
        (slot, place, chrom)
        for place, (chrom, size) in enumerate(HG38.items())
        for slot in range((size - 2 * _MARGIN) // _SPACING)
    ]
    if n_loci > len(slots):
        raise OptionError(f"n_genes is {n}, expected at most {len(slots)}: so many lie far enough from each other")
    slots.sort()
    rng = stream(seed, _PLACES)
    rows = []
    for number in range(n):
        slot, _, chrom = slots[number % n_loci]
        start = _MARGIN + slot * _SPACING + number // n_loci % 4 * _BESIDE + int(rng.integers(50_000))
        end = start + int(rng.integers(2_000, 60_000))
        rows.append((chrom, start, end, "+-"[int(rng.integers(2))], f"SIMG{number + 1:011d}", f"GENE{number + 1}"))
    return pd.DataFrame(rows, columns=_COLUMNS[:-1]).assign(gene_type="protein_coding")


def place_targets(genes: pd.DataFrame, locus: NDArray[np.int64], seed: int) -> pd.DataFrame:
    """Place targets within 100 kb of the first gene of their locus: ``target``, ``chrom``, ``start``, ``end``."""
    rng = stream(seed, _PLACES, 1)
    distance = rng.integers(_NEAR, _FAR, size=locus.size)
    left, right = genes["start"].to_numpy()[locus], genes["end"].to_numpy()[locus]
    start = np.where(rng.random(locus.size) < 0.5, left - distance - _WIDTH, right + distance)
    return pd.DataFrame(
        {
            "target": [f"enhancer{number + 1}" for number in range(locus.size)],
            "chrom": genes["chrom"].to_numpy()[locus],
            "start": start,
            "end": start + _WIDTH,
        }
    )


def other_genes(n: int, first: int) -> pd.DataFrame:
    """Place genes on chrX, far from every target, then those of mitochondria; ids count from the number ``first``."""
    start = np.linspace(1_000_000, CHR_X - 1_000_000, n).astype(np.int64)
    nuclear = pd.DataFrame({"chrom": "chrX", "start": start, "end": start + 20_000, "strand": "+"})
    nuclear["gene"] = [f"OTHER{number + 1}" for number in range(n)]
    table = pd.concat([nuclear, _mitochondrial_genes()], ignore_index=True).assign(gene_type="protein_coding")
    table["gene_id"] = [f"SIMG{first + number:011d}" for number in range(len(table))]
    return table[_COLUMNS]


def write_gtf(genes: pd.DataFrame, path: str | Path) -> Path:
    """Write genes as GTF: one gene row and one transcript row each, 1-based and closed.

    Parameters
    ----------
    genes
        Columns ``chrom``, ``start``, ``end`` (0-based, half-open), ``strand``, ``gene_id``, ``gene``, ``gene_type``.
    path
        File to write; compressed if it ends in ``.gz``, with equal bytes for equal genes.

    Returns
    -------
    The path.

    Examples
    --------
    >>> import tempfile
    >>> gene = pd.DataFrame([{"chrom": "chr1", "start": 99, "end": 200, "strand": "+", "gene_id": "SIMG1.2",
    ...                       "gene": "A", "gene_type": "lncRNA"}])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_gtf(gene, Path(folder) / "genes.gtf").read_text().splitlines()[1])
    chr1    SIMULATED   gene    100 200 .   +   .   gene_id "SIMG1.2"; gene_type "lncRNA"; gene_name "A";
    """
    lines = ["##description: simulated annotation of scanlink"]
    for chrom, start, end, strand, gene_id, name, kind in genes[_COLUMNS].to_numpy(dtype=object):
        place = f"{start + 1}\t{end}\t.\t{strand}\t."
        tags = f'gene_type "{kind}"; gene_name "{name}";'
        transcript = str(gene_id).replace("SIMG", "SIMT")
        both = f'gene_id "{gene_id}";'
        lines.append(f"{chrom}\tSIMULATED\tgene\t{place}\t{both} {tags}")
        lines.append(f'{chrom}\tSIMULATED\ttranscript\t{place}\t{both} transcript_id "{transcript}"; {tags}')
    data = ("\n".join(lines) + "\n").encode()
    if str(path).endswith(".gz"):
        buffer = io.BytesIO()
        # Neither name nor time in the header: the same genes give the same bytes.
        with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as stream:
            stream.write(data)
        data = buffer.getvalue()
    path = Path(path)
    path.write_bytes(data)
    return path
