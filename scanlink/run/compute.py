"""One block computed, on a worker or here: its part is written where it is computed."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scanlink.run.blocks import Block
from scanlink.run.memory import peak_mib
from scanlink.run.parts import Parts
from scanlink.run.work import Task

if TYPE_CHECKING:
    pass


__all__ = ["Report", "compute_block"]


class Report(NamedTuple):
    """What travels back from a worker; ``blind`` names one that does not see the folder."""

    seconds: float
    mib: float
    found_finished: bool
    blind: str | None


def compute_block(block: Block, *, task: Task, context: Any, parts: Parts, marker: str | None = None) -> Report:
    """Compute one block where it was sent, and leave its part; only a few numbers travel back.

    Parameters
    ----------
    block
        Block that is computed.
    task, context, parts
        As in :class:`scanlink.run.Work`.
    marker
        Path of a file that the driver has just written. Where it cannot be seen, the folder is not the driver's:
        nothing is computed, and nothing written to a folder that only has the same name.
    """
    begin = time.monotonic()
    if marker is not None and not Path(marker).is_file():
        # A look at a folder makes a network file system fetch what is new in it; the folder itself may be new as well.
        folder = Path(marker).parent
        _list_names(folder.parent)
        if os.path.basename(marker) not in _list_names(folder):
            return Report(0.0, 0.0, False, _worker_address() or socket.gethostname())
    found_finished = parts.is_done(block)
    if not found_finished:
        table = task(context, block)
        # A worker that was given up for lost may have finished meanwhile: the first part stays.
        if not parts.is_done(block):
            parts.write(block, table)
    return Report(time.monotonic() - begin, peak_mib(), found_finished, None)


def _list_names(folder: Path) -> list[str]:
    """List the names in a folder; none where it cannot be read."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _worker_address() -> str | None:
    """Return the address of the Dask worker that this runs on; None where it is none."""
    from distributed import get_worker

    try:
        return get_worker().address
    except ValueError:
        return None
