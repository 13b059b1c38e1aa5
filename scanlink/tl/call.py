"""An analysis as a call: options checked, a store made, rows planned, blocks computed, parts put together."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd
from anndata import AnnData
from mudata import MuData
from pydantic import BaseModel, ValidationError

from scanlink.errors import EmptyTableError, InputError, OptionError, first_few
from scanlink.options import GroupOptions, Options, explain
from scanlink.pp.door import entered_for_analysis
from scanlink.pp.groups import group_names
from scanlink.run import FolderLock, Plan, RunStats, Work, check_client, client_for, run_work
from scanlink.store.columns import Modality
from scanlink.store.make import write_store
from scanlink.store.store import Store
from scanlink.tl.analysis import Analysis, Given

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["call", "checked_options", "compute", "report_blocks", "store_of", "work_of"]

log = logging.getLogger("scanlink")

AnyModel = TypeVar("AnyModel", bound=BaseModel)
Counts = Callable[..., tuple[Store, dict[str, pd.DataFrame]]]
# What says where the counts are in the data.
_PLACES = ("layer", "rna_key", "atac_key", "guide_key")


def call(
    analysis: Analysis,
    arguments: Mapping[str, Any],
    *,
    tables: Mapping[str, pd.DataFrame],
    sections: Mapping[str, Options] | None = None,
    counts: Counts | None = None,
) -> pd.DataFrame:
    """Run an analysis on data, and return its table.

    ``arguments`` are those of the public call by name: ``mdata``, ``groupby``, ``groups``, ``client`` and ``out``, and
    the options of the analysis, of which ``fdr_method`` is ``method``. The rows are made of ``tables``, and of an
    empty one an empty table is made; ``counts`` makes the store of ``mdata``, below a folder if need be, and further
    tables, of both and of where the counts are.
    """
    fields, names = analysis.options.model_fields, {"method": "fdr_method"}
    values = {name: arguments[names.get(name, name)] for name in fields if names.get(name, name) in arguments}
    options = checked_options(analysis.options, values)
    client, out = arguments["client"], arguments["out"]
    check_client(client)
    places = {name: arguments[name] for name in _PLACES if name in arguments}
    groups = GroupOptions(by=arguments["groupby"], only=group_names(arguments.get("groups")))
    with tempfile.TemporaryDirectory(prefix="scanlink-") as temporary:
        folder = Path(out if out is not None else temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        with FolderLock(folder) as lock:
            if counts is None:
                store, _ = store_of(arguments["mdata"], folder, **places)
                more: Mapping[str, pd.DataFrame] = {}
            else:
                store, more = counts(arguments["mdata"], folder, **places)
            given = Given(folder, sections or {}, store, {**tables, **more}, groups)
            try:
                plan = analysis.rows(given, options)
            except EmptyTableError as error:
                log.warning("nothing is tested: %s", error)
                plan = None
            if plan is None:
                return analysis.table.empty(options)
            with client_for(client, cost=plan.cost) as workers:
                compute(analysis, plan, client=workers, problem=lock.problem).raise_failures()
            return analysis.finish([plan], given, options)


def store_of(
    mdata: Any, folder: Path, *, modalities: Sequence[Modality] = ("rna", "atac"), **places: Any
) -> tuple[Store, MuData | None]:
    """Open or make, below ``folder``, the scan store of a MuData, a store or the folder of one.

    Data are taken in by :func:`scanlink.pp.door.entered_for_analysis`, with ``places`` for where their counts are; what
    the store was made of is given, too, None if it was there. Raises InputError where ``mdata`` is none of these, lacks
    a modality, or is not as a scan needs it.
    """
    names = " and ".join(modalities)
    if isinstance(mdata, (Store, str, os.PathLike)):
        store = mdata if isinstance(mdata, Store) else Store.open(mdata)
        if not set(modalities) <= set(store.modalities):
            raise InputError(f"the store {store.path} holds {' and '.join(store.modalities)}, expected {names}")
        return store, None
    if not isinstance(mdata, MuData) and not isinstance(mdata, AnnData | tuple | list | Mapping):
        quoted = " and ".join(map(repr, modalities))
        raise InputError(f"mdata is a {type(mdata).__name__}, expected a MuData with {quoted}, or a scan store")
    for modality in modalities if isinstance(mdata, MuData) else ():
        if modality in mdata.mod and mdata[modality].isbacked:
            raise InputError(
                f"{modality} is on disk (backed): call mdata = scanlink.pp.filter_features(mdata), which reads in "
                "pieces and returns what is kept in memory"
            )
    mdata = entered_for_analysis(mdata, modalities=modalities, **places)
    if not mdata.obs.columns.is_unique:
        twice = mdata.obs.columns[mdata.obs.columns.duplicated()]
        raise InputError(f"obs has columns of the same name ({first_few(twice)}): rename or drop them")
    return write_store(mdata, folder / "store", modalities=modalities), mdata


def checked_options(model: type[AnyModel], values: Mapping[str, Any], *, prefix: str = "") -> AnyModel:
    """Make options, or raise an OptionError with a line for each wrong value, ``prefix`` before the option's name."""
    try:
        return model(**values)
    except ValidationError as error:
        lines = str(explain(error, model)).splitlines()
        raise OptionError("\n".join(f"{prefix}{line}" for line in lines)) from None


def work_of(analysis: Analysis, plan: Plan, *, leaf: bool = True, chunk: tuple[int, int] = (1, 1)) -> Work:
    """Give what is to be computed of a plan.

    ``leaf`` says that nothing follows from its groups; ``chunk`` is ``(i, n)``, the i-th of n slices from 1, for job
    arrays.
    """
    assert analysis.block is not None
    blocks = plan.blocks
    if chunk != (1, 1):
        # Dealt out by turns from the costliest on, so that the slices take about equally long.
        blocks = sorted(blocks, key=lambda block: (-block.cost, block.number))[chunk[0] - 1 :: chunk[1]]
    name = "" if chunk == (1, 1) else f"-{chunk[0]}-of-{chunk[1]}"
    return Work(analysis.block, plan.portable(), blocks, plan.parts, name, leaf=leaf)


def compute(
    analysis: Analysis,
    plan: Plan,
    *,
    client: Client | None = None,
    chunk: tuple[int, int] = (1, 1),
    problem: Callable[[], str | None] = lambda: None,
) -> RunStats:
    """Compute what is not finished of a plan. Blocks that fail are set aside, and named in what is returned.

    ``chunk`` is as in :func:`work_of`, and a text of ``problem`` stops the work, as in :func:`scanlink.run.run_work`.
    """
    work = work_of(analysis, plan, chunk=chunk)
    stats = run_work([work], client=client, problem=problem)[work]
    report_blocks(analysis.name, [stats])
    return stats


def report_blocks(name: str, stats: list[RunStats]) -> None:
    """Log how many blocks of an analysis were found and computed."""
    log.info(
        "%s: %d blocks, %d found finished, %d computed in %.1f s of tasks",
        name,
        *(sum(getattr(one, field) for one in stats) for field in ("n_blocks", "n_found", "n_computed")),
        sum(one.task_seconds for one in stats),
    )
