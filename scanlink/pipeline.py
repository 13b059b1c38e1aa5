"""The stages of a run: files to a store and pairs, pairs to links. Each leaves its result, and is passed over later."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from scanlink import __version__, cluster, config, provenance
from scanlink.errors import InputError, RunError, first_few
from scanlink.io.pairs import read_pairs
from scanlink.io.store import Store, write_store
from scanlink.options import LinksOptions, RunOptions
from scanlink.run import SMALL_SECONDS, RunStats, peak_mib, replace_file
from scanlink.tl.links import collect, write_links
from scanlink.tl.plan import Plan, make_plan
from scanlink.tl.scan import compute

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Outcome", "Until", "claim", "finish", "prepare", "run"]

log = logging.getLogger("scanlink")

Until = Literal["pairs", "links"]


@dataclass
class Outcome:
    """What a run came to.

    Attributes
    ----------
    folder
        The run folder.
    links
        The table; None when the run ended before it.
    alpha
        False discovery rate below which a tested pair counts as a link.
    stats
        Blocks found finished and computed, seconds, memory.
    seconds
        Wall time of each stage.
    """

    folder: Path
    links: pd.DataFrame | None = None
    alpha: float = 0.1
    stats: RunStats = field(default_factory=RunStats)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def n_links(self) -> int:
        """Tested pairs below the false discovery rate."""
        return 0 if self.links is None else int((self.links["fdr"] < self.alpha).sum())


def run(
    options: RunOptions, out: str | os.PathLike[str], *, until: Until = "links", workers: int | None = None
) -> Outcome:
    """Run all stages, or those that are left of a run that was stopped.

    Parameters
    ----------
    options
        From :func:`scanlink.config.load_run`.
    out
        Run folder, made if need be.
    until
        ``"pairs"`` ends when store and pairs are there, for job arrays.
    workers
        Local worker processes; None takes a worker a core.

    Returns
    -------
    Outcome
        The links and what they cost.

    Raises
    ------
    ScanlinkError
        If input or options cannot be used (before anything is computed), or blocks fail.
    """
    folder = Path(out).resolve()
    outcome = Outcome(folder, alpha=options.links.alpha)
    begin = time.monotonic()
    cluster.check(options.cluster)
    claim(folder)
    with _timed(outcome, "read"):
        store, pairs, inputs = prepare(options, folder)
    if until == "links":
        with _timed(outcome, "plan"):
            plan = make_plan(
                store, pairs, folder / "parts",
                options=options.scan, groupby=options.groups.by, groups=options.groups.only,
            )  # fmt: skip
            _set_aside_links_of(folder, plan)
    # Not earlier: what cannot be run must not stand beside the links of what was.
    replace_file(folder / "config.yaml", lambda temporary: config.save(options, temporary))
    if until == "links":
        with _timed(outcome, "scan"), _workers(options.cluster, plan, workers) as client:
            outcome.stats = compute(plan, client=client)
        with _timed(outcome, "links"):
            outcome.links = finish(plan, options.links, folder)
    outcome.seconds["total"] = time.monotonic() - begin
    if until == "links" or not (folder / "links.parquet").exists():
        _record(outcome, options, inputs, None if until == "pairs" else plan.folder.name)
    return outcome


def prepare(options: RunOptions, folder: Path) -> tuple[Store, pd.DataFrame, list[dict[str, Any]]]:
    """Read the files, filter, pair genes with peaks, and write store and pairs; or find that it was done before.

    Returns
    -------
    tuple
        Store, table of pairs, and path, size and checksum of every input.
    """
    genes = _genes_file(options)
    inputs = provenance.describe_inputs([*options.input.files, genes, options.pairs.path])
    asked = {
        "version": __version__,
        "input": options.input.model_dump(),
        "pairs": options.pairs.model_dump(),
        "checksums": [entry["sha256"] for entry in inputs],
    }
    key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    stamp, table = folder / "store" / "prepared.json", folder / "pairs.parquet"
    try:
        if stamp.is_file() and table.is_file():
            said, store = json.loads(stamp.read_text()), Store.open(folder / "store")
            if said == {"key": key, "store": store.checksum, "pairs": provenance.checksum(table)}:
                log.info("store and pairs are there already, from the same input")
                return store, pd.read_parquet(table), inputs
            if said["key"] == key:
                log.warning("store or pairs of an earlier run are damaged and made anew")
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("store or pairs of an earlier run are damaged and made anew: %s", error)
    mdata, pairs = _read(options, genes)
    # Until the new stamp is there, nothing in the folder vouches for store and pairs.
    stamp.unlink(missing_ok=True)
    store = write_store(mdata, folder / "store")
    replace_file(table, lambda temporary: pairs.to_parquet(temporary, index=False))
    vouched = json.dumps({"key": key, "store": store.checksum, "pairs": provenance.checksum(table)})
    replace_file(stamp, lambda temporary: temporary.write_text(vouched))
    return store, pairs, inputs


def finish(plan: Plan, options: LinksOptions, folder: Path) -> pd.DataFrame:
    """Put the parts together and write links.parquet."""
    links = collect(plan, options)
    write_links(links, folder / "links.parquet")
    return links


def _read(options: RunOptions, genes: str | None) -> tuple[Any, pd.DataFrame]:
    from scanlink import io, pp

    given = options.input.model_dump()
    mdata = io.read(given.pop("path"), **given)
    pp.qc(mdata)
    if options.pairs.path is None:
        # Who brings pairs has chosen: each of them gets its row, and a status where it is too rare.
        pp.filter_features(mdata, min_fraction=options.pairs.min_fraction)
    if options.pairs.highly_variable:
        pp.highly_variable_genes(mdata)
    if options.pairs.path is not None:
        pairs = _given_pairs(options.pairs.path, mdata)
    else:
        pairs = pp.cis_pairs(
            mdata, io.read_genes(str(genes)),
            window=options.pairs.window, anchor=options.pairs.anchor, overlap=options.pairs.overlap,
        )  # fmt: skip
    if options.pairs.highly_variable:
        variable = mdata["rna"].var["highly_variable"]
        pairs = pairs[pairs["gene"].isin(variable.index[variable])].reset_index(drop=True)
    # Features that are in no pair would only make the store larger.
    mdata.mod["rna"] = mdata["rna"][:, mdata["rna"].var_names.isin(pairs["gene"])].copy()
    mdata.mod["atac"] = mdata["atac"][:, mdata["atac"].var_names.isin(pairs["peak"])].copy()
    return mdata, pairs


def _given_pairs(path: str, mdata: Any) -> pd.DataFrame:
    """A user's table of pairs, all of whose names have to be in the data."""
    table = read_pairs(path)
    for column, modality in (("gene", "rna"), ("peak", "atac")):
        names = table[column].astype(str)
        absent = names[~names.isin(mdata[modality].var_names)].unique()
        if absent.size:
            raise InputError(
                f"{absent.size} {column}s of {Path(path).name} are not in the data ({first_few(absent)}); "
                f"there they are named as {first_few(mdata[modality].var_names, most=2)}: "
                "check the names, or leave those pairs out"
            )
    return table


def _genes_file(options: RunOptions) -> str | None:
    if options.genes is None:
        return None
    if options.genes.path is not None:
        return options.genes.path
    from scanlink.io import fetch_gencode

    assert options.genes.gencode is not None
    return str(fetch_gencode(options.genes.gencode))


def _set_aside_links_of(folder: Path, plan: Plan) -> None:
    """Links of other options must not stand in a folder whose config.yaml says something else."""
    links, record = folder / "links.parquet", folder / "provenance.json"
    try:
        same = json.loads(record.read_text())["plan"] == plan.folder.name
    except (OSError, ValueError, KeyError, TypeError):
        same = False
    if links.exists() and not same:
        os.replace(links, folder / "links.previous.parquet")
        log.warning("links of other data or options are kept as links.previous.parquet")


def claim(folder: Path) -> None:
    """Find out now whether the folder can be written, and not after an hour."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        reason = "this is a file" if folder.is_file() else error.strerror
        raise RunError(
            f"the run folder {folder} cannot be written: {reason}. Name another with --out, free some space or "
            "change its rights"
        ) from error


def _workers(profile: str, plan: Plan, workers: int | None) -> AbstractContextManager[Client | None]:
    if profile == "local" and plan.cost < SMALL_SECONDS and workers is None:
        return nullcontext(None)
    return cluster.client(profile, **({} if workers is None else {"n_workers": workers}))


@contextmanager
def _timed(outcome: Outcome, stage: str) -> Iterator[None]:
    begin = time.monotonic()
    yield
    outcome.seconds[stage] = time.monotonic() - begin
    log.info("%s: %.1f s", stage, outcome.seconds[stage])


def _record(outcome: Outcome, options: RunOptions, inputs: list[dict[str, Any]], plan: str | None) -> None:
    links, stats = outcome.links, outcome.stats
    provenance.write_record(
        outcome.folder / "provenance.json",
        options=options.model_dump(mode="json"),
        seed=options.scan.seed,
        plan=plan,
        inputs=inputs,
        seconds={stage: round(value, 3) for stage, value in outcome.seconds.items()},
        peak_memory_mib={"driver": round(peak_mib(), 1), "worker": round(stats.peak_mib, 1)},
        blocks={"all": stats.n_blocks, "found_finished": stats.n_found, "computed": stats.n_computed},
        pairs=None if links is None else {str(k): int(v) for k, v in links["status"].value_counts().items()},
        links=outcome.n_links,
    )
