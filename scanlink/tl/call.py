"""An analysis as a call: options checked, rows planned, blocks computed, parts put together."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd
from pydantic import BaseModel, ValidationError

from scanlink.errors import OptionError
from scanlink.options import GroupOptions, Options, explain
from scanlink.pp.groups import group_names
from scanlink.run import FolderLock, Plan, RunStats, Work, check_client, client_for, run_work
from scanlink.tl.analysis import Analysis, Given
from scanlink.tl.stores import store_of

if TYPE_CHECKING:
    from distributed import Client

    from scanlink.store.store import Store

__all__ = ["call", "checked_options", "compute", "work_of"]

log = logging.getLogger("scanlink")

AnyModel = TypeVar("AnyModel", bound=BaseModel)
Counts = Callable[[Any, Path], "tuple[Store, dict[str, pd.DataFrame]]"]


def _rna_and_atac(mdata: Any, folder: Path) -> tuple[Store, dict[str, pd.DataFrame]]:
    return store_of(mdata, folder), {}


def call(
    analysis: Analysis,
    arguments: Mapping[str, Any],
    *,
    tables: Mapping[str, pd.DataFrame],
    sections: Mapping[str, Options] | None = None,
    counts: Counts = _rna_and_atac,
) -> pd.DataFrame:
    """Run an analysis on data, and return its table.

    Parameters
    ----------
    analysis
        The analysis.
    arguments
        Arguments of the public call by name: ``mdata``, ``groupby``, ``groups``, ``client`` and ``out``, and the
        options of the analysis, of which ``fdr_method`` is ``method``.
    tables
        Tables that the rows are made of.
    sections
        Further sections of options, by name.
    counts
        Called with ``mdata`` and a folder: makes the store, below the folder if need be, and further tables.

    Raises
    ------
    InputError, MissingKeyError, DesignError, OptionError
        Before anything is computed, if the data or an option cannot be used.
    RunError
        If blocks fail on the workers, or the folder cannot be written or is in use by another call.
    """
    fields, names = analysis.options.model_fields, {"method": "fdr_method"}
    values = {name: arguments[names.get(name, name)] for name in fields if names.get(name, name) in arguments}
    options = checked_options(analysis.options, values)
    client, out = arguments["client"], arguments["out"]
    check_client(client)
    groups = GroupOptions(by=arguments["groupby"], only=group_names(arguments.get("groups")))
    with tempfile.TemporaryDirectory(prefix="scanlink-") as temporary:
        folder = Path(out if out is not None else temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        with FolderLock(folder) as lock:
            store, more = counts(arguments["mdata"], folder)
            given = Given(folder, sections or {}, store, {**tables, **more}, groups)
            plan = analysis.rows(given, options)
            assert plan is not None
            with client_for(client, cost=plan.cost) as workers:
                compute(analysis, plan, client=workers, problem=lock.problem).raise_failures()
            return analysis.finish([plan], given, options)


def checked_options(model: type[AnyModel], values: Mapping[str, Any], *, prefix: str = "") -> AnyModel:
    """Make options, or say in words of this package what is wrong with them.

    Parameters
    ----------
    model
        Model of the options.
    values
        Values by name.
    prefix
        What stands before a name in the words of the caller.

    Raises
    ------
    OptionError
        If a value is wrong; has a line for each.
    """
    try:
        return model(**values)
    except ValidationError as error:
        lines = str(explain(error, model)).splitlines()
        raise OptionError("\n".join(f"{prefix}{line}" for line in lines)) from None


def work_of(analysis: Analysis, plan: Plan, *, leaf: bool = True, chunk: tuple[int, int] = (1, 1)) -> Work:
    """Give what is to be computed of a plan.

    Parameters
    ----------
    analysis
        Analysis whose plan it is.
    plan
        The plan.
    leaf
        Whether nothing follows from its groups.
    chunk
        ``(i, n)``: only the i-th of n slices, counted from 1, for job arrays.
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

    Parameters
    ----------
    analysis
        Analysis whose plan it is.
    plan
        The plan.
    client
        Dask client; None computes in this process.
    chunk
        ``(i, n)``: only the i-th of n slices, counted from 1, for job arrays.
    problem
        Called now and then; a text stops the work, as in :func:`scanlink.run.run_work`.
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
